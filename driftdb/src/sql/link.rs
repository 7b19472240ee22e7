//! How the client's bytes reach a connection: over a socket, or inside this process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, bail};
use driftdb_server::protocol::{Connection, Outlet};
use driftdb_server::{DATABASE, Node};

/// A pair of byte streams.
pub(super) trait Link {
    /// Sends all of `bytes`.
    fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()>;

    /// Appends some bytes that arrived; an error at the end of the stream.
    fn receive(&mut self, into: &mut Vec<u8>) -> anyhow::Result<()>;
}

/// `postgresql://user@host:port/database`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) user: String,
    host: String,
    port: u16,
    pub(super) database: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let rest = text
            .strip_prefix("postgresql://")
            .or_else(|| text.strip_prefix("postgres://"))
            .with_context(|| {
                format!("\"{text}\" is not of the form postgresql://user@host:port/database")
            })?;
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or((DATABASE, authority));
        let user = user.split(':').next().unwrap_or(user);
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().with_context(|| format!("\"{port}\" is not a port"))?)
            }
            None => (host, 5433),
        };
        let host = host.trim_matches(['[', ']']);
        Ok(Self {
            user: if user.is_empty() { DATABASE } else { user }.to_owned(),
            host: if host.is_empty() { "127.0.0.1" } else { host }.to_owned(),
            port,
            database: database.split('?').next().unwrap_or(database).to_owned(),
        })
    }
}

/// A socket.
pub(super) struct TcpLink {
    stream: TcpStream,
}

impl TcpLink {
    #[expect(clippy::disallowed_methods, reason = "a client is not part of the simulated node")]
    pub(super) fn connect(url: &Url) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((url.host.as_str(), url.port))
            .with_context(|| format!("could not connect to {}:{}", url.host, url.port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }
}

impl Link for TcpLink {
    fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    fn receive(&mut self, into: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer)? {
            0 => bail!("the server closed the connection"),
            count => into.extend_from_slice(&buffer[..count]),
        }
        Ok(())
    }
}

/// A connection in this process.
pub(super) struct LocalLink {
    connection: Connection,
    arrived: Vec<u8>,
}

impl LocalLink {
    pub(super) fn new(node: &Arc<Node>) -> Self {
        Self { connection: Connection::new(node), arrived: Vec::new() }
    }
}

struct Append<'a>(&'a mut Vec<u8>);

impl Outlet for Append<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl Link for LocalLink {
    fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.connection.receive(bytes);
        self.connection.process(&mut Append(&mut self.arrived));
        self.arrived.append(self.connection.output());
        Ok(())
    }

    fn receive(&mut self, into: &mut Vec<u8>) -> anyhow::Result<()> {
        if self.arrived.is_empty() {
            bail!("the connection has ended");
        }
        into.append(&mut self.arrived);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = Url::parse("postgresql://me:secret@localhost:6000/db?x=y").unwrap();
        assert_eq!((url.user.as_str(), url.host.as_str(), url.port), ("me", "localhost", 6000));
        assert_eq!(url.database, "db");
        let url = Url::parse("postgres://[::1]:7").unwrap();
        assert_eq!((url.user.as_str(), url.host.as_str(), url.port), ("driftdb", "::1", 7));
        Url::parse("mysql://x").unwrap_err();
        Url::parse("postgresql://h:port").unwrap_err();
    }
}
