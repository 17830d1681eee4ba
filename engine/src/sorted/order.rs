//! The order of members, by score and then by name, and places in it.

use std::cmp::Ordering;

use super::inner::{Bottom, Prefix};
use super::run::{Body, Run};

/// On which side of something a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Right before it.
    Before,
    /// Right behind it.
    After,
}

/// A place between members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound<'a> {
    /// Before the member of this rank, counted from the lowest; behind all if there is none.
    Rank(u64),
    /// On one side of all members of a score.
    Score {
        /// The score.
        score: f64,
        /// Which side.
        side: Side,
    },
    /// On one side of a name, where all scores are alike.
    Name {
        /// The name.
        name: &'a [u8],
        /// Which side.
        side: Side,
    },
    /// Before all.
    Start,
    /// Behind all.
    End,
}

/// What is looked for in the order: a member, or a place where none is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Member(f64, &'a [u8]),
    Score(f64, Side),
    Name(&'a [u8], Side),
}

/// How two scores are to each other.
#[inline(always)]
fn compare(a: f64, b: f64) -> Ordering {
    // No score is NaN.
    match a < b {
        true => Ordering::Less,
        false if a > b => Ordering::Greater,
        false => Ordering::Equal,
    }
}

/// Where a member is that is on no side itself.
#[inline(always)]
fn beside(order: Ordering, side: Side) -> Ordering {
    order.then(match side {
        Side::Before => Ordering::Greater,
        Side::After => Ordering::Less,
    })
}

impl Target<'_> {
    /// How a member of this score is to it; equal: its name decides.
    #[inline(always)]
    pub(super) fn by_score(&self, score: f64) -> Ordering {
        match *self {
            Self::Member(of, _) => compare(score, of),
            Self::Score(of, side) => beside(compare(score, of), side),
            Self::Name(..) => Ordering::Equal,
        }
    }

    /// How a member of this name is to it, whose score does not decide.
    #[inline(always)]
    pub(super) fn by_name(&self, name: &[u8]) -> Ordering {
        match *self {
            Self::Member(_, of) => name.cmp(of),
            Self::Name(of, side) => beside(name.cmp(of), side),
            Self::Score(..) => unreachable!("scores decide"),
        }
    }

    #[inline(always)]
    fn by_prefix(&self, prefix: Prefix) -> Ordering {
        match *self {
            Self::Member(_, of) | Self::Name(of, _) => prefix.cmp(&Prefix::of(of)),
            Self::Score(..) => unreachable!("scores decide"),
        }
    }

    /// How a member of which so much is known is to it; equal: its name decides.
    #[inline(always)]
    pub(super) fn by_bottom(&self, bottom: &Bottom) -> Ordering {
        let by_score = self.by_score(bottom.score);
        match by_score {
            Ordering::Equal => self.by_prefix(bottom.prefix),
            _ => by_score,
        }
    }
}

/// How many members of a run are before a target; `name_of` tells the name by what lies in its place.
#[inline]
pub(super) fn less<'a>(
    run: &Run<'a>,
    target: &Target<'_>,
    name_of: impl Fn(Body<'a>) -> &'a [u8],
) -> usize {
    let by_name = |body| target.by_name(name_of(body));
    match *target {
        Target::Member(score, _) => run.less_among(run.of_score(score), by_name),
        Target::Score(score, Side::Before) => run.of_score(score).start,
        Target::Score(score, Side::After) => run.of_score(score).end,
        Target::Name(..) => run.less_among(0..run.len(), by_name),
    }
}

/// The order of two members.
#[inline]
pub(crate) fn compare_members(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    compare(a.0, b.0).then_with(|| a.1.cmp(b.1))
}
