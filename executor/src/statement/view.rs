//! CREATE VIEW, DROP VIEW, ALTER VIEW.

use driftdb_query::{ObjectKind, Result, SqlError, View, ViewStatement};
use driftdb_tables::{Thing, create_object, drop_all, rename_object, replace_object};
use driftdb_types::SqlState;

use super::ddl::{context, notice, tell_cascade};
use super::{CommandTag, Outcome};
use crate::context::Run;

pub(crate) fn run(statement: &ViewStatement, run: &mut Run<'_, '_>) -> Result<Outcome> {
    match statement {
        ViewStatement::Create { schema, name, replaced: None, view, needs } => {
            let kind = ObjectKind::View(view.clone());
            create_object(&mut context(run), (schema, name), kind, needs.clone(), false)?;
        }
        ViewStatement::Create { replaced: Some(id), view, needs, .. } => {
            replace_object(&mut context(run), *id, |object| {
                let kept = view_of(&object.kind)?;
                // Columns that were there keep their defaults.
                let mut view = view.clone();
                for (column, old) in view.columns.iter_mut().zip(&kept.columns) {
                    column.default.clone_from(&old.default);
                }
                object.kind = ObjectKind::View(view);
                object.needs.clone_from(needs);
                Ok(())
            })?;
        }
        ViewStatement::Drop { views, notices, cascade } => {
            tell(notices, run);
            if !views.is_empty() {
                let things: Vec<Thing> = views.iter().map(|id| Thing::Object(*id)).collect();
                let dropped = drop_all(&mut context(run), &things, *cascade)?;
                tell_cascade(&dropped, run);
            }
        }
        ViewStatement::Rename { view, schema, name, .. } => {
            rename_object(&mut context(run), *view, (schema, name))?;
        }
        ViewStatement::Change { id, view, .. } => {
            replace_object(&mut context(run), *id, |object| {
                view_of(&object.kind)?;
                object.kind = ObjectKind::View(view.clone());
                Ok(())
            })?;
        }
        ViewStatement::Nothing { notices, .. } => tell(notices, run),
    }
    Ok(Outcome::tag(CommandTag::plain(statement.command())))
}

fn tell(notices: &[String], run: &mut Run<'_, '_>) {
    for text in notices {
        notice(text.clone(), SqlState::SuccessfulCompletion, run);
    }
}

fn view_of(kind: &ObjectKind) -> Result<&View> {
    let ObjectKind::View(view) = kind else {
        return Err(SqlError::internal("an object that is no view"));
    };
    Ok(view)
}
