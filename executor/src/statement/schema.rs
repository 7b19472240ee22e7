//! CREATE, DROP and ALTER SCHEMA; ALTER TABLE … SET SCHEMA.

use driftdb_query::{ObjectKind, Result, SchemaStatement};
use driftdb_tables::create_object;
use driftdb_types::SqlState;

use super::ddl::{context, notice, tell_cascade};
use super::{CommandTag, Outcome};
use crate::context::Run;
use crate::integrity::refuse_pending;

pub(crate) fn run(statement: &SchemaStatement, run: &mut Run<'_, '_>) -> Result<Outcome> {
    match statement {
        SchemaStatement::Create { name, if_not_exists } => {
            let (kind, needs) = (ObjectKind::Schema, Vec::new());
            let made = create_object(&mut context(run), ("", name), kind, needs, *if_not_exists)?;
            if made.is_none() {
                let message = format!("schema \"{name}\" already exists, skipping");
                notice(message, SqlState::DuplicateSchema, run);
            }
        }
        SchemaStatement::Drop { schemas, cascade, notices } => {
            for message in notices {
                notice(message.clone(), SqlState::SuccessfulCompletion, run);
            }
            if !run.cx.pending.is_empty() {
                for schema in schemas {
                    let tables = driftdb_tables::tables_in(&mut context(run), &schema.name)?;
                    for table in tables {
                        refuse_pending(&table, "DROP TABLE", run)?;
                    }
                }
            }
            let dropped = driftdb_tables::drop_schemas(&mut context(run), schemas, *cascade)?;
            tell_cascade(&dropped, run);
        }
        SchemaStatement::Rename { schema, to } => {
            driftdb_tables::rename_schema(&mut context(run), schema, to)?;
        }
        // It is the owner already.
        SchemaStatement::SetOwner { .. } => {}
        SchemaStatement::DropTemporary { schema } => {
            let schemas = schema.as_slice();
            driftdb_tables::drop_schemas(&mut context(run), schemas, true)?;
        }
        SchemaStatement::MoveTable { table, to } => {
            refuse_pending(table, "ALTER TABLE", run)?;
            driftdb_tables::move_table(&mut context(run), table, to)?;
        }
    }
    Ok(Outcome::tag(CommandTag::plain(statement.tag())))
}
