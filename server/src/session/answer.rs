//! Answers as values: for embedded use, the simulator and tests.

use driftdb_executor::{Batch, CommandTag};
use driftdb_query::{Field, Result, SqlError};
use driftdb_types::{EvalContext, Value};

use super::{CopyResponse, Formats, ResponseSink, Session, Severity};

/// What one statement answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The columns of its rows.
    pub fields: Vec<Field>,
    /// Its rows.
    pub rows: Vec<Vec<Value>>,
    /// What it reports; `None` for an empty statement.
    pub tag: Option<CommandTag>,
}

/// Gathers what a string of statements answers.
#[derive(Debug, Default)]
pub struct Answers {
    /// One for each finished statement.
    pub finished: Vec<Answer>,
    /// Notices and warnings.
    pub notices: Vec<SqlError>,
    /// What ended the string early.
    pub error: Option<SqlError>,
    /// What COPY … TO STDOUT wrote.
    pub copied: Vec<u8>,
    fields: Vec<Field>,
    rows: Vec<Vec<Value>>,
}

impl Answers {
    fn finish(&mut self, tag: Option<CommandTag>) {
        let (fields, rows) = (std::mem::take(&mut self.fields), std::mem::take(&mut self.rows));
        self.finished.push(Answer { fields, rows, tag });
    }
}

impl ResponseSink for Answers {
    fn row_description(&mut self, fields: &[Field], _formats: &Formats) {
        self.fields = fields.to_vec();
    }

    fn rows(&mut self, batch: &Batch, _formats: &Formats, _eval: &EvalContext) -> Result<()> {
        self.rows.extend((0..batch.len()).map(|row| batch.row(row)));
        Ok(())
    }

    fn row(
        &mut self,
        row: &[Value],
        _fields: &[Field],
        _formats: &Formats,
        _eval: &EvalContext,
    ) -> Result<()> {
        self.rows.push(row.to_vec());
        Ok(())
    }

    fn command_complete(&mut self, tag: CommandTag) {
        self.finish(Some(tag));
    }

    fn empty_query(&mut self) {
        self.finish(None);
    }

    fn portal_suspended(&mut self) {
        self.finish(None);
    }

    fn notice(&mut self, _severity: Severity, notice: &SqlError) {
        self.notices.push(notice.clone());
    }

    fn error(&mut self, error: &SqlError) {
        self.error = Some(error.clone());
    }

    fn copy_in(&mut self, _response: CopyResponse) {}

    fn copy_out(&mut self, _response: CopyResponse) {}

    fn copy_data(&mut self, bytes: &[u8]) -> Result<()> {
        self.copied.extend_from_slice(bytes);
        Ok(())
    }

    fn copy_done(&mut self) {}
}

impl Session {
    /// Runs a string of statements as the simple protocol does, and gathers the answers.
    ///
    /// # Errors
    /// The error that ended the string. What was answered before it is lost; a caller that wants it
    /// passes [`Answers`] to [`Session::simple_query`].
    pub fn query(&mut self, text: &str) -> Result<Vec<Answer>> {
        let mut answers = Answers::default();
        if self.simple_query(text, &mut answers).is_copy_in() {
            let nobody = "COPY from stdin failed: nobody sends its bytes";
            self.copy_fail(nobody, &mut answers);
        }
        match answers.error {
            Some(error) => Err(error),
            None => Ok(answers.finished),
        }
    }

    /// Runs one statement with parameters, as the extended protocol does, and gathers its answer.
    ///
    /// # Errors
    /// Whatever the statement raises; also that there are several statements.
    pub fn execute_with(&mut self, text: &str, params: &[Value]) -> Result<Answer> {
        let mut answers = Answers::default();
        let ran = self.run_unnamed(text, params, &mut answers);
        // As Sync does: ends the implicit transaction, also after an error.
        let synced = self.sync(&mut answers);
        ran?;
        synced?;
        if let Some(error) = answers.error {
            return Err(error);
        }
        answers.finished.pop().ok_or_else(|| SqlError::internal("a statement gave no answer"))
    }
}
