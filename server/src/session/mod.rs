//! One client connection, sans-I/O: its protocol state, what it still has to say and what it is still owed.

mod crowd;
mod kept;
mod large;
mod limits;
mod memory;
mod multi;
mod output;
mod prefix_tree;
mod prefixes;
mod readers;
mod subscribers;
mod subscriptions;
mod table;
mod tracking;
mod unread;
mod user;

pub use crowd::Crowd;
pub use kept::Watched;
pub use large::{LARGE_ANSWER_BYTES, LARGE_ANSWERS_MAX_BYTES, LargeAnswer, LargeAnswers};
pub use limits::{HighWater, READERS_FORGOTTEN_MAX};
pub use memory::{COUNTED_BYTES, SessionMemory, SizeClass};
pub use multi::{Executing, Holds, Multi, QueuedCommand, QueuedPlacement, Queueing};
pub use output::{Output, OutputMark, ReplySeq};
pub use prefix_tree::PrefixTree;
pub use prefixes::{Changed, Prefixes};
pub use readers::{Reader, Readers};
pub use subscribers::Subscribers;
pub use subscriptions::Subscriptions;
pub use table::{SessionId, Sessions};
pub use tracking::{OwnChanges, Redirect, Tracking, TrackingMode};
pub use unread::Query;
pub use user::UserId;

use std::net::IpAddr;

use larder_engine::DbIndex;

use crate::config::Origin;
use crate::observe::{CommandId, Stats};
use crate::resp::{Parser, Protocol, Reply, errors};
use crate::routing::CoreId;
use unread::Unread;

/// Where a connection comes from, as `CLIENT LIST` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// `ip:port` of the client, or `path:0` for a unix socket.
    pub addr: Box<str>,
    /// `ip:port` of the server's end.
    pub local_addr: Box<str>,
    /// File descriptor.
    pub fd: i32,
    /// Whether it came by a unix socket.
    pub unix: bool,
    /// Which of the server's endpoints it came to.
    pub endpoint: Endpoint,
}

/// What a connection was made to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// The port or the unix socket of the server as a whole.
    #[default]
    Server,
    /// The port of the core that serves it: to a cluster client that core is a node, and commands about all keys are about
    /// that node's.
    Core,
}

impl Peer {
    /// The client's address; `None` for a unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        let (host, _port) = self.addr.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse().ok().filter(|_| !self.unix)
    }

    /// The address of the server that the client connected to; `None` for a unix socket.
    pub fn local_host(&self) -> Option<&str> {
        let (host, _port) = self.local_addr.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(host).filter(|host| !self.unix && *host != "?")
    }

    /// Whether the client is on this host.
    pub fn is_local(&self) -> bool {
        self.unix || self.ip().is_some_and(|ip| ip.to_canonical().is_loopback())
    }

    /// Where it is, for what the configuration allows to some.
    pub fn origin(&self) -> Origin {
        if self.is_local() {
            Origin::Local
        } else {
            Origin::Remote
        }
    }
}

/// What `CLIENT REPLY` asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// Every reply is sent.
    #[default]
    On,
    /// None is sent.
    Off,
    /// The reply to the next command is not sent.
    SkipNext,
    /// The reply to the command running is not sent; back to `On` behind it.
    SkipThis,
}

/// Whether a connection is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closing {
    /// It goes on.
    #[default]
    No,
    /// Once the replies owed are sent; nothing more is read.
    AfterReplies,
    /// At once.
    Now,
}

/// Why a session runs no further command for now.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// The command that waits.
    pub command: CommandId,
    /// When the wait ends by itself, in milliseconds of the core's monotonic clock; `None`: never.
    pub until_ms: Option<u64>,
    /// Writes the reply of a wait that ended by time (or by `CLIENT UNBLOCK id TIMEOUT`).
    pub on_timeout: fn(&mut Reply<'_>),
    /// Number of the reply owed.
    pub seq: ReplySeq,
    /// Whether the client wants no reply; its place stays empty.
    pub quiet: bool,
    /// The wait for keys, if it is for these.
    pub wait: Option<WaitNumber>,
    /// Whether what it waits for may just have come: the wait cannot be ended until that is clear.
    pub is_being_served: bool,
    /// The core on which all the keys live: it serves the wait, and is asked to end it.
    pub served_by: Option<CoreId>,
    /// How it is to end, if it is not served: the core that serves it has been asked to end it, or the attempt that is under way
    /// has yet to find nothing.
    pub ending: Option<Ending>,
}

/// What comes of ending a session's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unblocked {
    /// It waited for nothing.
    No,
    /// It waits no longer.
    AtOnce,
    /// It ends, unless it is served first.
    IsToBe,
    /// It was to end before.
    WasToBe,
}

/// How a wait ends that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its time is over, or is to be.
    TimedOut,
    /// By `CLIENT UNBLOCK id ERROR`.
    Unblocked,
}

impl Ending {
    /// Writes the reply of a wait that ends so; `on_timeout` writes that of one whose time is over.
    pub fn write(self, on_timeout: fn(&mut Reply<'_>), reply: &mut Reply<'_>) {
        match self {
            Self::TimedOut => on_timeout(reply),
            Self::Unblocked => reply.error(&errors::UNBLOCKED),
        }
    }

    /// Counts that a wait of `command` has ended so, where that is an error.
    pub fn count(self, command: CommandId, stats: &mut Stats) {
        match self {
            Self::TimedOut => {}
            Self::Unblocked => stats.count_failure(command, errors::UNBLOCKED.code()),
        }
    }
}

/// The number of a wait for keys: those who wait for a key are served in the order of their numbers (`dispatch::blocking`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitNumber(pub u64);

/// A place in a shard's table of locks (`dispatch::locks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockId(pub u32);

/// Bits that take a session's commands off the fast path; see [`Session::gates`].
pub mod gate {
    /// The client must authenticate first.
    pub const NEEDS_AUTH: u32 = 1 << 0;
    /// `CLIENT REPLY` is off or skipping.
    pub const REPLY_MODE: u32 = 1 << 1;
    /// `CLIENT NO-TOUCH` is on.
    pub const NO_TOUCH: u32 = 1 << 2;
    /// The connection is a monitor, which may only leave.
    pub const MONITOR: u32 = 1 << 3;
    /// Commands are queued for `EXEC`.
    pub const MULTI: u32 = 1 << 5;
    /// The connection is subscribed to something: with RESP2 it may do little else.
    pub const SUBSCRIBER: u32 = 1 << 4;
    /// `CLIENT TRACKING` is on.
    pub const TRACKING: u32 = 1 << 6;
    /// The session is none of a client's: a script's commands run as its.
    pub const SCRIPT: u32 = 1 << 7;
    /// Commands are shown to monitors (a core's gate).
    pub const WATCHED_BY_MONITOR: u32 = 1 << 8;
    /// Commands may be paused (a core's gate).
    pub const PAUSE: u32 = 1 << 9;
    /// `maxmemory` is set (a core's gate).
    pub const MAXMEMORY: u32 = 1 << 10;
    /// Every command is timed by itself, and weighed (a core's gate; what makes one slow, or large, is little).
    pub const TIME_EACH: u32 = 1 << 11;
    /// Keys of the core's shard are locked (a core's gate).
    pub const LOCKS: u32 = 1 << 12;
    /// What the journal notes is acted on behind each command (a core's gate).
    pub const NOTES: u32 = 1 << 13;
    /// A script keeps some core busy (a core's gate).
    pub const BUSY: u32 = 1 << 14;
    /// A transaction of the session is in an entry of the order that its core has not passed: what comes behind takes places
    /// of its own, or waits.
    pub const IN_ORDER: u32 = 1 << 15;
    /// What comes behind the last command waits for its answer: a script on another core, which may come to reach anything, or
    /// what decides how commands run.
    pub const BEHIND_LAST: u32 = 1 << 16;
    /// What commands cost is told by key or by slot (a core's gate): every command is timed by itself.
    pub const COSTS: u32 = 1 << 17;
    /// Keys of some prefixes have quotas (a core's gate).
    pub const QUOTAS: u32 = 1 << 18;
    /// A file is being loaded, or the last snapshot failed.
    pub const FILES: u32 = 1 << 19;
}

/// A client connection.
#[derive(Debug)]
pub struct Session {
    /// The id `CLIENT ID` answers, unique in the process's life.
    pub client_id: u64,
    /// Its place in the core's table.
    pub id: SessionId,
    /// Where it comes from.
    pub peer: Peer,
    /// Whom it acts as; with [`gate::NEEDS_AUTH`] it has yet to show that it may.
    pub user: UserId,
    /// The selected database.
    pub db: DbIndex,
    /// The protocol chosen with `HELLO`.
    pub protocol: Protocol,
    /// Reasons to leave the fast path ([`gate`]); zero for a plain client.
    pub gates: u32,
    /// Name given by `CLIENT SETNAME`.
    name: Box<[u8]>,
    /// Library name and version given by `CLIENT SETINFO`.
    library: (Box<[u8]>, Box<[u8]>),
    /// What `CLIENT REPLY` asked for.
    pub reply_mode: ReplyMode,
    /// `CLIENT NO-EVICT` is on.
    pub no_evict: bool,
    /// Whether it is to end.
    pub closing: Closing,
    /// The client sends nothing more; what it has sent is still answered.
    pub input_ended: bool,
    /// The connection is closed; the session is there only until its `EXEC` has come to its end.
    pub connection_closed: bool,
    /// Set while it waits for something.
    pub blocked: Option<Blocked>,
    /// A command of its has waited for keys: the next may, and what comes behind it is not parsed before that is clear.
    pub has_waited: bool,
    /// A wait for keys that has ended before anything came, or is to: the keys' cores have yet to be told.
    pub ended_wait: Option<WaitNumber>,
    /// Set while commands behind a barrier wait for the replies before them.
    pub at_barrier: bool,
    /// Commands run.
    pub commands: u64,
    /// Name of the last command run (`config|get`).
    pub last_command: &'static str,
    /// When it connected and last spoke, in milliseconds of the core's monotonic clock.
    pub connected_ms: u64,
    /// See `connected_ms`.
    pub last_heard_ms: u64,
    /// What it is subscribed to, if anything.
    subscriptions: Option<Box<Subscriptions>>,
    /// What it asked for with `CLIENT TRACKING`, if that is on, and the bytes kept for that.
    tracking: Option<Box<(Tracking, usize)>>,
    /// The last reply awaited from another core to a command that writes; a message published waits for it.
    pub last_write: Option<ReplySeq>,
    /// The number up to which its core has to have told of events before it goes on: what it did itself is among them.
    pub hears_until: Option<u64>,
    /// Set while `CLIENT PAUSE` holds its next command back.
    pub paused: bool,
    /// Set while its next command waits for room in the batch for another core.
    pub stalled_for_room: bool,
    /// The last of its core's entries that it has a transaction in, by number, until the core has passed that.
    pub entry: Option<u64>,
    /// Transactions it may have under way when it begins another: more with each whose answers were small.
    pub window: usize,
    /// How many are under way.
    pub transactions: usize,
    /// Set while its next command waits until that has been passed.
    pub stalled_for_entry: bool,
    /// Set while its next command waits for the next turn: it has had its part of this one.
    pub stalled_for_turn: bool,
    /// Set while its next command waits for locks of this core's shard.
    pub pending_lock: Option<LockId>,
    /// Set when it may run that command, as the holder of these locks.
    pub granted_lock: Option<LockId>,
    /// What is queued since `MULTI`.
    pub multi: Option<Box<Multi>>,
    /// What `WATCH` named.
    watched: Option<Box<Watched>>,
    /// Set by a command that ends all watching.
    pub ends_watch: bool,
    /// The `EXEC` under way.
    pub executing: Option<Box<Executing>>,
    /// Since when its output exceeds the soft limit, in milliseconds of the core's monotonic clock.
    over_soft_limit_since_ms: Option<u64>,
    /// How far the next command has been parsed.
    pub parser: Parser,
    /// Bytes received of which no command has been run yet.
    unread: Unread,
    /// What is owed to the client.
    pub output: Output,
    /// What of it came from other cores in large pieces.
    pub large_answers: LargeAnswers,
    /// With more than this it runs no further command until its client has read some.
    high_water: HighWater,
    /// Whether it is known to be held back for that.
    pub is_noted_held_back: bool,
    /// When the log last said so, in milliseconds of the core's monotonic clock.
    pub said_held_back_ms: Option<u64>,
    /// What it may add to its replies in this turn.
    allowance: limits::Allowance,
    /// What is kept for it beside its buffers.
    kept: kept::Kept,
    /// What the sum of all sessions' memory has of it.
    counted: memory::Counted,
    /// Bytes of the requests to other cores since it was last owed nothing.
    pub sent_bytes: usize,
}

impl Session {
    /// Whether a command of its may wait: none does in the midst of a transaction or a script.
    pub fn may_wait(&self) -> bool {
        self.executing.is_none() && self.gates & gate::SCRIPT == 0
    }

    /// A session of a client that has just connected.
    pub fn new(client_id: u64, id: SessionId, peer: Peer, now_ms: u64) -> Self {
        Self {
            client_id,
            id,
            peer,
            user: UserId::DEFAULT,
            db: DbIndex(0),
            protocol: Protocol::Resp2,
            gates: 0,
            name: Box::default(),
            library: Default::default(),
            reply_mode: ReplyMode::On,
            no_evict: false,
            closing: Closing::No,
            input_ended: false,
            connection_closed: false,
            blocked: None,
            has_waited: false,
            ended_wait: None,
            at_barrier: false,
            commands: 0,
            last_command: "NULL",
            connected_ms: now_ms,
            last_heard_ms: now_ms,
            subscriptions: None,
            tracking: None,
            last_write: None,
            hears_until: None,
            paused: false,
            stalled_for_room: false,
            entry: None,
            window: limits::FIRST_WINDOW,
            transactions: 0,
            stalled_for_entry: false,
            stalled_for_turn: false,
            pending_lock: None,
            multi: None,
            watched: None,
            ends_watch: false,
            executing: None,
            granted_lock: None,
            over_soft_limit_since_ms: None,
            parser: Parser::new(),
            unread: Unread::default(),
            output: Output::default(),
            large_answers: LargeAnswers::default(),
            high_water: HighWater::NONE,
            is_noted_held_back: false,
            said_held_back_ms: None,
            allowance: limits::Allowance::FIRST,
            kept: kept::Kept::default(),
            counted: memory::Counted::default(),
            sent_bytes: 0,
        }
    }

    /// Whether the client wants the reply to its next command.
    pub fn wants_reply(&self) -> bool {
        matches!(self.reply_mode, ReplyMode::On | ReplyMode::SkipNext)
    }

    /// Sets or clears bits of [`gate`].
    pub fn set_gate(&mut self, bits: u32, on: bool) {
        if on {
            self.gates |= bits;
        } else {
            self.gates &= !bits;
        }
    }

    /// Whether the client may run commands that need authentication.
    pub fn is_authenticated(&self) -> bool {
        self.gates & gate::NEEDS_AUTH == 0
    }

    /// Writes a whole reply, in its place among the replies owed.
    pub fn reply(&mut self, write: impl FnOnce(&mut Reply<'_>)) {
        let protocol = self.protocol;
        self.output
            .append(|out| write(&mut Reply::new(out, protocol)));
    }

    /// Writes a message that is no reply, encoded as an array of RESP2: behind the replies owed, but in front of one that the
    /// session is blocked for, whose client is to hear of what happens meanwhile. (Whoever ends the wait does so before it
    /// acts on the notes of what it then ran: word of that belongs behind the reply.)
    pub fn push(&mut self, message: &[u8]) {
        let protocol = self.protocol;
        let write = |out: &mut Vec<u8>| write_push(out, message, protocol);
        match (&mut self.executing, &mut self.blocked) {
            // Not in the midst of the reply of `EXEC`.
            (Some(executing), _) => write(&mut executing.pushes),
            (None, Some(blocked)) => blocked.seq = self.output.append_before(blocked.seq, write),
            (None, None) => self.output.append(write),
        }
    }

    /// Writes such a message, if there is one, where a place was kept for it.
    pub fn fill_with_push(&mut self, place: ReplySeq, message: Option<&[u8]>) {
        let protocol = self.protocol;
        self.output.fill(place, |out| {
            if let Some(message) = message {
                write_push(out, message, protocol);
            }
        });
    }

    /// Whether it waits for something that may be long in coming.
    pub fn is_blocked(&self) -> bool {
        let blocked = self.blocked.as_ref();
        blocked.is_some_and(|blocked| !blocked.is_being_served)
    }

    /// Ends the wait of a blocked session, unless it is served first. One that ends at once is counted.
    pub fn unblock(&mut self, ending: Ending, stats: &mut Stats) -> Unblocked {
        let Some(blocked) = self.blocked.as_mut() else {
            return Unblocked::No;
        };
        if blocked.ending.is_some() {
            return Unblocked::WasToBe;
        }
        if blocked.is_being_served {
            if blocked.wait.is_none() {
                // Its command has not been answered yet: nobody knows whether it waits.
                return Unblocked::No;
            }
            blocked.ending = Some(ending);
            return Unblocked::IsToBe;
        }
        self.ended_wait = blocked.wait;
        if blocked.served_by.is_some() {
            (blocked.is_being_served, blocked.ending) = (true, Some(ending));
            return Unblocked::IsToBe;
        }
        ending.count(blocked.command, stats);
        let (on_timeout, protocol) = (blocked.on_timeout, self.protocol);
        self.end_blocked(|out| ending.write(on_timeout, &mut Reply::new(out, protocol)));
        Unblocked::AtOnce
    }

    /// The session is blocked no longer; `write` writes the reply, unless the client wants none.
    pub fn end_blocked(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(blocked) = self.blocked.take() {
            self.output.fill(blocked.seq, |out| {
                if !blocked.quiet {
                    write(out);
                }
            });
        }
    }

    /// Bytes of memory the session holds, itself included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.unread.memory_bytes()
            + self.parser.memory_bytes()
            + self.output.memory_bytes()
            + self.kept.bytes()
            + self.queued_memory_bytes()
    }

    /// Bytes of memory of what is queued, whether `EXEC` has begun or not, and of messages that wait for its end.
    pub(super) fn queued_memory_bytes(&self) -> usize {
        let executing = self.executing.as_ref();
        let rest = executing.and_then(|executing| executing.rest.as_ref());
        let multi = self.multi.as_ref().or(rest.map(|(multi, _)| multi));
        let pushes = executing.map_or(0, |executing| executing.pushes.capacity());
        multi.map_or(0, |multi| multi.memory_bytes()) + pushes
    }
}

/// Writes a message that is encoded as an array of RESP2, as `protocol` has those that are no replies.
fn write_push(out: &mut Vec<u8>, message: &[u8], protocol: Protocol) {
    out.push(match protocol {
        Protocol::Resp2 => b'*',
        Protocol::Resp3 => b'>',
    });
    out.extend_from_slice(&message[1..]);
}
