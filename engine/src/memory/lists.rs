//! Lists as they lie in items, and what changes them: packed in the item itself, or a tree whose number the item has.
//!
//! ```text
//!  packed ── an element more than PACKED_LIST_MAX_ELEMENTS, or than PACKED_LIST_MAX_BYTES of run ──▶ large
//!         ◀── what is left fits half of either, when a command that took some out has ended ──────
//! ```
//! A packed list's block grows with some room, which is pushed to, and becomes shorter when most of it lies idle. What adds to a
//! list may move its item, and says so in its [`ListPlace`]; what takes elements out leaves the item where it is, until
//! [`Memory::fit_list`].

use std::ops::Range;

use super::Memory;
use super::packed::VARIANT_BYTES;
use crate::item::{Layout as ItemLayout, Variant};
use crate::limits::{PACKED_LIST_MAX_BYTES, PACKED_LIST_MAX_ELEMENTS};
use crate::list::{End, Field, Layout, List, ListView, Packed, PackedMut, RUN_HEADER_BYTES};
use crate::nodes::{Heap, Owner};
use crate::raw::Block;
use crate::{AccessClock, Kind, StoreError};

/// Room of a run that grows: an eighth, but so many bytes at least.
const ROOM_SHIFT: u32 = 3;
const ROOM_MIN_BYTES: usize = 40;
/// What may lie idle beyond half of what is used.
const IDLE_MIN_BYTES: usize = 128;

/// Bytes of a run that uses so many, with its room.
pub(super) fn with_room(used: usize) -> usize {
    let roomy = used + (used >> ROOM_SHIFT).max(ROOM_MIN_BYTES);
    roomy.min(PACKED_LIST_MAX_BYTES)
}

/// Whether an element so long may lie in a packed list at all.
#[inline(always)]
pub(super) fn is_short(element: &[u8]) -> bool {
    element.len() <= PACKED_LIST_MAX_BYTES - RUN_HEADER_BYTES
}

/// Whether a list may be in too long a block, or, if it may be packed, in a tree though it is short.
#[inline]
pub(crate) fn fits_ill(list: &ListView<'_>, may_pack: bool) -> bool {
    match list {
        ListView::Packed(run) => run.room_bytes() > run.used_bytes() / 2 + IDLE_MIN_BYTES,
        ListView::Large(list, _) => may_pack && list.len() as usize <= PACKED_LIST_MAX_ELEMENTS / 2,
    }
}

/// Whether a packed list may take an element more.
#[inline(always)]
pub(super) fn takes(run: &Packed<'_>, element: &[u8]) -> bool {
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

/// Where a list lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListPlace {
    item: Block,
    form: ListForm,
}

#[derive(Clone, Copy, Debug)]
enum ListForm {
    /// A run from here to there in the item.
    Packed(usize, usize),
    Large(Owner),
}

impl ListPlace {
    /// Its item.
    #[inline]
    pub(crate) fn item(&self) -> Block {
        self.item
    }
}

impl Memory {
    /// Where the list of an item lies.
    #[inline(always)]
    pub(crate) fn list_at(&self, item: Block) -> ListPlace {
        let bytes = self.heap.arena.tail(item);
        let layout = ItemLayout::read(bytes);
        let form = match layout.collection(bytes) {
            Some(number) => ListForm::Large(number),
            None => ListForm::Packed(layout.value_at + VARIANT_BYTES, layout.total),
        };
        ListPlace { item, form }
    }

    /// A list to read.
    #[inline(always)]
    pub(crate) fn list_view(&self, at: &ListPlace) -> ListView<'_> {
        match at.form {
            ListForm::Large(number) => ListView::Large(self.collections.list(number), &self.heap),
            ListForm::Packed(from, to) => {
                ListView::Packed(Packed::new(&self.heap.arena.tail(at.item)[from..to]))
            }
        }
    }

    /// The run of a packed list.
    #[inline(always)]
    fn run_mut(&mut self, at: &ListPlace) -> Result<PackedMut<'_>, Owner> {
        match at.form {
            ListForm::Large(number) => Err(number),
            ListForm::Packed(from, to) => {
                let bytes = &mut self.heap.arena.tail_mut(at.item)[from..to];
                Ok(PackedMut::new(bytes))
            }
        }
    }

    /// What a list says of itself.
    #[inline(always)]
    pub(crate) fn list_variant(&self, at: &ListPlace) -> Variant {
        match at.form {
            ListForm::Large(number) => self.collections.root(number).variant,
            ListForm::Packed(from, _) => {
                Variant(self.heap.arena.tail(at.item)[from - VARIANT_BYTES])
            }
        }
    }

    /// A list says something else of itself.
    pub(crate) fn set_list_variant(&mut self, at: &ListPlace, variant: Variant) {
        match at.form {
            ListForm::Large(number) => self.set_variant(number, variant),
            ListForm::Packed(..) => self.set_packed_variant(at.item, variant),
        }
    }

    /// A list's item is in this block now.
    fn list_moved(&self, at: &mut ListPlace, item: Block) {
        *at = self.list_at(item);
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
    ) -> Result<ListPlace, StoreError> {
        let bytes = if is_short(element) { element.len() } else { 0 };
        let room = with_room(RUN_HEADER_BYTES + bytes);
        let item = self.create_packed(key, Kind::List, access, room, |run| {
            PackedMut::empty(run);
        })?;
        let mut at = self.list_at(item);
        let pushed = self.push_to_list(&mut at, End::Tail, element);
        if pushed.is_err() {
            self.destroy(item);
        }
        pushed.map(|()| at)
    }

    /// Adds an element at an end.
    ///
    /// # Errors
    /// Memory is out, or the list is as long as one may be; then nothing changed.
    #[inline]
    pub(crate) fn push_to_list(
        &mut self,
        at: &mut ListPlace,
        end: End,
        element: &[u8],
    ) -> Result<(), StoreError> {
        match self.run_mut(at) {
            Err(number) => {
                return self.change_list(number, |list, heap| list.push(heap, end, element));
            }
            Ok(mut run) => {
                if takes(&run.as_packed(), element) && run.push(end, Field::inline(element)) {
                    return Ok(());
                }
            }
        }
        self.grow_list(at, Change::Push(end, element))
    }

    /// Adds an element before element `index`, or behind the last.
    ///
    /// # Errors
    /// As [`Self::push_to_list`].
    pub(crate) fn insert_into_list(
        &mut self,
        at: &mut ListPlace,
        index: u32,
        element: &[u8],
    ) -> Result<(), StoreError> {
        self.change_list_at(at, Change::Insert(index, element))
    }

    /// Makes element `index`, which there is, another one.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn replace_in_list(
        &mut self,
        at: &mut ListPlace,
        index: u32,
        element: &[u8],
    ) -> Result<(), StoreError> {
        self.change_list_at(at, Change::Replace(index, element))
    }

    fn change_list_at(&mut self, at: &mut ListPlace, change: Change<'_>) -> Result<(), StoreError> {
        match self.run_mut(at) {
            Err(number) => {
                return self.change_list(number, |list, heap| change.apply_to_tree(list, heap));
            }
            Ok(mut run) => {
                if change.run_bytes(&run.as_packed()).is_some() && change.apply(&mut run) {
                    return Ok(());
                }
            }
        }
        self.grow_list(at, change)
    }

    /// Makes a change for which the run of a packed list has no room: in a longer one, or in a tree.
    #[cold]
    #[inline(never)]
    fn grow_list(&mut self, at: &mut ListPlace, change: Change<'_>) -> Result<(), StoreError> {
        let run = Packed::new(self.packed(at.item).expect("it is packed"));
        let item = match change.run_bytes(&run) {
            None => self.enlarge_list(at, change)?,
            Some(used) => {
                let towards = match change {
                    Change::Push(end, _) => end,
                    _ => End::Tail,
                };
                self.resize_list(at.item, with_room(used), towards, |run| {
                    assert!(change.apply(run), "the run was given the room");
                })?
            }
        };
        self.list_moved(at, item);
        Ok(())
    }

    /// Gives a packed list a run of at least so many bytes, and has `then` change it there; answers where the item is now.
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

    /// Makes a packed list a large one, with that change; answers where the item is now.
    fn enlarge_list(&mut self, at: &ListPlace, change: Change<'_>) -> Result<Block, StoreError> {
        let owner = self.create_loose(Kind::List, self.list_variant(at))?;
        let mut run = std::mem::take(&mut self.scratch);
        run.clear();
        run.extend_from_slice(self.packed(at.item).expect("it is packed"));
        let changed = self.change_list(owner, |list, heap| {
            list.unpack(heap, Packed::new(&run))?;
            change.apply_to_tree(list, heap)
        });
        self.scratch = run;
        let enlarged = changed.and_then(|()| self.enlarge(at.item, owner));
        if enlarged.is_err() {
            self.bury_loose(owner);
        }
        enlarged
    }

    /// Takes the element at an end out; what `read` makes of it, `None` if there is none.
    #[inline]
    pub(crate) fn pop_from_list<T>(
        &mut self,
        at: &ListPlace,
        end: End,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let mut run = match self.run_mut(at) {
            Err(number) => {
                return self.change_list(number, |list, heap| list.pop(heap, end, read));
            }
            Ok(run) => run,
        };
        if run.as_packed().len() == 0 {
            return None;
        }
        let result = read(run.peek(end).bytes());
        run.pop(end);
        Some(result)
    }

    /// Takes the elements `range`, which there are, out.
    pub(crate) fn remove_from_list(&mut self, at: &ListPlace, range: Range<u32>) {
        match self.run_mut(at) {
            Err(number) => self.change_list(number, |list, heap| list.remove(heap, range)),
            Ok(mut run) => run.remove(range.start as usize..range.end as usize),
        }
    }

    /// Takes out what a [`Sweep`](crate::list::Sweep) has found.
    pub(crate) fn remove_found(&mut self, at: &ListPlace, base: u32, found: &[usize]) {
        match self.run_mut(at) {
            Err(number) => self.change_list(number, |list, heap| {
                list.remove_from_leaf(heap, base, found);
            }),
            Ok(mut run) => found.iter().rev().for_each(|&at| run.remove(at..at + 1)),
        }
    }

    /// Elements have gone from a list that [`fits_ill`]: its block becomes shorter, or it is packed if all is so little; without
    /// memory for that, it stays as it is.
    #[cold]
    #[inline(never)]
    pub(crate) fn fit_list(&mut self, at: &mut ListPlace) {
        let fitted = match self.list_view(at) {
            ListView::Packed(run) => {
                let room = with_room(run.used_bytes());
                self.resize_list(at.item, room, End::Tail, |_| ())
            }
            ListView::Large(list, heap) => match list.pack(heap, PACKED_LIST_MAX_BYTES / 2) {
                Some(packed) => self.pack(at.item, with_room(packed.len()), |run| {
                    let packed = Packed::new(&packed);
                    Layout::new(&[(packed, 0..packed.len())]).write(run, End::Tail);
                }),
                None => return,
            },
        };
        if let Ok(item) = fitted {
            self.list_moved(at, item);
        }
    }
}
