//! An inner node of the tree of a list, byte by byte.
//!
//! ```text
//!  0      1       5         9        13      15
//! +------+-------+---------+--------+-------+--------------------+-------------------------+------+
//! | mark | owner | ordinal | parent | count | ordinal | elements | … child 1 … child n − 1 | room |
//! +------+-------+---------+--------+-------+--------------------+-------------------------+------+
//!                                             child 0, 8 bytes
//! ```
//! A child is a leaf or an inner node, by its ordinal, with the number of elements in and below it: an index is found by summing
//! from the first child on. The parent says who names the node, for when it gets another ordinal; of what is detached it
//! may be anything.

use std::ops::Range;

use crate::nodes::{NODE_HEAD_BYTES, read_u16, read_u32};

/// Where an inner node and a leaf have the ordinal of what is above them.
pub(super) const PARENT_AT: usize = NODE_HEAD_BYTES;
const COUNT_AT: usize = PARENT_AT + 4;
const CHILDREN_AT: usize = COUNT_AT + 2;
const CHILD_BYTES: usize = 8;
/// Children whose elements are summed at once.
const SUMMED: usize = 32;

/// A child of an inner node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) ordinal: u32,
    pub(super) elements: u32,
}

/// Bytes of a node of so many children.
pub(super) const fn bytes_of(children: usize) -> usize {
    CHILDREN_AT + children * CHILD_BYTES
}

/// Children for which a block of so many bytes has room.
pub(super) const fn room_of(bytes: usize) -> usize {
    (bytes - CHILDREN_AT) / CHILD_BYTES
}

#[inline(always)]
fn places(range: Range<usize>) -> Range<usize> {
    bytes_of(range.start)..bytes_of(range.end)
}

/// Number of children.
#[inline(always)]
pub(super) fn len(node: &[u8]) -> usize {
    read_u16(node, COUNT_AT)
}

#[inline(always)]
pub(super) fn set_len(node: &mut [u8], children: usize) {
    [node[COUNT_AT], node[COUNT_AT + 1]] = (children as u16).to_le_bytes();
}

/// What is above an inner node or a leaf.
#[inline(always)]
pub(super) fn parent(node: &[u8]) -> u32 {
    read_u32(node, PARENT_AT)
}

pub(super) fn set_parent(node: &mut [u8], parent: u32) {
    node[PARENT_AT..PARENT_AT + 4].copy_from_slice(&parent.to_le_bytes());
}

/// Child `slot`.
#[inline(always)]
pub(super) fn child(node: &[u8], slot: usize) -> Child {
    debug_assert!(slot < len(node));
    let place = bytes_of(slot);
    Child {
        ordinal: read_u32(node, place),
        elements: read_u32(node, place + 4),
    }
}

#[inline(always)]
pub(super) fn set_child(node: &mut [u8], slot: usize, child: Child) {
    let word = u64::from(child.elements) << 32 | u64::from(child.ordinal);
    let place = node[bytes_of(slot)..].first_chunk_mut();
    *place.expect("a child has a place") = word.to_le_bytes();
}

/// A child as a word.
#[inline(always)]
fn words(node: &[u8]) -> impl ExactSizeIterator<Item = u64> + '_ {
    let (children, _) = node[places(0..len(node))].as_chunks::<CHILD_BYTES>();
    children.iter().map(|&child| u64::from_le_bytes(child))
}

/// All children, in order.
pub(super) fn children(node: &[u8]) -> impl ExactSizeIterator<Item = Child> + '_ {
    words(node).map(|word| Child {
        ordinal: word as u32,
        elements: (word >> 32) as u32,
    })
}

/// Elements below the node.
pub(super) fn elements(node: &[u8]) -> u32 {
    words(node).map(|word| word >> 32).sum::<u64>() as u32
}

/// The child that has element `index` of those below the node, and which of the child's that is; the last child for an index
/// behind all.
#[inline]
pub(super) fn find(node: &[u8], index: u32) -> (usize, u32) {
    let (children, _) = node[places(0..len(node))].as_chunks::<CHILD_BYTES>();
    let elements = |child: &[u8; CHILD_BYTES]| u64::from_le_bytes(*child) >> 32;
    let (mut slot, mut index) = (0, u64::from(index));
    for chunk in children.chunks_exact(SUMMED) {
        let sum = chunk.iter().map(elements).sum();
        if index < sum {
            break;
        }
        index -= sum;
        slot += SUMMED;
    }
    for child in &children[slot..] {
        let elements = elements(child);
        if index < elements {
            return (slot, index as u32);
        }
        index -= elements;
        slot += 1;
    }
    let last = children.len() - 1;
    (last, (index + elements(&children[last])) as u32)
}

/// Which child has this ordinal.
pub(super) fn slot_of(node: &[u8], ordinal: u32) -> Option<usize> {
    children(node).position(|child| child.ordinal == ordinal)
}

/// Puts a child before child `slot`. There must be room.
pub(super) fn insert(node: &mut [u8], slot: usize, child: Child) {
    let count = len(node);
    node.copy_within(places(slot..count), bytes_of(slot + 1));
    set_len(node, count + 1);
    set_child(node, slot, child);
}

/// Takes children out.
pub(super) fn remove(node: &mut [u8], slots: Range<usize>) {
    let count = len(node);
    node.copy_within(places(slots.end..count), bytes_of(slots.start));
    set_len(node, count - slots.len());
}

/// Puts children behind the last. There must be room.
pub(super) fn append(node: &mut [u8], children: &[Child]) {
    for child in children {
        insert(node, len(node), *child);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_found_as_by_counting() {
        for count in [1, 2, 15, 16, 17, 40, 64] {
            let mut node = vec![0; bytes_of(64)];
            let mut homes = Vec::new();
            for slot in 0..count {
                let elements = (slot as u32 * 7) % 5 + 1;
                append(
                    &mut node,
                    &[Child {
                        ordinal: 1000 + slot as u32,
                        elements,
                    }],
                );
                homes.extend((0..elements).map(|at| (slot, at)));
            }
            for (index, &home) in homes.iter().enumerate() {
                assert_eq!(find(&node, index as u32), home);
            }
            let (slot, at) = *homes.last().expect("there are some");
            assert_eq!(find(&node, homes.len() as u32), (slot, at + 1));
            assert_eq!(elements(&node), homes.len() as u32);
            assert_eq!(slot_of(&node, 1000), Some(0));
            remove(&mut node, 0..1);
            assert_eq!((len(&node), slot_of(&node, 1000)), (count - 1, None));
        }
    }
}
