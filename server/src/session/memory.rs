//! Bytes that a core's sessions hold: a sum that follows those that hold much as they change, and who holds most.
//!
//! A session is counted as soon as its buffers hold [`COUNTED_BYTES`]; the others, which are many and small, are added up
//! from time to time. Those counted are classed by the logarithm of their bytes, as Redis classes clients it may evict.

use super::{Closing, Session};

/// A session whose buffers hold so many bytes is counted as soon as they do.
pub const COUNTED_BYTES: usize = 16 * 1024;

/// What a session that held so many bytes lets go of is worth giving back to the system.
const FREED_FROM_BYTES: usize = 4 << 20;

/// How much a session holds: the binary logarithm of its bytes, rounded up. Zero: too little to be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeClass(pub u8);

impl SizeClass {
    /// Of none that is counted.
    pub const NONE: Self = Self(0);

    fn of(bytes: usize) -> Self {
        Self((usize::BITS - bytes.leading_zeros()) as u8)
    }
}

/// What the sum has of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    bytes: usize,
    /// Its class, if it may be closed for the memory it holds.
    class: SizeClass,
}

/// Bytes that the sessions of a core hold.
#[derive(Debug)]
pub struct SessionMemory {
    /// Of those counted.
    counted_bytes: u64,
    /// Of all others, and of what is remembered for them all, when last added up.
    other_bytes: u64,
    /// How many of those counted are of each class, and the classes of which there are any, a bit each.
    of_class: [u32; usize::BITS as usize],
    classes: u64,
    /// Bytes that those of [`FREED_FROM_BYTES`] have let go of.
    freed_bytes: u64,
    /// It has changed, or is to be looked at for another reason.
    has_changed: bool,
}

impl Default for SessionMemory {
    fn default() -> Self {
        Self {
            counted_bytes: 0,
            other_bytes: 0,
            of_class: [0; usize::BITS as usize],
            classes: 0,
            freed_bytes: 0,
            has_changed: false,
        }
    }
}

impl SessionMemory {
    /// Bytes of all.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.counted_bytes + self.other_bytes
    }

    /// The class of those that hold most, of all that may be closed for it.
    pub fn largest(&self) -> SizeClass {
        SizeClass((u64::BITS - self.classes.leading_zeros()).saturating_sub(1) as u8)
    }

    /// What those that are not counted were found to hold.
    pub fn set_others(&mut self, bytes: u64) {
        self.has_changed |= self.other_bytes != bytes;
        self.other_bytes = bytes;
    }

    /// The session has changed.
    #[inline]
    pub fn count(&mut self, session: &mut Session) {
        if session.holds_much() {
            self.recount(session);
        }
    }

    #[cold]
    fn recount(&mut self, session: &mut Session) {
        let before = session.counted.bytes;
        self.uncount(session);
        // What is about to be closed holds nothing that another client is to be closed for.
        if session.closing == Closing::Now || !session.has_much_to_count() {
            return;
        }
        let bytes = session.memory_bytes();
        let class = match session.no_evict {
            true => SizeClass::NONE,
            false => SizeClass::of(bytes),
        };
        session.counted = Counted { bytes, class };
        if before >= FREED_FROM_BYTES {
            self.freed_bytes -= bytes.min(before) as u64;
        }
        self.counted_bytes += bytes as u64;
        self.has_changed = true;
        if class != SizeClass::NONE {
            self.of_class[usize::from(class.0)] += 1;
            self.classes |= 1 << class.0;
        }
    }

    /// The session has ended.
    #[inline]
    pub fn forget(&mut self, session: &mut Session) {
        if session.is_counted() {
            self.uncount(session);
        }
    }

    /// Whether it is to be looked at, since this was last asked.
    #[inline]
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// It is to be looked at, though it may be as it was.
    pub fn note_change(&mut self) {
        self.has_changed = true;
    }

    /// Bytes that sessions which held very much have let go of since [`Self::forget_freed`].
    #[inline]
    pub fn freed_bytes(&self) -> u64 {
        self.freed_bytes
    }

    /// They have been given back to the system.
    pub fn forget_freed(&mut self) {
        self.freed_bytes = 0;
    }

    #[cold]
    fn uncount(&mut self, session: &mut Session) {
        let Counted { bytes, class } = std::mem::take(&mut session.counted);
        self.counted_bytes -= bytes as u64;
        self.has_changed = true;
        if bytes >= FREED_FROM_BYTES {
            self.freed_bytes += bytes as u64;
        }
        if class != SizeClass::NONE {
            let count = &mut self.of_class[usize::from(class.0)];
            *count -= 1;
            if *count == 0 {
                self.classes &= !(1 << class.0);
            }
        }
    }
}

impl Session {
    /// Whether it is counted, or is to be, or has large answers that other cores are to be told of. (Of those, a small reply
    /// may have been made.)
    #[inline]
    pub fn holds_much(&self) -> bool {
        self.is_counted()
            || self.multi.is_some()
            || !self.large_answers.is_empty()
            || self.output.written_bytes() + self.unread.len() >= COUNTED_BYTES
    }

    /// Whether it is counted.
    #[inline]
    pub fn is_counted(&self) -> bool {
        self.counted.bytes > 0
    }

    fn has_much_to_count(&self) -> bool {
        let queued = self.queued_memory_bytes();
        self.output.pending_bytes() + self.unread_bytes() + queued >= COUNTED_BYTES
    }

    /// Bytes that it holds and that are not counted.
    pub fn uncounted_bytes(&self) -> usize {
        match self.counted.bytes {
            0 => self.memory_bytes(),
            _ => 0,
        }
    }

    /// Its class, if it may be closed for the memory it holds.
    pub fn size_class(&self) -> SizeClass {
        self.counted.class
    }

    /// Lets go of all that its client was to get, and of what it asked for: the connection is about to be closed.
    pub fn discard_buffers(&mut self) {
        self.output.discard();
        self.unread = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Peer, SessionId, Sessions};

    fn owe(sessions: &mut Sessions, id: SessionId, bytes: usize) {
        let mut session = sessions.take_out(id).unwrap();
        session
            .output
            .append(|out| out.resize(out.len() + bytes, 0));
        sessions.put_back(session);
        sessions.count(id);
    }

    #[test]
    fn the_sum_follows_sessions_that_hold_much_and_the_largest_class_is_known() {
        let mut sessions = Sessions::default();
        let ids: Vec<SessionId> = (0..3)
            .map(|number| sessions.insert(|id| Session::new(number, id, Peer::default(), 0)))
            .collect();
        owe(&mut sessions, ids[0], 100);
        assert_eq!(sessions.memory().bytes(), 0);
        assert_eq!(sessions.memory().largest(), SizeClass::NONE);
        owe(&mut sessions, ids[1], 300_000);
        owe(&mut sessions, ids[2], 3_000_000);
        let bytes = sessions.memory().bytes();
        assert!((3_300_000..3_700_000).contains(&bytes), "{bytes}");
        assert_eq!(sessions.memory().largest(), SizeClass(22));

        let mut spared = sessions.take_out(ids[2]).unwrap();
        spared.no_evict = true;
        sessions.put_back(spared);
        sessions.count(ids[2]);
        assert_eq!(sessions.memory().largest(), SizeClass(19));
        sessions.remove(ids[1]);
        assert_eq!(sessions.memory().largest(), SizeClass::NONE);
        sessions.remove(ids[2]);
        assert_eq!(sessions.memory().bytes(), 0);
    }
}
