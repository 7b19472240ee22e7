//! A change in a WITH clause: it runs to its end when it is first asked for rows, once.

use std::sync::Arc;

use driftdb_query::{PhysicalStatement, Result};

use super::Operator;
use crate::batch::Batch;
use crate::context::Run;
use crate::statement::run_to_end;

pub(crate) struct Change {
    change: PhysicalStatement,
    /// What it returned, once it happened.
    returned: Option<Arc<[Batch]>>,
    next: usize,
}

impl Change {
    pub(crate) fn new(change: PhysicalStatement) -> Self {
        Self { change, returned: None, next: 0 }
    }
}

impl Operator for Change {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let returned = match &self.returned {
            Some(returned) => returned,
            None => {
                let outcome = run_to_end(&self.change, run)?;
                self.returned.insert(outcome.batches.into_iter().collect())
            }
        };
        let batch = returned.get(self.next).cloned();
        self.next += 1;
        Ok(batch)
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.next = 0;
    }
}
