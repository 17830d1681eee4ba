//! Lists as they lie in items, and what changes them: packed in the item itself, or a tree whose number the item has.
//!
//! ```text
//!  packed ── an element more than PACKED_LIST_MAX_ELEMENTS, or than PACKED_LIST_MAX_BYTES of run ──▶ large
//!         ◀── what is left fits half of either, when a command that took some out has ended ──────
//! ```
//! A packed list's block grows with some room, which is pushed to, and becomes shorter when most of it lies idle. What changes
//! a list answers where its item is then; what takes elements out leaves the item where it is, until [`Memory::fit_list`].

use std::ops::Range;

use super::Memory;
use crate::limits::{PACKED_LIST_MAX_BYTES, PACKED_LIST_MAX_ELEMENTS};
use crate::list::{End, Field, Layout, List, ListView, Packed, PackedMut, RUN_HEADER_BYTES};
use crate::nodes::Heap;
use crate::raw::Block;
use crate::{AccessClock, Kind, StoreError};

/// Room of a run that grows: an eighth, but so many bytes at least.
const ROOM_SHIFT: u32 = 3;
const ROOM_MIN_BYTES: usize = 24;
/// What may lie idle beyond half of what is used.
const IDLE_MIN_BYTES: usize = 64;

/// Bytes of a run that uses so many, with its room.
fn with_room(used: usize) -> usize {
    let roomy = used + (used >> ROOM_SHIFT).max(ROOM_MIN_BYTES);
    roomy.min(PACKED_LIST_MAX_BYTES)
}

/// Whether an element so long may lie in a packed list at all.
#[inline(always)]
fn is_short(element: &[u8]) -> bool {
    element.len() <= PACKED_LIST_MAX_BYTES - RUN_HEADER_BYTES
}

/// Whether a packed list may take an element more.
#[inline(always)]
fn takes(run: &Packed<'_>, element: &[u8]) -> bool {
    run.len() < PACKED_LIST_MAX_ELEMENTS && is_short(element)
}

/// A change of a list by an element, in either form.
#[derive(Clone, Copy)]
enum Change<'a> {
    Push(End, &'a [u8]),
    Insert(u32, &'a [u8]),
    Replace(u32, &'a [u8]),
}

impl Change<'_> {
    fn element(&self) -> &[u8] {
        match self {
            Self::Push(_, element) | Self::Insert(_, element) | Self::Replace(_, element) => {
                element
            }
        }
    }

    /// Bytes of the run after it, if the list may stay packed.
    fn run_bytes(&self, run: &Packed<'_>) -> Option<usize> {
        let element = self.element();
        let bytes = match self {
            _ if !is_short(element) => return None,
            Self::Replace(index, _) => {
                run.used_with_other(*index as usize, Field::inline(element).code())
            }
            _ if !takes(run, element) => return None,
            _ => run.used_with(Field::inline(element).code()),
        };
        (bytes <= PACKED_LIST_MAX_BYTES).then_some(bytes)
    }

    /// Makes it in a run; whether there was room.
    fn apply(&self, run: &mut PackedMut<'_>) -> bool {
        match *self {
            Self::Push(end, element) => run.push(end, Field::inline(element)),
            Self::Insert(index, element) => run.insert(index as usize, Field::inline(element)),
            Self::Replace(index, element) => run.replace(index as usize, Field::inline(element)),
        }
    }

    fn apply_to_tree(&self, list: &mut List, heap: &mut Heap) -> Result<(), StoreError> {
        match *self {
            Self::Push(end, element) => list.push(heap, end, element),
            Self::Insert(index, element) => list.insert(heap, index, element),
            Self::Replace(index, element) => list.replace(heap, index, element),
        }
    }
}

impl Memory {
    /// The list of an item.
    #[inline]
    pub(crate) fn list_of(&self, item: Block) -> ListView<'_> {
        match self.packed(item) {
            Some(run) => ListView::Packed(Packed::new(run)),
            None => {
                let number = self.collection_of(item).expect("a list has either form");
                let (list, heap) = self.list(number);
                ListView::Large(list, heap)
            }
        }
    }

    /// Writes a new item whose value is a list of one element.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn create_list(
        &mut self,
        key: &[u8],
        access: AccessClock,
        element: &[u8],
    ) -> Result<Block, StoreError> {
        let bytes = if is_short(element) { element.len() } else { 0 };
        let room = with_room(RUN_HEADER_BYTES + bytes);
        let item = self.create_packed(key, Kind::List, access, room, |run| {
            PackedMut::empty(run);
        })?;
        let pushed = self.push_to_list(item, End::Tail, element);
        if pushed.is_err() {
            self.destroy(item);
        }
        pushed
    }

    /// Adds an element at an end; answers where the item is now.
    ///
    /// # Errors
    /// Memory is out, or the list is as long as one may be; then nothing changed.
    #[inline]
    pub(crate) fn push_to_list(
        &mut self,
        item: Block,
        end: End,
        element: &[u8],
    ) -> Result<Block, StoreError> {
        if let Some(number) = self.collection_of(item) {
            let pushed = self.change_list(number, |list, heap| list.push(heap, end, element));
            return pushed.map(|()| item);
        }
        let mut run = PackedMut::new(self.packed_mut(item));
        if takes(&run.as_packed(), element) && run.push(end, Field::inline(element)) {
            return Ok(item);
        }
        self.grow_list(item, Change::Push(end, element))
    }

    /// Adds an element before element `index`, or behind the last; answers where the item is now.
    ///
    /// # Errors
    /// As [`Self::push_to_list`].
    pub(crate) fn insert_into_list(
        &mut self,
        item: Block,
        index: u32,
        element: &[u8],
    ) -> Result<Block, StoreError> {
        self.change_list_of(item, Change::Insert(index, element))
    }

    /// Makes element `index`, which there is, another one; answers where the item is now.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn replace_in_list(
        &mut self,
        item: Block,
        index: u32,
        element: &[u8],
    ) -> Result<Block, StoreError> {
        self.change_list_of(item, Change::Replace(index, element))
    }

    fn change_list_of(&mut self, item: Block, change: Change<'_>) -> Result<Block, StoreError> {
        if let Some(number) = self.collection_of(item) {
            let changed = self.change_list(number, |list, heap| change.apply_to_tree(list, heap));
            return changed.map(|()| item);
        }
        let mut run = PackedMut::new(self.packed_mut(item));
        if change.run_bytes(&run.as_packed()).is_some() && change.apply(&mut run) {
            return Ok(item);
        }
        self.grow_list(item, change)
    }

    /// Makes a change for which the run of a packed list has no room: in a longer one, or in a tree.
    #[cold]
    #[inline(never)]
    fn grow_list(&mut self, item: Block, change: Change<'_>) -> Result<Block, StoreError> {
        let run = Packed::new(self.packed(item).expect("it is packed"));
        let Some(used) = change.run_bytes(&run) else {
            return self.enlarge_list(item, change);
        };
        let towards = match change {
            Change::Push(end, _) => end,
            _ => End::Tail,
        };
        self.resize_list(item, with_room(used), towards, |run| {
            assert!(change.apply(run), "the run was given the room");
        })
    }

    /// Gives a packed list a run of at least so many bytes, and has `then` change it there.
    fn resize_list(
        &mut self,
        item: Block,
        run_bytes: usize,
        towards: End,
        then: impl FnOnce(&mut PackedMut<'_>),
    ) -> Result<Block, StoreError> {
        self.resize_packed(item, run_bytes, |old, new| {
            let old = Packed::new(old);
            Layout::new(&[(old, 0..old.len())]).write(new, towards);
            then(&mut PackedMut::new(new));
        })
    }

    /// Makes a packed list a large one, with that change.
    fn enlarge_list(&mut self, item: Block, change: Change<'_>) -> Result<Block, StoreError> {
        let owner = self.create_loose(Kind::List, self.variant(item))?;
        let mut run = std::mem::take(&mut self.scratch);
        run.clear();
        run.extend_from_slice(self.packed(item).expect("it is packed"));
        let changed = self.change_list(owner, |list, heap| {
            list.append(heap, Packed::new(&run))?;
            change.apply_to_tree(list, heap)
        });
        self.scratch = run;
        let enlarged = changed.and_then(|()| self.enlarge(item, owner));
        if enlarged.is_err() {
            self.bury_loose(owner);
        }
        enlarged
    }

    /// Takes the element at an end out; what `read` makes of it, `None` if there is none.
    #[inline]
    pub(crate) fn pop_from_list<T>(
        &mut self,
        item: Block,
        end: End,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        if let Some(number) = self.collection_of(item) {
            return self.change_list(number, |list, heap| list.pop(heap, end, read));
        }
        let mut run = PackedMut::new(self.packed_mut(item));
        if run.as_packed().len() == 0 {
            return None;
        }
        let result = read(run.peek(end).bytes());
        run.pop(end);
        Some(result)
    }

    /// Takes the elements `range`, which there are, out.
    pub(crate) fn remove_from_list(&mut self, item: Block, range: Range<u32>) {
        match self.collection_of(item) {
            Some(number) => self.change_list(number, |list, heap| list.remove(heap, range)),
            None => {
                let mut run = PackedMut::new(self.packed_mut(item));
                run.remove(range.start as usize..range.end as usize);
            }
        }
    }

    /// Takes out what a [`Sweep`](crate::list::Sweep) has found.
    pub(crate) fn remove_found(&mut self, item: Block, base: u32, found: &[usize]) {
        match self.collection_of(item) {
            Some(number) => self.change_list(number, |list, heap| {
                list.remove_from_leaf(heap, base, found);
            }),
            None => {
                let mut run = PackedMut::new(self.packed_mut(item));
                found.iter().rev().for_each(|&at| run.remove(at..at + 1));
            }
        }
    }

    /// Elements have gone from a list, though not all: its block becomes shorter if much of it lies idle, or what is left is packed
    /// if it is little; without memory for that, all stays as it is. Answers where the item is now.
    #[inline]
    pub(crate) fn fit_list(&mut self, item: Block) -> Block {
        match self.list_of(item) {
            ListView::Packed(run) => {
                let used = run.used_bytes();
                let is_idle = run.room_bytes() > used / 2 + IDLE_MIN_BYTES;
                match is_idle {
                    true => self.shorten_list(item, used),
                    false => item,
                }
            }
            ListView::Large(list, _) => match list.len() as usize <= PACKED_LIST_MAX_ELEMENTS / 2 {
                true => self.pack_list(item),
                false => item,
            },
        }
    }

    #[cold]
    fn shorten_list(&mut self, item: Block, used: usize) -> Block {
        let resized = self.resize_list(item, with_room(used), End::Tail, |_| ());
        resized.unwrap_or(item)
    }

    /// Packs a large list into its item if that is worth it.
    #[inline(never)]
    fn pack_list(&mut self, item: Block) -> Block {
        let ListView::Large(list, heap) = self.list_of(item) else {
            return item;
        };
        let Some(packed) = list.pack(heap, PACKED_LIST_MAX_BYTES / 2) else {
            return item;
        };
        let packed_item = self.pack(item, with_room(packed.len()), |run| {
            let packed = Packed::new(&packed);
            Layout::new(&[(packed, 0..packed.len())]).write(run, End::Tail);
        });
        packed_item.unwrap_or(item)
    }
}
