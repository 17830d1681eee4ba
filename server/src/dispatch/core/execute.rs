//! Decides what becomes of a command that a session has sent: it is refused, queued, has to wait, or runs ([`super::run`]).

use crate::command::{Args, Command, CommandSpec, Run, ShardFn, TransactionStep};
use crate::dispatch::core::admit::{Admission, has_to_come_behind};
use crate::dispatch::core::input::Target;
use crate::dispatch::core::resolve::resolve;
use crate::dispatch::core::{Core, protect};
use crate::dispatch::limits::TIMED_ARGS_BYTES;
use crate::dispatch::mail::requests::Reading;
use crate::resp::ErrorReply;
use crate::session::{Closing, Queueing, ReplyMode, Session, gate};

/// What has become of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Executed {
    /// It has run or is on its way to another core: of its session only what that is owed has changed.
    Plainly,
    /// It has run, or has begun to.
    Otherwise,
    /// It must wait, and the session is stalled.
    NotYet,
}

impl Core {
    /// Runs a command of `session`, or begins to.
    #[inline(always)]
    pub(super) fn execute(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> Executed {
        if session.gates | self.state.gates == 0
            && target.core == self.state.id
            && let Some(command) = command
            && let Run::OnShard(run) = command.spec.run
            && self.runs_plainly(command, args)
            && command.spec.accepts(args.len())
            && args.span_bytes() <= TIMED_ARGS_BYTES
        {
            self.run_plainly(session, args, command, run, target);
            return Executed::Plainly;
        }
        self.execute_otherwise(session, args, command, target)
    }

    /// Whether what is said of a run of plain commands holds for this one: it takes constant time, and no more memory than is leased
    /// for a run, where memory is limited. One that is quick and has steps all the same (`ZPOPMIN`, `SPOP`) takes some with a count alone.
    #[inline(always)]
    fn runs_plainly(&self, command: &Command, args: Args<'_>) -> bool {
        command.is_plain && (command.steps.is_none() || args.len() == 2)
            || command.shares_turn && command.steps.is_none() && !self.budget.is_limited()
    }

    /// Runs a plain command on keys of this core.
    #[inline(always)]
    fn run_plainly(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        run: ShardFn,
        target: Target,
    ) {
        self.count_call(session, command);
        self.state.timing.ran(command.id);
        let how = (false, Reading::NotRemembered);
        self.run_here(session, args, command, run, target, how);
        self.serve_written();
    }

    /// As [`Self::execute`], for whatever is not a plain command on a key of this core: it may be one on a key of another, or one that
    /// could have several keys, and whose keys are all here.
    #[inline(never)]
    fn execute_otherwise(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> Executed {
        if session.gates | self.state.gates == 0
            && target.core != self.state.id
            && let Some(command) = command
            && matches!(command.spec.run, Run::OnShard(_))
            && command.is_plain
            && command.spec.accepts(args.len())
            && args.span_bytes() <= TIMED_ARGS_BYTES
            && self.may_just_hop(session, target)
        {
            self.count_call(session, command);
            self.hop(session, args, command, target, false);
            return Executed::Plainly;
        }
        if session.gates | self.state.gates == 0
            && target.core == self.state.id
            && let Some(command) = command
            && let Run::FanOut { together, .. } = command.spec.run
            && self.is_plain_together(command, args, target)
            && command.spec.accepts(args.len())
            && args.span_bytes() <= TIMED_ARGS_BYTES
        {
            self.run_plainly(session, args, command, together, target);
            return Executed::Plainly;
        }
        if session.gates | self.state.gates == 0
            && let Some(command) = command
            && let Run::Blocking(blocking) = command.spec.run
            && command.is_plain
            && command.spec.accepts(args.len())
            && args.span_bytes() <= TIMED_ARGS_BYTES
            && session.granted_lock.is_none()
            && self.common_core(command.spec, args) == Some(self.state.id)
        {
            self.count_call(session, command);
            self.state.timing.ran(command.id);
            let how = (false, Reading::NotRemembered);
            self.attempt_here(session, args, command, blocking, how);
            self.serve_written();
            return Executed::Otherwise;
        }
        match self.execute_any(session, args, command, target) {
            true => Executed::Otherwise,
            false => Executed::NotYet,
        }
    }

    /// Whether a command that could have several keys is a plain one on keys of this core alone, which has its first key: it has no
    /// other, or there is no other core.
    #[inline]
    fn is_plain_together(&self, command: &Command, args: Args<'_>, target: Target) -> bool {
        let has_one_key = args.len() == 2 && target.first_key.is_known();
        if command.steps.is_some() {
            return false;
        }
        match self.runs_plainly(command, args) {
            true => has_one_key || self.state.shared.slots.cores() == 1,
            false => has_one_key && command.spec.is_constant_with_one_key,
        }
    }

    /// Whether a plain command on a key of another core has but to be sent there, gates apart.
    #[inline(always)]
    fn may_just_hop(&self, session: &Session, target: Target) -> bool {
        !self.is_congested(target.core)
            && !session.has_sent_much()
            && self.copies.is_empty()
            && session.granted_lock.is_none()
    }

    #[inline]
    pub(super) fn count_call(&mut self, session: &mut Session, command: &'static Command) {
        session.commands += 1;
        session.last_command = command.spec.name;
        self.state.stats.commands += 1;
    }

    /// As [`Self::execute`], for whatever is not a plain command on one key. False: it must wait, and the session is stalled.
    fn execute_any(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> bool {
        let before = session.granted_lock.map(|lock| self.begin_moment_of(lock));
        self.scripts.note_waited(before.is_some());
        let has_run = self.try_execute(session, args, command, target);
        self.scripts.note_waited(false);
        if let Some(before) = before {
            self.end_moment(before);
        }
        if has_run && let Some(lock) = session.granted_lock.take() {
            // It held it while it ran. What waits behind goes on after this command at the earliest.
            self.release_locks(lock);
        }
        has_run
    }

    #[inline(always)]
    fn try_execute(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> bool {
        if command.is_none() && is_http(args) {
            session.closing = Closing::Now;
            return true;
        }
        // As in Redis, what is no command is said even to a client that has yet to authenticate.
        let resolved = match resolve(command, args) {
            Ok(resolved) => resolved,
            Err(unresolved) => {
                if let Some(refused) = unresolved.refused() {
                    self.state.stats.by_command[refused.id.index()].rejected += 1;
                }
                spoil(session);
                self.refuse(session, &unresolved.error(args));
                return true;
            }
        };
        if let Some(error) = protect::refusal(&self.state.config, session, resolved.spec) {
            self.reject(session, resolved, &error);
            return true;
        }
        if self.state.shared.slots.cores() > 1 {
            if session.gates & gate::BEHIND_LAST != 0 {
                if session.output.outstanding() > 0 || session.gates & gate::IN_ORDER != 0 {
                    session.stalled_for_room = true;
                    self.run_queue.push(session.id);
                    return false;
                }
                session.set_gate(gate::BEHIND_LAST, false);
            }
            if session.gates & gate::IN_ORDER != 0 && !self.may_take_place(session, resolved) {
                session.stalled_for_entry = true;
                return false;
            }
            if !self.has_room_for(session, command, target)
                || self.has_no_room_for_notes()
                || has_to_come_behind(session, resolved)
                || self.has_yet_to_hear_of_itself(session)
                || self.would_be_told_early(session, resolved)
            {
                session.stalled_for_room = true;
                self.run_queue.push(session.id);
                return false;
            }
        }
        let mut gates = session.gates | self.state.gates;
        if self.is_weighed_apart(session, args, resolved, target) {
            gates |= gate::MAXMEMORY;
        }
        if gates != 0 {
            match self.pass_gates(session, args, resolved, target, gates) {
                Admission::Run => {}
                Admission::Wait => return false,
                Admission::Queue => {
                    self.queue(session, args, resolved, target);
                    return true;
                }
                Admission::Refuse(error) => {
                    let error = match resolved.spec.run {
                        Run::Transaction(TransactionStep::Run) => {
                            self.abort_exec(session, args, error)
                        }
                        _ => error,
                    };
                    self.reject(session, resolved, &error);
                    return true;
                }
            }
        }
        self.run(session, args, resolved, target, gates);
        self.serve_written();
        self.act_on_served(Some(session));
        if gates & gate::MONITOR != 0 {
            // What a monitor runs it sees behind its reply.
            self.pass_to_monitors(Some(session));
        }
        true
    }

    /// Refuses a command before it runs.
    #[cold]
    fn reject(&mut self, session: &mut Session, command: &'static Command, error: &ErrorReply) {
        self.state.stats.by_command[command.id.index()].rejected += 1;
        spoil(session);
        self.refuse(session, error);
    }

    /// Says that a command is queued.
    pub(super) fn reply_queued(&mut self, session: &mut Session) {
        if session.wants_reply() {
            session.reply(|reply| reply.status("QUEUED"));
        }
        end_skip(session);
    }

    pub(super) fn refuse(&mut self, session: &mut Session, error: &ErrorReply) {
        self.count_error(error);
        if session.wants_reply() {
            session.reply(|reply| reply.error(error));
        }
        end_skip(session);
        session.end_caching();
    }

    pub(super) fn count_error(&mut self, error: &ErrorReply) {
        self.state.stats.count_error(error.code());
    }
}

/// Whether an HTTP request is being passed off as commands, as a web page can make a browser do: its lines would be
/// run one by one. Redis closes such a connection too.
#[cold]
fn is_http(args: Args<'_>) -> bool {
    args.is(0, "POST") || args.is(0, "Host:")
}

/// Whatever was refused was to be a part of a transaction: that cannot be run any more.
fn spoil(session: &mut Session) {
    if let Some(multi) = &mut session.multi {
        multi.state = Queueing::Spoilt;
    }
}

/// Behind a command: what was said of it alone is over, that its reply is to be skipped or its keys are to be tracked.
/// What was said of an `EXEC` holds to its end, which [`end_exec`] is told of.
#[inline]
pub(super) fn end_command(session: &mut Session, spec: &CommandSpec) {
    if session.gates & (gate::REPLY_MODE | gate::TRACKING) == 0
        || session.executing.is_some()
        || matches!(spec.run, Run::Transaction(TransactionStep::Run))
    {
        return;
    }
    end_skip(session);
    // As in Redis, `CLIENT` commands do not count.
    if !spec.name.starts_with("client|") {
        session.end_caching();
    }
}

/// Behind an `EXEC`.
pub(super) fn end_exec(session: &mut Session) {
    end_skip(session);
    session.end_caching();
}

/// Behind a command: the one to be skipped is over, or comes next.
#[inline]
fn end_skip(session: &mut Session) {
    if session.gates & gate::REPLY_MODE == 0 {
        return;
    }
    session.reply_mode = match session.reply_mode {
        ReplyMode::SkipNext => ReplyMode::SkipThis,
        ReplyMode::SkipThis => ReplyMode::On,
        other => other,
    };
    session.set_gate(gate::REPLY_MODE, session.reply_mode != ReplyMode::On);
}
