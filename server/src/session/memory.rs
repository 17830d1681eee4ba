//! Bytes that a core's sessions hold: a sum that follows those that hold much as they change, and who holds most.
//!
//! A session that holds [`COUNTED_BYTES`] is *large*, and counted anew whenever it changes; the others, which are many and small, from time to
//! time. All are classed by the logarithm of their bytes, as Redis classes clients it may evict. Cost: a session that stays in its class is a few
//! additions; one that leaves it, a step down a tree of those of a class.

use std::collections::BTreeSet;

use super::{Closing, Session, SessionId, Sessions};

/// A session that holds so many bytes is counted as soon as it does.
pub const COUNTED_BYTES: usize = 16 * 1024;

/// What a session that held so many bytes lets go of is worth giving back to the system.
const FREED_FROM_BYTES: usize = 4 << 20;

/// With less than this idle in the buffers of all sessions, it is not looked for.
const IDLE_MIN_BYTES: u64 = 256 * 1024;

/// How much a session holds: the binary logarithm of its bytes, rounded up. Zero: it may not be closed for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeClass(pub u8);

impl SizeClass {
    /// Of those that may not be closed for what they hold.
    pub const NONE: Self = Self(0);
    /// Of all that hold less than 32 KiB.
    const SMALLEST: Self = Self(15);

    fn of(bytes: usize) -> Self {
        Self((usize::BITS - bytes.leading_zeros()) as u8).max(Self::SMALLEST)
    }
}

/// What the sum has of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    bytes: usize,
    idle_bytes: usize,
    /// Its class, if it may be closed for the memory it holds.
    class: SizeClass,
    /// It is counted anew whenever it changes.
    is_large: bool,
}

/// Bytes that the sessions of a core hold.
#[derive(Debug)]
pub struct SessionMemory {
    /// Of the sessions, each as last counted.
    session_bytes: u64,
    /// Of what is remembered for them all.
    shared_bytes: u64,
    /// Of the sessions, beside those: what their buffers can give back.
    idle_bytes: u64,
    /// Those of each class, the oldest first, and the classes of which there are any, a bit each.
    of_class: [BTreeSet<(u64, SessionId)>; usize::BITS as usize],
    classes: u64,
    /// Bytes that those of [`FREED_FROM_BYTES`] have let go of.
    freed_bytes: u64,
    /// It has changed, or is to be looked at for another reason.
    has_changed: bool,
}

impl Default for SessionMemory {
    fn default() -> Self {
        Self {
            session_bytes: 0,
            shared_bytes: 0,
            idle_bytes: 0,
            of_class: [const { BTreeSet::new() }; usize::BITS as usize],
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
        self.session_bytes + self.shared_bytes
    }

    /// Bytes beside those that the sessions' buffers can give back.
    #[inline]
    pub fn idle_bytes(&self) -> u64 {
        self.idle_bytes
    }

    /// The class of those that hold most, of all that may be closed for it.
    pub fn largest(&self) -> SizeClass {
        SizeClass((u64::BITS - self.classes.leading_zeros()).saturating_sub(1) as u8)
    }

    /// Those of a class, the oldest first.
    pub fn of_class(&self, class: SizeClass) -> impl Iterator<Item = SessionId> {
        let sessions = self.of_class[usize::from(class.0)].iter();
        sessions.map(|(_, id)| *id)
    }

    /// What is remembered for all sessions takes so much.
    pub fn set_shared(&mut self, bytes: u64) {
        self.has_changed |= self.shared_bytes != bytes;
        self.shared_bytes = bytes;
    }

    /// The session has changed: it is counted if it holds much.
    #[inline]
    pub fn count(&mut self, session: &mut Session) {
        if session.holds_much() {
            self.count_now(session);
            self.has_changed = true;
        }
    }

    /// Counts the session, however little it holds.
    pub fn count_now(&mut self, session: &mut Session) {
        session.kept.note_counted();
        // What is about to be closed holds nothing that another client is to be closed for.
        if session.closing == Closing::Now {
            return self.set(session, Counted::default());
        }
        let bytes = session.memory_bytes();
        let class = match session.no_evict {
            true => SizeClass::NONE,
            false => SizeClass::of(bytes),
        };
        let now = Counted {
            bytes,
            idle_bytes: session.output.idle_bytes(),
            class,
            is_large: session.buffers_much(),
        };
        self.set(session, now);
    }

    /// The session has ended.
    pub fn forget(&mut self, session: &mut Session) {
        self.set(session, Counted::default());
    }

    /// Whether it is to be looked at, since this was last asked.
    #[inline]
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// The same, which is asked again.
    #[inline]
    pub fn has_changed(&self) -> bool {
        self.has_changed
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

    fn set(&mut self, session: &mut Session, now: Counted) {
        let before = std::mem::replace(&mut session.counted, now);
        self.session_bytes = self.session_bytes - before.bytes as u64 + now.bytes as u64;
        self.idle_bytes = self.idle_bytes - before.idle_bytes as u64 + now.idle_bytes as u64;
        self.has_changed |= before != now;
        if before.bytes >= FREED_FROM_BYTES {
            self.freed_bytes += before.bytes.saturating_sub(now.bytes) as u64;
        }
        if before.class != now.class {
            let known = (session.client_id, session.id);
            self.leave(before.class, known);
            self.join(now.class, known);
        }
    }

    fn join(&mut self, class: SizeClass, known: (u64, SessionId)) {
        if class != SizeClass::NONE {
            self.of_class[usize::from(class.0)].insert(known);
            self.classes |= 1 << class.0;
        }
    }

    fn leave(&mut self, class: SizeClass, known: (u64, SessionId)) {
        if class != SizeClass::NONE {
            let sessions = &mut self.of_class[usize::from(class.0)];
            sessions.remove(&known);
            if sessions.is_empty() {
                self.classes &= !(1 << class.0);
            }
        }
    }
}

impl Sessions {
    /// Counts all sessions that are in their places, for which `shared_bytes` are remembered beside.
    pub fn count_all(&mut self, shared_bytes: u64) {
        let (sessions, memory) = self.iter_mut_beside_memory();
        sessions.for_each(|session| memory.count_now(session));
        memory.set_shared(shared_bytes);
    }

    /// Gives back what is idle in the buffers of the sessions that are in their places, if it is worth looking for.
    pub fn give_back_idle(&mut self) {
        if self.memory().idle_bytes() < IDLE_MIN_BYTES {
            return;
        }
        let (sessions, memory) = self.iter_mut_beside_memory();
        for session in sessions.filter(|session| session.counted.idle_bytes > 0) {
            session.output.give_back_idle();
            memory.count_now(session);
        }
    }
}

impl Session {
    /// Whether it is large, or may be, or has large answers that other cores are to be told of. (Of those, a small reply
    /// may have been made.)
    #[inline]
    pub fn holds_much(&self) -> bool {
        let buffered = self.output.written_bytes() + self.unread.len();
        self.is_large()
            || self.multi.is_some()
            || !self.large_answers.is_empty()
            || buffered + self.kept.uncounted_bytes() >= COUNTED_BYTES
    }

    /// Whether it was found to be large, and is counted whenever it changes.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.counted.is_large
    }

    /// Whether it is large. What is kept for it while its client likes does not make it so: that changes seldom.
    fn buffers_much(&self) -> bool {
        let queued = self.queued_memory_bytes();
        self.output.pending_bytes() + self.unread_bytes() + queued >= COUNTED_BYTES
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
    fn what_a_buffer_of_the_pool_has_beyond_its_replies_is_idle_and_can_be_given_back() {
        let mut sessions = Sessions::default();
        let id = sessions.insert(|id| Session::new(1, id, Peer::default(), 0));
        let session = sessions.get_mut(id).unwrap();
        session.output.give_buffer(Vec::with_capacity(1 << 20));
        owe(&mut sessions, id, 100_000);
        let owes = sessions.memory().bytes();
        assert!((200_000..202_000).contains(&owes), "{owes}");
        assert_eq!(sessions.memory().idle_bytes(), (1 << 20) - 200_000);
        sessions.give_back_idle();
        assert_eq!(sessions.memory().idle_bytes(), 0);
        assert_eq!(sessions.memory().bytes(), owes);
        assert_eq!(sessions.get(id).unwrap().output.pending_bytes(), 100_000);
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
        sessions.count_all(1000);
        let small = sessions.memory().bytes();
        let others: usize = ids
            .iter()
            .map(|id| sessions.get(*id).unwrap().memory_bytes())
            .sum();
        assert_eq!(small, 1000 + others as u64);
        assert_eq!(sessions.memory().largest(), SizeClass::SMALLEST);
        let smallest: Vec<SessionId> = sessions.memory().of_class(SizeClass::SMALLEST).collect();
        assert_eq!(smallest, ids);
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
        assert_eq!(sessions.memory().largest(), SizeClass::SMALLEST);
        sessions.remove(ids[2]);
        sessions.remove(ids[0]);
        assert_eq!(sessions.memory().bytes(), 1000);
        assert_eq!(sessions.memory().largest(), SizeClass::NONE);
    }
}
