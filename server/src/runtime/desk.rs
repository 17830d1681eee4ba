//! What happens to connections in a turn, whatever the backend: the events come in through [`Events`], the core's wishes
//! go out through [`Desk::attend`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::accept_failures::AcceptFailures;
use super::backend::{Backend, Ended, Events, Release, Sending, Token};
use super::connections::{Connections, Life, Receiving, Writing, peer_of, prepare_tcp};
use super::listen::Listener;
use super::mail::{Arrival, Mail};
use super::ring::os;
use crate::dispatch::{Core, Intent};
use crate::log;
use crate::persist::files::{Asker, FileDone};
use crate::session::{Endpoint, SessionId};

/// How long no connection is accepted after the process ran out of descriptors.
const ACCEPT_PAUSE_MS: u64 = 100;

/// The state of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    On,
    /// Off until this millisecond of the core's monotonic clock.
    Paused(u64),
    Off,
}

/// A core's connections and the core they belong to.
pub(super) struct Desk {
    pub(super) core: Core,
    pub(super) mail: Mail,
    connections: Connections,
    listeners: Vec<(Listener, Accepting)>,
    /// What goes out with the next `enter`.
    pub(super) sends: Vec<Sending>,
    /// Sessions to attend to: something about their connection changed.
    changed: Vec<SessionId>,
    /// Connections that the backend has not heard of.
    fresh: Vec<SessionId>,
    /// The core that gets the next connection of a socket that only this core accepts from.
    next_place: usize,
    /// The next turn has something to do of which the backend tells nothing by itself: once the listed sends are over, or for the other
    /// cores, which hear of a session that has ended behind what was shipped.
    follow_up: bool,
    /// The server ends: nothing is accepted or received any more.
    draining: bool,
    accept_failures: AcceptFailures,
}

impl Desk {
    pub(super) fn new(mut core: Core, mut mail: Mail, listeners: Vec<Listener>) -> Self {
        core.connect_lines(mail.take_lines());
        let listeners = listeners
            .into_iter()
            .map(|listener| (listener, Accepting::Paused(0)))
            .collect();
        Self {
            core,
            next_place: mail.id().index(),
            mail,
            connections: Connections::default(),
            listeners,
            sends: Vec::new(),
            changed: Vec::new(),
            fresh: Vec::new(),
            follow_up: false,
            draining: false,
            accept_failures: AcceptFailures::default(),
        }
    }

    fn now_ms(&mut self) -> u64 {
        self.core.state().clock.monotonic_ms()
    }

    /// Accounts for the sends of the last `enter`.
    #[inline]
    pub(super) fn settle_sends(&mut self, backend: &mut impl Backend) {
        self.follow_up = false;
        for sending in self.sends.drain(..) {
            let Some(connection) = self.connections.of(sending.id) else {
                continue;
            };
            connection.writing = Writing::Idle;
            match sending.sent {
                Ok(sent) => {
                    self.core.sent(sending.id, sent);
                    if sent < sending.asked {
                        connection.writing = Writing::Blocked;
                        let token = Token::of(sending.id);
                        backend.await_writable(token, connection.socket.as_fd());
                    } else if connection.life > Life::Open
                        || !self.core.unsent(sending.id).is_empty()
                    {
                        self.changed.push(sending.id);
                    }
                }
                Err(_) => self.core.disconnected(sending.id),
            }
        }
    }

    /// Whether the next turn has to follow at once.
    #[inline]
    pub(super) fn has_follow_up(&self) -> bool {
        self.follow_up
    }

    /// Takes in connections that another core accepted.
    pub(super) fn take_arrivals(&mut self) {
        let arrivals: Vec<Arrival> = self.mail.arrivals().collect();
        for Arrival { socket, unix_path } in arrivals {
            self.take_in(socket, unix_path.as_deref(), Endpoint::Server);
        }
    }

    /// Does what the core wants of its connections: send, receive or not, close.
    pub(super) fn attend(&mut self, backend: &mut impl Backend) {
        self.resume_accepting(backend);
        while let Some(id) = self.fresh.pop() {
            self.begin(backend, id);
        }
        let mut changed = std::mem::take(&mut self.changed);
        self.core.take_dirty(&mut changed);
        for id in changed.drain(..) {
            self.attend_to(backend, id);
        }
        self.changed = changed;
        if self.core.has_file_ops() {
            for asked in self.core.take_file_ops() {
                backend.ask_file(asked);
            }
        }
    }

    fn begin(&mut self, backend: &mut impl Backend, id: SessionId) {
        let Some(connection) = self.connections.of(id) else {
            return;
        };
        match backend.watch(Token::of(id), connection.socket.as_fd()) {
            Ok(()) => self.changed.push(id),
            Err(_) => self.core.disconnected(id),
        }
    }

    #[inline]
    fn attend_to(&mut self, backend: &mut impl Backend, id: SessionId) {
        let Some(connection) = self.connections.of(id) else {
            return;
        };
        let token = Token::of(id);
        let intent = self.core.intent(id);
        if connection.life == Life::Closing || intent == Intent::CloseNow {
            return self.close(backend, id);
        }
        let unsent = !self.core.unsent(id).is_empty();
        if intent == Intent::CloseAfterSend {
            if !unsent {
                return self.close(backend, id);
            }
            connection.life = Life::Finishing;
        }
        if unsent && connection.writing == Writing::Idle {
            connection.writing = Writing::Listed;
            self.follow_up |= connection.life > Life::Open || self.core.goes_on_when_sent(id);
            self.sends.push(Sending {
                id,
                socket: connection.socket.as_raw_fd(),
                sent: Ok(0),
                asked: 0,
            });
        }
        match (intent, connection.receiving) {
            (Intent::Read, Receiving::Off) if connection.life == Life::Open && !self.draining => {
                connection.receiving = Receiving::On;
                backend.receive(token, connection.socket.as_fd());
            }
            (_, Receiving::On) if intent != Intent::Read || self.draining => {
                connection.receiving = match backend.stop_receiving(token) {
                    Release::Done => Receiving::Off,
                    Release::Pending => Receiving::Stopping,
                };
            }
            _ => {}
        }
    }

    /// Closes the connection as soon as nothing is under way for it.
    #[cold]
    fn close(&mut self, backend: &mut impl Backend, id: SessionId) {
        let Some(connection) = self.connections.of(id) else {
            return;
        };
        let token = Token::of(id);
        if connection.life != Life::Closing {
            connection.life = Life::Closing;
            if backend.release(token, connection.socket.as_fd()) == Release::Done {
                connection.receiving = Receiving::Off;
                connection.writing = Writing::Idle;
            }
        }
        if connection.receiving == Receiving::Off && connection.writing != Writing::Blocked {
            self.connections.remove(token);
            self.core.closed(id);
            self.follow_up = true;
        }
    }

    fn resume_accepting(&mut self, backend: &mut impl Backend) {
        if self
            .listeners
            .iter()
            .all(|(_, accepting)| !matches!(accepting, Accepting::Paused(_)))
        {
            return;
        }
        let now_ms = self.now_ms();
        for (index, (listener, accepting)) in self.listeners.iter_mut().enumerate() {
            if matches!(accepting, Accepting::Paused(until_ms) if *until_ms <= now_ms) {
                *accepting = match backend.accept(index, listener.socket.as_fd()) {
                    Ok(()) => Accepting::On,
                    Err(error) => {
                        tell(self.accept_failures.note(now_ms, &error));
                        Accepting::Paused(now_ms + ACCEPT_PAUSE_MS)
                    }
                };
            }
        }
    }

    /// When accepting goes on, in milliseconds of the core's monotonic clock.
    pub(super) fn accept_again_ms(&self) -> Option<u64> {
        let paused = self
            .listeners
            .iter()
            .filter_map(|(_, accepting)| match accepting {
                Accepting::Paused(until_ms) => Some(*until_ms),
                _ => None,
            });
        paused.min()
    }

    /// A client has connected.
    fn take_in(&mut self, socket: OwnedFd, unix_path: Option<&str>, endpoint: Endpoint) {
        let peer = peer_of(&socket, unix_path, endpoint);
        if !peer.unix {
            prepare_tcp(&socket, self.core.state().config.tcp_keepalive_secs.into());
        }
        match self.core.connect(peer) {
            Ok(id) => {
                self.connections.insert(id, socket);
                self.fresh.push(id);
            }
            Err(text) => {
                // The client may be gone, and will not be missed.
                let _ = os::send_now(socket.as_raw_fd(), text);
            }
        }
    }

    /// Stops accepting and receiving: the server ends.
    pub(super) fn begin_drain(&mut self, backend: &mut impl Backend) {
        for (index, (listener, accepting)) in self.listeners.iter_mut().enumerate() {
            if *accepting == Accepting::On {
                backend.stop_accepting(index, listener.socket.as_fd());
            }
            *accepting = Accepting::Off;
        }
        self.draining = true;
        self.changed.extend(self.connections.ids());
    }

    /// Closes the connections that are owed nothing more; the server ends.
    pub(super) fn close_settled(&mut self, backend: &mut impl Backend) {
        let ids: Vec<SessionId> = self.connections.ids().collect();
        for id in ids {
            let owed = self.core.state().sessions.get(id).is_some_and(|session| {
                let output = &session.output;
                let awaited = output.outstanding() > 0 && !session.is_blocked();
                awaited || !output.unsent().is_empty()
            });
            if !owed {
                self.close(backend, id);
            }
        }
    }

    /// Whether all connections are closed.
    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }
}

/// Writes a line that is due.
fn tell(line: Option<String>) {
    if let Some(line) = line {
        log::warn(format_args!("{line}"));
    }
}

impl Events for Desk {
    fn accepted(&mut self, listener: usize, socket: OwnedFd) {
        let Some((listener, Accepting::On)) = self.listeners.get(listener) else {
            return;
        };
        let endpoint = listener.endpoint;
        match listener.unix_path.clone() {
            None => self.take_in(socket, None, endpoint),
            Some(path) => {
                let place = self.next_place;
                self.next_place = (place + 1) % self.mail.mesh().len();
                if place == self.mail.id().index() {
                    self.take_in(socket, Some(&path), endpoint);
                } else {
                    let arrival = Arrival {
                        socket,
                        unix_path: Some(path),
                    };
                    self.mail.mesh().hand_over(place, arrival);
                }
            }
        }
    }

    fn accepting_ended(&mut self, listener: usize, error: Option<io::Error>) {
        let now_ms = self.now_ms();
        let (_, accepting) = &mut self.listeners[listener];
        if *accepting == Accepting::On {
            let passing = error.as_ref().is_none_or(|error| {
                matches!(
                    error.raw_os_error(),
                    Some(libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO)
                )
            });
            let pause_ms = if passing { 0 } else { ACCEPT_PAUSE_MS };
            if let Some(error) = error.filter(|_| !passing) {
                tell(self.accept_failures.note(now_ms, &error));
            }
            *accepting = Accepting::Paused(now_ms + pause_ms);
        }
    }

    #[inline]
    fn received(&mut self, from: Token, bytes: &[u8]) {
        if let Some(connection) = self.connections.at(from)
            && connection.life == Life::Open
        {
            self.core.receive(connection.id, bytes);
        }
    }

    fn receiving_ended(&mut self, from: Token, why: Ended) {
        let Some(connection) = self.connections.at(from) else {
            return;
        };
        let id = connection.id;
        if why == Ended::NotStopped {
            if connection.receiving == Receiving::Stopping {
                connection.receiving = Receiving::On;
                self.changed.push(id);
            }
            return;
        }
        connection.receiving = Receiving::Off;
        match why {
            Ended::EndOfInput if connection.life == Life::Open => {
                connection.life = Life::InputEnded;
                self.core.input_ended(id);
            }
            Ended::Broken => self.core.disconnected(id),
            _ => {}
        }
        self.changed.push(id);
    }

    fn file_done(&mut self, by: Asker, outcome: io::Result<FileDone>) {
        self.core.file_done(by, outcome);
    }

    fn writable(&mut self, to: Token) {
        if let Some(connection) = self.connections.at(to) {
            connection.writing = Writing::Idle;
            self.changed.push(connection.id);
        }
    }

    #[inline]
    fn socket(&self, of: Token) -> Option<BorrowedFd<'_>> {
        self.connections.socket(of)
    }

    fn listener(&self, of: usize) -> Option<BorrowedFd<'_>> {
        let (listener, _) = self.listeners.get(of)?;
        Some(listener.socket.as_fd())
    }
}
