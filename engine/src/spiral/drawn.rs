//! Entries of a keyspace as eviction finds them: some drawn at random, and those that an identity may stand for.
//!
//! ```text
//!  identity, 32 bits:  | 24 leading bits of the position behind its first one | tag, 8 bits of the hash |
//! ```
//! The position tells the bucket, exactly as long as there are no more than 2^24 nodes, and the tag all but one in 256 of its
//! elements apart. So an identity finds an entry again for the price of a look-up, wherever it lies by then.

use super::address::{Bucket, POSITION_BITS, Position};
use super::entries::{Entry, entry_of};
use super::run::{Element, Shape};
use super::scan::mix;
use super::{Spiral, run_of, tag_of};
use crate::nodes::Heap;
use crate::raw::Block;

/// Bits of a position that an identity has.
const PLACE_BITS: u32 = 24;
/// Bits of a hash that it has besides.
const TAG_BITS: u32 = 8;

/// Thirty-two bits of the hash of an entry's key, by which the entry is found again. Two entries with the same are taken for one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u32);

impl Identity {
    /// Of a key with this hash.
    #[inline]
    pub fn of(hash: u64) -> Self {
        let place = Position::of(hash).0 - Position::FIRST.0 >> (POSITION_BITS - PLACE_BITS);
        Self((place as u32) << TAG_BITS | u32::from(tag_of(hash)))
    }

    /// The positions that it may be of, the first and the one behind the last.
    fn positions(self) -> (Position, Position) {
        let place = u64::from(self.0 >> TAG_BITS);
        let at = |place: u64| Position(Position::FIRST.0 + (place << (POSITION_BITS - PLACE_BITS)));
        (at(place), at(place + 1))
    }
}

impl Spiral {
    /// Shows what may be the entry of an identity: what has its tag, where its position is.
    pub(crate) fn entries_like(
        &self,
        heap: &Heap,
        identity: Identity,
        mut show: impl FnMut(Entry),
    ) {
        let (mut position, end) = identity.positions();
        while position < end {
            let bucket = Bucket::of(position, self.table.len());
            let ordinal = bucket.ordinal();
            for block in self.blocks_of(heap, ordinal) {
                let run = run_of(heap, block);
                Shape::read(run).each_tagged(run, identity.0 as u8, |at, element| {
                    show(entry_of((ordinal, block), at, &element));
                });
            }
            position = bucket.end();
        }
    }

    /// Shows up to `most` entries that lie beside each other in a node, where their hashes have placed them: the node behind the one that
    /// `random` draws by so many.
    pub(crate) fn neighbours(
        &self,
        heap: &Heap,
        (random, behind): (u64, u32),
        most: usize,
        show: impl FnMut(Entry),
    ) {
        let (ordinal, number) = self.drawn(random, behind);
        self.some_of(heap, ordinal, (number, most), |_| true, show);
    }

    /// The same of entries with deadlines, in a node that has times.
    pub(crate) fn volatile_neighbours(
        &self,
        heap: &Heap,
        (random, behind): (u64, u32),
        most: usize,
        show: impl FnMut(Entry),
    ) {
        let (drawn, number) = self.drawn(random, behind);
        let agenda = self.agenda.as_ref();
        let planned = agenda.and_then(|agenda| agenda.next_with_time(drawn));
        if let Some(ordinal) = planned.filter(|&ordinal| ordinal < self.table.len()) {
            let has_time = |element: &Element<'_>| element.deadline.is_some();
            self.some_of(heap, ordinal, (number, most), has_time, show);
        }
    }

    /// A bucket, and a number that is drawn with it.
    fn drawn(&self, random: u64, behind: u32) -> (u32, usize) {
        let number = mix(random);
        let nodes = u64::from(self.table.len());
        let ordinal = ((number >> 32) % nodes + u64::from(behind)) % nodes;
        (ordinal as u32, number as u32 as usize)
    }

    /// Shows up to `most` of those entries of a bucket that are `wanted`, from one that `number` chooses on.
    fn some_of(
        &self,
        heap: &Heap,
        ordinal: u32,
        (number, most): (usize, usize),
        wanted: impl Fn(&Element<'_>) -> bool,
        mut show: impl FnMut(Entry),
    ) {
        let each = |show: &mut dyn FnMut((u32, Block), usize, &Element<'_>)| {
            for block in self.blocks_of(heap, ordinal) {
                let run = run_of(heap, block);
                let mut at = 0;
                Shape::read(run).for_each(run, |element| {
                    if wanted(&element) {
                        show((ordinal, block), at, &element);
                    }
                    at += 1;
                });
            }
        };
        let mut count = 0;
        each(&mut |_, _, _| count += 1);
        let first = number % usize::max(count, 1);
        let mut passed = 0;
        each(&mut |bucket, at, element| {
            if (passed + count - first) % count < most {
                show(entry_of(bucket, at, element));
            }
            passed += 1;
        });
    }
}
