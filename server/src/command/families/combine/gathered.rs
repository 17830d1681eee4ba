//! What is gathered: a collection that no key has, until a key gets it, or until it is shown.

use larder_engine::{DbIndex, Event, Key, Kind, LooseId, Member, Shard, scored_of_part};

use super::scores::Aggregate;
use super::{Combining, Wanted};
use crate::command::families::sorted_sets;
use crate::resp::ErrorReply;
use crate::resp::errors::CommandResult;

/// How members are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gathering {
    Set,
    SortedSet {
        /// What becomes of the scores of one that comes again.
        aggregate: Aggregate,
        /// Whether a key is to get it.
        is_stored: bool,
    },
}

const SET: u8 = 0;
const SHOWN: u8 = 1;
const STORED: u8 = 2;

impl Gathering {
    /// How they are for an operation.
    pub(super) fn of(combining: &Combining) -> Self {
        match &combining.scores {
            None => Self::Set,
            Some(scores) => Self::SortedSet {
                aggregate: scores.aggregate,
                is_stored: matches!(combining.wanted, Wanted::Stored { .. }),
            },
        }
    }

    /// As bytes, for another core.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Set => vec![SET, 0],
            Self::SortedSet {
                aggregate,
                is_stored,
            } => vec![if is_stored { STORED } else { SHOWN }, aggregate.code()],
        }
    }

    /// What [`Self::to_bytes`] made of one.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        match *bytes {
            [SET, _] => Self::Set,
            [is_stored, aggregate] => Self::SortedSet {
                aggregate: Aggregate::of_code(aggregate),
                is_stored: is_stored == STORED,
            },
            _ => unreachable!("two bytes are written"),
        }
    }

    /// Begins with nothing.
    pub(super) fn begin(self, shard: &mut Shard) -> LooseId {
        let kind = match self {
            Self::Set => Kind::Set,
            Self::SortedSet { .. } => Kind::SortedSet,
        };
        shard.begin_loose(kind, None)
    }

    /// Adds the members of a part to what is gathered.
    ///
    /// # Errors
    /// Memory is out. Then what was gathered is dropped.
    pub(super) fn add(self, shard: &mut Shard, gathered: LooseId, part: &[u8]) -> CommandResult {
        let added = match self {
            Self::Set => shard.add_part(gathered, part),
            Self::SortedSet {
                aggregate,
                is_stored,
            } => scored_of_part(part).try_for_each(|Member { name, score }| {
                let update = |was: Option<f64>| {
                    let score = was.map_or(score, |was| aggregate.of(was, score));
                    match is_stored {
                        true => sorted_sets::kept(score),
                        false => score,
                    }
                };
                shard.update_scored(gathered, name, update).map(drop)
            }),
        };
        added.map_err(|error| {
            shard.drop_loose(gathered);
            error.into()
        })
    }
}

/// Stores what is gathered in the place of what a key has, or removes that if it is nothing. How many members there are.
///
/// # Errors
/// Memory is out. Then what was gathered is dropped, and the key is as it was.
pub(super) fn store(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    gathered: LooseId,
    event: Event,
) -> Result<u64, ErrorReply> {
    let len = shard.loose_len(gathered);
    if len == 0 {
        shard.drop_loose(gathered);
        shard.remove(db, key, Event::Del);
        return Ok(0);
    }
    let attributes = (None, shard.access_of_new());
    shard.put_loose(db, key, gathered, attributes, event)?;
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_members_are_gathered_is_read_as_it_was_written() {
        for is_stored in [false, true] {
            for aggregate in [Aggregate::Sum, Aggregate::Min] {
                let gathering = Gathering::SortedSet {
                    aggregate,
                    is_stored,
                };
                assert_eq!(Gathering::of_bytes(&gathering.to_bytes()), gathering);
            }
        }
        let set = Gathering::Set;
        assert_eq!(Gathering::of_bytes(&set.to_bytes()), set);
    }
}
