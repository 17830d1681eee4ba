//! What is gathered: a collection that no key has, until a key gets it, or until it is shown. Others ask its core for that, and say with
//! each request how it is done.

use larder_engine::{DbIndex, Event, Key, Kind, LooseId, Member, Shard, scored_of_part};

use super::Combining;
use super::scores::Aggregate;
use crate::command::families::transfer::{Answer, loose_argument, loose_of};
use crate::command::{CoreCall, CoreRequest};
use crate::observe::{PartReader, PartWriter};
use crate::resp::ErrorReply;
use crate::resp::errors::CommandResult;
use crate::routing::CoreId;

/// How members are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command::families) enum Gathering {
    Set,
    SortedSet {
        /// What becomes of the scores of one that comes again.
        aggregate: Aggregate,
    },
}

const SET: u8 = 0;
const SORTED_SET: u8 = 1;

impl Gathering {
    /// How members are gathered of which none comes twice.
    pub(in crate::command::families) const STORED: Self = Self::SortedSet {
        aggregate: Aggregate::Max,
    };

    /// How they are for an operation.
    pub(super) fn of(combining: &Combining) -> Self {
        match &combining.scores {
            None => Self::Set,
            Some(scores) => Self::SortedSet {
                aggregate: scores.aggregate,
            },
        }
    }

    /// As bytes, for another core.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Set => vec![SET, 0],
            Self::SortedSet { aggregate } => vec![SORTED_SET, aggregate.code()],
        }
    }

    /// What [`Self::to_bytes`] made of one.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        match *bytes {
            [SET, _] => Self::Set,
            [SORTED_SET, aggregate] => Self::SortedSet {
                aggregate: Aggregate::of_code(aggregate),
            },
            _ => unreachable!("two bytes are written"),
        }
    }

    /// Begins with nothing.
    pub(in crate::command::families) fn begin(self, shard: &mut Shard) -> LooseId {
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
    pub(in crate::command::families) fn add(
        self,
        shard: &mut Shard,
        gathered: LooseId,
        part: &[u8],
    ) -> CommandResult {
        let added = match self {
            Self::Set => shard.add_part(gathered, part),
            Self::SortedSet { aggregate } => {
                scored_of_part(part).try_for_each(|Member { name, score }| {
                    let update =
                        |was: Option<f64>| was.map_or(score, |was| aggregate.of(was, score));
                    shard.update_scored(gathered, name, update).map(drop)
                })
            }
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
pub(in crate::command::families) fn store(
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
    if matches!(event, Event::GeoSearchStore | Event::GeoRadiusStore) {
        // As in Redis, where each member counts.
        shard.journal().count_as(1, len);
    }
    Ok(len)
}

/// Asks a core to add a part to what it gathers.
pub(in crate::command::families) fn gather_request(
    core: CoreId,
    gathered: Option<LooseId>,
    gathering: Gathering,
    part: Vec<u8>,
) -> CoreRequest {
    let args = vec![loose_argument(gathered), gathering.to_bytes(), part];
    let run = gather_part;
    CoreRequest { core, run, args }
}

/// What a core gathers that was [asked](gather_request) to.
///
/// # Errors
/// It could not; what it had gathered is dropped.
pub(in crate::command::families) fn gathered(answer: &[u8]) -> Result<LooseId, ErrorReply> {
    let Answer::Yes(gathered) = Answer::of(answer)? else {
        unreachable!("no such answer is given");
    };
    let gathered = loose_of(gathered);
    Ok(gathered.expect("it has something then"))
}

/// Adds members, argument 2, to what is gathered, argument 0, as argument 1 says; answers what that is.
fn gather_part(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let gathering = Gathering::of_bytes(call.args.at(1));
    let gathered = loose_of(call.args.at(0));
    let gathered = gathered.unwrap_or_else(|| gathering.begin(shard));
    match gathering.add(shard, gathered, call.args.at(2)) {
        Ok(()) => Answer::yes(call.out, |out| out.extend(loose_argument(Some(gathered)))),
        Err(error) => Answer::failed(call.out, &error),
    }
}

/// Asks a core to store what it has gathered, if it has.
pub(in crate::command::families) fn store_request(
    core: CoreId,
    key: Vec<u8>,
    event: Event,
    (gathered, gathering): (Option<LooseId>, Gathering),
) -> CoreRequest {
    let args = vec![
        key,
        vec![event.code()],
        loose_argument(gathered),
        gathering.to_bytes(),
    ];
    let run = store_part;
    CoreRequest { core, run, args }
}

/// How many members a core has stored that was [asked](store_request) to.
///
/// # Errors
/// It could not.
pub(in crate::command::families) fn stored(answer: &[u8]) -> Result<u64, ErrorReply> {
    let Answer::Yes(written) = Answer::of(answer)? else {
        unreachable!("no such answer is given");
    };
    Ok(PartReader::new(written).number())
}

/// Stores what is gathered, argument 2, if anything is, at argument 0, of which the event of code argument 1 is told. Answers how many
/// members there are.
fn store_part(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    let event = Event::of_code(call.args.at(1)[0]);
    let gathered = loose_of(call.args.at(2));
    let gathering = Gathering::of_bytes(call.args.at(3));
    let gathered = gathered.unwrap_or_else(|| gathering.begin(shard));
    match store(shard, call.db, key, gathered, event) {
        Ok(count) => Answer::yes(call.out, |out| PartWriter(out).number(count)),
        Err(error) => Answer::failed(call.out, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_members_are_gathered_is_read_as_it_was_written() {
        let scored =
            [Aggregate::Sum, Aggregate::Min].map(|aggregate| Gathering::SortedSet { aggregate });
        for gathering in scored.into_iter().chain([Gathering::Set]) {
            assert_eq!(Gathering::of_bytes(&gathering.to_bytes()), gathering);
        }
    }
}
