//! Entries of the naive shard, and its collections while a command changes them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use super::Model;
use crate::journal::{Effect, Element, Event, Removal};
use crate::list::End;
use crate::{
    AccessClock, DbIndex, Encoding, EntryRef, Kind, ListThreshold, Scored, Stored, Thresholds,
    TtlChange, UnixMillis, ValueImage, WrongType, parse_canonical_i64,
};

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// The encoding.
    pub encoding: Encoding,
    /// The deadline, if it has one.
    pub expires_at: Option<UnixMillis>,
    /// The access history.
    pub access: AccessClock,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    String(Vec<u8>),
    /// A list.
    List(VecDeque<Vec<u8>>),
    /// A set.
    Set(BTreeSet<Vec<u8>>),
    /// A hash: of each field its value and its deadline.
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMillis>)>),
    /// A sorted set: of each member the bits of its score.
    SortedSet(BTreeMap<Vec<u8>, u64>),
}

impl Entry {
    /// What an entry of a shard holds, fields past their deadline included.
    pub fn of(entry: &EntryRef<'_>) -> Self {
        let value = match entry.kind() {
            Kind::String => Value::String(entry.value().to_vec()),
            Kind::List => {
                let mut list = VecDeque::new();
                entry.each_element(&mut |element| list.push_back(element.to_vec()));
                Value::List(list)
            }
            Kind::Set => {
                let mut set = BTreeSet::new();
                entry.each_member(&mut |member| {
                    assert!(set.insert(member.to_vec()), "a member is shown once");
                });
                Value::Set(set)
            }
            Kind::Hash => {
                let mut hash = BTreeMap::new();
                entry.each_field(&mut |field| {
                    let is = (field.value.to_vec(), field.expires_at);
                    let twice = hash.insert(field.name.to_vec(), is);
                    assert_eq!(twice, None, "a field is shown once");
                });
                Value::Hash(hash)
            }
            Kind::SortedSet => {
                let mut set = BTreeMap::new();
                entry.each_scored(&mut |member| {
                    let twice = set.insert(member.name.to_vec(), member.score.to_bits());
                    assert_eq!(twice, None, "a member is shown once");
                });
                Value::SortedSet(set)
            }
        };
        Self {
            value,
            encoding: entry.encoding(),
            expires_at: entry.expires_at(),
            access: entry.access(),
        }
    }

    /// What an image of a string has.
    ///
    /// # Panics
    /// It is of another type.
    pub fn of_image(image: &ValueImage) -> Self {
        assert_eq!(image.kind, Kind::String);
        Self {
            value: Value::String(image.bytes.to_vec()),
            encoding: image.encoding,
            expires_at: image.expires_at,
            access: image.access,
        }
    }

    /// The data type.
    pub fn kind(&self) -> Kind {
        match self.value {
            Value::String(_) => Kind::String,
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
            Value::Hash(_) => Kind::Hash,
            Value::SortedSet(_) => Kind::SortedSet,
        }
    }
}

/// The collection of a key while a command changes it: [`crate::HashMut`], [`crate::SetMut`], [`crate::ListMut`] and
/// [`crate::SortedSetMut`] in one.
#[must_use = "what is opened is closed, however it went"]
pub struct OpenEntry<'a> {
    model: &'a mut Model,
    db: DbIndex,
    key: Vec<u8>,
    kind: Kind,
    was_there: bool,
    /// Elements that came to a list, and whether some went or became others.
    added: u64,
    has_shrunk: bool,
}

impl Model {
    /// The collection of a key, to change; opening it is a use.
    ///
    /// # Errors
    /// What is there is of another type.
    pub fn open(
        &mut self,
        db: DbIndex,
        key: &[u8],
        kind: Kind,
    ) -> Result<OpenEntry<'_>, WrongType> {
        self.expire_if_due(db, key);
        let now = AccessClock::at(self.now);
        let found = self.entries_mut(db).get_mut(key);
        let was_there = found.is_some();
        if let Some(entry) = found {
            entry.access = now;
            if entry.kind() != kind {
                return Err(WrongType);
            }
        }
        Ok(OpenEntry {
            model: self,
            db,
            key: key.to_vec(),
            kind,
            was_there,
            added: 0,
            has_shrunk: false,
        })
    }
}

/// What expiry does to fields.
impl Model {
    /// The names of the fields of a hash.
    pub fn field_names(&self, db: DbIndex, key: &[u8]) -> impl Iterator<Item = &[u8]> {
        let fields = match self.entries(db).get(key).map(|entry| &entry.value) {
            Some(Value::Hash(hash)) => Some(hash.keys()),
            _ => None,
        };
        fields.into_iter().flatten().map(Vec::as_slice)
    }

    /// Removes a field whose deadline has come.
    ///
    /// # Panics
    /// It is not there, or its deadline has not come.
    pub fn expire_field(&mut self, db: DbIndex, key: &[u8], name: &[u8]) {
        let now = self.now;
        let Some(Value::Hash(hash)) = self
            .entries_mut(db)
            .get_mut(key)
            .map(|entry| &mut entry.value)
        else {
            panic!("fields are of a hash that is there");
        };
        let (_, deadline) = hash.remove(name).expect("the field is there");
        assert!(deadline.is_some_and(|at| at <= now), "it has ended");
        self.record(db, key, Effect::Elements(&[Element::Gone(name)]));
    }

    /// Tells that fields have ended, and removes a hash that has none any more.
    pub fn tell_of_ended_fields(&mut self, db: DbIndex, key: &[u8]) {
        self.tell(db, key, Some(Event::HExpired));
        if self.field_names(db, key).next().is_none() {
            self.entries_mut(db).remove(key);
            self.record(db, key, Effect::Remove(Removal::Deleted));
            self.tell(db, key, Some(Event::Del));
        }
    }
}

impl OpenEntry<'_> {
    fn entry(&mut self) -> Option<&mut Entry> {
        let Self { model, db, key, .. } = self;
        model.entries_mut(*db).get_mut(key)
    }

    /// The entry, which comes to be if it was not there.
    fn made(&mut self) -> &mut Entry {
        let Self {
            model,
            db,
            key,
            kind,
            ..
        } = self;
        let access = AccessClock::at(model.now);
        let value = match kind {
            Kind::String => unreachable!("a string is no collection"),
            Kind::List => Value::List(VecDeque::new()),
            Kind::Set => Value::Set(BTreeSet::new()),
            Kind::Hash => Value::Hash(BTreeMap::new()),
            Kind::SortedSet => Value::SortedSet(BTreeMap::new()),
        };
        let empty = Entry {
            value,
            encoding: match kind {
                Kind::Set => Encoding::IntSet,
                _ => Encoding::ListPack,
            },
            expires_at: None,
            access,
        };
        let entries = model.entries_mut(*db);
        entries.entry(key.clone()).or_insert(empty)
    }

    fn record(&mut self, element: Element<'_>) {
        let effect = Effect::Elements(std::slice::from_ref(&element));
        let (db, key) = (self.db, self.key.clone());
        self.model.record(db, &key, effect);
    }

    /// Number of elements.
    pub fn len(&mut self) -> usize {
        match self.entry().map(|entry| &entry.value) {
            None => 0,
            Some(Value::List(list)) => list.len(),
            Some(Value::Set(set)) => set.len(),
            Some(Value::Hash(hash)) => hash.len(),
            Some(Value::SortedSet(set)) => set.len(),
            Some(Value::String(_)) => unreachable!("it was opened as a collection"),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    fn list(&mut self) -> &mut VecDeque<Vec<u8>> {
        match &mut self.made().value {
            Value::List(list) => list,
            _ => unreachable!("it was opened as a list"),
        }
    }

    fn live_field(&mut self, name: &[u8]) -> Option<(Vec<u8>, Option<UnixMillis>)> {
        let now = self.model.now;
        let Value::Hash(hash) = &self.entry()?.value else {
            unreachable!("it was opened as a hash");
        };
        let (value, deadline) = hash.get(name)?.clone();
        let is_live = deadline.is_none_or(|at| at > now);
        is_live.then_some((value, deadline))
    }

    /// See [`crate::HashMut::set`].
    pub fn set_field(&mut self, name: &[u8], value: &[u8], ttl: TtlChange) -> Stored {
        let old = self.live_field(name);
        let stored = match old {
            Some(_) => Stored::Replaced,
            None => Stored::Added,
        };
        let deadline = match ttl {
            TtlChange::Clear => None,
            TtlChange::Keep => old.and_then(|(_, deadline)| deadline),
            TtlChange::At(at) => Some(at),
        };
        self.put_field(name, value, deadline);
        stored
    }

    fn put_field(&mut self, name: &[u8], value: &[u8], expires_at: Option<UnixMillis>) {
        let thresholds = Thresholds::default();
        let entry = self.made();
        let Value::Hash(hash) = &mut entry.value else {
            unreachable!("it was opened as a hash");
        };
        hash.insert(name.to_vec(), (value.to_vec(), expires_at));
        let longest = name.len().max(value.len()) as u64;
        let is_outgrown =
            hash.len() as u64 > thresholds.hash_fields || longest > thresholds.hash_value_bytes;
        entry.encoding = match entry.encoding {
            _ if is_outgrown => Encoding::HashTable,
            Encoding::ListPack if expires_at.is_some() => Encoding::ListPackEx,
            encoding => encoding,
        };
        self.record(Element::Field {
            field: name,
            value,
            expires_at,
        });
    }

    /// See [`crate::HashMut::set_deadline`].
    pub fn set_field_deadline(&mut self, name: &[u8], deadline: Option<UnixMillis>) -> bool {
        let Some((value, _)) = self.live_field(name) else {
            return false;
        };
        self.put_field(name, &value, deadline);
        true
    }

    /// See [`crate::HashMut::remove`].
    pub fn remove_field(&mut self, name: &[u8]) -> bool {
        if self.live_field(name).is_none() {
            return false;
        }
        let Value::Hash(hash) = &mut self.made().value else {
            unreachable!("it was opened as a hash");
        };
        hash.remove(name);
        self.record(Element::Gone(name));
        true
    }

    fn set(&mut self) -> &mut BTreeSet<Vec<u8>> {
        match &mut self.made().value {
            Value::Set(set) => set,
            _ => unreachable!("it was opened as a set"),
        }
    }

    /// See [`crate::SetMut::add`].
    pub fn add_member(&mut self, member: &[u8]) -> bool {
        let thresholds = Thresholds::default();
        if !self.set().insert(member.to_vec()) {
            return false;
        }
        let len = self.set().len() as u64;
        let is_integer = parse_canonical_i64(member).is_some();
        let entry = self.made();
        let is_long = member.len() as u64 > thresholds.set_member_bytes;
        entry.encoding = match entry.encoding {
            Encoding::IntSet if is_integer && len <= thresholds.set_integers => Encoding::IntSet,
            Encoding::IntSet if is_integer => Encoding::HashTable,
            Encoding::IntSet | Encoding::ListPack if len <= thresholds.set_members && !is_long => {
                Encoding::ListPack
            }
            _ => Encoding::HashTable,
        };
        self.record(Element::Member(member));
        true
    }

    /// See [`crate::SetMut::remove`].
    pub fn remove_member(&mut self, member: &[u8]) -> bool {
        let was_there = self.entry().is_some() && self.set().remove(member);
        if was_there {
            self.record(Element::Gone(member));
        }
        was_there
    }

    fn members(&mut self) -> Option<&mut BTreeMap<Vec<u8>, u64>> {
        match &mut self.entry()?.value {
            Value::SortedSet(set) => Some(set),
            _ => unreachable!("it was opened as a sorted set"),
        }
    }

    /// See [`crate::SortedSetMut::set`].
    pub fn score(&mut self, name: &[u8], score: f64) -> Scored {
        let was = self.members().and_then(|set| set.get(name).copied());
        if was == Some(score.to_bits()) {
            return Scored::Same;
        }
        let thresholds = Thresholds::default();
        let entry = self.made();
        let Value::SortedSet(set) = &mut entry.value else {
            unreachable!("it was opened as a sorted set");
        };
        set.insert(name.to_vec(), score.to_bits());
        let is_outgrown = set.len() as u64 > thresholds.sorted_set_members
            || name.len() as u64 > thresholds.sorted_set_name_bytes;
        if was.is_none() && is_outgrown {
            entry.encoding = Encoding::SkipList;
        }
        self.record(Element::Score {
            member: name,
            score,
        });
        match was.map(f64::from_bits) {
            None => Scored::Added,
            Some(was) if was == score => Scored::Same,
            Some(_) => Scored::Changed,
        }
    }

    /// See [`crate::SortedSetMut::remove`].
    pub fn remove_scored(&mut self, name: &[u8]) -> Option<f64> {
        let was = self.members()?.remove(name)?;
        self.record(Element::Gone(name));
        Some(f64::from_bits(was))
    }

    /// See [`crate::SortedSetMut::pop`].
    pub fn pop_member(&mut self, end: End) -> Option<(Vec<u8>, f64)> {
        let members = self.members_in_order();
        let member = match end {
            End::Head => members.first(),
            End::Tail => members.last(),
        };
        let (score, name) = member?.clone();
        self.remove_scored(&name);
        Some((name, score))
    }

    /// See [`crate::SortedSetMut::remove_range`].
    pub fn remove_ranks(&mut self, ranks: Range<u64>) -> u64 {
        let members = self.members_in_order().into_iter();
        let members = members.skip(ranks.start as usize);
        let members = members.take((ranks.end - ranks.start) as usize);
        members
            .map(|(_, name)| self.remove_scored(&name))
            .filter(Option::is_some)
            .count() as u64
    }

    fn members_in_order(&mut self) -> Vec<(f64, Vec<u8>)> {
        let members = self.members().into_iter().flatten();
        let mut members: Vec<(f64, Vec<u8>)> = members
            .map(|(name, score)| (f64::from_bits(*score), name.clone()))
            .collect();
        members.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        members
    }

    /// See [`crate::ListMut::push`].
    pub fn push(&mut self, end: End, value: &[u8]) {
        match end {
            End::Head => self.list().push_front(value.to_vec()),
            End::Tail => self.list().push_back(value.to_vec()),
        }
        self.added += 1;
        self.record(Element::Push { end, value });
    }

    /// See [`crate::ListMut::pop`].
    pub fn pop(&mut self, end: End) -> Option<Vec<u8>> {
        self.entry()?;
        let popped = match end {
            End::Head => self.list().pop_front(),
            End::Tail => self.list().pop_back(),
        }?;
        self.has_shrunk = true;
        self.record(Element::Pop(end));
        Some(popped)
    }

    /// See [`crate::ListMut::replace`].
    pub fn replace(&mut self, index: u32, value: &[u8]) {
        self.list()[index as usize] = value.to_vec();
        (self.added, self.has_shrunk) = (self.added + 1, true);
        self.record(Element::Replace { index, value });
    }

    /// See [`crate::ListMut::insert`].
    pub fn insert(&mut self, index: u32, value: &[u8]) {
        self.list().insert(index as usize, value.to_vec());
        self.added += 1;
        self.record(Element::Insert { index, value });
    }

    /// See [`crate::ListMut::remove`].
    pub fn remove(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let (index, count) = (range.start, range.end - range.start);
        self.list().drain(range.start as usize..range.end as usize);
        self.has_shrunk = true;
        self.record(Element::Cut { index, count });
    }

    /// See [`crate::ListMut::remove_equal`]; the records are those of a list in one piece.
    pub fn remove_equal(&mut self, element: &[u8], count: u32, from: End) -> u32 {
        if self.entry().is_none() {
            return 0;
        }
        let found = |(at, is): (usize, &Vec<u8>)| (is == element).then_some(at as u32);
        let list = self.list().iter().enumerate();
        let mut found: Vec<u32> = match from {
            End::Head => list.filter_map(found).take(count as usize).collect(),
            End::Tail => list.rev().filter_map(found).take(count as usize).collect(),
        };
        found.sort_unstable();
        for run in found.chunk_by(|at, next| at + 1 == *next).rev() {
            self.remove(run[0]..run[0] + run.len() as u32);
        }
        found.len() as u32
    }

    /// See [`crate::ListMut::close`].
    pub fn close(mut self, events: &[Event]) {
        let is_there = self.entry().is_some();
        let is_empty = is_there && self.is_empty();
        if is_there && self.kind == Kind::List {
            self.settle();
        }
        let Self {
            model,
            db,
            key,
            was_there,
            ..
        } = self;
        model.tell(db, &key, (is_there && !was_there).then_some(Event::New));
        for &event in events {
            model.tell(db, &key, Some(event));
        }
        if is_empty {
            model.entries_mut(db).remove(&key);
            model.record(db, &key, Effect::Remove(Removal::Deleted));
            model.tell(db, &key, Some(Event::Del));
        }
    }

    /// What a list answers as its encoding follows its size, within bounds.
    fn settle(&mut self) {
        let (added, has_shrunk) = (self.added, self.has_shrunk);
        if added == 0 && !has_shrunk {
            return;
        }
        let list = self.list();
        let payload = list.iter().map(|element| element.len() as u64).sum();
        let elements = list.len() as u32;
        let bytes = ListThreshold::bytes_of(elements, payload);
        let threshold = Thresholds::default().list;
        let entry = self.made();
        entry.encoding = match entry.encoding {
            Encoding::QuickList if has_shrunk && threshold.is_half(elements, bytes) => {
                Encoding::ListPack
            }
            Encoding::ListPack
                if threshold.is_exceeded(elements, bytes.saturating_sub(2 * added)) =>
            {
                Encoding::QuickList
            }
            encoding => encoding,
        };
    }
}
