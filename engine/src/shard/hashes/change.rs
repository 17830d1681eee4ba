//! Hashes, to change: each change is told before, takes the memory it needs, is made and makes its record.
//!
//! ```text
//!  set ─▶ find the field, once ─▶ packed: written where it is ── no room ──▶ a longer run ── too long ──▶ large
//!                             └─▶ large: its node
//! ```
//! A packed hash becomes a large one inside of the change that exceeds it, and stays one.

use super::{Field, Stored};
use crate::item::Variant;
use crate::journal::{Effect, Element, Event};
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES, PACKED_HASH_MAX_BYTES};
use crate::memory::Named;
use crate::nodes::Owner;
use crate::raw::Block;
use crate::shard::{Open, Shard, TtlChange};
use crate::spiral::{ElementRef, Place, packed};
use crate::{DbIndex, Key, Kind, StoreError, UnixMillis, WrongType};

/// The hash of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct HashMut<'a> {
    open: Open<'a>,
}

/// Where a field is, or is to be, until the hash changes.
#[derive(Clone, Copy)]
enum Spot {
    /// There is no hash.
    Nowhere,
    /// In the run of this item, if it is there.
    Packed(Block, Option<usize>),
    Large(Owner, Place),
}

/// What is known of a field once it is looked for.
#[derive(Clone, Copy)]
struct Found {
    hash: u64,
    spot: Spot,
    /// The deadline it has, if it is there; one past it is not.
    live: Option<Option<UnixMillis>>,
}

impl Shard {
    /// The hash at a key, to change, which is a use of it. One that is not there is made by the first field.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn hash_mut<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> Result<HashMut<'a>, WrongType> {
        let open = self.open(db, key, Kind::Hash)?;
        Ok(HashMut { open })
    }
}

fn check_deadline(deadline: Option<UnixMillis>) {
    /// What a deadline has room for, less the mark of none.
    const LATEST: i64 = (1 << 48) - 2;
    let is_kept = deadline.is_none_or(|at| (0..=LATEST).contains(&at.0));
    assert!(is_kept, "commands bound the deadlines of fields");
}

impl HashMut<'_> {
    /// Whether there is a hash.
    pub fn is_there(&self) -> bool {
        self.open.item.is_some()
    }

    fn fields(&self) -> Option<Named<'_>> {
        let item = self.open.item?;
        Some(self.open.shard.memory.named(item))
    }

    /// Number of fields, those past their deadline and not yet removed included.
    #[inline]
    pub fn len(&self) -> u64 {
        self.fields().map_or(0, |fields| fields.len())
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A time before which no field's deadline comes, exact in a small hash; `None` if no field has a deadline.
    pub fn soonest_deadline(&self) -> Option<UnixMillis> {
        self.fields()?.soonest_deadline()
    }

    /// A field.
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        let (_, element) = self.find(name);
        element.map(Field::from)
    }

    /// Looks for a field; what it is, unless it is past its deadline.
    #[inline(always)]
    fn find(&self, name: &[u8]) -> (Found, Option<ElementRef<'_>>) {
        let shard = &*self.open.shard;
        let hash = shard.hasher.hash(name);
        let (spot, element) = match self.open.item {
            None => (Spot::Nowhere, None),
            Some(item) => match shard.memory.named(item) {
                Named::Packed(run) => {
                    let found = run.find(hash, name);
                    let at = found.map(|(at, _)| at);
                    (Spot::Packed(item, at), found.map(|(_, element)| element))
                }
                Named::Large(owner, spiral, heap) => {
                    let (place, element) = spiral.find(heap, hash, name);
                    (Spot::Large(owner, place), element)
                }
            },
        };
        let now = shard.now;
        let element = element.filter(|element| element.deadline.is_none_or(|at| at > now));
        let live = element.map(|element| element.deadline);
        (Found { hash, spot, live }, element)
    }

    /// Gives a field this value; adds it if it is not there.
    ///
    /// # Errors
    /// Name, value or key are too large, or memory is out; then nothing changed.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], ttl: TtlChange) -> Result<Stored, StoreError> {
        let (found, _) = self.find(name);
        self.store(&found, name, value, ttl)
    }

    /// Gives a field the value and deadline that `make` makes of what it is, or adds it; `None` of that leaves all as it is. So a
    /// command whose value depends on the old one looks the field up once. Answers whether there was one, if it was changed.
    ///
    /// # Errors
    /// What `make` answers, or as [`Self::set`]; then nothing changed.
    #[inline]
    pub fn update<V: AsRef<[u8]>, E: From<StoreError>>(
        &mut self,
        name: &[u8],
        make: impl FnOnce(Option<Field<'_>>) -> Result<Option<(V, TtlChange)>, E>,
    ) -> Result<Option<Stored>, E> {
        let (found, element) = self.find(name);
        let Some((value, ttl)) = make(element.map(Field::from))? else {
            return Ok(None);
        };
        let stored = self.store(&found, name, value.as_ref(), ttl)?;
        Ok(Some(stored))
    }

    #[inline(always)]
    fn store(
        &mut self,
        found: &Found,
        name: &[u8],
        value: &[u8],
        ttl: TtlChange,
    ) -> Result<Stored, StoreError> {
        if name.len() > MAX_VALUE_BYTES || value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let deadline = match ttl {
            TtlChange::Clear => None,
            TtlChange::Keep => found.live.flatten(),
            TtlChange::At(at) => Some(at),
        };
        check_deadline(deadline);
        let element = ElementRef {
            name,
            value,
            deadline,
        };
        let field = Element::Field {
            field: name,
            value,
            expires_at: deadline,
        };
        match found.spot {
            Spot::Nowhere => self.create(found.hash, &element)?,
            Spot::Packed(item, at) => {
                self.open.before(&field);
                self.put_packed(item, at, found.hash, &element)?;
            }
            Spot::Large(owner, place) => {
                self.open.before(&field);
                let at = (found.hash, place);
                self.open.shard.put_large(owner, at, element)?;
            }
        }
        self.note_variant(&element);
        self.open.record(field);
        Ok(match found.live {
            None => Stored::Added,
            Some(_) => Stored::Replaced,
        })
    }

    /// Makes the hash, of one field.
    #[cold]
    #[inline(never)]
    fn create(&mut self, hash: u64, element: &ElementRef<'_>) -> Result<(), StoreError> {
        let key = self.open.key.bytes();
        if key.len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.open.before_new();
        let shard = &mut *self.open.shard;
        let access = shard.clock;
        let item = match packed::needed_alone(element) {
            Some(needed) => shard.memory.create_packed(
                key,
                Kind::Hash,
                access,
                packed::with_room(needed),
                |run| {
                    packed::clear(run);
                    packed::put(run, None, hash, element);
                },
            )?,
            None => {
                let of = (Kind::Hash, Variant::default());
                let item = shard.memory.create_collection(key, of, access, None)?;
                let owner = shard.memory.collection_of(item);
                let owner = owner.expect("that is its value");
                if let Err(error) = shard.put_new(owner, *element) {
                    shard.memory.destroy(item);
                    return Err(error);
                }
                item
            }
        };
        self.open.attach(item);
        Ok(())
    }

    /// Writes a field of a packed hash.
    #[inline(always)]
    fn put_packed(
        &mut self,
        item: Block,
        at: Option<usize>,
        hash: u64,
        element: &ElementRef<'_>,
    ) -> Result<(), StoreError> {
        let memory = &mut self.open.shard.memory;
        let Named::Packed(run) = memory.named(item) else {
            unreachable!("it was packed when the field was looked for");
        };
        match run.needed_with(at, element) {
            Some(needed) if needed <= run.capacity() => {
                packed::put(memory.packed_mut(item), at, hash, element);
                if at.is_some() {
                    self.shorten(item);
                }
                Ok(())
            }
            Some(needed) if needed <= PACKED_HASH_MAX_BYTES => {
                let bytes = packed::with_room(needed).min(PACKED_HASH_MAX_BYTES);
                let moved = memory.resize_packed(item, bytes, |from, to| {
                    packed::copy(from, to);
                    packed::put(to, at, hash, element);
                })?;
                self.open.moved(moved);
                Ok(())
            }
            _ => self.enlarge(item, element),
        }
    }

    /// Gives a run that has become much too long a shorter block.
    #[inline(always)]
    fn shorten(&mut self, item: Block) {
        let memory = &mut self.open.shard.memory;
        let Named::Packed(run) = memory.named(item) else {
            return;
        };
        if let Some(bytes) = run.shorter() {
            // Without memory for that, the long one does.
            if let Ok(moved) = memory.resize_packed(item, bytes, packed::copy) {
                self.open.moved(moved);
            }
        }
    }

    /// Makes a packed hash a large one that has this field.
    #[cold]
    #[inline(never)]
    fn enlarge(&mut self, item: Block, element: &ElementRef<'_>) -> Result<(), StoreError> {
        let shard = &mut *self.open.shard;
        let variant = shard.memory.variant(item);
        let run = shard.memory.packed(item).map(<[u8]>::to_vec);
        let run = run.expect("the value is packed");
        let owner = shard.memory.create_loose(Kind::Hash, variant)?;
        let mut moved = Ok(());
        packed::Packed::new(&run).for_each(|field| {
            if moved.is_ok() {
                moved = shard.put_new(owner, field);
            }
        });
        let moved = moved
            .and_then(|()| shard.put_new(owner, *element))
            .and_then(|()| shard.memory.enlarge(item, owner));
        match moved {
            Ok(moved) => {
                self.open.moved(moved);
                Ok(())
            }
            Err(error) => {
                shard.memory.bury_loose(owner);
                Err(error)
            }
        }
    }

    /// Says of the hash what this field, which it has now, makes it.
    #[inline(always)]
    fn note_variant(&mut self, element: &ElementRef<'_>) {
        let Some(item) = self.open.item else {
            return;
        };
        let shard = &mut *self.open.shard;
        let (len, was) = (shard.memory.named(item).len(), shard.memory.variant(item));
        let (fields, bytes) = (
            shard.thresholds.hash_fields,
            shard.thresholds.hash_value_bytes,
        );
        let longest = element.name.len().max(element.value.len());
        let mut variant = was;
        if len > fields || longest as u64 > bytes {
            variant = variant.outgrown();
        }
        if element.deadline.is_some() {
            variant = variant.with_deadlines();
        }
        if variant != was {
            shard.memory.set_variant_of(item, variant);
        }
    }

    /// Sets or removes the deadline of a field; whether the field is there. A deadline that has passed is the caller's to turn
    /// into a removal.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn set_deadline(
        &mut self,
        name: &[u8],
        deadline: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        let (found, element) = self.find(name);
        let Some(ElementRef { value, .. }) = element else {
            return Ok(false);
        };
        check_deadline(deadline);
        if self.open.shard.is_told_before {
            let value = value.to_vec();
            self.open.before(&Element::Field {
                field: name,
                value: &value,
                expires_at: deadline,
            });
        }
        match found.spot {
            Spot::Packed(item, Some(at)) => self.set_packed_deadline(item, at, deadline)?,
            Spot::Large(owner, Place::Taken(spot)) => {
                let Shard { hasher, memory, .. } = &mut *self.open.shard;
                memory.change_spiral(owner, |spiral, heap| {
                    let hash_of = |name: &[u8]| hasher.hash(name);
                    spiral.set_deadline_at(heap, &hash_of, (found.hash, spot), deadline)
                })?;
            }
            _ => unreachable!("a field that is there has a place"),
        }
        self.record_field(found.hash, name);
        Ok(true)
    }

    /// Writes the deadline of a field of a packed hash.
    fn set_packed_deadline(
        &mut self,
        item: Block,
        at: usize,
        deadline: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let memory = &mut self.open.shard.memory;
        let Named::Packed(run) = memory.named(item) else {
            unreachable!("it was packed when the field was looked for");
        };
        let needed = run.needed_with_deadline(deadline);
        if needed <= run.capacity() {
            packed::set_deadline(memory.packed_mut(item), at, deadline);
        } else if needed <= PACKED_HASH_MAX_BYTES {
            let bytes = packed::with_room(needed).min(PACKED_HASH_MAX_BYTES);
            let moved = memory.resize_packed(item, bytes, |from, to| {
                packed::copy(from, to);
                packed::set_deadline(to, at, deadline);
            })?;
            self.open.moved(moved);
        } else {
            let ElementRef { name, value, .. } = run.element(at);
            let (name, value) = (name.to_vec(), value.to_vec());
            let element = ElementRef {
                name: &name,
                value: &value,
                deadline,
            };
            self.enlarge(item, &element)?;
        }
        Ok(())
    }

    /// Makes the record of a field that has another deadline.
    fn record_field(&mut self, hash: u64, name: &[u8]) {
        let item = self.open.item.expect("it has a field");
        let Shard {
            memory, journal, ..
        } = &mut *self.open.shard;
        let element = memory.named(item).get(hash, name);
        let ElementRef {
            value, deadline, ..
        } = element.expect("the field is there");
        let field = Element::Field {
            field: name,
            value,
            expires_at: deadline,
        };
        let effect = Effect::Elements(std::slice::from_ref(&field));
        journal.record(self.open.db, self.open.key.bytes(), &effect);
        if deadline.is_some() {
            let variant = memory.variant(item);
            memory.set_variant_of(item, variant.with_deadlines());
        }
    }

    /// Removes a field; whether it was there.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let (found, _) = self.find(name);
        if found.live.is_none() {
            return false;
        }
        let gone = Element::Gone(name);
        self.open.before(&gone);
        match found.spot {
            Spot::Packed(item, Some(at)) => {
                packed::remove(self.open.shard.memory.packed_mut(item), at);
                self.shorten(item);
            }
            Spot::Large(owner, Place::Taken(spot)) => {
                let Shard { hasher, memory, .. } = &mut *self.open.shard;
                memory.change_spiral(owner, |spiral, heap| {
                    spiral.remove_at(heap, &|name: &[u8]| hasher.hash(name), spot);
                });
            }
            _ => unreachable!("a field that is there has a place"),
        }
        self.open.record(gone);
        true
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no field is left,
    /// that the key is gone, which it then is. With no events nothing may have changed.
    pub fn close(self, events: &[Event]) {
        let is_empty = self.is_there() && self.is_empty();
        self.open.close(is_empty, events);
    }
}

impl Shard {
    /// Gives a field of a large hash its value, where it was found or not.
    #[inline(always)]
    fn put_large(
        &mut self,
        owner: Owner,
        at: (u64, Place),
        element: ElementRef<'_>,
    ) -> Result<(), StoreError> {
        let hasher = &self.hasher;
        self.memory.change_spiral(owner, |spiral, heap| {
            let hash_of = |name: &[u8]| hasher.hash(name);
            spiral.put_at(heap, &hash_of, at, element).map(|_| ())
        })
    }

    /// Gives a large hash that is being made a field.
    fn put_new(&mut self, owner: Owner, element: ElementRef<'_>) -> Result<(), StoreError> {
        let hasher = &self.hasher;
        self.memory.change_spiral(owner, |spiral, heap| {
            let hash_of = |name: &[u8]| hasher.hash(name);
            spiral.put(heap, &hash_of, element).map(|_| ())
        })
    }
}
