//! The last part of a table's record: the expressions that indexes are about, and what is said of indexes and
//! CHECKs beyond the usual. Where nothing is, three empty lists.

use driftdb_query::{BoundTerm, ColumnId, FIRST_TERM, Index, IndexColumn, IndexId, Table, Term};
use driftdb_types::DataType;

use super::{Input, columns, number, optional, text};

const NULLS_EQUAL: u8 = 1;
const HASH: u8 = 2;
const CLUSTERED: u8 = 4;

const NOT_VALID: u8 = 1;
const NO_INHERIT: u8 = 2;

pub(super) fn encode(out: &mut Vec<u8>, table: &Table) {
    number(out, table.terms.len() as u32);
    for term in &table.terms {
        number(out, u32::from(term.id.0));
        text(out, &term.name);
        text(out, &term.sql);
        text(out, &term.shown);
        number(out, term.ty.oid());
        columns(out, &term.columns);
    }
    let unusual = |index: &&Index| {
        let plain = Index::new(index.id, "", None, Vec::new());
        index.predicate.is_some()
            || !index.include.is_empty()
            || flags(index) != flags(&plain)
            || !index.options.is_empty()
            || index
                .columns
                .iter()
                .any(|column| *column != IndexColumn::new(column.column, column.descending))
    };
    let indexes: Vec<&Index> = table.indexes.iter().filter(unusual).collect();
    number(out, indexes.len() as u32);
    for index in indexes {
        number(out, index.id.0);
        out.push(flags(index));
        optional(out, index.predicate, |out, id| number(out, u32::from(id.0)));
        columns(out, &index.include);
        number(out, index.columns.len() as u32);
        out.extend(
            index
                .columns
                .iter()
                .map(|column| u8::from(column.nulls_first) | u8::from(column.by_pattern) << 1),
        );
        number(out, index.options.len() as u32);
        for (name, value) in &index.options {
            text(out, name);
            text(out, value);
        }
    }
    let checks = table.checks.iter().enumerate();
    let checks = checks.filter(|(_, check)| !check.validated || check.no_inherit);
    number(out, checks.clone().count() as u32);
    for (place, check) in checks {
        number(out, place as u32);
        let not_valid = if check.validated { 0 } else { NOT_VALID };
        out.push(not_valid | if check.no_inherit { NO_INHERIT } else { 0 });
    }
}

fn flags(index: &Index) -> u8 {
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    flag(index.nulls_equal, NULLS_EQUAL)
        | flag(index.is_hash, HASH)
        | flag(index.is_clustered, CLUSTERED)
}

pub(super) fn decode(input: &mut Input<'_>, table: &mut Table) -> Option<()> {
    table.terms = input.list(term)?;
    let terms = &table.terms;
    let is_column = |id: &ColumnId| table.columns.iter().any(|column| column.id == *id);
    let sound = terms.iter().all(|term| term.columns.iter().all(is_column));
    sound.then_some(())?;
    let details = input.list(|input| {
        let id = IndexId(input.number()?);
        let flags = input.byte()?;
        let predicate = input.optional(Input::column_id)?;
        let include = input.list(Input::column_id)?;
        let columns = input.list(Input::byte)?;
        let options = input.list(|input| Some((input.text()?, input.text()?)))?;
        Some((id, flags, predicate, include, columns, options))
    })?;
    for (id, flags, predicate, include, columns, options) in details {
        // A predicate is a truth value.
        let holds = |id| terms.iter().any(|term| term.id == id && term.ty == DataType::Bool);
        predicate.is_none_or(holds).then_some(())?;
        let index = table.indexes.iter_mut().find(|index| index.id == id)?;
        (index.columns.len() == columns.len()).then_some(())?;
        for (column, flags) in index.columns.iter_mut().zip(columns) {
            column.nulls_first = flags & 1 != 0;
            column.by_pattern = flags & 2 != 0;
        }
        index.nulls_equal = flags & NULLS_EQUAL != 0;
        index.is_hash = flags & HASH != 0;
        index.is_clustered = flags & CLUSTERED != 0;
        (index.predicate, index.include, index.options) = (predicate, include, options);
    }
    let checks = input.list(|input| Some((input.number()?, input.byte()?)))?;
    for (place, flags) in checks {
        let check = table.checks.get_mut(usize::try_from(place).ok()?)?;
        check.validated = flags & NOT_VALID == 0;
        check.no_inherit = flags & NO_INHERIT != 0;
    }
    Some(())
}

fn term(input: &mut Input<'_>) -> Option<Term> {
    let id = input.column_id().filter(|id| id.0 >= FIRST_TERM)?;
    Some(Term {
        id,
        name: input.text()?,
        sql: input.text()?,
        shown: input.text()?,
        ty: input.data_type()?,
        columns: input.list(Input::column_id)?,
        bound: BoundTerm::default(),
    })
}
