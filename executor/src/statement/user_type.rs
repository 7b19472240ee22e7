//! CREATE, ALTER and DROP of TYPE and DOMAIN.

use driftdb_query::{ObjectKind, Result, TypeStatement};
use driftdb_tables::{change_type, create_object, rename_object, replace_object};

use super::ddl::{context, drop_objects_of, notice};
use super::{CommandTag, Outcome};
use crate::context::Run;

pub(crate) fn run(statement: &TypeStatement, run: &mut Run<'_, '_>) -> Result<Outcome> {
    match statement {
        TypeStatement::Create { schema, name, definition, needs, shell } => {
            let (kind, needs) = (ObjectKind::Type(Box::new(definition.clone())), needs.clone());
            let cx = &mut context(run);
            if let Some(shell) = shell {
                replace_object(cx, *shell, |object| {
                    (object.kind, object.needs) = (kind, needs);
                    Ok(())
                })?;
            } else {
                create_object(cx, (schema, name), kind, needs, false)?;
            }
        }
        TypeStatement::Change { id, changes, needs, .. } => {
            let told = change_type(&mut context(run), *id, changes, needs)?;
            for (message, state) in told {
                notice(message, state, run);
            }
        }
        TypeStatement::Rename { id, schema, name, .. } => {
            rename_object(&mut context(run), *id, (schema, name))?;
        }
        // It is the owner already.
        TypeStatement::SetOwner { .. } => {}
        TypeStatement::Drop { ids, cascade, notices, .. } => {
            drop_objects_of(ids, *cascade, notices, run)?;
        }
    }
    Ok(Outcome::tag(CommandTag::plain(statement.command())))
}
