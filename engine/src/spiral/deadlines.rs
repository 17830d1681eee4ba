//! When elements end: for each node a time before which none of its elements does, and the removal of those that have ended.
//!
//! ```text
//!  agenda:  ordinal 0 | 1 | 2 | …     the soonest deadline of the node, or an earlier time
//! ```
//! A deadline that is set makes its node's time earlier; one that goes leaves it as it is, so that nobody looks for the next. When
//! a time has come the node is read, what has ended is removed, and the time is that of the next. A node is so read in vain at most once
//! for each deadline. A collection without deadlines has no agenda.

use super::run::Shape;
use super::{ElementRef, Spiral, Spot, run_of};
use crate::UnixMillis;
use crate::agenda::{Agenda, NEVER};
use crate::limits::{FIELD_REMOVAL_COST, NODE_LOOK_COST};
use crate::nodes::Heap;

impl Spiral {
    /// No element ends before this.
    #[inline]
    pub(crate) fn wakes_at(&self) -> UnixMillis {
        self.agenda
            .as_ref()
            .map_or(NEVER, |agenda| agenda.soonest())
    }

    /// A time before which no deadline comes, if there is a deadline.
    pub(crate) fn soonest_deadline(&self) -> Option<UnixMillis> {
        self.agenda.as_ref().map(|agenda| agenda.soonest())
    }

    /// When node `ordinal` is looked at.
    pub(super) fn look_at(&self, ordinal: u32) -> UnixMillis {
        let agenda = self.agenda.as_ref();
        agenda.map_or(NEVER, |agenda| agenda.time(ordinal))
    }

    /// Bytes of the agenda.
    pub(super) fn agenda_bytes(&self) -> u64 {
        let bytes = |agenda: &Agenda| size_of::<Agenda>() + agenda.bytes();
        self.agenda.as_deref().map_or(0, bytes) as u64
    }

    /// An element of this node has this deadline now, instead of `was`.
    #[inline]
    pub(super) fn deadline_changed(
        &mut self,
        ordinal: u32,
        was: Option<UnixMillis>,
        is: Option<UnixMillis>,
    ) {
        if was.is_some() || is.is_some() {
            self.note_deadline(ordinal, was, is);
        }
    }

    #[inline(never)]
    fn note_deadline(&mut self, ordinal: u32, was: Option<UnixMillis>, is: Option<UnixMillis>) {
        self.volatile = self.volatile - u64::from(was.is_some()) + u64::from(is.is_some());
        if self.volatile == 0 {
            self.agenda = None;
        } else if let Some(at) = is {
            let agenda = self.agenda.get_or_insert_with(|| Box::new(Agenda::new()));
            if at < agenda.time(ordinal) {
                agenda.set(ordinal, at);
            }
        }
    }

    /// Some elements of node `from` are in node `to` now.
    pub(super) fn deadlines_divided(&mut self, from: u32, to: u32) {
        if let Some(agenda) = &mut self.agenda {
            agenda.set(to, agenda.time(from));
        }
    }

    /// The elements of node `from`, which is no more, are in node `to` now.
    pub(super) fn deadlines_merged(&mut self, from: u32, to: u32) {
        if let Some(agenda) = &mut self.agenda {
            let soonest = agenda.time(from).min(agenda.time(to));
            agenda.set(to, soonest);
            agenda.set(from, NEVER);
        }
    }

    /// Removes elements whose deadline has come at `now`, and shows `gone` each before, until none is left, or it has cost
    /// `budget`, in elements read; what it has cost.
    pub(crate) fn expire_some(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        now: UnixMillis,
        budget: u32,
        gone: &mut dyn FnMut(ElementRef<'_>),
    ) -> u32 {
        let (mut spent, mut pages_read) = (0, 0);
        while spent < budget
            && let Some(agenda) = &mut self.agenda
            && let Some(ordinal) = agenda.next_due(now, &mut pages_read)
        {
            let removed = self.expire_in(heap, ordinal, now, gone);
            spent += NODE_LOOK_COST + removed * FIELD_REMOVAL_COST;
            self.balance(heap, hash_of);
        }
        spent + pages_read * NODE_LOOK_COST
    }

    /// Removes what has ended of a bucket, and plans the next look at it; how many elements that were.
    fn expire_in(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        now: UnixMillis,
        gone: &mut dyn FnMut(ElementRef<'_>),
    ) -> u32 {
        let (mut removed, mut soonest) = (0, NEVER);
        let (mut nth, mut from) = (0, 0);
        loop {
            let block = self.blocks_of(heap, ordinal).nth(nth);
            let Some(block) = block else {
                break;
            };
            let run = run_of(heap, block);
            let shape = Shape::read(run);
            let is_due = |&at: &usize| {
                let deadline = shape.deadline(run, at).unwrap_or(NEVER);
                let is_due = deadline <= now;
                if !is_due {
                    soonest = soonest.min(deadline);
                }
                is_due
            };
            let Some(at) = (from..shape.count).find(is_due) else {
                (nth, from) = (nth + 1, 0);
                continue;
            };
            let element = shape.element(run, at);
            gone(Self::view(heap, &element));
            let spot = Spot {
                ordinal,
                block,
                at,
                value_code: element.value_code,
                deadline: element.deadline,
            };
            self.take(heap, spot);
            removed += 1;
            // A further node that has become empty is gone, and the next is in its place.
            from = if nth > 0 && shape.count == 1 { 0 } else { at };
        }
        if let Some(agenda) = &mut self.agenda {
            agenda.set(ordinal, soonest);
        }
        removed
    }
}
