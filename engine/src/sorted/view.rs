//! A sorted set to read, whichever form it has.

use std::ops::ControlFlow;

use super::SortedSet;
use super::order::{self, Bound, Target};
use super::run::Run;
use crate::limits::{NEAR_ANYHOW_BYTES, NEAR_AT_ONCE};
use crate::nodes::Heap;
use crate::{Direction, KeyHasher};

/// A sorted set to read.
#[derive(Clone, Copy)]
pub(crate) enum SortedSetView<'a> {
    /// A run in an item.
    Packed(Run<'a>),
    /// A tree, and the memory it lies in.
    Large(&'a SortedSet, &'a Heap),
}

/// How many members of a run are less than a target.
pub(crate) fn less_than(run: &Run<'_>, (score, name): (f64, &[u8])) -> usize {
    less(run, &Target::Member(score, name))
}

fn less(run: &Run<'_>, target: &Target<'_>) -> usize {
    order::less(run, target, |body| body.bytes())
}

/// Members of a run before a place.
fn rank_in(run: &Run<'_>, bound: &Bound<'_>) -> usize {
    match *bound {
        Bound::Rank(rank) => rank.min(run.len() as u64) as usize,
        Bound::Start => 0,
        Bound::End => run.len(),
        Bound::Score { score, side } => less(run, &Target::Score(score, side)),
        Bound::Name { name, side } => less(run, &Target::Name(name, side)),
    }
}

/// Verifies a run without tags.
pub(crate) fn check_run(run: &Run<'_>) {
    run.check();
    let members: Vec<(f64, &[u8])> = run
        .entries(0..run.len())
        .map(|entry| (entry.score, entry.body.bytes()))
        .collect();
    for pair in members.windows(2) {
        let order = super::compare_members(pair[0], pair[1]);
        assert!(order.is_lt(), "members are in order");
    }
}

/// Which member of a run without tags has this name.
#[inline]
pub(crate) fn find_in(run: &Run<'_>, name: &[u8]) -> Option<usize> {
    run.find(0, |body| body.bytes() == name)
}

impl<'a> SortedSetView<'a> {
    /// Number of members.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Packed(run) => run.len() as u64,
            Self::Large(set, _) => set.len(),
        }
    }

    /// Bytes of the names, at most.
    pub(crate) fn payload_bytes(&self) -> u64 {
        match self {
            Self::Packed(run) => run.used_bytes() as u64,
            Self::Large(set, _) => set.payload_bytes(),
        }
    }

    /// Brings the leaves of members near that are about to be looked for, by the hashes of their names. A hint.
    #[inline]
    pub(crate) fn prefetch(&self, hashes: &[u64]) {
        let Self::Large(set, heap) = self else { return };
        if hashes.len() < 2 || set.block_bytes() <= NEAR_ANYHOW_BYTES {
            return;
        }
        let hashes = || hashes.iter().copied();
        hashes().for_each(|hash| set.ask_for_word(heap, hash));
        hashes().for_each(|hash| set.ask_for_node(heap, hash));
        hashes().for_each(|hash| set.ask_for_leaf(heap, hash));
    }

    /// As [`Self::prefetch`], of the first [`NEAR_AT_ONCE`] of these names.
    #[inline]
    pub(crate) fn prefetch_names<'n>(
        &self,
        hasher: &KeyHasher,
        names: impl Iterator<Item = &'n [u8]>,
    ) {
        if let Self::Large(..) = self {
            let mut hashes = [0; NEAR_AT_ONCE];
            let mut count = 0;
            for (hash, name) in hashes.iter_mut().zip(names) {
                *hash = hasher.hash(name);
                count += 1;
            }
            self.prefetch(&hashes[..count]);
        }
    }

    /// The score of a member.
    #[inline]
    pub(crate) fn score(&self, hash_of: impl Fn(&[u8]) -> u64, name: &[u8]) -> Option<f64> {
        match self {
            Self::Packed(run) => find_in(run, name).map(|at| run.score(at)),
            Self::Large(set, heap) => set.score(heap, hash_of(name), name),
        }
    }

    /// The rank of a member, from the lowest on, and its score.
    #[inline]
    pub(crate) fn rank(&self, hash_of: impl Fn(&[u8]) -> u64, name: &[u8]) -> Option<(u64, f64)> {
        match self {
            Self::Packed(run) => find_in(run, name).map(|at| (at as u64, run.score(at))),
            Self::Large(set, heap) => set.rank(heap, hash_of(name), name),
        }
    }

    /// Members before a place.
    pub(crate) fn rank_of(&self, bound: &Bound<'_>) -> u64 {
        match self {
            Self::Packed(run) => rank_in(run, bound) as u64,
            Self::Large(set, heap) => set.rank_of_bound(heap, bound),
        }
    }

    /// The member that a walk in this direction shows first, of some.
    pub(crate) fn first(&self, direction: Direction) -> (&'a [u8], f64) {
        match self {
            Self::Packed(run) => {
                let number = match direction {
                    Direction::Up => 0,
                    Direction::Down => run.len() - 1,
                };
                let entry = run.entry(number);
                (entry.body.bytes(), entry.score)
            }
            Self::Large(set, heap) => set.first(heap, direction),
        }
    }

    /// The member of a rank, which there is.
    pub(crate) fn at_rank(&self, rank: u64) -> (&'a [u8], f64) {
        match self {
            Self::Packed(run) => {
                let entry = run.entry(rank as usize);
                (entry.body.bytes(), entry.score)
            }
            Self::Large(set, heap) => set.at_rank(heap, rank),
        }
    }

    /// Shows members from a place on until `show` breaks: upwards those behind it, downwards those before it, the nearest first.
    pub(crate) fn walk(
        &self,
        from: &Bound<'_>,
        direction: Direction,
        show: &mut dyn FnMut(&'a [u8], f64) -> ControlFlow<()>,
    ) {
        match self {
            Self::Packed(run) => {
                let at = rank_in(run, from);
                let mut see = |entry: super::run::Entry<'a>| show(entry.body.bytes(), entry.score);
                let _ = match direction {
                    Direction::Up => run.entries(at..run.len()).try_for_each(&mut see),
                    Direction::Down => run.entries(0..at).rev().try_for_each(&mut see),
                };
            }
            Self::Large(set, heap) => set.walk(heap, from, direction, show),
        }
    }

    /// Shows all members, from the lowest on.
    pub(crate) fn for_each(&self, mut show: impl FnMut(&'a [u8], f64)) {
        self.walk(&Bound::Start, Direction::Up, &mut |name, score| {
            show(name, score);
            ControlFlow::Continue(())
        });
    }

    /// As [`SortedSet::scan`]; a small one is shown at once.
    pub(crate) fn scan(
        &self,
        hash_of: &impl Fn(&[u8]) -> u64,
        cursor: u64,
        count: usize,
        show: &mut dyn FnMut(&'a [u8], f64),
    ) -> Option<u64> {
        match self {
            Self::Packed(_) => {
                self.for_each(show);
                None
            }
            Self::Large(set, heap) => set.scan(heap, hash_of, cursor, count, show),
        }
    }
}
