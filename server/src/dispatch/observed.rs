//! What is told about commands as they run: the slow log, the latency monitor, monitors.

use super::batch::{SlowHop, Ticket};
use super::core::Core;
use crate::command::{Args, CommandSpec, CoreState, Flags, monitor};
use crate::observe::{SlowEntry, shorten};
use crate::resp::ArgRange;
use crate::session::{Session, gate};

impl CoreState {
    /// Whether a command of `micros` belongs in the slow log or among the latency spikes.
    pub(super) fn is_worth_telling(&self, micros: u64) -> bool {
        self.is_slow(micros) || self.is_spike(micros)
    }

    fn is_slow(&self, micros: u64) -> bool {
        u64::try_from(self.config.slowlog_log_slower_than_us)
            .is_ok_and(|threshold| micros >= threshold)
    }

    fn is_spike(&self, micros: u64) -> bool {
        let threshold_ms = self.config.latency_monitor_threshold_ms;
        threshold_ms > 0 && micros / 1000 >= threshold_ms
    }
}

impl Core {
    /// A command was timed by itself.
    pub(super) fn observe_slow(
        &mut self,
        session: &Session,
        args: Args<'_>,
        spec: &CommandSpec,
        micros: u64,
    ) {
        if !self.state.is_worth_telling(micros) {
            return;
        }
        let state = &mut self.state;
        if state.is_spike(micros) {
            let event = if spec.flags.has(Flags::FAST) {
                "fast-command"
            } else {
                "command"
            };
            state
                .observed
                .latency
                .record(event, state.clock.unix.as_secs(), micros / 1000);
        }
        if state.is_slow(micros) && !spec.flags.has(Flags::SKIP_SLOWLOG) {
            let secrets_hidden: Vec<&[u8]> = args
                .iter_from(0)
                .enumerate()
                .map(|(at, arg)| match monitor::is_secret(spec, &args, at) {
                    true => monitor::REDACTED,
                    false => arg,
                })
                .collect();
            let entry = SlowEntry {
                id: state.shared.next_slowlog_id(),
                unix_secs: state.clock.unix.as_secs(),
                micros,
                args: shorten(secrets_hidden.iter().copied()),
                addr: session.peer.addr.clone(),
                name: session.name.clone(),
            };
            state
                .observed
                .slowlog
                .push(entry, state.config.slowlog_max_len);
        }
    }

    /// A command of one of this core's sessions took long on another core.
    pub(super) fn observe_slow_hop(&mut self, slow: &SlowHop<'_>) {
        let Ticket::Reply { session, .. } = slow.ticket else {
            return;
        };
        let Some(session) = self.state.sessions.take_out(session) else {
            return;
        };
        self.observe_slow(&session, slow.args, slow.command.spec, slow.micros);
        self.state.sessions.put_back(session);
    }

    /// A command is about to run, and some core has a monitor.
    pub(super) fn show_to_monitors(
        &mut self,
        session: &Session,
        args: Args<'_>,
        spec: &CommandSpec,
    ) {
        if monitor::is_shown(spec) {
            self.tell_monitors(session, args, spec);
        }
    }

    /// An `EXEC` is over, and shown behind the commands it ran.
    pub(super) fn show_exec(&mut self, session: &Session) {
        if self.state.gates & gate::WATCHED_BY_MONITOR == 0 {
            return;
        }
        let name = b"exec";
        let command = self.state.commands.find(name);
        let range = ArgRange {
            start: 0,
            len: name.len() as u32,
        };
        let spec = command.expect("`EXEC` is a command").spec;
        self.tell_monitors(session, Args::new(name, &[range]), spec);
    }

    /// Shows a command to the monitors.
    pub(super) fn tell_monitors(&mut self, session: &Session, args: Args<'_>, spec: &CommandSpec) {
        let unix_micros = u64::try_from(self.state.clock.unix.0).unwrap_or(0) * 1000;
        let lines = &mut self.state.monitor_lines;
        monitor::write_line(lines, unix_micros, session, spec, &args);
    }
}
