//! Replies made of parts that several cores answer, and commands in rounds: all are asked together, their answers are kept
//! until the last has come, and then the reply is made, or the next round is asked.
//!
//! Whoever begins a reply has its parts run under locks (`gather_parts`, `run_rounds`), at their place in the order
//! (`begin_gather`, `begin`), or, where no moment is promised, when they come (`gather`).

use std::rc::Rc;
use std::time::Instant;

use crate::command::{
    Args, Command, CommandTable, CoreCall, CoreFn, CoreRequest, FirstKey, Handed, Round, Rounds,
    Run, closing,
};
use crate::dispatch::core::Core;
use crate::dispatch::core::run::nanos_since;
use crate::dispatch::gather::{Finish, Gather};
use crate::dispatch::mail::requests::{Counts, LockAnswer, LocksHeld, Then, Ticket, Work};
use crate::dispatch::run::kept_args::{keep, keep_args};
use crate::dispatch::run::on_shard::{CallOptions, run_command_on_shard};
use crate::dispatch::run::recipient::{Recipient, note_write, recipient_of_session};
use crate::observe::Cost;
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::routing::CoreId;
use crate::session::{LARGE_ANSWER_BYTES, LargeAnswer, Output, ReplySeq, Session, SessionId, gate};

/// When a command in rounds goes on.
enum GoesOn {
    /// When the answers are there: they may be already.
    WithAnswers,
    /// In a later turn.
    Later,
}

/// A part that is asked for: of which core, what runs there, on which arguments.
pub(in crate::dispatch::core) type AskedPart<'a> = (CoreId, Work, Rc<[&'a [u8]]>);

impl Core {
    /// Asks several cores at once; the reply is made when all have answered, at once if only this one was asked.
    pub(in crate::dispatch::core) fn gather(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        finish: Finish,
        asks: Vec<AskedPart<'_>>,
        quiet: bool,
    ) {
        let remote = asks.iter().any(|(core, ..)| *core != self.state.id);
        let seq = session.output.expect_if_wanted(!quiet);
        if !remote {
            let recipient = recipient_of_session(session, Some(seq), command);
            let parts: Vec<Vec<u8>> = asks
                .iter()
                .map(|(_, work, args)| {
                    self.part_here(Some(session), *work, args, recipient, &mut Vec::new())
                })
                .collect();
            let protocol = session.protocol;
            let mut reply = Vec::new();
            self.write_reply(&finish, args, &parts, &mut reply, protocol, command);
            self.observe_reply(session, args, command.spec, reply.len());
            let write = |out: &mut Vec<u8>| out.extend_from_slice(&reply);
            return session.output.fill(seq, write);
        }
        // One message does not wait for another.
        if !matches!(command.spec.run, Run::SomeCores { .. }) {
            note_write(session, command.spec, seq);
        }
        let recipient = recipient_of_session(session, Some(seq), command);
        let locks = (LocksHeld::new(), Then::Keep);
        self.gather_parts(Some(session), recipient, args, (finish, asks), locks);
    }

    /// Asks several cores at once, under locks if there are any. Where these are given back behind it, this core tells of what
    /// happens; else its `EXEC` says who does. The slot of the reply is kept already.
    pub(in crate::dispatch::core) fn gather_parts(
        &mut self,
        mut session: Option<&mut Session>,
        recipient: Recipient,
        args: Args<'_>,
        (finish, asks): (Finish, Vec<AskedPart<'_>>),
        (locks, then): (LocksHeld, Then),
    ) {
        let told = self.begin_events(recipient.session, &locks, then, true);
        let args_kept = self.gathers.keep_args(&finish, args);
        let gather = Gather::of_parts(recipient, finish, args_kept);
        let gather = gather.telling(told, args).under(locks, then);
        let id = self.gathers.begin(gather, asks.len());
        self.ask(id, recipient, session.as_deref_mut(), asks, Vec::new());
        self.finish_if_complete(id, session);
    }

    /// Begins to gather `count` parts of a reply, whose place is kept already.
    pub(in crate::dispatch::core) fn begin_gather(
        &mut self,
        recipient: Recipient,
        args: Args<'_>,
        finish: Finish,
        count: usize,
    ) -> u32 {
        let args = self.gathers.keep_args(&finish, args);
        let gather = Gather::of_parts(recipient, finish, args);
        self.gathers.begin(gather, count) as u32
    }

    /// Begins a command of several rounds that needs no locks.
    pub(in crate::dispatch::core) fn begin_rounds(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        rounds: Box<dyn Rounds>,
        command: &'static Command,
        quiet: bool,
    ) {
        let seq = session.output.expect_if_wanted(!quiet);
        let recipient = recipient_of_session(session, Some(seq), command);
        session.at_barrier = true;
        self.run_rounds(
            Some(session),
            Gather::in_rounds(recipient, rounds, keep_args(args)),
        );
    }

    /// Runs a command of several rounds. The slot of the reply is kept, and the session at a barrier, already.
    pub(in crate::dispatch::core) fn run_rounds(
        &mut self,
        session: Option<&mut Session>,
        gather: Gather,
    ) {
        let id = self.gathers.begin(gather, 0);
        self.finish_if_complete(id, session);
    }

    /// As [`Self::run_rounds`], for a command that this core tells of if `is_told`, or if it does of its `EXEC`.
    pub(in crate::dispatch::core) fn run_told_rounds(
        &mut self,
        session: Option<&mut Session>,
        mut gather: Gather,
        is_told: bool,
    ) {
        let session_id = gather.recipient.session;
        gather.told = self.begin_events(session_id, &gather.locks, gather.then, is_told);
        self.run_rounds(session, gather);
    }

    /// Sends out a round of questions; those to this core are answered at once. Entries to be handed over go with the first.
    fn ask(
        &mut self,
        id: usize,
        recipient: Recipient,
        mut session: Option<&mut Session>,
        asks: Vec<AskedPart<'_>>,
        mut entries: Vec<Handed>,
    ) {
        let is_told = self.gathers.get(id).told.is_some();
        for (part, (core, work, args)) in asks.into_iter().enumerate() {
            let locks = self.gathers.lock_on(id, core);
            if core == self.state.id {
                let before = locks.map(|locks| self.begin_moment_of(locks.id));
                let mut undo = locks.map(|locks| locks.id);
                undo = undo.filter(|lock| !self.undos.is_empty() && self.enter_undo(*lock, work));
                let gathered = self.begin_part_here(is_told);
                let is_timed = locks.is_some() && self.gathers.get(id).is_in_rounds();
                let began = is_timed.then(|| self.state.timing.begin_apart());
                let answer =
                    self.part_here(session.as_deref_mut(), work, &args, recipient, &mut entries);
                if let Some(began) = began {
                    let nanos = self.timed_step(recipient.command, began);
                    self.gathers.note_time(id, nanos);
                }
                self.end_part_here(id, gathered);
                if !entries.is_empty() {
                    self.gathers.hand(id as u32, std::mem::take(&mut entries));
                }
                if let Some(lock) = undo {
                    self.lay_undo_aside(lock, self.changer(recipient.session));
                }
                if let Some(before) = before {
                    self.end_moment(before);
                }
                self.gathers.put_part(id, part, answer);
                continue;
            }
            self.state.stats.hops += 1;
            let ticket = Ticket::Part {
                session: recipient.session,
                gather: id as u32,
                part: part as u32,
            };
            let head = recipient.head(ticket, work, locks);
            let (outbox, args) = (self.outboxes.to(core), args.iter().copied());
            if entries.is_empty() {
                outbox.ask(head, args);
            } else {
                outbox.ask_handing(head, args, std::mem::take(&mut entries));
            }
        }
    }

    /// Runs a part on this core for the server itself.
    pub(in crate::dispatch::core) fn run_part_here(&mut self, run: CoreFn, argument: &[u8]) {
        let recipient = Recipient::nobody(CommandTable::rebalance());
        self.part_here(
            None,
            Work::Part(run),
            &[argument],
            recipient,
            &mut Vec::new(),
        );
    }

    /// Runs a part on this core. `entries`: those handed over to it, and then those that it hands back.
    fn part_here(
        &mut self,
        mut session: Option<&mut Session>,
        work: Work,
        args: &[&[u8]],
        recipient: Recipient,
        entries: &mut Vec<Handed>,
    ) -> Vec<u8> {
        let handed = std::mem::take(entries);
        let kept = keep(args.iter().copied());
        let args = kept.as_args();
        let itself = self.state.reader(recipient.session);
        let reader = recipient.reading.reader(itself);
        let mut out = Vec::new();
        match work {
            Work::Command(command) => {
                let place = CallOptions {
                    db: recipient.db,
                    protocol: recipient.protocol,
                    access: recipient.access,
                    first_key: FirstKey::UNKNOWN,
                };
                let began = (self.state.gates & gate::COSTS != 0).then(Instant::now);
                run_command_on_shard(&mut self.state, &mut out, args, command, place);
                if let Some(began) = began {
                    let cost = Cost {
                        nanos: nanos_since(began),
                        reply_bytes: out.len() as u64,
                    };
                    self.add_costs(command.spec, args, cost);
                }
                if let Some(reader) = reader {
                    self.state.remember(command.spec, &args, reader);
                }
            }
            _ => {
                let run = work.core_fn().expect("it is a part of a gathered reply");
                run(&mut CoreCall {
                    core: &mut self.state,
                    asking: session.as_deref_mut(),
                    asking_client_id: recipient.client_id,
                    reader,
                    db: recipient.db,
                    protocol: recipient.protocol,
                    args,
                    out: &mut out,
                    handed: &handed,
                    hands: entries,
                });
                // It may have changed it.
                self.notice_config();
            }
        }
        self.answer_unblock_now(&mut out);
        for buffer in handed.into_iter().filter_map(Handed::into_buffer) {
            self.state.shard.bury(buffer);
        }
        if self.state.gates & gate::NOTES != 0 {
            let by = self.changer(recipient.session);
            self.act_on_notes(session, Some(by));
        }
        out
    }

    /// An answer from another core.
    #[inline(always)]
    pub(in crate::dispatch::core) fn take_answer(
        &mut self,
        from: CoreId,
        ticket: Ticket,
        bytes: &[u8],
    ) {
        if bytes.len() >= LARGE_ANSWER_BYTES && from != self.state.id {
            self.keep_large(from, ticket, bytes.len() as u64);
        }
        match ticket {
            Ticket::Reply { session, seq } => self.fill_reply(session, seq, bytes),
            _ => self.take_other_answer(from, ticket, bytes),
        }
    }

    /// The reply to a command that ran on another core.
    #[inline(always)]
    fn fill_reply(&mut self, session: SessionId, seq: ReplySeq, bytes: &[u8]) {
        let write = |out: &mut Vec<u8>| out.extend_from_slice(bytes);
        self.fill_reply_by(session, |output| output.fill(seq, write));
    }

    /// A session is given a reply that it awaits, by `fill`.
    #[inline(always)]
    pub(in crate::dispatch::core) fn fill_reply_by(
        &mut self,
        session: SessionId,
        fill: impl FnOnce(&mut Output),
    ) {
        let Some(session) = self.state.sessions.get_mut(session) else {
            return;
        };
        let was_held_back = session.is_held_back();
        fill(&mut session.output);
        if session.id.is_messenger() {
            return self.scripts.note_answer(session.id);
        }
        let limit = session.output_limit(&self.state.config.client_output_buffer_limit);
        closing::close_beyond(session, limit, &mut self.state.stats);
        let id = session.id;
        if was_held_back {
            self.run_queue.push(id);
        } else if session.stalled_for_room {
            // It waits already, and may have waited for this.
            self.run_queue.forget_look();
        }
        self.state.dirty.push(id);
        if session.holds_much() {
            self.weigh_in_place(id);
        }
    }

    /// The reply to a command that ran on another core, in pieces.
    pub(in crate::dispatch::core) fn take_in_pieces(
        &mut self,
        from: CoreId,
        ticket: Ticket,
        pieces: Vec<Vec<u8>>,
    ) {
        let bytes = pieces.iter().map(Vec::len).sum::<usize>();
        if bytes >= LARGE_ANSWER_BYTES && from != self.state.id {
            self.keep_large(from, ticket, bytes as u64);
        }
        match ticket {
            Ticket::Reply { session, seq } => self.fill_in_pieces(session, seq, pieces),
            Ticket::Part { gather, part, .. } => {
                self.put_part_in_pieces(gather, part, pieces);
                if self.gathers.is_complete(gather as usize) {
                    self.go_on_gathering(gather as usize);
                }
            }
            _ => unreachable!("only replies and their parts come in pieces"),
        }
    }

    /// A part is there, in pieces.
    pub(in crate::dispatch::core) fn put_part_in_pieces(
        &mut self,
        gather: u32,
        part: u32,
        pieces: Vec<Vec<u8>>,
    ) {
        let bytes = pieces.iter().map(Vec::len).sum::<usize>();
        self.budget.keep(bytes);
        self.gathers
            .put_pieces(gather as usize, part as usize, pieces);
    }

    /// All is there that a reply waited for, or a command in rounds was put off until now: goes on with it.
    pub(in crate::dispatch::core) fn go_on_gathering(&mut self, id: usize) {
        let recipient = self.gathers.get(id).recipient;
        let is_counted = recipient.counts == Counts::Before;
        let before = is_counted.then(|| self.begin_uncounted(Some(recipient.command.id)));
        let mut session = self.state.sessions.take_out(recipient.session);
        self.finish_if_complete(id, session.as_deref_mut());
        if let Some(before) = before {
            self.end_uncounted(before);
        }
        if self.state.gates & gate::NOTES != 0 {
            let by = self.changer(recipient.session);
            self.act_on_notes(session.as_deref_mut(), Some(by));
        }
        if let Some(session) = session {
            self.look_again(session);
        }
    }

    /// An answer that is no whole reply.
    fn take_other_answer(&mut self, from: CoreId, ticket: Ticket, bytes: &[u8]) {
        match ticket {
            Ticket::Reply { .. } | Ticket::Discard { .. } => {}
            Ticket::Locks { transaction, .. } => {
                let answer = LockAnswer::read(bytes);
                self.take_grant(from, transaction, answer);
            }
            Ticket::Attempt { session } => self.end_attempt_on(session, bytes),
            Ticket::Wait { session, number } => {
                self.take_word_of_wait(from, session, number, bytes);
            }
            Ticket::Part { gather, part, .. } => {
                let id = gather as usize;
                self.budget.keep(bytes.len());
                if self.gathers.take_part(id, part as usize, bytes) {
                    self.go_on_gathering(id);
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
                let gather = self.gathers.get(gather as usize);
                gather.recipient.seq.filter(|_| !gather.is_in_rounds())
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

    /// If every part is there, makes the reply or asks the next round. What writes goes on in rounds though its client is gone, so that
    /// it is not left half done.
    pub(in crate::dispatch::core) fn finish_if_complete(
        &mut self,
        id: usize,
        mut session: Option<&mut Session>,
    ) {
        while self.gathers.is_complete(id) {
            let mut reply = self.gathers.take_reply();
            let recipient = self.gathers.get(id).recipient;
            let mut pieces = Vec::new();
            if let Some(round) = self.gathers.end_round(id, &mut reply) {
                let asked = match round {
                    Ok(Round::Ask(requests)) => Some((requests, Vec::new())),
                    Ok(Round::Hand(request, entries)) => Some((vec![request], entries)),
                    Ok(Round::Done) => None,
                    Ok(Round::GoOn) => Some((Vec::new(), Vec::new())),
                    Ok(Round::Reply(made)) => {
                        pieces = made;
                        None
                    }
                    Ok(Round::Wait(resolved)) => {
                        let (gather, _, kept_bytes) = self.gathers.end(id);
                        self.budget.let_go(kept_bytes);
                        let mut attempt = gather.attempt.expect("only such a command waits");
                        if let Some(words) = resolved.args {
                            let args = keep(words.iter().map(Vec::as_slice));
                            self.go_on_from(&mut attempt, args);
                        }
                        let found = (&gather.locks, resolved.again_in_ms);
                        return self.attempt_found_nothing(session, recipient, *attempt, found);
                    }
                    Err(error) => {
                        reply.clear();
                        Reply::new(&mut reply, recipient.protocol).error(&error);
                        self.count_failure(&error, recipient.command);
                        None
                    }
                };
                let is_left = session.is_none() && self.gathers.get(id).only_reads();
                let asked = match asked {
                    Some((requests, entries)) if is_left => {
                        let requests = self.gathers.give_up(id, requests);
                        (!requests.is_empty()).then_some((requests, entries))
                    }
                    asked => asked,
                };
                if let Some((requests, entries)) = asked {
                    match self.ask_round(id, session.as_deref_mut(), &requests, entries) {
                        GoesOn::WithAnswers => continue,
                        GoesOn::Later => return,
                    }
                }
            }
            return self.end_gather(id, session, reply, pieces);
        }
    }

    /// Asks the next round of a command. One that asks nobody has come to where it goes on in a later turn.
    fn ask_round(
        &mut self,
        id: usize,
        session: Option<&mut Session>,
        requests: &[CoreRequest],
        entries: Vec<Handed>,
    ) -> GoesOn {
        let recipient = self.gathers.get(id).recipient;
        let part_bytes = self.gathers.begin_round(id, requests.len());
        self.budget.let_go(part_bytes);
        let (held_before, held) = self.gathers.count_held(id);
        self.budget.let_go(held_before);
        self.budget.keep(held);
        let asks = requests.iter().map(|request| {
            let args = request.args.iter().map(Vec::as_slice).collect();
            (request.core, Work::Part(request.run), args)
        });
        self.ask(id, recipient, session, asks.collect(), entries);
        let is_here = requests.iter().all(|request| request.core == self.state.id);
        let asked_bytes = requests
            .iter()
            .flat_map(|request| &request.args)
            .map(Vec::len);
        match self.gathers.put_off_if_long(id, asked_bytes.sum(), is_here) {
            true => GoesOn::Later,
            false => GoesOn::WithAnswers,
        }
    }

    /// Ends a reply whose parts are there: those of a command in rounds have become `reply`, or `pieces`, if there are any.
    fn end_gather(
        &mut self,
        id: usize,
        mut session: Option<&mut Session>,
        mut reply: Vec<u8>,
        mut pieces: Vec<Vec<u8>>,
    ) {
        let parts_in_pieces = match self.gathers.get(id).finish {
            Finish::Pieces(_) => self.gathers.take_pieces(id),
            _ => Vec::new(),
        };
        let nanos = self.gathers.time_of(id);
        let (mut gather, parts, kept_bytes) = self.gathers.end(id);
        self.budget.let_go(kept_bytes);
        let (recipient, args) = (gather.recipient, gather.args.as_args());
        if let Some(attempt) = gather.attempt.take() {
            pieces
                .iter()
                .for_each(|piece| reply.extend_from_slice(piece));
            return self.end_attempt(session, recipient, &attempt, &gather.locks, &reply);
        }
        let had_rounds = gather.is_in_rounds();
        match gather.finish {
            Finish::Rounds(_) => {}
            // A part that was given up is none.
            Finish::Pieces(_) if session.is_none() => {}
            Finish::Pieces(merge) => match merge(&args, parts_in_pieces, recipient.protocol) {
                Ok(merged) => pieces = merged,
                Err(error) => {
                    Reply::new(&mut reply, recipient.protocol).error(&error);
                    self.count_failure(&error, recipient.command);
                }
            },
            _ => self.write_reply(
                &gather.finish,
                args,
                &parts,
                &mut reply,
                recipient.protocol,
                recipient.command,
            ),
        }
        if let Some(session) = session.as_deref_mut() {
            if had_rounds && gather.then == Then::Keep {
                // Only what raised the barrier takes it down. Replies that were begun before it, and transactions with
                // locks of their own, may be complete only now.
                session.at_barrier = false;
            }
            session.end_transaction();
            let reply_bytes = reply.len() + pieces.iter().map(Vec::len).sum::<usize>();
            match recipient.seq {
                Some(seq) if !pieces.is_empty() => session.output.fill_with(seq, pieces),
                Some(seq) => {
                    let fill = |out: &mut Vec<u8>| out.extend_from_slice(&reply);
                    session.output.fill(seq, fill);
                }
                None => {}
            }
            if nanos > 0 {
                self.observe_slow(session, args, recipient.command.spec, nanos);
            }
            if !gather.args.is_empty() {
                self.observe_reply(session, args, recipient.command.spec, reply_bytes);
            }
        }
        if let Some(told) = gather.told.take() {
            self.end_events(recipient.session, gather.then, *told, session);
        }
        if gather.then == Then::Release {
            self.unlock(recipient.session, &gather.locks);
        }
        self.gathers.recycle(parts, gather.finish, gather.args);
        self.gathers.keep_reply(reply);
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
        let written = self.gathers.write_reply(finish, args, parts, out, protocol);
        if let Err(error) = written {
            out.clear();
            Reply::new(out, protocol).error(&error);
            self.count_failure(&error, command);
        }
    }

    pub(in crate::dispatch::core) fn count_failure(
        &mut self,
        error: &ErrorReply,
        command: &'static Command,
    ) {
        self.state.stats.count_failure(command.id, error.code());
    }
}
