//! How long commands take, without asking the clock twice a command.
//!
//! Constant-time commands share the time of their turn equally; the others are timed one by one, and their time is
//! taken out of the turn's. So `commandstats` and the latency histograms cost two clock readings a turn. Of constant-time
//! commands that scripts call a sample is timed, since a script's own work would blur their share of it.

use std::time::{Duration, Instant};

use super::stats::{CommandId, Stats};

/// Commands run in the present turn, by number.
#[derive(Debug)]
pub struct TurnTiming {
    calls: Vec<u32>,
    touched: Vec<CommandId>,
    shared_calls: u64,
    /// Time of commands timed by themselves.
    apart_nanos: u64,
    began: Instant,
    /// When what is timed by itself began, while it is under way.
    apart_since: Option<Instant>,
    /// By number, what is known of constant-time commands that scripts call.
    in_scripts: Vec<InScripts>,
    /// Those of them that scripts called in this turn without their being timed.
    touched_in_scripts: Vec<CommandId>,
}

/// How often a command has run in a turn, by itself and in scripts.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    calls: u32,
    in_scripts: InTurn,
}

/// What is known of a command that scripts call.
#[derive(Clone, Debug, Default)]
struct InScripts {
    /// How many more are taken to last as long as the last one that was timed.
    untimed: u8,
    /// Time of that one.
    nanos: u64,
    /// Calls in this turn that were not timed, and the time they are taken to have lasted.
    counted: InTurn,
}

/// Calls of a command in a turn, and their nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct InTurn {
    calls: u32,
    nanos: u64,
}

/// Of the constant-time commands that scripts call, every so manieth of a kind is timed.
const TIMED_EVERY: u8 = 16;

impl TurnTiming {
    /// Of so many commands.
    #[must_use]
    pub fn new(commands: usize) -> Self {
        Self {
            calls: vec![0; commands],
            touched: Vec::new(),
            shared_calls: 0,
            apart_nanos: 0,
            began: Instant::now(),
            apart_since: None,
            in_scripts: vec![InScripts::default(); commands],
            touched_in_scripts: Vec::new(),
        }
    }

    /// A constant-time command of a script is to run. Whether it has to be timed; else it is taken to last as long as the last
    /// one that was, and is counted at the end of the turn.
    #[inline]
    pub fn in_script(&mut self, id: CommandId) -> bool {
        let known = &mut self.in_scripts[usize::from(id.0)];
        let Some(untimed) = known.untimed.checked_sub(1) else {
            return true;
        };
        known.untimed = untimed;
        if known.counted.calls == 0 {
            self.touched_in_scripts.push(id);
        }
        known.counted.calls += 1;
        known.counted.nanos += known.nanos;
        false
    }

    /// A constant-time command of a script was timed.
    pub fn timed_in_script(&mut self, id: CommandId, nanos: u64) {
        let known = &mut self.in_scripts[usize::from(id.0)];
        known.untimed = TIMED_EVERY - 1;
        known.nanos = nanos;
    }

    /// A turn begins.
    pub fn begin(&mut self, now: Instant) {
        self.began = now;
        self.apart_since = None;
    }

    /// A constant-time command ran.
    #[inline(always)]
    pub fn ran(&mut self, id: CommandId) {
        let calls = &mut self.calls[usize::from(id.0)];
        if *calls == 0 {
            self.touched.push(id);
        }
        *calls += 1;
        self.shared_calls += 1;
    }

    /// How often a command has run in this turn.
    #[must_use]
    pub fn counted(&self, id: CommandId) -> Counted {
        Counted {
            calls: self.calls[usize::from(id.0)],
            in_scripts: self.in_scripts[usize::from(id.0)].counted,
        }
    }

    /// A command has run so often in this turn: what ran since does not count.
    pub fn set_back(&mut self, id: CommandId, to: Counted) {
        let calls = std::mem::replace(&mut self.calls[usize::from(id.0)], to.calls);
        self.shared_calls -= u64::from(calls - to.calls);
        self.in_scripts[usize::from(id.0)].counted = to.in_scripts;
    }

    /// Something begins that [`Self::apart`] or [`Self::took_apart`] will end. The time is now.
    pub fn begin_apart(&mut self) -> Instant {
        let now = Instant::now();
        self.apart_since.get_or_insert(now);
        now
    }

    /// Something took this long that no command of the turn is to account for.
    pub fn took_apart(&mut self, time: Duration) {
        self.apart(nanos_of(time));
    }

    /// A command was timed by itself.
    pub fn apart(&mut self, nanos: u64) {
        self.apart_nanos += nanos;
        self.apart_since = None;
    }

    /// Counts what has run in this turn so far: who asks how often commands have run sees what came before. What is under way,
    /// timed by itself, is no part of that.
    #[cold]
    pub fn count_so_far(&mut self, stats: &mut Stats) {
        let now = self.apart_since.unwrap_or_else(Instant::now);
        self.end_at(stats, || now);
        self.began = now;
    }

    /// The turn ends: its time goes to the commands that shared it.
    #[inline]
    pub fn end(&mut self, stats: &mut Stats) {
        self.end_at(stats, Instant::now);
    }

    /// Counts what has run, in the time until `now`, which is asked for where something shared it.
    #[inline(always)]
    fn end_at(&mut self, stats: &mut Stats, now: impl FnOnce() -> Instant) {
        if self.shared_calls > 0 {
            self.share(stats, now());
        }
        self.apart_nanos = 0;
        if !self.touched_in_scripts.is_empty() {
            self.count_in_scripts(stats);
        }
    }

    /// Shares the time until `now` among the commands that ran.
    fn share(&mut self, stats: &mut Stats, now: Instant) {
        let nanos = nanos_of(now.saturating_duration_since(self.began));
        let each = nanos.saturating_sub(self.apart_nanos) / self.shared_calls;
        for id in &self.touched {
            let calls = std::mem::take(&mut self.calls[id.index()]);
            stats.ran_alike(*id, calls.into(), each);
        }
        self.touched.clear();
        self.shared_calls = 0;
    }

    #[cold]
    fn count_in_scripts(&mut self, stats: &mut Stats) {
        for id in self.touched_in_scripts.drain(..) {
            let known = &mut self.in_scripts[usize::from(id.0)];
            let InTurn { calls, nanos } = std::mem::take(&mut known.counted);
            stats.ran(id, u64::from(calls), nanos);
        }
    }
}

/// In nanoseconds; 64 bits hold those of 584 years.
#[inline]
fn nanos_of(time: Duration) -> u64 {
    time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_timed_by_itself_is_no_part_of_what_was_counted_in_its_midst() {
        let mut timing = TurnTiming::new(3);
        let (before, behind) = (CommandId(0), CommandId(1));
        let mut stats = Stats::new(3);
        let turn = Instant::now();
        timing.begin(turn);
        timing.ran(before);
        let began = timing.begin_apart();
        std::thread::sleep(Duration::from_millis(20));
        timing.count_so_far(&mut stats);
        let counted = stats.by_command[before.index()];
        let until_then = began.duration_since(turn).as_nanos();
        assert_eq!((counted.calls, counted.nanos.into()), (1, until_then));
        timing.took_apart(began.elapsed());
        timing.ran(behind);
        std::thread::sleep(Duration::from_millis(2));
        timing.end(&mut stats);
        let counted = stats.by_command[behind.index()];
        assert_eq!(counted.calls, 1);
        assert!(counted.nanos >= 2_000_000, "{} ns", counted.nanos);
    }

    #[test]
    fn of_a_scripts_constant_time_commands_one_of_a_kind_in_sixteen_is_timed() {
        let mut timing = TurnTiming::new(2);
        let (one, other) = (CommandId(0), CommandId(1));
        let mut timed = [0, 0];
        let mut stats = Stats::new(2);
        for turn in 1..=10u64 {
            for _ in 0..16 {
                // By turns: a sample of all commands together would find one kind only.
                for (id, nanos) in [(one, 70), (other, 30)] {
                    if timing.in_script(id) {
                        timed[usize::from(id.0)] += 1;
                        timing.timed_in_script(id, nanos);
                    }
                }
            }
            // The others are counted when the turn ends, as long as the one that was timed.
            timing.end(&mut stats);
            for (id, nanos) in [(one, 70), (other, 30)] {
                let counted = &stats.by_command[id.index()];
                let expected = (15 * turn, 15 * turn * nanos);
                assert_eq!((counted.calls, counted.nanos), expected);
            }
        }
        assert_eq!(timed, [10, 10]);
    }
}
