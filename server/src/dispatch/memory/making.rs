//! What a core does in a turn to make room, and since when what needs room has waited for it.

use crate::dispatch::limits::{IN_VAIN_MS, ROOM_PATIENCE_MS, ROOM_STEPS_PER_TURN};

/// What making room has cost in this turn, and since when somebody waits for it.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Making {
    /// Steps of this turn.
    spent: u32,
    /// Some memory was given back in this turn.
    gets_on: bool,
    /// Others were asked in this turn.
    have_been_asked: bool,
    /// Bytes of replies that sessions got in this turn while memory was short.
    owed: usize,
    /// When somebody was first to wait and when last, since anybody found room, in milliseconds of the monotonic clock.
    waits_ms: Option<(u64, u64)>,
    /// Since when far too much is held though entries go, in milliseconds of the monotonic clock.
    far_beyond_ms: Option<u64>,
}

impl Making {
    /// A turn begins.
    #[inline]
    pub(in crate::dispatch) fn begin_turn(&mut self) {
        (self.spent, self.gets_on, self.have_been_asked) = (0, false, false);
        self.owed = 0;
    }

    /// Steps that may be done yet in this turn.
    pub(in crate::dispatch) fn steps_left(&self) -> u32 {
        ROOM_STEPS_PER_TURN.saturating_sub(self.spent)
    }

    /// So many steps have been done of those `left` to somebody. How many are left to him.
    pub(in crate::dispatch) fn spend(&mut self, left: u32, steps: u32) -> u32 {
        self.spent = self.spent.saturating_add(steps);
        left.saturating_sub(steps)
    }

    /// Whether what was done has given some memory back.
    pub(in crate::dispatch) fn note(&mut self, has_less: bool) {
        self.gets_on |= has_less;
    }

    /// Whether some memory was given back in this turn.
    pub(in crate::dispatch) fn gets_on(&self) -> bool {
        self.gets_on
    }

    /// Whether others are to be asked now: they are once in a turn.
    pub(in crate::dispatch) fn is_to_ask(&mut self) -> bool {
        !std::mem::replace(&mut self.have_been_asked, true)
    }

    /// A session is owed so much while memory is short, and was owed so much before it ran.
    #[cold]
    pub(in crate::dispatch) fn note_owed(&mut self, now: usize, before: usize) {
        self.owed = self.owed.saturating_add(now.saturating_sub(before));
    }

    /// Bytes of replies that sessions got in this turn while memory was short.
    pub(in crate::dispatch) fn owed(&self) -> usize {
        self.owed
    }

    /// Whether far too much is held, as it is now or not, and has been for so long that evicting alone does not mend it.
    pub(in crate::dispatch) fn is_in_vain(&mut self, is_far_beyond: bool, now_ms: u64) -> bool {
        self.far_beyond_ms = match is_far_beyond {
            true => self.far_beyond_ms.or(Some(now_ms)),
            false => None,
        };
        self.far_beyond_ms
            .is_some_and(|since_ms| now_ms >= since_ms + IN_VAIN_MS)
    }

    /// All hold no more than there is: nobody waits, and what was held far too much is not any more.
    pub(in crate::dispatch) fn note_mended(&mut self) {
        (self.waits_ms, self.far_beyond_ms) = (None, None);
    }

    /// Somebody has found room.
    pub(in crate::dispatch) fn note_found(&mut self) {
        self.waits_ms = None;
    }

    /// Somebody is to wait for room. Whether he may: there has been none for some time otherwise.
    pub(in crate::dispatch) fn may_wait(&mut self, now_ms: u64) -> bool {
        let recent = self
            .waits_ms
            .filter(|(_, last_ms)| now_ms <= last_ms + ROOM_PATIENCE_MS);
        let since_ms = recent.map_or(now_ms, |(since_ms, _)| since_ms);
        self.waits_ms = Some((since_ms, now_ms));
        now_ms < since_ms + ROOM_PATIENCE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_so_many_steps_and_who_waits_in_vain_does_so_for_some_time() {
        let mut making = Making::default();
        assert_eq!(making.spend(10, ROOM_STEPS_PER_TURN - 1), 0);
        making.note(true);
        assert_eq!((making.steps_left(), making.gets_on()), (1, true));
        assert_eq!(making.spend(10, 5), 5);
        making.note(false);
        assert_eq!((making.steps_left(), making.gets_on()), (0, true));
        making.begin_turn();
        assert_eq!(
            (making.steps_left(), making.gets_on()),
            (ROOM_STEPS_PER_TURN, false)
        );
        assert!(making.is_to_ask() && !making.is_to_ask());
        assert!(!making.is_in_vain(true, 7) && !making.is_in_vain(true, 6 + IN_VAIN_MS));
        assert!(making.is_in_vain(true, 7 + IN_VAIN_MS));
        assert!(!making.is_in_vain(false, 8 + IN_VAIN_MS));
        assert!(!making.is_in_vain(true, 9 + IN_VAIN_MS));
        // What was far beyond before all was mended is not since then.
        making.note_mended();
        assert!(!making.is_in_vain(true, 10 + 2 * IN_VAIN_MS));
        making.note_owed(100, 40);
        making.note_owed(30, 40);
        assert_eq!(making.owed(), 60);
        making.begin_turn();
        assert_eq!(making.owed(), 0);
        assert!(making.may_wait(5) && making.may_wait(5 + ROOM_PATIENCE_MS - 1));
        assert!(!making.may_wait(5 + ROOM_PATIENCE_MS));
        making.note_found();
        assert!(making.may_wait(5 + ROOM_PATIENCE_MS));
        // What was long ago is no matter.
        assert!(making.may_wait(5 + 3 * ROOM_PATIENCE_MS));
    }
}
