//! What one core asks another, and where the answer belongs. All of these are messages or parts of such: they carry values, and
//! their fields are open.

use larder_engine::{Access, DbIndex, UnixMillis};

use crate::command::{Command, CoreFn, FirstKey, Flags, Run};
use crate::dispatch::locks::Scope;
use crate::resp::Protocol;
use crate::routing::CoreId;
use crate::session::{Ending, LockId, Reader, ReplySeq, Session, SessionId, UserId, WaitNumber};

/// What is to run on the receiving core.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) enum Work {
    /// A command on its shard; the answer is the reply.
    Command(&'static Command),
    /// A part of a command; the answer is of a form the command knows.
    Part(CoreFn),
    /// A command on the keyspace as a whole.
    Each(&'static Command),
    /// At its place in the order, what was admitted before a pause is to be cleared. The answer says nothing, and comes when this
    /// has run.
    Clear,
    /// At its place in the order, what a snapshot is of. There is no answer.
    Cut,
    /// The commands of an `EXEC`, all on this core; the answer is its reply.
    Exec(QueuedCommands),
    /// Locks are asked for: the batch's request for locks of this index. The answer is a [`LockAnswer`].
    Lock(u32),
    /// Locks are given back. There is no answer.
    Unlock,
    /// Locks are given back, and what was done under them is undone first. There is no answer.
    Undo,
    /// The session has gone: nobody waits for what it has asked to be read. There is no answer.
    Leave,
    /// A session waits for keys: the batch's word of a wait of this index.
    Await(u32),
    /// A step of a wait that the core knows.
    Wait(WaitNumber, WaitStep),
}

impl Work {
    /// The function that runs it, if that works on a core, and not on its shard alone.
    pub(in crate::dispatch) fn core_fn(self) -> Option<CoreFn> {
        match self {
            Self::Part(run) => Some(run),
            Self::Each(command) => match command.spec.run {
                Run::EveryCore { each, .. } => Some(each),
                _ => unreachable!("such a command runs on every core"),
            },
            _ => None,
        }
    }
}

/// Commands that were queued since `MULTI`: which of a batch's these are.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct QueuedCommands {
    pub(in crate::dispatch) first: u32,
    pub(in crate::dispatch) count: u32,
    /// Whether the client watches keys of the core, which must be intact.
    pub(in crate::dispatch) watched: bool,
}

/// What a waiting command's coordinator asks of a core of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum WaitStep {
    /// To give up what it has reserved: there was nothing. It goes on waiting.
    GoOn,
    /// To forget it; with an ending, to answer so, if it has not been served yet.
    End(Option<Ending>),
}

/// Keys of a core that a session waits for.
#[derive(Clone, Debug)]
pub(in crate::dispatch) struct WaitRequest {
    pub(in crate::dispatch) number: WaitNumber,
    pub(in crate::dispatch) keys: Vec<Box<[u8]>>,
    pub(in crate::dispatch) command: &'static Command,
    /// What an attempt locks of the core's shard, more than the keys. None: all its keys live on the core, which makes the
    /// attempts, and the command's arguments are the request's.
    pub(in crate::dispatch) scope: Option<Scope>,
}

/// Where an answer belongs on the core that asked.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) enum Ticket {
    /// A place in a session's output.
    Reply { session: SessionId, seq: ReplySeq },
    /// Part `part` of a gathered reply of a session.
    Part {
        session: SessionId,
        gather: u32,
        part: u32,
    },
    /// The locks of a transaction of a session.
    Locks {
        session: SessionId,
        transaction: u32,
    },
    /// A command that may block, whose keys all live on the core asked: it may have the session wait.
    Attempt { session: SessionId },
    /// Word for a waiting command: a [`WaitWord`](crate::dispatch::blocking::word::WaitWord).
    Wait {
        session: SessionId,
        number: WaitNumber,
    },
    /// The session wants none (`CLIENT REPLY OFF`).
    Discard { session: SessionId },
}

impl Ticket {
    /// The session whose request it answers.
    pub(in crate::dispatch) fn session(self) -> SessionId {
        match self {
            Self::Reply { session, .. }
            | Self::Part { session, .. }
            | Self::Locks { session, .. }
            | Self::Attempt { session }
            | Self::Wait { session, .. }
            | Self::Discard { session } => session,
        }
    }
}

/// Word that a client has taken large answers.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Credit {
    pub(in crate::dispatch) session: SessionId,
    pub(in crate::dispatch) bytes: u64,
}

/// What a request says besides its arguments.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct RequestHead {
    pub(in crate::dispatch) ticket: Ticket,
    pub(in crate::dispatch) work: Work,
    pub(in crate::dispatch) db: DbIndex,
    pub(in crate::dispatch) protocol: Protocol,
    pub(in crate::dispatch) access: Access,
    pub(in crate::dispatch) client_id: u64,
    /// As whom it is done.
    pub(in crate::dispatch) user: UserId,
    /// Whether the session's client keeps what the command reads.
    pub(in crate::dispatch) reading: Reading,
    /// The first key's hash, if it is known.
    pub(in crate::dispatch) first_key: FirstKey,
    /// The locks it runs under, if it belongs to a transaction.
    pub(in crate::dispatch) locks: Option<Held>,
}

impl RequestHead {
    /// A request that concerns no keys, for nobody in particular.
    pub(in crate::dispatch) fn of(ticket: Ticket, work: Work) -> Self {
        Self {
            ticket,
            work,
            db: DbIndex(0),
            protocol: Protocol::Resp2,
            access: Access::Peek,
            client_id: 0,
            user: UserId::DEFAULT,
            reading: Reading::NotRemembered,
            first_key: FirstKey::UNKNOWN,
            locks: None,
        }
    }

    /// The session that the request is for, if it came from core `from`.
    pub(in crate::dispatch) fn origin(&self, from: CoreId) -> Reader {
        Reader {
            core: from,
            session: self.ticket.session(),
        }
    }
}

/// Locks of the shard where the work runs, which its transaction holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Held {
    pub(in crate::dispatch) id: LockId,
    pub(in crate::dispatch) then: Then,
    pub(in crate::dispatch) tells: Tells,
    pub(in crate::dispatch) counts: Counts,
}

/// Whether what is done counts in the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Counts {
    Now,
    /// It did before: a script that has begun again does it once more.
    Before,
}

impl Counts {
    /// Whether a session's next command counts.
    pub(in crate::dispatch) fn of(session: &Session) -> Self {
        match &session.executing {
            Some(executing) if executing.counted_before => Self::Before,
            _ => Self::Now,
        }
    }
}

/// Which core tells of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Tells {
    /// The core where it happens.
    Here,
    /// The one that asked: it is part of something that concerns several cores.
    Asker,
}

/// The locks a transaction holds, a core each.
pub(in crate::dispatch) type LocksHeld = Vec<(CoreId, LockId)>;

/// The lock among `locks` that is on core `core`, and what is to become of it.
pub(in crate::dispatch) fn held_on(locks: &LocksHeld, core: CoreId, then: Then) -> Option<Held> {
    let (_, id) = locks.iter().find(|(of, _)| *of == core)?;
    let tells = Tells::Here;
    Some(Held {
        id: *id,
        then,
        tells,
        counts: Counts::Now,
    })
}

/// What becomes of locks behind the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Then {
    /// More work comes under them.
    Keep,
    /// They are given back.
    Release,
}

/// Locks a transaction asks a shard for, at its place in the order.
#[derive(Clone, Debug)]
pub(in crate::dispatch) struct LockRequest {
    pub(in crate::dispatch) scope: Scope,
    /// The client whose watch of this shard's keys must be intact.
    pub(in crate::dispatch) watcher: Option<u64>,
    /// It is for a client that waited, and has reserved them.
    pub(in crate::dispatch) is_served: bool,
    /// What is done under them may have to be taken back.
    pub(in crate::dispatch) is_undoable: bool,
}

/// Whether what a client watches is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Watch {
    Intact,
    Broken,
}

/// The answer to a [`LockRequest`]: the transaction holds the locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) struct LockAnswer {
    pub(in crate::dispatch) lock: LockId,
    pub(in crate::dispatch) watch: Watch,
    /// The time at the place of the request, which is that of the whole transaction.
    pub(in crate::dispatch) time: UnixMillis,
}

impl LockAnswer {
    pub(in crate::dispatch) fn write(self, out: &mut Vec<u8>) {
        out.push(u8::from(self.watch == Watch::Broken));
        out.extend_from_slice(&self.time.0.to_le_bytes());
        out.extend_from_slice(&self.lock.0.to_le_bytes());
    }

    /// Reads an answer.
    ///
    /// # Panics
    /// If `bytes` are none: they come from a core of this process.
    pub(in crate::dispatch) fn read(bytes: &[u8]) -> Self {
        let (watch, rest) = bytes.split_at(1);
        let (time, lock) = rest.split_at(8);
        let time = time.try_into().expect("a time is eight bytes");
        let lock = lock.try_into().expect("the place of locks is four bytes");
        Self {
            lock: LockId(u32::from_le_bytes(lock)),
            time: UnixMillis(i64::from_le_bytes(time)),
            watch: if watch[0] == 0 {
                Watch::Intact
            } else {
                Watch::Broken
            },
        }
    }
}

/// Whether what a command reads is remembered, for its client to be told of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Reading {
    Remembered,
    NotRemembered,
}

impl Reading {
    /// Whether what `command` of `session` reads is remembered.
    #[inline]
    pub(in crate::dispatch) fn of(session: &Session, command: &Command) -> Self {
        // A script is asked of each of its commands.
        let may_read =
            command.spec.flags.has(Flags::READONLY) || matches!(command.spec.run, Run::Script(_));
        if session.is_reading_tracked() && may_read {
            Self::Remembered
        } else {
            Self::NotRemembered
        }
    }

    /// The session to remember, if it is `itself`.
    #[inline]
    pub(in crate::dispatch) fn reader(self, itself: Reader) -> Option<Reader> {
        (self == Self::Remembered).then_some(itself)
    }
}
