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
use crate::limits::NODES_DRAWN_MAX;
use crate::nodes::Heap;

/// Bits of a position that an identity has.
const PLACE_BITS: u32 = 24;
/// Bits of a hash that it has besides.
const TAG_BITS: u32 = 8;

/// Cache lines of an item of which its head, its key and what it takes can be read, mostly.
const ITEM_LINES: usize = 2;

/// Thirty-two bits of the hash of an entry's key, by which the entry is found again. Two entries with the same are taken for one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u32);

/// The first node that is looked at for entries drawn by a number.
fn drawn_ordinal(number: u64, nodes: u32) -> u32 {
    (number >> 32) as u32 % nodes
}

impl Identity {
    /// Of a key with this hash.
    #[inline]
    pub fn of(hash: u64) -> Self {
        let place = Position::of(hash).0 - Position::FIRST.0 >> (POSITION_BITS - PLACE_BITS);
        Self((place as u32) << TAG_BITS | u32::from(tag_of(hash)))
    }

    /// The first identity of the next place, of which all hashes are higher.
    pub(crate) fn next_place(self) -> Self {
        Self((self.0 | (1 << TAG_BITS) - 1).saturating_add(1))
    }

    /// The positions that it may be of, the first and the one behind the last.
    fn positions(self) -> (Position, Position) {
        let place = u64::from(self.0 >> TAG_BITS);
        let at = |place: u64| Position(Position::FIRST.0 + (place << (POSITION_BITS - PLACE_BITS)));
        (at(place), at(place + 1))
    }
}

/// What eviction will probably look for soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coming {
    /// The entry of this identity.
    Entry(Identity),
    /// Entries that this random number draws.
    Drawn(u64),
}

/// How near what comes is brought. Each step reads what the one before has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The word of the table that says where its node is.
    Word,
    /// All of the node: what is removed from it may have it copied.
    Node,
    /// The items in the node that will be looked at.
    Items,
}

impl Spiral {
    /// The ordinal of the node that is looked at first for what comes.
    fn ordinal_of_coming(&self, coming: Coming) -> u32 {
        let nodes = self.table.len();
        match coming {
            Coming::Entry(identity) => Bucket::of(identity.positions().0, nodes).ordinal(),
            Coming::Drawn(random) => drawn_ordinal(mix(random), nodes),
        }
    }

    /// Brings near what eviction will look for. A hint: no effect but speed.
    pub(crate) fn approach(&self, heap: &Heap, coming: Coming, step: Step) {
        let ordinal = self.ordinal_of_coming(coming);
        if step == Step::Word {
            return self.table.prefetch(&heap.arena, ordinal);
        }
        let block = self.table.get(&heap.arena, ordinal);
        if step == Step::Node {
            return heap.arena.prefetch_whole(block);
        }
        if !self.has_items() {
            return;
        }
        let run = run_of(heap, block);
        let shape = Shape::read(run);
        let ask = |element: Element<'_>| {
            if let Some(item) = element.name().item() {
                heap.arena.prefetch(item, ITEM_LINES);
            }
        };
        match coming {
            Coming::Entry(identity) => {
                shape.each_tagged(run, identity.0 as u8, |_, element| ask(element));
            }
            Coming::Drawn(_) => shape.for_each(run, ask),
        }
    }

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

    /// Shows entries that lie beside each other in a node, where their hashes have placed them, until so many were `taken`; of a node that has
    /// times, and those that have one, if `is_volatile`. The node is the one that `random` draws, or another of which one is taken.
    ///
    /// Of a node with more entries than others more are wanted, of one with fewer less, or none: each entry is shown as often as any other. If
    /// nodes were shown alike, what comes to one that is nearly empty would go before what crowds another, and ever more so.
    pub(crate) fn neighbours(
        &self,
        heap: &Heap,
        (random, is_volatile): (u64, bool),
        wanted: usize,
        mut taken: impl FnMut(Entry) -> bool,
    ) {
        let mut number = mix(random);
        let nodes = self.table.len();
        let mut ordinal = drawn_ordinal(number, nodes);
        for _ in 0..NODES_DRAWN_MAX {
            let mut wanted_here = wanted;
            if is_volatile {
                let agenda = self.agenda.as_ref();
                let planned = agenda.and_then(|agenda| agenda.next_with_time(ordinal));
                let Some(planned) = planned.filter(|&planned| planned < nodes) else {
                    return;
                };
                ordinal = planned;
            } else {
                wanted_here = self.share_of(heap, ordinal, wanted, number);
            }
            let from = (number as u32 as usize, wanted_here);
            if wanted_here > 0 && self.some_of(heap, (ordinal, is_volatile), from, &mut taken) {
                return;
            }
            if is_volatile {
                ordinal = (ordinal + 1) % nodes;
            } else {
                number = mix(number);
                ordinal = drawn_ordinal(number, nodes);
            }
        }
        if !is_volatile {
            self.any_behind(heap, ordinal, (number as u32 as usize, wanted), &mut taken);
        }
    }

    /// How many entries of a bucket are wanted, so many being wanted of a mean one: in proportion to what it has, rounded by `number`. Of a
    /// single one half as much, as no bucket can have more: only those of over twice the mean are then drawn too seldom.
    fn share_of(&self, heap: &Heap, ordinal: u32, wanted: usize, number: u64) -> usize {
        let count = self.count_of(heap, ordinal) as u64;
        let halves = if wanted > 1 { 2 * wanted as u64 } else { 1 };
        let share = (halves * count * u64::from(self.table.len()) << 8) / (2 * self.len.max(1));
        (share + (number >> 24 & 0xFF) >> 8) as usize
    }

    /// Shows entries of a node, or one behind it, where those that were drawn had none that may be taken: there are few entries, or few that may.
    fn any_behind(
        &self,
        heap: &Heap,
        ordinal: u32,
        from: (usize, usize),
        taken: &mut impl FnMut(Entry) -> bool,
    ) {
        let nodes = self.table.len();
        for passed in 0..NODES_DRAWN_MAX.min(nodes) {
            let at = (ordinal + passed) % nodes;
            if self.some_of(heap, (at, false), from, &mut *taken) {
                return;
            }
        }
    }

    /// Shows the entries of a bucket, those that have a time if `is_volatile`, from one that `number` chooses on, until so many were `taken`.
    /// Whether any was.
    fn some_of(
        &self,
        heap: &Heap,
        (ordinal, is_volatile): (u32, bool),
        (number, wanted): (usize, usize),
        mut taken: impl FnMut(Entry) -> bool,
    ) -> bool {
        let mut left = wanted;
        let first = number % self.count_of(heap, ordinal).max(1);
        // From the chosen one to the last, then from the first to the one before it.
        for is_behind in [true, false] {
            let mut passed = 0;
            for block in self.blocks_of(heap, ordinal) {
                let run = run_of(heap, block);
                let mut at = 0;
                Shape::read(run).for_each(run, |element| {
                    let may_be = !is_volatile || element.deadline.is_some();
                    if left > 0
                        && may_be
                        && (passed >= first) == is_behind
                        && taken(entry_of((ordinal, block), at, &element))
                    {
                        left -= 1;
                    }
                    (at, passed) = (at + 1, passed + 1);
                });
            }
        }
        left < wanted
    }
}
