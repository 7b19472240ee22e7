//! What a session tells its client besides answers: warnings, notices, errors.

use driftdb_query::SqlError;
use driftdb_types::SqlState;

use super::{ResponseSink, Session, Severity, TransactionStatus};

impl Session {
    /// Sends a warning, if the client wants to see warnings.
    pub(super) fn warn(&self, warning: &SqlError, sink: &mut dyn ResponseSink) {
        self.notify(Severity::Warning, warning, sink);
    }

    fn notify(&self, severity: Severity, notice: &SqlError, sink: &mut dyn ResponseSink) {
        let least = self.settings.show("client_min_messages").unwrap_or_default();
        let is_wanted = match least.as_str() {
            "error" => false,
            "warning" => severity == Severity::Warning,
            _ => true,
        };
        if is_wanted {
            sink.notice(severity, notice);
        }
    }

    /// Sends the notices that statements left.
    pub(super) fn send_notices(&mut self, sink: &mut dyn ResponseSink) {
        self.collect_warnings();
        for notice in std::mem::take(&mut self.notices) {
            let severity = match notice.state {
                // What IF EXISTS and IF NOT EXISTS pass over is no cause for worry.
                SqlState::SuccessfulCompletion
                | SqlState::DuplicateTable
                | SqlState::DuplicateColumn
                | SqlState::DuplicateObject => Severity::Notice,
                _ => Severity::Warning,
            };
            self.notify(severity, &notice, sink);
        }
    }

    /// Fails if the transaction is failed and a statement is not one that ends it.
    pub(super) fn check_not_failed(&self, may_run_in_failed: bool) -> Result<(), SqlError> {
        if self.transaction_status() == TransactionStatus::Failed && !may_run_in_failed {
            let message =
                "current transaction is aborted, commands ignored until end of transaction block";
            return Err(SqlError::new(SqlState::InFailedSqlTransaction, message));
        }
        Ok(())
    }
}
