//! Scripts that run for too long.
//!
//! From `busy-reply-threshold` on, a script has the core for a slice of each turn only: between the slices clients are
//! answered that the server is busy, and can end the script or the server. Its effects are not seen meanwhile: it has locks of
//! what it may reach, or bars its core (`reach`). For the script no time goes by on its core.
//!
//! A script concerns the cores of its keys, or all if it declares none. Clients go on with keys of other cores. Commands without
//! keys, and with keys of a core that it concerns, are refused everywhere. Of those that were on their way already, parts of
//! larger commands wait; the others are refused.

use std::sync::Arc;
use std::time::Duration;

use larder_engine::UnixMillis;

use crate::command::{Args, Command, Flags, Run, busy};
use crate::dispatch::core::Core;
use crate::dispatch::core::input::Target;
use crate::dispatch::mail::requests::{RequestHead, Work};
use crate::dispatch::scripts::running::Progress;
use crate::log;
use crate::resp::{ErrorReply, Reply};
use crate::routing::CoreId;
use crate::script::BusyScript;
use crate::session::{SessionId, gate};

/// How long a busy script has the core in one turn; its own looks at the clock may make it longer.
const SLICE: Duration = Duration::from_millis(2);

impl Core {
    /// When the oldest of the scripts that wait began: for it, it is still that time.
    pub(in crate::dispatch) fn oldest_script_time(&self) -> Option<UnixMillis> {
        self.scripts.oldest_time()
    }

    /// Whether the script that has just run a command has had the core for long enough.
    pub(super) fn is_script_overdue(&mut self) -> bool {
        let running = self.scripts.at_work();
        match running.slice_used() {
            Some(used) => used >= SLICE,
            None => self.state.scripts.vm().is_overdue_at(running.last()),
        }
    }

    /// A script that was parked has run for too long: it goes on at the end of each turn.
    pub(super) fn note_busy(&mut self, id: SessionId) {
        let parked = self.scripts.parked(id).expect("just parked");
        let running = parked.state.begun().expect("it has begun");
        if running.is_busy() {
            return;
        }
        let script = running.describe_busy(self.state.id, &parked.words);
        running.become_busy(self.state.shared.busy.enter(script));
        let millis = running.start().began.elapsed().as_millis();
        let name = &running.start().name;
        log::warn(format_args!(
            "a script has run for {millis} ms and goes on: {name}"
        ));
        self.set_gate(gate::BUSY, true);
    }

    /// A busy script is over.
    pub(super) fn note_no_longer_busy(&mut self, script: &Arc<BusyScript>) {
        self.state.shared.busy.leave(script);
        self.set_gate(gate::BUSY, self.state.shared.busy.any());
    }

    /// Gives busy scripts their slices of the turn. Whether some are still under way.
    pub(in crate::dispatch::core) fn continue_scripts(&mut self) -> bool {
        if !self.scripts.has_any() {
            return false;
        }
        let mut goes_on = false;
        for id in self.scripts.due_each_turn() {
            goes_on |= self.resume_script(id) == Progress::Suspended;
        }
        self.run_granted();
        goes_on
    }

    /// What a client is told instead of running a command while some core is busy, if that concerns it.
    pub(in crate::dispatch::core) fn refuse_while_busy(
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
            Run::FanOut { .. } | Run::Script(_)
                if keys.peek().is_some() && command.spec.keys.unnamed(&args).is_none() =>
            {
                keys.find_map(|at| busy_scripts.on(slots.core_of(args.at(at))))
            }
            _ => busy_scripts.on_any(),
        };
        kind.map(busy)
    }

    /// Refuses another core's request because of a busy script, unless that does not concern it.
    #[cold]
    pub(in crate::dispatch::core) fn refuse_request_while_busy(
        &mut self,
        from: CoreId,
        request: &RequestHead,
    ) -> bool {
        let Work::Command(command) = request.work else {
            return false;
        };
        if request.locks.is_some() || command.spec.flags.has(Flags::ALLOW_BUSY) {
            return false;
        }
        let Some(kind) = self.state.shared.busy.on(self.state.id) else {
            return false;
        };
        let error = busy(kind);
        self.count_error(&error);
        self.state.stats.by_command[command.id.index()].rejected += 1;
        self.answer(from, request.ticket, |out| {
            Reply::new(out, request.protocol).error(&error);
        });
        true
    }
}
