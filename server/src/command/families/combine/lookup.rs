//! Members of one set looked for in others, [`NEAR_AT_ONCE`] at a time.

use std::collections::HashMap;
use std::ops::ControlFlow;

use larder_engine::limits::NEAR_AT_ONCE;
use larder_engine::{Member, MembersRef};

use super::Keep;

/// Members of a packed set from which on it is worth a table of its own, if so many are looked for in it: finding one in the set is a look
/// at all tags, or at all names.
const TABLE_MIN_MEMBERS: u64 = 64;

/// Scores by name.
pub(super) type Table<'a> = HashMap<&'a [u8], f64, ahash::RandomState>;

/// An operand in which members are looked for, with its weight.
pub(super) struct Other<'a> {
    place: Place<'a>,
    weight: f64,
}

enum Place<'a> {
    Itself(MembersRef<'a>),
    Table(Table<'a>),
}

impl<'a> Other<'a> {
    /// One in which so many are about to be looked for.
    pub(super) fn new(set: MembersRef<'a>, weight: f64, lookups: u64) -> Self {
        let is_for_table = set.is_packed() && set.len().min(lookups) >= TABLE_MIN_MEMBERS;
        let place = match is_for_table {
            true => Place::Table(table_of(&set)),
            false => Place::Itself(set),
        };
        Self { place, weight }
    }

    fn which(&self, names: &[&[u8]]) -> u32 {
        match &self.place {
            Place::Itself(set) => set.which(names),
            Place::Table(table) => {
                let names = names.iter().enumerate();
                names.fold(0, |found, (at, name)| {
                    found | u32::from(table.contains_key(name)) << at
                })
            }
        }
    }

    fn scores(&self, names: &[&[u8]]) -> [Option<f64>; NEAR_AT_ONCE] {
        match &self.place {
            Place::Itself(set) => set.scores(names),
            Place::Table(table) => {
                let mut scores = [None; NEAR_AT_ONCE];
                for (score, name) in scores.iter_mut().zip(names) {
                    *score = table.get(name).copied();
                }
                scores
            }
        }
    }
}

fn table_of<'a>(set: &MembersRef<'a>) -> Table<'a> {
    let mut table = Table::default();
    table.reserve(set.len() as usize);
    set.walk(&mut |member| {
        table.insert(member.name, member.score);
        ControlFlow::Continue(())
    });
    table
}

/// Members that are looked for together, with the scores they have so far.
#[derive(Default)]
pub(super) struct Together<'a> {
    names: [&'a [u8]; NEAR_AT_ONCE],
    scores: [f64; NEAR_AT_ONCE],
    count: usize,
}

impl<'a> Together<'a> {
    /// Adds one; whether it was the last that there is room for.
    #[inline]
    pub(super) fn push(&mut self, member: Member<'a>) -> bool {
        self.names[self.count] = member.name;
        self.scores[self.count] = member.score;
        self.count += 1;
        self.count == NEAR_AT_ONCE
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Which of them are kept for what others have, a bit each. Their scores become what comes of them, if scores are put together.
    #[inline]
    pub(super) fn keep(&mut self, others: &[Other<'_>], keep: Keep) -> u32 {
        let names = &self.names[..self.count];
        let mut left = match self.count {
            NEAR_AT_ONCE => u32::MAX,
            count => (1 << count) - 1,
        };
        for other in others {
            left &= match keep {
                Keep::IfAllHave => other.which(names),
                Keep::IfNoneHas => !other.which(names),
                Keep::Scored(aggregate) => {
                    let found = other.scores(names);
                    let mut have = 0;
                    for (at, (score, other_score)) in self.scores.iter_mut().zip(found).enumerate()
                    {
                        if let Some(other_score) = other_score {
                            *score = aggregate.of(*score, other.weight * other_score);
                            have |= 1 << at;
                        }
                    }
                    have
                }
            };
            if left == 0 {
                break;
            }
        }
        left
    }

    /// Those whose bits are set.
    #[inline]
    pub(super) fn of(&self, mut bits: u32) -> impl Iterator<Item = Member<'a>> {
        let (names, scores) = (self.names, self.scores);
        std::iter::from_fn(move || {
            let at = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(Member {
                name: names[at],
                score: scores[at],
            })
        })
    }
}

/// Whether looking for so few is done without tables.
pub(super) fn is_without_tables(lookups: u64) -> bool {
    lookups < TABLE_MIN_MEMBERS
}

const _: () = assert!(NEAR_AT_ONCE == u32::BITS as usize, "a bit each");
