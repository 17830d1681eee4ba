//! Inner nodes: children with their first member and the number of members below.
//!
//! ```text
//!  0      1       5         9       11
//! +------+-------+---------+-------+--------+----------+----------+---------+
//! | mark | owner | ordinal | count | scores | prefixes | ordinals | members |   columns, with room for as many as the block takes
//! +------+-------+---------+-------+--------+----------+----------+---------+
//!                                    8 each   8 each     4 each     4 each
//! ```
//! A score and a prefix, eight bytes of the name, are those of the first member below. Where both are equal to what is looked for, the
//! member itself is asked. Nobody looks at those of a node's first child, which are kept up unless the first leaf of all is below. Columns,
//! so that a search by score and the sum of a rank each read one of them.

use std::ops::Range;

use crate::nodes::{NODE_HEAD_BYTES, read_u16, read_u32};

const COUNT_AT: usize = NODE_HEAD_BYTES;
const COLUMNS_AT: usize = COUNT_AT + 2;
/// Bytes of a child.
const CHILD_BYTES: usize = 24;

/// What is less by it, is less in the order of names; what is equal may be either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix(u64);

impl Prefix {
    /// The prefix of a name.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        Self(match name.first_chunk() {
            Some(first) => u64::from_be_bytes(*first),
            None => {
                let mut first = [0; 8];
                first[..name.len()].copy_from_slice(name);
                u64::from_be_bytes(first)
            }
        })
    }
}

/// The first member below a child, as far as it is written above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bottom {
    pub(super) score: f64,
    pub(super) prefix: Prefix,
}

/// A child of an inner node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Child {
    pub(super) ordinal: u32,
    pub(super) members: u32,
    pub(super) bottom: Bottom,
}

/// Bytes of a node with room for so many children.
pub(super) const fn bytes_of(children: usize) -> usize {
    COLUMNS_AT + children * CHILD_BYTES
}

/// Children for which so many bytes have room.
#[inline(always)]
pub(super) const fn room_of(bytes: usize) -> usize {
    (bytes - COLUMNS_AT) / CHILD_BYTES
}

/// A node to read: all the bytes of its block.
#[derive(Clone, Copy)]
pub(super) struct Inner<'a>(pub(super) &'a [u8]);

impl Inner<'_> {
    /// Number of children.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        read_u16(self.0, COUNT_AT)
    }

    #[inline(always)]
    fn room(&self) -> usize {
        room_of(self.0.len())
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(*self.0[at..].first_chunk().expect("a column is so long"))
    }

    #[inline(always)]
    pub(super) fn score(&self, slot: usize) -> f64 {
        f64::from_bits(self.word(COLUMNS_AT + 8 * slot))
    }

    /// Which children, but for the first, have first members of this score: the first of them and the one behind the last.
    #[inline]
    pub(super) fn of_score(&self, score: f64) -> Range<usize> {
        let (scores, _) = self.0[COLUMNS_AT..COLUMNS_AT + 8 * self.len()].as_chunks::<8>();
        let of = |slot: &[u8; 8]| f64::from_bits(u64::from_le_bytes(*slot));
        let others = scores.get(1..).unwrap_or_default();
        let start = others.partition_point(|slot| of(slot) < score);
        let behind = &others[start..];
        let is_one = behind.first().is_some_and(|slot| of(slot) == score);
        let equal = match is_one {
            true => behind.partition_point(|slot| of(slot) <= score),
            false => 0,
        };
        1 + start..1 + start + equal
    }

    #[inline(always)]
    pub(super) fn prefix(&self, slot: usize) -> Prefix {
        Prefix(self.word(COLUMNS_AT + 8 * (self.room() + slot)))
    }

    #[inline(always)]
    pub(super) fn ordinal(&self, slot: usize) -> u32 {
        debug_assert!(slot < self.len());
        read_u32(self.0, COLUMNS_AT + 16 * self.room() + 4 * slot)
    }

    /// The numbers of members below each child.
    #[inline(always)]
    fn members(&self) -> &[[u8; 4]] {
        let start = COLUMNS_AT + 20 * self.room();
        let (members, _) = self.0[start..start + 4 * self.len()].as_chunks();
        members
    }

    /// Child `slot`.
    pub(super) fn child(&self, slot: usize) -> Child {
        Child {
            ordinal: self.ordinal(slot),
            members: u32::from_le_bytes(self.members()[slot]),
            bottom: Bottom {
                score: self.score(slot),
                prefix: self.prefix(slot),
            },
        }
    }

    pub(super) fn children(&self) -> impl ExactSizeIterator<Item = Child> + '_ {
        (0..self.len()).map(|slot| self.child(slot))
    }

    /// Members below the children before this one.
    #[inline]
    pub(super) fn members_before(&self, slot: usize) -> u64 {
        let members = self.members()[..slot].iter();
        members
            .map(|&members| u64::from(u32::from_le_bytes(members)))
            .sum()
    }

    /// Members below all.
    pub(super) fn all_members(&self) -> u64 {
        self.members_before(self.len())
    }

    /// The child that has member `rank` of those below the node, and which of the child's that is; the last child for a rank
    /// behind all.
    #[inline]
    pub(super) fn find_rank(&self, rank: u64) -> (usize, u64) {
        let members = self.members();
        let (mut slot, mut rank) = (0, rank);
        while slot + 1 < members.len() {
            let members = u64::from(u32::from_le_bytes(members[slot]));
            if rank < members {
                break;
            }
            rank -= members;
            slot += 1;
        }
        (slot, rank)
    }
}

/// The bytes of a column, and how many each child has there.
#[inline(always)]
fn columns(room: usize) -> [(usize, usize); 4] {
    [
        (COLUMNS_AT, 8),
        (COLUMNS_AT + 8 * room, 8),
        (COLUMNS_AT + 16 * room, 4),
        (COLUMNS_AT + 20 * room, 4),
    ]
}

pub(super) fn set_len(node: &mut [u8], children: usize) {
    [node[COUNT_AT], node[COUNT_AT + 1]] = (children as u16).to_le_bytes();
}

/// Writes child `slot`.
pub(super) fn set_child(node: &mut [u8], slot: usize, child: &Child) {
    set_bottom(node, slot, &child.bottom);
    let halves = [child.ordinal, child.members];
    let [_, _, ordinals, members] = columns(room_of(node.len()));
    for ((at, _), half) in [ordinals, members].into_iter().zip(halves) {
        node[at + 4 * slot..at + 4 * slot + 4].copy_from_slice(&half.to_le_bytes());
    }
}

/// Child `slot` has another first member.
#[inline]
pub(super) fn set_bottom(node: &mut [u8], slot: usize, bottom: &Bottom) {
    let [scores, prefixes, ..] = columns(room_of(node.len()));
    let words = [bottom.score.to_bits(), bottom.prefix.0];
    for ((at, _), word) in [scores, prefixes].into_iter().zip(words) {
        node[at + 8 * slot..at + 8 * slot + 8].copy_from_slice(&word.to_le_bytes());
    }
}

/// Child `slot` has so many members more, or fewer.
#[inline(always)]
pub(super) fn count(node: &mut [u8], slot: usize, change: i64) {
    let at = COLUMNS_AT + 20 * room_of(node.len()) + 4 * slot;
    let members = (i64::from(read_u32(node, at)) + change) as u32;
    node[at..at + 4].copy_from_slice(&members.to_le_bytes());
}

/// Child `slot` has another ordinal.
pub(super) fn set_ordinal(node: &mut [u8], slot: usize, ordinal: u32) {
    let at = COLUMNS_AT + 16 * room_of(node.len()) + 4 * slot;
    node[at..at + 4].copy_from_slice(&ordinal.to_le_bytes());
}

/// Puts a child before child `slot`. There must be room.
pub(super) fn insert(node: &mut [u8], slot: usize, child: &Child) {
    let count = Inner(node).len();
    debug_assert!(count < room_of(node.len()));
    for (at, width) in columns(room_of(node.len())) {
        node.copy_within(
            at + slot * width..at + count * width,
            at + (slot + 1) * width,
        );
    }
    set_len(node, count + 1);
    set_child(node, slot, child);
}

/// Takes children out.
pub(super) fn remove(node: &mut [u8], slots: Range<usize>) {
    let count = Inner(node).len();
    for (at, width) in columns(room_of(node.len())) {
        node.copy_within(
            at + slots.end * width..at + count * width,
            at + slots.start * width,
        );
    }
    set_len(node, count - slots.len());
}

/// Puts children behind the last. There must be room.
pub(super) fn append(node: &mut [u8], children: &[Child]) {
    for child in children {
        let count = Inner(node).len();
        insert(node, count, child);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_come_and_go_and_a_rank_is_found_as_by_counting() {
        let mut node = vec![0; bytes_of(20) + 7];
        let child = |number: u32| Child {
            ordinal: 1000 + number,
            members: number * 7 % 5 + 1,
            bottom: Bottom {
                score: f64::from(number),
                prefix: Prefix::of(&number.to_be_bytes()),
            },
        };
        append(&mut node, &[child(2), child(4)]);
        insert(&mut node, 1, &child(3));
        insert(&mut node, 0, &child(1));
        let numbers = |node: &[u8]| {
            let node = Inner(node);
            let children = node.children();
            children
                .map(|child| child.ordinal - 1000)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(&node), [1, 2, 3, 4]);
        let mut homes = Vec::new();
        for (slot, is) in Inner(&node).children().enumerate() {
            assert_eq!(is, child(slot as u32 + 1));
            homes.extend((0..u64::from(is.members)).map(|at| (slot, at)));
        }
        for (rank, &home) in homes.iter().enumerate() {
            assert_eq!(Inner(&node).find_rank(rank as u64), home);
        }
        assert_eq!(Inner(&node).all_members(), homes.len() as u64);
        remove(&mut node, 1..3);
        assert_eq!(numbers(&node), [1, 4]);
    }

    #[test]
    fn prefixes_are_in_the_order_of_names() {
        let names: [&[u8]; 6] = [b"", b"a", b"a\0", b"ab", b"abcdefgh", b"abcdefghi"];
        for pair in names.windows(2) {
            assert!(Prefix::of(pair[0]) <= Prefix::of(pair[1]));
        }
        assert!(Prefix::of(b"ab") < Prefix::of(b"b"));
    }
}
