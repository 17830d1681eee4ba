//! An inner node of a tree of a stream, byte by byte.
//!
//! ```text
//!  0      1       5         9      13      15
//! +------+-------+---------+------+-------+-----------------------------+-------------------------+------+
//! | mark | owner | ordinal | tree | count | least id | ordinal | oldest | … child 1 … child n − 1 | room |
//! +------+-------+---------+------+-------+-----------------------------+-------------------------+------+
//!                                           child 0, 20 bytes, and 8 in a tree that knows times: bit 15 of the count
//! ```
//! No id below a child is less than its least id, but for what comes to stand before all others of the tree, below the first child.
//! No record below a child has an older time than its oldest (`times.rs`).

use std::ops::Range;

use super::StreamId;
use crate::UnixMillis;
use crate::nodes::{NODE_HEAD_BYTES, read_u16, read_u32};

const COUNT_AT: usize = NODE_HEAD_BYTES + 4;
const CHILDREN_AT: usize = COUNT_AT + 2;
const ORDINAL_AT: usize = 16;
const OLDEST_AT: usize = ORDINAL_AT + 4;
const OLDEST_BYTES: usize = 8;
/// Of the count: children have times.
const HAS_TIMES: usize = 1 << 15;

/// A child of an inner node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) least: StreamId,
    pub(super) ordinal: u32,
    /// No time below it is older; without times, [`UNKNOWN`].
    pub(super) oldest: UnixMillis,
}

/// There is no time that none is older than.
pub(super) const UNKNOWN: UnixMillis = UnixMillis(i64::MIN);

const fn child_bytes(has_times: bool) -> usize {
    match has_times {
        true => OLDEST_AT + OLDEST_BYTES,
        false => OLDEST_AT,
    }
}

/// Bytes of a node of so many children.
pub(super) const fn bytes_of(children: usize, has_times: bool) -> usize {
    CHILDREN_AT + children * child_bytes(has_times)
}

/// Children for which a block of so many bytes has room.
pub(super) const fn room_of(bytes: usize, has_times: bool) -> usize {
    (bytes - CHILDREN_AT) / child_bytes(has_times)
}

/// Makes it one without children.
pub(super) fn begin(node: &mut [u8], has_times: bool) {
    let count = if has_times { HAS_TIMES as u16 } else { 0 };
    node[COUNT_AT..CHILDREN_AT].copy_from_slice(&count.to_le_bytes());
}

#[inline(always)]
fn has_times(node: &[u8]) -> bool {
    read_u16(node, COUNT_AT) & HAS_TIMES != 0
}

/// Where a child begins.
#[inline(always)]
fn place(node: &[u8], slot: usize) -> usize {
    bytes_of(slot, has_times(node))
}

fn places(node: &[u8], range: Range<usize>) -> Range<usize> {
    place(node, range.start)..place(node, range.end)
}

/// Number of children.
#[inline(always)]
pub(super) fn len(node: &[u8]) -> usize {
    read_u16(node, COUNT_AT) & !HAS_TIMES
}

/// Bytes that are in use.
pub(super) fn used_bytes(node: &[u8]) -> usize {
    place(node, len(node))
}

pub(super) fn set_len(node: &mut [u8], children: usize) {
    let count = (children | read_u16(node, COUNT_AT) & HAS_TIMES) as u16;
    node[COUNT_AT..CHILDREN_AT].copy_from_slice(&count.to_le_bytes());
}

#[inline(always)]
fn word(node: &[u8], at: usize) -> [u8; 8] {
    *node[at..at + 8]
        .first_chunk()
        .expect("the range is so long")
}

#[inline(always)]
fn least_at(node: &[u8], place: usize) -> StreamId {
    StreamId::new(
        u64::from_le_bytes(word(node, place)),
        u64::from_le_bytes(word(node, place + 8)),
    )
}

/// Child `slot`.
#[inline(always)]
pub(super) fn child(node: &[u8], slot: usize) -> Child {
    debug_assert!(slot < len(node));
    let place = place(node, slot);
    Child {
        least: least_at(node, place),
        ordinal: read_u32(node, place + ORDINAL_AT),
        oldest: match has_times(node) {
            true => UnixMillis(i64::from_le_bytes(word(node, place + OLDEST_AT))),
            false => UNKNOWN,
        },
    }
}

pub(super) fn set_child(node: &mut [u8], slot: usize, child: Child) {
    let has_times = has_times(node);
    let place = places(node, slot..slot + 1);
    let place = &mut node[place];
    place[..8].copy_from_slice(&child.least.ms.to_le_bytes());
    place[8..ORDINAL_AT].copy_from_slice(&child.least.seq.to_le_bytes());
    place[ORDINAL_AT..OLDEST_AT].copy_from_slice(&child.ordinal.to_le_bytes());
    if has_times {
        place[OLDEST_AT..].copy_from_slice(&child.oldest.0.to_le_bytes());
    }
}

/// All children, in order.
pub(super) fn children(node: &[u8]) -> impl ExactSizeIterator<Item = Child> + '_ {
    (0..len(node)).map(|slot| child(node, slot))
}

/// The oldest of all children.
pub(super) fn oldest(node: &[u8]) -> UnixMillis {
    let oldest = children(node).map(|child| child.oldest).min();
    oldest.unwrap_or(UNKNOWN)
}

/// The child below which an id is, if it is there.
#[inline]
pub(super) fn find(node: &[u8], id: StreamId) -> usize {
    let (mut low, mut high) = (1, len(node));
    let bytes = child_bytes(has_times(node));
    while low < high {
        let middle = (low + high) / 2;
        match least_at(node, CHILDREN_AT + middle * bytes) <= id {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low - 1
}

/// Puts a child before child `slot`. There must be room.
pub(super) fn insert(node: &mut [u8], slot: usize, child: Child) {
    let count = len(node);
    let moved = places(node, slot..count);
    let to = place(node, slot + 1);
    node.copy_within(moved, to);
    set_len(node, count + 1);
    set_child(node, slot, child);
}

/// Takes a child out.
pub(super) fn remove(node: &mut [u8], slot: usize) {
    let count = len(node);
    let moved = places(node, slot + 1..count);
    let to = place(node, slot);
    node.copy_within(moved, to);
    set_len(node, count - 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_below_the_last_child_that_does_not_begin_behind_it() {
        for (count, has_times) in [1, 2, 3, 7, 8]
            .map(|count| [(count, false), (count, true)])
            .concat()
        {
            let mut node = vec![0; bytes_of(8, has_times)];
            begin(&mut node, has_times);
            let of = |slot: usize| Child {
                least: StreamId::new(10 * (slot as u64 + 1), 5),
                ordinal: slot as u32,
                oldest: match has_times {
                    true => UnixMillis(50 - slot as i64),
                    false => UNKNOWN,
                },
            };
            for slot in 0..count {
                insert(&mut node, slot, of(slot));
            }
            assert_eq!(oldest(&node), of(count - 1).oldest);
            assert_eq!(find(&node, StreamId::MIN), 0);
            for slot in 0..count {
                let ms = 10 * (slot as u64 + 1);
                assert_eq!(child(&node, slot), of(slot));
                assert_eq!(find(&node, StreamId::new(ms, 5)), slot);
                assert_eq!(find(&node, StreamId::new(ms, 9)), slot);
                assert_eq!(find(&node, StreamId::new(ms, 4)), slot.saturating_sub(1));
            }
            remove(&mut node, 0);
            assert_eq!(
                (len(&node), used_bytes(&node)),
                (count - 1, bytes_of(count - 1, has_times))
            );
            assert!(children(&node).eq((1..count).map(of)));
        }
    }
}
