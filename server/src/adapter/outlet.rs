//! Writing to a client's socket.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Shared;
use super::conversation::is_timeout;
use crate::protocol::Outlet;

/// The writing side. It blocks while the client is slow, which bounds what a large result takes.
pub(super) struct SocketOutlet<'a> {
    stream: &'a TcpStream,
    shared: &'a Shared,
}

/// How often a blocked write looks whether the server stops.
const LOOK: Duration = Duration::from_millis(500);

impl<'a> SocketOutlet<'a> {
    /// # Errors
    /// The socket's.
    pub(super) fn new(stream: &'a TcpStream, shared: &'a Shared) -> io::Result<Self> {
        stream.set_write_timeout(Some(LOOK))?;
        Ok(Self { stream, shared })
    }
}

impl Outlet for SocketOutlet<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    if self.shared.is_stopping() {
                        let what = "the server stops and the client does not read";
                        return Err(io::Error::other(what));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
