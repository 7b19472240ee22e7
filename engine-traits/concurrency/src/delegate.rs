//! Transactions that are another one but for some calls.

/// In an `impl Transaction`, the named methods, each handed on to a field that is a transaction, too.
///
/// ```text
/// impl Transaction for Counted {
///     driftdb_concurrency::delegate_transaction!(inner: id, isolation, is_read_only, …);
///     fn commit(self: Box<Self>) -> Result<Committed> { … }
/// }
/// ```
#[macro_export]
macro_rules! delegate_transaction {
    ($inner:ident: $($method:ident),* $(,)?) => {
        $($crate::delegate_transaction!(@$method $inner);)*
    };
    (@id $inner:ident) => {
        fn id(&self) -> $crate::TxnId {
            self.$inner.id()
        }
    };
    (@isolation $inner:ident) => {
        fn isolation(&self) -> $crate::IsolationLevel {
            self.$inner.isolation()
        }
    };
    (@is_read_only $inner:ident) => {
        fn is_read_only(&self) -> bool {
            self.$inner.is_read_only()
        }
    };
    (@snapshot_ts $inner:ident) => {
        fn snapshot_ts(&self) -> $crate::delegated::Timestamp {
            self.$inner.snapshot_ts()
        }
    };
    (@begin_statement $inner:ident) => {
        fn begin_statement(&mut self) -> $crate::Result<()> {
            self.$inner.begin_statement()
        }
    };
    (@enter_statement $inner:ident) => {
        fn enter_statement(&mut self) -> $crate::Result<()> {
            self.$inner.enter_statement()
        }
    };
    (@leave_statement $inner:ident) => {
        fn leave_statement(&mut self) {
            self.$inner.leave_statement();
        }
    };
    (@restart $inner:ident) => {
        fn restart(&mut self) -> $crate::Result<bool> {
            self.$inner.restart()
        }
    };
    (@get $inner:ident) => {
        fn get(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            key: &[u8],
            at: $crate::ReadAt,
            out: &mut Vec<u8>,
        ) -> $crate::Result<bool> {
            self.$inner.get(space, key, at, out)
        }
    };
    (@scan $inner:ident) => {
        fn scan(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            request: &$crate::ScanRequest<'_>,
            out: &mut $crate::RowBatch,
        ) -> $crate::Result<$crate::ScanState> {
            self.$inner.scan(space, request, out)
        }
    };
    (@scan_versions $inner:ident) => {
        fn scan_versions(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            request: &$crate::VersionScan<'_>,
            out: &mut $crate::RowBatch,
        ) -> $crate::Result<$crate::ScanState> {
            self.$inner.scan_versions(space, request, out)
        }
    };
    (@scan_begun $inner:ident) => {
        fn scan_begun(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            request: &$crate::VersionScan<'_>,
            out: &mut $crate::RowBatch,
        ) -> $crate::Result<$crate::ScanState> {
            self.$inner.scan_begun(space, request, out)
        }
    };
    (@scan_changes $inner:ident) => {
        fn scan_changes(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            range: &$crate::delegated::KeyRange<'_>,
            after: $crate::delegated::Timestamp,
            up_to: $crate::delegated::Timestamp,
            max_rows: usize,
            out: &mut $crate::RowBatch,
        ) -> $crate::Result<$crate::ScanState> {
            self.$inner.scan_changes(space, range, after, up_to, max_rows, out)
        }
    };
    (@oldest_readable $inner:ident) => {
        fn oldest_readable(
            &mut self,
            space: $crate::delegated::KeyspaceId,
        ) -> $crate::Result<$crate::delegated::Timestamp> {
            self.$inner.oldest_readable(space)
        }
    };
    (@lock $inner:ident) => {
        fn lock(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            key: &[u8],
            strength: $crate::LockStrength,
            intent: $crate::LockIntent,
            wait: $crate::WaitPolicy,
        ) -> $crate::Result<$crate::Locked> {
            self.$inner.lock(space, key, strength, intent, wait)
        }
    };
    (@lock_object $inner:ident) => {
        fn lock_object(
            &mut self,
            object: $crate::LockObject,
            mode: $crate::LockMode,
            wait: $crate::WaitPolicy,
        ) -> $crate::Result<$crate::ObjectLocked> {
            self.$inner.lock_object(object, mode, wait)
        }
    };
    (@settle_reads $inner:ident) => {
        fn settle_reads(&mut self) -> $crate::Result<()> {
            self.$inner.settle_reads()
        }
    };
    (@has_changed $inner:ident) => {
        fn has_changed(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            key: &[u8],
        ) -> $crate::Result<bool> {
            self.$inner.has_changed(space, key)
        }
    };
    (@put $inner:ident) => {
        fn put(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            key: &[u8],
            value: &[u8],
        ) -> $crate::Result<()> {
            self.$inner.put(space, key, value)
        }
    };
    (@delete $inner:ident) => {
        fn delete(
            &mut self,
            space: $crate::delegated::KeyspaceId,
            key: &[u8],
        ) -> $crate::Result<()> {
            self.$inner.delete(space, key)
        }
    };
    (@create_keyspace $inner:ident) => {
        fn create_keyspace(&mut self, space: $crate::delegated::KeyspaceId) -> $crate::Result<()> {
            self.$inner.create_keyspace(space)
        }
    };
    (@drop_keyspace $inner:ident) => {
        fn drop_keyspace(&mut self, space: $crate::delegated::KeyspaceId) -> $crate::Result<()> {
            self.$inner.drop_keyspace(space)
        }
    };
    (@savepoint $inner:ident) => {
        fn savepoint(&mut self) -> $crate::SavepointId {
            self.$inner.savepoint()
        }
    };
    (@rollback_to $inner:ident) => {
        fn rollback_to(&mut self, savepoint: $crate::SavepointId) {
            self.$inner.rollback_to(savepoint);
        }
    };
    (@release $inner:ident) => {
        fn release(&mut self, savepoint: $crate::SavepointId) {
            self.$inner.release(savepoint);
        }
    };
    (@erase $inner:ident) => {
        fn erase(&mut self, erasure: $crate::delegated::Erasure) -> $crate::Result<()> {
            self.$inner.erase(erasure)
        }
    };
    (@describe $inner:ident) => {
        fn describe(&mut self, provenance: &$crate::Provenance) {
            self.$inner.describe(provenance);
        }
    };
    (@has_writes $inner:ident) => {
        fn has_writes(&self) -> bool {
            self.$inner.has_writes()
        }
    };
    (@commit $inner:ident) => {
        fn commit(self: Box<Self>) -> $crate::Result<$crate::Committed> {
            self.$inner.commit()
        }
    };
    (@rollback $inner:ident) => {
        fn rollback(self: Box<Self>) {
            self.$inner.rollback();
        }
    };
}
