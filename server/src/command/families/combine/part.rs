//! Parts of sets: members of one, from a place on, that others have or have not, and what becomes of their scores.

use larder_engine::{
    Access, DbIndex, Key, Member, MembersRef, PartOf, Shard, members_of_part, scored_of_part,
};

use super::lookup::{Other, Together};
use super::scores::{self, Aggregate};
use super::{Combining, Keep, Operation, SETS_AND_SORTED_SETS, Wanted};

/// Members that stand together, and where the next do.
#[derive(Debug)]
pub(super) struct Part {
    /// As [`PartOf::write`] writes them.
    pub(super) members: Vec<u8>,
    pub(super) next: Option<u64>,
}

/// Where in a set a part begins, and how many bytes it has, about.
pub(super) type Place = (u64, usize);

/// An operand's key, and its weight.
pub(super) type Weighed<'k> = (Key<'k>, f64);

/// What becomes of a part of a base's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Which of them are kept, for what others have.
    pub(super) keep: Keep,
    pub(super) of: PartOf,
}

const IF_ALL_HAVE: u8 = 0;
const IF_NONE_HAS: u8 = 1;
const FIRST_SCORED: u8 = 2;

impl Manner {
    /// That of an operation.
    pub(super) fn of(combining: &Combining) -> Self {
        let is_scored = |wanted| !matches!(wanted, Wanted::Count { .. });
        let scores = combining.scores.as_ref();
        let scores = scores.filter(|_| is_scored(combining.wanted));
        let keep = match (combining.operation, scores) {
            (Operation::Inter, Some(scores)) => Keep::Scored(scores.aggregate),
            (Operation::Inter, None) => Keep::IfAllHave,
            (Operation::Union | Operation::Diff, _) => Keep::IfNoneHas,
        };
        let of = match scores {
            Some(_) => PartOf::Scored,
            None => PartOf::Names,
        };
        Self { keep, of }
    }

    /// As bytes, for another core.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let keep = match self.keep {
            Keep::IfAllHave => IF_ALL_HAVE,
            Keep::IfNoneHas => IF_NONE_HAS,
            Keep::Scored(aggregate) => FIRST_SCORED + aggregate.code(),
        };
        vec![keep, u8::from(self.of == PartOf::Scored)]
    }

    /// What [`Self::to_bytes`] made of one.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let [keep, of] = bytes else {
            unreachable!("two bytes are written")
        };
        let keep = match *keep {
            IF_ALL_HAVE => Keep::IfAllHave,
            IF_NONE_HAS => Keep::IfNoneHas,
            scored => Keep::Scored(Aggregate::of_code(scored - FIRST_SCORED)),
        };
        let of = match of {
            0 => PartOf::Names,
            _ => PartOf::Scored,
        };
        Self { keep, of }
    }
}

/// A part of the members at `base`, those that are kept for what is at `others`, with what becomes of their scores. None, if one of the
/// keys is not there any more.
pub(super) fn made(
    shard: &mut Shard,
    db: DbIndex,
    (base, others): (Weighed<'_>, &[Weighed<'_>]),
    manner: Manner,
    place: Place,
) -> Option<Part> {
    let keys = std::iter::once(base.0).chain(others.iter().map(|other| other.0));
    let sets = sets(shard, db, keys)?;
    let (first, rest) = sets.split_first().expect("there is a base");
    let mut members = Vec::new();
    let next = first.part(manner.of, place, &mut members);
    if manner.of == PartOf::Scored && base.1 != 1.0 {
        members = weigh(&members, base.1);
    }
    if !rest.is_empty() {
        let weights = others.iter().map(|other| other.1);
        members = passed(rest, weights, manner, &members).of(&members, manner.of);
    }
    Some(Part { members, next })
}

/// What is at these keys, which have been looked up before. None, if one is not there any more.
fn sets<'s, 'k>(
    shard: &'s mut Shard,
    db: DbIndex,
    keys: impl Iterator<Item = Key<'k>>,
) -> Option<Vec<MembersRef<'s>>> {
    let seen = |found: Result<bool, _>| match found {
        Ok(true) => Ok(()),
        _ => Err(()),
    };
    let of = (SETS_AND_SORTED_SETS, Access::Peek);
    let sets = shard.members_at(db, keys, of, seen).ok()?;
    Some(sets.into_iter().flatten().collect())
}

/// Members with their scores times a weight.
fn weigh(members: &[u8], weight: f64) -> Vec<u8> {
    let mut weighed = Vec::with_capacity(members.len());
    for Member { name, score } in scored_of_part(members) {
        let score = scores::weighed(weight, score);
        PartOf::Scored.write(&Member { name, score }, &mut weighed);
    }
    weighed
}

/// Which of these members the sets at some keys let pass. None, if one of the keys is not there any more.
pub(super) fn passed_at(
    shard: &mut Shard,
    db: DbIndex,
    others: &[Weighed<'_>],
    manner: Manner,
    members: &[u8],
) -> Option<Passed> {
    let sets = sets(shard, db, others.iter().map(|other| other.0))?;
    let weights = others.iter().map(|other| other.1);
    Some(passed(&sets, weights, manner, members))
}

/// Which of some members others let pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Passed {
    /// A bit each.
    kept: Vec<u32>,
    /// The scores that those have now, if scores are put together.
    scores: Vec<f64>,
}

impl Passed {
    /// Those that both let pass, of whom none changes scores.
    pub(super) fn and(&mut self, other: &Self) {
        assert_eq!(self.kept.len(), other.kept.len(), "of the same members");
        assert!(self.scores.is_empty() && other.scores.is_empty());
        for (bits, other) in self.kept.iter_mut().zip(&other.kept) {
            *bits &= other;
        }
    }

    /// Writes it for another core.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.kept.len() as u32).to_le_bytes());
        out.extend(self.kept.iter().flat_map(|bits| bits.to_le_bytes()));
        out.extend(self.scores.iter().flat_map(|score| score.to_le_bytes()));
    }

    /// What another core has written.
    pub(super) fn read(written: &[u8]) -> Self {
        let (words, rest) = written.split_first_chunk().expect("a number of words");
        let (words, scores) = rest.split_at(u32::from_le_bytes(*words) as usize * 4);
        let ((words, none), (scores, rest)) = (words.as_chunks(), scores.as_chunks());
        assert!(none.is_empty() && rest.is_empty(), "all are whole");
        Self {
            kept: words.iter().map(|word| u32::from_le_bytes(*word)).collect(),
            scores: scores
                .iter()
                .map(|score| f64::from_le_bytes(*score))
                .collect(),
        }
    }

    /// Those of `members` that pass, with the scores they have now.
    pub(super) fn of(&self, members: &[u8], of: PartOf) -> Vec<u8> {
        let mut chosen = Vec::with_capacity(members.len());
        let mut scores = self.scores.iter();
        for (at, mut member) in members_in(members, of).enumerate() {
            let bits = self.kept[at / u32::BITS as usize];
            if bits >> (at % u32::BITS as usize) & 1 != 0 {
                member.score = scores.next().copied().unwrap_or(member.score);
                of.write(&member, &mut chosen);
            }
        }
        chosen
    }
}

/// The members of a part, which have no scores if it is one of names.
fn members_in(part: &[u8], of: PartOf) -> impl Iterator<Item = Member<'_>> {
    let (names, scored) = match of {
        PartOf::Names => (part, &b""[..]),
        PartOf::Scored => (&b""[..], part),
    };
    let names = members_of_part(names).map(|name| Member { name, score: 0.0 });
    names.chain(scored_of_part(scored))
}

/// How many members a part has.
pub(super) fn count(part: &[u8], of: PartOf) -> usize {
    members_in(part, of).count()
}

/// Which of `members` the others let pass.
fn passed(
    sets: &[MembersRef<'_>],
    weights: impl Iterator<Item = f64>,
    Manner { keep, of }: Manner,
    members: &[u8],
) -> Passed {
    let lookups = members_in(members, of).count() as u64;
    let others = sets.iter().zip(weights);
    let others = others.map(|(set, weight)| Other::new(*set, weight, lookups));
    let others: Vec<Other<'_>> = others.collect();
    let mut passed = Passed::default();
    let mut together = Together::default();
    let mut look = |together: &mut Together<'_>| {
        let kept = together.keep(&others, keep);
        passed.kept.push(kept);
        if let Keep::Scored(_) = keep {
            let scores = together.of(kept).map(|member| member.score);
            passed.scores.extend(scores);
        }
        together.clear();
    };
    for member in members_in(members, of) {
        if together.push(member) {
            look(&mut together);
        }
    }
    if !together.is_empty() {
        look(&mut together);
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_read_as_it_was_written() {
        let passed = Passed {
            kept: vec![0b101, 1 << 31],
            scores: vec![1.5, f64::NEG_INFINITY, -0.0],
        };
        let mut written = Vec::new();
        passed.write(&mut written);
        assert_eq!(Passed::read(&written), passed);
    }

    #[test]
    fn a_manner_is_read_as_it_was_written() {
        let keeps = [
            Keep::IfAllHave,
            Keep::IfNoneHas,
            Keep::Scored(Aggregate::Sum),
            Keep::Scored(Aggregate::Max),
        ];
        for keep in keeps {
            for of in [PartOf::Names, PartOf::Scored] {
                let manner = Manner { keep, of };
                assert_eq!(Manner::of_bytes(&manner.to_bytes()), manner);
            }
        }
    }
}
