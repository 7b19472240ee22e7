//! A client that speaks bytes, also wrong ones.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A socket after the hello, or before it.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

/// One message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// A field of an error.
    pub(crate) fn field(&self, code: u8) -> Option<String> {
        self.body
            .split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&code))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
    }
}

/// What a client says first.
pub(crate) const HELLO: &[u8] = b"\0\0\0\x16\0\x03\0\0user\0driftdb\0\0";

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

pub(crate) fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), b"\0"].concat())
}

/// Parse, Bind, Execute of the unnamed statement, without Sync.
pub(crate) fn run(text: &str, max_rows: u32) -> Vec<u8> {
    let mut bytes = message(b'P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat());
    bytes.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
    bytes.extend(execute(max_rows));
    bytes
}

pub(crate) fn execute(max_rows: u32) -> Vec<u8> {
    message(b'E', &[b"\0".as_slice(), &max_rows.to_be_bytes()].concat())
}

pub(crate) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

impl Raw {
    /// A socket on which nothing was said.
    pub(crate) fn silent(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream, input: Vec::new() }
    }

    /// After the hello.
    pub(crate) fn connect(port: u16) -> Self {
        let mut raw = Self::silent(port);
        raw.send(HELLO);
        let hello = raw.until_ready();
        assert_eq!(hello[0], Reply { kind: b'R', body: vec![0, 0, 0, 0] });
        raw
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message; none at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        loop {
            if let Some(length) = self.input.get(1..5) {
                let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
                if self.input.len() > length {
                    let rest = self.input.split_off(1 + length);
                    let whole = std::mem::replace(&mut self.input, rest);
                    return Some(Reply { kind: whole[0], body: whole[5..].to_vec() });
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).unwrap() {
                0 => return None,
                count => self.input.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Messages up to ReadyForQuery, which is included.
    pub(crate) fn until_ready(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        loop {
            let reply = self.next().expect("the server goes on");
            let is_ready = reply.kind == b'Z';
            replies.push(reply);
            if is_ready {
                return replies;
            }
        }
    }

    /// The kinds of the messages up to ReadyForQuery, with its status last.
    pub(crate) fn kinds(&mut self) -> String {
        let replies = self.until_ready();
        let mut kinds: String = replies.iter().map(|reply| char::from(reply.kind)).collect();
        kinds.push(char::from(replies.last().unwrap().body[0]));
        kinds
    }

    /// Sends and tells the kinds of the answer.
    pub(crate) fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes);
        self.kinds()
    }
}
