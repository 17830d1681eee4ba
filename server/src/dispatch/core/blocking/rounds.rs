//! Commands that block on keys of several cores: the session's side. (Those on keys of one core: [`crate::dispatch::core::blocking::attempts`].)
//!
//! ```text
//!  first attempt    a transaction under the locks of all its keys on all cores
//!  nothing there    the keys' cores are told who waits, under the same locks, so that no write is missed; the session blocks
//!  a key written    its core reserves it ([`crate::dispatch::core::blocking::queues`]) and says so; the next attempt is a transaction like the first
//!  the end          served, or time is over, or `CLIENT UNBLOCK`, or the client is gone: the keys' cores forget it
//! ```
//! Every wait has a number, given once: those who wait for a key are served in this order, and before single commands that
//! come later. (A transaction on several cores may come first: it has a place in the order of all transactions, and does
//! not wait for one that is yet to be given.)

use crate::command::{Args, Blocking, Command, Rounds, Turn};
use crate::dispatch::blocking::blocked::{Attempt, BlockedCommand, Terms, Which, Woken};
use crate::dispatch::core::Core;
use crate::dispatch::gather::Gather;
use crate::dispatch::mail::requests::{
    Held, LocksHeld, RequestHead, Then, Ticket, WaitRequest, WaitStep, Work, held_on,
};
use crate::dispatch::run::attempt::blocking_of;
use crate::dispatch::run::kept_args::{KeptArgs, keep_args};
use crate::dispatch::run::recipient::{Recipient, recipient_of_session};
use crate::dispatch::transactions::pending::Plan;
use crate::dispatch::transactions::scopes::{scope_of, scopes_of};
use crate::resp::Reply;
use crate::routing::{CoreId, SlotMap};
use crate::session::{ReplySeq, Session, SessionId, WaitNumber};

impl Core {
    /// Begins a command that may block.
    pub(in crate::dispatch::core) fn begin_blocking(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        blocking: Blocking,
        quiet: bool,
    ) {
        let until_ms = match self.until_ms(blocking, &args) {
            Ok(until_ms) => until_ms,
            Err(error) => return self.reply_error(session, &error, command, quiet),
        };
        let begin = |args: &Args<'_>, slots: &SlotMap| (blocking.begin)(args, slots, Turn::First);
        let Some(rounds) = self.rounds(session, args, command, begin, quiet) else {
            return;
        };
        let seq = session.output.expect();
        let terms = Terms {
            seq,
            until_ms,
            quiet,
        };
        let recipient = recipient_of_session(session, Some(seq), command);
        let executing = session.executing.as_ref();
        if !session.may_wait() {
            let locks = executing.map_or_else(LocksHeld::new, |executing| executing.locks.clone());
            session.at_barrier = true;
            let which = Which::InExec;
            let gather = in_attempt(recipient, rounds, locks, Attempt { terms, which });
            return self.run_rounds(Some(session), gather);
        }
        let scopes = self.scopes(|scopes| scope_of(&self.state, command, args, scopes));
        session.at_barrier = true;
        self.begin_transaction(recipient, keep_args(args), Plan::Block(terms), scopes, None);
    }

    /// Makes the first attempt, under locks of several cores.
    pub(in crate::dispatch::core) fn attempt_under_locks(
        &mut self,
        session: &mut Session,
        recipient: Recipient,
        args: KeptArgs,
        terms: Terms,
        locks: LocksHeld,
    ) {
        let slots = &self.state.shared.slots;
        let rounds = begin_attempt(recipient, &args, slots, Turn::First);
        let which = Which::First(args);
        let gather = in_attempt(recipient, rounds, locks, Attempt { terms, which });
        self.run_rounds(Some(session), gather);
    }

    /// An attempt has written its reply: it goes to the client, and the wait is over.
    pub(in crate::dispatch::core) fn end_attempt(
        &mut self,
        session: Option<&mut Session>,
        recipient: Recipient,
        attempt: &Attempt,
        locks: &LocksHeld,
        reply: &[u8],
    ) {
        if let Some(session) = session {
            session.at_barrier = false;
            let seq = end_blocking(session, attempt.terms);
            let reply = if attempt.terms.quiet { &[] } else { reply };
            let output = &mut session.output;
            output.fill(seq, |out| out.extend_from_slice(reply));
        }
        match attempt.which {
            Which::InExec => {}
            Which::First(_) => self.unlock(recipient.session, locks),
            Which::Again(number) => {
                self.answer_unblocks(recipient.session, false);
                self.end_wait(number, locks);
                self.unlock(recipient.session, locks);
            }
        }
    }

    /// An attempt has found nothing to do, and the next goes on from `args`.
    pub(in crate::dispatch::core) fn go_on_from(&mut self, attempt: &mut Attempt, args: KeptArgs) {
        match &mut attempt.which {
            Which::InExec => {}
            Which::First(kept) => *kept = args,
            Which::Again(number) => {
                let bytes = args.memory_bytes();
                if let Some(before) = self.blocked.replace_args(*number, args) {
                    self.budget.let_go(before.memory_bytes());
                    self.budget.keep(bytes);
                }
            }
        }
    }

    /// An attempt has found nothing to do.
    pub(in crate::dispatch::core) fn attempt_found_nothing(
        &mut self,
        session: Option<&mut Session>,
        recipient: Recipient,
        attempt: Attempt,
        (locks, again_in_ms): (&LocksHeld, Option<u64>),
    ) {
        let alarm = self.alarm_in(again_in_ms);
        let Attempt { terms, which } = attempt;
        match (which, session) {
            (Which::InExec, Some(session)) => {
                session.at_barrier = false;
                answer_nothing(session, recipient, terms);
            }
            (Which::InExec, None) => unreachable!("a session stays until its `EXEC` is over"),
            (Which::First(args), Some(session)) => {
                session.at_barrier = false;
                let number = self.block(session, recipient, args, terms, locks);
                self.blocked.set_alarm(number, alarm);
            }
            (Which::First(_), None) => self.unlock(recipient.session, locks),
            (Which::Again(number), session) => {
                self.attempt_again_found_nothing(number, session, recipient, locks);
                self.blocked.set_alarm(number, alarm);
                self.unlock(recipient.session, locks);
            }
        }
    }

    fn attempt_again_found_nothing(
        &mut self,
        number: WaitNumber,
        session: Option<&mut Session>,
        recipient: Recipient,
        locks: &LocksHeld,
    ) {
        let Some(session) = session else {
            return self.end_wait(number, locks);
        };
        let blocked = session.blocked.as_ref();
        if let Some(ending) = blocked.and_then(|blocked| blocked.ending) {
            // It was to end while the attempt was under way.
            ending.count(recipient.command.id, &mut self.state.stats);
            let on_timeout = blocking_of(recipient.command).on_timeout;
            let protocol = session.protocol;
            session.end_blocked(|out| ending.write(on_timeout, &mut Reply::new(out, protocol)));
            self.answer_unblocks(recipient.session, true);
            return self.end_wait(number, locks);
        }
        if let Some(blocked) = &mut session.blocked {
            blocked.is_being_served = false;
        }
        self.go_on_waiting(number, locks);
    }

    /// The session blocks. The cores of the keys are told while the locks are held, which they give back.
    fn block(
        &mut self,
        session: &mut Session,
        mut recipient: Recipient,
        args: KeptArgs,
        mut terms: Terms,
        locks: &LocksHeld,
    ) -> WaitNumber {
        // Messages that came during the attempt are not to wait for a reply that may be long in coming.
        session.output.fill(terms.seq, |_| ());
        terms.seq = session.output.expect();
        recipient.seq = Some(terms.seq);
        let number = WaitNumber(self.state.shared.next_wait());
        self.block_session(session, recipient.command, terms, Some(number), None);
        self.register_wait(number, recipient, args, terms, locks);
        number
    }

    /// Tells the cores of the keys who waits.
    pub(in crate::dispatch::core) fn register_wait(
        &mut self,
        number: WaitNumber,
        recipient: Recipient,
        args: KeptArgs,
        terms: Terms,
        locks: &LocksHeld,
    ) {
        let blocking = blocking_of(recipient.command);
        let words = args.as_args();
        let scopes = self.scopes(|scopes| scope_of(&self.state, recipient.command, words, scopes));
        let cores: Vec<CoreId> = scopes.iter().map(|(core, _)| *core).collect();
        for (core, scope) in scopes {
            let awaited = blocking.awaits.positions(&words).map(|at| words.at(at));
            let of_core = awaited.filter(|key| self.state.shared.slots.core_of(key) == core);
            let keys = of_core.map(Box::from).collect();
            let request = WaitRequest {
                number,
                keys,
                command: recipient.command,
                scope: Some(scope),
            };
            self.tell_of_wait(
                recipient,
                core,
                request,
                held_on(locks, core, Then::Release),
            );
        }
        self.budget.keep(args.memory_bytes());
        let table = self.state.shared.slots.version();
        let command = BlockedCommand::new(recipient, args, terms, cores, table);
        self.blocked.insert(number, command);
    }

    /// Sends those on who wait where their keys no longer are, since slots have moved. Whether that may be.
    #[inline]
    pub(in crate::dispatch::core) fn follow_moved_slots(&mut self) -> bool {
        let table = self.state.shared.slots.version();
        let may_have_moved = self.blocked.may_have_moved(table);
        if may_have_moved {
            self.send_waits_on();
        }
        may_have_moved
    }

    #[cold]
    fn send_waits_on(&mut self) {
        let table = self.state.shared.slots.version();
        let numbers = self.blocked.follow_table(table);
        for number in numbers {
            self.send_wait_on(number);
        }
    }

    /// Has the cores that have the keys now know of the wait, with the place in the order that it has. They look whether
    /// the keys hold anything: it may have come while nobody there waited for it.
    fn send_wait_on(&mut self, number: WaitNumber) {
        let Some(command) = self.blocked.remove(number) else {
            return;
        };
        let BlockedCommand {
            recipient,
            args,
            terms,
            cores,
            ..
        } = command;
        self.budget.let_go(args.memory_bytes());
        for core in cores {
            self.step_wait_on(core, recipient.session, (number, WaitStep::End(None)), None);
        }
        self.register_wait(number, recipient, args, terms, &LocksHeld::new());
    }

    fn tell_of_wait(
        &mut self,
        recipient: Recipient,
        core: CoreId,
        request: WaitRequest,
        locks: Option<Held>,
    ) {
        let session = recipient.session;
        if core == self.state.id {
            let head = recipient.head(Ticket::Discard { session }, Work::Unlock, None);
            self.queue_wait(core, &head, request, Args::new(&[], &[]));
            if let Some(locks) = locks {
                self.release_locks(locks.id);
            }
            return;
        }
        let ticket = Ticket::Discard { session };
        let head = recipient.head(ticket, Work::Unlock, locks);
        self.outboxes
            .to(core)
            .ask_to_await(head, request, std::iter::empty());
    }

    /// A key that is waited for has been written, and is reserved: the next attempt begins.
    pub(in crate::dispatch::core) fn wait_woken(&mut self, number: WaitNumber) {
        let table = self.state.shared.slots.version();
        let command = match self.blocked.wake(number, table) {
            Woken::Nothing => return,
            Woken::HasMoved => return self.send_wait_on(number),
            Woken::Attempt(command) => command,
        };
        let (recipient, args) = (command.recipient, command.args.as_args());
        let (state, cores) = (&self.state, self.state.shared.cores());
        let scopes = scopes_of(cores, |scopes| {
            scope_of(state, recipient.command, args, scopes)
        });
        let plan = Plan::BlockAgain(number);
        self.begin_transaction(recipient, KeptArgs::default(), plan, scopes, None);
    }

    /// Makes the next attempt, under its locks.
    pub(in crate::dispatch::core) fn attempt_again(
        &mut self,
        number: WaitNumber,
        mut session: Option<&mut Session>,
        locks: LocksHeld,
    ) {
        let Some(command) = self.blocked.begin_attempt(number) else {
            let session = session.map_or_else(SessionId::default, |session| session.id);
            return self.unlock(session, &locks);
        };
        let (recipient, terms) = (command.recipient, command.terms);
        let slots = &self.state.shared.slots;
        let rounds = begin_attempt(recipient, &command.args, slots, Turn::Later);
        let blocked = session
            .as_mut()
            .and_then(|session| session.blocked.as_mut());
        if let Some(blocked) = blocked {
            blocked.is_being_served = true;
        }
        let which = Which::Again(number);
        let gather = in_attempt(recipient, rounds, locks, Attempt { terms, which });
        self.run_rounds(session, gather);
    }

    /// The attempt is over, and more is waited for.
    fn go_on_waiting(&mut self, number: WaitNumber, locks: &LocksHeld) {
        if let Some(command) = self.blocked.park(number) {
            let (session, cores) = (command.recipient.session, command.cores.clone());
            for core in cores {
                let locks = held_on(locks, core, Then::Keep);
                self.step_wait_on(core, session, (number, WaitStep::GoOn), locks);
            }
        }
    }

    /// Nothing is waited for any more. `locks`: those of the last attempt, which are about to be given back.
    pub(in crate::dispatch::core) fn end_wait(&mut self, number: WaitNumber, locks: &LocksHeld) {
        if let Some(command) = self.blocked.remove(number) {
            self.budget.let_go(command.args.memory_bytes());
            for core in command.cores {
                let (session, locks) =
                    (command.recipient.session, held_on(locks, core, Then::Keep));
                self.step_wait_on(core, session, (number, WaitStep::End(None)), locks);
            }
        }
    }

    pub(in crate::dispatch::core) fn step_wait_on(
        &mut self,
        core: CoreId,
        session: SessionId,
        (number, step): (WaitNumber, WaitStep),
        locks: Option<Held>,
    ) {
        if core == self.state.id {
            return self.step_wait(number, step, locks.map(|locks| locks.id));
        }
        let head = RequestHead {
            locks,
            ..RequestHead::of(Ticket::Discard { session }, Work::Wait(number, step))
        };
        self.outboxes.to(core).ask(head, std::iter::empty());
    }
}

/// An attempt in rounds, under locks that are given back when it is clear what has come of it.
fn in_attempt(
    recipient: Recipient,
    rounds: Box<dyn Rounds>,
    locks: LocksHeld,
    attempt: Attempt,
) -> Gather {
    let gather = Gather::in_rounds(recipient, rounds, KeptArgs::default());
    gather.under(locks, Then::Keep).attempting(attempt)
}

fn begin_attempt(
    recipient: Recipient,
    args: &KeptArgs,
    slots: &SlotMap,
    turn: Turn,
) -> Box<dyn Rounds> {
    match (blocking_of(recipient.command).begin)(&args.as_args(), slots, turn) {
        Ok(rounds) => rounds,
        Err(_) => unreachable!("the same arguments were right when the command came"),
    }
}

/// The session is blocked no longer. The place of its reply: messages meanwhile have gone before it.
fn end_blocking(session: &mut Session, terms: Terms) -> ReplySeq {
    let blocked = session.blocked.take();
    blocked.map_or(terms.seq, |blocked| blocked.seq)
}

/// Answers that nothing was found where nothing waits.
fn answer_nothing(session: &mut Session, recipient: Recipient, terms: Terms) {
    let protocol = session.protocol;
    session.output.fill(terms.seq, |out| {
        if !terms.quiet {
            (blocking_of(recipient.command).on_nothing)(&mut Reply::new(out, protocol));
        }
    });
}
