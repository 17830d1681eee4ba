//! Identities, first in, first out.
//!
//! ```text
//!  tail ─▶ chunk ─▶ chunk ─▶ … ─▶ chunk ◀─ head
//!          | first, grain | identity … | size … |     512 slots at most; sizes, 2 bytes each, only where the queue counts bytes
//! ```
//! A slot's *stamp* is its number in the queue, of which the entry's history keeps the low bits. A slot whose entry has gone, or says
//! another stamp since it was made anew, is stale: it is passed over when it comes up. So nothing need be told of a removal, and an
//! entry that goes and comes back has one slot that counts. Where a queue is longer than half of what stamps can tell apart, a stamp
//! stands for some slots in a row (the chunk's *grain*).
//!
//! Of many stale slots [`Queue::tend`] rids a queue chunk by chunk, in order. Nothing is copied but within a chunk, so the longest step
//! is that of one chunk.

use std::collections::VecDeque;

use super::{Candidate, Entries, Identity};
use crate::AccessClock;

/// Slots of a chunk: with a look-up for each it takes about 50 microseconds to tend.
const CHUNK_SLOTS: usize = 512;

/// Stale slots that a queue may have however few entries there are.
const STALE_ANYHOW_SLOTS: u64 = 4096;

/// A length in two bytes, exact below 2048 and rounded down by less than a thousandth beyond: five bits of exponent, eleven of mantissa.
#[derive(Clone, Copy, Debug)]
struct SizeCode(u16);

impl SizeCode {
    const MANTISSA_BITS: u32 = 11;

    fn of(bytes: u64) -> Self {
        let bytes = bytes.min((1 << 42) - 1);
        let exponent = (u64::BITS - bytes.leading_zeros()).saturating_sub(Self::MANTISSA_BITS);
        Self((exponent << Self::MANTISSA_BITS) as u16 | (bytes >> exponent) as u16)
    }

    fn bytes(self) -> u64 {
        let mantissa = u64::from(self.0) & ((1 << Self::MANTISSA_BITS) - 1);
        mantissa << (self.0 >> Self::MANTISSA_BITS)
    }
}

/// How an entry's history says where in which queue it stands: the stamp in the lowest bits, and above them, or not, a mark of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) stamp_bits: u32,
    /// The bits in which queues differ.
    pub(crate) mark_mask: u32,
    /// What they are for this one.
    pub(crate) mark: u32,
}

impl Place {
    pub(crate) const fn stamp_mask(self) -> u32 {
        (1 << self.stamp_bits) - 1
    }

    /// The history of an entry that comes to stand at `stamp`, the rest of it as it was.
    pub(crate) fn set(self, history: AccessClock, stamp: u32) -> AccessClock {
        AccessClock(history.0 & !(self.stamp_mask() | self.mark_mask) | self.mark | stamp)
    }

    fn says(self, history: AccessClock, stamp: u32) -> bool {
        history.0 & (self.stamp_mask() | self.mark_mask) == self.mark | stamp
    }
}

struct Chunk {
    /// Number of its first slot.
    first: u64,
    grain: u32,
    identities: Vec<u32>,
    sizes: Vec<SizeCode>,
}

impl Chunk {
    fn stamp(&self, index: usize) -> u64 {
        (self.first + index as u64) >> self.grain
    }

    fn held_bytes(&self) -> usize {
        size_of::<Self>() + 4 * self.identities.capacity() + 2 * self.sizes.capacity()
    }
}

/// Whether a queue knows how many bytes its slots stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Slots,
    Bytes,
}

/// A slot taken from the tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) identity: Identity,
    pub(crate) stamp: u32,
}

pub(crate) struct Queue {
    chunks: VecDeque<Box<Chunk>>,
    /// Slots of the first chunk that have been taken.
    taken: usize,
    /// Number of the slot that is added next.
    next: u64,
    grain: u32,
    place: Place,
    counts: Counts,
    len: u64,
    bytes: u64,
    held_bytes: usize,
    /// The chunk that is tended next.
    hand: usize,
}

impl Queue {
    pub(crate) fn new(counts: Counts, place: Place) -> Self {
        Self {
            chunks: VecDeque::new(),
            taken: 0,
            next: 0,
            grain: 0,
            place,
            counts,
            len: 0,
            bytes: 0,
            held_bytes: 0,
            hand: 0,
        }
    }

    /// Slots, stale ones included.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that its slots stand for, if it counts them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        (self.held_bytes + self.chunks.capacity() * size_of::<Box<Chunk>>()) as u64
    }

    /// The stamp that the next slot gets.
    #[inline(always)]
    pub(crate) fn next_stamp(&self) -> u32 {
        (self.next >> self.grain) as u32 & self.place.stamp_mask()
    }

    /// How many stamps so many of the newest slots have.
    pub(crate) fn stamps_of(&self, slots: u64) -> u32 {
        (slots >> self.grain) as u32
    }

    /// Adds an entry at the head; the stamp for its history.
    pub(crate) fn push(&mut self, identity: Identity, bytes: u64) -> u32 {
        let last = self.chunks.back();
        if last.is_none_or(|chunk| chunk.identities.len() == CHUNK_SLOTS) {
            self.begin_chunk();
        }
        let stamp = self.next_stamp();
        let chunk = self.chunks.back_mut().expect("one has been begun");
        let before = chunk.held_bytes();
        chunk.identities.push(identity.0);
        if self.counts == Counts::Bytes {
            let size = SizeCode::of(bytes);
            chunk.sizes.push(size);
            self.bytes += size.bytes();
        }
        self.held_bytes += chunk.held_bytes() - before;
        self.next += 1;
        self.len += 1;
        stamp
    }

    /// Slots of a chunk are numbered without a gap, chunks need not follow each other so: a chunk that has been tended is shorter.
    fn begin_chunk(&mut self) {
        // Half of the stamps tell how old the slots of the queue are, so that what is older is seen to be.
        let grain = (self.len >> (self.place.stamp_bits - 1)).checked_ilog2();
        let grain = grain.map_or(0, |grain| grain + 1);
        self.grain = grain;
        // A chunk begins with a stamp of its own.
        self.next = self.next.next_multiple_of(1 << grain);
        let chunk = Box::new(Chunk {
            first: self.next,
            grain,
            identities: Vec::new(),
            sizes: Vec::new(),
        });
        self.held_bytes += chunk.held_bytes();
        self.chunks.push_back(chunk);
    }

    /// Takes the slot at the tail.
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        while self.chunks.front()?.identities.len() == self.taken {
            self.drop_front();
        }
        let chunk = self.chunks.front()?;
        let slot = Slot {
            identity: Identity(chunk.identities[self.taken]),
            stamp: chunk.stamp(self.taken) as u32 & self.place.stamp_mask(),
        };
        if let Some(size) = chunk.sizes.get(self.taken) {
            self.bytes -= size.bytes();
        }
        self.taken += 1;
        self.len -= 1;
        if chunk.identities.len() == self.taken {
            self.drop_front();
        }
        Some(slot)
    }

    /// The identity in the slot so far behind the tail, unless that is further than in the next chunk.
    #[inline]
    pub(crate) fn behind_tail(&self, slots: usize) -> Option<Identity> {
        let first = self.chunks.front()?;
        let at = self.taken + slots;
        let identity = first.identities.get(at).or_else(|| {
            let next = self.chunks.get(1)?;
            next.identities.get(at - first.identities.len())
        });
        identity.map(|&identity| Identity(identity))
    }

    fn drop_front(&mut self) {
        let chunk = self.chunks.pop_front();
        self.held_bytes -= chunk.map_or(0, |chunk| chunk.held_bytes());
        self.taken = 0;
        self.hand = self.hand.saturating_sub(1);
    }

    /// The entry that a slot of this queue stands for; `None` if it is stale.
    pub(crate) fn entry(&self, slot: Slot, entries: &impl Entries) -> Option<Candidate> {
        let found = entries.find(slot.identity)?;
        self.place.says(found.history, slot.stamp).then_some(found)
    }

    /// The history of an entry that has been added at `stamp`.
    pub(crate) fn history(&self, before: AccessClock, stamp: u32) -> AccessClock {
        self.place.set(before, stamp)
    }

    /// Whether an entry with this history may have a slot here.
    pub(crate) fn may_hold(&self, history: AccessClock) -> bool {
        let Some(first) = self.chunks.front() else {
            return false;
        };
        let mask = self.place.stamp_mask();
        let newest = self.next_stamp().wrapping_sub(1);
        let span = newest.wrapping_sub(first.stamp(self.taken) as u32) & mask;
        let age = newest.wrapping_sub(history.0) & mask;
        history.0 & self.place.mark_mask == self.place.mark && age <= span
    }

    /// How many stamps have come since an entry with this history came, if it stands here.
    pub(crate) fn age(&self, history: AccessClock) -> i64 {
        (self.next_stamp().wrapping_sub(history.0) & self.place.stamp_mask()).into()
    }

    /// Rids a chunk of its stale slots, if so many slots must be stale that it is worth while.
    pub(crate) fn tend(&mut self, entries: &mut impl Entries) {
        if self.len <= 2 * entries.len() + STALE_ANYHOW_SLOTS {
            return;
        }
        // The first is being taken, the last added to.
        if self.hand == 0 || self.hand + 1 >= self.chunks.len() {
            self.hand = 1;
        }
        if self.hand + 1 >= self.chunks.len() {
            return;
        }
        let place = self.place;
        let chunk = &mut self.chunks[self.hand];
        let before = (chunk.identities.len(), chunk.held_bytes());
        let mut kept = 0;
        for index in 0..chunk.identities.len() {
            let identity = Identity(chunk.identities[index]);
            let stamp = |index| chunk.stamp(index) as u32 & place.stamp_mask();
            let (was, becomes) = (stamp(index), stamp(kept));
            let found = entries.find(identity);
            let Some(found) = found.filter(|found| place.says(found.history, was)) else {
                self.bytes -= chunk.sizes.get(index).map_or(0, |size| size.bytes());
                continue;
            };
            if was != becomes {
                entries.set_history(identity, place.set(found.history, becomes));
            }
            chunk.identities[kept] = identity.0;
            if let Some(&size) = chunk.sizes.get(index) {
                chunk.sizes[kept] = size;
            }
            kept += 1;
        }
        chunk.identities.truncate(kept);
        chunk.sizes.truncate(kept);
        chunk.identities.shrink_to_fit();
        chunk.sizes.shrink_to_fit();
        self.len -= (before.0 - kept) as u64;
        self.held_bytes -= before.1 - chunk.held_bytes();
        self.join_with_next(entries);
    }

    /// Goes on to the next chunk, which takes in the one tended before it if that leaves room for it.
    fn join_with_next(&mut self, entries: &mut impl Entries) {
        let hand = self.hand;
        let slots = |at: usize| self.chunks[at].identities.len();
        let joins = hand > 1
            && self.chunks[hand - 1].grain == self.chunks[hand].grain
            && slots(hand - 1) + slots(hand) <= CHUNK_SLOTS;
        if !joins {
            self.hand += 1;
            return;
        }
        // As many chunks move up in their list as there are before the hand: eight bytes each.
        let chunk = self.chunks.remove(hand).expect("the hand is at a chunk");
        let into = &mut self.chunks[hand - 1];
        self.held_bytes -= chunk.held_bytes();
        let before = into.held_bytes();
        for index in 0..chunk.identities.len() {
            let mask = self.place.stamp_mask();
            let was = chunk.stamp(index) as u32 & mask;
            let becomes = into.stamp(into.identities.len()) as u32 & mask;
            let identity = Identity(chunk.identities[index]);
            into.identities.push(identity.0);
            into.sizes.extend(chunk.sizes.get(index));
            let found = entries.find(identity);
            if let Some(found) = found.filter(|found| self.place.says(found.history, was)) {
                entries.set_history(identity, self.place.set(found.history, becomes));
            }
        }
        self.held_bytes += into.held_bytes() - before;
    }
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::super::table::Table;
    use super::*;

    #[test]
    fn a_length_is_kept_to_a_thousandth() {
        for bytes in [0, 1, 2047, 2048, 4097, 70_000, 1 << 33, (1 << 42) - 1] {
            let kept = SizeCode::of(bytes).bytes();
            assert!(
                kept <= bytes && bytes - kept <= bytes / 1024,
                "{bytes} {kept}"
            );
        }
    }

    /// Entries come and go and come again; the queue is asked for one in ten, and tended.
    fn churn(stamp_bits: u32, entries_max: usize) -> (Queue, Table, Vec<u32>) {
        let place = Place {
            stamp_bits,
            mark_mask: 1 << 23,
            mark: 1 << 23,
        };
        let (mut queue, mut entries) = (Queue::new(Counts::Bytes, place), Table::new());
        let (mut model, mut rng) = (Vec::new(), Rng::new(stamp_bits.into()));
        for _ in 0..20_000 {
            let random = rng.next();
            let key = (random >> 40) as u32 % (2 * entries_max as u32);
            let identity = Identity(key);
            if entries.remove(identity) {
                model.retain(|&other| other != key);
            } else {
                let stamp = queue.push(identity, random % 5000);
                let history = queue.history(AccessClock(0), stamp);
                entries.insert(identity, 1, history);
                model.push(key);
            }
            if random % 10 == 0 && stamp_bits == 23 {
                let slot = queue.pop().expect("something has just been added");
                if queue.entry(slot, &entries).is_some() {
                    assert!(entries.remove(slot.identity));
                    assert_eq!(model.remove(0), slot.identity.0);
                }
            }
            queue.tend(&mut entries);
        }
        (queue, entries, model)
    }

    fn drain(mut queue: Queue, entries: &Table) -> Vec<u32> {
        let mut drained = Vec::new();
        while let Some(slot) = queue.pop() {
            drained.extend(queue.entry(slot, entries).map(|entry| entry.identity.0));
        }
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
        drained
    }

    #[test]
    fn entries_come_out_in_the_order_in_which_they_came_last() {
        let (queue, entries, model) = churn(23, 500);
        assert!(
            queue.len() < 2 * 1000 + STALE_ANYHOW_SLOTS + 1000,
            "{}",
            queue.len()
        );
        assert_eq!(drain(queue, &entries), model);
    }

    #[test]
    fn none_is_lost_where_stamps_are_scarce() {
        for stamp_bits in [6, 9, 12] {
            let (queue, entries, mut model) = churn(stamp_bits, 500);
            assert!(
                queue.len() < 2 * 1000 + STALE_ANYHOW_SLOTS + 1000,
                "{}",
                queue.len()
            );
            let mut drained = drain(queue, &entries);
            drained.sort_unstable();
            drained.dedup();
            model.sort_unstable();
            assert_eq!(drained, model, "{stamp_bits}");
        }
    }

    #[test]
    fn a_slot_takes_six_bytes() {
        let place = Place {
            stamp_bits: 20,
            mark_mask: 0,
            mark: 0,
        };
        let mut queue = Queue::new(Counts::Bytes, place);
        for key in 0..100_000 {
            queue.push(Identity(key), 100);
        }
        assert!(queue.held_bytes() < 650_000, "{}", queue.held_bytes());
        while queue.pop().is_some() {}
        assert!(queue.held_bytes() < 4000, "{}", queue.held_bytes());
    }
}
