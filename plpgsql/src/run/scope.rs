//! Names and what they stand for.

use driftdb_query::{Precedence, Result, SqlError, Variable, Variables};
use driftdb_types::{DataType, SqlState, Value};

use super::{Interpreter, Record};
use crate::ast::{Conflict, Sql};
use crate::host::{Column, Host};

/// A variable.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    Scalar {
        column: Column,
        value: Value,
        constant: bool,
        not_null: bool,
    },
    Record(Record),
    /// A cursor variable: its value is the cursor's name.
    Cursor {
        value: Value,
        query: Option<(Vec<Column>, Sql)>,
    },
}

impl Slot {
    pub(super) fn scalar(column: Column, value: Value) -> Self {
        Self::Scalar { column, value, constant: false, not_null: false }
    }

    /// Sets a plain variable.
    pub(super) fn set(&mut self, new: Value) {
        if let Self::Scalar { value, .. } | Self::Cursor { value, .. } = self {
            *value = new;
        }
    }
}

/// The names of a block or loop.
#[derive(Debug, Clone, Default)]
pub(super) struct Frame {
    pub(super) label: Option<String>,
    pub(super) names: Vec<(String, usize)>,
}

/// Where a value is: a slot, or a field of the record in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) field: Option<usize>,
}

/// What names stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Value(Place),
    /// A record as a whole.
    Record(usize),
}

/// A variable of this name, innermost first.
fn slot_named(frames: &[Frame], name: &str) -> Option<usize> {
    frames.iter().rev().find_map(|frame| slot_in(frame, name))
}

fn slot_in(frame: &Frame, name: &str) -> Option<usize> {
    frame.names.iter().rev().find(|known| known.0 == name).map(|known| known.1)
}

/// What names stand for, if for a variable.
pub(super) fn meaning(
    slots: &[Slot],
    frames: &[Frame],
    names: &[String],
) -> Result<Option<Meaning>> {
    let whole = |slot: usize| match &slots[slot] {
        Slot::Record(_) => Meaning::Record(slot),
        _ => Meaning::Value(Place { slot, field: None }),
    };
    match names {
        [name] => Ok(slot_named(frames, name).map(whole)),
        [first, second] => {
            for frame in frames.iter().rev() {
                if let Some(slot) = slot_in(frame, first) {
                    return field(slots, slot, first, second);
                }
                if frame.label.as_ref() == Some(first)
                    && let Some(slot) = slot_in(frame, second)
                {
                    return Ok(Some(whole(slot)));
                }
            }
            Ok(None)
        }
        [label, record, name] => {
            let frame = frames.iter().rev().find(|frame| frame.label.as_ref() == Some(label));
            match frame.and_then(|frame| slot_in(frame, record)) {
                Some(slot) => field(slots, slot, record, name),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

fn field(slots: &[Slot], slot: usize, record: &str, name: &str) -> Result<Option<Meaning>> {
    let Slot::Record(found) = &slots[slot] else { return Ok(None) };
    let Some(columns) = &found.columns else { return Err(not_assigned(record)) };
    match columns.iter().position(|column| column.name == name) {
        Some(at) => Ok(Some(Meaning::Value(Place { slot, field: Some(at) }))),
        None => {
            let message = format!("record \"{record}\" has no field \"{name}\"");
            Err(SqlError::new(SqlState::UndefinedColumn, message))
        }
    }
}

/// The error for a record that has no fields yet.
pub(super) fn not_assigned(name: &str) -> SqlError {
    let message = format!("record \"{name}\" is not assigned yet");
    SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
        .with_detail("The tuple structure of a not-yet-assigned record is indeterminate.")
}

/// Gathers the variables that a piece of SQL names.
pub(super) struct Collector<'s> {
    pub(super) slots: &'s [Slot],
    pub(super) frames: &'s [Frame],
    pub(super) conflict: Conflict,
    pub(super) params: Vec<(Place, DataType)>,
}

impl Collector<'_> {
    fn param(&mut self, place: Place) -> Variable {
        let ty = type_of(self.slots, place).unwrap_or(DataType::Text);
        let known = self.params.iter().position(|(known, _)| *known == place);
        let index = known.unwrap_or_else(|| {
            self.params.push((place, ty));
            self.params.len() - 1
        });
        (index, ty)
    }
}

impl Variables for Collector<'_> {
    fn find(&mut self, names: &[String]) -> Result<Option<Variable>> {
        Ok(match meaning(self.slots, self.frames, names)? {
            Some(Meaning::Value(place)) => Some(self.param(place)),
            Some(Meaning::Record(_)) | None => None,
        })
    }

    fn fields(&mut self, name: &str) -> Result<Option<Vec<(String, Variable)>>> {
        let Some(slot) = slot_named(self.frames, name) else { return Ok(None) };
        let Slot::Record(record) = &self.slots[slot] else { return Ok(None) };
        let Some(columns) = record.columns.clone() else { return Err(not_assigned(name)) };
        let fields = columns
            .iter()
            .enumerate()
            .map(|(at, column)| (column.name.clone(), self.param(Place { slot, field: Some(at) })));
        Ok(Some(fields.collect()))
    }

    fn precedence(&self) -> Precedence {
        match self.conflict {
            Conflict::Error => Precedence::Neither,
            Conflict::Variable => Precedence::Variable,
            Conflict::Column => Precedence::Column,
        }
    }
}

fn type_of(slots: &[Slot], place: Place) -> Option<DataType> {
    match (slots.get(place.slot)?, place.field) {
        (Slot::Scalar { column, .. }, None) => Some(column.ty),
        (Slot::Cursor { .. }, None) => Some(DataType::Text),
        (Slot::Record(record), Some(at)) => {
            record.columns.as_ref()?.get(at).map(|column| column.ty)
        }
        _ => None,
    }
}

impl<H: Host> Interpreter<'_, H> {
    pub(super) fn type_at(&self, place: Place) -> Option<DataType> {
        type_of(&self.slots, place)
    }

    pub(super) fn value_at(&self, place: Place) -> Value {
        match (&self.slots[place.slot], place.field) {
            (Slot::Scalar { value, .. } | Slot::Cursor { value, .. }, _) => value.clone(),
            (Slot::Record(record), Some(at)) => record.value(at),
            (Slot::Record(_), None) => Value::Null,
        }
    }

    pub(super) fn meaning(&self, names: &[String]) -> Result<Option<Meaning>> {
        meaning(&self.slots, &self.frames, names)
    }

    /// A new variable in the innermost frame.
    pub(super) fn declare(&mut self, name: &str, slot: Slot) -> usize {
        self.slots.push(slot);
        let at = self.slots.len() - 1;
        self.name(name, at);
        at
    }

    /// Another name in the innermost frame.
    pub(super) fn name(&mut self, name: &str, slot: usize) {
        if let Some(frame) = self.frames.last_mut() {
            frame.names.push((name.to_owned(), slot));
        }
    }

    /// Runs `work` in a frame of its own.
    pub(super) fn in_frame<T>(
        &mut self,
        label: Option<&str>,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let (slots, frames) = (self.slots.len(), self.frames.len());
        self.frames.push(Frame { label: label.map(str::to_owned), names: Vec::new() });
        let result = work(self);
        self.frames.truncate(frames);
        self.slots.truncate(slots);
        result
    }

    /// The arguments and what else every function knows.
    pub(super) fn declare_arguments(
        &mut self,
        name: &str,
        args: Vec<(Option<String>, Column, Value)>,
        out: &[usize],
        records: Vec<(String, Record)>,
        others: Vec<(Column, Value)>,
    ) -> Result<()> {
        self.frames.push(Frame { label: Some(name.to_owned()), names: Vec::new() });
        for (at, (name, column, value)) in args.into_iter().enumerate() {
            let slot = match (column.ty.fields(), out.contains(&at)) {
                (Some(fields), false) => {
                    let columns = fields.iter().map(|field| Column {
                        name: field.name.to_string(),
                        ty: field.ty,
                        typmod: field.typmod,
                    });
                    let values = match value {
                        Value::Record(record) => Some(record.values().to_vec()),
                        _ => None,
                    };
                    Slot::Record(Record::of(columns.collect(), values, true))
                }
                _ => Slot::scalar(column, value),
            };
            let slot = self.declare(&format!("${}", at + 1), slot);
            if let Some(name) = name {
                self.name(&name, slot);
            }
            if out.contains(&at) {
                self.out.push(slot);
            }
        }
        for (column, value) in others {
            let name = column.name.clone();
            self.declare(&name, Slot::scalar(column, value));
        }
        for (name, record) in records {
            self.declare(&name, Slot::Record(record));
        }
        let found = Column { name: "found".to_owned(), ty: DataType::Bool, typmod: -1 };
        self.found = self.declare("found", Slot::scalar(found, Value::Bool(false)));
        Ok(())
    }
}
