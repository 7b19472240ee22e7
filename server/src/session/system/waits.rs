//! `driftdb_waits`: who waits for whom, one row for each pair.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemRelation, SystemScan};
use driftdb_types::{DataType, Value};

use super::locks::{describe, owners};
use super::{Relation, SystemView};

pub(super) struct Waits;

impl Relation for Waits {
    fn definition(&self) -> SystemRelation {
        SystemRelation {
            name: "driftdb_waits",
            columns: vec![
                ("pid", DataType::Int4),
                ("txn", DataType::Int8),
                ("statement", DataType::Text),
                ("locktype", DataType::Text),
                ("relation", DataType::Oid),
                ("mode", DataType::Text),
                ("blocking_pid", DataType::Int4),
                ("blocking_txn", DataType::Int8),
                ("blocking_statement", DataType::Text),
            ],
            key: None,
            has_history: false,
        }
    }

    fn rows(
        &self,
        view: &SystemView<'_>,
        _scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        let owners = owners(txn)?;
        let pid = |session: Option<i32>| session.map_or(Value::Null, Value::Int4);
        let number = |txn: u64| Value::Int8(i64::try_from(txn).unwrap_or(i64::MAX));
        for wait in view.node.store().waits() {
            let (kind, relation, mode) = describe(&wait.thing, &owners);
            for (session, blocker) in wait.blockers {
                let statement = session.and_then(|pid| view.node.registry().activity(pid));
                out.push(vec![
                    pid(wait.session),
                    number(wait.txn.0),
                    wait.statement.as_deref().map_or(Value::Null, Value::text),
                    Value::text(kind),
                    relation.map_or(Value::Null, Value::Oid),
                    Value::text(mode),
                    pid(session),
                    blocker.map_or(Value::Null, |txn| number(txn.0)),
                    statement.as_deref().map_or(Value::Null, Value::text),
                ]);
            }
        }
        Ok(None)
    }
}
