//! The backend on epoll (through mio), for hosts that forbid io_uring: readiness, then recv(2) and send(2).
//!
//! Sockets are registered once, edge-triggered, for both directions. A connection whose edge came is kept in a list until
//! it was read empty; a short read is as good as an empty one.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Poll};
use socket2::SockRef;

use super::backend::{Backend, Ended, Events, Patience, Release, Sending, Token, send_directly};
use super::file_thread::FileThread;
use super::mail::{Mail, Mesh};
use crate::dispatch::Core;
use crate::persist::files::Asked;

/// Events taken in one turn.
const EVENTS_MAX: usize = 1024;
/// Bytes received at once.
const READ_BYTES: usize = 64 << 10;
/// Reads of one connection in a turn; what is left waits for the next, so that others get their turn.
const READS_MAX: usize = 16;
/// Connections accepted in one turn.
const ACCEPTS_MAX: usize = 64;

/// The lower half of mio's token is a connection's token or a listener's index; the upper half says which.
const LISTENER: usize = 1 << 32;
const BELL: usize = 2 << 32;

/// What the backend keeps of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Whether it is to be received from.
    receiving: bool,
    /// Whether it may have bytes to receive.
    readable: bool,
    /// Whether it is in the list of connections to read.
    listed: bool,
    /// Whether everything up to the end of its input is there, so that a short read is not the last.
    input_closed: bool,
    /// Whether word of its writability is wanted.
    awaits_writable: bool,
}

/// A core's epoll.
pub(super) struct EpollBackend {
    poll: Poll,
    events: mio::Events,
    /// By token.
    states: Vec<State>,
    /// Connections to read.
    to_read: VecDeque<Token>,
    /// Listeners to accept from.
    to_accept: Vec<usize>,
    writable: Vec<Token>,
    bell_rang: bool,
    /// Started with the first operation on files.
    files: Option<FileThread>,
    mesh: Arc<Mesh>,
    /// This core's place in the mesh.
    place: usize,
    buffer: Box<[u8]>,
}

impl EpollBackend {
    /// An epoll for the core whose mail this is.
    ///
    /// # Errors
    /// Too few descriptors.
    pub(super) fn new(mail: &Mail) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = mail.bell().as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&bell), mio::Token(BELL), Interest::READABLE)?;
        Ok(Self {
            poll,
            events: mio::Events::with_capacity(EVENTS_MAX),
            states: Vec::new(),
            to_read: VecDeque::new(),
            to_accept: Vec::new(),
            writable: Vec::new(),
            bell_rang: false,
            files: None,
            mesh: Arc::clone(mail.mesh()),
            place: mail.id().index(),
            buffer: vec![0; READ_BYTES].into(),
        })
    }

    fn list(&mut self, token: Token) {
        let state = &mut self.states[token.index()];
        if state.receiving && state.readable && !state.listed {
            state.listed = true;
            self.to_read.push_back(token);
        }
    }

    fn sort_events(&mut self) {
        let events = std::mem::replace(&mut self.events, mio::Events::with_capacity(0));
        for event in &events {
            let mio::Token(value) = event.token();
            if value >= BELL {
                self.bell_rang = true;
            } else if value >= LISTENER {
                self.to_accept.push(value - LISTENER);
            } else {
                let token = Token(value as u32);
                let Some(state) = self.states.get_mut(token.index()) else {
                    continue;
                };
                if event.is_writable() && std::mem::take(&mut state.awaits_writable) {
                    self.writable.push(token);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    state.readable = true;
                    state.input_closed |= event.is_read_closed() || event.is_error();
                    self.list(token);
                }
            }
        }
        self.events = events;
    }

    fn accept_all(&mut self, listener: usize, events: &mut impl Events) {
        for _ in 0..ACCEPTS_MAX {
            let Some(socket) = events.listener(listener) else {
                return;
            };
            let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            match SockRef::from(&socket).accept4(flags) {
                Ok((socket, _)) => events.accepted(listener, socket.into()),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => return events.accepting_ended(listener, Some(error)),
                },
            }
        }
        // There may be more, and no edge will come for them.
        self.to_accept.push(listener);
    }

    fn read(&mut self, token: Token, events: &mut impl Events) {
        for _ in 0..READS_MAX {
            if !self.states[token.index()].receiving {
                return;
            }
            let Some(socket) = events.socket(token) else {
                return;
            };
            match (&*SockRef::from(&socket)).read(&mut self.buffer) {
                Ok(0) => return self.end(token, events, Ended::EndOfInput),
                Ok(len) => {
                    events.received(token, &self.buffer[..len]);
                    let state = &mut self.states[token.index()];
                    if len < self.buffer.len() && !state.input_closed {
                        state.readable = false;
                        return;
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        self.states[token.index()].readable = false;
                        return;
                    }
                    _ => return self.end(token, events, Ended::Broken),
                },
            }
        }
        self.list(token);
    }

    fn end(&mut self, token: Token, events: &mut impl Events, why: Ended) {
        let state = &mut self.states[token.index()];
        state.receiving = false;
        state.readable = false;
        events.receiving_ended(token, why);
    }
}

impl Backend for EpollBackend {
    fn enter(&mut self, core: &Core, sends: &mut [Sending], patience: Patience) -> io::Result<()> {
        send_directly(core, sends);
        for sending in &*sends {
            // Before the wait, which may bring the edge already.
            if matches!(sending.sent, Ok(sent) if sent < sending.asked) {
                self.states[Token::of(sending.id).index()].awaits_writable = true;
            }
        }
        let timeout = match patience {
            _ if self.has_come() => Some(Duration::ZERO),
            Patience::None => Some(Duration::ZERO),
            Patience::For(time) => Some(time),
            Patience::Endless => None,
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            done => done?,
        }
        self.sort_events();
        Ok(())
    }

    fn drain(&mut self, events: &mut impl Events) {
        if std::mem::take(&mut self.bell_rang) {
            self.mesh.silence_bell(self.place);
        }
        for (by, outcome) in self.files.iter_mut().flat_map(FileThread::take_done) {
            events.file_done(by, outcome);
        }
        for token in self.writable.drain(..) {
            events.writable(token);
        }
        for listener in std::mem::take(&mut self.to_accept) {
            self.accept_all(listener, events);
        }
        for _ in 0..self.to_read.len() {
            let Some(token) = self.to_read.pop_front() else {
                break;
            };
            self.states[token.index()].listed = false;
            self.read(token, events);
        }
    }

    fn has_come(&self) -> bool {
        !self.to_read.is_empty() || !self.to_accept.is_empty() || !self.writable.is_empty()
    }

    fn shares_thread(&mut self) -> bool {
        false
    }

    async fn yield_thread(&mut self, _at_most: Option<Duration>) {}

    fn accept(&mut self, listener: usize, socket: BorrowedFd<'_>) -> io::Result<()> {
        SockRef::from(&socket).set_nonblocking(true)?;
        let registered = self.poll.registry().register(
            &mut SourceFd(&socket.as_raw_fd()),
            mio::Token(LISTENER + listener),
            Interest::READABLE,
        );
        match registered {
            // Accepting goes on after a pause: connections that came meanwhile make no edge.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.to_accept.push(listener);
                Ok(())
            }
            done => done,
        }
    }

    fn stop_accepting(&mut self, _listener: usize, socket: BorrowedFd<'_>) {
        // Only a socket that was never registered is refused.
        let _ = self
            .poll
            .registry()
            .deregister(&mut SourceFd(&socket.as_raw_fd()));
    }

    fn watch(&mut self, token: Token, socket: BorrowedFd<'_>) -> io::Result<()> {
        if self.states.len() <= token.index() {
            self.states.resize(token.index() + 1, State::default());
        }
        self.states[token.index()] = State {
            listed: self.states[token.index()].listed,
            ..State::default()
        };
        // A connection from another core comes as that core accepted it.
        SockRef::from(&socket).set_nonblocking(true)?;
        self.poll.registry().register(
            &mut SourceFd(&socket.as_raw_fd()),
            mio::Token(token.index()),
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    fn receive(&mut self, token: Token, _socket: BorrowedFd<'_>) {
        self.states[token.index()].receiving = true;
        self.list(token);
    }

    fn stop_receiving(&mut self, token: Token) -> Release {
        self.states[token.index()].receiving = false;
        Release::Done
    }

    fn await_writable(&mut self, _token: Token, _socket: BorrowedFd<'_>) {
        // Asked for in `enter`, as soon as the socket was full.
    }

    fn release(&mut self, token: Token, _socket: BorrowedFd<'_>) -> Release {
        if let Some(state) = self.states.get_mut(token.index()) {
            state.receiving = false;
            state.awaits_writable = false;
        }
        // Closing the socket takes it out of the epoll.
        Release::Done
    }

    fn ask_file(&mut self, asked: Asked) {
        let (mesh, place) = (&self.mesh, self.place);
        let start = || {
            FileThread::start(Arc::clone(mesh), place).expect("a server has threads for its files")
        };
        self.files.get_or_insert_with(start).ask(asked);
    }

    fn wake(&mut self, place: usize) {
        self.mesh.ring_bell(place);
    }
}
