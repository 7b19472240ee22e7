//! The thin layer over sockets: accepts, reads, writes; everything else is [`crate::protocol`].
//!
//! A connection is a task. It runs its session on the worker thread that read the bytes: a hop to
//! another thread costs more than a point read. Where the core really waits (a lock, a sync, a slow
//! reader), it tells tokio first, which then moves the thread's other tasks elsewhere. An idle client
//! costs a task, not a thread.

mod outlet;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use driftdb_query::SqlError;
use driftdb_types::SqlState;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::node::Node;
use crate::protocol::{Connection, ConnectionStatus};
use crate::session::ending;
use outlet::SocketOutlet;

/// How long a client may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(60);
/// How long running statements may take to finish when the server stops; then they are canceled.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long canceled statements may take to notice.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);
/// Bytes per read.
const READ_BYTES: usize = 16 << 10;
/// Bytes read at most before they are processed.
const READ_AHEAD_BYTES: usize = 1 << 20;
/// Sessions call the executor, which grows its stack by itself; this is for everything around it.
const STACK_BYTES: usize = 4 << 20;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not loopback.
    #[error(
        "refusing to listen on {address}: without TLS and passwords, which a later version brings, \
         anybody who can reach it could read and change everything; use a loopback address such as \
         127.0.0.1:5433"
    )]
    NotLoopback {
        /// Which.
        address: SocketAddr,
    },
    /// The port is taken, or the like.
    #[error("could not listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Threads, signals.
    #[error("could not start the server: {0}")]
    Start(#[from] io::Error),
}

/// A server that accepts connections, on threads of its own.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    // Last: dropping it ends the threads.
    runtime: Runtime,
}

#[derive(Debug)]
struct Shared {
    node: Arc<Node>,
    connection_count: AtomicUsize,
}

impl Server {
    /// Listens on the configured address and serves `node`.
    ///
    /// # Errors
    /// Not a loopback address; the port is taken.
    pub fn start(node: &Arc<Node>) -> Result<Self, ServeError> {
        let address = node.config().listen;
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback { address });
        }
        driftdb_env::blocking::set_hook(|wait| tokio::task::block_in_place(wait));
        let runtime = runtime(node)?;
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .map_err(|source| ServeError::Listen { address, source })?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { node: Arc::clone(node), connection_count: AtomicUsize::new(0) });
        let (stop, stopped) = watch::channel(false);
        runtime.spawn(accept(Arc::clone(&shared), listener, stopped));
        Ok(Self { shared, address, stop, runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the process is asked to end (SIGTERM, SIGINT).
    ///
    /// # Errors
    /// The signals cannot be watched.
    pub fn wait_for_signal(&self) -> Result<(), ServeError> {
        use tokio::signal::unix::{SignalKind, signal};
        self.runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            either(terminate.recv(), interrupt.recv()).await;
            Ok(())
        })
    }

    /// Accepts nobody any more, ends idle connections, and lets running statements finish (after a
    /// while they are canceled).
    pub fn stop(self) {
        self.stop.send_replace(true);
        self.runtime.block_on(async {
            if !self.drained_within(DRAIN_LIMIT).await {
                self.shared.node.cancel_all();
                self.drained_within(CANCEL_LIMIT).await;
            }
        });
        // A thread that does not come back must not keep the process.
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }

    async fn drained_within(&self, limit: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(5);
        let drained = async {
            while self.shared.connection_count.load(Ordering::SeqCst) > 0 {
                self.shared.node.terminate_endless();
                tokio::time::sleep(STEP).await;
            }
        };
        timeout(limit, drained).await.is_ok()
    }
}

fn runtime(node: &Node) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if node.config().worker_threads > 0 {
        builder.worker_threads(node.config().worker_threads);
    }
    builder
        .thread_name("driftdb session")
        .thread_stack_size(STACK_BYTES)
        // Each connection may be waiting at the same time, each on a thread of its own.
        .max_blocking_threads(node.config().max_connections + REFUSED_MAX + 16)
        .enable_io()
        .enable_time()
        .build()
}

/// Connections beyond the limit that are still told why; more are just closed.
const REFUSED_MAX: usize = 64;

/// Counts a connection while it lives.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connection_count.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, stopped: watch::Receiver<bool>) {
    let mut stop = stopped.clone();
    loop {
        let accepted = match either(listener.accept(), stop.changed()).await {
            Either::Left(accepted) => accepted,
            Either::Right(_) => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: some will be free again.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let counted = Counted(Arc::clone(&shared));
        let before = shared.connection_count.fetch_add(1, Ordering::SeqCst);
        let most = shared.node.config().max_connections;
        if before >= most + REFUSED_MAX {
            continue;
        }
        let connection = if before >= most {
            let message = "sorry, too many clients already";
            let why = SqlError::new(SqlState::TooManyConnections, message)
                .with_hint("Raise server.max_connections, or use fewer connections.");
            Connection::refused(&shared.node, why)
        } else {
            Connection::new(&shared.node)
        };
        let stopped = stopped.clone();
        tokio::spawn(async move {
            let _counted = counted;
            // The client is gone: there is nobody to tell.
            converse(connection, stream, stopped).await.ok();
        });
    }
}

/// Reads, processes and writes until one side ends the connection.
async fn converse(
    mut connection: Connection,
    stream: TcpStream,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let ended = Arc::new(Notify::new());
    let wake = Arc::clone(&ended);
    connection.on_end(Box::new(move || wake.notify_one()));
    loop {
        let is_stopping = *stopped.borrow();
        let end = if is_stopping {
            Some(ending())
        } else {
            wait_for_bytes(&mut connection, &stream, &mut stopped, &ended).await?
        };
        if let Some(why) = end {
            connection.terminate(&why);
            let farewell = write_all(&stream, connection.output());
            return timeout(Duration::from_secs(1), farewell).await.unwrap_or(Ok(()));
        }
        if !read(&mut connection, &stream)? {
            return Ok(());
        }
        let status = connection.process(&mut SocketOutlet::new(&stream, &stopped));
        let written = write_all(&stream, connection.output());
        match either(written, stopped_for_long(stopped.clone())).await {
            Either::Left(result) => result?,
            Either::Right(()) => return Ok(()),
        }
        connection.output().clear();
        if status == ConnectionStatus::Closed {
            return Ok(());
        }
    }
}

/// Waits for bytes; says why if the connection is to end before they come.
async fn wait_for_bytes(
    connection: &mut Connection,
    stream: &TcpStream,
    stopped: &mut watch::Receiver<bool>,
    ended: &Notify,
) -> io::Result<Option<SqlError>> {
    if connection.is_ending() {
        return Ok(Some(ending()));
    }
    let waiting = either(stream.readable(), either(stopped.changed(), ended.notified()));
    let waited = if connection.is_starting() {
        timeout(HELLO_LIMIT, waiting).await.map_err(|_| io::ErrorKind::TimedOut)?
    } else if let Some((limit, why)) = connection.idle_limit() {
        match timeout(limit, waiting).await {
            Ok(waited) => waited,
            Err(_) => return Ok(Some(why)),
        }
    } else {
        waiting.await
    };
    match waited {
        Either::Left(ready) => ready.map(|()| None),
        Either::Right(_) => Ok(Some(ending())),
    }
}

/// Ends a while after the server began to stop.
async fn stopped_for_long(mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow_and_update() {
        if stopped.changed().await.is_err() {
            break;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Takes what has arrived; false at the end of the stream.
fn read(connection: &mut Connection, stream: &TcpStream) -> io::Result<bool> {
    let mut taken = 0;
    // On the stack of the thread, so that an idle connection has no buffer.
    let mut buffer = [0; READ_BYTES];
    while taken < READ_AHEAD_BYTES {
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                connection.receive(&buffer[..count]);
                taken += count;
                if count < buffer.len() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

enum Either<A, B> {
    Left(A),
    Right(B),
}

/// The first of two futures to finish; the left one if both have.
async fn either<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(Either::Left(output));
        }
        b.as_mut().poll(cx).map(Either::Right)
    })
    .await
}
