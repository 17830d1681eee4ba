//! The seam between a core's turn and the operating system: what the turn asks of a backend, and what a backend tells it.
//!
//! A turn is [`Backend::enter`] (send, wait: the turn's one system call on io_uring), then [`Backend::drain`] (what has
//! come), then the core's work, which queues receives, polls and wake-ups for the next `enter`.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use super::ring::os;
use crate::dispatch::Core;
use crate::persist::files::{Asked, Asker, FileDone};
use crate::session::SessionId;

/// A connection's number on its core: the index of its session. It names one connection from accept to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(pub(super) u32);

impl Token {
    /// The token of a session's connection.
    pub(super) fn of(id: SessionId) -> Self {
        Self(u32::try_from(id.index()).expect("a session's index is 32 bits wide"))
    }

    /// As an index.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// How long [`Backend::enter`] may wait for something to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// This long.
    For(Duration),
    /// For ever.
    Endless,
}

/// What a session has to send in this turn.
#[derive(Debug)]
pub(super) struct Sending {
    /// Whose [`Core::unsent`] bytes.
    pub(super) id: SessionId,
    /// Where to.
    pub(super) socket: RawFd,
    /// How many of the bytes went out once `enter` returned; less than asked for when the socket was full.
    pub(super) sent: io::Result<usize>,
    /// How many were asked to go.
    pub(super) asked: usize,
}

/// Why a connection is not received from any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// For no reason of its own: ask again.
    Lapsed,
    /// It was asked to stop.
    Stopped,
    /// The client will send nothing more.
    EndOfInput,
    /// The connection broke.
    Broken,
    /// It has not ended: the attempt to stop it found nothing under way at that moment.
    NotStopped,
}

/// Whether a backend still has something under way for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// Nothing: its socket may be closed.
    Done,
    /// Something; its end will be told.
    Pending,
}

/// What came in a turn, told in order by [`Backend::drain`].
pub(super) trait Events {
    /// A client connected.
    fn accepted(&mut self, listener: usize, socket: OwnedFd);
    /// `listener` is not accepted from any more.
    fn accepting_ended(&mut self, listener: usize, error: Option<io::Error>);
    /// `bytes` arrived; they are gone after the call.
    fn received(&mut self, from: Token, bytes: &[u8]);
    /// The connection is not received from any more.
    fn receiving_ended(&mut self, from: Token, why: Ended);
    /// What came of an operation on files.
    fn file_done(&mut self, by: Asker, outcome: io::Result<FileDone>);
    /// The connection takes bytes again, or is broken.
    fn writable(&mut self, to: Token);
    /// The connection's socket, while it is open.
    fn socket(&self, of: Token) -> Option<BorrowedFd<'_>>;
    /// The listener's socket, while it is open.
    fn listener(&self, of: usize) -> Option<BorrowedFd<'_>>;
}

/// A way to the operating system, owned by one core.
pub(super) trait Backend {
    /// Sends what `sends` names, carries out what was queued, and waits with `patience` for something to come.
    ///
    /// # Errors
    /// The backend is broken and the core cannot go on.
    fn enter(&mut self, core: &Core, sends: &mut [Sending], patience: Patience) -> io::Result<()>;

    /// Tells what came.
    fn drain(&mut self, events: &mut impl Events);

    /// Whether something has come that [`Self::drain`] has not told yet.
    fn has_come(&self) -> bool;

    /// Whether other tasks of the core's thread wait for its time; then every turn calls [`Self::yield_thread`].
    fn shares_thread(&mut self) -> bool;

    /// Lets other tasks of the thread run until something comes, at most as long as `at_most`; with zero, only if their
    /// turn has come. It may return early.
    async fn yield_thread(&mut self, at_most: Option<Duration>);

    /// Accepts from `socket` until told to stop.
    ///
    /// # Errors
    /// The socket cannot be watched.
    fn accept(&mut self, listener: usize, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// Accepts from the listener no more; it may be closed afterwards.
    fn stop_accepting(&mut self, listener: usize, socket: BorrowedFd<'_>);

    /// Takes notice of a new connection.
    ///
    /// # Errors
    /// The socket cannot be watched.
    fn watch(&mut self, token: Token, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// Receives from the connection until told to stop.
    fn receive(&mut self, token: Token, socket: BorrowedFd<'_>);

    /// Stops receiving. `Pending`: [`Events::receiving_ended`] will tell.
    fn stop_receiving(&mut self, token: Token) -> Release;

    /// Tells once when the connection takes bytes.
    fn await_writable(&mut self, token: Token, socket: BorrowedFd<'_>);

    /// The connection is to be closed: ends whatever is under way for it. `Pending`: the ends of receiving and of waiting
    /// for writability will be told.
    fn release(&mut self, token: Token, socket: BorrowedFd<'_>) -> Release;

    /// Has an operation on files done. [`Events::file_done`] will tell what came of it.
    fn ask_file(&mut self, asked: Asked);

    /// Wakes the core at `place` of the mesh, which sleeps.
    fn wake(&mut self, place: usize);
}

/// Sends what `sends` names by send(2), a system call per connection.
pub(super) fn send_directly(core: &Core, sends: &mut [Sending]) {
    for sending in sends {
        let bytes = core.unsent(sending.id);
        sending.asked = bytes.len();
        sending.sent = if bytes.is_empty() {
            Ok(0)
        } else {
            os::send_now(sending.socket, bytes)
        };
    }
}
