//! A client that speaks the wire protocol over a [`Duplex`], and may go at any byte.
//!
//! It writes and reads messages itself: a driver that shares the server's encoder would share its mistakes.

use std::sync::Arc;

use driftdb_env::{Env, Rng, Task};
use driftdb_server::Node;

use crate::pipe::{Duplex, Line, serve};

/// The connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// What came between two times that the server was ready.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) tags: Vec<String>,
    /// SQLSTATE and message of the first error.
    pub(crate) error: Option<(String, String)>,
}

/// How a client behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) line: Line,
    /// It goes after it has sent so many bytes, in the middle of whatever it is sending.
    pub(crate) leaves_after_bytes: Option<usize>,
    /// It takes its time before it reads.
    pub(crate) reads_slowly: bool,
}

/// One client's connection.
pub(crate) struct WireClient {
    env: Env,
    duplex: Duplex,
    server: Option<Task>,
    manners: Manners,
    sent_bytes: usize,
    unread: Vec<u8>,
    rng: Rng,
    /// Whether it has gone by itself.
    pub(crate) has_left: bool,
    pub(crate) slow_reads: u64,
}

impl WireClient {
    /// Connects and says hello.
    pub(crate) fn connect(
        node: &Arc<Node>,
        manners: Manners,
        mut rng: Rng,
    ) -> (Self, Result<Answer, Gone>) {
        let duplex = Duplex::new(manners.line, &mut rng);
        let mut client = Self {
            env: node.env().clone(),
            server: Some(serve(node, &duplex)),
            duplex,
            manners,
            sent_bytes: 0,
            unread: Vec::new(),
            rng,
            has_left: false,
            slow_reads: 0,
        };
        let mut hello = vec![0, 3, 0, 0];
        for text in ["user", "sim", "database", "driftdb", ""] {
            hello.extend(text.as_bytes());
            hello.push(0);
        }
        let length = hello.len() as u32 + 4;
        let packet = [&length.to_be_bytes()[..], &hello].concat();
        let answer = client.send(&packet).and_then(|()| client.answer());
        (client, answer)
    }

    /// Sends a statement or several as one string, and waits for the answer.
    pub(crate) fn query(&mut self, text: &str) -> Result<Answer, Gone> {
        self.send_query(text)?;
        self.answer()
    }

    /// Sends without waiting. An error: it did not go out whole.
    pub(crate) fn send_query(&mut self, text: &str) -> Result<(), Gone> {
        self.send(&message(b'Q', &[text.as_bytes(), &[0]].concat()))
    }

    /// The extended protocol: one statement with parameters as text, all messages at once.
    pub(crate) fn send_extended(&mut self, text: &str, params: &[&str]) -> Result<(), Gone> {
        let parse = [b"\0".as_slice(), text.as_bytes(), b"\0\0\0"].concat();
        let mut bind = vec![0, 0, 0, 0];
        bind.extend((params.len() as u16).to_be_bytes());
        for param in params {
            bind.extend((param.len() as u32).to_be_bytes());
            bind.extend(param.as_bytes());
        }
        bind.extend([0, 0]);
        let execute = [0, 0, 0, 0, 0];
        let whole = [
            message(b'P', &parse),
            message(b'B', &bind),
            message(b'E', &execute),
            message(b'S', &[]),
        ];
        self.send(&whole.concat())
    }

    /// Goes without a word.
    pub(crate) fn leave(&mut self) {
        if self.rng.chance(1, 2) {
            self.duplex.reset();
        } else {
            // It closes: what it has sent arrives, and nobody reads the answer.
            self.duplex.to_server.end();
            self.read_to_the_end();
        }
        self.has_left = true;
    }

    /// Says good-bye, and waits until the server has let go of everything.
    pub(crate) fn close(&mut self) {
        if !self.has_left {
            drop(self.duplex.to_server.write(&message(b'X', &[])));
            self.duplex.to_server.end();
            self.read_to_the_end();
        }
        if let Some(server) = self.server.take() {
            server.join();
        }
    }

    pub(crate) fn duplex(&self) -> &Duplex {
        &self.duplex
    }

    fn read_to_the_end(&self) {
        while self.duplex.to_client.read(usize::MAX).is_ok_and(|bytes| !bytes.is_empty()) {}
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        if self.has_left {
            return Err(Gone);
        }
        let most = self.manners.leaves_after_bytes.unwrap_or(usize::MAX);
        let left = most.saturating_sub(self.sent_bytes);
        self.sent_bytes += bytes.len();
        if left < bytes.len() {
            // Whole messages before it are carried out; of the last one there is a piece.
            drop(self.duplex.to_server.write(&bytes[..left]));
            self.leave();
            return Err(Gone);
        }
        self.duplex.to_server.write(bytes).map_err(|_| Gone)
    }

    /// Reads up to the next time that the server is ready.
    pub(crate) fn answer(&mut self) -> Result<Answer, Gone> {
        let mut answer = Answer::default();
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'D' => answer.rows.push(cells(&body)),
                b'C' => answer.tags.push(text(&body)),
                b'E' => {
                    let field = |kind: u8| {
                        let mut fields = body.split(|byte| *byte == 0);
                        let found = fields.find(|field| field.first() == Some(&kind));
                        found.map(|field| text(&field[1..])).unwrap_or_default()
                    };
                    answer.error.get_or_insert((field(b'C'), field(b'M')));
                }
                b'Z' => return Ok(answer),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>), Gone> {
        loop {
            if let [kind, a, b, c, d, rest @ ..] = &self.unread[..] {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
                if rest.len() >= length {
                    let found = (*kind, rest[..length].to_vec());
                    self.unread.drain(..5 + length);
                    return Ok(found);
                }
            }
            let mut most = usize::MAX;
            if self.manners.reads_slowly && self.rng.chance(1, 4) {
                self.slow_reads += 1;
                self.env.sleep(std::time::Duration::from_micros(1 << self.rng.below(14)));
                most = 1 + self.rng.index(64);
            }
            match self.duplex.to_client.read(most) {
                Ok(bytes) if !bytes.is_empty() => self.unread.extend(bytes),
                _ => return Err(Gone),
            }
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 4;
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The cells of a row as text; NULL as nothing.
fn cells(body: &[u8]) -> Vec<String> {
    let mut rest = body.get(2..).unwrap_or_default();
    let mut cells = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length).max(0) as usize;
        let (cell, next) = after.split_at(length.min(after.len()));
        cells.push(String::from_utf8_lossy(cell).into_owned());
        rest = next;
    }
    cells
}
