//! Replies made of parts that several cores answer, and commands in rounds: all are asked together, their answers are kept
//! until the last has come, and then the reply is made, or the next round is asked.
//!
//! Whoever begins a reply has its parts run under locks (`gather_parts`, `run_rounds`), at their place in the order
//! (`begin_gather`, `transaction`), or, where no moment is promised, when they come (`gather`).

use std::rc::Rc;

use slab::Slab;

use super::batch::{Head, Held, LockAnswer, Reading, Then, Ticket, Work};
use super::blocking::Attempt;
use super::core::Core;
use super::limits::{
    GATHER_PART_KEPT_BYTES, GATHER_PARTS_KEPT, GATHER_PLACES_KEPT, GATHER_REPLY_KEPT_BYTES,
    GATHERS_KEPT,
};
use super::on_shard::{Place, access_of, run_command_on_shard};
use super::publish::note_write;
use super::transaction::{LocksHeld, held_on};
use crate::command::{
    Args, Command, CommandId, CommandTable, CoreCall, CoreFn, FirstKey, Merge, Round, Rounds, Run,
    closing,
};
use crate::resp::{ArgRange, ErrorReply, Protocol, REPLY_MAX_BYTES, Reply, errors};
use crate::routing::CoreId;
use crate::session::{LARGE_ANSWER_BYTES, LargeAnswer, ReplySeq, Session, SessionId, UserId, gate};
use larder_engine::{Access, DbIndex};

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
    /// A copy of the command's arguments, for [`Finish::Merge`].
    args: KeptArgs,
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

/// A copy of a command's arguments.
#[derive(Debug, Default)]
pub(super) struct KeptArgs {
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
}

impl KeptArgs {
    /// The arguments.
    pub(super) fn as_args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.ranges)
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.ranges.len() * size_of::<ArgRange>()
    }
}

/// Who gets the reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) session: SessionId,
    client_id: u64,
    user: UserId,
    /// The reply's place; none if no reply is wanted.
    pub(super) seq: Option<ReplySeq>,
    pub(super) db: DbIndex,
    protocol: Protocol,
    access: Access,
    reading: Reading,
    pub(super) command: &'static Command,
}

impl Owner {
    /// No client at all: the server itself.
    pub(super) fn nobody(command: &'static Command) -> Self {
        Self {
            session: SessionId::default(),
            client_id: 0,
            user: UserId::DEFAULT,
            seq: None,
            db: DbIndex(0),
            protocol: Protocol::Resp2,
            access: Access::Peek,
            reading: Reading::NotRemembered,
            command,
        }
    }

    /// What a request of its says besides the arguments.
    pub(super) fn head(&self, ticket: Ticket, work: Work, locks: Option<Held>) -> Head {
        Head {
            ticket,
            work,
            db: self.db,
            protocol: self.protocol,
            access: self.access,
            client_id: self.client_id,
            user: self.user,
            reading: self.reading,
            first_key: FirstKey::UNKNOWN,
            locks,
        }
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
        let seq = (!quiet).then(|| session.output.expect());
        if !remote {
            let owner = session_owner(session, seq, command);
            let parts: Vec<Vec<u8>> = asks
                .iter()
                .map(|(_, work, args)| self.part_here(Some(session), *work, args, owner))
                .collect();
            let protocol = session.protocol;
            let mut reply = Vec::new();
            self.write_reply(&finish, args, &parts, &mut reply, protocol, command);
            if let Some(seq) = seq {
                let write = |out: &mut Vec<u8>| out.extend_from_slice(&reply);
                session.output.fill(seq, write);
            }
            return;
        }
        // One message does not wait for another.
        if let Some(seq) = seq
            && !matches!(command.spec.run, Run::SomeCores { .. })
        {
            note_write(session, command.spec, seq);
        }
        let owner = session_owner(session, seq, command);
        let locks = LocksHeld::new();
        self.gather_parts(Some(session), owner, args, finish, asks, locks);
    }

    /// Asks several cores at once, under the locks of an `EXEC` if there are any. The place of the reply is kept already.
    pub(super) fn gather_parts(
        &mut self,
        mut session: Option<&mut Session>,
        owner: Owner,
        args: Args<'_>,
        finish: Finish,
        asks: Vec<Ask<'_>>,
        locks: LocksHeld,
    ) {
        let id = self.begin_gather(owner, args, finish, asks.len()) as usize;
        self.gathers.pending[id].locks = locks;
        self.ask(id, owner, session.as_deref_mut(), asks);
        self.finish_if_complete(id, session);
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
            locks: LocksHeld::new(),
            then: Then::Keep,
            attempt: None,
        });
        id as u32
    }

    /// Begins a command of several rounds that needs no locks.
    pub(super) fn begin_rounds(
        &mut self,
        session: &mut Session,
        rounds: Box<dyn Rounds>,
        command: &'static Command,
        quiet: bool,
    ) {
        let seq = (!quiet).then(|| session.output.expect());
        let owner = session_owner(session, seq, command);
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
        self.start_rounds(session, owner, rounds, (locks, then), None);
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
        self.start_rounds(session, owner, rounds, locks, Some(attempt));
    }

    fn start_rounds(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        rounds: Box<dyn Rounds>,
        (locks, then): (LocksHeld, Then),
        attempt: Option<Box<Attempt>>,
    ) {
        let id = self.gathers.pending.insert(Gather {
            owner,
            finish: Finish::Rounds(rounds),
            args: KeptArgs::default(),
            parts: Vec::new(),
            missing: 0,
            part_bytes: 0,
            locks,
            then,
            attempt,
        });
        self.finish_if_complete(id, session);
    }

    /// Sends out a round of questions; those to this core are answered at once.
    fn ask(
        &mut self,
        id: usize,
        owner: Owner,
        mut session: Option<&mut Session>,
        asks: Vec<Ask<'_>>,
    ) {
        for (part, (core, work, args)) in asks.into_iter().enumerate() {
            let locks = held_on(&self.gathers.pending[id].locks, core, Then::Keep);
            if core == self.state.id {
                let before = locks.map(|locks| self.begin_moment_of(locks.id));
                let mut undo = locks.map(|locks| locks.id);
                undo = undo.filter(|lock| !self.undos.is_empty() && self.enter_undo(*lock, work));
                let answer = self.part_here(session.as_deref_mut(), work, &args, owner);
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
            self.outboxes[core.index()].ask(head, args.iter().copied());
        }
    }

    /// Runs a part on this core for the server itself.
    pub(super) fn run_part_here(&mut self, run: CoreFn, argument: &[u8]) {
        let owner = Owner::nobody(CommandTable::rebalance());
        self.part_here(None, Work::Part(run), &[argument], owner);
    }

    fn part_here(
        &mut self,
        mut session: Option<&mut Session>,
        work: Work,
        args: &[&[u8]],
        owner: Owner,
    ) -> Vec<u8> {
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
                    let session = gather.owner.session;
                    let mut session = self.state.sessions.take_out(session);
                    self.finish_if_complete(id, session.as_deref_mut());
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
            let mut reply = std::mem::take(&mut self.gathers.reply);
            reply.clear();
            if let Finish::Rounds(rounds) = &mut gather.finish {
                let answers: Vec<&[u8]> = gather.parts.iter().map(Vec::as_slice).collect();
                let round = rounds.next(&answers, &mut Reply::new(&mut reply, owner.protocol));
                match round {
                    Ok(Round::Ask(requests)) => {
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
                        self.ask(id, owner, session.as_deref_mut(), asks);
                        continue;
                    }
                    Ok(Round::Done) => {}
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
                    }
                }
            }
            let mut gather = self.gathers.pending.remove(id);
            self.budget.let_go(gather.part_bytes);
            if let Some(attempt) = gather.attempt.take() {
                return self.end_attempt(session, owner, &attempt, &gather.locks, &reply);
            }
            let had_rounds = matches!(gather.finish, Finish::Rounds(_));
            if had_rounds {
                self.end_rounds(&gather);
            } else {
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
            if let Some(session) = session {
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
            self.gathers.recycle(gather.parts, gather.finish);
            if reply.capacity() <= GATHER_REPLY_KEPT_BYTES {
                self.gathers.reply = reply;
            }
            return;
        }
    }

    /// Gives back the locks of a command in rounds that is done, unless they are those of an `EXEC`.
    fn end_rounds(&mut self, gather: &Gather) {
        if gather.then == Then::Release {
            self.unlock(gather.owner.session, &gather.locks);
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

/// A session as the owner of a reply.
pub(super) fn session_owner(
    session: &Session,
    seq: Option<ReplySeq>,
    command: &'static Command,
) -> Owner {
    Owner {
        session: session.id,
        client_id: session.client_id,
        user: session.user,
        seq,
        db: session.db,
        protocol: session.protocol,
        access: access_of(session),
        reading: Reading::of(session, command),
        command,
    }
}

/// Copies a command's arguments.
pub(super) fn keep_args(args: Args<'_>) -> KeptArgs {
    keep(args.iter_from(0))
}

/// Copies arguments that stand in no one buffer.
pub(super) fn keep<'a>(args: impl Iterator<Item = &'a [u8]>) -> KeptArgs {
    let mut kept = KeptArgs::default();
    for arg in args {
        kept.ranges.push(ArgRange {
            start: kept.bytes.len() as u32,
            len: arg.len() as u32,
        });
        kept.bytes.extend_from_slice(arg);
    }
    kept
}

/// The value of an integer reply, `:1\r\n`.
fn integer_reply(reply: &[u8]) -> i64 {
    let digits = reply
        .strip_prefix(b":")
        .and_then(|rest| rest.strip_suffix(b"\r\n"));
    digits
        .and_then(larder_engine::parse_canonical_i64)
        .expect("the part is an integer reply")
}

/// The first of the elements of an array reply, which are bulk strings or nulls.
fn first_element(elements: &[u8]) -> &[u8] {
    let header = line_bytes(elements);
    let body = match elements[0] {
        b'$' => larder_engine::parse_canonical_i64(&elements[1..header - 2]).unwrap_or(-1),
        _ => -1,
    };
    let bytes = usize::try_from(body).map_or(header, |body| header + body + 2);
    &elements[..bytes]
}

/// Bytes of the reply's first line, its end included.
fn line_bytes(reply: &[u8]) -> usize {
    reply
        .iter()
        .position(|&byte| byte == b'\n')
        .expect("a reply has a line")
        + 1
}

impl Gathers {
    /// Whether a command of several rounds is under way that is such.
    pub(super) fn any_rounds(&self, is_such: impl Fn(&Command) -> bool) -> bool {
        let mut gathers = self.pending.iter();
        gathers.any(|(_, gather)| {
            matches!(gather.finish, Finish::Rounds(_)) && is_such(gather.owner.command)
        })
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
