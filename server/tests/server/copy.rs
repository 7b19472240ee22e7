//! COPY in both directions, in both protocols.

use crate::harness::Fixture;
use crate::raw::{Raw, message, query, run, sync};

fn table(fixture: &Fixture) -> Raw {
    let mut raw = Raw::connect(fixture.port());
    raw.ask(&query("CREATE TABLE t (id int PRIMARY KEY, v text)"));
    raw
}

fn data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

#[test]
fn rows_go_in_and_out() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    raw.send(&query("COPY t FROM STDIN; SELECT count(*) FROM t"));
    assert_eq!(raw.next().unwrap().kind, b'G');
    // Cut in the middle of a line.
    raw.send(
        &[data(b"1\tone\n2\tt"), data(b"wo\n"), data(b"3\t\\N\n"), message(b'c', b"")].concat(),
    );
    assert_eq!(raw.kinds(), "CTDCZI");
    raw.send(&query("COPY (SELECT * FROM t ORDER BY id) TO STDOUT"));
    let replies = raw.until_ready();
    let lines: Vec<u8> =
        replies.iter().filter(|r| r.kind == b'd').flat_map(|r| r.body.clone()).collect();
    assert_eq!(lines, b"1\tone\n2\ttwo\n3\t\\N\n");
    assert_eq!(replies[replies.len() - 2].body, b"COPY 3\0");
}

#[test]
fn a_bad_line_undoes_the_copy_and_the_rest_is_dropped() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    raw.send(&query("COPY t FROM STDIN"));
    raw.next();
    raw.send(&[data(b"1\tone\n"), data(b"x\ttwo\n"), data(b"3\tthree\n")].concat());
    let replies = raw.until_ready();
    assert_eq!(replies[0].field(b'C').as_deref(), Some("22P02"));
    assert_eq!(replies[0].field(b'W').as_deref(), Some("COPY t, line 2, column id: \"x\""));
    raw.send(&message(b'c', b""));
    raw.send(&query("SELECT * FROM t"));
    assert_eq!(raw.kinds(), "TCZI");
}

#[test]
fn the_client_may_give_up() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    raw.send(&query("COPY t FROM STDIN"));
    raw.next();
    raw.send(&[data(b"1\tone\n"), message(b'f', b"no more\0")].concat());
    let replies = raw.until_ready();
    assert_eq!(replies[0].field(b'C').as_deref(), Some("57014"));
    assert!(replies[0].field(b'M').unwrap().ends_with("no more"));
    assert_eq!(raw.ask(&query("SELECT * FROM t")), "TCZI");
}

#[test]
fn copy_works_in_the_extended_protocol() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    // Libraries send Sync before they know of the COPY; it is ignored until the end.
    raw.send(&[run("COPY t FROM STDIN WITH (FORMAT csv)", 0), sync()].concat());
    assert_eq!((0..3).map(|_| raw.next().unwrap().kind).collect::<Vec<u8>>(), b"12G");
    raw.send(&[data(b"1,\"a,b\"\n"), message(b'c', b""), sync()].concat());
    assert_eq!(raw.kinds(), "CZI");
    raw.send(&[run("COPY t FROM STDIN", 0), sync()].concat());
    (0..3).for_each(|_| drop(raw.next()));
    raw.send(&[data(b"1\tduplicate\n"), message(b'c', b""), sync()].concat());
    assert_eq!(raw.kinds(), "EZI");
    assert_eq!(raw.ask(&[run("COPY t TO STDOUT", 0), sync()].concat()), "12HdcCZI");
}

#[test]
fn any_other_message_ends_a_copy() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    raw.send(&query("COPY t FROM STDIN"));
    raw.next();
    assert_eq!(raw.ask(&query("SELECT 1")), "EZI");
    assert_eq!(raw.ask(&query("SELECT 1")), "TDCZI");
}

/// What a COPY TO sends.
fn copied(raw: &mut Raw, sql: &str) -> Vec<u8> {
    raw.send(&query(sql));
    raw.until_ready().iter().filter(|r| r.kind == b'd').flat_map(|r| r.body.clone()).collect()
}

/// Sends bytes to a COPY FROM; its tag, or the fields of the error that are asked for.
fn copy_in(raw: &mut Raw, sql: &str, bytes: &[u8]) -> String {
    raw.send(&query(sql));
    let first = raw.next().unwrap();
    if first.kind == b'E' {
        raw.until_ready();
        return told(&first);
    }
    raw.send(&[data(bytes), message(b'c', b"")].concat());
    let replies = raw.until_ready();
    match replies[0].kind {
        b'E' => told(&replies[0]),
        _ => String::from_utf8_lossy(&replies[0].body).trim_end_matches('\0').to_owned(),
    }
}

fn told(reply: &crate::raw::Reply) -> String {
    let place = reply.field(b'W').map(|place| format!(" [{place}]")).unwrap_or_default();
    format!("{}: {}{place}", reply.field(b'C').unwrap(), reply.field(b'M').unwrap())
}

#[test]
fn every_type_goes_out_and_in_in_binary() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    let columns = "b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text, v varchar(9), \
        c char(5), x bytea, d date, tm time, tz timetz, ts timestamp, tt timestamptz, iv interval, \
        u uuid, j json, jb jsonb, jp jsonpath, a int4[], ta text[], o oid, bt bit(5), vb varbit, \
        m money, ip inet, cd cidr, mc macaddr, m8 macaddr8, l pg_lsn, r int4range, nr numrange, \
        mr int8multirange, nm name";
    raw.ask(&query(&format!("CREATE TABLE a ({columns}); CREATE TABLE b ({columns})")));
    let filled = "INSERT INTO a VALUES (true, -3, 70000, -5000000000, 1.5, 'NaN', -12345.6780, E'tab\\tä', 'vc', \
        'ch', '\\x00ff0a5c', '2024-02-29', '23:59:59.123456', '01:02:03+05:30', '1999-12-31 23:59:59.5', \
        'infinity', '1 year -2 days 03:04:05', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": [1, null]}', \
        '{\"b\": 1.50}', '$.a[*] ? (@ > 1)', '{{1,NULL},{3,4}}', '{\"a,b\",\"\"}', 4000000000, B'10110', \
        B'101010101', '-12.34', '192.168.1.7/24', '10.0.0.0/8', '08:00:2b:01:02:03', \
        '08:00:2b:01:02:03:04:05', '16/B374D848', '[1,5)', '(1.5,)', '{[1,3),[5,9)}', 'name')";
    raw.ask(&query(filled));
    raw.ask(&query("INSERT INTO a (i4) VALUES (1)"));
    let bytes = copied(&mut raw, "COPY a TO STDOUT BINARY");
    assert!(bytes.starts_with(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"));
    assert!(bytes.ends_with(b"\xff\xff"));
    assert_eq!(copy_in(&mut raw, "COPY b FROM STDIN (FORMAT binary)", &bytes), "COPY 2");
    let text = copied(&mut raw, "COPY b TO STDOUT");
    assert_eq!(text, copied(&mut raw, "COPY a TO STDOUT"));
    assert!(text.starts_with(b"t\t-3\t70000\t-5000000000\t1.5\tNaN\t-12345.6780\ttab"));
    raw.send(&query("COPY a TO STDOUT BINARY"));
    let replies = raw.until_ready();
    assert_eq!(replies[0].body[..5], [1, 0, 36, 0, 1]);
}

#[test]
fn malformed_binary_is_told_with_its_row() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    let signature: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    let mut told =
        |rows: &[u8]| copy_in(&mut raw, "COPY t FROM STDIN BINARY", &[signature, rows].concat());
    assert_eq!(told(b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x01x"), "COPY 1");
    assert_eq!(told(b"\xff\xff"), "COPY 0");
    assert_eq!(
        told(b"\0\x02\0\0\0\x05\0\0\0\x02\0\xff\xff\xff\xff"),
        "22P03: incorrect binary data format [COPY t, line 1, column id]"
    );
    assert_eq!(told(b"\0\x01\0\0\0\0"), "22P04: row field count is 1, expected 2 [COPY t, line 1]");
    assert_eq!(told(b"\0\x02\0\0"), "22P04: unexpected EOF in COPY data [COPY t, line 1]");
    assert_eq!(
        copy_in(&mut raw, "COPY t FROM STDIN BINARY", b"1\tx\n"),
        "22P04: COPY file signature not recognized"
    );
}

#[test]
fn a_header_may_have_to_match() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    let mut told = |bytes: &[u8]| copy_in(&mut raw, "COPY t FROM STDIN (HEADER MATCH)", bytes);
    assert_eq!(told(b"id\tv\n1\ta\n"), "COPY 1");
    assert_eq!(
        told(b"id\n2\tb\n"),
        "22P04: wrong number of fields in header line: field count is 1, expected 2 \
         [COPY t, line 1: \"id\"]"
    );
    assert_eq!(
        told(b"id\tw\n"),
        "22P04: column name mismatch in header line field 2: got \"w\", expected \"v\" \
         [COPY t, line 1: \"id\tw\"]"
    );
    assert_eq!(
        told(b"id\t\\N\n"),
        "22P04: column name mismatch in header line field 2: got null value (\"\\N\"), expected \
         \"v\" [COPY t, line 1: \"id\t\\N\"]"
    );
}

#[test]
fn columns_of_csv_take_null_as_they_are_told() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    raw.ask(&query("CREATE TABLE f (a int, b text, c text, d text)"));
    let options = "(FORMAT csv, NULL 'nil', FORCE_NOT_NULL (b, d), FORCE_NULL (c, d))";
    let line = b"1,nil,\"nil\",nil\n2,\"nil\",nil,\"nil\"\n";
    assert_eq!(copy_in(&mut raw, &format!("COPY f FROM STDIN {options}"), line), "COPY 2");
    let text = copied(&mut raw, "COPY f TO STDOUT");
    assert_eq!(text, b"1\tnil\t\\N\tnil\n2\tnil\t\\N\t\\N\n");
}

#[test]
fn where_chooses_rows() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    let rows = b"1\ta\n2\tb\n3\t\\N\n4\ta\n";
    let chosen = "COPY t FROM STDIN WHERE v = 'a' AND id > 1";
    assert_eq!(copy_in(&mut raw, chosen, rows), "COPY 1");
    assert_eq!(copied(&mut raw, "COPY t TO STDOUT"), b"4\ta\n");
    let mut refused =
        |condition: &str| copy_in(&mut raw, &format!("COPY t FROM STDIN WHERE {condition}"), b"");
    assert_eq!(
        refused("count(*) > 1"),
        "42803: aggregate functions are not allowed in COPY FROM WHERE conditions"
    );
    assert_eq!(
        refused("id = (SELECT 1)"),
        "0A000: cannot use subquery in COPY FROM WHERE condition"
    );
    assert_eq!(refused("id"), "42804: argument of WHERE must be type boolean, not type integer");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    let cases = [
        (
            "FROM STDIN (FORMAT binary, DELIMITER ',')",
            "42601: cannot specify DELIMITER in BINARY mode",
        ),
        ("FROM STDIN (FORMAT binary, NULL 'x')", "42601: cannot specify NULL in BINARY mode"),
        ("TO STDOUT (FORMAT binary, HEADER)", "0A000: cannot specify HEADER in BINARY mode"),
        ("TO STDOUT (HEADER match)", "0A000: cannot use \"match\" with HEADER in COPY TO"),
        ("TO STDOUT (HEADER 2)", "42601: header requires a Boolean value or \"match\""),
        ("TO STDOUT (QUOTE ',')", "0A000: COPY quote available only in CSV mode"),
        (
            "FROM STDIN (FORMAT csv, FORCE_QUOTE *)",
            "0A000: COPY force quote only available using COPY TO",
        ),
        (
            "TO STDOUT (FORMAT csv, FORCE_NULL (v))",
            "0A000: COPY force null only available using COPY FROM",
        ),
        ("TO STDOUT (FORCE_NOT_NULL (v))", "0A000: COPY force not null available only in CSV mode"),
        (
            "FROM STDIN (FORCE_NULL 'v')",
            "22023: argument to option \"force_null\" must be a list of column names",
        ),
        (
            "TO STDOUT (FORMAT csv, FORCE_QUOTE (w))",
            "42703: column \"w\" of relation \"t\" does not exist",
        ),
        (
            "TO STDOUT (ENCODING 'x')",
            "22023: argument to option \"encoding\" must be a valid encoding name",
        ),
        ("TO STDOUT WHERE id = 1", "42601: WHERE clause not allowed with COPY TO"),
    ];
    for (options, expected) in cases {
        assert_eq!(copy_in(&mut raw, &format!("COPY t {options}"), b""), expected, "{options}");
    }
    assert_eq!(
        copy_in(&mut raw, "COPY t (id) FROM STDIN (FORMAT csv, FORCE_NULL (v))", b""),
        "42P10: FORCE_NULL column \"v\" not referenced by COPY"
    );
}

#[test]
fn what_a_change_returns_is_copied() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    let insert = "COPY (INSERT INTO t VALUES (1, 'a'), (2, 'b') RETURNING id + 1 AS n, v) TO STDOUT \
        (FORMAT csv, HEADER)";
    assert_eq!(copied(&mut raw, insert), b"n,v\n2,a\n3,b\n");
    let update = "COPY (UPDATE t SET v = 'c' WHERE id = 2 RETURNING *) TO STDOUT";
    assert_eq!(copied(&mut raw, update), b"2\tc\n");
    assert_eq!(copied(&mut raw, "COPY (DELETE FROM t RETURNING id) TO STDOUT"), b"1\n2\n");
    assert_eq!(
        copy_in(&mut raw, "COPY (DELETE FROM t) TO STDOUT", b""),
        "0A000: COPY query must have a RETURNING clause"
    );
}
