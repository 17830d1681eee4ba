//! When a session may not go on: because it waits, or because its client does not take what it is owed.

use super::{Closing, Session};
use crate::config::{OutputLimit, OutputLimits};

/// A session may have so much ready before it takes turns with others.
const TURNS_FROM_BYTES: usize = 16 << 20;

/// What it may then add in one turn. As much leaves in a turn, so that what a client that reads is owed grows no further.
const TURN_BYTES: usize = 1 << 20;

/// What any session may add in one turn while all clients hold more than they may, and one on another core is yet to be
/// closed for it.
const TURN_BYTES_SHORT: usize = 16 << 10;

/// Replies from other cores a session may be owed; beyond, it runs no further command until some have come. They are
/// counted; the large ones are weighed too ([`super::LARGE_ANSWERS_MAX_BYTES`]).
pub(super) const OUTSTANDING_REPLIES_MAX: usize = 1024;

/// Keys that clients have read and that a core forgets in one turn because there are too many, beside twice as many as it
/// has come to remember in that turn.
pub const READERS_FORGOTTEN_MAX: u64 = 256;

/// A session with more bytes than this behind a reply of another core runs no further command until that has come; one
/// whose high water is lower, with more than that.
const LATE_MAX_BYTES: usize = 16 << 20;

/// How much a session may be owed before it runs no further command.
#[derive(Clone, Copy, Debug)]
pub struct HighWater {
    /// What may be ready to be sent.
    ready_bytes: usize,
    /// What may wait behind a reply of another core.
    late_bytes: usize,
}

impl HighWater {
    /// None.
    pub const NONE: Self = Self {
        ready_bytes: usize::MAX,
        late_bytes: LATE_MAX_BYTES,
    };

    /// So many bytes of what is ready.
    pub fn of(ready_bytes: usize) -> Self {
        Self {
            ready_bytes,
            late_bytes: ready_bytes.min(LATE_MAX_BYTES),
        }
    }
}

/// How much a session may have ready before others have their turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    ready_bytes: usize,
    /// The turn it was last given more in.
    turn: u64,
}

impl Allowance {
    pub(super) const FIRST: Self = Self {
        ready_bytes: TURNS_FROM_BYTES,
        turn: 0,
    };
}

/// A session that has sent other cores so many bytes of requests since it was last owed nothing sends no more until it is
/// owed nothing again: that bounds what of its requests can wait there.
const SENT_MAX_BYTES: usize = 4 << 20;

/// Transactions a session may have under way when it begins another, at first, and at most. What a transaction's parts answer
/// is held back nowhere, so that the size of the first answers decides how many more may come.
pub(super) const FIRST_WINDOW: usize = 4;
/// See [`FIRST_WINDOW`].
const WINDOW_MAX: usize = 256;

impl Session {
    /// A transaction has begun.
    #[inline]
    pub fn begin_transaction(&mut self) {
        self.transactions += 1;
    }

    /// A transaction has been answered.
    #[inline]
    pub fn end_transaction(&mut self) {
        self.transactions = self.transactions.saturating_sub(1);
        self.window = (self.window + 1).min(WINDOW_MAX);
    }

    /// Whether another transaction may begin.
    #[inline]
    pub fn has_room_in_window(&self) -> bool {
        self.transactions <= self.window || self.output.outstanding() == 0
    }

    /// A large answer has come.
    pub fn narrow_window(&mut self) {
        self.window = 0;
    }

    /// A request is about to go to another core.
    #[inline]
    pub fn begin_sending(&mut self) {
        if self.output.outstanding() == 0 {
            self.sent_bytes = 0;
        }
    }

    /// Whether it has to wait for answers before it may send more.
    #[inline]
    pub fn has_sent_much(&self) -> bool {
        self.sent_bytes > SENT_MAX_BYTES && self.output.outstanding() > 0
    }

    /// Whether it may run no command now.
    #[inline]
    pub fn is_stalled(&self) -> bool {
        self.waits() || self.stalled_for_turn || self.is_held_back()
    }

    /// Whether it may run no further command, or has to be [given more](Self::gets_more) first.
    #[inline]
    pub fn has_to_stop(&self) -> bool {
        self.waits() || self.is_owed_its_part()
    }

    /// Whether it may run no further command for what it is owed.
    #[inline]
    pub fn is_owed_its_part(&self) -> bool {
        self.is_behind() || self.has_used_turn()
    }

    #[inline]
    fn waits(&self) -> bool {
        self.blocked.is_some()
            || self.at_barrier
            || self.paused
            || self.stalled_for_room
            || self.stalled_for_entry
            || self.pending_lock.is_some()
            || self.closing != Closing::No
    }

    /// Whether it is owed so much that it may run no command now: by its client, who does not read, or by other cores.
    #[inline]
    pub fn is_held_back(&self) -> bool {
        self.is_above_high_water() || self.is_behind()
    }

    /// Whether it is owed so much by other cores that it may run no command now.
    #[inline]
    fn is_behind(&self) -> bool {
        self.output.outstanding() > 0
            && (self.output.outstanding() > OUTSTANDING_REPLIES_MAX
                || self.output.late_bytes() > self.high_water.late_bytes
                || self.large_answers.are_too_many())
    }

    /// Whether its client is to read before it may run a command (`client-output-buffer-high-water`).
    #[inline]
    pub fn is_above_high_water(&self) -> bool {
        self.output.ready_bytes() > self.high_water.ready_bytes
    }

    /// Whether its client has read enough since to be held back anew.
    pub fn is_below_half_of_high_water(&self) -> bool {
        self.output.ready_bytes() < self.high_water.ready_bytes / 2
    }

    /// Whether it has ready what it may, as of now.
    #[inline]
    pub fn has_used_turn(&self) -> bool {
        self.output.ready_bytes() > self.allowance.ready_bytes
    }

    /// Gives a session that has to stop only for what it has ready its part of this turn. False: it has had it, or has to
    /// stop for something else.
    #[cold]
    pub fn gets_more(&mut self, turn: u64) -> bool {
        if self.waits() || self.is_held_back() || self.allowance.turn == turn {
            return false;
        }
        let ready_bytes = self.most_ready_after_turn();
        self.allowance = Allowance { ready_bytes, turn };
        true
    }

    fn most_ready_after_turn(&self) -> usize {
        let ready_bytes = (self.output.ready_bytes() + TURN_BYTES).max(TURNS_FROM_BYTES);
        ready_bytes.min(self.high_water.ready_bytes)
    }

    /// All clients together hold more than they may: it gets little in this turn.
    #[cold]
    pub fn gets_little(&mut self, turn: u64) {
        self.gets_at_most(turn, TURN_BYTES_SHORT);
    }

    /// It may add so many bytes in this turn to what it has ready.
    #[cold]
    pub fn gets_at_most(&mut self, turn: u64, bytes: usize) {
        if self.allowance.turn != turn {
            let ready_bytes = self.output.ready_bytes() + bytes;
            let ready_bytes = ready_bytes.min(self.most_ready_after_turn());
            self.allowance = Allowance { ready_bytes, turn };
        }
    }

    /// Sets what it may be owed before it runs no further command.
    #[inline]
    pub fn set_high_water(&mut self, high_water: HighWater) {
        self.high_water = high_water;
        let allowed = &mut self.allowance.ready_bytes;
        *allowed = high_water.ready_bytes.min(*allowed);
    }

    /// Begins anew once its client has taken so much that it need not take turns.
    pub fn review_allowance(&mut self) {
        if self.output.ready_bytes() <= TURNS_FROM_BYTES {
            self.allowance.ready_bytes = TURNS_FROM_BYTES.min(self.high_water.ready_bytes);
        }
    }

    /// The limits of its class of clients.
    #[inline]
    pub fn output_limit<'a>(&self, limits: &'a OutputLimits) -> &'a OutputLimit {
        if self.is_subscriber() {
            &limits.pubsub
        } else {
            &limits.normal
        }
    }

    /// Whether what it is owed exceeds the hard limit of its class of clients.
    #[inline]
    pub fn exceeds_hard_limit(&self, limit: &OutputLimit) -> bool {
        limit.hard_bytes > 0 && self.output.pending_bytes() as u64 > limit.hard_bytes
    }

    /// Whether what it is owed exceeded the soft limit when that was last looked at.
    #[inline]
    pub fn is_over_soft_limit(&self) -> bool {
        self.over_soft_limit_since_ms.is_some()
    }

    /// Whether what it is owed has exceeded the soft limit of its class of clients for too long, as of `now_ms` of the
    /// core's monotonic clock.
    pub fn exceeds_soft_limit(&mut self, limit: &OutputLimit, now_ms: u64) -> bool {
        if limit.soft_bytes == 0 || self.output.pending_bytes() as u64 <= limit.soft_bytes {
            self.over_soft_limit_since_ms = None;
            return false;
        }
        let since_ms = *self.over_soft_limit_since_ms.get_or_insert(now_ms);
        now_ms - since_ms >= limit.soft_seconds * 1000
    }
}
