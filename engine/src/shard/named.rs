//! Elements by name while a command changes them: what hashes and sets have in common.
//!
//! ```text
//!  put ─▶ find the element, once ─▶ packed: written where it is ── no room ──▶ a longer run ── too long ──▶ large
//!                               └─▶ large: its node
//! ```
//! A packed collection becomes a large one inside of the change that exceeds it, and stays one. What a change is told as, before and in
//! its record, is for the type to say; deadlines are, too.

mod near;

pub use near::FieldAhead;
pub(super) use near::prefetch_to_read;

use super::{Open, Shard};
use crate::item::Variant;
use crate::journal::{Element, Event};
use crate::limits::{MAX_KEY_BYTES, PACKED_HASH_MAX_BYTES};
use crate::memory::{Named, PackedAt};
use crate::nodes::Owner;
use crate::raw::Block;
use crate::spiral::packed::{self, Packed, Written};
use crate::spiral::{ElementRef, Place};
use crate::{DbIndex, Key, Kind, StoreError, UnixMillis, WrongType};

/// The hash or set of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub(super) struct NamedMut<'a> {
    pub(super) open: Open<'a>,
    pub(super) at: At,
    kind: Kind,
}

/// Whether something was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was not.
    Added,
    /// It was.
    Replaced,
}

/// Where a collection is.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// There is none.
    Nowhere,
    Packed(PackedAt),
    Large(Owner),
}

/// Where an element is, or is to be, until the collection changes.
#[derive(Clone, Copy)]
pub(super) enum Spot {
    Nowhere,
    /// Which element it is, if it is there.
    Packed(PackedAt, Option<usize>),
    Large(Owner, Place),
}

/// What is known of an element once it is looked for.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) hash: u64,
    pub(super) spot: Spot,
    /// The deadline it has, if it is there; one past it is not.
    pub(super) live: Option<Option<UnixMillis>>,
    /// Whether the element that is there has a deadline, perhaps past.
    pub(super) ends: bool,
}

/// A change of one element.
#[derive(Clone, Copy)]
enum Change<'a> {
    /// It holds this, in the place of the element of this number or as one more.
    Put(Option<usize>, u64, ElementRef<'a>),
    /// The element of this number has another deadline.
    Deadline(usize, Option<UnixMillis>),
}

impl Change<'_> {
    #[inline(always)]
    fn apply(&self, run: &mut [u8]) -> Written {
        match self {
            Self::Put(at, hash, element) => packed::put(run, *at, *hash, element),
            Self::Deadline(at, deadline) => packed::set_deadline(run, *at, *deadline),
        }
    }
}

impl Shard {
    /// The named elements at a key, to change, which is a use of them. What is not there is made by the first of them.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline(always)]
    pub(super) fn named_mut<'a>(
        &'a mut self,
        db: DbIndex,
        key: Key<'a>,
        kind: Kind,
    ) -> Result<NamedMut<'a>, WrongType> {
        let open = self.open(db, key, kind)?;
        let at = match open.item {
            None => At::Nowhere,
            Some(item) => open.shard.named_at(item),
        };
        Ok(NamedMut { open, at, kind })
    }

    #[inline(always)]
    fn named_at(&self, item: Block) -> At {
        match self.memory.packed_at(item) {
            Some(at) => At::Packed(at),
            None => {
                let owner = self.memory.collection_of(item);
                At::Large(owner.expect("named elements have either form"))
            }
        }
    }
}

impl NamedMut<'_> {
    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.open.item.is_some()
    }

    /// Number of elements, those past their deadline and not yet removed included.
    #[inline]
    pub(super) fn len(&self) -> u64 {
        let memory = &self.open.shard.memory;
        match self.at {
            At::Nowhere => 0,
            At::Packed(at) => Packed::new(memory.run_at(at)).len() as u64,
            At::Large(owner) => memory.spiral(owner).0.len(),
        }
    }

    /// Whether there is no element.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks for an element; what it is, unless it is past its deadline.
    #[inline(always)]
    pub(super) fn find(&self, name: &[u8]) -> (Found, Option<ElementRef<'_>>) {
        let shard = &*self.open.shard;
        let hash = shard.hasher.hash(name);
        let (spot, element) = match self.at {
            At::Nowhere => (Spot::Nowhere, None),
            At::Packed(at) => {
                let run = Packed::new(shard.memory.run_at(at));
                let (number, element) = run.find(hash, name).unzip();
                (Spot::Packed(at, number), element)
            }
            At::Large(owner) => {
                let (spiral, heap) = shard.memory.spiral(owner);
                let (place, element) = spiral.find(heap, hash, name);
                (Spot::Large(owner, place), element)
            }
        };
        let now = shard.now;
        let ends = element.is_some_and(|element| element.deadline.is_some());
        let element = element.filter(|element| element.deadline.is_none_or(|at| at > now));
        let live = element.map(|element| element.deadline);
        let found = Found {
            hash,
            spot,
            live,
            ends,
        };
        (found, element)
    }

    /// So many of the records just made count as so many changes.
    pub(super) fn count_as(&mut self, records: u64, changes: u64) {
        self.open.shard.journal.count_as(records, changes);
    }

    /// Puts an element where it was found or not, of which somebody is told before by what its record will say. With deadlines, the
    /// caller has noted times, and made a place.
    ///
    /// # Errors
    /// Name, value or key are too large, or memory is out; then nothing changed.
    #[inline(always)]
    pub(super) fn put(
        &mut self,
        found: &Found,
        element: &ElementRef<'_>,
        told: &Element<'_>,
    ) -> Result<(), StoreError> {
        match found.spot {
            Spot::Nowhere => self.create(found.hash, element),
            Spot::Packed(at, number) => {
                self.open.before(told);
                self.change_packed(at, &Change::Put(number, found.hash, *element))
            }
            Spot::Large(owner, place) => {
                self.open.before(told);
                let shard = &mut *self.open.shard;
                shard.put_large(owner, Some((found.hash, place)), *element)
            }
        }
    }

    /// Makes the collection, of one element.
    #[cold]
    #[inline(never)]
    fn create(&mut self, hash: u64, element: &ElementRef<'_>) -> Result<(), StoreError> {
        let key = self.open.key.bytes();
        if key.len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.open.before_new();
        let shard = &mut *self.open.shard;
        let bytes = key.len() + element.name.len() + element.value.len();
        let access = shard.history_of_coming(self.open.key.hash(), bytes);
        let item = match packed::bytes_alone(element) {
            Some(bytes) => {
                let memory = &mut shard.memory;
                memory.create_packed(key, self.kind, access, bytes, |run| {
                    packed::clear(run);
                    packed::put(run, None, hash, element);
                })?
            }
            None => {
                let of = (self.kind, Variant::default());
                let item = shard.memory.create_collection(key, of, access, None)?;
                let owner = shard.memory.collection_of(item);
                let owner = owner.expect("that is its value");
                if let Err(error) = shard.put_large(owner, None, *element) {
                    shard.memory.destroy(item);
                    return Err(error);
                }
                item
            }
        };
        self.open.attach(item)?;
        self.at = self.open.shard.named_at(item);
        Ok(())
    }

    /// Changes an element of a packed collection.
    #[inline(always)]
    fn change_packed(&mut self, at: PackedAt, change: &Change<'_>) -> Result<(), StoreError> {
        let (_, run) = self.open.shard.memory.packed_mut_at(at);
        match change.apply(run) {
            Written::Done => Ok(()),
            Written::Shrunk => {
                self.shorten(at);
                Ok(())
            }
            Written::Needs(needed, _) if needed > PACKED_HASH_MAX_BYTES => self.enlarge(at, change),
            Written::Needs(_, bytes) => self.grow(at, bytes.min(PACKED_HASH_MAX_BYTES), change),
            Written::TooLong => self.enlarge(at, change),
        }
    }

    /// Makes a change of a packed collection for which its run has no room.
    #[inline(never)]
    fn grow(&mut self, at: PackedAt, bytes: usize, change: &Change<'_>) -> Result<(), StoreError> {
        let memory = &mut self.open.shard.memory;
        let moved = memory.resize_packed(at.item, bytes, |from, to| {
            packed::copy(from, to);
            let written = change.apply(to);
            debug_assert!(
                !matches!(written, Written::Needs(..)),
                "it was given the room"
            );
        })?;
        self.moved(moved);
        Ok(())
    }

    /// The item is elsewhere now.
    fn moved(&mut self, to: Block) {
        self.open.moved(to);
        self.at = self.open.shard.named_at(to);
    }

    /// Gives a run that has become much too long a shorter block.
    #[inline(always)]
    fn shorten(&mut self, at: PackedAt) {
        let memory = &mut self.open.shard.memory;
        if let Some(bytes) = Packed::new(memory.run_at(at)).shorter() {
            // Without memory for that, the long one does.
            if let Ok(moved) = memory.resize_packed(at.item, bytes, packed::copy) {
                self.moved(moved);
            }
        }
    }

    /// Makes a packed collection a large one, with that change.
    #[cold]
    #[inline(never)]
    fn enlarge(&mut self, at: PackedAt, change: &Change<'_>) -> Result<(), StoreError> {
        let shard = &mut *self.open.shard;
        let variant = shard.memory.variant(at.item);
        let run = shard.memory.run_at(at).to_vec();
        let run = Packed::new(&run);
        let changed = match *change {
            Change::Put(_, _, element) => element,
            Change::Deadline(number, deadline) => ElementRef {
                deadline,
                ..run.element(number)
            },
        };
        let owner = shard.memory.create_loose(self.kind, variant)?;
        let mut moved = Ok(());
        run.for_each(|element| {
            if moved.is_ok() {
                moved = shard.put_large(owner, None, element);
            }
        });
        let moved = moved
            .and_then(|()| shard.put_large(owner, None, changed))
            .and_then(|()| shard.memory.enlarge(at.item, owner));
        match moved {
            Ok(moved) => {
                self.moved(moved);
                Ok(())
            }
            Err(error) => {
                shard.memory.bury_loose(owner);
                Err(error)
            }
        }
    }

    /// Says something else of the collection, if `noted` makes that of what it says and of the number of its elements.
    #[inline(always)]
    pub(super) fn note_variant(&mut self, noted: impl FnOnce(Variant, u64) -> Variant) {
        let memory = &mut self.open.shard.memory;
        match self.at {
            At::Nowhere => {}
            At::Packed(at) => {
                let (variant, run) = memory.packed_mut_at(at);
                *variant = noted(Variant(*variant), Packed::new(run).len() as u64).0;
            }
            At::Large(owner) => {
                let was = memory.variant_of(owner);
                let is = noted(was, memory.spiral(owner).0.len());
                if is != was {
                    memory.set_variant(owner, is);
                }
            }
        }
    }

    /// Gives an element that is there a deadline, or none, which has been told of; the caller has noted times, and made a place.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn set_deadline(
        &mut self,
        found: &Found,
        deadline: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        match found.spot {
            Spot::Packed(at, Some(number)) => {
                self.change_packed(at, &Change::Deadline(number, deadline))
            }
            Spot::Large(owner, Place::Taken(spot)) => {
                let Shard { hasher, memory, .. } = &mut *self.open.shard;
                memory
                    .change_spiral(owner, |spiral, heap| {
                        let hash_of = |name: &[u8]| hasher.hash(name);
                        spiral.set_deadline_at(heap, &hash_of, (found.hash, spot), deadline)
                    })
                    .map(drop)
            }
            _ => unreachable!("an element that is there has a place"),
        }
    }

    /// Removes an element that is there.
    #[inline(always)]
    pub(super) fn take(&mut self, found: &Found, name: &[u8]) {
        let gone = Element::Gone(name);
        self.open.before(&gone);
        if found.ends {
            self.open.note_times();
        }
        match found.spot {
            Spot::Packed(at, Some(number)) => {
                let (_, run) = self.open.shard.memory.packed_mut_at(at);
                packed::remove(run, number);
                self.shorten(at);
            }
            Spot::Large(owner, Place::Taken(spot)) => {
                let Shard { hasher, memory, .. } = &mut *self.open.shard;
                memory.change_spiral(owner, |spiral, heap| {
                    spiral.remove_at(heap, &|name: &[u8]| hasher.hash(name), spot);
                });
            }
            _ => unreachable!("an element that is there has a place"),
        }
        self.open.record(gone);
    }

    /// The elements, to read.
    #[inline]
    pub(super) fn named(&self) -> Option<Named<'_>> {
        let memory = &self.open.shard.memory;
        self.open.item.map(|item| memory.named(item))
    }

    /// Bytes that all names and values have at most.
    pub(super) fn payload_bytes(&self) -> u64 {
        let memory = &self.open.shard.memory;
        match self.at {
            At::Nowhere => 0,
            At::Packed(at) => memory.run_at(at).len() as u64,
            At::Large(owner) => memory.spiral(owner).0.payload_bytes(),
        }
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no element is left,
    /// that the key is gone, which it then is. With no events nothing may have changed.
    #[inline]
    pub(super) fn close(self, events: &[Event]) {
        let is_empty = self.is_there() && self.is_empty();
        self.open.close(is_empty, events);
    }
}

impl Shard {
    /// Gives an element of a large collection its value: where it was found or not, with its hash, if it was looked for.
    #[inline(always)]
    fn put_large(
        &mut self,
        owner: Owner,
        found: Option<(u64, Place)>,
        element: ElementRef<'_>,
    ) -> Result<(), StoreError> {
        let hasher = &self.hasher;
        self.memory.change_spiral(owner, |spiral, heap| {
            let hash_of = |name: &[u8]| hasher.hash(name);
            let put = match found {
                Some(found) => spiral.put_at(heap, &hash_of, found, element),
                None => spiral.put(heap, &hash_of, element),
            };
            put.map(|_| ())
        })
    }
}
