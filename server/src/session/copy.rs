//! COPY in both directions.

use std::sync::Arc;

use driftdb_executor::{CopyIn, CopyOut, start};
use driftdb_query::{Copy, PhysicalStatement, Result, SqlError};
use driftdb_types::{SqlState, Value};

use super::run::{Ran, exec_context};
use super::simple::Queue;
use super::{CopyResponse, Progress, ResponseSink, Session};

/// A COPY FROM that waits for bytes.
pub(super) struct Copying {
    copy_in: CopyIn,
    /// What follows it in a string of statements; none in the extended protocol.
    pub(super) queue: Option<Queue>,
}

impl Session {
    pub(super) fn start_copy_in(
        &mut self,
        copy: &Copy,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let copy_in = CopyIn::start(copy, &mut exec_context!(self, &[]))?;
        sink.copy_in(CopyResponse { columns: copy_in.width(), is_binary: copy_in.is_binary() });
        self.copying = Some(Copying { copy_in, queue: None });
        Ok(Ran::CopyIn)
    }

    pub(super) fn copy_out(
        &mut self,
        physical: &Arc<PhysicalStatement>,
        copy: &Copy,
        params: &[Value],
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let mut execution = start(physical, &mut exec_context!(self, params))?;
        let fields = execution.fields().unwrap_or_default().to_vec();
        let mut out = CopyOut::new(&copy.options, &fields);
        sink.copy_out(CopyResponse { columns: out.width(), is_binary: out.is_binary() });
        let mut line = Vec::new();
        out.header(&mut line);
        // In binary the first row comes in one piece with what stands before it, as PostgreSQL sends it.
        if !line.is_empty() && !out.is_binary() {
            sink.copy_data(&line)?;
            line.clear();
        }
        if copy.options.follow {
            sink.flush()?;
        }
        while let Some(batch) = execution.next(&mut exec_context!(self, params))? {
            self.settle_reads()?;
            for row in 0..batch.len() {
                out.row(&batch, row, &self.eval, &mut line);
                sink.copy_data(&line)?;
                line.clear();
            }
            if copy.options.follow {
                // The next call may wait.
                sink.flush()?;
            }
        }
        self.settle_reads()?;
        out.end(&mut line);
        if !line.is_empty() {
            sink.copy_data(&line)?;
        }
        sink.copy_done();
        Ok(Ran::Complete(execution.tag()))
    }

    /// Takes some of COPY's bytes. An error ends the COPY; it goes to the sink, and
    /// [`Progress::Done`] comes back.
    pub fn copy_data(&mut self, bytes: &[u8], sink: &mut dyn ResponseSink) -> Progress {
        let Some(mut copying) = self.copying.take() else { return Progress::Done };
        let pushed = self.guarded(|session| {
            let result = copying.copy_in.push(bytes, &mut exec_context!(session, &[]));
            result.map(|()| copying)
        });
        match pushed {
            Ok(copying) => {
                self.copying = Some(copying);
                Progress::CopyIn
            }
            Err(error) => {
                sink.error(&error);
                Progress::Done
            }
        }
    }

    /// COPY's bytes are complete. The rest of a string of statements follows.
    pub fn copy_done(&mut self, sink: &mut dyn ResponseSink) -> Progress {
        let Some(Copying { copy_in, queue }) = self.copying.take() else { return Progress::Done };
        let finished = self.guarded(|session| copy_in.finish(&mut exec_context!(session, &[])));
        let tag = match finished {
            Ok(tag) => tag,
            Err(error) => {
                sink.error(&error);
                return Progress::Done;
            }
        };
        match queue {
            Some(queue) => {
                let is_last = queue.is_empty();
                match self.guarded(|session| session.complete(Ran::Complete(tag), is_last, sink)) {
                    Ok(()) => self.run_queue(queue, sink),
                    Err(error) => {
                        sink.error(&error);
                        Progress::Done
                    }
                }
            }
            None => {
                self.send_notices(sink);
                sink.command_complete(tag);
                Progress::Done
            }
        }
    }

    /// The client gave up sending COPY's bytes.
    pub fn copy_fail(&mut self, message: &str, sink: &mut dyn ResponseSink) -> Progress {
        if self.copying.take().is_some() {
            self.fail_block();
            let message = format!("COPY from stdin failed: {message}");
            sink.error(&SqlError::new(SqlState::QueryCanceled, message));
        }
        Progress::Done
    }
}
