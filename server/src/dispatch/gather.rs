//! Replies made of parts that several cores answer, and commands in rounds: all are asked together, their answers are kept
//! until the last has come, and then the reply is made, or the next round is asked.
//!
//! Whoever begins a reply has its parts run under locks (`gather_parts`, `run_rounds`), at their place in the order
//! (`begin_gather`, `transaction`), or, where no moment is promised, when they come (`gather`).

use std::rc::Rc;

use slab::Slab;

use super::blocking::Attempt;
use super::core::Core;
use super::kept_args::{KeptArgs, keep, keep_args};
use super::limits::{
    GATHER_PART_KEPT_BYTES, GATHER_PARTS_KEPT, GATHER_PLACES_KEPT, GATHER_REPLY_KEPT_BYTES,
    GATHERS_KEPT,
};
use super::on_shard::{Place, run_command_on_shard};
use super::owner::{Owner, session_owner};
use super::parts::{first_element, integer_reply, line_bytes};
use super::publish::note_write;
use super::requests::{Counts, Held, LockAnswer, Tells, Then, Ticket, Work};
use super::telling::EventsOfCommand;
use super::transaction::{LocksHeld, held_on};
use crate::command::{
    Args, Command, CommandId, CommandTable, CoreCall, CoreFn, FirstKey, Handed, Merge, Round,
    Rounds, Run, Spread, closing,
};
use crate::resp::{ErrorReply, Protocol, REPLY_MAX_BYTES, Reply, errors};
use crate::routing::CoreId;
use crate::session::{LARGE_ANSWER_BYTES, LargeAnswer, Session, gate};

/// What makes the reply of the parts.
pub(super) enum Finish {
    /// The command's own function.
    Merge(Merge),
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
pub(super) struct Gathers {
    pending: Slab<Gather>,
    /// Memory of parts of former replies, for later ones.
    spare: Vec<Vec<Vec<u8>>>,
    /// The same of which part holds each element.
    spare_places: Vec<Vec<usize>>,
    /// Memory of the reply that is made.
    reply: Vec<u8>,
    /// How far each of its parts has been read.
    read: Vec<usize>,
}

impl Gathers {
    /// Room for `count` parts.
    fn room(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut parts = self.spare.pop().unwrap_or_default();
        parts.resize_with(count, Vec::new);
        parts
    }

    /// Memory for which part holds each element of a reply.
    pub(super) fn places(&mut self) -> Vec<usize> {
        self.spare_places.pop().unwrap_or_default()
    }

    /// Keeps the memory of parts that were small.
    fn recycle(&mut self, mut parts: Vec<Vec<u8>>, finish: Finish) {
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

struct Gather {
    owner: Owner,
    finish: Finish,
    /// A copy of the command's arguments, for [`Finish::Merge`] and for the order of events.
    args: KeptArgs,
    /// The events of its parts, if this core tells of them.
    told: Option<Box<EventsOfCommand>>,
    parts: Vec<Vec<u8>>,
    missing: usize,
    /// Bytes of the parts.
    part_bytes: usize,
    /// The locks its parts run under.
    locks: LocksHeld,
    /// Whether they are given back behind it.
    then: Then,
    /// Set if its rounds are an attempt at a command that may block.
    attempt: Option<Box<Attempt>>,
}

impl Gather {
    /// Has its events told of by this core, if there is to be something `told`.
    fn tell(&mut self, told: Option<Box<EventsOfCommand>>, args: Args<'_>) {
        if told.is_some() {
            self.args = keep_args(args);
        }
        self.told = told;
    }
}

/// Whom to ask what.
pub(super) type Ask<'a> = (CoreId, Work, Rc<[&'a [u8]]>);

impl Core {
    /// Asks several cores at once; the reply is made when all have answered, at once if only this one was asked.
    pub(super) fn gather(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        finish: Finish,
        asks: Vec<Ask<'_>>,
        quiet: bool,
    ) {
        let remote = asks.iter().any(|(core, ..)| *core != self.state.id);
        let seq = session.output.expect_if_wanted(!quiet);
        if !remote {
            let owner = session_owner(session, Some(seq), command);
            let parts: Vec<Vec<u8>> = asks
                .iter()
                .map(|(_, work, args)| {
                    self.part_here(Some(session), *work, args, owner, &mut Vec::new())
                })
                .collect();
            let protocol = session.protocol;
            let mut reply = Vec::new();
            self.write_reply(&finish, args, &parts, &mut reply, protocol, command);
            let write = |out: &mut Vec<u8>| out.extend_from_slice(&reply);
            return session.output.fill(seq, write);
        }
        // One message does not wait for another.
        if !matches!(command.spec.run, Run::SomeCores { .. }) {
            note_write(session, command.spec, seq);
        }
        let owner = session_owner(session, Some(seq), command);
        let locks = LocksHeld::new();
        self.gather_parts(Some(session), owner, args, finish, asks, locks);
    }

    /// Asks several cores at once, under the locks of an `EXEC` if there are any. The place of the reply is kept already.
    pub(super) fn gather_parts(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        args: Args<'_>,
        finish: Finish,
        asks: Vec<Ask<'_>>,
        locks: LocksHeld,
    ) {
        let id = self.begin_gather(owner, args, finish, asks.len()) as usize;
        let told = self.begin_events(owner.session, &locks, Then::Keep, false);
        self.gathers.pending[id].tell(told, args);
        self.gathers.pending[id].locks = locks;
        self.ask_and_finish(id, session, asks);
    }

    /// Begins to gather `count` parts of a reply, whose place is kept already.
    pub(super) fn begin_gather(
        &mut self,
        owner: Owner,
        args: Args<'_>,
        finish: Finish,
        count: usize,
    ) -> u32 {
        let kept = match finish {
            Finish::Merge(_) => keep_args(args),
            _ => KeptArgs::default(),
        };
        let parts = self.gathers.room(count);
        let id = self.gathers.pending.insert(Gather {
            owner,
            finish,
            args: kept,
            parts,
            missing: count,
            part_bytes: 0,
            told: None,
            locks: LocksHeld::new(),
            then: Then::Keep,
            attempt: None,
        });
        id as u32
    }

    /// Asks several cores under locks that are given back behind it. It is told of by this core.
    pub(super) fn gather_under_locks(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        args: Args<'_>,
        spread: Spread,
        locks: LocksHeld,
    ) {
        let (finish, asks) = self.split(args, owner.command, spread);
        let id = self.begin_gather(owner, args, finish, asks.len()) as usize;
        let told = self.begin_events(owner.session, &locks, Then::Release, true);
        let gather = &mut self.gathers.pending[id];
        gather.tell(told, args);
        (gather.locks, gather.then) = (locks, Then::Release);
        self.ask_and_finish(id, session, asks);
    }

    fn ask_and_finish(&mut self, id: usize, mut session: Option<&mut Session>, asks: Vec<Ask<'_>>) {
        let owner = self.gathers.pending[id].owner;
        self.ask(id, owner, session.as_deref_mut(), asks, Vec::new());
        self.finish_if_complete(id, session);
    }

    /// Begins a command of several rounds that needs no locks.
    pub(super) fn begin_rounds(
        &mut self,
        session: &mut Session,
        rounds: Box<dyn Rounds>,
        command: &'static Command,
        quiet: bool,
    ) {
        let seq = session.output.expect_if_wanted(!quiet);
        let owner = session_owner(session, Some(seq), command);
        session.at_barrier = true;
        let locks = LocksHeld::new();
        self.run_rounds(Some(session), owner, rounds, locks, Then::Keep);
    }

    /// Runs a command of several rounds, under the locks of a transaction if there are any. The place of the reply is kept,
    /// and the session at a barrier, already.
    pub(super) fn run_rounds(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        rounds: Box<dyn Rounds>,
        locks: LocksHeld,
        then: Then,
    ) {
        self.start_rounds(session, owner, rounds, (locks, then), None, None);
    }

    /// As [`Self::run_rounds`], for a command that this core tells of if `is_told`, or if it does of its `EXEC`.
    pub(super) fn run_told_rounds(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        rounds: Box<dyn Rounds>,
        (args, is_told): (Args<'_>, bool),
        (locks, then): (LocksHeld, Then),
    ) {
        let told = self.begin_events(owner.session, &locks, then, is_told);
        let told = told.map(|told| (told, keep_args(args)));
        self.start_rounds(session, owner, rounds, (locks, then), None, told);
    }

    /// As [`Self::run_rounds`], for a command that may block.
    pub(super) fn attempt(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        rounds: Box<dyn Rounds>,
        locks: (LocksHeld, Then),
        attempt: Box<Attempt>,
    ) {
        self.start_rounds(session, owner, rounds, locks, Some(attempt), None);
    }

    fn start_rounds(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        rounds: Box<dyn Rounds>,
        (locks, then): (LocksHeld, Then),
        attempt: Option<Box<Attempt>>,
        told: Option<(Box<EventsOfCommand>, KeptArgs)>,
    ) {
        let (told, args) = told.unzip();
        let id = self.gathers.pending.insert(Gather {
            owner,
            finish: Finish::Rounds(rounds),
            args: args.unwrap_or_default(),
            told,
            parts: Vec::new(),
            missing: 0,
            part_bytes: 0,
            locks,
            then,
            attempt,
        });
        self.finish_if_complete(id, session);
    }

    /// Sends out a round of questions; those to this core are answered at once. Entries to be handed over go with the first.
    fn ask(
        &mut self,
        id: usize,
        owner: Owner,
        mut session: Option<&mut Session>,
        asks: Vec<Ask<'_>>,
        mut entries: Vec<Handed>,
    ) {
        let is_told = self.gathers.pending[id].told.is_some();
        let tells = if is_told { Tells::Asker } else { Tells::Here };
        for (part, (core, work, args)) in asks.into_iter().enumerate() {
            let locks = held_on(&self.gathers.pending[id].locks, core, Then::Keep);
            let counts = owner.counts;
            let locks = locks.map(|locks| Held {
                tells,
                counts,
                ..locks
            });
            if core == self.state.id {
                let before = locks.map(|locks| self.begin_moment_of(locks.id));
                let mut undo = locks.map(|locks| locks.id);
                undo = undo.filter(|lock| !self.undos.is_empty() && self.enter_undo(*lock, work));
                let gathered = self.begin_part_here(is_told);
                let answer =
                    self.part_here(session.as_deref_mut(), work, &args, owner, &mut entries);
                self.end_part_here(id, gathered);
                if !entries.is_empty() {
                    self.gathers.hand(id as u32, std::mem::take(&mut entries));
                }
                if let Some(lock) = undo {
                    self.lay_undo_aside(lock, self.changer(owner.session));
                }
                if let Some(before) = before {
                    self.end_moment(before);
                }
                let gather = &mut self.gathers.pending[id];
                gather.parts[part] = answer;
                gather.missing -= 1;
                continue;
            }
            self.state.stats.hops += 1;
            let ticket = Ticket::Part {
                session: owner.session,
                gather: id as u32,
                part: part as u32,
            };
            let head = owner.head(ticket, work, locks);
            let (outbox, args) = (&mut self.outboxes[core.index()], args.iter().copied());
            if entries.is_empty() {
                outbox.ask(head, args);
            } else {
                outbox.ask_handing(head, args, std::mem::take(&mut entries));
            }
        }
    }

    /// Runs a part on this core for the server itself.
    pub(super) fn run_part_here(&mut self, run: CoreFn, argument: &[u8]) {
        let owner = Owner::nobody(CommandTable::rebalance());
        self.part_here(None, Work::Part(run), &[argument], owner, &mut Vec::new());
    }

    /// Runs a part on this core. `entries`: those handed over to it, and then those that it hands back.
    fn part_here(
        &mut self,
        mut session: Option<&mut Session>,
        work: Work,
        args: &[&[u8]],
        owner: Owner,
        entries: &mut Vec<Handed>,
    ) -> Vec<u8> {
        let handed = std::mem::take(entries);
        let kept = keep(args.iter().copied());
        let args = kept.as_args();
        let itself = self.state.reader(owner.session);
        let reader = owner.reading.reader(itself);
        let mut out = Vec::new();
        match work {
            Work::Command(command) => {
                let place = Place {
                    db: owner.db,
                    protocol: owner.protocol,
                    access: owner.access,
                    first_key: FirstKey::UNKNOWN,
                };
                run_command_on_shard(&mut self.state, &mut out, args, command, place);
                if let Some(reader) = reader {
                    self.state.remember(command.spec, &args, reader);
                }
            }
            Work::Part(run) => run(&mut CoreCall {
                core: &mut self.state,
                asking: session.as_deref_mut(),
                asking_client_id: owner.client_id,
                reader,
                db: owner.db,
                protocol: owner.protocol,
                args,
                out: &mut out,
                handed: &handed,
                hands: entries,
            }),
            Work::Each(command) => {
                let Run::EveryCore { each, .. } = command.spec.run else {
                    unreachable!("such a command runs on every core")
                };
                each(&mut CoreCall {
                    core: &mut self.state,
                    asking: session.as_deref_mut(),
                    asking_client_id: owner.client_id,
                    reader,
                    db: owner.db,
                    protocol: owner.protocol,
                    args,
                    out: &mut out,
                    handed: &[],
                    hands: &mut Vec::new(),
                });
            }
            Work::Exec(_)
            | Work::Lock(_)
            | Work::Unlock
            | Work::Undo
            | Work::Await(_)
            | Work::Wait(..) => {
                unreachable!("it is no part of a gathered reply")
            }
        }
        self.answer_unblock_now(&mut out);
        for buffer in handed.into_iter().filter_map(Handed::into_buffer) {
            self.state.shard.bury(buffer);
        }
        if self.state.gates & gate::NOTES != 0 {
            let by = self.changer(owner.session);
            self.act_on_notes(session, Some(by));
        }
        out
    }

    /// An answer from another core.
    pub(super) fn take_answer(&mut self, from: CoreId, ticket: Ticket, bytes: &[u8]) {
        if bytes.len() >= LARGE_ANSWER_BYTES && from != self.state.id {
            self.keep_large(from, ticket, bytes.len() as u64);
        }
        match ticket {
            Ticket::Discard { .. } => {}
            Ticket::Reply { session, seq } => {
                let Some(session) = self.state.sessions.get_mut(session) else {
                    return;
                };
                let was_held_back = session.is_held_back();
                session.output.fill(seq, |out| out.extend_from_slice(bytes));
                if session.id.is_messenger() {
                    return self.scripts.note_answer(session.id);
                }
                let limit = session.output_limit(&self.state.config.client_output_buffer_limit);
                closing::close_beyond(session, limit, &mut self.state.stats);
                let id = session.id;
                if was_held_back {
                    self.waiting.push(id);
                } else if session.awaits_room {
                    // It waits already, and may have waited for this.
                    self.looked_at = 0;
                }
                self.state.dirty.push(id);
                if session.holds_much() {
                    self.weigh_in_place(id);
                }
            }
            Ticket::Locks { transaction, .. } => {
                let answer = LockAnswer::read(bytes);
                self.take_grant(from, transaction as usize, answer);
            }
            Ticket::Attempt { session } => self.end_attempt_on(session, bytes),
            Ticket::Wait { session, number } => {
                self.take_word_of_wait(from, session, number, bytes);
            }
            Ticket::Part { gather, part, .. } => {
                let id = gather as usize;
                let gather = &mut self.gathers.pending[id];
                gather.parts[part as usize].extend_from_slice(bytes);
                gather.part_bytes += bytes.len();
                self.budget.keep(bytes.len());
                gather.missing -= 1;
                if gather.missing == 0 {
                    let owner = gather.owner;
                    let is_counted = owner.counts == Counts::Before;
                    let before = is_counted.then(|| self.begin_uncounted(Some(owner.command.id)));
                    let mut session = self.state.sessions.take_out(owner.session);
                    self.finish_if_complete(id, session.as_deref_mut());
                    if let Some(before) = before {
                        self.end_uncounted(before);
                    }
                    if self.state.gates & gate::NOTES != 0 {
                        let by = self.changer(ticket.session());
                        self.act_on_notes(session.as_deref_mut(), Some(by));
                    }
                    if let Some(session) = session {
                        self.look_again(session);
                    }
                }
            }
        }
    }

    /// A large answer has come: the core that gave it is told when it stands among the replies that are ready, or at once if
    /// it never will.
    #[cold]
    fn keep_large(&mut self, from: CoreId, ticket: Ticket, bytes: u64) {
        let seq = match ticket {
            Ticket::Reply { seq, .. } => Some(seq),
            Ticket::Part { gather, .. } => {
                let gather = &self.gathers.pending[gather as usize];
                let is_reply = !matches!(gather.finish, Finish::Rounds(_));
                gather.owner.seq.filter(|_| is_reply)
            }
            Ticket::Attempt { session } => {
                let session = self.state.sessions.get(session);
                session.and_then(|session| Some(session.blocked.as_ref()?.seq))
            }
            Ticket::Locks { .. } | Ticket::Wait { .. } | Ticket::Discard { .. } => None,
        };
        let session = ticket.session();
        match (seq, self.state.sessions.get_mut(session)) {
            (Some(seq), Some(session)) => {
                session.narrow_window();
                session.large_answers.push(LargeAnswer { from, seq, bytes });
            }
            _ => self.give_credit(from, session, bytes),
        }
    }

    /// If every part is there, makes the reply or asks the next round. A command in rounds goes on though its client is gone,
    /// so that what it has begun is not left half done.
    fn finish_if_complete(&mut self, id: usize, mut session: Option<&mut Session>) {
        while self.gathers.pending[id].missing == 0 {
            let gather = &mut self.gathers.pending[id];
            let owner = gather.owner;
            if let Some(told) = &mut gather.told {
                told.end_round(owner.command, gather.args.as_args());
            }
            let mut reply = std::mem::take(&mut self.gathers.reply);
            reply.clear();
            if let Finish::Rounds(rounds) = &mut gather.finish {
                let answers: Vec<&[u8]> = gather.parts.iter().map(Vec::as_slice).collect();
                let round = rounds.next(&answers, &mut Reply::new(&mut reply, owner.protocol));
                let asked = match round {
                    Ok(Round::Ask(requests)) => Some((requests, Vec::new())),
                    Ok(Round::Hand(request, entries)) => Some((vec![request], entries)),
                    Ok(Round::Done) => None,
                    Ok(Round::Wait(resolved)) => {
                        let gather = self.gathers.pending.remove(id);
                        self.budget.let_go(gather.part_bytes);
                        let mut attempt = gather.attempt.expect("only such a command waits");
                        if let Some(words) = resolved {
                            let args = keep(words.iter().map(Vec::as_slice));
                            self.go_on_from(&mut attempt, args);
                        }
                        let locks = &gather.locks;
                        return self.attempt_found_nothing(session, owner, *attempt, locks);
                    }
                    Err(error) => {
                        reply.clear();
                        Reply::new(&mut reply, owner.protocol).error(&error);
                        self.count_failure(&error, owner.command);
                        None
                    }
                };
                if let Some((requests, entries)) = asked {
                    let gather = &mut self.gathers.pending[id];
                    self.budget.let_go(std::mem::take(&mut gather.part_bytes));
                    gather.missing = requests.len();
                    gather.parts = vec![Vec::new(); requests.len()];
                    let asks = requests
                        .iter()
                        .map(|request| {
                            let args = request.args.iter().map(Vec::as_slice).collect();
                            (request.core, Work::Part(request.run), args)
                        })
                        .collect();
                    self.ask(id, owner, session.as_deref_mut(), asks, entries);
                    continue;
                }
            }
            let mut gather = self.gathers.pending.remove(id);
            self.budget.let_go(gather.part_bytes);
            if let Some(attempt) = gather.attempt.take() {
                return self.end_attempt(session, owner, &attempt, &gather.locks, &reply);
            }
            let had_rounds = matches!(gather.finish, Finish::Rounds(_));
            if !had_rounds {
                let args = gather.args.as_args();
                self.write_reply(
                    &gather.finish,
                    args,
                    &gather.parts,
                    &mut reply,
                    owner.protocol,
                    owner.command,
                );
            }
            if let Some(session) = session.as_deref_mut() {
                if had_rounds && gather.then == Then::Keep {
                    // Only what raised the barrier takes it down. Replies that were begun before it, and transactions with
                    // locks of their own, may be complete only now.
                    session.at_barrier = false;
                }
                session.end_transaction();
                if let Some(seq) = owner.seq {
                    session
                        .output
                        .fill(seq, |out| out.extend_from_slice(&reply));
                }
            }
            if let Some(told) = gather.told.take() {
                self.end_events(owner.session, gather.then, *told, session);
            }
            if gather.then == Then::Release {
                self.unlock(owner.session, &gather.locks);
            }
            self.gathers.recycle(gather.parts, gather.finish);
            if reply.capacity() <= GATHER_REPLY_KEPT_BYTES {
                self.gathers.reply = reply;
            }
            return;
        }
    }

    fn write_reply(
        &mut self,
        finish: &Finish,
        args: Args<'_>,
        parts: &[Vec<u8>],
        out: &mut Vec<u8>,
        protocol: Protocol,
        command: &'static Command,
    ) {
        if let Some(error) = parts.iter().find(|part| part.first() == Some(&b'-'))
            && !matches!(finish, Finish::Merge(_) | Finish::Exec)
        {
            out.extend_from_slice(error);
            return;
        }
        match finish {
            Finish::Merge(merge) => {
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                if let Err(error) = merge(&args, &parts, &mut Reply::new(out, protocol)) {
                    out.clear();
                    Reply::new(out, protocol).error(&error);
                    self.count_failure(&error, command);
                }
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
                self.count_failure(&errors::REPLY_TOO_LARGE, command);
                Reply::new(out, protocol).error(&errors::REPLY_TOO_LARGE);
            }
            Finish::Gather(places) => {
                let read = &mut self.gathers.read;
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
            Finish::Rounds(_) => unreachable!("rounds write their own reply"),
        }
    }

    pub(super) fn count_failure(&mut self, error: &ErrorReply, command: &'static Command) {
        self.count_error(error);
        self.state.stats.by_command[usize::from(command.id.0)].failed += 1;
    }
}

impl Gathers {
    /// Entries have come for a command in rounds, ahead of the answer that they belong to.
    pub(super) fn hand(&mut self, gather: u32, entries: Vec<Handed>) {
        match &mut self.pending[gather as usize].finish {
            Finish::Rounds(rounds) => rounds.hand(entries),
            _ => unreachable!("entries are handed to commands in rounds"),
        }
    }

    /// The events of a reply's parts, if this core tells of them.
    pub(super) fn told_of(&mut self, gather: usize) -> Option<&mut EventsOfCommand> {
        self.pending.get_mut(gather)?.told.as_deref_mut()
    }

    /// Whether a command of several rounds is under way, `except` this one.
    pub(super) fn has_rounds(&self, except: CommandId) -> bool {
        let mut gathers = self.pending.iter();
        gathers.any(|(_, gather)| {
            matches!(gather.finish, Finish::Rounds(_)) && gather.owner.command.id != except
        })
    }
}

#[cfg(test)]
impl Gathers {
    /// Whether every question has its answers.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}
