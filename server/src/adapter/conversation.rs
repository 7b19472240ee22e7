//! One client's thread: reads, processes and writes until one side ends the connection.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use driftdb_query::SqlError;

use super::Shared;
use super::outlet::SocketOutlet;
use super::teller::Teller;
use crate::protocol::{Connection, ConnectionStatus, Outlet};
use crate::session::ending;

/// How long a client may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(60);
/// Bytes per read.
const READ_BYTES: usize = 32 << 10;

/// Talks with a client to the end.
///
/// # Errors
/// The socket's: the client is gone, or did not say hello in time.
pub(super) fn converse(
    mut connection: Connection,
    stream: &Arc<TcpStream>,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut teller = None;
    let mut outlet = SocketOutlet::new(stream, shared)?;
    let mut inlet = Inlet::new(stream);
    let wake = Arc::clone(stream);
    // A read that waits then returns at once; one that begins later does, too.
    connection.on_end(Box::new(move || drop(wake.shutdown(Shutdown::Read))));
    loop {
        let end = if shared.is_stopping() || connection.is_ending() {
            Some(ending())
        } else {
            // Extended messages up to a Sync are one conversation; it is not interrupted.
            let idle = match connection.mailbox() {
                Some(mailbox) => {
                    let teller = match &mut teller {
                        Some(teller) => teller,
                        none => none.insert(Teller::start(stream, shared, mailbox)?),
                    };
                    Some(teller.while_idle())
                }
                None => None,
            };
            let end = inlet.wait(&mut connection, shared)?;
            drop(idle);
            end
        };
        if let Some(why) = end {
            connection.terminate(&why);
            return outlet.write(connection.output());
        }
        let status = connection.process(&mut outlet);
        outlet.write(connection.output())?;
        connection.output().clear();
        if status == ConnectionStatus::Closed {
            return Ok(());
        }
    }
}

/// The reading side of a client's socket.
struct Inlet<'a> {
    stream: &'a TcpStream,
    buffer: Box<[u8]>,
    /// How long a read waits, as the socket was told last.
    limit: Option<Duration>,
}

impl<'a> Inlet<'a> {
    fn new(stream: &'a TcpStream) -> Self {
        Self { stream, buffer: vec![0; READ_BYTES].into_boxed_slice(), limit: None }
    }

    /// Waits for bytes and gives them to the connection; says why if it is to end instead.
    fn wait(
        &mut self,
        connection: &mut Connection,
        shared: &Shared,
    ) -> io::Result<Option<SqlError>> {
        let (limit, too_long) = match connection.idle_limit() {
            Some((limit, why)) => (Some(limit), Some(why)),
            None if connection.is_starting() => (Some(HELLO_LIMIT), None),
            None => (None, None),
        };
        self.set_limit(limit)?;
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) if shared.is_stopping() || connection.is_ending() => {
                    return Ok(Some(ending()));
                }
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    connection.receive(&self.buffer[..count]);
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    return too_long.map(Some).ok_or(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn set_limit(&mut self, limit: Option<Duration>) -> io::Result<()> {
        if self.limit != limit {
            self.stream.set_read_timeout(limit)?;
            self.limit = limit;
        }
        Ok(())
    }
}

/// Whether a socket's time limit has passed.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
