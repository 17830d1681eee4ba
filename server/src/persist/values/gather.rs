//! Gathering a value of its bytes, before a key has it: what is damaged in the end has changed nothing.

use std::borrow::Cow;

use larder_engine::{
    AccessClock, DbIndex, Event, Field, Key, Kind, LooseId, Member, Shard, StoreError, Stored,
    StreamChange, StringForm, TtlChange, UnixMillis,
};

use super::Budget;
use crate::rdb::{
    self, Duplicates, Fault, Hash, Input, List, Set, SortedSet, Stream, Value, Version,
};

/// The latest deadline that a field may have, in milliseconds: Valkey's may be any later.
const DEADLINE_MAX_MS: i64 = (1 << 48) - 2;

/// A value that is all there.
#[derive(Debug)]
pub enum Gathered<'a> {
    /// A string.
    String(Cow<'a, [u8]>),
    /// A collection of the shard, to be put at a key or dropped.
    Collection(LooseId),
}

impl Gathered<'_> {
    /// Takes it out of use.
    pub fn discard(self, shard: &mut Shard) {
        if let Self::Collection(gathered) = self {
            shard.drop_loose(gathered);
        }
    }

    /// Puts it at a key, with its deadline, and the history it is to have if that is not a new one's.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn put(
        self,
        shard: &mut Shard,
        db: DbIndex,
        key: Key<'_>,
        (deadline, access): (Option<UnixMillis>, Option<AccessClock>),
    ) -> Result<(), StoreError> {
        match self {
            Self::String(value) => {
                let ttl = deadline.map_or(TtlChange::Clear, TtlChange::At);
                let (form, event) = (StringForm::Detect, Event::Restore);
                shard.set(db, key, &value, form, ttl, event)?;
            }
            Self::Collection(id) => {
                let of_new = shard.access_of_new();
                shard.put_loose(db, key, id, (deadline, of_new), Event::Restore)?;
            }
        }
        if let Some(access) = access {
            shard.set_access(db, key, access);
        }
        Ok(())
    }
}

/// Why a value cannot be gathered.
#[derive(Clone, Copy, Debug)]
pub enum Ungathered {
    /// Its bytes are damaged, of a type that there is not, or end too early.
    Fault(Fault),
    /// The shard has no memory for it, or it is larger than any.
    Store(StoreError),
}

impl From<Fault> for Ungathered {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for Ungathered {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A value that is being gathered, some of its elements at a time.
#[derive(Debug)]
pub struct Gathering(Stage);

#[derive(Debug)]
enum Stage {
    /// Nothing has been read of it: its type, and the version that it is of.
    Closed(u8, Version),
    Open(LooseId, Collection),
}

#[derive(Debug)]
enum Collection {
    List(List),
    Set(Set),
    Hash(Hash),
    SortedSet(SortedSet),
    Stream(Stream),
}

impl Gathering {
    /// Begins to gather a value of this type, as this version has it.
    #[must_use]
    pub fn new(kind: u8, version: Version) -> Self {
        Self(Stage::Closed(kind, version))
    }

    /// Gathers more of the value that `body` begins with. The value, if that is all: with elements that have passed their deadline, as
    /// Redis takes them.
    ///
    /// # Errors
    /// It is damaged, of a type that there is not, or memory is out. With [`Fault::Truncated`] it goes on where there are more bytes;
    /// else it is to be [dropped](Self::discard).
    pub fn go_on<'a>(
        &mut self,
        shard: &mut Shard,
        body: Input<'a>,
        budget: Budget,
    ) -> Result<Option<Gathered<'a>>, Ungathered> {
        if let Stage::Closed(kind, version) = self.0 {
            let value = Value::open(kind, version, body, Duplicates::LeftToCaller)?;
            match Collection::begin(value, shard)? {
                Ok((id, collection)) => self.0 = Stage::Open(id, collection),
                Err(string) => return Ok(Some(Gathered::String(string))),
            }
        }
        let Stage::Open(id, collection) = &mut self.0 else {
            unreachable!("it is open")
        };
        let id = *id;
        let is_all = match collection {
            Collection::List(list) => push_some(shard, id, (list, body), budget),
            Collection::Set(set) => add_members(shard, id, (set, body), budget),
            Collection::Hash(hash) => add_some(shard, id, (hash, body), budget),
            Collection::SortedSet(set) => score_some(shard, id, (set, body), budget),
            Collection::Stream(stream) => change_some(shard, id, (stream, body), budget),
        };
        Ok(is_all?.then_some(Gathered::Collection(id)))
    }

    /// Has it forget the first bytes of the value that it needs no longer, and gives how many: it is given the rest from now on.
    pub fn forget(&mut self) -> usize {
        match &mut self.0 {
            Stage::Closed(..) => 0,
            Stage::Open(_, collection) => match collection {
                Collection::List(list) => list.forget(),
                Collection::Set(set) => set.forget(),
                Collection::Hash(hash) => hash.forget(),
                Collection::SortedSet(set) => set.forget(),
                Collection::Stream(stream) => stream.forget(),
            },
        }
    }

    /// Takes what was gathered so far out of use.
    pub fn discard(self, shard: &mut Shard) {
        if let Stage::Open(id, _) = self.0 {
            shard.drop_loose(id);
        }
    }

    /// The memory that it takes, what is gathered apart.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        match &self.0 {
            Stage::Closed(..) => 0,
            Stage::Open(_, collection) => match collection {
                Collection::List(list) => list.held_bytes(),
                Collection::Set(set) => set.held_bytes(),
                Collection::Hash(hash) => hash.held_bytes(),
                Collection::SortedSet(set) => set.held_bytes(),
                Collection::Stream(stream) => stream.held_bytes(),
            },
        }
    }
}

impl Collection {
    /// Begins the collection of the shard that a value is to be; a string is one already.
    fn begin<'a>(
        value: Value<'a>,
        shard: &mut Shard,
    ) -> Result<Result<(LooseId, Self), Cow<'a, [u8]>>, Ungathered> {
        let (kind, collection) = match value {
            Value::String(string, _) => return Ok(Err(string)),
            Value::List(list) => (Kind::List, Self::List(list)),
            Value::Hash(hash) => (Kind::Hash, Self::Hash(hash)),
            Value::Set(set) => (Kind::Set, Self::Set(set)),
            Value::SortedSet(set) => (Kind::SortedSet, Self::SortedSet(set)),
            Value::Stream(stream) => (Kind::Stream, Self::Stream(stream)),
        };
        let id = shard.begin_loose(kind, None);
        if kind == Kind::Stream
            && let Some(change) = shard.production_change()
            && let Err(error) = shard.change_loose(id, &change)
        {
            // What the bytes say of that, if they do, comes behind it. A stream without memory for its root has none for all else.
            shard.drop_loose(id);
            return Err(error.into());
        }
        Ok(Ok((id, collection)))
    }
}

/// Adds elements. Whether those are all.
fn push_some(
    shard: &mut Shard,
    gathered: LooseId,
    (list, body): (&mut List, Input<'_>),
    mut budget: Budget,
) -> Result<bool, Ungathered> {
    while let Some(element) = list.next_element(body)? {
        let element = element.text();
        shard.push_loose(gathered, &element)?;
        if budget.spend(element.len()).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds members. Whether those are all.
fn add_members(
    shard: &mut Shard,
    gathered: LooseId,
    (set, body): (&mut Set, Input<'_>),
    mut budget: Budget,
) -> Result<bool, Ungathered> {
    while let Some(member) = set.next_member(body)? {
        let member = member.text();
        if shard.add_member(gathered, &member)? == Stored::Replaced {
            return Err(Fault::Duplicate.into());
        }
        if budget.spend(member.len()).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes changes. Whether those are all.
fn change_some(
    shard: &mut Shard,
    gathered: LooseId,
    (stream, body): (&mut Stream, Input<'_>),
    mut budget: Budget,
) -> Result<bool, Ungathered> {
    while let Some(change) = stream.next_change(body)? {
        shard.change_loose(gathered, &change)?;
        let bytes = match change {
            StreamChange::Entries { entries, .. } => entries.len(),
            _ => 0,
        };
        if budget.spend(bytes).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds fields. Whether those are all.
fn add_some(
    shard: &mut Shard,
    gathered: LooseId,
    (hash, body): (&mut Hash, Input<'_>),
    mut budget: Budget,
) -> Result<bool, Ungathered> {
    while let Some(field) = hash.next_field(body)? {
        let deadline = field.deadline_ms.map(|at| at.min(DEADLINE_MAX_MS));
        let (name, value) = (field.name.text(), field.value.text());
        let field = Field {
            name: &name,
            value: &value,
            expires_at: deadline.map(UnixMillis),
        };
        if shard.add_field(gathered, field)? == Stored::Replaced {
            return Err(Fault::Duplicate.into());
        }
        if budget.spend(name.len() + value.len()).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds members. Whether those are all.
fn score_some(
    shard: &mut Shard,
    gathered: LooseId,
    (set, body): (&mut SortedSet, Input<'_>),
    mut budget: Budget,
) -> Result<bool, Ungathered> {
    while let Some(rdb::Member { name, score }) = set.next_member(body)? {
        let name = name.text();
        let member = Member { name: &name, score };
        if shard.add_scored(gathered, member)? != Stored::Added {
            return Err(Fault::Duplicate.into());
        }
        if budget.spend(name.len()).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}
