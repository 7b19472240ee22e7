//! COPY: what is written reads back, in pieces of any size; malformed input names its line.

use std::sync::Arc;

use driftdb_executor::{CopyIn, CopyOut, start};
use driftdb_query::{
    Copy, CopyFormat, CopyHeader, CopyOptions, CopySource, Result, SqlError, Table,
};
use driftdb_types::{SqlState, Value};
use proptest::prelude::*;

use crate::statements::{TYPES, row};
use crate::support::{Database, Row, fields, int, islot, query, scan, slot, text};

fn options(format: CopyFormat) -> CopyOptions {
    let csv = format == CopyFormat::Csv;
    CopyOptions {
        format,
        delimiter: if csv { b',' } else { b'\t' },
        null: if csv { String::new() } else { "\\N".into() },
        header: CopyHeader::Absent,
        quote: b'"',
        escape: b'"',
        force_quote: Vec::new(),
        force_not_null: Vec::new(),
        force_null: Vec::new(),
        follow: false,
    }
}

fn copy_from(table: &Arc<Table>, options: CopyOptions) -> Copy {
    let row = vec![islot(0), islot(1), slot(2, TYPES[2])];
    let source = CopySource::From {
        table: Arc::clone(table),
        columns: vec![0, 1, 2],
        row,
        filter: None,
        checks: driftdb_query::RowRules::default(),
        related: Arc::default(),
    };
    Copy { source, options }
}

/// Reads pieces into the table; the tag.
fn read(
    db: &Database,
    table: &Arc<Table>,
    options: &CopyOptions,
    pieces: &[&[u8]],
) -> Result<String> {
    let mut txn = db.begin();
    let tag = db.with(&mut *txn, &[], &mut Vec::new(), |cx| {
        let mut copy = CopyIn::start(&copy_from(table, options.clone()), cx)?;
        assert_eq!(copy.width(), 3);
        for piece in pieces {
            copy.push(piece, cx)?;
        }
        copy.finish(cx)
    })?;
    txn.commit()?;
    Ok(tag.to_string())
}

/// The table's rows as bytes.
fn write(db: &Database, table: &Arc<Table>, options: &CopyOptions) -> Vec<u8> {
    let mut out = Vec::new();
    let mut txn = db.begin();
    db.with(&mut *txn, &[], &mut Vec::new(), |cx| {
        let mut copy = CopyOut::new(options, &fields(&TYPES));
        copy.header(&mut out);
        let mut execution = start(&query(scan(table)), cx)?;
        while let Some(batch) = execution.next(cx)? {
            (0..batch.len()).for_each(|row| copy.row(&batch, row, cx.eval, &mut out));
        }
        Ok::<(), SqlError>(())
    })
    .unwrap();
    out
}

fn any_row() -> BoxedStrategy<Row> {
    let number = || prop_oneof![3 => any::<i32>().prop_map(Value::Int4), 1 => Just(Value::Null)];
    let string = prop_oneof![
        4 => "[ab,\"\\\\\t\r\nNé.|]{0,6}".prop_map(Value::text),
        1 => Just(Value::Null),
    ];
    (number(), number(), string).prop_map(|(a, b, c)| vec![a, b, c]).boxed()
}

fn any_options() -> BoxedStrategy<CopyOptions> {
    let format = prop::sample::select(vec![CopyFormat::Text, CopyFormat::Csv]);
    (format, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(format, header, bar, backslash)| {
            let mut options = options(format);
            options.header = if header { CopyHeader::Names } else { CopyHeader::Absent };
            if bar {
                options.delimiter = b'|';
            }
            if backslash {
                options.escape = b'\\';
            }
            options
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(
        rows in prop::collection::vec(any_row(), 0..6),
        options in any_options(),
        piece in 1..9usize,
    ) {
        let db = Database::new();
        let (from, to) = (db.create("f", &[]), db.create("t", &[]));
        db.fill(&from, &rows);
        let bytes = write(&db, &from, &options);
        let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
        let tag = read(&db, &to, &options, &pieces).unwrap();
        prop_assert_eq!(tag, format!("COPY {}", rows.len()));
        prop_assert_eq!(db.all(&to), rows);
    }

    #[test]
    fn garbage_does_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        options in any_options(),
    ) {
        let db = Database::new();
        let table = db.create("t", &[]);
        // Whatever it says, it comes back.
        drop(read(&db, &table, &options, &[&bytes]));
    }
}

#[test]
fn text_escapes_and_the_end_mark() {
    let db = Database::new();
    let table = db.create("t", &[]);
    let input = b"1\t2\ta\\tb\\\\c\\x41\\101\\N\n\\N\t\\N\t\\N\n3\t4\t\n\\.\nnot read\n";
    assert_eq!(read(&db, &table, &options(CopyFormat::Text), &[input]).unwrap(), "COPY 3");
    let expected = [row(1, 2, "a\tb\\cAAN"), vec![Value::Null; 3], vec![int(3), int(4), text("")]];
    assert_eq!(db.all(&table), expected);
}

#[test]
fn csv_quotes_nulls_and_line_ends() {
    let db = Database::new();
    let table = db.create("t", &[]);
    let input = b"a,b,c\r\n1,,\"x \"\"y\"\"\nz\"\r\n2,3,\"\"\r\n4,5,\r\n6,7,p\"q,\"r";
    let with_header = CopyOptions { header: CopyHeader::Names, ..options(CopyFormat::Csv) };
    assert_eq!(read(&db, &table, &with_header, &[input]).unwrap(), "COPY 4");
    let expected = [
        vec![int(1), Value::Null, text("x \"y\"\nz")],
        row(2, 3, ""),
        vec![int(4), int(5), Value::Null],
        row(6, 7, "pq,r"),
    ];
    assert_eq!(db.all(&table), expected);
}

/// The error of an input: its condition, message and context.
#[track_caller]
fn check_error(format: CopyFormat, input: &str, state: SqlState, message: &str, context: &str) {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let error = read(&db, &table, &options(format), &[input.as_bytes()]).unwrap_err();
    assert_eq!((error.state, error.message.as_str()), (state, message));
    assert_eq!(error.context.as_deref(), Some(context));
}

#[test]
fn malformed_input_names_its_place() {
    let bad = SqlState::BadCopyFileFormat;
    let (text, csv) = (CopyFormat::Text, CopyFormat::Csv);
    check_error(
        text,
        "1\t2\tx\n3\t4\n",
        bad,
        "missing data for column \"c\"",
        "COPY t, line 2: \"3\t4\"",
    );
    check_error(
        text,
        "1\t2\tx\ty\n",
        bad,
        "extra data after last expected column",
        "COPY t, line 1: \"1\t2\tx\ty\"",
    );
    check_error(
        text,
        "1\tzwei\tx\n",
        SqlState::InvalidTextRepresentation,
        "invalid input syntax for type integer: \"zwei\"",
        "COPY t, line 1, column b: \"zwei\"",
    );
    check_error(csv, "1,2,\"x\n", bad, "unterminated CSV quoted field", "COPY t, line 1");
    check_error(text, "1\t2\tx\r1\t\n", bad, "literal newline found in data", "COPY t, line 2");
    check_error(
        text,
        "1\t2\tx\n1\t3\ty\n",
        SqlState::UniqueViolation,
        "duplicate key value violates unique constraint \"t_pkey\"",
        "COPY t, line 2",
    );
}

#[test]
fn output_forms() {
    let db = Database::new();
    let table = db.create("t", &[]);
    db.fill(&table, &[vec![int(1), Value::Null, text("a\"b,\n\\")], row(2, 3, "")]);
    let text_form = write(&db, &table, &options(CopyFormat::Text));
    assert_eq!(String::from_utf8(text_form).unwrap(), "1\t\\N\ta\"b,\\n\\\\\n2\t3\t\n");
    let csv =
        CopyOptions { header: CopyHeader::Names, force_quote: vec![0], ..options(CopyFormat::Csv) };
    let expected = "column1,column2,column3\n\"1\",,\"a\"\"b,\n\\\"\n\"2\",3,\"\"\n";
    assert_eq!(String::from_utf8(write(&db, &table, &csv)).unwrap(), expected);
}
