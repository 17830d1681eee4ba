//! How long commands take, without asking the clock twice a command.
//!
//! Constant-time commands share the time of their turn equally; the others are timed one by one, and their time is
//! taken out of the turn's. So `commandstats` and the latency histograms cost two clock readings a turn. Of constant-time
//! commands that scripts call a sample is timed, since a script's own work would blur their share of it.

use std::time::Instant;

use crate::command::CommandId;
use crate::observe::Stats;

/// Commands run in the present turn, by number.
#[derive(Debug)]
pub(in crate::dispatch) struct TurnTiming {
    calls: Vec<u32>,
    touched: Vec<CommandId>,
    shared_calls: u64,
    /// Time of commands timed by themselves.
    apart_nanos: u64,
    began: Instant,
    /// By number, what is known of constant-time commands that scripts call.
    in_scripts: Vec<InScripts>,
}

/// What is known of a command that scripts call.
#[derive(Clone, Debug, Default)]
struct InScripts {
    /// How many more are taken to last as long as the last one that was timed.
    untimed: u8,
    /// Time of that one.
    nanos: u64,
}

/// Of the constant-time commands that scripts call, every so manieth of a kind is timed.
const TIMED_EVERY: u8 = 16;

impl TurnTiming {
    pub(in crate::dispatch) fn new(commands: usize) -> Self {
        Self {
            calls: vec![0; commands],
            touched: Vec::new(),
            shared_calls: 0,
            apart_nanos: 0,
            began: Instant::now(),
            in_scripts: vec![InScripts::default(); commands],
        }
    }

    /// How long a constant-time command of a script is taken to last, in nanoseconds. None: it is one to be timed.
    #[inline]
    pub(in crate::dispatch) fn in_script(&mut self, id: CommandId) -> Option<u64> {
        let known = &mut self.in_scripts[usize::from(id.0)];
        known.untimed = known.untimed.checked_sub(1)?;
        Some(known.nanos)
    }

    /// A constant-time command of a script was timed.
    pub(in crate::dispatch) fn timed_in_script(&mut self, id: CommandId, nanos: u64) {
        self.in_scripts[usize::from(id.0)] = InScripts {
            untimed: TIMED_EVERY - 1,
            nanos,
        };
    }

    /// A turn begins.
    pub(in crate::dispatch) fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    /// A constant-time command ran.
    #[inline(always)]
    pub(in crate::dispatch) fn ran(&mut self, id: CommandId) {
        let calls = &mut self.calls[usize::from(id.0)];
        if *calls == 0 {
            self.touched.push(id);
        }
        *calls += 1;
        self.shared_calls += 1;
    }

    /// How often a command has run in this turn.
    pub(in crate::dispatch) fn calls(&self, id: CommandId) -> u32 {
        self.calls[usize::from(id.0)]
    }

    /// A command has run so often in this turn: what ran since does not count.
    pub(in crate::dispatch) fn set_back(&mut self, id: CommandId, calls: u32) {
        let counted = std::mem::replace(&mut self.calls[usize::from(id.0)], calls);
        self.shared_calls -= u64::from(counted - calls);
    }

    /// Something took this long that no command of the turn is to account for.
    pub(in crate::dispatch) fn took_apart(&mut self, time: std::time::Duration) {
        self.apart(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// A command was timed by itself.
    pub(in crate::dispatch) fn apart(&mut self, nanos: u64) {
        self.apart_nanos += nanos;
    }

    /// The turn ends: its time goes to the commands that shared it.
    pub(in crate::dispatch) fn end(&mut self, stats: &mut Stats) {
        if self.shared_calls == 0 {
            self.apart_nanos = 0;
            return;
        }
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let each = nanos.saturating_sub(self.apart_nanos) / self.shared_calls;
        for id in self.touched.drain(..) {
            let calls = std::mem::take(&mut self.calls[usize::from(id.0)]);
            stats.ran(id, u64::from(calls), each * u64::from(calls));
        }
        self.shared_calls = 0;
        self.apart_nanos = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_scripts_constant_time_commands_one_of_a_kind_in_sixteen_is_timed() {
        let mut timing = TurnTiming::new(2);
        let (one, other) = (CommandId(0), CommandId(1));
        let mut timed = [0, 0];
        for _ in 0..160 {
            // By turns: a sample of all commands together would find one kind only.
            for (id, nanos) in [(one, 70), (other, 30)] {
                match timing.in_script(id) {
                    Some(known) => assert_eq!(known, nanos),
                    None => {
                        timed[usize::from(id.0)] += 1;
                        timing.timed_in_script(id, nanos);
                    }
                }
            }
        }
        assert_eq!(timed, [10, 10]);
    }
}
