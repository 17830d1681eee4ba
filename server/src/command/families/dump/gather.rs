//! What a payload of `RESTORE` holds, gathered before a key has it: what is damaged in the end has changed nothing.

use std::borrow::Cow;

use larder_engine::{Field, Kind, LooseId, Shard, Stored, UnixMillis};

use crate::rdb::{Checksum, Duplicates, Fault, Hash, List, Value, unseal_with};
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

/// What a payload holds; with elements that have passed their deadline, as Redis takes them.
///
/// # Errors
/// It is damaged, of a type that there is not yet, or memory is out. Nothing has changed then.
pub(in crate::command::families) fn value_of<'a>(
    shard: &mut Shard,
    payload: &'a [u8],
    checksum: Checksum,
) -> Result<Gathered<'a>, ErrorReply> {
    let unsealed = unseal_with(payload, checksum);
    let (version, mut input) = unsealed.map_err(|_| errors::BAD_PAYLOAD)?;
    let kind = input.byte();
    let value = kind.and_then(|kind| Value::open(kind, version, input, Duplicates::LeftToCaller));
    let (gathered, is_all) = match value {
        Ok(Value::String(string, _)) => return Ok(Gathered::String(string)),
        Ok(Value::List(mut list)) => {
            let gathered = shard.begin_loose(Kind::List, None);
            (gathered, push_all(shard, gathered, &mut list))
        }
        Ok(Value::Hash(mut hash)) => {
            let gathered = shard.begin_loose(Kind::Hash, None);
            (gathered, add_all(shard, gathered, &mut hash))
        }
        Ok(Value::Set(_) | Value::SortedSet(_)) | Err(_) => return Err(errors::BAD_DATA_FORMAT),
    };
    match is_all {
        Ok(()) => Ok(Gathered::Collection(gathered)),
        Err(error) => {
            shard.drop_loose(gathered);
            Err(error)
        }
    }
}

fn push_all(shard: &mut Shard, gathered: LooseId, list: &mut List<'_>) -> Result<(), ErrorReply> {
    while let Some(element) = list.next_element().map_err(damaged)? {
        shard.push_loose(gathered, &element.text())?;
    }
    Ok(())
}

fn add_all(shard: &mut Shard, gathered: LooseId, hash: &mut Hash<'_>) -> Result<(), ErrorReply> {
    while let Some(field) = hash.next_field().map_err(damaged)? {
        let deadline = field.deadline_ms.map(|at| at.min(DEADLINE_MAX_MS));
        let field = Field {
            name: &field.name.text(),
            value: &field.value.text(),
            expires_at: deadline.map(UnixMillis),
        };
        if shard.add_field(gathered, field)? == Stored::Replaced {
            return Err(damaged(Fault::Duplicate));
        }
    }
    Ok(())
}
