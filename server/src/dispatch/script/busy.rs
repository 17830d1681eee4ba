//! Scripts that run for too long.
//!
//! From `busy-reply-threshold` on, a script has the core for a slice of each turn only: between the slices clients are
//! answered that the server is busy, and can end the script or the server. Its effects are not seen meanwhile, and for the
//! script no time goes by: no key of this core is read, written or expired but by the script.
//!
//! Clients of other cores go on with keys of theirs. What has no key, or keys of this core, is refused everywhere; of what
//! was on its way here already, parts of larger commands wait, and the rest is refused.

use std::time::{Duration, Instant};

use super::super::batch::{Head, Ticket};
use super::super::core::Core;
use super::super::input::Target;
use super::{Owner, Progress, Suspended};
use crate::command::{Args, Command, Flags, Run, busy};
use crate::resp::{ErrorReply, Reply};
use crate::routing::CoreId;
use crate::script::{BusyScript, GoOn, Kind, Words};
use crate::session::gate;

/// How long a busy script has the core in one turn; its own looks at the clock may make it longer.
const SLICE: Duration = Duration::from_millis(2);

impl Core {
    /// Whether a script is under way that lets others be answered.
    pub(in crate::dispatch) fn is_script_suspended(&self) -> bool {
        let running = self.scripts.running.as_ref();
        running.is_some_and(|running| running.suspended.is_some())
    }

    /// Whether the script that has just run a command has had the core for long enough.
    pub(super) fn is_script_overdue(&mut self) -> bool {
        let running = self.scripts.running.as_ref().expect("a script runs");
        let last = running.last;
        match &running.suspended {
            Some(suspended) => last.saturating_duration_since(suspended.resumed) >= SLICE,
            None => self.state.scripts.vm().is_overdue_at(last),
        }
    }

    /// The script under way has run for too long: it goes on at the end of each turn.
    pub(super) fn suspend_script(&mut self, owner: Owner, args: Args<'_>) {
        let mut words = Words::default();
        for arg in args.iter_from(0) {
            let fits = words.push(arg);
            assert!(fits, "arguments are addressed by 32 bits all along");
        }
        let began = self.state.scripts.vm().began();
        let running = self.scripts.running.as_mut().expect("a script runs");
        let script = BusyScript {
            name: running.name.clone(),
            command: words.range(0, words.len()).map(Into::into).collect(),
            began,
        };
        running.suspended = Some(Suspended {
            owner,
            words,
            clock: self.state.clock,
            resumed: began,
        });
        let (kind, wrote) = (running.kind, running.wrote);
        let busy = &self.state.shared.busy;
        busy.enter(self.state.id, kind, wrote, script);
        self.set_gate(gate::BUSY, true);
        eprintln!(
            "larder-server: warning: a script has run for {} ms and goes on: {}",
            began.elapsed().as_millis(),
            self.scripts
                .running
                .as_ref()
                .map_or("", |running| &running.name),
        );
    }

    /// Gives a busy script its slice of the turn. Whether one is still under way.
    pub(in crate::dispatch) fn continue_script(&mut self) -> bool {
        if !self.is_script_suspended() {
            return false;
        }
        let how = if self.state.shared.busy.is_killed(self.state.id) {
            GoOn::Die
        } else {
            GoOn::On
        };
        let running = self.scripts.running.as_mut().expect("one is suspended");
        let suspended = running.suspended.as_mut().expect("it is this one");
        let began = Instant::now();
        suspended.resumed = began;
        running.last = began;
        // For the script it is still the time when it began.
        let now = std::mem::replace(&mut self.state.clock, suspended.clock);
        self.state.shard.set_now(self.state.clock.unix);
        let step = self.state.scripts.vm().resume(how);
        let progress = self.drive(step);
        self.state.clock = now;
        self.state.shard.set_now(now.unix);
        self.timing.took_apart(began.elapsed());
        if progress == Progress::Over {
            self.end_busy_script();
        }
        progress == Progress::Suspended
    }

    /// A busy script is over: its reply goes to who waits for it.
    fn end_busy_script(&mut self) {
        let running = self.scripts.running.as_mut().expect("it is over now");
        let suspended = running.suspended.take().expect("it was busy");
        let (command, began) = (running.command, self.state.scripts.vm().began());
        let mut out = Vec::new();
        self.finish_script(command, &mut out);
        self.state.shared.busy.leave(self.state.id);
        self.set_gate(gate::BUSY, self.state.shared.busy.any());
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.state.stats.ran(command.id, 1, nanos);
        let (bytes, ranges) = suspended.words.parts();
        let args = Args::new(bytes, ranges);
        match suspended.owner {
            Owner::Core { from, ticket } => {
                self.answer_core(from, ticket, &out, (command, args, nanos / 1000));
            }
            Owner::Session { id, seq } => {
                let Some(mut session) = self.state.sessions.take_out(id) else {
                    return;
                };
                session.at_barrier = false;
                if let Some(seq) = seq {
                    session.output.fill(seq, |to| to.extend_from_slice(&out));
                }
                self.observe_slow(&session, args, command.spec, nanos / 1000);
                self.state.dirty.push(id);
                self.waiting.push(id);
                self.state.sessions.put_back(session);
            }
        }
    }

    /// What a client is told instead of running a command while some core is busy, if that concerns it.
    pub(in crate::dispatch) fn refuse_while_busy(
        &self,
        command: &'static Command,
        args: Args<'_>,
        target: Target,
    ) -> Option<ErrorReply> {
        if command.spec.flags.has(Flags::ALLOW_BUSY) {
            return None;
        }
        let busy_scripts = &self.state.shared.busy;
        let slots = &self.state.shared.slots;
        let mut keys = command.spec.keys.positions(&args).peekable();
        let kind = match command.spec.run {
            Run::OnShard(_) if target.first_key.is_known() => busy_scripts.on(target.core),
            Run::FanOut { .. } | Run::Script(_) if keys.peek().is_some() => {
                keys.find_map(|at| busy_scripts.on(slots.core_of(args.at(at))))
            }
            _ => busy_scripts.on_any(),
        };
        kind.map(busy)
    }

    /// Whether another core's request has to wait until the busy script is over: a part of a larger command, which has no
    /// way to say that it was refused.
    pub(in crate::dispatch) fn waits_for_script(&self, request: &Head) -> bool {
        self.is_script_suspended() && matches!(request.ticket, Ticket::Part { .. })
    }

    /// Refuses another core's request because of the busy script, unless that does not concern it.
    pub(in crate::dispatch) fn refuse_request_while_busy(
        &mut self,
        from: CoreId,
        request: &Head,
        command: &'static Command,
    ) -> bool {
        if !self.is_script_suspended() || command.spec.flags.has(Flags::ALLOW_BUSY) {
            return false;
        }
        let kind = self.scripts.running.as_ref().map(|running| running.kind);
        let error = busy(kind.unwrap_or(Kind::Script));
        self.count_error(&error);
        self.state.stats.by_command[command.id.index()].rejected += 1;
        let bytes = self.outboxes[from.index()].answer(request.ticket, |out| {
            Reply::new(out, request.protocol).error(&error);
        });
        self.debts.owe(from, request.ticket.session(), bytes);
        true
    }
}
