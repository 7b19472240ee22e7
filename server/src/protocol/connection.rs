//! One client's connection: bytes in, bytes out.
//!
//! Invariants
//! * Answers are in the order of the messages; nothing is sent that was not asked for.
//! * After an error in the extended protocol everything up to Sync is skipped.
//! * What was received and not processed is bounded by one message and one read.

use std::sync::Arc;
use std::time::Duration;

use driftdb_env::{planted, sometimes};
use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use super::decode::violation;
use super::encode::Encoder;
use super::message::{Bind, Frame, Message, decode, frame};
use super::reply::Reply;
use super::startup::{Hello, NEWEST_VERSION, Startup, hello};
use crate::node::{Mailbox, Node, Wake};
use crate::session::{Session, Severity, TransactionStatus, ending};

/// Takes bytes for the client.
pub trait Outlet {
    /// Writes all of `bytes`; blocks while the client is slow.
    ///
    /// # Errors
    /// The client is gone, or the server is shutting down.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()>;
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// It waits for more bytes.
    Open,
    /// Send what [`Connection::output`] holds, then close.
    Closed,
}

/// One client's connection.
pub struct Connection {
    node: Arc<Node>,
    phase: Phase,
    /// If set, the client is told why it cannot come in.
    refusal: Option<SqlError>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Whether the output holds something that the client may be waiting for.
    is_awaited: bool,
    /// For the session, once there is one.
    wake: Option<Wake>,
}

enum Phase {
    Startup,
    Running(Box<Running>),
    Closed,
}

struct Running {
    session: Session,
    mode: Mode,
}

/// Which messages are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Normal,
    /// After an error in the extended protocol.
    SkipToSync,
    CopyIn {
        is_extended: bool,
    },
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("input_bytes", &self.input.len()).finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection that begins.
    pub fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::clone(node),
            phase: Phase::Startup,
            refusal: None,
            input: Vec::new(),
            output: Vec::new(),
            is_awaited: false,
            wake: None,
        }
    }

    /// Names what to call when the connection is to end while it waits for its client.
    pub(crate) fn on_end(&mut self, wake: Wake) {
        self.wake = Some(wake);
    }

    /// Whether its session was asked to end.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(&self.phase, Phase::Running(running) if running.session.is_ending())
    }

    /// Where messages for an idle client come in, if it listens.
    pub(crate) fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        match &self.phase {
            Phase::Running(running)
                if running.mode == Mode::Normal
                    && running.session.transaction_status() == TransactionStatus::Idle =>
            {
                running.session.mailbox()
            }
            _ => None,
        }
    }

    /// How long it may wait for its client, and what is said when that was too long.
    pub(crate) fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        match &self.phase {
            Phase::Running(running) => running.session.idle_limit(),
            Phase::Startup | Phase::Closed => None,
        }
    }

    /// A connection that is told `why` as soon as it says hello. It still may cancel a statement.
    pub fn refused(node: &Arc<Node>, why: SqlError) -> Self {
        let mut connection = Self::new(node);
        connection.refusal = Some(why);
        connection
    }

    /// Takes what the client sent.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// What is to be sent to the client after [`Connection::process`].
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether the client has not said hello yet.
    pub fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Startup)
    }

    /// Tells the client that the server ends the connection.
    pub fn terminate(&mut self, why: &SqlError) {
        if let Phase::Running(_) = self.phase {
            Encoder::new(&mut self.output).report(Severity::Fatal, why);
        }
        self.phase = Phase::Closed;
    }

    /// Processes every whole message that was received. Large answers go to the outlet on the way;
    /// the rest stays in [`Connection::output`].
    pub fn process(&mut self, outlet: &mut dyn Outlet) -> ConnectionStatus {
        let input = std::mem::take(&mut self.input);
        let mut from = 0;
        // What the client waited for was sent before it was read from again.
        self.is_awaited &= !self.output.is_empty();
        loop {
            match self.step(&input[from..], outlet) {
                Ok(Some(taken)) => from += taken,
                Ok(None) => break,
                Err(error) => {
                    Encoder::new(&mut self.output).report(Severity::Fatal, &error);
                    self.phase = Phase::Closed;
                }
            }
            if matches!(self.phase, Phase::Closed) {
                return ConnectionStatus::Closed;
            }
        }
        self.keep(input, from);
        ConnectionStatus::Open
    }

    /// Keeps what was not processed, and not much more memory than that.
    fn keep(&mut self, mut input: Vec<u8>, from: usize) {
        const KEPT_CAPACITY_BYTES: usize = 64 << 10;
        input.drain(..from);
        if planted!("wire.partial-message-dropped") {
            input.clear();
        }
        if input.is_empty() && input.capacity() > KEPT_CAPACITY_BYTES {
            input = Vec::new();
        }
        self.input = input;
        if self.output.is_empty() && self.output.capacity() > 4 * KEPT_CAPACITY_BYTES {
            self.output = Vec::new();
        }
    }

    /// Processes the first message; returns its length, or none if it is not whole yet. An error ends
    /// the connection.
    fn step(&mut self, input: &[u8], outlet: &mut dyn Outlet) -> Result<Option<usize>> {
        match &mut self.phase {
            Phase::Closed => Ok(None),
            Phase::Startup => self.start(input),
            Phase::Running(running) => {
                let (kind, body) = match frame(input)? {
                    Frame::Partial => return Ok(None),
                    Frame::Whole { kind, body } => (kind, body),
                };
                let taken = body.end;
                if kind == b'X' {
                    self.phase = Phase::Closed;
                    return Ok(Some(taken));
                }
                if self.is_awaited && matches!(kind, b'Q' | b'E') && !self.output.is_empty() {
                    // The client may wait for these answers to let go of what this statement will
                    // wait for.
                    let written = outlet.write(&self.output);
                    self.output.clear();
                    self.is_awaited = false;
                    written.map_err(|error| {
                        SqlError::new(SqlState::ConnectionFailure, error.to_string())
                    })?;
                }
                let mut reply = Reply { out: &mut self.output, outlet, has_failed: false };
                self.is_awaited |= running.handle(kind, &input[body], &mut reply);
                if running.session.is_ending() {
                    self.terminate(&ending());
                }
                Ok(Some(taken))
            }
        }
    }

    fn start(&mut self, input: &[u8]) -> Result<Option<usize>> {
        let (hello, taken) = hello(input)?;
        match hello {
            Hello::Partial => return Ok(None),
            // Encryption comes with the security issue; the client may go on without.
            Hello::Encryption => self.output.push(b'N'),
            Hello::Cancel { pid, secret } => {
                self.node.cancel(pid, secret);
                self.phase = Phase::Closed;
            }
            Hello::Startup(startup) => {
                if let Some(refusal) = self.refusal.take() {
                    return Err(refusal);
                }
                self.admit(startup)?;
            }
        }
        Ok(Some(taken))
    }

    /// The database that a client asks for.
    fn database(&self, startup: &Startup) -> Result<Arc<Node>> {
        let Some(name) = &startup.database else { return Ok(Arc::clone(&self.node)) };
        match self.node.database(name) {
            // Clients name a database after the user where none was given: that means the default one.
            Err(error) if error.state == SqlState::InvalidCatalogName && *name == startup.user => {
                Ok(Arc::clone(&self.node))
            }
            found => found,
        }
    }

    fn admit(&mut self, startup: Startup) -> Result<()> {
        let node = self.database(&startup)?;
        let mut encoder = Encoder::new(&mut self.output);
        if startup.must_negotiate {
            encoder.negotiate_protocol_version(NEWEST_VERSION, &startup.unknown_options);
        }
        let session = Session::new(&node, &startup.into_options())?;
        if let Some(wake) = self.wake.take() {
            session.on_end(wake);
        }
        encoder.authentication_ok();
        for (name, value) in session.reported_settings() {
            encoder.parameter_status(name, &value);
        }
        let key = session.cancel_key();
        encoder.backend_key_data(key.pid, &key.secret);
        encoder.ready_for_query(session.transaction_status());
        self.phase = Phase::Running(Box::new(Running { session, mode: Mode::Normal }));
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Phase::Running(running) = std::mem::replace(&mut self.phase, Phase::Closed) {
            sometimes!(
                "wire.client-gone-in-a-block",
                running.session.transaction_status() != TransactionStatus::Idle
            );
            if planted!("wire.block-outlives-its-client") {
                std::mem::forget(running);
            }
        }
    }
}

impl Running {
    /// Handles one message; returns whether the client may wait for what was answered so far.
    fn handle(&mut self, kind: u8, body: &[u8], reply: &mut Reply<'_>) -> bool {
        match self.mode {
            Mode::CopyIn { is_extended } => self.handle_in_copy(kind, body, is_extended, reply),
            Mode::SkipToSync if kind != b'S' => false,
            // What a client still sends of a COPY that has failed is dropped.
            Mode::Normal if matches!(kind, b'd' | b'c' | b'f') => false,
            Mode::SkipToSync | Mode::Normal => match decode(kind, body) {
                Ok(message) => self.handle_message(message, reply),
                Err(error) => {
                    self.fail(kind, &error, reply);
                    kind == b'Q'
                }
            },
        }
    }

    /// A message could not be read, or a step of the extended protocol failed.
    fn fail(&mut self, kind: u8, error: &SqlError, reply: &mut Reply<'_>) {
        reply.encoder().report(Severity::Error, error);
        if kind == b'Q' {
            self.ready(reply);
        } else {
            self.mode = Mode::SkipToSync;
        }
    }

    fn ready(&mut self, reply: &mut Reply<'_>) {
        for (name, value) in self.session.changed_settings() {
            reply.encoder().parameter_status(name, &value);
        }
        for message in self.session.take_notifications() {
            reply.encoder().notification(&message);
        }
        reply.encoder().ready_for_query(self.session.transaction_status());
        self.session.rest();
    }

    fn handle_message(&mut self, message: Message<'_>, reply: &mut Reply<'_>) -> bool {
        match message {
            Message::Query(text) => {
                if self.session.simple_query(text, reply).is_copy_in() {
                    self.mode = Mode::CopyIn { is_extended: false };
                } else {
                    self.ready(reply);
                }
                return true;
            }
            Message::Sync => {
                self.mode = Mode::Normal;
                if let Err(error) = self.session.sync(reply) {
                    reply.encoder().report(Severity::Error, &error);
                }
                self.ready(reply);
                return true;
            }
            Message::Flush => return true,
            message => {
                if let Err(error) = self.handle_extended(message, reply) {
                    self.fail(0, &error, reply);
                }
            }
        }
        matches!(self.mode, Mode::CopyIn { .. })
    }

    fn handle_extended(&mut self, message: Message<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match message {
            Message::Parse { name, text, param_oids } => {
                self.session.prepare(name, text, &param_oids)?;
                reply.encoder().bare(b'1');
            }
            Message::Bind(Bind { portal, statement, param_formats, params, result_formats }) => {
                self.session.bind(portal, statement, &params, &param_formats, &result_formats)?;
                reply.encoder().bare(b'2');
            }
            Message::DescribeStatement(name) => {
                let described = self.session.describe_statement(name)?;
                let mut encoder = reply.encoder();
                encoder.parameter_description(described.params.iter().map(|ty| ty.oid()));
                match described.fields {
                    Some(fields) => {
                        let text = crate::session::Formats::All(crate::session::Format::Text);
                        encoder.row_description(&fields, &text);
                    }
                    None => encoder.bare(b'n'),
                }
            }
            Message::DescribePortal(name) => match self.session.describe_portal(name)? {
                Some((fields, formats)) => reply.encoder().row_description(&fields, &formats),
                None => reply.encoder().bare(b'n'),
            },
            Message::Execute { portal, max_rows } => {
                if self.session.execute(portal, max_rows, reply)?.is_copy_in() {
                    self.mode = Mode::CopyIn { is_extended: true };
                }
            }
            Message::CloseStatement(name) => {
                self.session.close_statement(name);
                reply.encoder().bare(b'3');
            }
            Message::ClosePortal(name) => {
                self.session.close_portal(name);
                reply.encoder().bare(b'3');
            }
            Message::Query(_)
            | Message::Flush
            | Message::Sync
            | Message::Terminate
            | Message::CopyData(_)
            | Message::CopyDone
            | Message::CopyFail(_) => {
                return Err(violation("this message is not of the extended protocol"));
            }
        }
        Ok(())
    }

    fn handle_in_copy(
        &mut self,
        kind: u8,
        body: &[u8],
        is_extended: bool,
        reply: &mut Reply<'_>,
    ) -> bool {
        let progress = match decode(kind, body) {
            Ok(Message::CopyData(bytes)) => self.session.copy_data(bytes, reply),
            Ok(Message::CopyDone) => self.session.copy_done(reply),
            Ok(Message::CopyFail(message)) => self.session.copy_fail(message, reply),
            // As PostgreSQL does: libraries send them without knowing of the COPY.
            Ok(Message::Flush | Message::Sync) => return false,
            Ok(_) => {
                let message = format!(
                    "unexpected message of type \"{}\" during COPY from stdin",
                    char::from(kind)
                );
                self.session.copy_fail(&message, reply)
            }
            Err(error) => self.session.copy_fail(&error.message, reply),
        };
        if progress.is_copy_in() {
            return false;
        }
        if is_extended {
            self.mode = if reply.has_failed { Mode::SkipToSync } else { Mode::Normal };
            return false;
        }
        self.mode = Mode::Normal;
        self.ready(reply);
        true
    }
}
