//! What is told about commands as they run: the logs of commands, the latency monitor, monitors.
//!
//! A request is weighed where it comes from, on its session's core; a reply where it is made, which may be another: word of a large one
//! goes along with it, as of a command that took long.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::command::commandlog;
use crate::command::monitor::{self, Shown};
use crate::command::{Args, CommandSpec, CommandTable, CoreState, Flags};
use crate::dispatch::core::Core;
use crate::dispatch::core::run::nanos_since;
use crate::dispatch::mail::batch::CostlyHop;
use crate::dispatch::mail::requests::Ticket;
use crate::observe::{Cost, LogEntry, LogKind, shorten};
use crate::resp::{ArgRange, Digits};
use crate::routing::{SLOTS, Slot};
use crate::session::{Closing, Session, gate};

impl CoreState {
    /// Whether a command of this cost belongs in a log or among the latency spikes.
    pub(super) fn is_worth_telling(&self, cost: Cost) -> bool {
        let micros = cost.nanos / 1000;
        self.is_slow(micros)
            || self.is_spike(micros)
            || cost.reply_bytes >= self.observed.large_reply_bytes
    }

    fn is_slow(&self, micros: u64) -> bool {
        let threshold = commandlog::threshold(&self.config, LogKind::Slow);
        threshold.is_some_and(|threshold| micros >= threshold)
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
        nanos: u64,
    ) {
        let (state, micros) = (&mut self.state, nanos / 1000);
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
        if state.is_slow(micros) {
            self.log_command(LogKind::Slow, session, args, spec, micros);
        }
    }

    /// A command that is weighed by itself has run, or is on its way to where it runs.
    #[cold]
    pub(super) fn observe_request(
        &mut self,
        session: &Session,
        args: Args<'_>,
        spec: &CommandSpec,
    ) {
        let threshold = commandlog::threshold(&self.state.config, LogKind::LargeRequest);
        let bytes = request_bytes(args);
        if threshold.is_some_and(|threshold| bytes >= threshold) {
            self.log_command(LogKind::LargeRequest, session, args, spec, bytes);
        }
    }

    /// A command has a reply of so many bytes.
    #[inline(always)]
    pub(super) fn observe_reply(
        &mut self,
        session: &Session,
        args: Args<'_>,
        spec: &CommandSpec,
        bytes: usize,
    ) {
        if bytes as u64 >= self.state.observed.large_reply_bytes {
            self.log_command(LogKind::LargeReply, session, args, spec, bytes as u64);
        }
    }

    /// A command has run on this core, and cost this much: it counts for its keys, if somebody wants to know.
    #[inline(always)]
    pub(super) fn add_costs(&mut self, spec: &CommandSpec, args: Args<'_>, cost: Cost) {
        if self.state.gates & gate::COSTS != 0 {
            self.add_costs_of_keys(spec, args, cost);
        }
    }

    #[cold]
    fn add_costs_of_keys(&mut self, spec: &CommandSpec, args: Args<'_>, cost: Cost) {
        let positions: Vec<usize> = spec.keys.positions(&args).collect();
        let Some(&first) = positions.first() else {
            return;
        };
        let state = &mut self.state;
        let slot = Slot::of(args.at(first)).number();
        let cost = (cost, request_bytes(args));
        if state.config.cluster_slot_stats.are_of_commands() {
            state.observed.slot_costs.add(slot, SLOTS, cost);
        }
        let now_ms = state.clock.unix.0;
        if let Some(costs) = state.observed.key_costs.as_mut()
            && costs.goes_on(now_ms)
        {
            let began = Instant::now();
            let keys = positions.iter().map(|&at| args.at(at));
            costs.add(keys, slot, cost, state.random.draw());
            costs.own_nanos += nanos_since(began);
        } else {
            state.choose_costs();
        }
    }

    #[cold]
    fn log_command(
        &mut self,
        kind: LogKind,
        session: &Session,
        args: Args<'_>,
        spec: &CommandSpec,
        value: u64,
    ) {
        if spec.flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        let state = &mut self.state;
        let secrets_hidden: Vec<&[u8]> = args
            .iter_from(0)
            .enumerate()
            .map(|(at, arg)| match monitor::is_secret(spec, &args, at) {
                true => monitor::REDACTED,
                false => arg,
            })
            .collect();
        let entry = LogEntry {
            id: state.shared.next_log_id(kind),
            unix_secs: state.clock.unix.as_secs(),
            value,
            args: shorten(secrets_hidden.iter().copied()),
            addr: session.peer.addr.clone(),
            name: session.name().into(),
        };
        let limits = commandlog::limits(&state.config, kind);
        state
            .observed
            .command_logs
            .of_mut(kind)
            .push(entry, limits.max_len);
    }

    /// A command of one of this core's sessions took long on another core, or had a large reply.
    pub(super) fn observe_hop(&mut self, hop: &CostlyHop<'_>) {
        let (Ticket::Reply { session, .. } | Ticket::Attempt { session }) = hop.ticket else {
            return;
        };
        let Some(session) = self.state.sessions.take_out(session) else {
            return;
        };
        let (args, spec) = (hop.args, hop.command.spec);
        self.observe_slow(&session, args, spec, hop.cost.nanos);
        self.observe_reply(&session, args, spec, hop.cost.reply_bytes as usize);
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

/// Bytes of a command as clients send it: an array of bulk strings.
fn request_bytes(args: Args<'_>) -> u64 {
    let header = |number: usize| b"*\r\n".len() + Digits::new().unsigned(number as u64).len();
    let each = args.iter_from(0);
    let each = each.map(|arg| header(arg.len()) + arg.len() + b"\r\n".len());
    (header(args.len()) + each.sum::<usize>()) as u64
}
