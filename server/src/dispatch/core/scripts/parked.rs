//! Scripts that wait: for locks, for other cores' answers, or, having run for long, for their slice of the next turn.

use std::time::Instant;

use larder_engine::{Moment, UnixMillis};

use crate::command::{Args, Clock, Command, Flags};
use crate::dispatch::core::Core;
use crate::dispatch::locks::{Mode, Scope};
use crate::dispatch::mail::requests::LocksHeld;
use crate::dispatch::run::kept_args::KeptArgs;
use crate::dispatch::run::recipient::{note_write, recipient_of_session};
use crate::dispatch::scripts::hold::{Covers, Hold};
use crate::dispatch::scripts::parked::{Ended, Parked, State, keep_words};
use crate::dispatch::scripts::placement::{
    claim_on_all, hash_of_name, keeps_to_its_keys, mode_of_all,
};
use crate::dispatch::scripts::running::{Asker, Caller, Needs, Progress, Running, caller_of};
use crate::dispatch::transactions::pending::Plan;
use crate::dispatch::transactions::scopes::scope_of;
use crate::observe::Cost;
use crate::resp::Reply;
use crate::routing::CoreId;
use crate::script::{GoOn, Habit, Machine, Step, Words};
use crate::session::{Holds, Session, SessionId, UserId, gate};

impl Core {
    /// Begins a script on several cores: asks for its locks, or has those of an `EXEC`.
    pub(super) fn begin_script_on_cores(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        quiet: bool,
    ) {
        let mut hold = self.hold_of(args, command);
        hold.note_keeps(keeps_to_its_keys(&self.state, args, command));
        hold.ask_for(match claim_on_all(&self.state, command, args) {
            Some(_) => Covers::Everything,
            None => Covers::Keys,
        });
        let id = self.messenger(&mut hold);
        let is_granted = session.executing.is_some();
        if let Some(executing) = &session.executing {
            let only_reads = command.spec.flags.has(Flags::READONLY);
            let covers = match executing.holds {
                Holds::All => Covers::Everything,
                Holds::AllToRead if only_reads => Covers::Everything,
                Holds::AllToRead | Holds::Keys => Covers::Keys,
            };
            hold.share_locks_of_exec(executing.locks.clone(), covers);
        }
        let may_begin_again = !is_granted && hold.may_begin_again();
        let seq = session.output.expect_if_wanted(!quiet);
        note_write(session, command.spec, seq);
        session.at_barrier |= is_granted;
        let waits = if is_granted {
            Needs::Granted
        } else {
            Needs::Locks
        };
        let parked = Parked {
            owner: Asker::Session {
                id: session.id,
                seq,
                is_held: is_granted,
            },
            words: keep_words(args),
            command,
            caller: caller_of(session, self.reads_of(session, command)),
            clock: self.state.clock,
            state: State::New(hold, waits),
        };
        self.keep_parked(id, parked);
        if is_granted {
            self.scripts.note_answer(id);
        } else {
            let scopes = self.scopes(|scopes| scope_of(&self.state, command, args, scopes));
            let only_reads = command.spec.flags.has(Flags::READONLY);
            let is_undoable = !only_reads && may_begin_again;
            self.ask_for_script(id, session.user, command, scopes, is_undoable);
            session.begin_transaction();
            self.join(session);
            if may_begin_again {
                // At a later place.
                session.set_gate(gate::BEHIND_LAST, true);
            }
        }
    }

    fn keep_parked(&mut self, messenger: SessionId, parked: Parked) {
        self.budget.keep(parked.words.bytes());
        self.scripts.park(messenger, parked);
    }

    fn ask_for_script(
        &mut self,
        id: SessionId,
        user: UserId,
        command: &'static Command,
        scopes: Vec<(CoreId, Scope)>,
        is_undoable: bool,
    ) {
        let messenger = self.state.sessions.get_mut(id);
        let messenger = messenger.expect("a script's messenger stays as long as the script");
        messenger.user = user;
        let owner = recipient_of_session(messenger, None, command);
        let plan = Plan::Script { is_undoable };
        self.begin_transaction(owner, KeptArgs::default(), plan, scopes, None);
    }

    /// A script that has reached beyond the keys it declared begins again, with locks of everything.
    pub(super) fn begin_again(
        &mut self,
        owner: Asker,
        words: Words,
        command: &'static Command,
        caller: Caller,
    ) {
        let (bytes, ranges) = words.parts();
        let args = Args::new(bytes, ranges);
        let hash = hash_of_name(&self.state, args, command);
        self.state
            .shared
            .known_scripts
            .note(hash, Habit::Undeclared);
        let mut hold = self.hold_of(args, command);
        hold.begin_again(self.scripts.repeats());
        let id = self.messenger(&mut hold);
        let mode = mode_of_all(command);
        let scopes = self.scopes(|scopes| {
            let scopes = scopes.iter_mut();
            scopes.for_each(|(_, scope)| scope.add_whole(mode));
        });
        let parked = Parked {
            owner,
            words,
            command,
            caller,
            clock: self.state.clock,
            state: State::New(hold, Needs::Locks),
        };
        self.keep_parked(id, parked);
        self.ask_for_script(id, caller.user, command, scopes, false);
    }

    /// Notes that a script has the locks it asked for: it may go on as soon as its messenger is looked at again.
    pub(in crate::dispatch::core) fn grant_script(
        &mut self,
        messenger: SessionId,
        held: LocksHeld,
        time: UnixMillis,
    ) {
        self.scripts.grant(messenger, held, time);
    }

    /// Puts the script at work aside, since it cannot go on at once.
    pub(super) fn park_script(&mut self, owner: Asker, args: Args<'_>) {
        let caller = self.running().caller();
        let parked = (owner, keep_words(args), caller, self.state.clock);
        self.park(parked);
    }

    fn park(&mut self, (owner, words, caller, clock): (Asker, Words, Caller, Clock)) {
        let mut running = self.scripts.suspend();
        let is_overdue = self.state.scripts.vm().is_overdue_at(running.last());
        let machine = self.state.scripts.park();
        let id = self.messenger(running.hold_mut());
        let (needs, command) = (running.needs(), running.start().command);
        if running.hold().needs_bar() {
            let mode = match running.start().may_write {
                true => Mode::Exclusive,
                false => Mode::Shared,
            };
            running.hold_mut().wait_behind(self.bar(mode));
        }
        if self.state.shard.is_undoable() {
            let lock = running.hold().lock_on(self.state.id);
            if self.tells_of(id) {
                self.gather_for_script(id, caller.reads.by, true);
            }
            self.lay_undo_aside(lock.expect("what it wrote here is locked"), caller.reads.by);
        }
        let parked = Parked {
            owner,
            words,
            command,
            caller,
            clock,
            state: State::Begun(running, machine),
        };
        self.keep_parked(id, parked);
        match needs {
            Needs::Slice => self.note_busy(id),
            Needs::Answer if is_overdue => self.note_busy(id),
            Needs::Answer | Needs::Granted | Needs::Locks | Needs::Everything => {}
        }
    }

    /// Lets scripts go on that have their answers, and begin that have their locks.
    pub(in crate::dispatch::core) fn run_ready_scripts(&mut self) {
        loop {
            if let Some(id) = self.scripts.next_ready() {
                match self.scripts.parked(id).map(|parked| parked.state.needs()) {
                    Some(Needs::Granted) => self.scripts.enqueue(id),
                    Some(Needs::Answer) => {
                        let messenger = self.state.sessions.get(id);
                        if messenger.is_some_and(|messenger| messenger.output.outstanding() == 0) {
                            self.resume_script(id);
                        }
                    }
                    _ => {}
                }
            } else if let Some(id) = self.scripts.next_to_begin() {
                self.resume_script(id);
            } else {
                return;
            }
        }
    }

    /// Lets a script begin or go on.
    pub(super) fn resume_script(&mut self, id: SessionId) -> Progress {
        let began = self.state.timing.begin_apart();
        let Parked {
            owner,
            words,
            command,
            caller,
            clock,
            state,
        } = self.scripts.unpark(id);
        // For the script it is still the time when it began.
        let now = std::mem::replace(&mut self.state.clock, clock);
        self.state.shard.set_now(clock.unix);
        let (bytes, ranges) = words.parts();
        let args = Args::new(bytes, ranges);
        // What others have changed meanwhile is not this script's.
        self.act_on_notes(None, None);
        let moment = self.moment_of(state.hold());
        let before = self.state.shard.journal().set_moment(moment);
        let mut out = self.scripts.take_reply();
        let step = match state {
            State::New(mut hold, _) => {
                self.scripts.note_begun();
                hold.count();
                self.start_script(caller, (args, command, began), hold)
            }
            State::Begun(running, machine) => Ok(self.step_on(id, running, machine, began)),
        };
        let mut is_beyond = false;
        let over = match step {
            Ok(step) => match self.drive(step) {
                Progress::Suspended => None,
                progress => {
                    is_beyond = progress == Progress::Beyond;
                    Some(self.finish_script(args, &mut out).into_ended())
                }
            },
            Err((error, hold)) => {
                self.count_failure(&error, command);
                Reply::new(&mut out, caller.protocol).error(&error);
                Some(Ended {
                    hold: *hold,
                    busy: None,
                    began,
                })
            }
        };
        let is_undoable = self.scripts.is_undoable();
        self.gather_for_script(id, caller.reads.by, is_undoable);
        self.state.shard.journal().set_moment(before);
        self.state.clock = now;
        self.state.shard.set_now(now.unix);
        self.state.timing.took_apart(began.elapsed());
        self.budget.let_go(words.bytes());
        match over {
            Some(ended) if is_beyond => {
                self.scripts.keep_reply(out);
                self.end_hold(&ended, is_beyond);
                self.begin_again(owner, words, command, caller);
                Progress::Over
            }
            Some(ended) => {
                self.end_parked(owner, args, command, &ended, &out);
                self.scripts.keep_reply(out);
                let exec = match owner {
                    Asker::Session { id, .. } => Some(id).filter(|_| ended.hold.is_in_exec()),
                    Asker::OtherCore { .. } => None,
                };
                let told = self.begin_more_of_exec(exec);
                self.publish_held(None);
                self.end_command_of_exec(exec.unwrap_or_default(), told);
                Progress::Over
            }
            None => {
                self.scripts.keep_reply(out);
                self.park((owner, words, caller, clock));
                Progress::Suspended
            }
        }
    }

    /// The moment at which a script takes effect here. `None`: its locks are all on other cores, and it does nothing here.
    fn moment_of(&self, hold: &Hold) -> Option<Moment> {
        let moment = hold.moment_without_locks();
        moment.or_else(|| self.moment_under(hold.locks()))
    }

    /// The next step of a script that had to wait.
    fn step_on(
        &mut self,
        id: SessionId,
        mut running: Box<Running>,
        machine: Machine,
        began: Instant,
    ) -> Step {
        self.state.scripts.unpark(machine);
        let is_killed = running.resume(began);
        let needs = running.needs();
        self.scripts.go_on(running);
        if needs == Needs::Answer {
            let mut reply = std::mem::take(&mut *self.state.scripts.vm().reply());
            self.take_reply(id, &mut reply);
            *self.state.scripts.vm().reply() = reply;
        }
        let goes_on = match is_killed {
            true => GoOn::Die,
            false => GoOn::On,
        };
        self.state.scripts.vm().resume(goes_on)
    }

    /// Ends a script that had to wait: sends its reply to its owner, and gives back its locks.
    fn end_parked(
        &mut self,
        owner: Asker,
        args: Args<'_>,
        command: &'static Command,
        ended: &Ended,
        out: &[u8],
    ) {
        let nanos = u64::try_from(ended.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.state.stats.ran(command.id, 1, nanos);
        let messenger = ended.hold.messenger_of_waiting();
        match owner {
            Asker::OtherCore { from, ticket } => {
                self.end_telling_of_sent_script(messenger, from, ticket);
                self.answer_core(from, ticket, out, (command, args, nanos));
            }
            Asker::Session {
                id: of,
                seq,
                is_held,
            } => {
                let exec = ended.hold.is_in_exec().then_some(of);
                if let Some(mut session) = self.state.sessions.take_out(of) {
                    match is_held {
                        true => session.at_barrier = false,
                        false => session.end_transaction(),
                    }
                    session.output.fill(seq, |to| to.extend_from_slice(out));
                    self.observe_slow(&session, args, command.spec, nanos);
                    let cost = Cost {
                        nanos,
                        reply_bytes: out.len() as u64,
                    };
                    self.add_costs(command.spec, args, cost);
                    self.observe_reply(&session, args, command.spec, out.len());
                    self.end_telling_of_script(messenger, exec, Some(&mut session));
                    self.look_again(session);
                } else {
                    self.end_telling_of_script(messenger, exec, None);
                }
            }
        }
        self.end_hold(ended, false);
        if let Asker::Session { id, .. } = owner
            && !ended.hold.is_in_exec()
        {
            self.await_word_of_script(id, ended.hold.locks());
        }
    }

    /// Gives back a script's locks, or its bar. If it begins again, other cores first undo what it did there.
    fn end_hold(&mut self, ended: &Ended, begins_again: bool) {
        if let Some(busy) = &ended.busy {
            self.note_no_longer_busy(busy);
        }
        let id = ended.hold.messenger_of_waiting();
        self.state.sessions.remove(id);
        self.drop_telling(id);
        if let Some(bar) = ended.hold.bar() {
            self.release_locks(bar);
        }
        match begins_again {
            _ if ended.hold.is_in_exec() => {}
            true => self.undo_and_unlock(id, ended.hold.locks()),
            false => self.unlock(id, ended.hold.locks()),
        }
        if ended.hold.is_counted() {
            self.scripts.note_over();
        }
    }
}
