//! The entries that may go, by their identities: a set from which some are drawn at random.
//!
//! ```text
//!  firsts | 3 | 90 | 210 | …          the first of each chunk
//!  chunks | 3 7 … | 90 … | 210 … |    512 identities at most, in their order
//! ```
//! An insertion divides one chunk at most, and a removal joins two; nothing is ever copied but a chunk, and the lists of chunks. An entry
//! costs some five bytes.

use crate::evict::Identity;
use crate::evict::Rng;

/// Identities of a chunk at most.
const CHUNK_MAX: usize = 512;
/// By so many a chunk grows.
const GRAIN: usize = 64;
/// A chunk with fewer is joined to the next, if both are no more than half of one.
const FEW: usize = 96;
/// Chunks given back in one step.
const DROPPED_AT_ONCE: usize = 64;
/// Draws for a place in a chunk before any place is as good: a chunk is a quarter full at least, mostly.
const DRAWS_MAX: u32 = 16;

/// A set of identities.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    firsts: Vec<u32>,
    chunks: Vec<Vec<u32>>,
    len: u64,
    /// Identities that all chunks have room for.
    room: usize,
}

impl Roster {
    /// None.
    pub(crate) const EMPTY: Self = Self {
        firsts: Vec::new(),
        chunks: Vec::new(),
        len: 0,
        room: 0,
    };

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that it holds, but for itself.
    pub(crate) fn held_bytes(&self) -> u64 {
        let lists = self.firsts.capacity() * size_of::<u32>()
            + self.chunks.capacity() * size_of::<Vec<u32>>();
        (lists + self.room * size_of::<u32>()) as u64
    }

    /// The chunk that an identity is in, or would be, if there is any chunk.
    fn chunk_of(&self, identity: u32) -> usize {
        let behind = self.firsts.partition_point(|&first| first <= identity);
        behind.saturating_sub(1)
    }

    /// Adds an identity, unless it is there.
    pub(crate) fn insert(&mut self, Identity(identity): Identity) {
        if self.chunks.is_empty() {
            self.firsts.push(identity);
            self.chunks.push(Vec::new());
        }
        let mut at = self.chunk_of(identity);
        let Err(mut place) = self.chunks[at].binary_search(&identity) else {
            return;
        };
        if self.chunks[at].len() == CHUNK_MAX {
            self.divide(at);
            let len = self.chunks[at].len();
            if place > len {
                (at, place) = (at + 1, place - len);
            }
        }
        let chunk = &mut self.chunks[at];
        if chunk.len() == chunk.capacity() {
            let room = chunk.capacity();
            chunk.reserve_exact(GRAIN);
            self.room += chunk.capacity() - room;
        }
        chunk.insert(place, identity);
        self.firsts[at] = chunk[0];
        self.len += 1;
    }

    /// Moves the upper half of a chunk to a new one behind it.
    fn divide(&mut self, at: usize) {
        let chunk = &mut self.chunks[at];
        let room = chunk.capacity();
        let mut upper = Vec::with_capacity(CHUNK_MAX / 2 + GRAIN);
        upper.extend_from_slice(&chunk[CHUNK_MAX / 2..]);
        chunk.truncate(CHUNK_MAX / 2);
        chunk.shrink_to(CHUNK_MAX / 2 + GRAIN);
        self.room = self.room - room + chunk.capacity() + upper.capacity();
        self.firsts.insert(at + 1, upper[0]);
        self.chunks.insert(at + 1, upper);
    }

    /// Removes an identity, if it is there.
    pub(crate) fn remove(&mut self, Identity(identity): Identity) {
        if self.chunks.is_empty() {
            return;
        }
        let at = self.chunk_of(identity);
        let Ok(place) = self.chunks[at].binary_search(&identity) else {
            return;
        };
        self.chunks[at].remove(place);
        self.len -= 1;
        match self.chunks[at].len() {
            0 => self.drop_chunk(at),
            len => {
                self.firsts[at] = self.chunks[at][0];
                if len < FEW {
                    self.join(at);
                }
            }
        }
    }

    fn drop_chunk(&mut self, at: usize) {
        self.firsts.remove(at);
        self.room -= self.chunks.remove(at).capacity();
    }

    /// Joins a chunk to the next, or the one before to it, if they are few.
    fn join(&mut self, at: usize) {
        let is_last = at + 1 == self.chunks.len();
        let at = if is_last { at.saturating_sub(1) } else { at };
        let Some(next) = self.chunks.get(at + 1) else {
            return;
        };
        if self.chunks[at].len() + next.len() > CHUNK_MAX / 2 {
            return;
        }
        let next = std::mem::take(&mut self.chunks[at + 1]);
        self.room -= next.capacity();
        let chunk = &mut self.chunks[at];
        let room = chunk.capacity();
        chunk.reserve_exact(next.len());
        chunk.extend_from_slice(&next);
        self.room += chunk.capacity() - room;
        self.firsts.remove(at + 1);
        self.chunks.remove(at + 1);
    }

    /// Shows up to `wanted` identities that stand beside each other, where `rng` draws one close to uniformly.
    pub(crate) fn draw(&self, rng: &mut Rng, wanted: usize, mut show: impl FnMut(Identity)) {
        if self.chunks.is_empty() {
            return;
        }
        let (mut chunk, mut place) = (&self.chunks[0], 0);
        for _ in 0..DRAWS_MAX {
            let random = rng.next();
            chunk = &self.chunks[(random >> 32) as usize % self.chunks.len()];
            place = random as usize % CHUNK_MAX;
            if place < chunk.len() {
                break;
            }
        }
        let place = place % chunk.len();
        let (before, from) = chunk.split_at(place);
        let drawn = from.iter().chain(before).take(wanted);
        drawn.for_each(|&identity| show(Identity(identity)));
    }

    /// Gives some of it back; whether any is left.
    pub(crate) fn drop_some(&mut self) -> bool {
        let left = self.chunks.len().saturating_sub(DROPPED_AT_ONCE);
        let dropped = self.chunks.drain(left..);
        self.room -= dropped.map(|chunk| chunk.capacity()).sum::<usize>();
        self.firsts.truncate(left);
        left > 0
    }

    /// Verifies the order, and the sums.
    pub(crate) fn check(&self) {
        assert_eq!(self.firsts.len(), self.chunks.len());
        let all: Vec<u32> = self.chunks.iter().flatten().copied().collect();
        assert!(all.is_sorted_by(|one, next| one < next));
        assert_eq!(all.len() as u64, self.len);
        for (first, chunk) in self.firsts.iter().zip(&self.chunks) {
            assert_eq!(Some(first), chunk.first());
            assert!(chunk.len() <= CHUNK_MAX);
        }
        let room = self.chunks.iter().map(Vec::capacity).sum::<usize>();
        assert_eq!(room, self.room);
    }

    /// Whether an identity is there.
    pub(crate) fn contains(&self, Identity(identity): Identity) -> bool {
        let chunk = self.chunks.get(self.chunk_of(identity));
        chunk.is_some_and(|chunk| chunk.binary_search(&identity).is_ok())
    }
}

/// Sets that are no more, given back in steps.
#[derive(Debug, Default)]
pub(crate) struct DyingRosters {
    rosters: Vec<Roster>,
    bytes: u64,
}

impl DyingRosters {
    pub(crate) fn is_empty(&self) -> bool {
        self.rosters.is_empty()
    }

    /// Bytes that they hold.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.bytes + (self.rosters.capacity() * size_of::<Roster>()) as u64
    }

    pub(crate) fn add(&mut self, rosters: impl Iterator<Item = Roster>) {
        for roster in rosters {
            self.bytes += roster.held_bytes();
            self.rosters.push(roster);
        }
    }

    /// Gives some back; whether there was something.
    pub(crate) fn drop_some(&mut self) -> bool {
        let Some(roster) = self.rosters.last_mut() else {
            return false;
        };
        self.bytes -= roster.held_bytes();
        match roster.drop_some() {
            true => self.bytes += roster.held_bytes(),
            false => drop(self.rosters.pop()),
        }
        if self.rosters.is_empty() {
            self.rosters = Vec::new();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::evict::Rng;

    proptest! {
        #[test]
        fn it_has_what_a_set_has(
            steps in prop::collection::vec((any::<u32>(), 0u32..8), 1..3000),
            spread in prop::sample::select(&[1u32, 64, 4096, u32::MAX][..]),
        ) {
            let (mut roster, mut model) = (Roster::default(), BTreeSet::new());
            for (number, what) in steps {
                let number = number % spread;
                // It grows in the first half of the numbers, and shrinks in the other.
                if what < 5 {
                    roster.insert(Identity(number));
                    model.insert(number);
                } else {
                    roster.remove(Identity(number));
                    model.remove(&number);
                }
            }
            roster.check();
            prop_assert!(roster.chunks.iter().flatten().eq(&model));
            let mut rng = Rng::new(1);
            let mut drawn = Vec::new();
            roster.draw(&mut rng, 5, |identity| drawn.push(identity.0));
            prop_assert_eq!(drawn.is_empty(), model.is_empty());
            prop_assert!(drawn.iter().all(|identity| model.contains(identity)));
        }
    }

    fn filled(count: u32) -> Roster {
        let mut roster = Roster::default();
        (0..count).for_each(|n| roster.insert(Identity(n.wrapping_mul(0x9E37_79B1))));
        roster
    }

    #[test]
    fn an_entry_costs_some_five_bytes_and_all_are_given_back() {
        let count = 200_000;
        let mut roster = filled(count);
        roster.check();
        let each = roster.held_bytes() as f64 / f64::from(count);
        assert!(each < 5.5, "{each} bytes");
        for n in 0..count - 100 {
            roster.remove(Identity(n.wrapping_mul(0x9E37_79B1)));
        }
        roster.check();
        let chunks = roster.chunks.len();
        assert!(chunks <= 2, "{chunks} chunks for 100 identities");
    }

    #[test]
    fn it_is_dropped_in_steps() {
        let mut roster = filled(200_000);
        let mut steps = 1;
        while roster.drop_some() {
            steps += 1;
        }
        assert!(steps >= 200_000 / (CHUNK_MAX * DROPPED_AT_ONCE));
        assert_eq!((roster.room, roster.chunks.len()), (0, 0));
    }

    #[test]
    fn all_are_drawn_about_as_often() {
        let roster = filled(2000);
        let mut counts = std::collections::HashMap::new();
        let mut rng = Rng::new(7);
        for _ in 0..200_000 {
            roster.draw(&mut rng, 1, |identity| {
                *counts.entry(identity).or_insert(0u32) += 1;
            });
        }
        assert_eq!(counts.len(), 2000);
        let (least, most) = (counts.values().min(), counts.values().max());
        assert!(
            least > Some(&50) && most < Some(&170),
            "{least:?}, {most:?}"
        );
    }
}
