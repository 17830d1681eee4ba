//! What is said once about a command, and everything else derives from.

use larder_engine::WakesOn;

use super::named_flags::named_flags;
use crate::command::{
    Args, CoreCall, KeyAccess, Keys, Rounds, SessionCall, ShardCall, Steps, Walk,
};
use crate::config::Config;
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Reply};
use crate::routing::SlotMap;
use crate::shared::CoreGauges;
use crate::topics::Topic;

/// A command or subcommand.
#[derive(Debug)]
pub struct CommandSpec {
    /// Name in lower case; a subcommand's with its container, `config|get`.
    pub name: &'static str,
    /// Number of arguments, name included (a subcommand's: container and subcommand); negative: at least so many.
    pub arity: i16,
    /// How it may be used.
    pub flags: Flags,
    /// ACL categories beyond those the flags imply.
    pub categories: &'static [Category],
    /// Which arguments are keys, and what it does with them.
    pub keys: Keys,
    /// What it does with the field or member that an argument names, mostly the one behind its first key, if one does: it is brought near
    /// before the command runs.
    pub field: Option<FieldUse>,
    /// What it makes of less than its arguments take, as far as that is known before it runs.
    pub growth: Option<Growth>,
    /// Whether it takes constant time, and no memory, if its only argument is its key, though it may have several.
    pub is_constant_with_one_key: bool,
    /// Hints to clients (`COMMAND INFO`, "tips").
    pub tips: &'static [&'static str],
    /// The group it is documented in.
    pub group: Group,
    /// Version of Redis that introduced it.
    pub since: &'static str,
    /// Its arguments in the notation of Redis's documentation, name left out.
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its cost.
    pub complexity: &'static str,
    /// Since when it is deprecated, and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// What runs it.
    pub run: Run,
    /// How it begins on a shard where it may take several turns. Where it may not, in an `EXEC` or a script, it is run in one.
    pub steps: Option<StepsFn>,
    /// How it looks at all keys over several turns, if it does ([`Run::EveryCore`]). Where it may not, as above.
    pub walk: Option<Walk>,
    /// Its subcommands, if it is a container.
    pub subcommands: &'static [CommandSpec],
}

impl CommandSpec {
    /// A spec to fill in with struct update syntax: `CommandSpec { name: "get", .., ..CommandSpec::BASE }`.
    pub const BASE: Self = Self {
        name: "",
        arity: 1,
        flags: Flags::NONE,
        categories: &[],
        keys: Keys::NONE,
        field: None,
        growth: None,
        is_constant_with_one_key: false,
        tips: &[],
        group: Group::Generic,
        since: "1.0.0",
        syntax: "",
        summary: "",
        complexity: "O(1)",
        deprecated: None,
        run: Run::Container,
        steps: None,
        walk: None,
        subcommands: &[],
    };

    /// The flags that clients are told, [`Flags::MOVABLE_KEYS`] with them where it follows from the keys.
    pub fn told_flags(&self) -> Flags {
        let (_, are_others) = self.keys.plain_range();
        if are_others {
            self.flags.with(Flags::MOVABLE_KEYS)
        } else {
            self.flags
        }
    }

    /// Whether `count` arguments (name included) fit.
    #[inline]
    pub fn accepts(&self, count: usize) -> bool {
        if self.arity >= 0 {
            count == self.arity as usize
        } else {
            count >= -i32::from(self.arity) as usize
        }
    }
}

/// What comes to be used that arguments only tell of.
#[derive(Clone, Copy, Debug)]
pub enum Growth {
    /// The string that it writes to has so many bytes then, at least.
    ToBytes(fn(&Args<'_>, &Config) -> u64),
    /// As much as its first key has comes to be once more.
    Copy,
}

/// What a command does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldUse {
    /// Reads it.
    Read,
    /// Changes or removes it.
    Change,
    /// Gives it the value that the next argument is.
    Set,
    /// Adds it, which is a member of a set.
    Add,
    /// Finds it, which is a member of a sorted set, and stands so many arguments behind the key.
    Score(u8),
}

/// A set of properties of a command; the names are those of `COMMAND INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

named_flags! { Flags:
    /// Changes the keyspace.
    WRITE = 0, "write";
    /// Reads the keyspace.
    READONLY = 1, "readonly";
    /// Refused when `maxmemory` is reached.
    DENYOOM = 2, "denyoom";
    /// For operators.
    ADMIN = 3, "admin";
    /// Concerns pub/sub.
    PUBSUB = 4, "pubsub";
    /// Not in scripts.
    NOSCRIPT = 5, "noscript";
    /// May block.
    BLOCKING = 6, "blocking";
    /// Runs while loading.
    LOADING = 7, "loading";
    /// Runs on a stale replica.
    STALE = 8, "stale";
    /// Not shown to monitors.
    SKIP_MONITOR = 9, "skip_monitor";
    /// Not in the slow log.
    SKIP_SLOWLOG = 10, "skip_slowlog";
    /// Constant or logarithmic time.
    FAST = 11, "fast";
    /// Runs without authentication.
    NO_AUTH = 12, "no_auth";
    /// Does what writes do though it is none: it waits while writes are paused. Redis does not show it.
    MAY_REPLICATE = 16, "";
    /// Its keys may be none.
    NO_MANDATORY_KEYS = 19, "no_mandatory_keys";
    /// Not while loading in the background.
    NO_ASYNC_LOADING = 17, "no_async_loading";
    /// A cluster client need not send `ASKING` before it.
    ASKING = 21, "asking";
    /// Not inside MULTI.
    NO_MULTI = 13, "no_multi";
    /// Its keys are not one range: follows from its key specifications.
    MOVABLE_KEYS = 14, "movablekeys";
    /// Runs while a script has the server busy.
    ALLOW_BUSY = 15, "allow_busy";
    /// Sees or changes the keyspace as a whole: nothing else touches it meanwhile.
    WHOLE_KEYSPACE = 31, "";
    /// Takes effect on all cores at one place in the order of transactions.
    IN_ORDER = 29, "";
    /// From a client of a core's own endpoint, it is about that core alone: such clients ask every node.
    BY_NODE = 27, "";
    /// A reading command that a copy of its key, if it has but one, answers as well as the key's core. Redis does not show it.
    FROM_COPY = 30, "";
    /// Only for those whom a directive allows it (`enable-debug-command`, `enable-module-command`). Redis does not show it.
    PROTECTED = 20, "";
    /// It may use more memory than a few times its arguments. Redis does not show it.
    GROWS = 28, "";
    /// A subscriber that speaks RESP2 may run it.
    SUBSCRIBED = 18, "";
}

impl Flags {
    /// No property.
    pub const NONE: Self = Self(0);
    /// Runs while loading and on a stale replica.
    pub const ANYTIME: Self = Self::LOADING.with(Self::STALE);
    /// Runs at any time, but not in scripts: what concerns a connection.
    pub const SESSION: Self = Self::NOSCRIPT.with(Self::ANYTIME);
    /// For operators, at any time, not in scripts.
    pub const OPERATOR: Self = Self::ADMIN.with(Self::SESSION);
}

/// An ACL category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Redis's own")]
pub enum Category {
    Keyspace,
    String,
    Hash,
    Bitmap,
    HyperLogLog,
    List,
    Set,
    SortedSet,
    Geo,
    Stream,
    Connection,
    Dangerous,
    Transaction,
    Scripting,
    Blocking,
    Pubsub,
    Admin,
}

impl Category {
    /// The name after the `@`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyspace => "keyspace",
            Self::String => "string",
            Self::Hash => "hash",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sortedset",
            Self::Geo => "geo",
            Self::Stream => "stream",
            Self::Connection => "connection",
            Self::Dangerous => "dangerous",
            Self::Transaction => "transaction",
            Self::Scripting => "scripting",
            Self::Blocking => "blocking",
            Self::Pubsub => "pubsub",
            Self::Admin => "admin",
        }
    }
}

/// The group a command is documented in (`COMMAND DOCS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Redis's own")]
pub enum Group {
    Generic,
    String,
    Hash,
    Bitmap,
    HyperLogLog,
    List,
    Set,
    SortedSet,
    Geo,
    Stream,
    Connection,
    Pubsub,
    Server,
    Scripting,
    Transactions,
    Cluster,
}

impl Group {
    /// The name `COMMAND DOCS` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::Hash => "hash",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Geo => "geo",
            Self::Stream => "stream",
            Self::Connection => "connection",
            Self::Pubsub => "pubsub",
            Self::Server => "server",
            Self::Scripting => "scripting",
            Self::Transactions => "transactions",
            Self::Cluster => "cluster",
        }
    }
}

/// Runs on the shard that owns the key or keys.
pub type ShardFn = fn(&mut ShardCall<'_>) -> CommandResult;
/// Runs on the session's core, with the session.
pub type SessionFn = fn(&mut SessionCall<'_>) -> CommandResult;
/// Runs on any core for a session of another; writes a partial result of a form its caller knows.
pub type CoreFn = fn(&mut CoreCall<'_>);
/// Makes one reply of the partial results of all cores, in the order of the cores.
pub type Merge = fn(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult;
/// Begins a command of several rounds.
pub type RoundsFn = fn(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply>;

/// Begins a command on the shard of its keys, with its first step. None: it is done, and its reply is written.
pub type StepsFn = fn(&mut ShardCall<'_>) -> Result<Option<Box<dyn Steps>>, ErrorReply>;

/// Begins an attempt at a command that may block, in rounds.
pub type AttemptRoundsFn =
    fn(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Result<Box<dyn Rounds>, ErrorReply>;

/// What runs a command.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// A container: one of its subcommands runs.
    Container,
    /// All keys live on one shard (the command has one key, or none and any core will do).
    OnShard(ShardFn),
    /// Needs the session.
    OnSession(SessionFn),
    /// Several keys: on one shard if they live there together, else spread.
    FanOut {
        /// Runs where all keys live on one shard.
        together: ShardFn,
        /// What happens where they do not.
        spread: Spread,
    },
    /// Asks every core and merges.
    EveryCore {
        /// Runs on each core.
        each: CoreFn,
        /// Makes the reply.
        merge: Merge,
    },
    /// Asks the cores whose gauges say that it concerns them, and merges; a message published.
    SomeCores {
        /// Whether a core is asked.
        which: fn(&CoreGauges) -> bool,
        /// The kind of its channel.
        topic: Topic,
        /// Runs on each of them.
        each: CoreFn,
        /// Answers the same and does nothing.
        count: CoreFn,
        /// Makes the reply.
        merge: Merge,
    },
    /// Several rounds of questions to cores, whether or not there are keys.
    Rounds(RoundsFn),
    /// The same, where some arguments ask for the keyspace as a whole: then the rounds run under locks of everything.
    RoundsOfAll {
        /// Begins it.
        begin: RoundsFn,
        /// What it does with the whole keyspace, if it asks for that.
        reaches: fn(&Args<'_>) -> Option<KeyAccess>,
    },
    /// A command that may find nothing to do yet: then the client waits until a key is written.
    Blocking(Blocking),
    /// A step of a client's own transaction.
    Transaction(TransactionStep),
    /// Runs a script, on the core that owns its keys.
    Script(Invoke),
}

/// How a script is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoke {
    /// By its text.
    Text,
    /// By its SHA-1.
    Sha,
    /// A function of a library, by its name.
    Function,
}

/// A command that may block.
#[derive(Clone, Copy, Debug)]
pub struct Blocking {
    /// Makes an attempt on the core on which all its keys live.
    pub attempt: AttemptFn,
    /// Begins an attempt on several cores.
    pub begin: AttemptRoundsFn,
    /// Whether an attempt takes what it finds, so that others do not find it; else one write serves all who wait.
    pub takes: bool,
    /// Whether it takes one element at most: the time of an attempt is then bounded by the number of its keys.
    pub takes_one: bool,
    /// The keys it waits for; the others it only works on.
    pub awaits: Keys,
    /// What at one of them gives it its turn.
    pub wakes_on: WakesOn,
    /// How long it waits at most.
    pub timeout: TimeoutFn,
    /// The reply of a wait that ended by time.
    pub on_timeout: fn(&mut Reply<'_>),
    /// The reply of an attempt that found nothing where nothing waits, inside `MULTI` or a script.
    pub on_nothing: fn(&mut Reply<'_>),
}

/// Makes an attempt at a command that may block, on a shard that has all its keys. An attempt that finds nothing changes
/// nothing, and what it writes as its reply does not count.
pub type AttemptFn = fn(&mut ShardCall<'_>, Turn) -> Result<Attempted, ErrorReply>;

/// How long a command may wait, as its arguments say. It is asked first: what else is wrong with them is said here, too.
pub type TimeoutFn = fn(&Args<'_>) -> Result<WaitLimit, ErrorReply>;

/// When an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The command has just come.
    First,
    /// It has waited, and a key of its was written.
    Later,
}

/// What an attempt comes to.
#[derive(Debug)]
pub enum Attempted {
    /// The reply is written.
    Done,
    /// Nothing can be done yet.
    Wait(Resolved),
}

/// How a command goes on that has found nothing to do.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The arguments from which the next attempt goes on, if they are others than this one's: what depends on when the command
    /// came is found out once (`$` of `XREAD`). Keys stay where they are.
    pub args: Option<Vec<Vec<u8>>>,
    /// When an attempt is made though no key has been written, in milliseconds from now: what it waits for comes by time alone.
    pub again_in_ms: Option<u64>,
}

impl Resolved {
    /// It goes on with what it came with, once a key is written.
    pub const AS_BEFORE: Self = Self {
        args: None,
        again_in_ms: None,
    };
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitLimit {
    /// Until it is served.
    None,
    /// So many milliseconds.
    Millis(u64),
}

/// What a command about transactions does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStep {
    /// `MULTI`.
    Begin,
    /// `EXEC`.
    Run,
    /// `DISCARD`.
    Discard,
    /// `WATCH`.
    Watch,
    /// `UNWATCH`.
    Unwatch,
}

/// How a command of several keys spreads over cores. Each core gets the command with its own keys (and what belongs to
/// each key, by the step of its specification).
#[derive(Clone, Copy, Debug)]
pub enum Spread {
    /// Integer replies are added (`DEL`).
    Sum,
    /// Array replies; each element returns to the place of its key (`MGET`).
    Gather,
    /// `OK`, or the first error (`MSET`).
    All,
    /// Several rounds (`RENAME`).
    Rounds(RoundsFn),
}
