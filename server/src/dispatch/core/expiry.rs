//! When the expiry hand moves: whenever a turn's writes have paid for a step, between two runs of commands, and at the end of
//! each turn in which something is due. A core that has nothing else to do wakes for it.
//!
//! So every step is short, and all of a turn are in proportion to what it wrote. If its budget ends the last one
//! ([`Shard::expire_cycle`](larder_engine::Shard::expire_cycle)), the next turn comes at once, and serves whoever has
//! sent something before it goes on.
//!
//! Nothing is removed by itself as long as a request may come that is judged by a time when it was alive
//! (`Core::settled_time`): about as long as other cores' turns take.
//!
//! For a script time stands still, and so it does for whoever has locks or waits for them. Keys that somebody has, or waits
//! for, stay. While somebody has the whole shard, or a script without locks keeps everybody out in its midst, only what was
//! dead when the oldest began is removed: one that goes on for long holds expiry up, as in Redis, and any number of short ones do not.

use std::time::Instant;

use larder_engine::{Moment, UnixMillis};

use crate::dispatch::core::Core;
use crate::dispatch::limits::{EXPIRE_BUDGET_ENTRIES, PERIOD_MS};
use crate::session::Session;

impl Core {
    /// Whether entries may be removed by themselves.
    fn may_expire(&self) -> bool {
        // What is given to another core expires there; and what a script that waits may have to take back stays as it is: its
        // keys, or anything.
        let is_given = self.state.moving.stands_still();
        let may_be_taken_back = self.locks.has_whole() && self.state.shard.has_undo_aside();
        self.state.active_expire && !is_given && !may_be_taken_back
    }

    /// The time that decides which entries are removed by themselves.
    fn expiry_time(&self) -> UnixMillis {
        let now = self.state.shard.now();
        if !self.locks.has_whole() {
            return now;
        }
        let times = [self.oldest_script_time(), self.locks.oldest_time()];
        times.into_iter().flatten().fold(now, UnixMillis::min)
    }

    /// A step of the expiry hand that the turn's writes have paid for, after a run of commands of `session` or of another
    /// core's.
    #[inline]
    pub(super) fn expire_what_is_paid(&mut self, session: Option<&mut Session>) {
        if self.state.shard.expiry_is_paid() {
            self.expire_amid(session);
        }
    }

    #[cold]
    #[inline(never)]
    fn expire_amid(&mut self, session: Option<&mut Session>) {
        self.step_of_expiry(0);
        self.act_on_notes(session, None);
    }

    /// The turn's last step of the expiry hand, if something is due. Whether more is, so that the next turn should not wait.
    #[inline]
    pub(super) fn expire(&mut self) -> bool {
        let shard = &mut self.state.shard;
        if shard.expiry_due_at() > shard.now() {
            shard.forgo_expiry();
            return false;
        }
        self.expire_at_end()
    }

    #[inline(never)]
    fn expire_at_end(&mut self) -> bool {
        let is_cut_short = self.step_of_expiry(EXPIRE_BUDGET_ENTRIES);
        self.state.stats.expiry_steps_cut_short += u64::from(is_cut_short);
        self.serve_written_at_end();
        is_cut_short
    }

    fn step_of_expiry(&mut self, budget: u32) -> bool {
        let due_at = self.state.shard.expiry_due_at();
        let now = self.state.shard.now();
        let may_not = due_at > now || !self.may_expire() || self.is_paused();
        let as_of = match may_not {
            true => now,
            false => self.expiry_time().min(self.settled_time()),
        };
        if may_not || due_at > as_of {
            self.state.shard.forgo_expiry();
            return false;
        }
        let began = Instant::now();
        // Beside who has the whole shard or waits for it, what is removed was dead before the first of those who have locks; keys that
        // others have by themselves stay, for what reads one sees what had ended in it when it began.
        let oldest = self.locks.oldest_position();
        let oldest = oldest.filter(|_| self.locks.has_whole());
        let (shard, locks) = (&mut self.state.shard, &self.locks);
        shard.set_now(as_of);
        let before = shard.journal().set_moment(oldest.map(Moment::alone));
        let step = match locks.is_empty() {
            true => shard.expire_cycle(budget),
            false => shard.expire_cycle_except(budget, |hash| locks.has_key(hash)),
        };
        shard.journal().set_moment(before);
        shard.set_now(now);
        let time = began.elapsed();
        self.state.timing.took_apart(time);
        self.state.stats.expiry_nanos += u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        step.is_cut_short
    }

    fn is_paused(&self) -> bool {
        self.state.pauses().contains(&true)
    }

    /// When the core needs a turn to expire something, in milliseconds of the monotonic clock.
    pub(super) fn expiry_wake_ms(&self) -> Option<u64> {
        let shard = &self.state.shard;
        let due_at = shard.expiry_due_at();
        if due_at.0 == i64::MAX || !self.may_expire() {
            return None;
        }
        if due_at <= shard.now() && due_at > self.expiry_time() {
            // The script that it waits for brings turns about as it goes on.
            return None;
        }
        let wait_ms = u64::try_from(due_at.0.saturating_sub(shard.now().0)).unwrap_or(0);
        // The end of a pause may come with any turn of another core; and what is due may have to wait for one.
        let least_ms = match due_at <= shard.now() && !self.is_settled() {
            _ if self.is_paused() => PERIOD_MS,
            true => 1,
            false => 0,
        };
        let now_ms = self.state.clock.monotonic_ms();
        Some(now_ms.saturating_add(wait_ms.max(least_ms)))
    }
}
