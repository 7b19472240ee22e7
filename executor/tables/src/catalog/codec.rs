//! Catalog records as bytes: `docs/formats/catalog.md`.

mod index_details;

use driftdb_query::{
    ApplicationPeriod, Check, Column, ColumnId, ConstraintId, Deferral, ForeignKey, Generated,
    Index, IndexColumn, IndexId, Need, ObjectId, ReferentialAction, RowKey, Table, TableId,
    TableNeed, TablePart,
};
use driftdb_storage::{KeyspaceId, read_varint, write_varint};
use driftdb_types::{DataType, Value, decode_value, encode_value};

use super::Named;

const VERSION: u8 = 1;
/// Version 1 of a table's record ended with the checks, version 2 with the referring tables, version 3 with the
/// period, version 4 with the needs, version 5 with the filled columns.
const TABLE_VERSION: u8 = 6;
/// More columns or indexes than any table may have: a bound for damaged counts.
const MOST: u64 = 10_000;

pub(super) fn encode_named(named: Named) -> Vec<u8> {
    let mut out = vec![VERSION];
    match named {
        Named::Table(table) => {
            out.push(0);
            number(&mut out, table.0);
        }
        Named::Index(table, index) => {
            out.push(1);
            number(&mut out, table.0);
            number(&mut out, index.0);
        }
        Named::Object(id) => {
            out.push(2);
            number(&mut out, id.0);
        }
    }
    out
}

pub(crate) fn decode_named(bytes: &[u8]) -> Option<Named> {
    let mut input = Input::new(bytes, &DataType::from_oid);
    (input.byte()? == VERSION).then_some(())?;
    Some(match input.byte()? {
        0 => Named::Table(TableId(input.number()?)),
        1 => Named::Index(TableId(input.number()?), IndexId(input.number()?)),
        2 => Named::Object(ObjectId(input.number()?)),
        _ => return None,
    })
}

pub(super) fn encode_table(table: &Table) -> Vec<u8> {
    let mut out = vec![TABLE_VERSION];
    number(&mut out, table.id.0);
    text(&mut out, &table.schema);
    text(&mut out, &table.name);
    number(&mut out, table.keyspace.0);
    out.push(u8::from(table.key == RowKey::Primary));
    optional(&mut out, table.row_count, write_varint);
    number(&mut out, u32::from(table.dropped_columns));
    number(&mut out, table.columns.len() as u32);
    for column in &table.columns {
        number(&mut out, u32::from(column.id.0));
        text(&mut out, &column.name);
        number(&mut out, column.ty.oid());
        out.extend_from_slice(&column.typmod.to_le_bytes());
        out.push(u8::from(column.not_null));
        optional(&mut out, column.default.as_deref(), text);
        let missing = (!column.missing.is_null()).then_some(&column.missing);
        optional(&mut out, missing, |out, value| encode_value(value, column.ty, out));
    }
    number(&mut out, table.indexes.len() as u32);
    for index in &table.indexes {
        number(&mut out, index.id.0);
        text(&mut out, &index.name);
        optional(&mut out, index.keyspace, |out, space| number(out, space.0));
        out.push(
            u8::from(index.unique)
                | u8::from(index.primary) << 1
                | u8::from(index.constraint) << 2
                | deferral_code(index.deferral) << 3,
        );
        number(&mut out, index.columns.len() as u32);
        for column in &index.columns {
            number(&mut out, u32::from(column.column.0));
            out.push(u8::from(column.descending));
        }
    }
    number(&mut out, table.checks.len() as u32);
    for check in &table.checks {
        text(&mut out, &check.name);
        text(&mut out, &check.condition);
    }
    number(&mut out, table.foreign_keys.len() as u32);
    for key in &table.foreign_keys {
        foreign_key(&mut out, key);
    }
    number(&mut out, table.referenced_by.len() as u32);
    table.referenced_by.iter().for_each(|id| number(&mut out, id.0));
    optional(&mut out, table.period.as_ref(), |out, period| {
        text(out, &period.name);
        number(out, u32::from(period.start.0));
        number(out, u32::from(period.end.0));
        text(out, &period.check);
    });
    number(&mut out, table.needs.len() as u32);
    for TableNeed { part, need } in &table.needs {
        let (code, id) = match part {
            TablePart::Column(id) => (0, u32::from(id.0)),
            TablePart::Default(id) => (1, u32::from(id.0)),
            TablePart::Index(id) => (2, id.0),
            TablePart::Trigger => (3, 0),
            TablePart::Materialized => (4, 0),
            TablePart::Unpopulated => (5, 0),
        };
        out.push(code);
        number(&mut out, id);
        encode_need(&mut out, need);
    }
    let generated = table.columns.iter().filter(|column| column.generated.is_some());
    number(&mut out, generated.clone().count() as u32);
    for column in generated {
        number(&mut out, u32::from(column.id.0));
        match &column.generated {
            Some(Generated::Identity { always, sequence }) => {
                out.push(u8::from(!always));
                number(&mut out, *sequence);
            }
            Some(Generated::Stored(sql)) => {
                out.push(2);
                text(&mut out, sql);
            }
            None => unreachable!("these were left out"),
        }
    }
    index_details::encode(&mut out, table);
    out
}

pub(super) fn encode_need(out: &mut Vec<u8>, need: &Need) {
    number(out, need.id);
    number(out, need.column.map_or(0, |id| u32::from(id.0)));
    out.push(u8::from(need.is_part));
}

fn foreign_key(out: &mut Vec<u8>, key: &ForeignKey) {
    number(out, key.id.0);
    text(out, &key.name);
    columns(out, &key.columns);
    number(out, key.referenced.0);
    number(out, key.referenced_index.0);
    columns(out, &key.referenced_columns);
    let flags =
        u8::from(key.match_full) | u8::from(key.validated) << 1 | deferral_code(key.deferral) << 2;
    out.push(flags);
    out.push(action_code(key.on_delete));
    columns(out, &key.delete_columns);
    out.push(action_code(key.on_update));
}

fn columns(out: &mut Vec<u8>, columns: &[ColumnId]) {
    number(out, columns.len() as u32);
    columns.iter().for_each(|id| number(out, u32::from(id.0)));
}

fn deferral_code(deferral: Deferral) -> u8 {
    match deferral {
        Deferral::Never => 0,
        Deferral::Immediate => 1,
        Deferral::Deferred => 2,
    }
}

fn deferral(code: u8) -> Option<Deferral> {
    [Deferral::Never, Deferral::Immediate, Deferral::Deferred].get(usize::from(code)).copied()
}

const ACTIONS: [ReferentialAction; 5] = [
    ReferentialAction::NoAction,
    ReferentialAction::Restrict,
    ReferentialAction::Cascade,
    ReferentialAction::SetNull,
    ReferentialAction::SetDefault,
];

fn action_code(action: ReferentialAction) -> u8 {
    let code = ACTIONS.iter().position(|other| *other == action);
    code.expect("every action is in the list") as u8
}

pub(crate) fn decode_table(bytes: &[u8], types: Types<'_>) -> Option<Table> {
    let mut input = Input { rest: bytes, types };
    let version = input.byte()?;
    (1..=TABLE_VERSION).contains(&version).then_some(())?;
    let mut table = Table {
        id: TableId(input.number()?),
        schema: input.text()?,
        name: input.text()?,
        keyspace: KeyspaceId(input.number()?),
        key: if input.byte()? == 1 { RowKey::Primary } else { RowKey::RowId },
        row_count: input.optional(|input| read_varint(&mut input.rest))?,
        dropped_columns: u16::try_from(input.number()?).ok()?,
        columns: input.list(Input::column)?,
        indexes: input.list(Input::index)?,
        terms: Vec::new(),
        checks: input.list(|input| Some(Check::new(input.text()?, input.text()?)))?,
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
        period: None,
        needs: Vec::new(),
    };
    if version > 1 {
        table.foreign_keys = input.list(Input::foreign_key)?;
        table.referenced_by = input.list(|input| input.number().map(TableId))?;
    }
    if version > 2 {
        table.period = input.optional(Input::period)?;
    }
    if version > 3 {
        table.needs = input.list(Input::table_need)?;
    }
    if version > 4 {
        for (id, generated) in input.list(Input::generated)? {
            let position = table.position(id)?;
            table.columns[position].generated = Some(generated);
        }
    }
    if version > 5 {
        index_details::decode(&mut input, &mut table)?;
    }
    let covered = |id: ColumnId| table.place(id).is_some();
    let indexed = table.indexes.iter().flat_map(|index| {
        let columns = index.columns.iter().map(|column| column.column);
        columns.chain(index.include.iter().copied()).chain(index.predicate)
    });
    let referring = table.foreign_keys.iter().flat_map(|key| &key.columns).copied();
    let bounds = table.period.iter().flat_map(|period| [period.start, period.end]);
    let needing = table.needs.iter().filter_map(|need| match need.part {
        TablePart::Column(id) | TablePart::Default(id) => Some(id),
        TablePart::Index(_)
        | TablePart::Trigger
        | TablePart::Materialized
        | TablePart::Unpopulated => None,
    });
    let sound = indexed.chain(referring).chain(bounds).chain(needing).all(covered);
    (sound && input.rest.is_empty()).then_some(table)
}

pub(super) fn number(out: &mut Vec<u8>, number: u32) {
    write_varint(out, u64::from(number));
}

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    write_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(out, value);
    }
}

/// Bytes from the disk: every read may fail.
pub(super) struct Input<'a> {
    rest: &'a [u8],
    types: Types<'a>,
}

/// Finds types by identifier.
pub(crate) type Types<'a> = &'a dyn Fn(u32) -> Option<DataType>;

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8], types: Types<'a>) -> Self {
        Self { rest: bytes, types }
    }

    /// A type, by identifier.
    pub(super) fn data_type(&mut self) -> Option<DataType> {
        (self.types)(self.number()?)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn need(&mut self) -> Option<Need> {
        let id = self.number()?;
        let column = match u16::try_from(self.number()?).ok()? {
            0 => None,
            id => Some(ColumnId(id)),
        };
        Some(Need { id, column, is_part: self.byte()? == 1 })
    }

    fn table_need(&mut self) -> Option<TableNeed> {
        let part = match self.byte()? {
            0 => TablePart::Column(self.column_id()?),
            1 => TablePart::Default(self.column_id()?),
            2 => TablePart::Index(IndexId(self.number()?)),
            code @ 3..=5 => {
                self.number()?;
                match code {
                    3 => TablePart::Trigger,
                    4 => TablePart::Materialized,
                    _ => TablePart::Unpopulated,
                }
            }
            _ => return None,
        };
        Some(TableNeed { part, need: self.need()? })
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        u32::try_from(read_varint(&mut self.rest)?).ok()
    }

    /// Four bytes, the least first.
    pub(super) fn modifier(&mut self) -> Option<i32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(i32::from_le_bytes(*bytes))
    }

    /// Eight bytes, the least first.
    pub(super) fn signed(&mut self) -> Option<i64> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(i64::from_le_bytes(*bytes))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let len = usize::try_from(read_varint(&mut self.rest)?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        String::from_utf8(bytes.to_vec()).ok()
    }

    pub(super) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    pub(super) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = read_varint(&mut self.rest).filter(|count| *count <= MOST)?;
        (0..count).map(|_| read(self)).collect()
    }

    fn column(&mut self) -> Option<Column> {
        let id = self.column_id()?;
        let name = self.text()?;
        let ty = self.data_type()?;
        let (typmod, rest) = self.rest.split_first_chunk::<4>()?;
        let typmod = i32::from_le_bytes(*typmod);
        self.rest = rest;
        let not_null = self.byte()? == 1;
        let default = self.optional(Self::text)?;
        let missing = self.optional(|input| decode_value(ty, &mut input.rest).ok())?;
        let missing = missing.unwrap_or(Value::Null);
        let generated = None;
        Some(Column { id, name, ty, typmod, not_null, default, missing, generated })
    }

    fn index(&mut self) -> Option<Index> {
        let id = IndexId(self.number()?);
        let name = self.text()?;
        let keyspace = self.optional(|input| input.number().map(KeyspaceId))?;
        let flags = self.byte()?;
        let columns = self.list(|input| {
            let column = input.column_id()?;
            Some(IndexColumn::new(column, input.byte()? == 1))
        })?;
        Some(Index {
            unique: flags & 1 != 0,
            primary: flags & 2 != 0,
            constraint: flags & 4 != 0,
            deferral: deferral(flags >> 3)?,
            ..Index::new(id, name, keyspace, columns)
        })
    }

    fn foreign_key(&mut self) -> Option<ForeignKey> {
        let id = ConstraintId(self.number()?);
        let name = self.text()?;
        let columns = self.list(Self::column_id)?;
        let referenced = TableId(self.number()?);
        let referenced_index = IndexId(self.number()?);
        let referenced_columns = self.list(Self::column_id)?;
        let flags = self.byte()?;
        let on_delete = self.action()?;
        let delete_columns = self.list(Self::column_id)?;
        let on_update = self.action()?;
        let sound = !columns.is_empty()
            && columns.len() == referenced_columns.len()
            && delete_columns.iter().all(|id| columns.contains(id));
        sound.then_some(ForeignKey {
            id,
            name,
            columns,
            referenced,
            referenced_index,
            referenced_columns,
            match_full: flags & 1 != 0,
            on_delete,
            delete_columns,
            on_update,
            deferral: deferral(flags >> 2)?,
            validated: flags & 2 != 0,
        })
    }

    fn period(&mut self) -> Option<ApplicationPeriod> {
        Some(ApplicationPeriod {
            name: self.text()?,
            start: self.column_id()?,
            end: self.column_id()?,
            check: self.text()?,
        })
    }

    fn generated(&mut self) -> Option<(ColumnId, Generated)> {
        let id = self.column_id()?;
        let generated = match self.byte()? {
            kind @ (0 | 1) => Generated::Identity { always: kind == 0, sequence: self.number()? },
            2 => Generated::Stored(self.text()?),
            _ => return None,
        };
        Some((id, generated))
    }

    fn action(&mut self) -> Option<ReferentialAction> {
        ACTIONS.get(usize::from(self.byte()?)).copied()
    }

    fn column_id(&mut self) -> Option<ColumnId> {
        u16::try_from(self.number()?).ok().filter(|id| *id > 0).map(ColumnId)
    }
}

#[cfg(test)]
mod tests {
    use driftdb_query::{BoundTerm, FIRST_TERM, Term};

    use super::*;

    fn sample() -> Table {
        Table {
            id: TableId(16384),
            schema: "public".into(),
            name: "t".into(),
            keyspace: KeyspaceId(1024),
            key: RowKey::Primary,
            dropped_columns: 2,
            columns: vec![Column {
                id: ColumnId(3),
                name: "c".into(),
                ty: DataType::Varchar,
                typmod: 14,
                not_null: true,
                default: Some("'x'".into()),
                missing: Value::text("y"),
                generated: Some(Generated::Identity { always: false, sequence: 16400 }),
            }],
            indexes: vec![Index {
                unique: true,
                primary: true,
                constraint: true,
                deferral: Deferral::Deferred,
                ..Index::new(
                    IndexId(16385),
                    "t_pkey",
                    None,
                    vec![IndexColumn::new(ColumnId(3), true)],
                )
            }],
            terms: Vec::new(),
            checks: vec![Check::new("k", "c <> ''")],
            foreign_keys: vec![ForeignKey {
                id: ConstraintId(16390),
                name: "t_c_fkey".into(),
                columns: vec![ColumnId(3)],
                referenced: TableId(16384),
                referenced_index: IndexId(16385),
                referenced_columns: vec![ColumnId(3)],
                match_full: true,
                on_delete: ReferentialAction::SetNull,
                delete_columns: vec![ColumnId(3)],
                on_update: ReferentialAction::Cascade,
                deferral: Deferral::Immediate,
                validated: true,
            }],
            referenced_by: vec![TableId(16384)],
            row_count: Some(5),
            period: Some(ApplicationPeriod {
                name: "valid".into(),
                start: ColumnId(3),
                end: ColumnId(3),
                check: "t_valid_check".into(),
            }),
            needs: vec![
                TableNeed { part: TablePart::Default(ColumnId(3)), need: Need::of(16_400) },
                TableNeed { part: TablePart::Column(ColumnId(3)), need: Need::of(16_401) },
                TableNeed { part: TablePart::Index(IndexId(16_385)), need: Need::of(16_402) },
                TableNeed { part: TablePart::Materialized, need: Need::of(16_403) },
                TableNeed { part: TablePart::Unpopulated, need: Need::of(16_403) },
            ],
        }
    }

    #[test]
    fn tables_round_trip() {
        assert_eq!(decode_table(&encode_table(&sample()), &DataType::from_oid), Some(sample()));
        for named in [Named::Index(TableId(1), IndexId(2)), Named::Object(ObjectId(7))] {
            assert_eq!(decode_named(&encode_named(named)), Some(named));
        }
    }

    #[test]
    fn records_of_version_1_are_read() {
        let mut before = sample();
        before.indexes[0].deferral = Deferral::Never;
        before.foreign_keys.clear();
        before.referenced_by.clear();
        before.period = None;
        before.columns[0].generated = None;
        before.needs.clear();
        let mut bytes = encode_table(&before);
        assert_eq!(bytes[0], 6);
        // What version 2 adds: two empty lists; versions 3: no period; 4: no needs; 5: nothing computed;
        // 6: three empty lists.
        assert_eq!(bytes.split_off(bytes.len() - 8), [0; 8]);
        bytes[0] = 1;
        assert_eq!(decode_table(&bytes, &DataType::from_oid), Some(before));
    }

    #[test]
    fn records_of_versions_2_to_5_are_read() {
        let mut before = sample();
        for (version, added) in [(5, 3), (4, 4), (3, 5), (2, 6)] {
            if version < 5 {
                before.columns[0].generated = None;
            }
            if version < 4 {
                before.needs.clear();
            }
            if version < 3 {
                before.period = None;
            }
            let mut bytes = encode_table(&before);
            assert_eq!(bytes.split_off(bytes.len() - added), vec![0; added]);
            bytes[0] = version;
            assert_eq!(decode_table(&bytes, &DataType::from_oid).as_ref(), Some(&before));
        }
    }

    fn sample_of_indexes() -> Table {
        let mut table = sample();
        let term = |id: u16, ty| Term {
            id: ColumnId(FIRST_TERM + id),
            name: "lower".into(),
            sql: "lower(c)".into(),
            shown: "lower((c)::text)".into(),
            ty,
            columns: vec![ColumnId(3)],
            bound: BoundTerm::default(),
        };
        table.terms = vec![term(0, DataType::Text), term(4, DataType::Bool)];
        let column = IndexColumn::new(ColumnId(FIRST_TERM), false);
        let columns = vec![IndexColumn { nulls_first: true, ..column }];
        table.indexes.push(Index {
            predicate: Some(ColumnId(FIRST_TERM + 4)),
            include: vec![ColumnId(3)],
            nulls_equal: true,
            is_clustered: true,
            options: vec![("fillfactor".into(), "70".into())],
            ..Index::new(IndexId(16386), "i", Some(KeyspaceId(1025)), columns)
        });
        table.checks.push(Check { validated: false, ..Check::new("j", "true") });
        table
    }

    #[test]
    fn indexes_of_every_kind_come_back() {
        let table = sample_of_indexes();
        let bytes = encode_table(&table);
        assert_eq!(decode_table(&bytes, &DataType::from_oid), Some(table));
        for at in 0..bytes.len() {
            assert_eq!(decode_table(&bytes[..at], &DataType::from_oid), None);
            for flip in [1u8, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                decode_table(&damaged, &DataType::from_oid);
            }
        }
    }

    #[test]
    fn an_index_on_a_term_that_is_not_there_is_refused() {
        let mut table = sample_of_indexes();
        table.terms.remove(0);
        assert_eq!(decode_table(&encode_table(&table), &DataType::from_oid), None);
    }

    #[test]
    fn computed_columns_come_back() {
        let mut table = sample();
        table.columns[0].generated = Some(Generated::Stored("lower(d)".into()));
        assert_eq!(decode_table(&encode_table(&table), &DataType::from_oid), Some(table));
    }

    #[test]
    fn damaged_records_are_refused_or_read_but_never_panic() {
        let bytes = encode_table(&sample());
        for at in 0..bytes.len() {
            assert_eq!(decode_table(&bytes[..at], &DataType::from_oid), None);
            for flip in [1u8, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                decode_table(&damaged, &DataType::from_oid);
            }
        }
    }
}
