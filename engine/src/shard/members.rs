//! Sets and sorted sets, read alike: what operations on several of them look at, where a set's members count as scored 1.
//!
//! ```text
//!  keys ── members_at ──▶ MembersRef ──┬─▶ part: names, or names and scores, from a place on
//!                                      └─▶ which, scores: of members of another, looked for together
//! ```

use std::hash::Hash;
use std::ops::ControlFlow;

use super::loose::SCAN_ELEMENTS;
use super::parts::{write_member, write_scored};
use super::{Access, Member, SetRef, Shard, SortedSetRef};
use crate::limits::NEAR_AT_ONCE;
use crate::raw::Block;
use crate::sorted::Bound;
use crate::{DbIndex, Direction, Encoding, Key, Kind, WrongType};

/// The score of a member of a set.
const SCORE_IN_SET: f64 = 1.0;

/// A set, or a sorted set.
#[derive(Clone, Copy)]
pub enum MembersRef<'a> {
    /// A set.
    Set(SetRef<'a>),
    /// A sorted set.
    SortedSet(SortedSetRef<'a>),
}

/// What a part has of each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartOf {
    /// Its name, as in parts of a set.
    Names,
    /// Its name and its score, as in parts of a sorted set.
    Scored,
}

impl PartOf {
    /// Adds a member to a part.
    pub fn write(self, member: &Member<'_>, part: &mut Vec<u8>) {
        match self {
            Self::Names => write_member(member.name, part),
            Self::Scored => write_scored(member, part),
        }
    }
}

impl Shard {
    /// The members of what is at some keys, sets and, if they are `wanted`, sorted sets: each found for a command that reads, and shown
    /// to `look` one by one until that fails.
    ///
    /// # Errors
    /// As `look`'s.
    pub fn members_at<'k, E>(
        &mut self,
        db: DbIndex,
        keys: impl Iterator<Item = Key<'k>>,
        (wanted, access): (&[Kind], Access),
        mut look: impl FnMut(Result<bool, WrongType>) -> Result<(), E>,
    ) -> Result<Vec<Option<MembersRef<'_>>>, E> {
        let mut items = Vec::with_capacity(keys.size_hint().0);
        for key in keys {
            let item = self.any_collection_to_read(db, key, |kind| wanted.contains(&kind), access);
            look(item.map(|item| item.is_some()))?;
            items.push(item.ok().flatten());
        }
        // Nothing that looking at others does moves an item, or takes a live one away.
        let found = items.into_iter().map(|item| Some(self.members_of(item?)));
        Ok(found.collect())
    }

    fn members_of(&self, item: Block) -> MembersRef<'_> {
        match self.memory.layout(item).head.form().kind() {
            Kind::Set => MembersRef::Set(self.set_of(item)),
            Kind::SortedSet => MembersRef::SortedSet(self.sorted_ref(item)),
            kind => unreachable!("a {kind:?} has no members"),
        }
    }
}

#[expect(
    clippy::len_without_is_empty,
    reason = "a set that is there has members"
)]
impl<'a> MembersRef<'a> {
    fn item(&self) -> Block {
        match self {
            Self::Set(set) => set.item,
            Self::SortedSet(set) => set.item,
        }
    }

    /// What is alike of the same only, within a shard.
    pub fn identity(&self) -> impl Eq + Hash + use<> {
        self.item()
    }

    /// Number of members, at least one.
    #[inline]
    pub fn len(&self) -> u64 {
        match self {
            Self::Set(set) => set.len(),
            Self::SortedSet(set) => set.len(),
        }
    }

    /// Bytes that all names have at most.
    pub fn payload_bytes(&self) -> u64 {
        match self {
            Self::Set(set) => set.payload_bytes(),
            Self::SortedSet(set) => set.payload_bytes(),
        }
    }

    /// What it answers as its encoding.
    pub fn encoding(&self) -> Encoding {
        match self {
            Self::Set(set) => set.encoding(),
            Self::SortedSet(set) => set.encoding(),
        }
    }

    /// Whether it lies in its item, where a member is found by a look at all.
    pub fn is_packed(&self) -> bool {
        match self {
            Self::Set(set) => set.is_packed(),
            Self::SortedSet(set) => set.is_packed(),
        }
    }

    /// Shows members until `show` breaks: of a sorted set from the lowest on, of a set as [`SetRef::walk`] does.
    pub fn walk(&self, show: &mut dyn FnMut(Member<'a>) -> ControlFlow<()>) {
        match self {
            Self::Set(set) => set.walk(&mut |name| {
                show(Member {
                    name,
                    score: SCORE_IN_SET,
                })
            }),
            Self::SortedSet(set) => set.walk(&Bound::Start, Direction::Up, show),
        }
    }

    /// Which of these members there are, at most [`NEAR_AT_ONCE`], a bit each: they are looked for together.
    #[inline]
    pub fn which(&self, names: &[&[u8]]) -> u32 {
        match self {
            Self::Set(set) => set.which(names),
            Self::SortedSet(set) => {
                let scores = set.scores(names).into_iter().enumerate();
                scores.fold(0, |found, (at, score)| {
                    found | u32::from(score.is_some()) << at
                })
            }
        }
    }

    /// The scores of these members, at most [`NEAR_AT_ONCE`], of those that there are: they are looked for together.
    #[inline]
    pub fn scores(&self, names: &[&[u8]]) -> [Option<f64>; NEAR_AT_ONCE] {
        match self {
            Self::Set(set) => {
                let found = set.which(names);
                std::array::from_fn(|at| (found >> at & 1 != 0).then_some(SCORE_IN_SET))
            }
            Self::SortedSet(set) => set.scores(names),
        }
    }

    /// Adds members to a part until it has about so many bytes: from a place, zero at first, on. Where the next part begins, if there is
    /// one. The places are those of a set that does not change.
    pub fn part(
        &self,
        of: PartOf,
        (from, most_bytes): (u64, usize),
        part: &mut Vec<u8>,
    ) -> Option<u64> {
        match self {
            Self::Set(set) if !set.is_packed() => {
                let mut next = Some(from);
                while let Some(cursor) = next.filter(|_| part.len() < most_bytes) {
                    next = set.scan(cursor, SCAN_ELEMENTS, &mut |name| {
                        let score = SCORE_IN_SET;
                        of.write(&Member { name, score }, part);
                    });
                }
                next
            }
            Self::Set(_) => {
                let mut at = 0;
                self.walk(&mut |member| {
                    if at >= from && part.len() >= most_bytes {
                        return ControlFlow::Break(());
                    }
                    if at >= from {
                        of.write(&member, part);
                    }
                    at += 1;
                    ControlFlow::Continue(())
                });
                (at < self.len()).then_some(at)
            }
            Self::SortedSet(set) => {
                let mut next = from;
                set.walk(&Bound::Rank(from), Direction::Up, &mut |member| {
                    of.write(&member, part);
                    next += 1;
                    match part.len() < most_bytes {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    }
                });
                (next < set.len()).then_some(next)
            }
        }
    }
}
