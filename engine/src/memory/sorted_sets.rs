//! Sorted sets as they lie in items, and what changes them: packed in the item itself, or a tree whose number the item has.
//!
//! ```text
//!  packed ── a member more than PACKED_SORTED_SET_MAX_MEMBERS, or than PACKED_SORTED_SET_MAX_BYTES of run, or a name ──▶ large
//!            longer than a run takes
//! ```
//! A packed sorted set's block grows with some room, and becomes shorter when much of it lies idle. It becomes a large one inside of
//! the change that exceeds it, and stays one. A change may move its item, and answers where that is.

use std::ops::Range;

use super::Memory;
use super::collections::Structure;
use super::packed::PackedAt;
use crate::item::Variant;
use crate::limits::{PACKED_SORTED_SET_MAX_BYTES, PACKED_SORTED_SET_MAX_MEMBERS};
use crate::nodes::{Heap, Owner};
use crate::raw::Block;
use crate::sorted::run::{self, Body, Entry, NAME_MAX_BYTES, Run, Written};
use crate::sorted::{self, SortedSet, SortedSetView};
use crate::{AccessClock, Direction, Kind, StoreError};

/// Where a sorted set lies, until its item moves or is written anew.
#[derive(Clone, Copy)]
pub(crate) enum SortedAt {
    Packed(PackedAt),
    Large(Owner),
}

/// A member that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) score: f64,
    /// Which it is in a run; of a large one, nothing.
    number: usize,
}

/// A change of one member of a packed sorted set.
#[derive(Clone, Copy)]
enum Change<'a> {
    Add(Entry<'a>),
    /// The member of this number gets another score.
    Score(usize, &'a [u8], f64),
}

/// Bytes of a run that uses so many, with its room: about what its size class rounds up to.
pub(super) fn with_room(used: usize) -> usize {
    (used + (used >> 4))
        .min(PACKED_SORTED_SET_MAX_BYTES)
        .max(used)
}

impl Change<'_> {
    fn apply(&self, bytes: &mut [u8]) -> Written {
        let run = Run::new(bytes);
        match self {
            Self::Add(entry) => {
                let at = sorted::less_than(&run, (entry.score, entry.body.bytes()));
                run::insert(bytes, at, entry)
            }
            Self::Score(number, name, score) => {
                let to = sorted::less_than(&run, (*score, name));
                let to = if to > *number { to - 1 } else { to };
                run::shift(bytes, *number, to, *score)
            }
        }
    }
}

/// Whether a run may have one more member, of this name.
fn takes(run: &Run<'_>, name: &[u8]) -> bool {
    run.len() < PACKED_SORTED_SET_MAX_MEMBERS && name.len() <= NAME_MAX_BYTES
}

/// A member as it lies in a packed sorted set.
fn untagged<'a>((name, score): (&'a [u8], f64)) -> Entry<'a> {
    Entry {
        score,
        tag: 0,
        body: Body::inline(name),
    }
}

/// Adds a member that is not there to a run beside the arena, which may become longer, or gives the one of this number another score;
/// whether it is still a run for an item.
pub(super) fn put_packed(run: &mut Vec<u8>, number: Option<usize>, member: (&[u8], f64)) -> bool {
    let (name, score) = member;
    if run.is_empty() {
        run.resize(run::HEAD_BYTES, 0);
        run::empty(run, false);
    }
    let change = match number {
        Some(number) => Change::Score(number, name, score),
        None if takes(&Run::new(run), name) => Change::Add(untagged(member)),
        None => return false,
    };
    match change.apply(run) {
        Written::Done => true,
        Written::Needs(bytes) if bytes <= PACKED_SORTED_SET_MAX_BYTES => {
            let mut longer = vec![0; (2 * bytes).min(PACKED_SORTED_SET_MAX_BYTES)];
            run::copy(run, &mut longer);
            let written = change.apply(&mut longer);
            assert_eq!(written, Written::Done, "it was given the room");
            *run = longer;
            true
        }
        Written::Needs(_) => false,
    }
}

impl Memory {
    /// Where the sorted set of an item lies.
    #[inline(always)]
    pub(crate) fn sorted_at(&self, item: Block) -> SortedAt {
        match self.packed_at(item) {
            Some(at) => SortedAt::Packed(at),
            None => {
                let owner = self.collection_of(item);
                SortedAt::Large(owner.expect("a sorted set has either form"))
            }
        }
    }

    /// A sorted set to read.
    #[inline(always)]
    pub(crate) fn sorted_view(&self, at: SortedAt) -> SortedSetView<'_> {
        match at {
            SortedAt::Packed(at) => SortedSetView::Packed(Run::new(self.run_at(at))),
            SortedAt::Large(owner) => {
                SortedSetView::Large(self.collections.sorted(owner), &self.heap)
            }
        }
    }

    /// Has `change` change a large sorted set in its memory.
    #[inline]
    pub(crate) fn change_sorted<T>(
        &mut self,
        number: Owner,
        change: impl FnOnce(&mut SortedSet, &mut Heap) -> T,
    ) -> T {
        let Self {
            collections, heap, ..
        } = self;
        collections.change(number, |structure| change(structure.sorted_mut(), heap))
    }

    /// Brings members near, by the hashes of their names.
    pub(crate) fn prefetch_members(&self, members: &[(Owner, u64)]) {
        let all = || {
            let members = members.iter();
            members.map(|&(owner, hash)| (self.collections.sorted(owner), hash))
        };
        all().for_each(|(set, hash)| set.ask_for_word(&self.heap, hash));
        all().for_each(|(set, hash)| set.ask_for_node(&self.heap, hash));
        all().for_each(|(set, hash)| set.ask_for_leaf(&self.heap, hash));
    }

    /// Gives a member of a large sorted set the score that `make` makes of the one that it has, if it is there; which that was.
    ///
    /// # Errors
    /// Memory is out, or there are as many members as there may be; then nothing changed.
    pub(crate) fn update_scored(
        &mut self,
        number: Owner,
        hash_of: &impl Fn(&[u8]) -> u64,
        name: &[u8],
        make: impl FnOnce(Option<f64>) -> f64,
    ) -> Result<Option<f64>, StoreError> {
        let hash = hash_of(name);
        self.change_sorted(number, |set, heap| {
            let was = set.score(heap, hash, name);
            let score = make(was);
            match was {
                None => set.add(heap, hash_of, hash, (name, score))?,
                Some(was) if was.to_bits() == score.to_bits() => {}
                Some(was) => set.change_score(heap, hash_of, hash, name, (was, score))?,
            }
            Ok(was)
        })
    }

    /// Removes the element of this name, if it is there, from a large collection whose elements have names.
    pub(crate) fn remove_named(
        &mut self,
        number: Owner,
        hash_of: &impl Fn(&[u8]) -> u64,
        name: &[u8],
    ) {
        let Self {
            collections, heap, ..
        } = self;
        collections.change(number, |structure| match structure {
            Structure::Sorted(set) => {
                let hash = hash_of(name);
                if let Some(score) = set.score(heap, hash, name) {
                    set.remove(heap, hash_of, hash, (name, score));
                }
            }
            _ => {
                structure.spiral_mut().remove(heap, hash_of, name);
            }
        });
    }

    /// Looks for a member, whose name has this hash.
    #[inline]
    pub(crate) fn known(&self, at: SortedAt, hash: u64, name: &[u8]) -> Option<Known> {
        match self.sorted_view(at) {
            SortedSetView::Packed(run) => {
                let number = sorted::find_in(&run, name)?;
                let score = run.score(number);
                Some(Known { score, number })
            }
            SortedSetView::Large(set, heap) => {
                let score = set.score(heap, hash, name)?;
                Some(Known { score, number: 0 })
            }
        }
    }

    /// Writes a new item whose value is a sorted set of one member, whose name has this hash.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn create_sorted(
        &mut self,
        key: &[u8],
        access: AccessClock,
        hash_of: &impl Fn(&[u8]) -> u64,
        member: (&[u8], f64),
    ) -> Result<Block, StoreError> {
        let (name, score) = member;
        if name.len() <= NAME_MAX_BYTES {
            let bytes = run::bytes_alone(score, name);
            return self.create_packed(key, Kind::SortedSet, access, bytes, |run| {
                run::empty(run, false);
                let written = run::insert(run, 0, &untagged(member));
                assert_eq!(written, Written::Done, "it was given the room");
            });
        }
        let of = (Kind::SortedSet, Variant::default());
        let item = self.create_collection(key, of, access, None)?;
        let owner = self.collection_of(item).expect("that is its value");
        let hash = hash_of(name);
        let added = self.change_sorted(owner, |set, heap| set.add(heap, hash_of, hash, member));
        if let Err(error) = added {
            self.destroy(item);
            return Err(error);
        }
        Ok(item)
    }

    /// Gives a member, whose name has this hash, a score: the one that is `known`, or a new one. Where the item is now.
    ///
    /// # Errors
    /// Memory is out, or there are as many members as there may be; then nothing changed.
    #[inline]
    pub(crate) fn put_member(
        &mut self,
        item: Block,
        at: SortedAt,
        hash_of: &impl Fn(&[u8]) -> u64,
        (hash, known): (u64, Option<Known>),
        (name, score): (&[u8], f64),
    ) -> Result<Block, StoreError> {
        let at = match at {
            SortedAt::Packed(at) => at,
            SortedAt::Large(owner) => {
                self.change_sorted(owner, |set, heap| match known {
                    None => set.add(heap, hash_of, hash, (name, score)),
                    Some(known) => {
                        set.change_score(heap, hash_of, hash, name, (known.score, score))
                    }
                })?;
                return Ok(item);
            }
        };
        let change = match known {
            Some(known) => Change::Score(known.number, name, score),
            None if takes(&Run::new(self.run_at(at)), name) => Change::Add(untagged((name, score))),
            None => return self.enlarge_sorted(at, hash_of, (name, score)),
        };
        let (_, run) = self.packed_mut_at(at);
        match change.apply(run) {
            Written::Done => Ok(item),
            Written::Needs(bytes) if bytes <= PACKED_SORTED_SET_MAX_BYTES => {
                self.resize_packed(item, with_room(bytes), |from, to| {
                    run::copy(from, to);
                    let written = change.apply(to);
                    assert_eq!(written, Written::Done, "it was given the room");
                })
            }
            Written::Needs(_) => self.enlarge_sorted(at, hash_of, (name, score)),
        }
    }

    /// Makes a packed sorted set a large one, in which this member has this score; where the item is now.
    #[cold]
    #[inline(never)]
    fn enlarge_sorted(
        &mut self,
        at: PackedAt,
        hash_of: &impl Fn(&[u8]) -> u64,
        member: (&[u8], f64),
    ) -> Result<Block, StoreError> {
        let variant = self.variant(at.item);
        let run = self.run_at(at).to_vec();
        let owner = self.unpack_sorted(&run, hash_of, variant, member)?;
        let enlarged = self.enlarge(at.item, owner);
        if enlarged.is_err() {
            self.bury_loose(owner);
        }
        enlarged
    }

    /// A large sorted set that no item has, of the members of a run, of whom this one has this score.
    ///
    /// # Errors
    /// Memory is out.
    pub(super) fn unpack_sorted(
        &mut self,
        run: &[u8],
        hash_of: &impl Fn(&[u8]) -> u64,
        variant: Variant,
        member: (&[u8], f64),
    ) -> Result<Owner, StoreError> {
        let owner = self.create_loose(Kind::SortedSet, variant)?;
        let unpacked = self.change_sorted(owner, |set, heap| {
            let run = Run::new(run);
            let others = run.entries(0..run.len());
            let others = others.filter(|entry| entry.body.bytes() != member.0);
            let mut members = others.map(|entry| (entry.body.bytes(), entry.score));
            let mut add = |member: (&[u8], f64)| {
                let hash = hash_of(member.0);
                set.add(heap, hash_of, hash, member)
            };
            members.try_for_each(&mut add)?;
            add(member)
        });
        if let Err(error) = unpacked {
            self.bury_loose(owner);
            return Err(error);
        }
        Ok(owner)
    }

    /// Removes a member that is there; where the item is now.
    #[inline]
    pub(crate) fn remove_member(
        &mut self,
        item: Block,
        at: SortedAt,
        hash_of: &impl Fn(&[u8]) -> u64,
        (hash, known): (u64, Known),
        name: &[u8],
    ) -> Block {
        match at {
            SortedAt::Large(owner) => {
                self.change_sorted(owner, |set, heap| {
                    set.remove(heap, hash_of, hash, (name, known.score));
                });
                item
            }
            SortedAt::Packed(at) => self.remove_packed(at, known.number..known.number + 1),
        }
    }

    /// How many of the members `range` of ranks, which there are, may be removed [together](Self::remove_together).
    pub(crate) fn together(&self, at: SortedAt, range: Range<u64>) -> u64 {
        match self.sorted_view(at) {
            SortedSetView::Packed(_) => range.end - range.start,
            SortedSetView::Large(set, heap) => set.together(heap, range),
        }
    }

    /// Removes the members `range` of ranks; where the item is now.
    pub(crate) fn remove_together(
        &mut self,
        item: Block,
        at: SortedAt,
        hash_of: &impl Fn(&[u8]) -> u64,
        range: Range<u64>,
    ) -> Block {
        match at {
            SortedAt::Large(owner) => {
                self.change_sorted(owner, |set, heap| {
                    set.remove_together(heap, hash_of, range);
                });
                item
            }
            SortedAt::Packed(at) => {
                self.remove_packed(at, range.start as usize..range.end as usize)
            }
        }
    }

    /// Removes the member that a walk in this direction shows first, whose name has this hash; where the item is now.
    pub(crate) fn remove_first(
        &mut self,
        item: Block,
        at: SortedAt,
        hash_of: &impl Fn(&[u8]) -> u64,
        (hash, direction): (u64, Direction),
    ) -> Block {
        match at {
            SortedAt::Large(owner) => {
                self.change_sorted(owner, |set, heap| {
                    set.remove_first(heap, hash_of, hash, direction);
                });
                item
            }
            SortedAt::Packed(at) => {
                let number = match direction {
                    Direction::Up => 0,
                    Direction::Down => Run::new(self.run_at(at)).len() - 1,
                };
                self.remove_packed(at, number..number + 1)
            }
        }
    }

    fn remove_packed(&mut self, at: PackedAt, range: Range<usize>) -> Block {
        let (_, run) = self.packed_mut_at(at);
        run::remove(run, range);
        let run = Run::new(run);
        let used = run.used_bytes();
        if run.capacity() - used > (used >> 3) + 32 {
            // Without memory for a shorter block, the long one does.
            if let Ok(moved) = self.resize_packed(at.item, with_room(used), run::copy) {
                return moved;
            }
        }
        at.item
    }
}
