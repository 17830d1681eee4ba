//! What a command is given when it runs: the shard it works on, the session it came from, or the whole core.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use larder_engine::{Access, DbIndex, Key, Shard, StoreError, UnixMillis, WrongType};

use crate::command::closing::{self, Excess};
use crate::command::events::Hearing;
use crate::command::invalidate::{Emptied, Told};
use crate::command::moving::Moving;
use crate::command::pausing::Pausing;
use crate::command::persistence::SaveAsked;
use crate::command::{Args, CommandTable, Flags, Handed, Topology};
use crate::config::Config;
use crate::observe::{Observed, Stats, TurnTiming};
use crate::persist::files::FileOps;
use crate::resp::{ErrorReply, Protocol, Reply, errors};
use crate::routing::CoreId;
use crate::script::Engine;
use crate::session::gate;
use crate::session::{
    Closing, Prefixes, Reader, Readers, Session, SessionId, Sessions, Subscribers, Unblocked,
};
use crate::shared::Shared;

/// The time of the present turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Wall-clock time.
    pub unix: UnixMillis,
    /// Microseconds of a clock that never goes back.
    pub monotonic_us: u64,
    /// When the clocks were read, by the one that commands are timed by.
    pub read_at: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            unix: UnixMillis::default(),
            monotonic_us: 0,
            read_at: Instant::now(),
        }
    }
}

impl Clock {
    /// Milliseconds of the clock that never goes back.
    pub fn monotonic_ms(self) -> u64 {
        self.monotonic_us / 1000
    }
}

/// Random numbers: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Everything one core owns.
pub struct CoreState {
    /// Which core this is.
    pub id: CoreId,
    /// Its part of the keyspace.
    pub shard: Shard,
    /// Its connections.
    pub sessions: Sessions,
    /// The configuration, as of the beginning of the turn.
    pub config: Arc<Config>,
    /// What all cores share.
    pub shared: Arc<Shared>,
    /// The commands.
    pub commands: &'static CommandTable,
    /// Its counters.
    pub stats: Stats,
    /// What has run in this turn and is yet to be counted there.
    pub timing: TurnTiming,
    /// What it observes beside them.
    pub observed: Observed,
    /// The time of this turn.
    pub clock: Clock,
    /// Reasons for every session to leave the fast path ([`crate::session::gate`]).
    pub gates: u32,
    /// What is kept for reuse is to be given back to the system at the end of the turn (`MEMORY PURGE`).
    pub is_to_give_back: bool,
    /// Sessions that have output to send or are to end.
    pub dirty: Vec<SessionId>,
    /// Sessions of this core that are monitors.
    pub monitors: Vec<SessionId>,
    /// Who among its sessions is subscribed to what.
    pub subscribers: Subscribers,
    /// What of the events of keys has come for these.
    pub hearing: Hearing,
    /// Who has read which of its keys, and is to be told of changes.
    pub readers: Readers,
    /// Set while more keys that were read are remembered than allowed, and are being forgotten.
    pub forgets_readers: bool,
    /// How often what clients have read was forgotten on all cores.
    pub emptied: Emptied,
    /// What has been read and is yet to be remembered: notes of the journal come before it.
    pub newly_read: Vec<(Box<[u8]>, Reader)>,
    /// Prefixes of keys whose changes clients of any core are to be told of.
    pub prefixes: Prefixes,
    /// What other cores are to do.
    pub told: Vec<Told>,
    /// Set while a session may be beyond the soft limit of its output, so that time has to be watched.
    pub soft_limit_exceeded: bool,
    /// What the core has told the others that its clients hold, in bytes.
    pub published_client_bytes: u64,
    /// Lines of this turn for the monitors of all cores.
    pub monitor_lines: Vec<u8>,
    /// What it knows of `CLIENT PAUSE`.
    pub pausing: Pausing,
    /// Sessions that it holds back.
    pub paused: Vec<SessionId>,
    /// The pauses ([`Self::pauses`]) that were on when the last of them was held back.
    pub held_by: [bool; 2],
    /// The session whose wait the command that runs was to end, and what came of it.
    pub unblocked: Option<(SessionId, Unblocked)>,
    /// When sessions' waits end, in milliseconds of the monotonic clock, the earliest on top; stale ones are harmless.
    pub timers: BinaryHeap<Reverse<(u64, SessionId)>>,
    /// Bytes of entries of its shard that count elsewhere: they are being handed to other cores ([`Handed`]).
    pub given_bytes: u64,
    /// What it does about slots that move.
    pub moving: Moving,
    /// What it tells cluster clients of the cores.
    pub topology: Topology,
    /// Whether the expiry hand moves (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expire: bool,
    /// Whether what is done ten times a second waits (`DEBUG PAUSE-CRON`).
    pub periods_pause: bool,
    /// Its random numbers.
    pub random: Random,
    /// Its scripts.
    pub scripts: Engine,
    /// What it asks of the file system.
    pub files: FileOps,
    /// Snapshots that are to be begun.
    pub saves_asked: Vec<SaveAsked>,
}

impl CoreState {
    /// A session of this core, as other cores know it.
    #[inline]
    pub fn reader(&self, session: SessionId) -> Reader {
        Reader {
            core: self.id,
            session,
        }
    }

    /// Ends a session's wait at `until_ms` of the monotonic clock.
    pub fn add_timer(&mut self, until_ms: u64, session: SessionId) {
        /// Stale timers there may be beside one for every session.
        const STALE_TIMERS_MAX: usize = 64;
        if self.timers.len() >= 2 * self.sessions.len() + STALE_TIMERS_MAX {
            self.forget_stale_timers();
        }
        self.timers.push(Reverse((until_ms, session)));
    }

    /// Drops the timers of waits that have ended before their time.
    fn forget_stale_timers(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        let sessions = &self.sessions;
        self.timers.retain(|&Reverse((until_ms, id))| {
            let waits_until = |session: &Session| session.blocked.as_ref()?.until_ms;
            until_ms <= now_ms || sessions.get(id).and_then(waits_until) == Some(until_ms)
        });
    }

    /// Has commands timed by themselves while what they cost is told by key or by slot.
    pub fn choose_costs(&mut self) {
        let now_ms = self.clock.unix.0;
        let of_keys = self.observed.key_costs.as_mut();
        let is_told = of_keys.is_some_and(|costs| costs.goes_on(now_ms))
            || self.config.cluster_slot_stats.are_of_commands();
        if is_told {
            self.gates |= gate::COSTS;
        } else {
            self.gates &= !gate::COSTS;
        }
    }

    /// Whether all commands are paused, and whether those that write are.
    pub fn pauses(&self) -> [bool; 2] {
        let now_ms = self.clock.unix.0 as u64;
        [self.pausing.all_until_ms, self.pausing.writes_until_ms].map(|until_ms| until_ms > now_ms)
    }

    /// Whether `CLIENT PAUSE` holds back a command of these flags.
    pub fn is_paused_for(&self, flags: Flags) -> bool {
        let [all, writing] = self.pauses();
        let writes = flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE));
        all || writes && writing
    }

    /// Stalls the session until the pause ends.
    pub fn hold_for_pause(&mut self, session: &mut Session) {
        self.held_by = self.pauses();
        session.paused = true;
        self.paused.push(session.id);
    }

    /// Hands lines to this core's monitors.
    pub fn pass_to_monitors(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        for id in &self.monitors {
            let Some(session) = self.sessions.get_mut(*id) else {
                continue;
            };
            if session.closing != Closing::No {
                continue;
            }
            session.output.append(|out| out.extend_from_slice(lines));
            self.dirty.push(*id);
            let limit = &self.config.client_output_buffer_limit.normal;
            closing::close_beyond(session, limit, &mut self.stats);
            // No command of its own holds a monitor back.
            if session.is_above_high_water() {
                closing::close(session, Excess::HighWater, &mut self.stats);
            }
            if session.holds_much() {
                self.sessions.count(*id);
            }
        }
    }
}

/// The position and the hash of a command's first key, where they were found out ahead of running it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstKey {
    hash: u64,
    /// Zero: not known; no key stands where the name does.
    at: u8,
}

impl FirstKey {
    /// No key, or none known.
    pub const UNKNOWN: Self = Self { hash: 0, at: 0 };

    /// The key at argument `at` has this hash.
    #[inline]
    pub fn new(at: u8, hash: u64) -> Self {
        Self { hash, at }
    }

    /// Whether there is a key.
    #[inline]
    pub fn is_known(self) -> bool {
        self.at > 0
    }

    /// Its hash.
    #[inline]
    pub fn hash(self) -> u64 {
        self.hash
    }

    /// Where it stands among the arguments.
    #[inline]
    pub fn at(self) -> usize {
        self.at.into()
    }
}

/// A command at work on a shard. It may have come from another core: nothing here belongs to a session.
pub struct ShardCall<'a> {
    /// The shard.
    pub shard: &'a mut Shard,
    /// The database.
    pub db: DbIndex,
    /// The command's arguments.
    pub args: Args<'a>,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// The configuration.
    pub config: &'a Config,
    /// Counters of hits and misses.
    pub stats: &'a mut Stats,
    /// The core's random numbers.
    pub random: &'a mut Random,
    /// Whether lookups count as uses.
    pub access: Access,
    /// The first key's hash, if it is known already.
    pub first_key: FirstKey,
}

impl<'a> ShardCall<'a> {
    /// Argument `at` as a key.
    #[inline]
    pub fn key(&self, at: usize) -> Key<'a> {
        let bytes = self.args.at(at);
        if self.first_key.at() == at && at > 0 {
            Key::new(bytes, self.first_key.hash())
        } else {
            self.shard.hasher().key(bytes)
        }
    }
}

/// A command at work on its session's core.
pub struct SessionCall<'a> {
    /// The core; its table of sessions lacks the one at work.
    pub core: &'a mut CoreState,
    /// The session.
    pub session: &'a mut Session,
    /// The command's arguments.
    pub args: Args<'a>,
}

impl SessionCall<'_> {
    /// Writes the reply.
    pub fn reply(&mut self, write: impl FnOnce(&mut Reply<'_>)) {
        self.session.reply(write);
    }
}

/// A part of a command at work on one core for a session of perhaps another.
pub struct CoreCall<'a> {
    /// The core. If the session that asks is one of its own, it is missing from the table: see `asking`.
    pub core: &'a mut CoreState,
    /// The session that asks, if it is this core's.
    pub asking: Option<&'a mut Session>,
    /// Client id of the session that asks.
    pub asking_client_id: u64,
    /// Its database.
    pub db: DbIndex,
    /// Its protocol.
    pub protocol: Protocol,
    /// The session, if its client keeps what the command reads and is to be told of changes.
    pub reader: Option<Reader>,
    /// The arguments.
    pub args: Args<'a>,
    /// Where the partial result goes.
    pub out: &'a mut Vec<u8>,
    /// The entries that came with the question.
    pub handed: &'a [Handed],
    /// The entries that go along with the answer.
    pub hands: &'a mut Vec<Handed>,
}

impl From<WrongType> for ErrorReply {
    fn from(_: WrongType) -> Self {
        errors::WRONG_TYPE
    }
}

impl From<StoreError> for ErrorReply {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutOfMemory => errors::OUT_OF_MEMORY,
            StoreError::TooLarge => errors::STRING_TOO_LONG,
        }
    }
}
