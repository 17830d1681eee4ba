//! The transactions of a core's sessions: those that await locks, and sessions that have some in entries not passed yet.

use std::collections::VecDeque;

use larder_engine::UnixMillis;
use slab::Slab;

use super::clearing::writes;
use crate::command::{Args, Command, FirstKey, Rounds, SessionCall, Spread};
use crate::dispatch::blocking::blocked::Terms;
use crate::dispatch::mail::requests::{LockAnswer, LocksHeld, Watch};
use crate::dispatch::run::kept_args::KeptArgs;
use crate::dispatch::run::recipient::Recipient;
use crate::order::Ticket as EntryTicket;
use crate::resp::errors::CommandResult;
use crate::routing::{CoreId, SlotMap};
use crate::session::{Multi, SessionId, WaitNumber};

/// What a transaction does once it holds its locks.
pub(in crate::dispatch) enum Plan {
    /// A command of several rounds.
    Rounds {
        rounds: Box<dyn Rounds>,
        /// Somebody is told of its events.
        is_told: bool,
    },
    /// A command with a part on each of its cores, whose events somebody is told of.
    Spread(Spread),
    /// The first attempt at a command that may block.
    Block(Terms),
    /// Another.
    BlockAgain(WaitNumber),
    /// What was queued since `MULTI`.
    Exec { multi: Box<Multi>, quiet: bool },
    /// A command of the session's own about what all cores share; its arguments are the transaction's.
    Session {
        run: fn(&mut SessionCall<'_>) -> CommandResult,
        quiet: bool,
    },
    /// A script, to begin; the owner's session is its messenger.
    Script {
        /// It may begin again.
        is_undoable: bool,
    },
}

/// The transactions of this core's sessions.
#[derive(Default)]
pub(in crate::dispatch) struct Transactions {
    /// Transactions that do not hold all their locks yet.
    pending: Slab<Transaction>,
    /// Sessions with transactions in entries that this core has not passed, in the order of the entries.
    joined: VecDeque<(EntryTicket, SessionId)>,
    /// Bytes of the parts that have no place yet.
    gathered_bytes: usize,
    /// The split of the command that runs; kept for its memory behind that.
    split: Split,
}

/// Which keys of a command live on which core.
#[derive(Default)]
pub(in crate::dispatch) struct Split {
    /// The places of the keys among the arguments, and the parts they belong to.
    keys: Vec<(usize, usize)>,
    /// The cores, a part each.
    pub(in crate::dispatch) cores: Vec<CoreId>,
}

impl Split {
    /// Finds them out. `first`: the place of the first key and its core, if they are known.
    pub(in crate::dispatch) fn find(
        &mut self,
        args: Args<'_>,
        command: &Command,
        first: Option<(usize, CoreId)>,
        slots: &SlotMap,
    ) {
        self.keys.clear();
        self.cores.clear();
        for at in command.spec.keys.positions(&args) {
            let core = match first {
                Some((first, core)) if first == at => core,
                _ => slots.core_of(args.at(at)),
            };
            let known = self.cores.iter().position(|other| *other == core);
            let part = known.unwrap_or_else(|| {
                self.cores.push(core);
                self.cores.len() - 1
            });
            self.keys.push((at, part));
        }
    }

    /// The core of all keys, if it is one; `here`, if there are no keys.
    pub(in crate::dispatch) fn only_core(&self, here: CoreId) -> Option<CoreId> {
        match self.cores[..] {
            [] => Some(here),
            [core] => Some(core),
            _ => None,
        }
    }

    /// The part that each key belongs to.
    pub(in crate::dispatch) fn part_of_keys(&self, mut parts: Vec<usize>) -> Vec<usize> {
        parts.extend(self.keys.iter().map(|(_, part)| *part));
        parts
    }

    /// What is known of the command's first key, which is the first of the first part.
    pub(in crate::dispatch) fn first_key_of_first_part(&self, of_command: FirstKey) -> FirstKey {
        match self.keys.first() {
            Some((at, 0)) if of_command.is_known() && of_command.at() == *at => {
                FirstKey::new(1, of_command.hash())
            }
            _ => FirstKey::UNKNOWN,
        }
    }

    /// A part's arguments: the command's name, and its keys with what belongs to them, `step` arguments each.
    pub(in crate::dispatch) fn args_of<'a>(
        &self,
        args: Args<'a>,
        step: usize,
        part: usize,
    ) -> impl Iterator<Item = &'a [u8]> {
        let keys = self.keys.iter().filter(move |(_, of)| *of == part);
        let of_keys = keys.flat_map(move |(at, _)| {
            let end = (at + step).min(args.len());
            (*at..end).map(move |at| args.at(at))
        });
        std::iter::once(args.at(0)).chain(of_keys)
    }
}

/// A transaction that asks for locks: values. How many cores have yet to grant theirs, [`Transactions`] counts.
pub(in crate::dispatch) struct Transaction {
    pub(in crate::dispatch) recipient: Recipient,
    pub(in crate::dispatch) args: KeptArgs,
    pub(in crate::dispatch) plan: Plan,
    pub(in crate::dispatch) watch: Watch,
    pub(in crate::dispatch) held: LocksHeld,
    /// The time at its place.
    pub(in crate::dispatch) time: UnixMillis,
    /// Cores that have yet to answer.
    missing: usize,
}

impl Transaction {
    /// One that asks so many cores for locks, at `time` so far.
    pub(in crate::dispatch) fn new(
        recipient: Recipient,
        args: KeptArgs,
        plan: Plan,
        time: UnixMillis,
        cores: usize,
    ) -> Self {
        Self {
            recipient,
            args,
            plan,
            watch: Watch::Intact,
            held: LocksHeld::new(),
            time,
            missing: cores,
        }
    }

    /// Bytes of memory that its arguments take.
    pub(in crate::dispatch) fn memory_bytes(&self) -> usize {
        let queued = match &self.plan {
            Plan::Exec { multi, .. } => multi.queued_bytes(),
            _ => 0,
        };
        self.args.memory_bytes() + queued
    }
}

impl Transactions {
    /// A transaction asks for its locks. Its number.
    pub(in crate::dispatch) fn insert(&mut self, transaction: Transaction) -> u32 {
        self.pending.insert(transaction) as u32
    }

    /// A core has granted a transaction its locks there. The transaction, if these were the last.
    pub(in crate::dispatch) fn take_grant(
        &mut self,
        from: CoreId,
        number: u32,
        answer: LockAnswer,
    ) -> Option<Transaction> {
        let number = number as usize;
        let transaction = &mut self.pending[number];
        transaction.missing -= 1;
        transaction.held.push((from, answer.lock));
        transaction.time = answer.time;
        if answer.watch == Watch::Broken {
            transaction.watch = answer.watch;
        }
        (transaction.missing == 0).then(|| self.pending.remove(number))
    }

    /// A session has a transaction in this entry.
    pub(in crate::dispatch) fn join(&mut self, entry: EntryTicket, session: SessionId) {
        self.joined.push_back((entry, session));
    }

    /// The next session with a transaction among the first `passed` entries, and the entry.
    pub(in crate::dispatch) fn leave(&mut self, passed: u64) -> Option<(EntryTicket, SessionId)> {
        self.joined.pop_front_if(|(entry, _)| entry.0 < passed)
    }

    /// Whether no session has a transaction in an entry that the core has yet to pass.
    pub(in crate::dispatch) fn has_no_joined(&self) -> bool {
        self.joined.is_empty()
    }

    /// So many more bytes of parts have no place yet.
    #[inline]
    pub(in crate::dispatch) fn note_gathered(&mut self, bytes: usize) {
        self.gathered_bytes += bytes;
    }

    /// All have their place.
    pub(in crate::dispatch) fn note_published(&mut self) {
        self.gathered_bytes = 0;
    }

    /// Bytes of the parts that have no place yet.
    pub(in crate::dispatch) fn gathered_bytes(&self) -> usize {
        self.gathered_bytes
    }

    /// The split of the command that runs.
    pub(in crate::dispatch) fn split_mut(&mut self) -> &mut Split {
        &mut self.split
    }

    /// Takes it, to be given back.
    pub(in crate::dispatch) fn take_split(&mut self) -> Split {
        std::mem::take(&mut self.split)
    }

    /// Gives it back.
    pub(in crate::dispatch) fn give_split(&mut self, split: Split) {
        self.split = split;
    }

    /// Whether any that awaits locks may write. `does` says so of the commands of an `EXEC`.
    pub(in crate::dispatch) fn any_writes(&self, does: impl Fn(&Multi) -> bool) -> bool {
        let mut pending = self.pending.iter();
        pending.any(|(_, transaction)| match &transaction.plan {
            Plan::Exec { multi, .. } => does(multi),
            _ => writes(transaction.recipient.command.spec.flags),
        })
    }

    /// Whether none awaits locks.
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

/// Where the keys of a command that spreads begin, and their distance.
pub(in crate::dispatch) fn key_range(command: &Command) -> (usize, usize) {
    let range = command.spec.keys.range();
    range.expect("a command that spreads has its keys in a range")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandTable;
    use crate::resp::ArgRange;

    #[test]
    fn the_first_part_of_a_command_knows_the_hash_of_the_key_it_begins_with() {
        let input = b"MSETa1b2c3";
        let range = |start, len| ArgRange { start, len };
        let ranges: Vec<_> = std::iter::once(range(0, 4))
            .chain((4..10).map(|at| range(at, 1)))
            .collect();
        let args = Args::new(input, &ranges);
        let command = CommandTable::global().find(b"mset").expect("a command");
        let mut split = Split::default();
        split.find(args, command, None, &SlotMap::even(4));
        let first_key = FirstKey::new(command.first_key, 77);
        let in_part = split.first_key_of_first_part(first_key);
        let part: Vec<_> = split.args_of(args, 2, 0).collect();
        assert_eq!((in_part.at(), in_part.hash()), (1, 77));
        assert_eq!(part[in_part.at()], b"a");
        let unknown = split.first_key_of_first_part(FirstKey::UNKNOWN);
        assert!(!unknown.is_known());
    }
}
