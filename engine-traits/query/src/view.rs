//! Views: queries with a name.
//!
//! A view's query is kept as a template: SQL in which tables, other relations and their columns stand by
//! identity, so that it means the same through renames ([`expand`]). Three templates say the same: one that
//! is bound, and two as PostgreSQL shows it, with and without all brackets.

use driftdb_types::DataType;

use crate::{ColumnId, Need, ObjectId};

/// A view's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its columns.
    pub columns: Vec<ViewColumn>,
    /// Its query, as a template: what is bound.
    pub query: String,
    /// The same as it is shown, under the view's names of columns.
    pub shown: String,
    /// The same with fewer brackets.
    pub pretty: String,
    /// WITH CHECK OPTION.
    pub check: Option<CheckOption>,
}

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
    /// Its type's modifier, or -1.
    pub typmod: i32,
    /// DEFAULT, as SQL text, for what INSERT leaves out.
    pub default: Option<String>,
}

/// What rows that are written through a view must meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOption {
    /// The view's own condition, and those of views below that ask for it.
    Local,
    /// Also the conditions of all views below.
    Cascaded,
}

/// What a template names by identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker<'a> {
    /// A relation, with its schema if that is needed.
    Relation(u32),
    /// A relation's name alone.
    Name(u32),
    /// A column of a table.
    Column(u32, ColumnId),
    /// ` AS name`, if a column of a table is called something else.
    Alias(u32, ColumnId, &'a str),
}

/// The name of a view's condition among the CHECKs that a row must meet.
pub fn view_check(view: &str) -> String {
    format!("{BEGIN}{view}")
}

/// The view whose condition it is, if a check has such a name.
pub fn checked_view(name: &str) -> Option<&str> {
    name.strip_prefix(BEGIN)
}

const BEGIN: char = '\u{1}';
const END: char = '\u{2}';

impl<'a> Marker<'a> {
    /// As it stands in a template.
    pub fn write(self) -> String {
        match self {
            Self::Relation(id) => format!("{BEGIN}r{id}{END}"),
            Self::Name(id) => format!("{BEGIN}n{id}{END}"),
            Self::Column(id, column) => format!("{BEGIN}c{id}.{}{END}", column.0),
            // A name with such a character is told in any case.
            Self::Alias(_, _, name) if name.contains([BEGIN, END]) => {
                plain(&format!(" AS \"{}\"", name.replace('"', "\"\"")))
            }
            Self::Alias(id, column, name) => format!("{BEGIN}a{id}.{}.{name}{END}", column.0),
        }
    }

    fn read(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        match kind {
            "r" => Some(Self::Relation(rest.parse().ok()?)),
            "n" => Some(Self::Name(rest.parse().ok()?)),
            "c" => {
                let (id, column) = rest.split_once('.')?;
                Some(Self::Column(id.parse().ok()?, ColumnId(column.parse().ok()?)))
            }
            "a" => {
                let (id, rest) = rest.split_once('.')?;
                let (column, name) = rest.split_once('.')?;
                Some(Self::Alias(id.parse().ok()?, ColumnId(column.parse().ok()?), name))
            }
            _ => None,
        }
    }
}

/// Text that shall stand in a template as it is.
pub fn plain(text: &str) -> String {
    text.replace(BEGIN, "\u{1}\u{2}")
}

/// A template's text, each marker replaced; `None` if it is none, or a marker means nothing.
pub fn expand(
    template: &str,
    name: &mut dyn FnMut(Marker<'_>) -> Option<String>,
) -> Option<String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        out.push_str(before);
        let (marker, after) = after.split_once(END)?;
        if marker.is_empty() {
            out.push(BEGIN);
        } else {
            out.push_str(&name(Marker::read(marker)?)?);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// CREATE VIEW, DROP VIEW, ALTER VIEW.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewStatement {
    /// CREATE VIEW
    Create {
        /// In which schema.
        schema: String,
        /// Under which name.
        name: String,
        /// OR REPLACE: the view that is there.
        replaced: Option<ObjectId>,
        /// What.
        view: View,
        /// What its query needs.
        needs: Vec<Need>,
    },
    /// DROP VIEW
    Drop {
        /// Which.
        views: Vec<ObjectId>,
        /// What IF EXISTS did not find: texts of notices.
        notices: Vec<String>,
        /// CASCADE
        cascade: bool,
    },
    /// ALTER VIEW … RENAME TO, SET SCHEMA
    Rename {
        /// Which.
        view: ObjectId,
        /// Its new schema.
        schema: String,
        /// Its new name.
        name: String,
        /// The command.
        command: &'static str,
    },
    /// ALTER VIEW … ALTER COLUMN, RENAME COLUMN
    Change {
        /// Which.
        id: ObjectId,
        /// What it is from now on.
        view: View,
        /// The command.
        command: &'static str,
    },
    /// ALTER VIEW of what is not there, with IF EXISTS, or of something that does not change.
    Nothing {
        /// The texts of notices.
        notices: Vec<String>,
        /// The command.
        command: &'static str,
    },
}

impl ViewStatement {
    /// The command that it reports.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE VIEW",
            Self::Drop { .. } => "DROP VIEW",
            Self::Rename { command, .. }
            | Self::Change { command, .. }
            | Self::Nothing { command, .. } => command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_expand_and_other_texts_do_not() {
        let template = format!(
            "SELECT {} FROM {} WHERE x = '{}'",
            Marker::Column(7, ColumnId(2)).write(),
            Marker::Relation(7).write(),
            plain("\u{1}n7")
        );
        let text = expand(&template, &mut |marker| {
            Some(match marker {
                Marker::Relation(7) => "public.t".into(),
                Marker::Column(7, ColumnId(2)) => "b".into(),
                other => format!("{other:?}"),
            })
        });
        assert_eq!(text.as_deref(), Some("SELECT b FROM public.t WHERE x = '\u{1}n7'"));
        for damaged in ["\u{1}", "\u{1}r7", "\u{1}rx\u{2}", "\u{1}c7\u{2}", "\u{1}é\u{2}"] {
            assert_eq!(expand(damaged, &mut |_| Some(String::new())), None, "{damaged:?}");
        }
        assert_eq!(expand(&template, &mut |_| None), None);
    }
}
