//! Reading members: in order from a place on, by the index for scans, at random.

use std::ops::ControlFlow;

use super::order::Bound;
use super::{SortedSet, Spot, leaf, long};
use crate::Direction;
use crate::nodes::{Heap, Path};
use crate::spiral::address::Position;

/// Nearly empty buckets that one call may pass for each member asked for.
const BUCKETS_PER_MEMBER: usize = 10;

impl SortedSet {
    /// Shows members from a place on until `show` breaks: upwards those behind it, downwards those before it, the nearest first.
    pub(crate) fn walk<'a>(
        &self,
        heap: &'a Heap,
        from: &Bound<'_>,
        direction: Direction,
        show: &mut dyn FnMut(&'a [u8], f64) -> ControlFlow<()>,
    ) {
        if self.len == 0 {
            return;
        }
        let spot = self.spot_of(heap, from);
        let Spot {
            mut path,
            mut block,
            at,
            ..
        } = spot;
        let mut at = Some(at);
        loop {
            let run = leaf::run(heap, block);
            let mut see =
                |entry: super::run::Entry<'a>| show(long::name(heap, entry.body), entry.score);
            let shown = match direction {
                Direction::Up => run
                    .entries(at.unwrap_or(0)..run.len())
                    .try_for_each(&mut see),
                Direction::Down => run
                    .entries(0..at.unwrap_or(run.len()))
                    .rev()
                    .try_for_each(&mut see),
            };
            if shown.is_break() {
                return;
            }
            let Some(next) = self.next_leaf(heap, &mut path, direction) else {
                return;
            };
            block = self.table.get(&heap.arena, next);
            at = None;
        }
    }

    /// Takes a path to the next leaf; its ordinal.
    fn next_leaf(&self, heap: &Heap, path: &mut Path, direction: Direction) -> Option<u32> {
        let mut height = 0;
        let mut ordinal = loop {
            let step = path.pop()?;
            height += 1;
            let node = self.inner(heap, step.ordinal);
            let next = match direction {
                Direction::Up => Some(step.slot() + 1).filter(|&slot| slot < node.len()),
                Direction::Down => step.slot().checked_sub(1),
            };
            if let Some(slot) = next {
                path.push(step.ordinal, slot);
                break node.ordinal(slot);
            }
        };
        for _ in 1..height {
            let node = self.inner(heap, ordinal);
            let slot = match direction {
                Direction::Up => 0,
                Direction::Down => node.len() - 1,
            };
            path.push(ordinal, slot);
            ordinal = node.ordinal(slot);
        }
        Some(ordinal)
    }

    /// The member that a walk in this direction shows first, of some.
    pub(crate) fn first<'a>(&self, heap: &'a Heap, direction: Direction) -> (&'a [u8], f64) {
        let spot = self.descend_to_end(heap, direction);
        let at = match direction {
            Direction::Up => 0,
            Direction::Down => spot.at - 1,
        };
        let entry = leaf::run(heap, spot.block).entry(at);
        (long::name(heap, entry.body), entry.score)
    }

    /// The member of a rank, which there is.
    pub(crate) fn at_rank<'a>(&self, heap: &'a Heap, rank: u64) -> (&'a [u8], f64) {
        let spot = self.descend_to_rank(heap, rank);
        let entry = leaf::run(heap, spot.block).entry(spot.at);
        (long::name(heap, entry.body), entry.score)
    }

    /// Shows about `count` members from `cursor`, zero at first, on; where to go on, `None` at the end. A member that is there all
    /// the while is shown, whatever scores it gets. Of a bucket those are shown together whose windows are alike, some few to some
    /// dozens. Without an index all are shown.
    pub(crate) fn scan<'a>(
        &self,
        heap: &'a Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        cursor: u64,
        count: usize,
        show: &mut dyn FnMut(&'a [u8], f64),
    ) -> Option<u64> {
        let Some(index) = &self.index else {
            self.walk(heap, &Bound::Start, Direction::Up, &mut |name, score| {
                show(name, score);
                ControlFlow::Continue(())
            });
            return None;
        };
        let mut left = count.max(1);
        let mut buckets_left = left.saturating_mul(BUCKETS_PER_MEMBER);
        let mut from = Position(Position::FIRST.0 | cursor & (Position::FIRST.0 - 1));
        loop {
            let (seen, end) = index.members_from(heap, from);
            for alike in seen.chunk_by(|a, b| a.end == b.end) {
                if left == 0 {
                    return Some(from.0 - Position::FIRST.0);
                }
                let window = from..alike[0].end;
                for seen in alike {
                    let run = leaf::run(heap, self.table.get(&heap.arena, seen.leaf));
                    run.each_tagged(seen.tag, |at| {
                        let entry = run.entry(at);
                        let name = long::name(heap, entry.body);
                        if window.contains(&Position::of(hash_of(name))) {
                            show(name, entry.score);
                            left = left.saturating_sub(1);
                        }
                        false
                    });
                }
                from = window.end;
            }
            from = end;
            buckets_left -= 1;
            if from == Position::END {
                return None;
            }
            if left == 0 || buckets_left == 0 {
                return Some(from.0 - Position::FIRST.0);
            }
        }
    }
}
