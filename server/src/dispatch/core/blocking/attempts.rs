//! Attempts at commands that block, all of whose keys live on one core: what the session's core does, and what that core does.
//!
//! ```text
//!  here         the attempt is made at once; nothing there: the session blocks, and the wait is queued, in the same step
//!  elsewhere    the command is sent there like a plain one ── done ──▶ its reply
//!                                                          └─ nothing there ──▶ queued in the same step; word: parked
//!  a key is written    the core that has the keys makes the next attempt itself, at once ([`crate::dispatch::core::blocking::queues`]) ──▶ its reply
//!  time, `CLIENT UNBLOCK`    that core is asked to end the wait; if it has just served it, the reply is under way instead
//!  the keys' slots move      that core sends the arguments back: the session's core has the keys' new core queue the wait
//! ```
//! Until it is answered the session counts as being served ([`Blocked::is_being_served`]): nothing else ends what may have
//! taken something. Waits for keys of several cores: [`crate::dispatch::core::blocking::rounds`].

use std::time::Instant;

use crate::command::{Args, Attempted, Blocking, Command, FirstKey, Resolved, Turn, WaitLimit};
use crate::dispatch::blocking::blocked::Terms;
use crate::dispatch::blocking::word::{WaitWord, read_moved};
use crate::dispatch::core::Core;
use crate::dispatch::core::run::is_timed_apart;
use crate::dispatch::mail::requests::{
    LocksHeld, Reading, RequestHead, Ticket, WaitRequest, WaitStep, Work,
};
use crate::dispatch::run::attempt::{attempt, attempt_once, blocking_of};
use crate::dispatch::run::kept_args::{KeptArgs, keep, keep_args};
use crate::dispatch::run::on_shard::{CallOptions, access_of};
use crate::dispatch::run::recipient::recipient_of_session;
use crate::observe::Cost;
use crate::resp::{ErrorReply, Reply};
use crate::routing::CoreId;
use crate::session::{Blocked, Session, SessionId, WaitNumber};

impl Core {
    /// When the wait of a command that comes now ends.
    pub(in crate::dispatch::core) fn until_ms(
        &self,
        blocking: Blocking,
        args: &Args<'_>,
    ) -> Result<Option<u64>, ErrorReply> {
        Ok(match (blocking.timeout)(args)? {
            WaitLimit::None => None,
            WaitLimit::Millis(millis) => {
                Some(self.state.clock.monotonic_ms().saturating_add(millis))
            }
        })
    }

    /// Makes the first attempt at a command whose keys all live here.
    pub(in crate::dispatch::core) fn attempt_here(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        blocking: Blocking,
        (quiet, reading): (bool, Reading),
    ) {
        let may_wait = session.may_wait();
        let until_ms = match self.until_ms(blocking, &args) {
            Ok(until_ms) => until_ms,
            Err(error) => return self.reply_error(session, &error, command, quiet),
        };
        let options = CallOptions {
            db: session.db,
            protocol: session.protocol,
            access: access_of(session),
            first_key: FirstKey::UNKNOWN,
        };
        let state = &mut self.state;
        let mut attempted = Attempted::Done;
        let reply_bytes = session.output.append(|out| {
            let began = out.len();
            if may_wait {
                attempted = attempt(state, out, args, command, options, Turn::First);
            } else {
                attempt_once(state, out, args, command, options);
            }
            if quiet {
                out.truncate(began);
            }
            out.len() - began
        });
        let Attempted::Wait(resolved) = attempted else {
            self.observe_reply(session, args, command.spec, reply_bytes);
            if reading == Reading::Remembered {
                let reader = self.state.reader(session.id);
                self.state.remember(command.spec, &args, reader);
            }
            return;
        };
        let number = WaitNumber(self.state.shared.next_wait());
        let here = self.state.id;
        let seq = session.output.expect();
        let terms = Terms {
            seq,
            until_ms,
            quiet,
        };
        self.block_session(session, command, terms, Some(number), Some(here));
        let recipient = recipient_of_session(session, Some(seq), command);
        let ticket = Ticket::Wait {
            session: session.id,
            number,
        };
        let head = recipient.head(ticket, Work::Command(command), None);
        let again_in_ms = resolved.again_in_ms;
        let kept = keep_resolved(args, resolved);
        self.queue_attempt(here, head, number, (command, kept), again_in_ms);
    }

    /// Sends a command whose keys all live on core `core` there, where the attempts are made.
    pub(in crate::dispatch::core) fn send_attempt(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        core: CoreId,
        quiet: bool,
    ) {
        let blocking = blocking_of(command);
        let until_ms = match self.until_ms(blocking, &args) {
            Ok(until_ms) => until_ms,
            Err(error) => return self.reply_error(session, &error, command, quiet),
        };
        self.state.stats.hops += 1;
        session.begin_sending();
        let seq = session.output.expect();
        let terms = Terms {
            seq,
            until_ms,
            quiet,
        };
        self.block_session(session, command, terms, None, Some(core));
        let recipient = recipient_of_session(session, Some(seq), command);
        let ticket = Ticket::Attempt {
            session: session.id,
        };
        let head = recipient.head(ticket, Work::Command(command), None);
        let outbox = self.outboxes.to(core);
        session.sent_bytes += outbox.ask_with(head, args, self.lent.as_ref());
    }

    /// The session runs nothing further until a command is answered that may block. With a number it waits already; without, the
    /// core `served_by` has yet to say whether it has to.
    pub(in crate::dispatch::core) fn block_session(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        terms: Terms,
        wait: Option<WaitNumber>,
        served_by: Option<CoreId>,
    ) {
        session.has_waited = true;
        session.blocked = Some(Blocked {
            command: command.id,
            until_ms: terms.until_ms,
            on_timeout: blocking_of(command).on_timeout,
            seq: terms.seq,
            quiet: terms.quiet,
            wait,
            is_being_served: wait.is_none(),
            served_by,
            ending: None,
        });
        if wait.is_some()
            && let Some(until_ms) = terms.until_ms
        {
            self.state.add_timer(until_ms, session.id);
        }
    }

    /// Makes the first attempt for a session of another core, and queues the wait if there is nothing.
    pub(in crate::dispatch::core) fn attempt_for(
        &mut self,
        from: CoreId,
        args: Args<'_>,
        request: &RequestHead,
        command: &'static Command,
    ) {
        let session = request.ticket.session();
        let began = is_timed_apart(command, args, self.state.gates).then(Instant::now);
        let (state, options) = (&mut self.state, CallOptions::of(request));
        let mut waits = None;
        let answered = self.outboxes.to(from).answer_if(request.ticket, |out| {
            match attempt(state, out, args, command, options, Turn::First) {
                Attempted::Done => true,
                Attempted::Wait(resolved) => {
                    waits = Some(resolved);
                    false
                }
            }
        });
        let nanos = match began {
            None => {
                self.state.timing.ran(command.id);
                0
            }
            Some(began) => self.timed_apart(command, began),
        };
        if let Some(bytes) = answered {
            if request.reading == Reading::Remembered {
                self.state
                    .remember(command.spec, &args, request.origin(from));
            }
            self.owe(from, session, bytes);
            let cost = Cost {
                nanos,
                reply_bytes: bytes as u64,
            };
            if began.is_some() {
                self.add_costs(command.spec, args, cost);
            }
            if self.state.is_worth_telling(cost) {
                let outbox = self.outboxes.to(from);
                outbox.tell_cost(request.ticket, (command, cost), args, None);
            }
            return;
        }
        let number = WaitNumber(self.state.shared.next_wait());
        let ticket = Ticket::Wait { session, number };
        let head = RequestHead { ticket, ..*request };
        let resolved = waits.unwrap_or_default();
        let again_in_ms = resolved.again_in_ms;
        let kept = keep_resolved(args, resolved);
        self.queue_attempt(from, head, number, (command, kept), again_in_ms);
        self.outboxes
            .to(from)
            .answer(ticket, |out| out.push(WaitWord::Parked as u8));
    }

    /// The core of the keys has answered a command that may block.
    pub(in crate::dispatch::core) fn end_attempt_on(&mut self, id: SessionId, reply: &[u8]) {
        let Some(mut session) = self.state.sessions.take_out(id) else {
            return;
        };
        session.end_blocked(|out| out.extend_from_slice(reply));
        self.look_again(session);
    }

    /// Word of a wait from a core of its keys.
    pub(in crate::dispatch::core) fn take_word_of_wait(
        &mut self,
        from: CoreId,
        id: SessionId,
        number: WaitNumber,
        word: &[u8],
    ) {
        let (word, rest) = word.split_first().expect("it says something");
        let word = WaitWord::read(*word);
        if word == WaitWord::Woken {
            return self.wait_woken(number);
        }
        let Some(mut session) = self.state.sessions.take_out(id) else {
            if word == WaitWord::Parked {
                // Its client left meanwhile.
                self.step_wait_on(from, id, (number, WaitStep::End(None)), None);
            }
            return;
        };
        match word {
            WaitWord::Parked => self.begin_wait(&mut session, from, number),
            WaitWord::Served | WaitWord::Ended => {
                session.end_blocked(|out| out.extend_from_slice(rest));
                self.answer_unblocks(id, word == WaitWord::Ended);
            }
            WaitWord::Moved => self.send_moved_wait_on(&mut session, number, rest),
            WaitWord::Woken => unreachable!("done above"),
        }
        self.look_again(session);
    }

    fn begin_wait(&mut self, session: &mut Session, core: CoreId, number: WaitNumber) {
        let blocked = session.blocked.as_mut();
        let blocked = blocked.expect("it is blocked until its command is answered");
        blocked.wait = Some(number);
        blocked.served_by = Some(core);
        blocked.is_being_served = false;
        if let Some(until_ms) = blocked.until_ms {
            self.state.add_timer(until_ms, session.id);
        }
    }

    /// A wait's keys have left the core that was to serve it: whoever has them now is told, with the same number.
    fn send_moved_wait_on(&mut self, session: &mut Session, number: WaitNumber, moved: &[u8]) {
        let blocked = session.blocked.as_mut();
        let blocked = blocked.expect("it is blocked until it is served");
        if let Some(ending) = blocked.ending {
            // That core was asked to end it, and knows it no longer.
            ending.count(blocked.command, &mut self.state.stats);
            let (on_timeout, protocol) = (blocked.on_timeout, session.protocol);
            session.ended_wait = None;
            session.end_blocked(|out| ending.write(on_timeout, &mut Reply::new(out, protocol)));
            return self.answer_unblocks(session.id, true);
        }
        let (command, args) = read_moved(moved);
        let command = self.state.commands.get(command);
        let recipient = recipient_of_session(session, Some(blocked_seq(session)), command);
        let words = args.as_args();
        let core = self.common_core(command.spec, words);
        let blocked = session.blocked.as_mut().expect("looked at above");
        blocked.served_by = core;
        let Some(core) = core else {
            let terms = Terms::of(blocked);
            return self.register_wait(number, recipient, args, terms, &LocksHeld::new());
        };
        let request = Self::wait_request(command, words, number);
        let ticket = Ticket::Wait {
            session: session.id,
            number,
        };
        let head = recipient.head(ticket, Work::Command(command), None);
        if core == self.state.id {
            self.queue_wait(core, &head, request, words);
        } else {
            self.outboxes
                .to(core)
                .ask_to_await(head, request, words.iter_from(0));
        }
    }

    /// A wait for keys of one core, as that core is told of it.
    pub(in crate::dispatch::core) fn wait_request(
        command: &'static Command,
        args: Args<'_>,
        number: WaitNumber,
    ) -> WaitRequest {
        let awaited = blocking_of(command).awaits.positions(&args);
        WaitRequest {
            number,
            keys: awaited.map(|at| Box::from(args.at(at))).collect(),
            command,
            scope: None,
        }
    }

    /// Has the core that serves a session's wait end it, if the session was asked to, or the cores that know of it forget it.
    pub(in crate::dispatch::core) fn tell_of_ending(&mut self, id: SessionId) {
        let Some(session) = self.state.sessions.get_mut(id) else {
            return;
        };
        let Some(number) = session.ended_wait.take() else {
            return;
        };
        let blocked = session.blocked.as_ref();
        match blocked.and_then(|blocked| blocked.served_by.zip(blocked.ending)) {
            Some((core, ending)) => {
                self.step_wait_on(core, id, (number, WaitStep::End(Some(ending))), None);
            }
            None => self.end_wait(number, &LocksHeld::new()),
        }
    }

    /// A session has ended that may have waited.
    pub(in crate::dispatch::core) fn forget_wait(&mut self, session: &Session) {
        self.answer_unblocks(session.id, false);
        let blocked = session.blocked.as_ref();
        let served = blocked.and_then(|blocked| blocked.served_by.zip(blocked.wait));
        if let Some((core, number)) = served {
            return self.step_wait_on(core, session.id, (number, WaitStep::End(None)), None);
        }
        let wait = blocked.and_then(|blocked| blocked.wait.filter(|_| !blocked.is_being_served));
        if let Some(number) = wait.or(session.ended_wait) {
            self.end_wait(number, &LocksHeld::new());
        }
    }
}

fn blocked_seq(session: &Session) -> crate::session::ReplySeq {
    session.blocked.as_ref().expect("it is blocked").seq
}

/// The arguments for the next attempt.
pub(in crate::dispatch::core) fn keep_resolved(args: Args<'_>, resolved: Resolved) -> KeptArgs {
    match resolved.args {
        Some(words) => keep(words.iter().map(Vec::as_slice)),
        None => keep_args(args),
    }
}
