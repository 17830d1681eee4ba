//! What a session has queued between `MULTI` and `EXEC`.

use larder_engine::UnixMillis;

use super::{LockId, ReplySeq};
use crate::observe::CommandId;
use crate::resp::ArgRange;
use crate::routing::CoreId;

/// A buffer of so many bytes is moved by the allocator without being copied.
const GROWS_SLOWLY_FROM_BYTES: usize = 1 << 20;

/// Whether the transaction may be run at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Queueing {
    /// So far.
    #[default]
    Good,
    /// No: one of its commands was refused.
    Spoilt,
}

/// Where a queued command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuedPlacement {
    /// On this core: it has keys, and all live there.
    Core(CoreId),
    /// On any: it has no keys.
    Anywhere,
    /// Where its session is.
    Session,
    /// On several cores, or on any number of them.
    Several,
}

/// What has been found out about a queued command.
#[derive(Clone, Copy, Debug)]
pub struct QueuedCommand {
    /// Which command it is, its subcommand settled.
    pub id: CommandId,
    /// Where it runs.
    pub placement: QueuedPlacement,
    /// The hash of its first key, if it has a first key that the command alone tells.
    pub hash: Option<u64>,
    /// Where its bytes and ranges begin.
    start: usize,
    first_range: usize,
}

/// Commands queued, in one buffer.
#[derive(Debug, Default)]
pub struct Multi {
    /// Whether it may be run.
    pub state: Queueing,
    /// How much its `EXEC` locks.
    pub holds: Holds,
    /// The name of its `EXEC` as the client sent it, if there are monitors to see it; else empty.
    pub sent_as: Box<[u8]>,
    /// The version of the slot table by which the places were found.
    pub table: u64,
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
    commands: Vec<QueuedCommand>,
}

impl Multi {
    /// Adds a command.
    pub fn push<'a>(
        &mut self,
        id: CommandId,
        placement: QueuedPlacement,
        hash: Option<u64>,
        args: impl Iterator<Item = &'a [u8]>,
    ) {
        let start = self.bytes.len();
        self.commands.push(QueuedCommand {
            id,
            placement,
            hash,
            start,
            first_range: self.ranges.len(),
        });
        for arg in args {
            self.make_room(arg.len());
            self.ranges.push(ArgRange {
                start: (self.bytes.len() - start) as u32,
                len: arg.len() as u32,
            });
            self.bytes.extend_from_slice(arg);
        }
    }

    /// Room for an argument. With much in it the buffer grows by an eighth, not by as much again: it counts as the client's.
    fn make_room(&mut self, arg_bytes: usize) {
        let free = self.bytes.capacity() - self.bytes.len();
        if free < arg_bytes && self.bytes.len() + arg_bytes > GROWS_SLOWLY_FROM_BYTES {
            self.bytes
                .reserve_exact(arg_bytes.max(self.bytes.len() / 8));
        }
    }

    /// Forgets all that was queued, and keeps the memory.
    pub fn clear(&mut self) {
        let Self {
            state,
            holds,
            sent_as,
            table,
            bytes,
            ranges,
            commands,
        } = self;
        (*state, *holds, *table) = (Queueing::default(), Holds::default(), 0);
        *sent_as = Box::default();
        bytes.clear();
        ranges.clear();
        commands.clear();
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The bytes of command `at`, and the ranges of its arguments in them.
    pub fn command(&self, at: usize) -> (&[u8], &[ArgRange]) {
        let QueuedCommand {
            start, first_range, ..
        } = self.commands[at];
        let next = self.commands.get(at + 1);
        let end = next.map_or(self.ranges.len(), |next| next.first_range);
        (&self.bytes[start..], &self.ranges[first_range..end])
    }

    /// What has been found out about the commands.
    pub fn commands(&self) -> &[QueuedCommand] {
        &self.commands
    }

    /// The places anew, since slots have moved.
    pub fn find_placements(&mut self, table: u64, find: impl Fn(&Self, usize) -> QueuedPlacement) {
        self.table = table;
        for at in 0..self.commands.len() {
            self.commands[at].placement = find(self, at);
        }
    }

    /// Bytes of what is queued.
    pub fn queued_bytes(&self) -> usize {
        self.bytes.len()
            + self.ranges.len() * size_of::<ArgRange>()
            + self.commands.len() * size_of::<QueuedCommand>()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ranges.capacity() * size_of::<ArgRange>()
            + self.commands.capacity() * size_of::<QueuedCommand>()
    }
}

/// How much an `EXEC` has locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holds {
    /// The keys of its commands.
    #[default]
    Keys,
    /// Every key, to read.
    AllToRead,
    /// Every key.
    All,
}

/// An `EXEC` under way.
#[derive(Debug)]
pub struct Executing {
    /// The locks it holds, a core each; none where all its keys are on the session's core.
    pub locks: Vec<(CoreId, LockId)>,
    /// The time for all its commands.
    pub time: UnixMillis,
    /// How much they are of.
    pub holds: Holds,
    /// What is done counted before: it is done for a script that has begun again.
    pub counted_before: bool,
    /// Its reply waits behind this place until what was admitted before a pause that it begins has run.
    pub clears: Option<ReplySeq>,
    /// The commands, and which of them is next, while it waits for one of several rounds.
    pub rest: Option<(Box<Multi>, usize)>,
    /// Messages that came meanwhile and go out behind the reply.
    pub pushes: Vec<u8>,
}
