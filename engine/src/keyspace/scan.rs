//! Walking a table: incremental scans, samples, and whole walks.
//!
//! A scan's cursor is a place in the order of positions, not in memory: the first 48 bits of a position. All entries
//! before it have been emitted. Segments are ranges of that order, so splitting and merging them moves nothing across the
//! cursor, and an entry that stays is met exactly once. Entries whose first 48 bits tie are emitted together.
//!
//! Cost: a call hashes the keys of the segments it touches, at most 448 each, and sorts what it emits.

use super::{Items, Keyspace, Position, Segment};
use crate::limits::SEGMENT_MAX_ENTRIES;
use crate::raw::Block;

/// Bits of a cursor.
const CURSOR_BITS: u32 = 48;
/// Empty or nearly empty segments that one call may pass for each entry asked for.
const SEGMENTS_PER_ENTRY: usize = 10;
/// Draws of a random entry before the walk from a random place.
const RANDOM_DRAWS: u64 = 64;
/// Buckets of a segment about to split.
const FULL_BUCKETS: usize = SEGMENT_MAX_ENTRIES / 7 * 8;

/// A place in a scan: the first 48 bits of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor(pub(crate) u64);

impl Cursor {
    fn of(position: Position) -> Self {
        Self(position.0 >> (64 - CURSOR_BITS))
    }

    fn position(self) -> Position {
        Position(self.0 << (64 - CURSOR_BITS))
    }

    /// The place behind, `None` at the end.
    fn next(self) -> Option<Self> {
        let next = self.0 + 1;
        (next >> CURSOR_BITS == 0).then_some(Self(next))
    }
}

impl Keyspace {
    /// Emits about `count` items from `cursor` on; where to go on, `None` at the end.
    pub(crate) fn scan(
        &self,
        cursor: Cursor,
        count: usize,
        items: Items<'_>,
        emit: &mut dyn FnMut(Block),
    ) -> Option<Cursor> {
        let mut left = count.max(1);
        let mut segments_left = left.saturating_mul(SEGMENTS_PER_ENTRY);
        let mut from = Cursor(cursor.0 & ((1 << CURSOR_BITS) - 1));
        loop {
            let (segment, _, next) = self.segment_at(from.position());
            if let Some((emitted, resume)) = emit_some(segment, from, left, items, emit) {
                left -= emitted;
                if left == 0 {
                    // The segment may have ended with these: the next call finds that out for the cost of one look.
                    return resume;
                }
            }
            segments_left -= 1;
            from = Cursor::of(next?);
            if segments_left == 0 {
                return Some(from);
            }
        }
    }

    /// An item drawn by `random`, close to uniformly among those that are `live`.
    ///
    /// A position is drawn, then a bucket of its segment; a wide segment, or one with few buckets, is refused in proportion, so
    /// that its entries are not preferred. Should many draws fail, the first live entry from a random place on is taken.
    pub(crate) fn random(&self, random: u64, live: impl Fn(Block) -> bool) -> Option<Block> {
        if self.len() == 0 {
            return None;
        }
        for draw in 0..RANDOM_DRAWS {
            let place = mix(random.wrapping_add(draw << 1));
            let choice = mix(random.wrapping_add((draw << 1) + 1));
            let (segment, ..) = self.segment_at(Position(place));
            let buckets = segment.buckets();
            let item = segment.bucket(choice as usize % buckets);
            let wide = 1usize << (self.bits - segment.bits()).min(16);
            let most_buckets = if self.bits == 0 {
                buckets
            } else {
                buckets.max(FULL_BUCKETS)
            };
            let refused = (choice >> 32) as usize % (wide * most_buckets) >= buckets;
            if let Some(item) = item.filter(|&item| !refused && live(item)) {
                return Some(item);
            }
        }
        let start = Position(mix(random));
        let mut at = start;
        loop {
            let (segment, _, next) = self.segment_at(at);
            let skip = random as usize % segment.buckets();
            let buckets = (0..segment.buckets()).map(|n| (n + skip) % segment.buckets());
            let mut items = buckets.filter_map(|bucket| segment.bucket(bucket));
            if let Some(item) = items.find(|&item| live(item)) {
                return Some(item);
            }
            at = next.unwrap_or(Position(0));
            if self.segment_at(start).1 == at {
                return None;
            }
        }
    }
}

/// Emits up to `count` items of `segment` from `from` on, in order, and those that tie with the last; how many of the
/// count that was, and where to go on. `None` if there are none.
fn emit_some(
    segment: &Segment,
    from: Cursor,
    count: usize,
    items: Items<'_>,
    emit: &mut dyn FnMut(Block),
) -> Option<(usize, Option<Cursor>)> {
    segment.prefetch(items.memory);
    let mut ahead: Vec<(Cursor, Block)> = segment
        .items()
        .map(|item| (Cursor::of(Position::of(items.hash(item))), item))
        .filter(|&(place, _)| place >= from)
        .collect();
    let last = count.min(ahead.len()).checked_sub(1)?;
    let (_, &mut (end, _), _) = ahead.select_nth_unstable_by_key(last, |&(place, _)| place);
    for &(place, item) in &ahead {
        if place <= end {
            emit(item);
        }
    }
    Some((last + 1, end.next()))
}

/// Scrambles a number (the finaliser of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
