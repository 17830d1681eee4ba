//! Reading many elements: scans and samples.
//!
//! A scan's cursor is a position, less the leading one, and all elements before it have been emitted. Buckets are ranges of
//! positions, so dividing and merging them moves nothing across the cursor: an element that stays is met exactly once.

use std::ops::ControlFlow;

use super::address::{Bucket, Position};
use super::run::{Element, Shape};
use super::{ElementRef, Spiral, long, run_of};
use crate::nodes::Heap;
use crate::raw::Block;

/// Nearly empty buckets that one call may pass for each element asked for.
const BUCKETS_PER_ELEMENT: usize = 10;
/// Draws of a random element before the walk from a random place.
const RANDOM_DRAWS: u64 = 64;

/// Is shown elements, with the ordinal and block of the node of each and its number there.
type Show<'s, 'a> = dyn FnMut((u32, Block), usize, &Element<'a>) + 's;

impl Spiral {
    /// Emits about `count` elements from `cursor`, zero at first, on, and at least whole buckets; where to go on, `None` at the
    /// end.
    pub(crate) fn scan<'a>(
        &self,
        heap: &'a Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        cursor: u64,
        count: usize,
        emit: &mut dyn FnMut(ElementRef<'a>),
    ) -> Option<u64> {
        self.scan_elements(heap, hash_of, cursor, count, &mut |_, _, element| {
            emit(Self::view(heap, element));
        })
    }

    /// As [`Self::scan`], with the ordinal and block of each element's node, and its number there.
    pub(super) fn scan_elements<'a>(
        &self,
        heap: &'a Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        cursor: u64,
        count: usize,
        emit: &mut Show<'_, 'a>,
    ) -> Option<u64> {
        let mut left = count.max(1);
        let mut buckets_left = left.saturating_mul(BUCKETS_PER_ELEMENT);
        let mut from = Position(Position::FIRST.0 | cursor & (Position::FIRST.0 - 1));
        loop {
            let bucket = Bucket::of(from, self.table.len());
            let is_whole = bucket.start() == from;
            for block in self.blocks_of(heap, bucket.ordinal()) {
                let run = run_of(heap, block);
                let mut at = 0;
                Shape::read(run).for_each(run, |element| {
                    let is_ahead = || {
                        let name = long::bytes(heap, element.name());
                        Position::of(hash_of(name)) >= from
                    };
                    if is_whole || is_ahead() {
                        emit((bucket.ordinal(), block), at, &element);
                        left = left.saturating_sub(1);
                    }
                    at += 1;
                });
            }
            from = bucket.end();
            buckets_left -= 1;
            if from == Position::END {
                return None;
            }
            if left == 0 || buckets_left == 0 {
                return Some(from.0 - Position::FIRST.0);
            }
        }
    }

    /// Shows each element once.
    pub(crate) fn for_each<'a>(&self, heap: &'a Heap, mut show: impl FnMut(ElementRef<'a>)) {
        for ordinal in 0..self.table.len() {
            for block in self.blocks_of(heap, ordinal) {
                let run = run_of(heap, block);
                Shape::read(run).for_each(run, |element| show(Self::view(heap, &element)));
            }
        }
    }

    /// Shows elements from a place on, zero at first, until `show` breaks; the place behind the last one shown, `None` at the end.
    /// Places are good as long as nothing changes: a node's ordinal, and the number of the element among those of its ordinal.
    pub(crate) fn walk<'a>(
        &self,
        heap: &'a Heap,
        from: u64,
        mut show: impl FnMut(ElementRef<'a>) -> ControlFlow<()>,
    ) -> Option<u64> {
        let (first, mut passed) = ((from >> 32) as u32, from & u64::from(u32::MAX));
        for ordinal in first..self.table.len() {
            let (mut number, mut broken_behind) = (0, None);
            for block in self.blocks_of(heap, ordinal) {
                let run = run_of(heap, block);
                Shape::read(run).for_each(run, |element| {
                    number += 1;
                    if number > passed
                        && broken_behind.is_none()
                        && show(Self::view(heap, &element)).is_break()
                    {
                        broken_behind = Some(number);
                    }
                });
            }
            if let Some(number) = broken_behind {
                return Some(u64::from(ordinal) << 32 | number);
            }
            passed = 0;
        }
        None
    }

    /// An element drawn by `random`, close to uniformly; `None` if there is none.
    pub(crate) fn random<'a>(&self, heap: &'a Heap, random: u64) -> Option<ElementRef<'a>> {
        self.draw(heap, random, |_, _, element| {
            Some(Self::view(heap, element))
        })
    }

    /// Draws elements by `random` until one is `taken`, close to uniformly; `None` if none is.
    ///
    /// A bucket is drawn and refused in proportion to what it has less than twice the fullest should have, so that elements of
    /// sparse buckets are not preferred. Should many draws fail, the next element that is taken serves.
    pub(super) fn draw<'a, T>(
        &self,
        heap: &'a Heap,
        random: u64,
        taken: impl Fn((u32, Block), usize, &Element<'a>) -> Option<T>,
    ) -> Option<T> {
        let nodes = self.table.len();
        if self.len == 0 {
            return None;
        }
        let most = (self.len / u64::from(nodes) * 3 + 8) as usize;
        for draw in 0..RANDOM_DRAWS {
            let number = mix(random.wrapping_add(draw));
            let ordinal = (number >> 32) as u32 % nodes;
            let count = self.count_of(heap, ordinal);
            let choice = number as u32 as usize % most.max(count);
            if choice < count
                && let Some(drawn) = self.nth_of(heap, ordinal, choice, &taken)
            {
                return Some(drawn);
            }
        }
        let start = (mix(random) >> 32) as u32 % nodes;
        let mut ordinals = (start..nodes).chain(0..start);
        ordinals.find_map(|ordinal| {
            let count = self.count_of(heap, ordinal);
            (0..count).find_map(|at| self.nth_of(heap, ordinal, at, &taken))
        })
    }

    pub(super) fn count_of(&self, heap: &Heap, ordinal: u32) -> usize {
        let blocks = self.blocks_of(heap, ordinal);
        blocks
            .map(|block| Shape::read(run_of(heap, block)).count)
            .sum()
    }

    fn nth_of<'a, T>(
        &self,
        heap: &'a Heap,
        ordinal: u32,
        mut at: usize,
        taken: impl Fn((u32, Block), usize, &Element<'a>) -> Option<T>,
    ) -> Option<T> {
        for block in self.blocks_of(heap, ordinal) {
            let run = run_of(heap, block);
            let shape = Shape::read(run);
            if at < shape.count {
                return taken((ordinal, block), at, &shape.element(run, at));
            }
            at -= shape.count;
        }
        None
    }
}

/// Scrambles a number (the finaliser of SplitMix64).
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
