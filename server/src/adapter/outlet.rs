//! Writing to a socket from blocking code.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::protocol::Outlet;

/// A client's socket. A write blocks the thread while the client is slow, which bounds what a large
/// result takes; the thread's other sessions are moved elsewhere meanwhile.
pub(super) struct SocketOutlet<'a> {
    stream: &'a TcpStream,
    stopped: &'a watch::Receiver<bool>,
}

/// How often a blocked write looks whether the server stops.
const LOOK: Duration = Duration::from_millis(500);

impl<'a> SocketOutlet<'a> {
    pub(super) fn new(stream: &'a TcpStream, stopped: &'a watch::Receiver<bool>) -> Self {
        Self { stream, stopped }
    }

    fn wait_until_writable(&self) -> io::Result<()> {
        let waited = tokio::task::block_in_place(|| {
            Handle::current().block_on(timeout(LOOK, self.stream.writable()))
        });
        match waited {
            Ok(ready) => ready,
            Err(_) if *self.stopped.borrow() => {
                Err(io::Error::other("the server stops and the client does not read"))
            }
            Err(_) => Ok(()),
        }
    }
}

impl Outlet for SocketOutlet<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait_until_writable()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
