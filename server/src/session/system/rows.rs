//! Rows of a system relation, of which each source says what it knows.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, EvalContext, Value, parse_text};

use super::declared::Declared;

/// Where the rows of a relation are gathered.
pub(super) struct Rows<'a> {
    relation: &'static Declared,
    out: &'a mut Vec<Vec<Value>>,
}

/// The columns that a source fills in; the others keep what they are declared with.
pub(super) struct Columns<'r, 'a, const N: usize> {
    rows: &'r mut Rows<'a>,
    positions: [usize; N],
}

impl<'a> Rows<'a> {
    pub(super) fn new(relation: &'static Declared, out: &'a mut Vec<Vec<Value>>) -> Self {
        Self { relation, out }
    }

    fn position(&self, name: &str) -> Result<usize> {
        let columns = &self.relation.definition.columns;
        columns.iter().position(|column| column.0 == name).ok_or_else(|| {
            SqlError::internal(format!("{} has no column {name}", self.relation.definition.name))
        })
    }

    /// Names the columns of the rows to come.
    ///
    /// # Errors
    /// XX000 for a column that is not declared.
    pub(super) fn columns<const N: usize>(
        &mut self,
        names: [&str; N],
    ) -> Result<Columns<'_, 'a, N>> {
        let mut positions = [0; N];
        for (position, name) in positions.iter_mut().zip(names) {
            *position = self.position(name)?;
        }
        Ok(Columns { rows: self, positions })
    }

    /// As [`Rows::columns`] and [`Columns::add`], of one row of texts.
    pub(super) fn add_texts(&mut self, names: &[&str], texts: &[&str]) -> Result<()> {
        let mut row = self.relation.blank.clone();
        for (name, text) in names.iter().zip(texts) {
            let position = self.position(name)?;
            row[position] = fit(self.relation.definition.columns[position].1, Value::text(*text))?;
        }
        self.out.push(row);
        Ok(())
    }
}

impl<const N: usize> Columns<'_, '_, N> {
    /// Adds a row. A text in a column of another type is read as that.
    ///
    /// # Errors
    /// A text that is no value of its column.
    pub(super) fn add(&mut self, values: [Value; N]) -> Result<()> {
        let relation = self.rows.relation;
        let mut row = relation.blank.clone();
        for (position, value) in self.positions.into_iter().zip(values) {
            row[position] = fit(relation.definition.columns[position].1, value)?;
        }
        self.rows.out.push(row);
        Ok(())
    }
}

fn fit(ty: DataType, value: Value) -> Result<Value> {
    match value {
        Value::Text(text) if !ty.is_string() => {
            Ok(parse_text(ty, -1, &text, &EvalContext::default())?)
        }
        value => Ok(value),
    }
}

/// `{a,b}` of numbers, as an array's text.
pub(super) fn braced(numbers: impl IntoIterator<Item = impl ToString>) -> Value {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    Value::text(format!("{{{}}}", numbers.join(",")))
}

/// `a b` of numbers, as the text of one of the catalog's vectors.
pub(super) fn vector(numbers: impl IntoIterator<Item = impl ToString>) -> Value {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    Value::text(numbers.join(" "))
}
