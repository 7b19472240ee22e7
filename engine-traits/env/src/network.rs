//! Messages between nodes.
//!
//! The least that networks promise, so that nobody builds on more: a message arrives whole and unchanged, or not at
//! all. It may come late, twice, after one that was sent later, or never, and nobody is told which. Who needs more
//! (an order, an answer, exactly once) numbers messages, sends again and forgets doubles, as replication must
//! anyway: a connection that breaks loses what was on its way, and says no more than a message that got lost.
//!
//! * **operating system**: [`OsNetwork`], datagrams of UDP.
//! * **simulation**: `sim/src/network.rs`, which delays, reorders, doubles, drops, clogs and cuts.
//!
//! Contract (each sentence has a case in `engine-traits/conformance/src/network.rs`):
//! * Any bytes up to [`MOST_MESSAGE_BYTES`] can be sent, none included; more are refused before anything is sent.
//! * What is received is what was sent to this address, with the address that it was sent from.
//! * To send never waits for whoever receives, and says nothing of whether somebody is there.
//! * [`Mailbox::receive`] waits until its deadline at most; with a deadline that has passed it only looks.
//! * An address has one mailbox at a time; it is free again when the mailbox is dropped, or its node has died.
//! * A message that was sent again and again is received at last, unless the network is cut for good.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// The longest message: what a datagram of UDP over IPv4 holds at most, rounded down.
pub const MOST_MESSAGE_BYTES: usize = 65_000;

/// What was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The mailbox that it was sent from.
    pub from: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The networks of a world.
pub trait Network: Send + Sync {
    /// This node's own address, without a port.
    fn host(&self) -> Ipv4Addr;

    /// Opens a mailbox at a port of this node; at a free one if `port` is 0.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`]: it has one. Others: the system's.
    fn open(&self, port: u16) -> io::Result<Arc<dyn Mailbox>>;
}

/// Where messages for one address arrive, and leave from. Any number of tasks may use it at once.
pub trait Mailbox: Send + Sync {
    /// Its address.
    fn address(&self) -> SocketAddr;

    /// Sends a message on its way.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`]: it is too long. Others: the system's; then it may have been sent or not.
    fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()>;

    /// The next message; `None` if none came until `timeout` was over.
    ///
    /// # Errors
    /// The system's.
    fn receive(&self, timeout: Duration) -> io::Result<Option<Message>>;
}

/// Whether a message may be sent.
///
/// # Errors
/// It is longer than [`MOST_MESSAGE_BYTES`].
pub fn check_length(bytes: &[u8]) -> io::Result<()> {
    if bytes.len() <= MOST_MESSAGE_BYTES {
        return Ok(());
    }
    let what = format!("a message of {} bytes is longer than {MOST_MESSAGE_BYTES}", bytes.len());
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// The operating system's network: UDP on one of its addresses.
#[derive(Debug, Clone, Copy)]
pub struct OsNetwork {
    host: Ipv4Addr,
}

impl OsNetwork {
    /// The network in which this machine has that address.
    pub const fn at(host: Ipv4Addr) -> Self {
        Self { host }
    }
}

impl Network for OsNetwork {
    fn host(&self) -> Ipv4Addr {
        self.host
    }

    fn open(&self, port: u16) -> io::Result<Arc<dyn Mailbox>> {
        let socket = UdpSocket::bind((self.host, port))?;
        let address = socket.local_addr()?;
        Ok(Arc::new(OsMailbox { socket, address }))
    }
}

struct OsMailbox {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Mailbox for OsMailbox {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        check_length(bytes)?;
        match self.socket.send_to(bytes, to) {
            // An earlier message found nobody there: the system says so at the next call.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            sent => sent.map(drop),
        }
    }

    fn receive(&self, timeout: Duration) -> io::Result<Option<Message>> {
        let mut bytes = vec![0; MOST_MESSAGE_BYTES];
        // The system's shortest timeout; none at all would wait for ever.
        let timeout = timeout.max(Duration::from_micros(1));
        // Whoever shares the mailbox sets its own timeout: each waits for about as long as one of them wants.
        self.socket.set_read_timeout(Some(timeout))?;
        match self.socket.recv_from(&mut bytes) {
            Ok((length, from)) => {
                bytes.truncate(length);
                Ok(Some(Message { from, bytes }))
            }
            Err(error) if is_nothing(error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error only says that nothing came.
fn is_nothing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(kind, WouldBlock | TimedOut | Interrupted | ConnectionRefused)
}

/// The network of a world that has none.
#[derive(Debug, Clone, Copy)]
pub struct NoNetwork;

impl Network for NoNetwork {
    fn host(&self) -> Ipv4Addr {
        Ipv4Addr::UNSPECIFIED
    }

    fn open(&self, _: u16) -> io::Result<Arc<dyn Mailbox>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this world has no network"))
    }
}
