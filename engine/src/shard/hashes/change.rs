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
use crate::memory::PackedAt;
use crate::nodes::Owner;
use crate::raw::Block;
use crate::shard::{Open, Shard, TtlChange};
use crate::spiral::packed::{self, Packed, Written};
use crate::spiral::{ElementRef, Place};
use crate::{DbIndex, Key, Kind, StoreError, UnixMillis, WrongType};

/// The hash of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct HashMut<'a> {
    pub(super) open: Open<'a>,
    pub(super) at: At,
}

/// What becomes of a field that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Stays,
    /// It has this deadline from now on, one to come, or none.
    Ends(Option<UnixMillis>),
    /// It is removed.
    Goes,
}

/// Where a hash is.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// There is none.
    Nowhere,
    Packed(PackedAt),
    Large(Owner),
}

/// Where a field is, or is to be, until the hash changes.
#[derive(Clone, Copy)]
enum Spot {
    Nowhere,
    /// Which field it is, if it is there.
    Packed(PackedAt, Option<usize>),
    Large(Owner, Place),
}

/// What is known of a field once it is looked for.
#[derive(Clone, Copy)]
struct Found {
    hash: u64,
    spot: Spot,
    /// The deadline it has, if it is there; one past it is not.
    live: Option<Option<UnixMillis>>,
    /// Whether the field that is there has a deadline, perhaps past.
    ends: bool,
}

/// A change of one field.
#[derive(Clone, Copy)]
enum Change<'a> {
    /// It holds this, in the place of the field of this number or as one more.
    Put(Option<usize>, u64, ElementRef<'a>),
    /// The field of this number has another deadline.
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
    /// The hash at a key, to change, which is a use of it. One that is not there is made by the first field.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn hash_mut<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> Result<HashMut<'a>, WrongType> {
        let open = self.open(db, key, Kind::Hash)?;
        let at = match open.item {
            None => At::Nowhere,
            Some(item) => open.shard.hash_at(item),
        };
        Ok(HashMut { open, at })
    }

    #[inline(always)]
    fn hash_at(&self, item: Block) -> At {
        match self.memory.packed_at(item) {
            Some(at) => At::Packed(at),
            None => {
                let owner = self.memory.collection_of(item);
                At::Large(owner.expect("a hash has either form"))
            }
        }
    }
}

pub(in crate::shard) fn check_deadline(deadline: Option<UnixMillis>) {
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

    /// Number of fields, those past their deadline and not yet removed included.
    #[inline]
    pub fn len(&self) -> u64 {
        let memory = &self.open.shard.memory;
        match self.at {
            At::Nowhere => 0,
            At::Packed(at) => Packed::new(memory.run_at(at)).len() as u64,
            At::Large(owner) => memory.spiral(owner).0.len(),
        }
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        let (_, element) = self.find(name);
        element.map(Field::from)
    }

    /// Looks for a field; what it is, unless it is past its deadline.
    #[inline(always)]
    fn find(&self, name: &[u8]) -> (Found, Option<ElementRef<'_>>) {
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
    pub fn count_as(&mut self, records: u64, changes: u64) {
        self.open.shard.journal.count_as(records, changes);
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
        if deadline.is_some() {
            self.open.make_place()?;
        }
        if found.ends || deadline.is_some() {
            self.open.note_times();
        }
        match found.spot {
            Spot::Nowhere => self.create(found.hash, &element)?,
            Spot::Packed(at, number) => {
                self.open.before(&field);
                self.change_packed(at, &Change::Put(number, found.hash, element))?;
            }
            Spot::Large(owner, place) => {
                self.open.before(&field);
                let shard = &mut *self.open.shard;
                shard.put_large(owner, Some((found.hash, place)), element)?;
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
        let item = match packed::bytes_alone(element) {
            Some(bytes) => {
                let memory = &mut shard.memory;
                memory.create_packed(key, Kind::Hash, access, bytes, |run| {
                    packed::clear(run);
                    packed::put(run, None, hash, element);
                })?
            }
            None => {
                let of = (Kind::Hash, Variant::default());
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
        self.at = self.open.shard.hash_at(item);
        Ok(())
    }

    /// Changes a field of a packed hash.
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

    /// Makes a change of a packed hash for which its run has no room.
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
        self.at = self.open.shard.hash_at(to);
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

    /// Makes a packed hash a large one, with that change.
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
        let owner = shard.memory.create_loose(Kind::Hash, variant)?;
        let mut moved = Ok(());
        run.for_each(|field| {
            if moved.is_ok() {
                moved = shard.put_large(owner, None, field);
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

    /// Says of the hash what this field, which it has now, makes it.
    #[inline(always)]
    fn note_variant(&mut self, element: &ElementRef<'_>) {
        let Shard {
            memory, thresholds, ..
        } = &mut *self.open.shard;
        let longest = element.name.len().max(element.value.len()) as u64;
        let noted = |was: Variant, len: u64| {
            let is_outgrown = len > thresholds.hash_fields || longest > thresholds.hash_value_bytes;
            let is = if is_outgrown { was.outgrown() } else { was };
            match element.deadline {
                Some(_) => is.with_deadlines(),
                None => is,
            }
        };
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

    /// Shows a field to `decide`, or that there is none, and has become of it what that says; whether it is another now, or gone.
    /// So a command that asks first looks the field up once.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    #[inline]
    pub fn decide(
        &mut self,
        name: &[u8],
        decide: impl FnOnce(Option<Field<'_>>) -> Fate,
    ) -> Result<bool, StoreError> {
        let (found, element) = self.find(name);
        let fate = decide(element.map(Field::from));
        let Some(ElementRef { value, .. }) = element else {
            return Ok(false);
        };
        match fate {
            Fate::Stays => return Ok(false),
            Fate::Ends(deadline) => {
                let told = self.open.shard.is_told_before.then(|| value.to_vec());
                self.give_deadline(&found, name, deadline, told)?;
            }
            Fate::Goes => self.take(&found, name),
        }
        Ok(true)
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
        self.decide(name, |_| Fate::Ends(deadline))
    }

    /// Gives a field that is there a deadline, or none. `told`: its value, if somebody is told before something changes.
    fn give_deadline(
        &mut self,
        found: &Found,
        name: &[u8],
        deadline: Option<UnixMillis>,
        told: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        check_deadline(deadline);
        if let Some(value) = told {
            self.open.before(&Element::Field {
                field: name,
                value: &value,
                expires_at: deadline,
            });
        }
        if deadline.is_some() {
            self.open.make_place()?;
        }
        self.open.note_times();
        match found.spot {
            Spot::Packed(at, Some(number)) => {
                self.change_packed(at, &Change::Deadline(number, deadline))?;
            }
            Spot::Large(owner, Place::Taken(spot)) => {
                let Shard { hasher, memory, .. } = &mut *self.open.shard;
                memory.change_spiral(owner, |spiral, heap| {
                    let hash_of = |name: &[u8]| hasher.hash(name);
                    spiral.set_deadline_at(heap, &hash_of, (found.hash, spot), deadline)
                })?;
            }
            _ => unreachable!("a field that is there has a place"),
        }
        self.record_deadline(found.hash, name, deadline);
        Ok(())
    }

    /// Makes the record of a field that has this deadline now, and says so of the hash.
    fn record_deadline(&mut self, hash: u64, name: &[u8], deadline: Option<UnixMillis>) {
        let item = self.open.item.expect("it has a field");
        let Shard {
            memory, journal, ..
        } = &mut *self.open.shard;
        if deadline.is_some() {
            let variant = memory.variant(item);
            memory.set_variant_of(item, variant.with_deadlines());
        }
        if !journal.is_heard() {
            // Then the field need not be found again for its value.
            return journal.count_unheard();
        }
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
    }

    /// Removes a field; whether it was there.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let (found, _) = self.find(name);
        let is_there = found.live.is_some();
        if is_there {
            self.take(&found, name);
        }
        is_there
    }

    /// Removes a field that is there.
    #[inline(always)]
    fn take(&mut self, found: &Found, name: &[u8]) {
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
            _ => unreachable!("a field that is there has a place"),
        }
        self.open.record(gone);
    }

    /// Bytes that all names and values have at most.
    pub fn payload_bytes(&self) -> u64 {
        let memory = &self.open.shard.memory;
        match self.at {
            At::Nowhere => 0,
            At::Packed(at) => memory.run_at(at).len() as u64,
            At::Large(owner) => memory.spiral(owner).0.payload_bytes(),
        }
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no field is left,
    /// that the key is gone, which it then is. With no events nothing may have changed.
    #[inline]
    pub fn close(self, events: &[Event]) {
        let is_empty = self.is_there() && self.is_empty();
        self.open.close(is_empty, events);
    }
}

impl Shard {
    /// Gives a field of a large hash its value: where it was found or not, with its hash, if it was looked for.
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
