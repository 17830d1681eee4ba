//! Replies made of parts that several cores answer, and commands in rounds: the parts are kept until the last has come.

mod parts;

use std::collections::VecDeque;

use slab::Slab;

use self::parts::{first_element, integer_reply, line_bytes};
use super::blocking::blocked::Attempt;
use super::limits::{
    GATHER_PART_KEPT_BYTES, GATHER_PARTS_KEPT, GATHER_PLACES_KEPT, GATHER_REPLY_KEPT_BYTES,
    GATHERS_KEPT, ROUND_WEIGHT_BYTES, ROUNDS_AT_ONCE_BYTES,
};
use super::mail::requests::{Held, LocksHeld, Tells, Then, held_on};
use super::notify::telling::EventsOfCommand;
use super::run::kept_args::{KeptArgs, keep_args};
use super::run::recipient::Recipient;
use crate::command::{
    Args, CommandId, CoreRequest, Flags, Handed, Merge, MergePieces, Round, Rounds,
};
use crate::resp::{ErrorReply, Protocol, REPLY_MAX_BYTES, Reply, errors};
use crate::routing::CoreId;

/// What makes the reply of the parts.
pub(in crate::dispatch) enum Finish {
    /// The command's own function.
    Merge(Merge),
    /// The same, of parts in pieces.
    Pieces(MergePieces),
    /// Integer replies are added.
    Sum,
    /// The first error, else the first reply.
    All,
    /// Array replies; element `i` is the next one of part `.0[i]`.
    Gather(Vec<usize>),
    /// The replies of an `EXEC`'s commands, each a part.
    Exec,
    /// The parts are a round's answers.
    Rounds(Box<dyn Rounds>),
}

/// Replies being gathered on a core.
#[derive(Default)]
pub(in crate::dispatch) struct Gathers {
    pending: Slab<Pending>,
    /// Commands in rounds that go on in a later turn, though all answers are there: they have asked this core alone for long.
    put_off: VecDeque<usize>,
    /// Memory of parts of former replies, for later ones.
    spare: Vec<Vec<Vec<u8>>>,
    /// Memory of the lists that say which part holds each element.
    spare_places: Vec<Vec<usize>>,
    /// Memory of copies of arguments.
    spare_args: Vec<KeptArgs>,
    /// Memory of the reply that is made.
    reply: Vec<u8>,
    /// How far each of its parts has been read.
    read: Vec<usize>,
}

impl Gathers {
    /// Emptied memory for a reply, for [`Self::keep_reply`].
    pub(in crate::dispatch) fn take_reply(&mut self) -> Vec<u8> {
        let mut reply = std::mem::take(&mut self.reply);
        reply.clear();
        reply
    }

    /// Keeps a reply's memory for the next one, unless it is much.
    pub(in crate::dispatch) fn keep_reply(&mut self, reply: Vec<u8>) {
        if reply.capacity() <= GATHER_REPLY_KEPT_BYTES {
            self.reply = reply;
        }
    }

    /// Room for `count` parts.
    fn room(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut parts = self.spare.pop().unwrap_or_default();
        parts.resize_with(count, Vec::new);
        parts
    }

    /// Memory for which part holds each element of a reply.
    pub(in crate::dispatch) fn places(&mut self) -> Vec<usize> {
        self.spare_places.pop().unwrap_or_default()
    }

    /// Copies the arguments of a command whose reply ends so, if they are looked at then: for its function, or because the reply, which
    /// may be large, is to be logged.
    pub(in crate::dispatch) fn keep_args(&mut self, finish: &Finish, args: Args<'_>) -> KeptArgs {
        match finish {
            Finish::Merge(_) | Finish::Pieces(_) | Finish::Gather(_) | Finish::Rounds(_) => {
                let mut kept = self.spare_args.pop().unwrap_or_default();
                kept.fill(args);
                kept
            }
            Finish::Sum | Finish::All | Finish::Exec => KeptArgs::default(),
        }
    }

    /// Keeps the memory of parts that were small, and of the copy of the arguments.
    pub(in crate::dispatch) fn recycle(
        &mut self,
        mut parts: Vec<Vec<u8>>,
        finish: Finish,
        args: KeptArgs,
    ) {
        let is_worth_keeping = !args.is_empty() && args.memory_bytes() <= GATHER_PART_KEPT_BYTES;
        if is_worth_keeping && self.spare_args.len() < GATHERS_KEPT {
            self.spare_args.push(args);
        }
        if let Finish::Gather(mut places) = finish
            && self.spare_places.len() < GATHERS_KEPT
            && places.capacity() <= GATHER_PLACES_KEPT
        {
            places.clear();
            self.spare_places.push(places);
        }
        if self.spare.len() < GATHERS_KEPT && parts.len() <= GATHER_PARTS_KEPT {
            for part in &mut parts {
                match part.capacity() > GATHER_PART_KEPT_BYTES {
                    true => *part = Vec::new(),
                    false => part.clear(),
                }
            }
            self.spare.push(parts);
        }
    }
}

/// A reply that is made of parts: for whom, how, and under which locks. Values; how far it has come is [`Gathers`]' own.
pub(in crate::dispatch) struct Gather {
    pub(in crate::dispatch) recipient: Recipient,
    pub(in crate::dispatch) finish: Finish,
    /// A copy of the command's arguments, for [`Finish::Merge`], for the order of events, and for the log, should the reply be large.
    pub(in crate::dispatch) args: KeptArgs,
    /// The events of its parts, if this core tells of them.
    pub(in crate::dispatch) told: Option<Box<EventsOfCommand>>,
    /// The locks its parts run under.
    pub(in crate::dispatch) locks: LocksHeld,
    /// Whether they are given back behind it.
    pub(in crate::dispatch) then: Then,
    /// Set if its rounds are an attempt at a command that may block.
    pub(in crate::dispatch) attempt: Option<Box<Attempt>>,
}

impl Gather {
    /// The reply to a command with these arguments, whose parts run without locks, and of which nobody is told.
    #[inline]
    pub(in crate::dispatch) fn of_parts(
        recipient: Recipient,
        finish: Finish,
        args: KeptArgs,
    ) -> Self {
        Self {
            recipient,
            finish,
            args,
            told: None,
            locks: LocksHeld::new(),
            then: Then::Keep,
            attempt: None,
        }
    }

    /// The same, of a command of several rounds.
    pub(in crate::dispatch) fn in_rounds(
        recipient: Recipient,
        rounds: Box<dyn Rounds>,
        args: KeptArgs,
    ) -> Self {
        Self::of_parts(recipient, Finish::Rounds(rounds), args)
    }

    /// Its parts run under these locks.
    pub(in crate::dispatch) fn under(mut self, locks: LocksHeld, then: Then) -> Self {
        (self.locks, self.then) = (locks, then);
        self
    }

    /// This core tells of its events, if there is to be something `told`.
    pub(in crate::dispatch) fn telling(
        mut self,
        told: Option<Box<EventsOfCommand>>,
        args: Args<'_>,
    ) -> Self {
        if told.is_some() {
            self.args = keep_args(args);
        }
        self.told = told;
        self
    }

    /// Its rounds are an attempt at a command that may block.
    pub(in crate::dispatch) fn attempting(mut self, attempt: Attempt) -> Self {
        self.attempt = Some(Box::new(attempt));
        self
    }

    /// The lock that a part on core `core` runs under, if it has one.
    fn lock_on(&self, core: CoreId) -> Option<Held> {
        let held = held_on(&self.locks, core, Then::Keep)?;
        let tells = match self.told {
            Some(_) => Tells::Asker,
            None => Tells::Here,
        };
        let counts = self.recipient.counts;
        Some(Held {
            tells,
            counts,
            ..held
        })
    }

    /// Whether it is a command in rounds that only reads, and is no attempt of one that may wait: when nobody waits for its reply any
    /// more, it may end after any round.
    pub(in crate::dispatch) fn only_reads(&self) -> bool {
        let flags = self.recipient.command.spec.flags;
        self.is_in_rounds() && self.attempt.is_none() && flags.has(Flags::READONLY)
    }

    /// Whether it is of a command of several rounds.
    pub(in crate::dispatch) fn is_in_rounds(&self) -> bool {
        matches!(self.finish, Finish::Rounds(_))
    }
}

/// A reply of which some parts are there.
struct Pending {
    gather: Gather,
    parts: Vec<Vec<u8>>,
    /// Those that are in pieces.
    pieces: Vec<Vec<Vec<u8>>>,
    missing: usize,
    /// Bytes of the parts that have come from other cores, or in pieces.
    part_bytes: usize,
    /// Bytes that are counted for what the command holds between two rounds.
    held_bytes: usize,
    /// Time that this core's part has taken over several turns.
    nanos: u64,
    /// What its rounds since the last that asked another core weigh, or since it was put off.
    weight_here: usize,
}

impl Gathers {
    /// Begins a reply of `count` parts, or rounds that have yet to ask for any. Its number.
    pub(in crate::dispatch) fn begin(&mut self, gather: Gather, count: usize) -> usize {
        let parts = match gather.is_in_rounds() {
            true => Vec::new(),
            false => self.room(count),
        };
        self.pending.insert(Pending {
            gather,
            parts,
            pieces: Vec::new(),
            missing: count,
            part_bytes: 0,
            held_bytes: 0,
            nanos: 0,
            weight_here: 0,
        })
    }

    /// The reply of this number.
    ///
    /// # Panics
    /// If there is none.
    pub(in crate::dispatch) fn get(&self, number: usize) -> &Gather {
        &self.pending[number].gather
    }

    /// The lock that a part of this reply on core `core` runs under, if it has one.
    pub(in crate::dispatch) fn lock_on(&self, number: usize, core: CoreId) -> Option<Held> {
        self.get(number).lock_on(core)
    }

    /// Whether all parts of this reply are there.
    pub(in crate::dispatch) fn is_complete(&self, number: usize) -> bool {
        self.pending[number].missing == 0
    }

    /// A part has come from another core, or at its place in the order. Whether all are there.
    pub(in crate::dispatch) fn take_part(
        &mut self,
        number: usize,
        part: usize,
        bytes: &[u8],
    ) -> bool {
        let pending = &mut self.pending[number];
        pending.parts[part].extend_from_slice(bytes);
        pending.part_bytes += bytes.len();
        pending.missing -= 1;
        pending.missing == 0
    }

    /// A part has run on this core.
    pub(in crate::dispatch) fn put_part(&mut self, number: usize, part: usize, answer: Vec<u8>) {
        let pending = &mut self.pending[number];
        pending.parts[part] = answer;
        pending.missing -= 1;
    }

    /// A part has come in pieces.
    pub(in crate::dispatch) fn put_pieces(
        &mut self,
        number: usize,
        part: usize,
        pieces: Vec<Vec<u8>>,
    ) {
        let pending = &mut self.pending[number];
        pending.pieces.resize(pending.parts.len(), Vec::new());
        pending.part_bytes += pieces.iter().map(Vec::len).sum::<usize>();
        pending.pieces[part] = pieces;
        pending.missing -= 1;
    }

    /// This core's part has taken so long.
    pub(in crate::dispatch) fn note_time(&mut self, number: usize, nanos: u64) {
        self.pending[number].nanos += nanos;
    }

    /// How long this core's part has taken, if that was over several turns.
    pub(in crate::dispatch) fn time_of(&self, number: usize) -> u64 {
        self.pending[number].nanos
    }

    /// Takes the parts that are in pieces: the others are one each.
    pub(in crate::dispatch) fn take_pieces(&mut self, number: usize) -> Vec<Vec<Vec<u8>>> {
        let pending = &mut self.pending[number];
        let mut pieces = std::mem::take(&mut pending.pieces);
        pieces.resize(pending.parts.len(), Vec::new());
        for (pieces, whole) in pieces.iter_mut().zip(&mut pending.parts) {
            if pieces.is_empty() {
                pieces.push(std::mem::take(whole));
            }
        }
        pieces
    }

    /// All parts are there that were asked for. Of a command of several rounds, what comes next; it writes its reply to `out`.
    pub(in crate::dispatch) fn end_round(
        &mut self,
        number: usize,
        out: &mut Vec<u8>,
    ) -> Option<Result<Round, ErrorReply>> {
        let Pending { gather, parts, .. } = &mut self.pending[number];
        let recipient = gather.recipient;
        if let Some(told) = &mut gather.told {
            told.end_round(recipient.command, gather.args.as_args());
        }
        let Finish::Rounds(rounds) = &mut gather.finish else {
            return None;
        };
        let answers: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Some(rounds.next(&answers, &mut Reply::new(out, recipient.protocol)))
    }

    /// The next round asks for `count` parts. Bytes of the parts of the last one, which are no more.
    pub(in crate::dispatch) fn begin_round(&mut self, number: usize, count: usize) -> usize {
        let pending = &mut self.pending[number];
        pending.missing = count;
        pending.parts = vec![Vec::new(); count];
        std::mem::take(&mut pending.part_bytes)
    }

    /// What a command in rounds holds has changed: the bytes that were counted for it, and those that are now.
    pub(in crate::dispatch) fn count_held(&mut self, number: usize) -> (usize, usize) {
        let pending = &mut self.pending[number];
        let now = match &pending.gather.finish {
            Finish::Rounds(rounds) => rounds.held_bytes(),
            _ => 0,
        };
        (std::mem::replace(&mut pending.held_bytes, now), now)
    }

    /// Nobody waits for a command in rounds any more: what is left to be asked instead of `next`.
    pub(in crate::dispatch) fn give_up(
        &mut self,
        number: usize,
        next: Vec<CoreRequest>,
    ) -> Vec<CoreRequest> {
        match &mut self.pending[number].gather.finish {
            Finish::Rounds(rounds) => rounds.give_up(next),
            _ => unreachable!("it asks in rounds"),
        }
    }

    /// A round was asked with so many bytes of arguments, of this core alone or not. Whether the command is put off to a later turn: it
    /// is under locks, and has asked nobody else for long.
    pub(in crate::dispatch) fn put_off_if_long(
        &mut self,
        number: usize,
        asked_bytes: usize,
        is_here: bool,
    ) -> bool {
        let pending = &mut self.pending[number];
        if !is_here || pending.gather.locks.is_empty() {
            pending.weight_here = 0;
            return false;
        }
        let answered_bytes = pending.parts.iter().map(Vec::len).sum::<usize>();
        pending.weight_here += ROUND_WEIGHT_BYTES + asked_bytes + answered_bytes;
        let asks_nobody = pending.parts.is_empty();
        let is_long = asks_nobody || pending.weight_here > ROUNDS_AT_ONCE_BYTES;
        if is_long {
            pending.weight_here = 0;
            self.put_off.push_back(number);
        }
        is_long
    }

    /// The command that goes on next of those that were put off.
    #[inline]
    pub(in crate::dispatch) fn next_put_off(&mut self) -> Option<usize> {
        self.put_off.pop_front()
    }

    /// Whether there are such.
    #[inline]
    pub(in crate::dispatch) fn has_put_off(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// Ends a reply whose parts are there: what it was, its parts, and the bytes that are counted for it.
    pub(in crate::dispatch) fn end(&mut self, number: usize) -> (Gather, Vec<Vec<u8>>, usize) {
        let Pending {
            gather,
            parts,
            part_bytes,
            held_bytes,
            ..
        } = self.pending.remove(number);
        (gather, parts, part_bytes + held_bytes)
    }

    /// Entries have come for a command in rounds, ahead of the answer that they belong to.
    pub(in crate::dispatch) fn hand(&mut self, number: u32, entries: Vec<Handed>) {
        match &mut self.pending[number as usize].gather.finish {
            Finish::Rounds(rounds) => rounds.hand(entries),
            _ => unreachable!("entries are handed to commands in rounds"),
        }
    }

    /// The events of a reply's parts, if this core tells of them.
    pub(in crate::dispatch) fn told_of(&mut self, gather: usize) -> Option<&mut EventsOfCommand> {
        self.pending.get_mut(gather)?.gather.told.as_deref_mut()
    }

    /// Whether a command of several rounds is under way, `except` this one.
    pub(in crate::dispatch) fn has_rounds(&self, except: CommandId) -> bool {
        let mut gathers = self.pending.iter();
        gathers.any(|(_, Pending { gather, .. })| {
            gather.is_in_rounds() && gather.recipient.command.id != except
        })
    }

    /// Makes the reply of its parts.
    ///
    /// # Errors
    /// There is none that fits. What is in `out` by then is to be taken back.
    pub(in crate::dispatch) fn write_reply(
        &mut self,
        finish: &Finish,
        args: Args<'_>,
        parts: &[Vec<u8>],
        out: &mut Vec<u8>,
        protocol: Protocol,
    ) -> Result<(), ErrorReply> {
        if let Some(error) = parts.iter().find(|part| part.first() == Some(&b'-'))
            && !matches!(finish, Finish::Merge(_) | Finish::Exec)
        {
            out.extend_from_slice(error);
            return Ok(());
        }
        match finish {
            Finish::Merge(merge) => {
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                merge(&args, &parts, &mut Reply::new(out, protocol))?;
            }
            Finish::Sum => {
                let sum = parts.iter().map(|part| integer_reply(part)).sum();
                Reply::new(out, protocol).integer(sum);
            }
            Finish::All => {
                let first = parts.first().map(Vec::as_slice);
                out.extend_from_slice(first.unwrap_or(b"+OK\r\n"));
            }
            Finish::Gather(_) if parts.iter().map(Vec::len).sum::<usize>() > REPLY_MAX_BYTES => {
                return Err(errors::REPLY_TOO_LARGE);
            }
            Finish::Gather(places) => {
                let read = &mut self.read;
                read.clear();
                // Behind the header of the array.
                read.extend(parts.iter().map(|part| line_bytes(part)));
                Reply::new(out, protocol).array(places.len());
                for &part in places {
                    let element = first_element(&parts[part][read[part]..]);
                    read[part] += element.len();
                    out.extend_from_slice(element);
                }
            }
            Finish::Exec => {
                Reply::new(out, protocol).array(parts.len());
                parts.iter().for_each(|part| out.extend_from_slice(part));
            }
            Finish::Rounds(_) | Finish::Pieces(_) => {
                unreachable!("their replies are made otherwise")
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Gathers {
    /// Whether every question has its answers.
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}
