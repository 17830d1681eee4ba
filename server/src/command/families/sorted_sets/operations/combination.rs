//! What comes of the scores that several sorted sets give a member.

use std::cmp::Ordering;
use std::collections::HashMap;

use larder_engine::Member;

use crate::command::Args;
use crate::command::families::combine::Operation;
use crate::command::families::sorted_sets::store::Members;
use crate::resp::{ErrorReply, errors};

/// How scores are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    /// The one that argument `at` names.
    pub(super) fn parse(args: &Args<'_>, at: usize) -> Result<Self, ErrorReply> {
        match () {
            () if args.is(at, "sum") => Ok(Self::Sum),
            () if args.is(at, "min") => Ok(Self::Min),
            () if args.is(at, "max") => Ok(Self::Max),
            () => Err(errors::SYNTAX),
        }
    }

    /// Two scores put together. Opposite infinities add up to 0, as in Redis; of what is no number, min and max take no notice.
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number(one + other),
            Self::Min if other < one => other,
            Self::Max if other > one => other,
            Self::Min | Self::Max => one,
        }
    }
}

/// A score; 0 if it is no number.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// Which operands are looked at, by their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Those whose members are fetched.
    pub(super) bases: Vec<usize>,
    /// Those that are asked about the members of the only base.
    pub(super) others: Vec<usize>,
}

impl Plan {
    /// The plan for operands with so many members. Scores are put together in the order of their numbers of members, as in Redis: so are
    /// sums of fractions.
    pub(super) fn of(operation: Operation, lens: &[Option<u64>]) -> Self {
        let mut by_len: Vec<usize> = (0..lens.len()).collect();
        by_len.sort_by_key(|&number| lens[number]);
        let is_there = |number: &usize| lens[*number].is_some();
        match operation {
            Operation::Union => Self {
                bases: by_len.into_iter().filter(is_there).collect(),
                others: Vec::new(),
            },
            Operation::Inter if lens.iter().any(Option::is_none) => Self::default(),
            Operation::Inter => Self {
                others: by_len.split_off(1),
                bases: by_len,
            },
            Operation::Diff if lens[0].is_none() => Self::default(),
            Operation::Diff => Self {
                bases: vec![0],
                others: (1..lens.len()).filter(is_there).collect(),
            },
        }
    }
}

/// What is to be done with the scores.
#[derive(Clone, Debug)]
pub(super) struct Combination {
    pub(super) operation: Operation,
    /// Of each operand.
    pub(super) weights: Vec<f64>,
    pub(super) aggregate: Aggregate,
}

impl Combination {
    /// What comes of the members of the bases, and of the scores that the others give those of the only base; in order.
    pub(super) fn of<'m>(
        &self,
        plan: &Plan,
        bases: &'m [Members],
        probes: &[Vec<f64>],
    ) -> Vec<Member<'m>> {
        let mut members = match (self.operation, bases) {
            (Operation::Union, _) => self.union(plan, bases),
            (_, [base]) => self.filtered(plan, base, probes),
            _ => Vec::new(),
        };
        members.sort_unstable_by(in_order);
        members
    }

    fn union<'m>(&self, plan: &Plan, bases: &'m [Members]) -> Vec<Member<'m>> {
        let mut scores: HashMap<&[u8], f64, ahash::RandomState> = HashMap::default();
        for (base, &operand) in bases.iter().zip(&plan.bases) {
            for Member { name, score } in base.iter() {
                let score = number(self.weights[operand] * score);
                scores
                    .entry(name)
                    .and_modify(|sum| *sum = self.aggregate.of(*sum, score))
                    .or_insert(score);
            }
        }
        let members = scores.into_iter();
        members
            .map(|(name, score)| Member { name, score })
            .collect()
    }

    /// The members of the base that the others have, or have not.
    fn filtered<'m>(&self, plan: &Plan, base: &'m Members, probes: &[Vec<f64>]) -> Vec<Member<'m>> {
        let is_there = self.operation == Operation::Inter;
        let mut members = Vec::new();
        for (at, Member { name, score }) in base.iter().enumerate() {
            if probes.iter().any(|probe| probe[at].is_nan() == is_there) {
                continue;
            }
            let mut score = match is_there {
                true => number(self.weights[plan.bases[0]] * score),
                false => score,
            };
            if is_there {
                for (probe, &operand) in probes.iter().zip(&plan.others) {
                    score = self.aggregate.of(score, self.weights[operand] * probe[at]);
                }
            }
            members.push(Member { name, score });
        }
        members
    }
}

/// By score, then by name; zeros of both signs are alike.
fn in_order(one: &Member<'_>, other: &Member<'_>) -> Ordering {
    let by_score = one.score.partial_cmp(&other.score);
    let by_score = by_score.expect("a score is a number");
    by_score.then_with(|| one.name.cmp(other.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_is_the_base_of_an_intersection() {
        let lens = [Some(5), Some(2), Some(9)];
        let plan = Plan::of(Operation::Inter, &lens);
        assert_eq!((plan.bases, plan.others), (vec![1], vec![0, 2]));
        let plan = Plan::of(Operation::Union, &[Some(5), None, Some(2)]);
        assert_eq!((plan.bases, plan.others), (vec![2, 0], vec![]));
        let plan = Plan::of(Operation::Diff, &[Some(5), None, Some(2)]);
        assert_eq!((plan.bases, plan.others), (vec![0], vec![2]));
        assert_eq!(
            Plan::of(Operation::Inter, &[Some(5), None]),
            Plan::default()
        );
        assert_eq!(Plan::of(Operation::Diff, &[None, Some(5)]), Plan::default());
    }

    #[test]
    fn scores_are_put_together_as_redis_does() {
        let infinite = f64::INFINITY;
        assert_eq!(Aggregate::Sum.of(infinite, -infinite), 0.0);
        assert_eq!(Aggregate::Min.of(2.0, f64::NAN), 2.0);
        assert_eq!(Aggregate::Max.of(2.0, 3.0), 3.0);
        assert_eq!(Aggregate::Min.of(2.0, -infinite), -infinite);
    }
}
