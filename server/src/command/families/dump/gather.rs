//! What a payload of `RESTORE` holds, gathered before a key has it: what is damaged in the end has changed nothing.

use std::borrow::Cow;

use larder_engine::{Field, Kind, LooseId, Member, Shard, Stored, StreamChange, UnixMillis};

use super::steps::{Budget, SUM_BYTES};
use crate::rdb::{
    self, Checksum, Duplicates, Fault, Hash, Input, List, Set, SortedSet, Stream, Sum, Value,
    Version,
};
use crate::resp::ErrorReply;
use crate::resp::errors;

/// The latest deadline that a field may have, in milliseconds: Valkey's may be any later.
const DEADLINE_MAX_MS: i64 = (1 << 48) - 2;

/// What a payload holds.
#[derive(Debug)]
pub(in crate::command::families) enum Gathered<'a> {
    /// A string.
    String(Cow<'a, [u8]>),
    /// A collection of the shard, to be put at a key or dropped.
    Collection(LooseId),
}

impl Gathered<'_> {
    /// Takes it out of use.
    pub(super) fn discard(self, shard: &mut Shard) {
        if let Self::Collection(gathered) = self {
            shard.drop_loose(gathered);
        }
    }
}

fn damaged(_: Fault) -> ErrorReply {
    errors::BAD_DATA_FORMAT
}

/// A payload that is being gathered, some of its elements at a time. It is given the payload each time.
#[derive(Debug)]
pub(super) struct Gathering(Stage);

#[derive(Debug)]
enum Stage {
    /// So many bytes have been summed up.
    Summing(Sum, usize),
    /// Its type is to be looked at.
    Opening,
    List(LooseId, List),
    Set(LooseId, Set),
    Hash(LooseId, Hash),
    SortedSet(LooseId, SortedSet),
    Stream(LooseId, Stream),
}

impl Gathering {
    /// Begins to gather a payload.
    pub(super) fn new(checksum: Checksum) -> Self {
        Self(match checksum {
            Checksum::Checked => Stage::Summing(Sum::default(), 0),
            Checksum::Skipped => Stage::Opening,
        })
    }

    /// Gathers more. What the payload holds, if that is all: with elements that have passed their deadline, as Redis takes them.
    ///
    /// # Errors
    /// It is damaged, of a type that there is not yet, or memory is out. Nothing has changed then.
    pub(super) fn go_on<'a>(
        &mut self,
        shard: &mut Shard,
        payload: &'a [u8],
        budget: Budget,
    ) -> Result<Option<Gathered<'a>>, ErrorReply> {
        let (version, body) = rdb::open(payload).map_err(|_| errors::BAD_PAYLOAD)?;
        if let Stage::Summing(sum, at) = &mut self.0 {
            let summed = rdb::summed(payload);
            let to = summed.len().min(at.saturating_add(budget.sum_bytes()));
            sum.add(&summed[*at..to]);
            *at = to;
            if to < summed.len() {
                return Ok(None);
            }
            if !std::mem::take(sum).fits(payload) {
                return Err(errors::BAD_PAYLOAD);
            }
            self.0 = Stage::Opening;
            if payload.len() > SUM_BYTES && budget.is_limited() {
                return Ok(None);
            }
        }
        if let Stage::Opening = self.0
            && let Some(string) = self.open(shard, version, body)?
        {
            return Ok(Some(Gathered::String(string)));
        }
        // The bytes of its type are none of the value.
        let body = behind_kind(body);
        let (gathered, is_all) = match &mut self.0 {
            Stage::List(id, list) => (*id, push_some(shard, *id, (list, body), budget)),
            Stage::Set(id, set) => (*id, add_members(shard, *id, (set, body), budget)),
            Stage::Hash(id, hash) => (*id, add_some(shard, *id, (hash, body), budget)),
            Stage::SortedSet(id, set) => (*id, score_some(shard, *id, (set, body), budget)),
            Stage::Stream(id, stream) => (*id, change_some(shard, *id, (stream, body), budget)),
            Stage::Summing(..) | Stage::Opening => unreachable!("it is open"),
        };
        match is_all {
            Ok(true) => Ok(Some(Gathered::Collection(gathered))),
            Ok(false) => Ok(None),
            Err(error) => {
                shard.drop_loose(gathered);
                Err(error)
            }
        }
    }

    /// Looks at the type and at how the value begins. A string is all there.
    fn open<'a>(
        &mut self,
        shard: &mut Shard,
        version: Version,
        mut body: Input<'a>,
    ) -> Result<Option<Cow<'a, [u8]>>, ErrorReply> {
        let kind = body.byte().map_err(damaged)?;
        let value = Value::open(kind, version, body, Duplicates::LeftToCaller);
        self.0 = match value.map_err(damaged)? {
            Value::String(string, _) => return Ok(Some(string)),
            Value::List(list) => Stage::List(shard.begin_loose(Kind::List, None), list),
            Value::Hash(hash) => Stage::Hash(shard.begin_loose(Kind::Hash, None), hash),
            Value::Set(set) => Stage::Set(shard.begin_loose(Kind::Set, None), set),
            Value::SortedSet(set) => {
                Stage::SortedSet(shard.begin_loose(Kind::SortedSet, None), set)
            }
            Value::Stream(stream) => {
                let id = shard.begin_loose(Kind::Stream, None);
                if let Some(change) = shard.production_change() {
                    // What the payload says of that, if it does, comes behind it. A stream without memory for its root has none for all else.
                    shard.change_loose(id, &change)?;
                }
                Stage::Stream(id, stream)
            }
        };
        Ok(None)
    }

    /// The memory that it takes, what is gathered apart.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.0 {
            Stage::Summing(..) | Stage::Opening => 0,
            Stage::List(_, list) => list.held_bytes(),
            Stage::Set(_, set) => set.held_bytes(),
            Stage::Hash(_, hash) => hash.held_bytes(),
            Stage::SortedSet(_, set) => set.held_bytes(),
            Stage::Stream(_, stream) => stream.held_bytes(),
        }
    }
}

fn behind_kind(mut body: Input<'_>) -> Input<'_> {
    body.byte().expect("it was read before");
    body
}

/// What a payload holds, gathered at once.
///
/// # Errors
/// As [`Gathering::go_on`].
pub(in crate::command::families) fn value_of<'a>(
    shard: &mut Shard,
    payload: &'a [u8],
    checksum: Checksum,
) -> Result<Gathered<'a>, ErrorReply> {
    let gathered = Gathering::new(checksum).go_on(shard, payload, Budget::ALL)?;
    Ok(gathered.expect("there was no bound"))
}

/// Adds elements. Whether those are all.
fn push_some(
    shard: &mut Shard,
    gathered: LooseId,
    (list, body): (&mut List, Input<'_>),
    mut budget: Budget,
) -> Result<bool, ErrorReply> {
    while let Some(element) = list.next_element(body).map_err(damaged)? {
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
) -> Result<bool, ErrorReply> {
    while let Some(member) = set.next_member(body).map_err(damaged)? {
        let member = member.text();
        if shard.add_member(gathered, &member)? == Stored::Replaced {
            return Err(damaged(Fault::Duplicate));
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
) -> Result<bool, ErrorReply> {
    while let Some(change) = stream.next_change(body).map_err(damaged)? {
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
) -> Result<bool, ErrorReply> {
    while let Some(field) = hash.next_field(body).map_err(damaged)? {
        let deadline = field.deadline_ms.map(|at| at.min(DEADLINE_MAX_MS));
        let (name, value) = (field.name.text(), field.value.text());
        let field = Field {
            name: &name,
            value: &value,
            expires_at: deadline.map(UnixMillis),
        };
        if shard.add_field(gathered, field)? == Stored::Replaced {
            return Err(damaged(Fault::Duplicate));
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
) -> Result<bool, ErrorReply> {
    while let Some(rdb::Member { name, score }) = set.next_member(body).map_err(damaged)? {
        let name = name.text();
        let member = Member { name: &name, score };
        if shard.add_scored(gathered, member)? != Stored::Added {
            return Err(damaged(Fault::Duplicate));
        }
        if budget.spend(name.len()).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}
