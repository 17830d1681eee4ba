//! What all clients together may make the server hold, and what a core is to do when that is too much.

use crate::dispatch::limits::{ASK_AGAIN_MS, FREED_BYTES, GIVE_BACK_PERIOD_MS};

/// A core's part in bounding the memory of clients.
#[derive(Debug)]
pub(in crate::dispatch) struct ClientMemory {
    /// Most bytes that the clients of all cores may make the server hold.
    max_bytes: u64,
    /// They hold more, and a client is yet to be closed: by another core, or by this one in its next turn.
    are_short: bool,
    /// When another core was last asked to close one, in milliseconds of the monotonic clock.
    asked_ms: u64,
    /// Memory that clients have let go of is to be given back to the system.
    gives_back: bool,
    /// From when on it may be again, in milliseconds of the monotonic clock.
    gives_back_from_ms: u64,
    /// The least that was resident and counted by nobody while memory was short, since then.
    least_uncounted: u64,
}

impl Default for ClientMemory {
    fn default() -> Self {
        Self {
            max_bytes: u64::MAX,
            are_short: false,
            asked_ms: 0,
            gives_back: false,
            gives_back_from_ms: 0,
            least_uncounted: u64::MAX,
        }
    }
}

impl ClientMemory {
    /// All clients may hold this much from now on.
    pub(in crate::dispatch) fn set_max(&mut self, bytes: u64) {
        self.max_bytes = bytes;
    }

    /// Whether all clients, which hold so many bytes, hold too much.
    pub(in crate::dispatch) fn is_too_much(&self, bytes: u64) -> bool {
        bytes > self.max_bytes
    }

    /// Whether clients hold too much, and one is yet to be closed.
    #[inline]
    pub(in crate::dispatch) fn are_short(&self) -> bool {
        self.are_short
    }

    /// Looks anew: whether it was so when it was last looked at.
    pub(in crate::dispatch) fn look_anew(&mut self) -> bool {
        std::mem::take(&mut self.are_short)
    }

    /// This core is to close more of its clients in its next turn.
    pub(in crate::dispatch) fn put_off(&mut self) {
        self.are_short = true;
    }

    /// Another core is to close a client. Whether it is asked now; it is not asked again at once.
    pub(in crate::dispatch) fn is_to_ask(&mut self, were_short: bool, now_ms: u64) -> bool {
        self.are_short = true;
        let asks = !were_short || now_ms >= self.asked_ms + ASK_AGAIN_MS;
        if asks {
            self.asked_ms = now_ms;
        }
        asks
    }

    /// Whether other cores are asked now to look at what their clients are owed; they are not asked again at once.
    pub(in crate::dispatch) fn are_owed_asked(&mut self, now_ms: u64) -> bool {
        let asks = now_ms >= self.asked_ms + ASK_AGAIN_MS;
        if asks {
            self.asked_ms = now_ms;
        }
        asks
    }

    /// Clients were closed for what all hold, and have let go of so many bytes so far.
    pub(in crate::dispatch) fn note_closed(&mut self, freed_bytes: u64) {
        self.gives_back |= freed_bytes >= FREED_BYTES;
    }

    /// A period is over in which clients have let go of so many bytes so far.
    pub(in crate::dispatch) fn note_period(&mut self, freed_bytes: u64, now_ms: u64) {
        self.gives_back |= freed_bytes >= FREED_BYTES && now_ms >= self.gives_back_from_ms;
    }

    /// Memory is short, and so many bytes are resident that no core counts: if they have grown by more than `growth` since the allocator
    /// last gave back, it keeps some of them.
    pub(in crate::dispatch) fn note_short(&mut self, uncounted: u64, growth: u64, now_ms: u64) {
        self.least_uncounted = uncounted.min(self.least_uncounted);
        let has_grown = uncounted > self.least_uncounted + growth;
        self.gives_back |= has_grown && now_ms >= self.gives_back_from_ms;
    }

    /// Whether memory is to be given back to the system now. If so, not again before a period has passed.
    #[inline]
    pub(in crate::dispatch) fn take_giving_back(&mut self, now_ms: impl FnOnce() -> u64) -> bool {
        if !self.gives_back {
            return false;
        }
        self.gives_back = false;
        self.gives_back_from_ms = now_ms() + GIVE_BACK_PERIOD_MS;
        self.least_uncounted = u64::MAX;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_gives_back_when_what_nobody_counts_has_grown_since_it_last_did() {
        let mut memory = ClientMemory::default();
        let mut notes = |uncounted, now_ms| {
            memory.note_short(uncounted, 10, now_ms);
            memory.take_giving_back(|| now_ms)
        };
        assert!(!notes(100, 1) && !notes(110, 2) && !notes(80, 3));
        assert!(notes(91, 4));
        let next_ms = 4 + GIVE_BACK_PERIOD_MS;
        assert!(!notes(80, 5) && !notes(95, next_ms - 1));
        assert!(!notes(90, next_ms) && notes(91, next_ms));
    }
}
