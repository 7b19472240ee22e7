//! What lies between a client and the server: a pipe in each direction, which does what networks do.
//!
//! A pipe holds so many bytes and no more: who writes to a reader that does not read has to wait. It gives what it
//! holds in pieces of any size, so that messages come torn. Either side can end its direction, or reset both: then
//! what was not read is gone, and everybody is told at the next call.
//!
//! The server's side is the server's own code, `driftdb_server::protocol::Connection`; [`serve`] is all that
//! its adapter does with a socket.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Rng, Task, kernel};
use driftdb_server::Node;
use driftdb_server::protocol::{Connection, ConnectionStatus, Outlet};

/// How the pipes of one connection behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    /// Bytes that lie in one direction at most.
    pub(crate) capacity_bytes: usize,
    /// The largest piece that is given at once; none: all that is there.
    pub(crate) piece_bytes: Option<usize>,
}

/// What befell a pipe.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Befell {
    /// Reads that gave less than was there.
    pub(crate) torn: u64,
    /// Writes that had to wait for the reader.
    pub(crate) waits: u64,
}

struct State {
    bytes: VecDeque<u8>,
    /// Whoever writes has said that it is all.
    has_ended: bool,
    is_reset: bool,
    rng: Rng,
    befell: Befell,
}

/// One direction.
pub(crate) struct Pipe {
    line: Line,
    state: Mutex<State>,
    changed: Condvar,
}

impl Pipe {
    fn new(line: Line, rng: Rng) -> Self {
        let (bytes, befell) = (VecDeque::new(), Befell::default());
        let state = State { bytes, has_ended: false, is_reset: false, rng, befell };
        Self { line, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Writes all of it; waits while the pipe is full.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        while !bytes.is_empty() {
            if state.is_reset {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let room = self.line.capacity_bytes.saturating_sub(state.bytes.len());
            if room == 0 {
                state.befell.waits += 1;
                self.changed.wait(&mut state);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            state.bytes.extend(now);
            bytes = later;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Reads at most so many bytes, at least one; none at the end.
    ///
    /// # Errors
    /// The other side has reset the connection.
    pub(crate) fn read(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state.lock();
        loop {
            if state.is_reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if !state.bytes.is_empty() {
                break;
            }
            if state.has_ended {
                return Ok(Vec::new());
            }
            self.changed.wait(&mut state);
        }
        let there = state.bytes.len().min(most);
        let piece = self.line.piece_bytes.unwrap_or(usize::MAX).min(there);
        let count = if piece < there { 1 + state.rng.index(piece) } else { there };
        state.befell.torn += u64::from(count < there);
        let read = state.bytes.drain(..count).collect();
        self.changed.notify_all();
        Ok(read)
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        self.state.lock().has_ended = true;
        self.changed.notify_all();
    }

    fn reset(&self) {
        let mut state = self.state.lock();
        state.is_reset = true;
        state.bytes.clear();
        self.changed.notify_all();
    }

    /// What befell it so far.
    pub(crate) fn befell(&self) -> Befell {
        self.state.lock().befell
    }
}

/// Both directions.
#[derive(Clone)]
pub(crate) struct Duplex {
    pub(crate) to_server: Arc<Pipe>,
    pub(crate) to_client: Arc<Pipe>,
}

impl Duplex {
    pub(crate) fn new(line: Line, rng: &mut Rng) -> Self {
        let mut pipe = || Arc::new(Pipe::new(line, Rng::stream(rng.next_u64(), "pipe")));
        Self { to_server: pipe(), to_client: pipe() }
    }

    /// Ends both directions at once: what was not read is gone.
    pub(crate) fn reset(&self) {
        self.to_server.reset();
        self.to_client.reset();
    }
}

/// The server's outlet.
struct ToClient(Arc<Pipe>);

impl Outlet for ToClient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }
}

/// Bytes that the server reads at once, as from a socket.
const READ_BYTES: usize = 32 << 10;

/// Starts a task of the node that talks with one client to the end.
pub(crate) fn serve(node: &Arc<Node>, duplex: &Duplex) -> Task {
    let (node, duplex) = (Arc::clone(node), duplex.clone());
    let env = node.env().clone();
    env.spawn("connection", move || {
        let mut connection = Connection::new(&node);
        drop(converse(&mut connection, &duplex));
        kernel::preemption_point("client gone");
        drop(connection);
        // Whoever still writes is told.
        duplex.to_server.reset();
        duplex.to_client.end();
    })
}

/// Until one side ends it. An error says that the client is gone.
fn converse(connection: &mut Connection, duplex: &Duplex) -> io::Result<()> {
    let mut outlet = ToClient(Arc::clone(&duplex.to_client));
    loop {
        let bytes = duplex.to_server.read(READ_BYTES)?;
        if bytes.is_empty() {
            return Ok(());
        }
        connection.receive(&bytes);
        let status = connection.process(&mut outlet);
        outlet.write(connection.output())?;
        connection.output().clear();
        if status == ConnectionStatus::Closed {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(capacity_bytes: usize, piece_bytes: Option<usize>) -> Pipe {
        Pipe::new(Line { capacity_bytes, piece_bytes }, Rng::stream(7, "test"))
    }

    #[test]
    fn bytes_come_in_order_and_in_pieces() {
        let pipe = pipe(1000, Some(3));
        let sent: Vec<u8> = (0..200).collect();
        pipe.write(&sent).unwrap();
        pipe.end();
        let mut got = Vec::new();
        loop {
            let piece = pipe.read(1000).unwrap();
            assert!(piece.len() <= 3);
            if piece.is_empty() {
                break;
            }
            got.extend(piece);
        }
        assert_eq!(got, sent);
        assert!(pipe.befell().torn > 60);
    }

    #[test]
    fn a_reset_takes_what_was_not_read() {
        let line = Line { capacity_bytes: 100, piece_bytes: None };
        let duplex = Duplex::new(line, &mut Rng::stream(7, "test"));
        duplex.to_server.write(b"never read").unwrap();
        duplex.reset();
        assert_eq!(duplex.to_server.read(10).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(duplex.to_client.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn who_writes_waits_for_who_reads() {
        let pipe = Arc::new(pipe(2, None));
        let theirs = Arc::clone(&pipe);
        let writer =
            driftdb_env::Env::os().spawn("writer", move || theirs.write(b"abcdef").unwrap());
        let mut got = Vec::new();
        while got.len() < 6 {
            got.extend(pipe.read(10).unwrap());
        }
        writer.join();
        assert_eq!(got, b"abcdef");
    }
}
