//! What comes of the scores that several sorted sets give a member.

use std::cmp::Ordering;

use larder_engine::Member;

use crate::command::Args;
use crate::command::families::sorted_sets::Parts;
use crate::resp::{ErrorReply, errors};

/// What is done with scores.
#[derive(Clone, Debug)]
pub(in crate::command::families) struct Scores {
    /// Of each operand.
    pub(in crate::command::families) weights: Vec<f64>,
    pub(in crate::command::families) aggregate: Aggregate,
    /// What is shown of a member.
    pub(in crate::command::families) parts: Parts,
}

impl Scores {
    /// What is done with those of so many operands unless something else is said.
    pub(in crate::command::families) fn of(operands: usize) -> Self {
        Self {
            weights: vec![1.0; operands],
            aggregate: Aggregate::Sum,
            parts: Parts::Names,
        }
    }
}

/// How scores are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command::families) enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    /// The one that argument `at` names.
    pub(in crate::command::families) fn parse(
        args: &Args<'_>,
        at: usize,
    ) -> Result<Self, ErrorReply> {
        match () {
            () if args.is(at, "sum") => Ok(Self::Sum),
            () if args.is(at, "min") => Ok(Self::Min),
            () if args.is(at, "max") => Ok(Self::Max),
            () => Err(errors::SYNTAX),
        }
    }

    /// Two scores put together. Opposite infinities add up to 0, as in Redis; of what is no number, min and max take no notice.
    pub(super) fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number(one + other),
            Self::Min if other < one => other,
            Self::Max if other > one => other,
            Self::Min | Self::Max => one,
        }
    }

    /// As a byte, for another core.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Sum => 0,
            Self::Min => 1,
            Self::Max => 2,
        }
    }

    /// What [`Self::code`] made a byte of.
    pub(super) fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Sum,
            1 => Self::Min,
            2 => Self::Max,
            _ => unreachable!("there are three"),
        }
    }
}

/// The first score of a member, times a weight: 0 if that is no number.
pub(super) fn weighed(weight: f64, score: f64) -> f64 {
    number(weight * score)
}

/// A score; 0 if it is no number.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// By score, then by name; zeros of both signs are alike.
pub(super) fn in_order(one: &Member<'_>, other: &Member<'_>) -> Ordering {
    let by_score = one.score.partial_cmp(&other.score);
    let by_score = by_score.expect("a score is a number");
    by_score.then_with(|| one.name.cmp(other.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_put_together_as_redis_does() {
        let infinite = f64::INFINITY;
        assert_eq!(Aggregate::Sum.of(infinite, -infinite), 0.0);
        assert_eq!(Aggregate::Min.of(2.0, f64::NAN), 2.0);
        assert_eq!(Aggregate::Max.of(2.0, 3.0), 3.0);
        assert_eq!(Aggregate::Min.of(2.0, -infinite), -infinite);
        assert_eq!(weighed(0.0, infinite), 0.0);
    }

    #[test]
    fn a_code_says_which_it_was() {
        for aggregate in [Aggregate::Sum, Aggregate::Min, Aggregate::Max] {
            assert_eq!(Aggregate::of_code(aggregate.code()), aggregate);
        }
    }
}
