//! Collections on their way: what one shard gives of a large one in parts, and what another gathers of them, or of a payload,
//! until all is there and a key gets it.
//!
//! ```text
//!  part ─▶ elements ─▶ begin_loose, add_part, add_part, … ──┬─▶ put_loose: the key has it
//!                           └─ or add_field, add_member, …    └─▶ drop_loose: nothing was changed
//!  one that changes while its parts travel ─▶ begin_followed, add_part or follow, … ─▶ the same
//! ```
//! What bytes a part has is in `parts.rs`.

use std::ops::ControlFlow;

use super::parts::{
    PartFrom, read_field, read_scored, read_text, write_field, write_member, write_scored,
    write_text,
};
use super::{Field, Member, Shard, Stored};
use crate::item::Variant;
use crate::journal::{Counts, Effect, Element, Event};
use crate::limits::MAX_VALUE_BYTES;
use crate::memory::{Content, Loose, Named, item_of};
use crate::nodes::Owner;
use crate::raw::Block;
use crate::sorted::SortedSetView;
use crate::spiral::{ElementRef, Put};
use crate::stream::{PartPlace, StreamChange};
use crate::{
    AccessClock, Bound, DbIndex, Direction, Encoding, End, Key, Kind, ListThreshold, StoreError,
    UnixMillis, ValueImage, parse_canonical_i64,
};

/// Elements that one look at a hash shows, about.
pub(super) const SCAN_ELEMENTS: usize = 16;

/// A collection of a shard that no key has yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LooseId(pub u32);

/// Those of a shard. There are few, and seldom any.
#[derive(Default)]
pub(super) struct LooseCollections(Vec<Option<Gathered>>);

struct Gathered {
    loose: Loose,
    /// Whether what it says of itself came with it; else it follows from its elements.
    is_variant_given: bool,
    /// Bytes of the longest name or value, if that is noted.
    longest_bytes: u64,
    /// Whether a score was, or is, a negative zero.
    has_negative_zeros: bool,
}

impl LooseCollections {
    fn add(&mut self, gathered: Gathered) -> LooseId {
        let vacant = self.0.iter().position(Option::is_none);
        let at = vacant.unwrap_or(self.0.len());
        match vacant {
            Some(at) => self.0[at] = Some(gathered),
            None => self.0.push(Some(gathered)),
        }
        LooseId(at as u32)
    }

    fn get(&self, id: LooseId) -> &Gathered {
        let gathered = self.0[id.0 as usize].as_ref();
        gathered.expect("it is neither put nor dropped")
    }

    fn get_mut(&mut self, id: LooseId) -> &mut Gathered {
        let gathered = self.0[id.0 as usize].as_mut();
        gathered.expect("it is neither put nor dropped")
    }

    fn take(&mut self, id: LooseId) -> Gathered {
        let gathered = self.0[id.0 as usize].take();
        while self.0.last().is_some_and(Option::is_none) {
            self.0.pop();
        }
        gathered.expect("it is neither put nor dropped")
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers of those that are large.
    pub(super) fn owners(&self) -> impl Iterator<Item = Owner> {
        let gathered = self.0.iter().flatten();
        gathered.filter_map(|gathered| gathered.loose.owner())
    }
}

/// A member of a set.
fn member_of(name: &[u8]) -> ElementRef<'_> {
    ElementRef {
        name,
        value: b"",
        deadline: None,
    }
}

fn stored(put: Put) -> Stored {
    match put {
        Put::Added => Stored::Added,
        Put::Replaced => Stored::Replaced,
    }
}

impl Shard {
    /// A part of the collection at a key, of about so many bytes: its elements from `from`, zero at first, on, as the bytes of an
    /// image that has all else of the entry, and where the next part begins, if there is one. `None` if there is no such key, or
    /// it holds a string. An element that is there all the while is in one of the parts.
    pub fn part(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        (from, most_bytes): (PartFrom, usize),
    ) -> Option<(ValueImage, Option<PartFrom>)> {
        let item = self.find_to_read(db, key).and_then(item_of)?;
        let entry = self.memory.entry(item);
        let mut bytes = Vec::new();
        let next = match entry.kind() {
            Kind::String => return None,
            Kind::Stream => self.part_of_stream(item, (from, most_bytes), &mut bytes),
            kind => self
                .part_by_number((kind, item), (from.number, most_bytes), &mut bytes)
                .map(PartFrom::number),
        };
        let image = ValueImage {
            kind: entry.kind(),
            encoding: entry.encoding(),
            bytes: bytes.into(),
            expires_at: entry.expires_at(),
            access: entry.access(),
        };
        Some((image, next))
    }

    fn part_of_list(
        &self,
        item: Block,
        (from, most_bytes): (u64, usize),
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let list = self.memory.list_view(&self.memory.list_at(item));
        let len = list.len();
        let mut next = u32::try_from(from).map_or(len, |from| from.min(len));
        list.walk(next..len, End::Head, |index, element| {
            write_text(element, out);
            next = index + 1;
            match out.len() < most_bytes {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        (next < len).then_some(next.into())
    }

    /// A small set's members come as it shows them.
    fn part_of_set(
        &self,
        item: Block,
        from_and_most: (u64, usize),
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let members = self.memory.named(item);
        if let Named::Packed(_) = members {
            let variant = self.memory.variant(item);
            members.each_member(variant, |member| write_member(member, out));
            return None;
        }
        self.part_of_named(&members, from_and_most, out, |member, out| {
            write_member(member.name, out);
        })
    }

    fn part_of_named(
        &self,
        elements: &Named<'_>,
        (from, most_bytes): (u64, usize),
        out: &mut Vec<u8>,
        write: impl Fn(&ElementRef<'_>, &mut Vec<u8>),
    ) -> Option<u64> {
        let (spiral, heap) = match elements {
            Named::Large(spiral, heap) => (*spiral, *heap),
            Named::Packed(run) => {
                run.for_each(|element| write(&element, out));
                return None;
            }
        };
        let hash_of = |name: &[u8]| self.hasher.hash(name);
        let mut next = Some(from);
        while let Some(cursor) = next.filter(|_| out.len() < most_bytes) {
            next = spiral.scan(heap, &hash_of, cursor, SCAN_ELEMENTS, &mut |element| {
                write(&element, out);
            });
        }
        next
    }

    fn part_of_sorted_set(
        set: &SortedSetView<'_>,
        (from, most_bytes): (u64, usize),
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let mut next = from;
        set.walk(&Bound::Rank(from), Direction::Up, &mut |name, score| {
            write_scored(&Member { name, score }, out);
            next += 1;
            match out.len() < most_bytes {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        (next < set.len()).then_some(next)
    }

    fn part_by_number(
        &self,
        (kind, item): (Kind, Block),
        (from, most_bytes): (u64, usize),
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        match kind {
            Kind::String | Kind::Stream => unreachable!("no number says where its parts begin"),
            Kind::List => self.part_of_list(item, (from, most_bytes), out),
            Kind::Set => self.part_of_set(item, (from, most_bytes), out),
            Kind::Hash => {
                let fields = self.memory.named(item);
                self.part_of_named(&fields, (from, most_bytes), out, write_field)
            }
            Kind::SortedSet => {
                let set = self.memory.sorted_view(self.memory.sorted_at(item));
                Self::part_of_sorted_set(&set, (from, most_bytes), out)
            }
        }
    }

    fn part_of_stream(
        &self,
        item: Block,
        (from, most_bytes): (PartFrom, usize),
        out: &mut Vec<u8>,
    ) -> Option<PartFrom> {
        let owner = self.memory.collection_of(item);
        let (stream, heap) = self
            .memory
            .stream_in_heap(owner.expect("it is never packed"));
        let from = PartPlace {
            stage: from.number,
            id: from.id,
        };
        let next = stream.write_part(heap, from, most_bytes, out)?;
        Some(PartFrom {
            number: next.stage,
            id: next.id,
        })
    }

    /// Begins a collection that no key has. Given an encoding, that is what it answers; else that follows from its elements.
    /// It is put or dropped in the end.
    pub fn begin_loose(&mut self, kind: Kind, encoding: Option<Encoding>) -> LooseId {
        let variant = encoding.map(Variant::of);
        self.loose.add(Gathered {
            loose: Loose::new(kind, variant.unwrap_or(Variant::of_empty(kind))),
            is_variant_given: variant.is_some(),
            longest_bytes: 0,
            has_negative_zeros: false,
        })
    }

    /// Begins a collection that no key has, and that is to become what another is which changes meanwhile: parts of that are added, and
    /// its changes are [followed](Self::follow). It is put or dropped in the end.
    ///
    /// # Errors
    /// Memory is out.
    pub fn begin_followed(&mut self, kind: Kind) -> Result<LooseId, StoreError> {
        let loose = self.memory.begin_large_loose(kind)?;
        Ok(self.loose.add(Gathered {
            loose,
            is_variant_given: true,
            longest_bytes: 0,
            has_negative_zeros: false,
        }))
    }

    /// Does to a collection that has been begun to be followed what was done to the other. In a list, it is of elements whose part has
    /// been added, by their places here.
    ///
    /// # Errors
    /// Memory is out. It is to be dropped then.
    pub fn follow(&mut self, id: LooseId, element: &Element<'_>) -> Result<(), StoreError> {
        let owner = self.loose.get_mut(id).loose.owner();
        let owner = owner.expect("such a collection is large");
        let (memory, hasher) = (&mut self.memory, &self.hasher);
        let hash_of = |name: &[u8]| hasher.hash(name);
        match *element {
            Element::Field {
                field,
                value,
                expires_at,
            } => {
                let field = ElementRef {
                    name: field,
                    value,
                    deadline: expires_at,
                };
                memory.change_spiral(owner, |spiral, heap| {
                    spiral.put(heap, &hash_of, field).map(|_| ())
                })
            }
            Element::Member(name) => {
                let member = member_of(name);
                memory.change_spiral(owner, |spiral, heap| {
                    spiral.put(heap, &hash_of, member).map(|_| ())
                })
            }
            Element::Gone(name) => {
                memory.remove_named(owner, &hash_of, name);
                Ok(())
            }
            Element::Score { member, score } => memory
                .update_scored(owner, &hash_of, member, |_| score)
                .map(|_| ()),
            Element::Push { end, value } => {
                memory.change_list(owner, |list, heap| list.push(heap, end, value))
            }
            Element::Pop(end) => {
                memory.change_list(owner, |list, heap| list.pop(heap, end, |_| ()));
                Ok(())
            }
            Element::Insert { index, value } => {
                memory.change_list(owner, |list, heap| list.insert(heap, index, value))
            }
            Element::Replace { index, value } => {
                memory.change_list(owner, |list, heap| list.replace(heap, index, value))
            }
            Element::Cut { index, count } => {
                memory.change_list(owner, |list, heap| list.remove(heap, index..index + count));
                Ok(())
            }
            Element::Stream(ref change) => self.change_stream(owner, change),
            Element::Range { .. } => {
                unreachable!("no collection has {element:?}")
            }
        }
    }

    /// Gives a collection that no key has the encoding that it is to answer.
    pub fn set_loose_encoding(&mut self, id: LooseId, encoding: Encoding) {
        let gathered = self.loose.get_mut(id);
        gathered.loose.variant = Variant::of(encoding);
        gathered.is_variant_given = true;
    }

    /// Adds the elements of a part.
    ///
    /// # Errors
    /// Memory is out. It is to be dropped then.
    pub fn add_part(&mut self, id: LooseId, mut part: &[u8]) -> Result<(), StoreError> {
        match self.loose.get_mut(id).loose.kind {
            Kind::String => unreachable!("a string is no collection"),
            Kind::List => {
                while !part.is_empty() {
                    self.push_loose(id, read_text(&mut part))?;
                }
            }
            Kind::Set => {
                while !part.is_empty() {
                    self.put_loose_named(id, member_of(read_text(&mut part)))?;
                }
            }
            Kind::Hash => {
                while !part.is_empty() {
                    self.put_loose_named(id, read_field(&mut part))?;
                }
            }
            Kind::SortedSet => {
                while !part.is_empty() {
                    self.add_scored(id, read_scored(&mut part))?;
                }
            }
            Kind::Stream => {
                while !part.is_empty() {
                    self.change_loose(id, &StreamChange::read(&mut part))?;
                }
            }
        }
        Ok(())
    }

    /// Adds a field, whose deadline may have passed; one that is there gets another value.
    ///
    /// # Errors
    /// The name or the value is too large, or memory is out; then nothing changed.
    pub fn add_field(&mut self, id: LooseId, field: Field<'_>) -> Result<Stored, StoreError> {
        if field.name.len().max(field.value.len()) > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let put = self.put_loose_named(
            id,
            ElementRef {
                name: field.name,
                value: field.value,
                deadline: field.expires_at,
            },
        )?;
        Ok(stored(put))
    }

    /// Adds a member to a set.
    ///
    /// # Errors
    /// The member is too large, or memory is out; then nothing changed.
    pub fn add_member(&mut self, id: LooseId, member: &[u8]) -> Result<Stored, StoreError> {
        if member.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.put_loose_named(id, member_of(member)).map(stored)
    }

    fn put_loose_named(&mut self, id: LooseId, element: ElementRef<'_>) -> Result<Put, StoreError> {
        super::hashes::check_deadline(element.deadline);
        let Self {
            loose,
            memory,
            hasher,
            ..
        } = self;
        let Gathered {
            loose,
            is_variant_given,
            longest_bytes,
            ..
        } = loose.get_mut(id);
        let put = memory.put_loose_named(loose, &|name: &[u8]| hasher.hash(name), element)?;
        if !*is_variant_given {
            let longest = element.name.len().max(element.value.len()) as u64;
            *longest_bytes = longest.max(*longest_bytes);
            if element.deadline.is_some() {
                loose.variant = loose.variant.with_deadlines();
            }
            if loose.variant.has_integers() && parse_canonical_i64(element.name).is_none() {
                loose.variant = loose.variant.with_texts();
            }
        }
        Ok(put)
    }

    /// Adds a member; one that is there gets another score.
    ///
    /// # Errors
    /// The name is too large, there are as many members as there may be, or memory is out; then nothing changed.
    pub fn add_scored(&mut self, id: LooseId, member: Member<'_>) -> Result<Stored, StoreError> {
        self.update_scored(id, member.name, |_| member.score)
    }

    /// Gives a member the score that `make` makes of the one that it has, if it is there. It is looked up once.
    ///
    /// # Errors
    /// As [`Self::add_scored`].
    pub fn update_scored(
        &mut self,
        id: LooseId,
        name: &[u8],
        make: impl FnOnce(Option<f64>) -> f64,
    ) -> Result<Stored, StoreError> {
        if name.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let Self {
            loose,
            memory,
            hasher,
            ..
        } = self;
        let Gathered {
            loose,
            longest_bytes,
            has_negative_zeros,
            ..
        } = loose.get_mut(id);
        let hash_of = |name: &[u8]| hasher.hash(name);
        let make = |was| {
            let score: f64 = make(was);
            assert!(!score.is_nan(), "commands refuse such scores");
            *has_negative_zeros |= score == 0.0 && score.is_sign_negative();
            score
        };
        let was = memory.update_loose_member(loose, &hash_of, name, make)?;
        *longest_bytes = (name.len() as u64).max(*longest_bytes);
        Ok(match was {
            None => Stored::Added,
            Some(_) => Stored::Replaced,
        })
    }

    /// Collections that no key has.
    pub fn loose_count(&self) -> usize {
        self.loose.0.iter().flatten().count()
    }

    /// Number of elements of a collection that no key has.
    pub fn loose_len(&self, id: LooseId) -> u64 {
        let (len, _) = self.memory.size_of_loose(&self.loose.get(id).loose);
        len
    }

    /// Adds an element behind the last.
    ///
    /// # Errors
    /// The element is too large, the list as long as one may be, or memory is out; then nothing changed.
    pub fn push_loose(&mut self, id: LooseId, element: &[u8]) -> Result<(), StoreError> {
        if element.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let loose = &mut self.loose.get_mut(id).loose;
        self.memory.push_loose(loose, element)
    }

    /// A part of a set or a sorted set that no key has, as [`Self::part`] gives those of a key's.
    pub fn loose_part(
        &mut self,
        id: LooseId,
        (from, most_bytes): (u64, usize),
    ) -> (Vec<u8>, Option<u64>) {
        let mut part = Vec::new();
        let loose = &self.loose.get(id).loose;
        let next = match loose.kind {
            Kind::Set => self.part_of_loose_set(loose, (from, most_bytes), &mut part),
            Kind::SortedSet => {
                let set = self.memory.sorted_of_loose(loose);
                set.and_then(|set| Self::part_of_sorted_set(&set, (from, most_bytes), &mut part))
            }
            kind => unreachable!("a {kind:?} goes to a key"),
        };
        (part, next)
    }

    fn part_of_loose_set(
        &self,
        loose: &Loose,
        from_and_most: (u64, usize),
        part: &mut Vec<u8>,
    ) -> Option<u64> {
        let members = self.memory.named_of_loose(loose)?;
        if let Named::Packed(_) = members {
            members.each_member(loose.variant, |member| write_member(member, part));
            return None;
        }
        self.part_of_named(&members, from_and_most, part, |member, part| {
            write_member(member.name, part);
        })
    }

    /// Makes a change of a stream.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn change_loose(
        &mut self,
        id: LooseId,
        change: &StreamChange<'_>,
    ) -> Result<(), StoreError> {
        let loose = &mut self.loose.get_mut(id).loose;
        let owner = self.memory.loose_stream(loose)?;
        self.change_stream(owner, change)
    }

    /// Takes a collection out of use that no key is to have.
    pub fn drop_loose(&mut self, id: LooseId) {
        let Gathered { loose, .. } = self.loose.take(id);
        self.memory.drop_loose(&loose);
    }

    /// Puts a collection, which is not empty unless it is a stream, at `key`, replacing what is there. A sorted set that is a small one
    /// loses the signs of its negative zeros, as in Redis.
    ///
    /// # Errors
    /// As [`Self::set`]; then nothing changed but that the collection is dropped.
    pub fn put_loose(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        id: LooseId,
        (expires_at, access): (Option<UnixMillis>, AccessClock),
        event: Event,
    ) -> Result<(), StoreError> {
        let was_there = self.store_loose(db, key, id, (expires_at, access))?;
        self.record_put(db, key);
        // As in Redis, where a key is removed before another value comes, unless that overwrites it.
        let is_new = !was_there || !event.overwrites();
        let events = [is_new.then_some(Event::New), Some(event)];
        self.journal.tell_each(db, key.bytes(), || events);
        Ok(())
    }

    /// Stores a collection, which is not empty, at `key`, whatever is there; whether something was.
    ///
    /// # Errors
    /// As [`Self::put_loose`].
    pub(super) fn store_loose(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        id: LooseId,
        (expires_at, access): (Option<UnixMillis>, AccessClock),
    ) -> Result<bool, StoreError> {
        let Gathered {
            mut loose,
            is_variant_given,
            longest_bytes,
            has_negative_zeros,
        } = self.loose.take(id);
        if loose.kind == Kind::Stream {
            self.memory.loose_stream(&mut loose)?;
        }
        let (len, payload) = self.memory.size_of_loose(&loose);
        let may_be = len > 0 || loose.kind == Kind::Stream;
        assert!(may_be, "no key has an empty collection");
        let is_outgrown = !is_variant_given
            && match loose.kind {
                Kind::List => {
                    let len = len as u32;
                    let bytes = ListThreshold::bytes_of(len, payload);
                    self.thresholds.list.is_exceeded(len, bytes)
                }
                Kind::Stream => false,
                Kind::Set => {
                    let has_integers = loose.variant.has_integers();
                    let size = (len, longest_bytes);
                    self.thresholds.is_outgrown_set(has_integers, size)
                }
                Kind::SortedSet => self.thresholds.is_outgrown_sorted_set((len, longest_bytes)),
                _ => self.thresholds.is_outgrown_hash((len, longest_bytes)),
            };
        if is_outgrown {
            loose.variant = loose.variant.outgrown();
        }
        if has_negative_zeros && !loose.variant.is_outgrown() {
            let Self { memory, hasher, .. } = self;
            let removed =
                memory.remove_negative_zeros(&mut loose, &|name: &[u8]| hasher.hash(name));
            if let Err(error) = removed {
                memory.drop_loose(&loose);
                return Err(error);
            }
        }
        if let Some(owner) = loose.owner() {
            self.memory.set_variant(owner, loose.variant);
        }
        let (form, value) = loose.value();
        let content = Content {
            form,
            access,
            deadline: expires_at,
            value: &value,
        };
        let existing = self.find(db, key);
        if let Err(error) = self.store(db, key, existing, &content) {
            self.memory.drop_loose(&loose);
            return Err(error);
        }
        self.adopt(db, key);
        Ok(existing.is_some())
    }

    /// Makes the records of a collection that is at a key now: an empty one is, then each of its elements comes. Nobody reads
    /// these, and nobody walks over it, unless there are subscribers.
    pub(super) fn record_put(&mut self, db: DbIndex, key: Key<'_>) {
        let entry = self.keyspace(db).find(key, &self.memory);
        let item = entry.and_then(item_of);
        let item = item.expect("it has just been put there");
        let Self {
            memory, journal, ..
        } = self;
        let entry = memory.entry(item);
        let put = Effect::Put {
            kind: entry.kind(),
            encoding: entry.encoding(),
            value: b"",
            expires_at: entry.expires_at(),
        };
        journal.record(db, key.bytes(), &put);
        if !journal.has_subscribers() {
            return;
        }
        let mut record = |element: Element<'_>| {
            let effect = Effect::Elements(std::slice::from_ref(&element));
            journal.record_as(Counts::Part, db, key.bytes(), &effect);
        };
        entry.each_field(&mut |field| {
            record(Element::Field {
                field: field.name,
                value: field.value,
                expires_at: field.expires_at,
            });
        });
        entry.each_member(&mut |member| record(Element::Member(member)));
        entry.each_scored(&mut |member| {
            record(Element::Score {
                member: member.name,
                score: member.score,
            });
        });
        if let Some(stream) = entry.stream() {
            stream.each_change(&mut |change| record(Element::Stream(*change)));
        }
        entry.each_element(&mut |value| {
            record(Element::Push {
                end: End::Tail,
                value,
            });
        });
    }
}
