//! Commands that block: the session's side.
//!
//! ```text
//!  first attempt    as any command: here, or as a transaction under the locks of all its keys on all cores
//!  nothing there    the keys' cores are told who waits, under the same locks, so that no write is missed; the session blocks
//!  a key written    its core has asked for the locks there ([`super::queues`]) and says when they are granted; the locks of
//!                   the other cores are asked for; under all of them the next attempt
//!  the end          served, or time is over, or `CLIENT UNBLOCK`, or the client is gone: the keys' cores forget it
//! ```
//! Every wait has a number of the order that transactions have, given once: those who wait for a key are served in this
//! order, and before whoever comes later, on however many cores they are.

use std::collections::HashMap;

use super::batch::{Head, Held, LockAnswer, Then, Ticket, WaitRequest, WaitStep, Work};
use super::core::Core;
use super::gather::{KeptArgs, Owner, keep_args, session_owner};
use super::transaction::{LocksHeld, Plan, held_on, scope_of};
use crate::command::{Args, Blocking, Command, Rounds, Run, WaitLimit};
use crate::resp::Reply;
use crate::routing::{CoreId, SlotMap};
use crate::session::{Blocked, LockId, ReplySeq, Session, SessionId, WaitNumber};

/// Commands of this core's sessions that wait for keys.
#[derive(Default)]
pub(super) struct Waiting {
    commands: HashMap<WaitNumber, WaitingCommand>,
    /// The version of the slot table by which the cores of all were last looked at.
    table: u64,
}

struct WaitingCommand {
    owner: Owner,
    args: KeptArgs,
    terms: Terms,
    /// The cores of its keys.
    cores: Vec<CoreId>,
    /// The version of the slot table by which these are the cores.
    table: u64,
    phase: Phase,
}

/// How far the next attempt is.
enum Phase {
    /// No key has been written.
    Parked,
    /// Some locks are granted.
    Locking(LocksHeld),
    /// It is under way.
    Working,
}

/// What was agreed on when the command came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    seq: ReplySeq,
    /// When it ends, in milliseconds of the core's monotonic clock; `None`: never.
    until_ms: Option<u64>,
    /// Whether the client wants no reply.
    quiet: bool,
}

/// An attempt at a command that may block, while its rounds are under way.
pub(super) struct Attempt {
    terms: Terms,
    which: Which,
}

enum Which {
    /// Inside an `EXEC` or a script, where nothing waits.
    InExec,
    /// The first, with the command's arguments.
    First(KeptArgs),
    /// Another.
    Again(WaitNumber),
}

impl Waiting {
    /// Whether nobody waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

impl Core {
    /// Begins a command that may block.
    pub(super) fn begin_blocking(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        blocking: Blocking,
        quiet: bool,
    ) {
        let limit = match (blocking.timeout)(&args) {
            Ok(limit) => limit,
            Err(error) => return self.reply_error(session, &error, command, quiet),
        };
        let Some(rounds) = self.rounds(session, args, command, blocking.begin, quiet) else {
            return;
        };
        let now_ms = self.state.clock.monotonic_ms();
        let seq = session.output.expect();
        let terms = Terms {
            seq,
            until_ms: match limit {
                WaitLimit::None => None,
                WaitLimit::Millis(millis) => Some(now_ms.saturating_add(millis)),
            },
            quiet,
        };
        let owner = session_owner(session, Some(seq), command);
        let attempt = |which| Box::new(Attempt { terms, which });
        let executing = session.executing.as_ref();
        if !session.may_wait() {
            let locks = executing.map_or_else(LocksHeld::new, |executing| executing.locks.clone());
            session.at_barrier = true;
            let attempt = attempt(Which::InExec);
            return self.attempt(Some(session), owner, rounds, (locks, Then::Keep), attempt);
        }
        let scopes = self.scopes(|scopes| scope_of(&self.state, command, args, scopes));
        if scopes.iter().all(|(core, _)| *core == self.state.id) {
            // Nobody comes between, and it has waited for whoever holds locks here.
            session.at_barrier = true;
            let locks = (LocksHeld::new(), Then::Keep);
            let attempt = attempt(Which::First(keep_args(args)));
            return self.attempt(Some(session), owner, rounds, locks, attempt);
        }
        let plan = Plan::Block(terms);
        self.begin_transaction(session, owner, keep_args(args), plan, scopes, None);
    }

    /// Makes the first attempt, under locks of several cores.
    pub(super) fn attempt_under_locks(
        &mut self,
        session: &mut Session,
        owner: Owner,
        args: KeptArgs,
        terms: Terms,
        locks: LocksHeld,
    ) {
        let rounds = begin_attempt(owner, &args, &self.state.shared.slots);
        let which = Which::First(args);
        let attempt = Box::new(Attempt { terms, which });
        self.attempt(Some(session), owner, rounds, (locks, Then::Keep), attempt);
    }

    /// An attempt has written its reply: it goes to the client, and the wait is over.
    pub(super) fn end_attempt(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        attempt: &Attempt,
        locks: &LocksHeld,
        reply: &[u8],
    ) {
        if let Some(session) = session {
            session.at_barrier = false;
            session.blocked = None;
            let reply = if attempt.terms.quiet { &[] } else { reply };
            let output = &mut session.output;
            output.fill(attempt.terms.seq, |out| out.extend_from_slice(reply));
        }
        match attempt.which {
            Which::InExec => {}
            Which::First(_) => self.unlock(owner.session, locks),
            Which::Again(number) => self.end_wait(number),
        }
    }

    /// An attempt has found nothing to do.
    pub(super) fn attempt_found_nothing(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        attempt: Attempt,
        locks: &LocksHeld,
    ) {
        let Attempt { terms, which } = attempt;
        match (which, session) {
            (Which::InExec, Some(session)) => {
                session.at_barrier = false;
                time_out(session, owner, terms);
            }
            (Which::InExec, None) => unreachable!("a session stays until its `EXEC` is over"),
            (Which::First(args), Some(session)) => {
                session.at_barrier = false;
                self.block(session, owner, args, terms, locks);
            }
            (Which::First(_), None) => self.unlock(owner.session, locks),
            (Which::Again(number), Some(session)) => {
                let now_ms = self.state.clock.monotonic_ms();
                if terms.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
                    session.blocked = None;
                    time_out(session, owner, terms);
                    return self.end_wait(number);
                }
                if let Some(blocked) = &mut session.blocked {
                    blocked.is_being_served = false;
                }
                self.go_on_waiting(number);
            }
            (Which::Again(number), None) => self.end_wait(number),
        }
    }

    /// The session blocks. The cores of the keys are told while the locks are held, which they give back.
    fn block(
        &mut self,
        session: &mut Session,
        owner: Owner,
        args: KeptArgs,
        terms: Terms,
        locks: &LocksHeld,
    ) {
        let number = WaitNumber(self.state.shared.next_transaction());
        let blocking = blocking_of(owner);
        session.blocked = Some(Blocked {
            until_ms: terms.until_ms,
            on_timeout: blocking.on_timeout,
            seq: terms.seq,
            quiet: terms.quiet,
            wait: Some(number),
            is_being_served: false,
        });
        if let Some(until_ms) = terms.until_ms {
            self.state.add_timer(until_ms, session.id);
        }
        self.register_wait(number, owner, args, terms, locks);
    }

    /// Tells the cores of the keys who waits.
    fn register_wait(
        &mut self,
        number: WaitNumber,
        owner: Owner,
        args: KeptArgs,
        terms: Terms,
        locks: &LocksHeld,
    ) {
        let blocking = blocking_of(owner);
        let words = args.as_args();
        let scopes = self.scopes(|scopes| scope_of(&self.state, owner.command, words, scopes));
        let cores: Vec<CoreId> = scopes.iter().map(|(core, _)| *core).collect();
        for (core, scope) in scopes {
            let awaited = blocking.awaits.positions(&words).map(|at| words.at(at));
            let of_core = awaited.filter(|key| self.state.shared.slots.core_of(key) == core);
            let keys = of_core.map(Box::from).collect();
            let request = WaitRequest {
                number,
                keys,
                scope,
            };
            self.tell_of_wait(owner, core, request, held_on(locks, core, Then::Release));
        }
        let command = WaitingCommand {
            owner,
            args,
            terms,
            cores,
            table: self.state.shared.slots.version(),
            phase: Phase::Parked,
        };
        self.blocked.commands.insert(number, command);
    }

    /// Sends those on who wait where their keys no longer are, since slots have moved.
    #[inline]
    pub(super) fn follow_moved_slots(&mut self) {
        if !self.blocked.commands.is_empty()
            && self.blocked.table != self.state.shared.slots.version()
        {
            self.send_waits_on();
        }
    }

    #[cold]
    fn send_waits_on(&mut self) {
        let table = self.state.shared.slots.version();
        self.blocked.table = table;
        let waits = self.blocked.commands.iter();
        let outdated = waits.filter(|(_, command)| command.table != table);
        let mut numbers: Vec<WaitNumber> = outdated.map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        for number in numbers {
            self.send_wait_on(number);
        }
    }

    /// Has the cores that have the keys now know of the wait, with the place in the order that it has. They look whether
    /// the keys hold anything: it may have come while nobody there waited for it.
    fn send_wait_on(&mut self, number: WaitNumber) {
        let Some(command) = self.blocked.commands.remove(&number) else {
            return;
        };
        let WaitingCommand {
            owner,
            args,
            terms,
            cores,
            ..
        } = command;
        for core in cores {
            self.step_wait_on(core, owner.session, number, WaitStep::End);
        }
        self.register_wait(number, owner, args, terms, &LocksHeld::new());
    }

    fn tell_of_wait(
        &mut self,
        owner: Owner,
        core: CoreId,
        request: WaitRequest,
        locks: Option<Held>,
    ) {
        let session = owner.session;
        if core == self.state.id {
            self.queue_wait(core, session, owner.db, request);
            if let Some(locks) = locks {
                self.release_locks(locks.id);
            }
            return;
        }
        let ticket = Ticket::Discard { session };
        let head = owner.head(ticket, Work::Unlock, locks);
        self.outboxes[core.index()].ask_to_await(head, request);
    }

    /// A core of the keys has answered, of its own accord or when asked for locks.
    pub(super) fn take_wait_answer(
        &mut self,
        from: CoreId,
        number: WaitNumber,
        answer: LockAnswer,
    ) {
        match answer {
            LockAnswer::Granted(lock, _) => self.wait_granted(from, number, lock),
            LockAnswer::Wounded(lock) => self.wait_wounded(from, number, lock),
            LockAnswer::BehindOwn => {
                unreachable!("nothing comes before a session's blocked command")
            }
        }
    }

    /// A core of the keys has granted its locks; the attempt begins when all have.
    pub(super) fn wait_granted(&mut self, from: CoreId, number: WaitNumber, lock: LockId) {
        // A wait that has ended meanwhile has told that core so, which takes the locks back.
        let table = self.state.shared.slots.version();
        let Some(command) = self.blocked.commands.get_mut(&number) else {
            return;
        };
        if command.table != table {
            return self.send_wait_on(number);
        }
        if let Phase::Parked = command.phase {
            command.phase = Phase::Locking(LocksHeld::new());
            let (session, cores) = (command.owner.session, command.cores.clone());
            for core in cores.into_iter().filter(|core| *core != from) {
                self.step_wait_on(core, session, number, WaitStep::Lock);
            }
        }
        let Some(command) = self.blocked.commands.get_mut(&number) else {
            unreachable!("asking for locks ends no wait")
        };
        let Phase::Locking(held) = &mut command.phase else {
            unreachable!("a core grants the locks of an attempt once")
        };
        held.push((from, lock));
        if held.len() == command.cores.len() {
            self.attempt_again(number);
        }
    }

    /// An earlier transaction waits for locks of an attempt: they are given back and asked for again, unless it is under
    /// way and soon over.
    pub(super) fn wait_wounded(&mut self, by: CoreId, number: WaitNumber, lock: LockId) {
        let Some(command) = self.blocked.commands.get_mut(&number) else {
            return;
        };
        let Phase::Locking(held) = &mut command.phase else {
            return;
        };
        let Some(at) = held.iter().position(|held| *held == (by, lock)) else {
            return;
        };
        held.swap_remove(at);
        let session = command.owner.session;
        self.state.stats.transaction_retries += 1;
        self.step_wait_on(by, session, number, WaitStep::Yield);
    }

    fn attempt_again(&mut self, number: WaitNumber) {
        let Some(command) = self.blocked.commands.get_mut(&number) else {
            unreachable!("it has just got its locks")
        };
        let Phase::Locking(locks) = std::mem::replace(&mut command.phase, Phase::Working) else {
            unreachable!("it has just got its locks")
        };
        let (owner, terms) = (command.owner, command.terms);
        let rounds = begin_attempt(owner, &command.args, &self.state.shared.slots);
        let mut session = self.state.sessions.take_out(owner.session);
        if let Some(blocked) = session
            .as_mut()
            .and_then(|session| session.blocked.as_mut())
        {
            blocked.is_being_served = true;
        }
        let which = Which::Again(number);
        let attempt = Box::new(Attempt { terms, which });
        let locks = (locks, Then::Keep);
        self.attempt(session.as_deref_mut(), owner, rounds, locks, attempt);
        if let Some(session) = session {
            self.state.dirty.push(session.id);
            self.waiting.push(session.id);
            self.state.sessions.put_back(session);
        }
    }

    /// The attempt is over, and more is waited for.
    fn go_on_waiting(&mut self, number: WaitNumber) {
        if let Some(command) = self.blocked.commands.get_mut(&number) {
            command.phase = Phase::Parked;
            let (session, cores) = (command.owner.session, command.cores.clone());
            for core in cores {
                self.step_wait_on(core, session, number, WaitStep::GoOn);
            }
        }
    }

    /// Nothing is waited for any more.
    pub(super) fn end_wait(&mut self, number: WaitNumber) {
        if let Some(command) = self.blocked.commands.remove(&number) {
            for core in command.cores {
                self.step_wait_on(core, command.owner.session, number, WaitStep::End);
            }
        }
    }

    fn step_wait_on(
        &mut self,
        core: CoreId,
        session: SessionId,
        number: WaitNumber,
        step: WaitStep,
    ) {
        if core == self.state.id {
            return self.step_wait(number, step);
        }
        let head = Head::of(Ticket::Discard { session }, Work::Wait(number, step));
        self.outboxes[core.index()].ask(head, std::iter::empty());
    }
}

fn blocking_of(owner: Owner) -> Blocking {
    match owner.command.spec.run {
        Run::Blocking(blocking) => blocking,
        _ => unreachable!("only a command that may block is attempted"),
    }
}

fn begin_attempt(owner: Owner, args: &KeptArgs, slots: &SlotMap) -> Box<dyn Rounds> {
    match (blocking_of(owner).begin)(&args.as_args(), slots) {
        Ok(rounds) => rounds,
        Err(_) => unreachable!("the same arguments were right when the command came"),
    }
}

/// Answers as if time were over.
fn time_out(session: &mut Session, owner: Owner, terms: Terms) {
    let protocol = session.protocol;
    session.output.fill(terms.seq, |out| {
        if !terms.quiet {
            (blocking_of(owner).on_timeout)(&mut Reply::new(out, protocol));
        }
    });
}
