//! Entries whose time has come: found node by node, which the agenda tells of (`deadlines.rs`).

use super::entries::{Entry, entry_of};
use super::run::Shape;
use super::{Spiral, run_of};
use crate::UnixMillis;
use crate::agenda::NEVER;
use crate::nodes::Heap;

/// A place among the elements of a bucket: which of its nodes, and which element of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(usize, usize);

impl Place {
    /// The place behind.
    pub(crate) fn next(self) -> Self {
        Self(self.0, self.1 + 1)
    }
}

impl Spiral {
    /// The next node that has a time that has come. Adds to `pages_read` the pages of the agenda read.
    pub(crate) fn next_due(
        &mut self,
        heap: &Heap,
        now: UnixMillis,
        pages_read: &mut u32,
    ) -> Option<u32> {
        let ordinal = self.agenda.as_mut()?.next_due(now, pages_read)?;
        heap.arena
            .prefetch_whole(self.table.get(&heap.arena, ordinal));
        Some(ordinal)
    }

    /// The first entry of a bucket, from place `from` on, whose time has come, and its place. A place is as good as the elements before it
    /// stay where they are; one that is taken out has another come to its place.
    pub(crate) fn due_in(
        &self,
        heap: &Heap,
        (ordinal, from): (u32, Place),
        now: UnixMillis,
    ) -> Option<(Place, Entry)> {
        let Place(mut nth, mut at) = from;
        if ordinal >= self.table.len() {
            // It has been joined with another meanwhile.
            return None;
        }
        for block in self.blocks_of(heap, ordinal).skip(nth) {
            let run = run_of(heap, block);
            let shape = Shape::read(run);
            if shape.has_deadlines() {
                let is_due = |&at: &usize| shape.deadline(run, at).is_some_and(|at| at <= now);
                if let Some(at) = (at..shape.count).find(is_due) {
                    let entry = entry_of((ordinal, block), at, &shape.element(run, at));
                    return Some((Place(nth, at), entry));
                }
            }
            (nth, at) = (nth + 1, 0);
        }
        None
    }

    /// How many elements of a bucket, and how many of them are due at `now`.
    pub(crate) fn count_due(&self, heap: &Heap, ordinal: u32, now: UnixMillis) -> (u32, u32) {
        let (mut volatile, mut due) = (0, 0);
        for block in self.blocks_of(heap, ordinal) {
            let run = run_of(heap, block);
            let shape = Shape::read(run);
            for at in 0..shape.count {
                let deadline = shape.deadline(run, at);
                volatile += u32::from(deadline.is_some());
                due += u32::from(deadline.is_some_and(|at| at <= now));
            }
        }
        (volatile, due)
    }

    /// Plans the next look at a bucket: when the next time of it comes that is after `now`, or at `put_off` if one has come. If more have
    /// come than so many that stay, the look has missed some, whose places others took: then at once.
    pub(crate) fn plan(
        &mut self,
        heap: &Heap,
        ordinal: u32,
        now: UnixMillis,
        (stay, put_off): (u32, UnixMillis),
    ) {
        if self.agenda.is_none() || ordinal >= self.table.len() {
            return;
        }
        let (mut soonest, mut due) = (NEVER, 0);
        for block in self.blocks_of(heap, ordinal) {
            let run = run_of(heap, block);
            let shape = Shape::read(run);
            for at in (0..shape.count).filter(|_| shape.has_deadlines()) {
                match shape.deadline(run, at).unwrap_or(NEVER) {
                    deadline if deadline <= now => due += 1,
                    deadline => soonest = soonest.min(deadline),
                }
            }
        }
        if due > 0 {
            soonest = soonest.min(if due > stay { now } else { put_off });
        }
        if let Some(agenda) = &mut self.agenda {
            agenda.set(ordinal, soonest);
        }
    }
}
