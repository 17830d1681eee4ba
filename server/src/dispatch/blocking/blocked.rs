//! Commands of a core's sessions that block on keys of several cores, and how far the next attempt is.

use std::collections::HashMap;

use super::alarms::Alarms;
use super::unblocks::Unblocks;
use crate::dispatch::run::kept_args::KeptArgs;
use crate::dispatch::run::recipient::Recipient;
use crate::routing::CoreId;
use crate::session::{Blocked, ReplySeq, WaitNumber};

/// Commands of this core's sessions that wait for keys.
#[derive(Default)]
pub(in crate::dispatch) struct BlockedCommands {
    commands: HashMap<WaitNumber, BlockedCommand>,
    /// `CLIENT UNBLOCK`s that have yet to be answered.
    unblocks: Unblocks,
    /// The version of the slot table by which the cores of all were last looked at.
    table: u64,
    /// Which of them are to look again at a time.
    alarms: Alarms,
}

/// A command whose attempts are made here, with keys on several cores: values; how far it is, [`BlockedCommands`] knows.
pub(in crate::dispatch) struct BlockedCommand {
    pub(in crate::dispatch) recipient: Recipient,
    pub(in crate::dispatch) args: KeptArgs,
    pub(in crate::dispatch) terms: Terms,
    /// The cores of its keys.
    pub(in crate::dispatch) cores: Vec<CoreId>,
    /// The version of the slot table by which these are the cores.
    table: u64,
    phase: Phase,
}

/// How far the next attempt is.
enum Phase {
    /// No key has been written.
    Parked,
    /// It has been woken, and asks for its locks.
    Woken,
    /// It is under way.
    Working,
}

/// What was agreed on when the command came: values.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Terms {
    pub(in crate::dispatch) seq: ReplySeq,
    /// When it ends, in milliseconds of the core's monotonic clock; `None`: never.
    pub(in crate::dispatch) until_ms: Option<u64>,
    /// Whether the client wants no reply.
    pub(in crate::dispatch) quiet: bool,
}

impl Terms {
    /// What a session that is blocked agreed on.
    pub(in crate::dispatch) fn of(blocked: &Blocked) -> Self {
        Self {
            seq: blocked.seq,
            until_ms: blocked.until_ms,
            quiet: blocked.quiet,
        }
    }
}

/// An attempt at a command that may block, while its rounds are under way: values.
pub(in crate::dispatch) struct Attempt {
    pub(in crate::dispatch) terms: Terms,
    pub(in crate::dispatch) which: Which,
}

/// Which attempt it is.
pub(in crate::dispatch) enum Which {
    /// Inside an `EXEC` or a script, where nothing waits.
    InExec,
    /// The first, with the command's arguments.
    First(KeptArgs),
    /// Another.
    Again(WaitNumber),
}

impl BlockedCommand {
    /// One whose keys live on these cores, by this version of the slot table. None of them has been written.
    pub(in crate::dispatch) fn new(
        recipient: Recipient,
        args: KeptArgs,
        terms: Terms,
        cores: Vec<CoreId>,
        table: u64,
    ) -> Self {
        Self {
            recipient,
            args,
            terms,
            cores,
            table,
            phase: Phase::Parked,
        }
    }
}

/// What comes of a key that has been written for a blocked command.
pub(in crate::dispatch) enum Woken<'a> {
    /// Nothing: the command is gone, or awake already.
    Nothing,
    /// Its keys live elsewhere by now.
    HasMoved,
    /// The next attempt.
    Attempt(&'a BlockedCommand),
}

impl BlockedCommands {
    /// The `CLIENT UNBLOCK`s that have yet to be answered.
    #[inline]
    pub(in crate::dispatch) fn unblocks(&mut self) -> &mut Unblocks {
        &mut self.unblocks
    }

    /// A command waits from now on.
    pub(in crate::dispatch) fn insert(&mut self, number: WaitNumber, command: BlockedCommand) {
        self.commands.insert(number, command);
    }

    /// A command is to look again at a time, in milliseconds of the monotonic clock, though no key is written.
    pub(in crate::dispatch) fn set_alarm(&mut self, number: WaitNumber, time_ms: Option<u64>) {
        let time_ms = time_ms.filter(|_| self.commands.contains_key(&number));
        self.alarms.set(number, time_ms);
    }

    /// When those are that are to look again.
    #[inline]
    pub(in crate::dispatch) fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The same, to take them.
    pub(in crate::dispatch) fn alarms_mut(&mut self) -> &mut Alarms {
        &mut self.alarms
    }

    /// A command waits no longer.
    pub(in crate::dispatch) fn remove(&mut self, number: WaitNumber) -> Option<BlockedCommand> {
        self.alarms.set(number, None);
        self.commands.remove(&number)
    }

    /// The next attempt goes on from `args`. Those so far, if it waits.
    pub(in crate::dispatch) fn replace_args(
        &mut self,
        number: WaitNumber,
        args: KeptArgs,
    ) -> Option<KeptArgs> {
        let command = self.commands.get_mut(&number)?;
        Some(std::mem::replace(&mut command.args, args))
    }

    /// Whether any may have keys elsewhere by this version of the slot table.
    #[inline]
    pub(in crate::dispatch) fn may_have_moved(&self, table: u64) -> bool {
        !self.commands.is_empty() && self.table != table
    }

    /// Those whose cores were found by another version of the slot table than this, in their order.
    pub(in crate::dispatch) fn follow_table(&mut self, table: u64) -> Vec<WaitNumber> {
        self.table = table;
        let commands = self.commands.iter();
        let outdated = commands.filter(|(_, command)| command.table != table);
        let mut numbers: Vec<WaitNumber> = outdated.map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// A key has been written. `table`: the version of the slot table.
    pub(in crate::dispatch) fn wake(&mut self, number: WaitNumber, table: u64) -> Woken<'_> {
        // A wait that has ended meanwhile has told that core so.
        let Some(command) = self.commands.get_mut(&number) else {
            return Woken::Nothing;
        };
        let Phase::Parked = command.phase else {
            return Woken::Nothing;
        };
        if command.table != table {
            return Woken::HasMoved;
        }
        command.phase = Phase::Woken;
        Woken::Attempt(command)
    }

    /// The next attempt holds its locks, and begins.
    pub(in crate::dispatch) fn begin_attempt(
        &mut self,
        number: WaitNumber,
    ) -> Option<&BlockedCommand> {
        let command = self.commands.get_mut(&number)?;
        command.phase = Phase::Working;
        Some(command)
    }

    /// The attempt is over, and has found nothing.
    pub(in crate::dispatch) fn park(&mut self, number: WaitNumber) -> Option<&BlockedCommand> {
        let command = self.commands.get_mut(&number)?;
        command.phase = Phase::Parked;
        Some(command)
    }

    /// Whether nobody waits.
    #[cfg(test)]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.unblocks.is_empty()
    }
}
