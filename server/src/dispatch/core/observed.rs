//! What is told about commands as they run: the slow log, the latency monitor, monitors.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::monitor::{self, Shown};
use crate::command::{Args, CommandSpec, CommandTable, CoreState, Flags};
use crate::dispatch::core::Core;
use crate::dispatch::mail::batch::SlowHop;
use crate::dispatch::mail::requests::Ticket;
use crate::observe::{SlowEntry, shorten};
use crate::resp::ArgRange;
use crate::session::{Closing, Session, gate};

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
        let (Ticket::Reply { session, .. } | Ticket::Attempt { session }) = slow.ticket else {
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
        session: &mut Session,
        args: Args<'_>,
        spec: &CommandSpec,
    ) {
        match monitor::shown(spec) {
            Shown::Before => self.tell_monitors(session, args, spec),
            // It may make a monitor, which is not to see what was before.
            Shown::Apart => self.pass_to_monitors(Some(session)),
            Shown::Behind => {}
        }
    }

    /// A command has run.
    #[inline]
    pub(super) fn show_behind(&mut self, session: &Session, args: Args<'_>, spec: &CommandSpec) {
        if self.state.gates & gate::WATCHED_BY_MONITOR != 0 && monitor::shown(spec) == Shown::Behind
        {
            self.tell_monitors(session, args, spec);
        }
    }

    /// An `EXEC` is over, and shown behind the commands it ran; `sent_as` is its name as the client sent it.
    pub(super) fn show_exec(&mut self, session: &Session, sent_as: &[u8]) {
        if self.state.gates & gate::WATCHED_BY_MONITOR == 0 || sent_as.is_empty() {
            return;
        }
        let range = ArgRange {
            start: 0,
            len: sent_as.len() as u32,
        };
        let spec = CommandTable::exec().spec;
        self.tell_monitors(session, Args::new(sent_as, &[range]), spec);
    }

    /// Shows a command to the monitors.
    pub(super) fn tell_monitors(&mut self, session: &Session, args: Args<'_>, spec: &CommandSpec) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_micros = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0));
        let lines = &mut self.state.monitor_lines;
        monitor::write_line(lines, unix_micros, session, spec, &args);
    }

    /// Hands the lines of this turn so far to the monitors of all cores; `at_work` is missing from the table of sessions.
    #[inline]
    pub(super) fn pass_to_monitors(&mut self, at_work: Option<&mut Session>) {
        if !self.state.monitor_lines.is_empty() {
            self.pass_lines(at_work);
        }
    }

    #[cold]
    fn pass_lines(&mut self, at_work: Option<&mut Session>) {
        let lines = std::mem::take(&mut self.state.monitor_lines);
        if let Some(session) = at_work
            && session.gates & gate::MONITOR != 0
            && session.closing == Closing::No
        {
            session.output.append(|out| out.extend_from_slice(&lines));
        }
        self.state.pass_to_monitors(&lines);
        let others = self.outboxes.others(self.state.id);
        others.for_each(|outbox| outbox.show_to_monitors(&lines));
    }
}
