//! A turn of a core: what comes before its input, what comes behind it, and when the next is due though nothing comes.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use super::Core;
use crate::command::closing::Excess;
use crate::command::{Clock, CoreState, closing, moving};
use crate::dispatch::limits::{FREED_BYTES, PERIOD_MS};
use crate::observe::Removed;
use crate::session::{Closing, Ending, gate};

impl Core {
    /// Begins a turn.
    pub fn begin_turn(&mut self, clock: Clock) {
        self.state.timing.begin(clock.read_at);
        self.turn += 1;
        self.making.begin_turn();
        self.follow_clock(clock);
        if self.run_queue.has_put_off() {
            self.begin_parts_of_turn();
        }
        self.notice_config();
        self.follow_pauses();
        self.set_gate(gate::BUSY, self.state.shared.busy.any());
        self.follow_files();
        let watched = self.state.shared.monitors.load(Ordering::Relaxed) > 0;
        self.set_gate(gate::WATCHED_BY_MONITOR, watched);
    }

    /// Lets sessions go on that have had their part of the turn before.
    #[cold]
    fn begin_parts_of_turn(&mut self) {
        let sessions = &mut self.state.sessions;
        self.run_queue.begin_turn(|id| {
            let session = sessions.get_mut(id);
            session
                .map(|session| session.stalled_for_turn = false)
                .is_some()
        });
    }

    /// Ends the input of a turn: resumes sessions, runs timers and a bounded step of background work. Whether more of
    /// that is left, so that the next turn should not wait.
    pub fn end_turn(&mut self) -> bool {
        let now_ms = self.state.clock.monotonic_ms();
        self.run_backlog();
        if self.state.gates & gate::LOCKS != 0 {
            self.choose_lock_gate();
        }
        let steps_go_on = self.continue_steps() | self.continue_saving() | self.continue_loading();
        self.run_granted();
        if self.resume_waiting(now_ms) {
            self.run_granted();
        }
        self.give_places();
        if now_ms >= self.next_period_ms && !self.state.periods_pause {
            self.next_period_ms = now_ms + PERIOD_MS;
            self.periodic(now_ms);
        }
        let expiry_goes_on = self.expire();
        let eviction_goes_on = self.evict_at_end() | self.keep_quotas();
        let script_goes_on = self.continue_scripts();
        self.end_notes();
        // Behind the last word of changes, which clients may be owed from here on.
        self.end_client_memory();
        self.send_told();
        self.pass_to_monitors(None);
        self.state.timing.end(&mut self.state.stats);
        let more =
            self.background() | script_goes_on | steps_go_on | expiry_goes_on | eviction_goes_on;
        if self.has_to_publish() {
            self.publish_entry();
            self.resume_stalled();
            self.run_granted();
        }
        self.clear_pauses();
        self.settle_lease();
        debug_assert!(
            !self.locks.has_granted() && !self.scripts.has_ready() && !self.has_own_mail(),
            "whoever could go on did"
        );
        // The last entry of the turn may have let sessions go on: these, and what they begin, are for the next turn.
        more | self.awaits_place() | self.run_queue.has_new()
    }

    /// Does what is due once nobody has anything left to run: moves slots, ends waits, lets sessions go on. Whether anything
    /// was: then somebody may have something to run again.
    #[inline(always)]
    fn resume_waiting(&mut self, now_ms: u64) -> bool {
        let moves_slots = self.has_slots_to_move();
        if moves_slots {
            self.tend_moving(now_ms);
        }
        // All of them are called, whatever those before found.
        moves_slots
            | self.end_waits(now_ms)
            | self.ring_alarms(now_ms)
            | self.follow_moved_slots()
            | self.serve_put_off()
            | self.follow_pauses()
            | self.resume_stalled()
    }

    /// Ends the waits of blocked sessions whose time is over. Whether there were any.
    fn end_waits(&mut self, now_ms: u64) -> bool {
        let mut ended = false;
        while let Some(&Reverse((until_ms, id))) = self.state.timers.peek()
            && until_ms <= now_ms
        {
            self.state.timers.pop();
            ended = true;
            let Some(session) = self.state.sessions.get_mut(id) else {
                continue;
            };
            let due = session
                .blocked
                .as_ref()
                .and_then(|blocked| blocked.until_ms)
                .is_some_and(|until| until <= now_ms);
            if due {
                session.unblock(Ending::TimedOut, &mut self.state.stats);
            }
            // Also where `CLIENT UNBLOCK` ended the wait.
            if session.blocked.is_none() {
                self.run_queue.push(id);
            }
            self.tell_of_ending(id);
        }
        ended
    }

    fn background(&mut self) -> bool {
        let collects =
            self.state.moving.is_concerned() && moving::go_on_collecting(&mut self.state);
        self.tend_shard() || collects
    }

    fn periodic(&mut self, now_ms: u64) {
        let removed = Removed::of(&self.state.shard);
        self.state.stats.sample_rates(now_ms, &removed);
        self.follow_room();
        self.publish_load();
        self.look_at_save_points();
        self.review_hot_keys(now_ms);
        let timeout_ms = self.state.config.timeout_secs * 1000;
        let CoreState {
            sessions,
            dirty,
            stats,
            config,
            soft_limit_exceeded,
            readers,
            ..
        } = &mut self.state;
        *soft_limit_exceeded = false;
        for session in sessions.iter_mut() {
            let silent = timeout_ms > 0 && session.last_heard_ms + timeout_ms <= now_ms;
            let listens = session.gates & (gate::MONITOR | gate::SUBSCRIBER) != 0;
            if silent && session.blocked.is_none() && !listens {
                session.closing = Closing::Now;
                dirty.push(session.id);
            }
            let limit = session.output_limit(&config.client_output_buffer_limit);
            if session.exceeds_soft_limit(limit, now_ms) {
                closing::close(session, Excess::SoftLimit, stats);
                dirty.push(session.id);
            }
            *soft_limit_exceeded |= session.is_over_soft_limit();
        }
        sessions.count_all(readers.memory_bytes() as u64);
        self.budget.note_period();
        let freed_bytes = sessions.memory().freed_bytes();
        self.client_memory.note_period(freed_bytes, now_ms);
        self.look_at_owed();
    }

    /// Tells the others how much time the core has spent on commands.
    fn publish_load(&self) {
        let nanos: u64 = self
            .state
            .stats
            .by_command
            .iter()
            .map(|command| command.nanos)
            .sum();
        let gauges = self.state.shared.gauges(self.state.id);
        gauges.busy_us.store(nanos / 1000, Ordering::Relaxed);
    }

    /// When the core needs a turn though nothing comes, in milliseconds of the monotonic clock.
    pub fn next_wake_ms(&self) -> Option<u64> {
        let state = &self.state;
        let timed = state.config.timeout_secs > 0
            || state.config.client_output_buffer_limit.normal.soft_bytes > 0;
        let periodic = timed && !state.sessions.is_empty()
            || self.budget.awaits_period()
            || !state.paused.is_empty()
            || self.key_queues.has_put_off()
            || state.sessions.memory().freed_bytes() >= FREED_BYTES
            || state.soft_limit_exceeded
            || self.has_changes_to_tell();
        let periodic = periodic && !state.periods_pause;
        let period = periodic.then_some(self.next_period_ms);
        let timer = state.timers.peek().map(|&Reverse((until_ms, _))| until_ms);
        // Room among what another core has yet to take: soon, but not by asking all the time.
        let stuck = !self.run_queue.is_empty()
            || !self.backlog.is_empty()
            || self.budget.holds_mail()
            || self.locks.has_granted()
            || self.awaits_place()
            || !state.told.is_empty()
            || self.client_memory.are_short();
        let soon = stuck.then_some(state.clock.monotonic_ms() + 1);
        let goes_on = self.run_queue.has_put_off() || self.has_steps() || self.has_saving_to_do();
        let at_once = goes_on.then_some(state.clock.monotonic_ms());
        let moving = self.rebalance_wake_ms();
        let forgets = state.forgets_readers;
        let forgetting = forgets.then_some(state.clock.monotonic_ms());
        let expiry = self.expiry_wake_ms();
        let [alarm, other_alarm] = [
            self.key_queues.alarms().next(),
            self.blocked.alarms().next(),
        ];
        [
            period,
            timer,
            soon,
            at_once,
            moving,
            forgetting,
            expiry,
            alarm,
            other_alarm,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
