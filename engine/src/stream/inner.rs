//! An inner node of a tree of a stream, byte by byte.
//!
//! ```text
//!  0      1       5         9      13      15
//! +------+-------+---------+------+-------+-------------------+-------------------------+------+
//! | mark | owner | ordinal | tree | count | least id | ordinal | … child 1 … child n − 1 | room |
//! +------+-------+---------+------+-------+-------------------+-------------------------+------+
//!                                           child 0, 20 bytes
//! ```
//! No id below a child is less than its least id, but for what comes to stand before all others of the tree, below the first child.

use std::ops::Range;

use super::StreamId;
use crate::nodes::{NODE_HEAD_BYTES, read_u16, read_u32};

const COUNT_AT: usize = NODE_HEAD_BYTES + 4;
const CHILDREN_AT: usize = COUNT_AT + 2;
const CHILD_BYTES: usize = 20;

/// A child of an inner node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) least: StreamId,
    pub(super) ordinal: u32,
}

/// Bytes of a node of so many children.
pub(super) const fn bytes_of(children: usize) -> usize {
    CHILDREN_AT + children * CHILD_BYTES
}

/// Children for which a block of so many bytes has room.
pub(super) const fn room_of(bytes: usize) -> usize {
    (bytes - CHILDREN_AT) / CHILD_BYTES
}

fn places(range: Range<usize>) -> Range<usize> {
    bytes_of(range.start)..bytes_of(range.end)
}

/// Number of children.
#[inline(always)]
pub(super) fn len(node: &[u8]) -> usize {
    read_u16(node, COUNT_AT)
}

pub(super) fn set_len(node: &mut [u8], children: usize) {
    node[COUNT_AT..CHILDREN_AT].copy_from_slice(&(children as u16).to_le_bytes());
}

#[inline(always)]
fn least(node: &[u8], slot: usize) -> StreamId {
    let place = bytes_of(slot);
    let word = |at: usize| {
        let word = node[at..at + 8].first_chunk();
        u64::from_le_bytes(*word.expect("the range is so long"))
    };
    StreamId::new(word(place), word(place + 8))
}

/// Child `slot`.
#[inline(always)]
pub(super) fn child(node: &[u8], slot: usize) -> Child {
    debug_assert!(slot < len(node));
    Child {
        least: least(node, slot),
        ordinal: read_u32(node, bytes_of(slot) + 16),
    }
}

pub(super) fn set_child(node: &mut [u8], slot: usize, child: Child) {
    let place = &mut node[places(slot..slot + 1)];
    place[..8].copy_from_slice(&child.least.ms.to_le_bytes());
    place[8..16].copy_from_slice(&child.least.seq.to_le_bytes());
    place[16..].copy_from_slice(&child.ordinal.to_le_bytes());
}

/// All children, in order.
pub(super) fn children(node: &[u8]) -> impl ExactSizeIterator<Item = Child> + '_ {
    (0..len(node)).map(|slot| child(node, slot))
}

/// The child below which an id is, if it is there.
#[inline]
pub(super) fn find(node: &[u8], id: StreamId) -> usize {
    let (mut low, mut high) = (1, len(node));
    while low < high {
        let middle = (low + high) / 2;
        match least(node, middle) <= id {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low - 1
}

/// Puts a child before child `slot`. There must be room.
pub(super) fn insert(node: &mut [u8], slot: usize, child: Child) {
    let count = len(node);
    node.copy_within(places(slot..count), bytes_of(slot + 1));
    set_len(node, count + 1);
    set_child(node, slot, child);
}

/// Takes a child out.
pub(super) fn remove(node: &mut [u8], slot: usize) {
    let count = len(node);
    node.copy_within(places(slot + 1..count), bytes_of(slot));
    set_len(node, count - 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_below_the_last_child_that_does_not_begin_behind_it() {
        for count in [1, 2, 3, 7, 8] {
            let mut node = vec![0; bytes_of(8)];
            for slot in 0..count {
                let least = StreamId::new(10 * (slot as u64 + 1), 5);
                let ordinal = slot as u32;
                insert(&mut node, slot, Child { least, ordinal });
            }
            assert_eq!(find(&node, StreamId::MIN), 0);
            for slot in 0..count {
                let ms = 10 * (slot as u64 + 1);
                assert_eq!(find(&node, StreamId::new(ms, 5)), slot);
                assert_eq!(find(&node, StreamId::new(ms, 9)), slot);
                assert_eq!(find(&node, StreamId::new(ms, 4)), slot.saturating_sub(1));
            }
            remove(&mut node, 0);
            assert_eq!(len(&node), count - 1);
        }
    }
}
