//! When a session may not go on: because it waits, or because its client does not take what it is owed.

use super::{Closing, Session};
use crate::config::{OutputLimit, OutputLimits};

/// A session with more bytes than this to send runs no further command until its client has read some. It bounds what a
/// client that does not read makes the server hold to this and one reply, where `client-output-buffer-limit` is off.
pub const OUTPUT_HIGH_WATER_BYTES: usize = 16 << 20;

/// Replies from other cores a session may be owed; beyond, it runs no further command until some have come. They are
/// counted; the large ones are weighed too ([`super::LARGE_ANSWERS_MAX_BYTES`]).
pub(super) const OUTSTANDING_REPLIES_MAX: usize = 1024;

/// Keys that clients have read and that a core forgets in one turn because there are too many, beside twice as many as it
/// has come to remember in that turn.
pub const READERS_FORGOTTEN_MAX: u64 = 256;

/// Buffers of a session of so many bytes are counted towards `maxmemory` at once, smaller ones every period.
pub(super) const LARGE_BUFFER_BYTES: usize = 16 * 1024;

/// A session that has sent other cores so many bytes of requests since it was last owed nothing sends no more until it is
/// owed nothing again: that bounds what of its requests can wait there.
const SENT_MAX_BYTES: usize = 4 << 20;

impl Session {
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
        self.blocked.is_some()
            || self.at_barrier
            || self.paused
            || self.awaits_room
            || self.awaits_lock.is_some()
            || self.closing != Closing::No
            || self.is_held_back()
    }

    /// Whether it is owed so much that it may run no command now.
    #[inline]
    pub fn is_held_back(&self) -> bool {
        self.output.pending_bytes() > OUTPUT_HIGH_WATER_BYTES
            || self.output.outstanding() > OUTSTANDING_REPLIES_MAX
            || self.large_answers.are_too_many()
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
