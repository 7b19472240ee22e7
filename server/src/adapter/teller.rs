//! Tells an idle client what other sessions notify it of.
//!
//! A client's thread blocks in its read, so that a client that listens has a second thread: it sleeps
//! until there is a message and the client is idle, and writes then. The two never write at once: who
//! answers waits until the other has written, and whoever sends a message waits for nobody.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use driftdb_env::sync::{Condvar, Mutex};

use super::Shared;
use super::outlet::SocketOutlet;
use crate::node::Mailbox;
use crate::protocol::{Encoder, Outlet};

/// A listening client's second thread; dropping this ends it.
pub(super) struct Teller {
    line: Arc<Line>,
}

struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_idle: bool,
    is_writing: bool,
    is_closed: bool,
}

/// While this lives the client may be told.
pub(super) struct Idle<'a>(&'a Line);

impl Teller {
    pub(super) fn start(
        stream: &Arc<TcpStream>,
        shared: &Arc<Shared>,
        mailbox: &Arc<Mailbox>,
    ) -> io::Result<Self> {
        let line = Arc::new(Line { state: Mutex::default(), changed: Condvar::new() });
        let woken = Arc::clone(&line);
        mailbox.set_wake(Box::new(move || {
            // With the latch, so that it is not lost on one that is about to sleep.
            drop(woken.state.lock());
            woken.changed.notify_all();
        }));
        let (stream, shared, mailbox) =
            (Arc::clone(stream), Arc::clone(shared), Arc::clone(mailbox));
        let own = Arc::clone(&line);
        std::thread::Builder::new().name("driftdb teller".into()).spawn(move || {
            // The client is gone: its own thread finds out.
            own.tell(&stream, &shared, &mailbox).ok();
        })?;
        Ok(Self { line })
    }

    pub(super) fn while_idle(&self) -> Idle<'_> {
        self.line.state.lock().is_idle = true;
        self.line.changed.notify_all();
        Idle(&self.line)
    }
}

impl Line {
    fn tell(&self, stream: &TcpStream, shared: &Shared, mailbox: &Mailbox) -> io::Result<()> {
        let mut outlet = SocketOutlet::new(stream, shared)?;
        let mut bytes = Vec::new();
        loop {
            let mut state = self.state.lock();
            while !state.is_closed && (!state.is_idle || mailbox.is_empty()) {
                self.changed.wait(&mut state);
            }
            if state.is_closed {
                return Ok(());
            }
            state.is_writing = true;
            drop(state);
            bytes.clear();
            for message in mailbox.take() {
                Encoder::new(&mut bytes).notification(&message);
            }
            let written = outlet.write(&bytes);
            self.state.lock().is_writing = false;
            self.changed.notify_all();
            written?;
        }
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_idle = false;
        while state.is_writing {
            self.0.changed.wait(&mut state);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.line.state.lock().is_closed = true;
        self.line.changed.notify_all();
    }
}
