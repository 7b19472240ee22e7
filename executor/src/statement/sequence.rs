//! CREATE, ALTER and DROP SEQUENCE.

use driftdb_query::{Result, SequenceStatement, SqlError};
use driftdb_types::SqlState;

use super::ddl::{context, drop_objects_of, notice};
use super::{CommandTag, Outcome};
use crate::context::Run;

pub(crate) fn run(statement: &SequenceStatement, run: &mut Run<'_, '_>) -> Result<Outcome> {
    match statement {
        SequenceStatement::Create { schema, name, if_not_exists, options, owner } => {
            let (name, owner) = ((schema.as_str(), name.as_str()), *owner);
            let made = driftdb_tables::create_sequence(
                &mut context(run),
                name,
                options,
                owner,
                false,
                *if_not_exists,
            )?;
            if made.is_none() {
                let message = format!("relation \"{}\" already exists, skipping", name.1);
                notice(message, SqlState::DuplicateTable, run);
            }
        }
        SequenceStatement::Alter { id, options, owner } => {
            let at = run.cx.eval.actions.sequence_state(id.0)?;
            let gone = || SqlError::internal(format!("sequence {} is gone", id.0));
            let at = at.ok_or_else(gone)?;
            driftdb_tables::alter_sequence(&mut context(run), *id, options, *owner, at)?;
        }
        SequenceStatement::Rename { id, schema, name, .. } => {
            driftdb_tables::rename_object(&mut context(run), *id, (schema, name))?;
        }
        SequenceStatement::Skipped { notice: message } => {
            notice(message.clone(), SqlState::SuccessfulCompletion, run);
        }
        SequenceStatement::Drop { ids, cascade, notices } => {
            drop_objects_of(ids, *cascade, notices, run)?;
        }
    }
    Ok(Outcome::tag(CommandTag::plain(statement.command())))
}
