//! The thin layer over sockets: accepts, reads, writes; everything else is [`crate::protocol`].
//!
//! A connection is a thread that blocks on its socket, as a session blocks on locks and syncs. So the
//! kernel's wake-up of a read is the only switch that a message costs; tasks on a runtime's workers
//! had to hand their worker to another thread before each wait, which was half of the switches of a
//! small transaction (`docs/performance.md`). The runtime only accepts and waits for signals.

mod conversation;
mod outlet;
mod teller;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use driftdb_env::sync::Mutex;
use driftdb_query::SqlError;
use driftdb_types::SqlState;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::node::Node;
use crate::protocol::Connection;
use conversation::converse;

/// How long running statements may take to finish when the server stops; then they are canceled.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long canceled statements may take to notice.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);
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
    // Last: dropping it ends the accepting.
    runtime: Runtime,
}

/// What the connections' threads share.
#[derive(Debug)]
struct Shared {
    node: Arc<Node>,
    is_stopping: AtomicBool,
    /// Wakes who accepts.
    stop: Notify,
    /// The clients' sockets, so that stopping ends the waits for idle ones.
    open: Mutex<BTreeMap<u64, Arc<TcpStream>>>,
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
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("driftdb accept")
            .enable_io()
            .enable_time()
            .build()?;
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .map_err(|source| ServeError::Listen { address, source })?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            node: Arc::clone(node),
            is_stopping: AtomicBool::new(false),
            stop: Notify::new(),
            open: Mutex::new(BTreeMap::new()),
        });
        runtime.spawn(accept(Arc::clone(&shared), listener));
        Ok(Self { shared, address, runtime })
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
        self.shared.begin_to_stop();
        self.runtime.block_on(async {
            if !self.drained_within(DRAIN_LIMIT).await {
                self.shared.node.cancel_all();
                self.drained_within(CANCEL_LIMIT).await;
            }
        });
    }

    async fn drained_within(&self, limit: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(5);
        let drained = async {
            while !self.shared.open.lock().is_empty() {
                self.shared.node.terminate_endless();
                tokio::time::sleep(STEP).await;
            }
        };
        timeout(limit, drained).await.is_ok()
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    fn begin_to_stop(&self) {
        let open = self.open.lock();
        self.is_stopping.store(true, Ordering::SeqCst);
        self.stop.notify_one();
        for stream in open.values() {
            // Whoever waits for its client goes on; a socket that is closed already needs nothing.
            stream.shutdown(Shutdown::Read).ok();
        }
    }

    /// Adds a connection unless the server stops or it is one too many even to be refused; says how many
    /// were there before.
    fn admit(&self, number: u64, stream: &Arc<TcpStream>) -> Option<usize> {
        let mut open = self.open.lock();
        let before = open.len();
        if self.is_stopping() || before >= self.node.config().max_connections + REFUSED_MAX {
            return None;
        }
        open.insert(number, Arc::clone(stream));
        Some(before)
    }
}

/// Connections beyond the limit that are still told why; more are just closed.
const REFUSED_MAX: usize = 64;

/// Takes a connection off the list when its thread ends, however it does.
struct Listed {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.open.lock().remove(&self.number);
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut number = 0;
    loop {
        let accepted = match either(listener.accept(), shared.stop.notified()).await {
            Either::Left(accepted) => accepted,
            Either::Right(()) => return,
        };
        number += 1;
        let begun = accepted.and_then(|(stream, _)| begin(&shared, number, stream.into_std()?));
        if begun.is_err() {
            // Out of descriptors or threads, most likely: some will be free again.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Gives a client a thread.
fn begin(shared: &Arc<Shared>, number: u64, stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let stream = Arc::new(stream);
    let Some(before) = shared.admit(number, &stream) else { return Ok(()) };
    let listed = Listed { shared: Arc::clone(shared), number };
    let most = shared.node.config().max_connections;
    let connection = if before >= most {
        let message = "sorry, too many clients already";
        let why = SqlError::new(SqlState::TooManyConnections, message)
            .with_hint("Raise server.max_connections, or use fewer connections.");
        Connection::refused(&shared.node, why)
    } else {
        Connection::new(&shared.node)
    };
    let name = format!("driftdb client {number}");
    let talk = move || {
        // The client is gone: there is nobody to tell.
        converse(connection, &stream, &listed.shared).ok();
    };
    std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(talk)?;
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
