//! The simple protocol: strings of statements.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use driftdb_query::Result;
use driftdb_sql::{StatementKind, conforming, parse};

use super::prepared::Prepared;
use super::run::{Ran, Wanted};
use super::{Format, Formats, Progress, ResponseSink, Session};

/// The statements of a string that have not run yet.
pub(super) struct Queue {
    statements: VecDeque<Arc<Prepared>>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

impl Session {
    /// Runs a string of statements separated by semicolons. Unless it contains BEGIN and COMMIT it is
    /// one transaction: the first error undoes all of it. Errors go to the sink.
    pub fn simple_query(&mut self, text: &str, sink: &mut dyn ResponseSink) -> Progress {
        self.begin_message();
        self.statements.remove("");
        self.portals.remove("");
        let queue = match self.guarded(|session| session.parse_string(text)) {
            Ok(queue) => queue,
            Err(error) => {
                self.send_notices(sink);
                sink.error(&error);
                return Progress::Done;
            }
        };
        if queue.is_empty() {
            sink.empty_query();
            return Progress::Done;
        }
        self.run_queue(queue, sink)
    }

    /// A text in which only literals that say so have escapes.
    pub(super) fn conforming<'a>(&mut self, text: &'a str) -> Result<Cow<'a, str>> {
        if self.settings.has_conforming_strings() {
            return Ok(Cow::Borrowed(text));
        }
        let found = conforming(text)?;
        if self.settings.show("escape_string_warning").is_ok_and(|value| value == "on") {
            self.notices.extend(found.warnings);
        }
        Ok(Cow::Owned(found.text))
    }

    fn parse_string(&mut self, text: &str) -> Result<Queue> {
        let text = &*self.conforming(text)?;
        // What was prepared must give the columns that its client was told of; a simple query gives any.
        if let Some(repeated) = self.repeated(text).filter(|repeated| !repeated.is_announced()) {
            return Ok(Queue { statements: [repeated].into() });
        }
        let statements: VecDeque<Arc<Prepared>> = parse(text)?
            .into_iter()
            .map(|parsed| Arc::new(Prepared::new(Some(parsed), Vec::new())))
            .collect();
        if let [single] = statements.as_slices().0
            && matches!(single.kind(), StatementKind::Query | StatementKind::Change)
        {
            self.remember(text, single);
        }
        Ok(Queue { statements })
    }

    pub(super) fn run_queue(&mut self, mut queue: Queue, sink: &mut dyn ResponseSink) -> Progress {
        while let Some(prepared) = queue.statements.pop_front() {
            let is_last = queue.is_empty();
            let ran = self.guarded(|session| {
                let formats = Formats::All(Format::Text);
                let wanted = Wanted { formats: &formats, describe: true, limit: None };
                let ran = session.run_statement(&prepared, &[], wanted, sink)?;
                if matches!(ran, Ran::CopyIn) {
                    return Ok(true);
                }
                session.complete(ran, is_last, sink)?;
                Ok(false)
            });
            match ran {
                Ok(true) => {
                    if let Some(copying) = &mut self.copying {
                        copying.queue = Some(queue);
                    }
                    return Progress::CopyIn;
                }
                Ok(false) => {}
                Err(error) => {
                    self.send_notices(sink);
                    sink.error(&error);
                    return Progress::Done;
                }
            }
        }
        Progress::Done
    }

    /// Reports a statement of a string. The last one carries the commit of the whole, which must be
    /// done before it is reported.
    pub(super) fn complete(
        &mut self,
        ran: Ran,
        is_last: bool,
        sink: &mut dyn ResponseSink,
    ) -> Result<()> {
        if is_last {
            self.commit_implicit_block()?;
        }
        self.send_notices(sink);
        match ran {
            Ran::Complete(tag) => sink.command_complete(tag),
            Ran::Empty => sink.empty_query(),
            Ran::Suspended(_) => sink.portal_suspended(),
            Ran::CopyIn => {}
        }
        Ok(())
    }
}
