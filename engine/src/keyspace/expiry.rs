//! The times of a keyspace: told to its nodes, which say when they should be looked at, and found when they have come.

use super::{Keyspace, soonest};
use crate::limits::{SAMPLED_NODES, STAYS_MS};
use crate::memory::{Memory, Times};
use crate::raw::Block;
use crate::spiral::due::Place;
use crate::spiral::entries::Entry;
use crate::{StoreError, UnixMillis};

/// A look at the entries of a node that are due, one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    node: u32,
    place: Place,
    /// Entries that stay.
    passed: u32,
}

impl Keyspace {
    /// No node wants to be looked at before this.
    #[inline]
    pub(crate) fn look_at(&self) -> UnixMillis {
        soonest(&self.spiral)
    }

    /// One more entry has these times.
    #[inline(always)]
    pub(super) fn count_times(&mut self, times: &Times) {
        self.volatile_fields += u64::from(times.fields_end);
        if let Some(at) = times.ends_at {
            self.volatile += 1;
            self.deadline_sum += i128::from(at.0);
        }
    }

    /// An entry fewer does.
    #[inline(always)]
    pub(super) fn uncount_times(&mut self, times: &Times) {
        self.volatile_fields -= u64::from(times.fields_end);
        if let Some(at) = times.ends_at {
            self.volatile -= 1;
            self.deadline_sum -= i128::from(at.0);
        }
    }

    /// An entry has the times `is` instead of `was`.
    #[inline(always)]
    pub(super) fn recount_times(&mut self, was: &Option<Times>, is: &Option<Times>) {
        if let Some(was) = was {
            self.uncount_times(was);
        }
        if let Some(is) = is {
            self.count_times(is);
        }
    }

    /// The times of an item have changed. Cannot fail where it has woken at some time, or behind [`Self::make_place`].
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn times_changed(
        &mut self,
        memory: &mut Memory,
        (hash, item): (u64, Block),
        (was, is): (&Option<Times>, &Option<Times>),
    ) -> Result<(), StoreError> {
        if super::wakes_at(was) != super::wakes_at(is) {
            let wakes_at = super::wakes_at(is);
            let spiral = self.spiral_mut();
            spiral.set_waking_of_item(memory.heap_mut(), hash, item, wakes_at)?;
        }
        self.recount_times(was, is);
        Ok(())
    }

    /// Makes sure that an item may come to wake.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn make_place(
        &mut self,
        memory: &mut Memory,
        hash: u64,
        item: Block,
    ) -> Result<(), StoreError> {
        let spiral = self.spiral_mut();
        spiral.make_place(memory.heap_mut(), hash, item)
    }

    /// Begins a look at the next node that wants it at `now`: [`Self::next_due`] tells what is due there, and [`Self::end_look`] ends it.
    /// Adds to `pages_read` the pages of the agenda read.
    pub(crate) fn begin_look(
        &mut self,
        memory: &Memory,
        now: UnixMillis,
        pages_read: &mut u32,
    ) -> Option<Look> {
        let node = self
            .spiral
            .as_mut()?
            .next_due(memory.heap(), now, pages_read)?;
        let place = Place::default();
        Some(Look {
            node,
            place,
            passed: 0,
        })
    }

    /// The next entry that has ended, or has fields that may have. It is to be removed, or they are, without balancing, or it
    /// [stays](Look::pass).
    pub(crate) fn next_due(
        &self,
        memory: &Memory,
        look: &mut Look,
        now: UnixMillis,
    ) -> Option<Entry> {
        let spiral = self.spiral.as_ref()?;
        let (place, entry) = spiral.due_in(memory.heap(), (look.node, look.place), now)?;
        look.place = place;
        Some(entry)
    }

    /// Plans the next look at the node. What is due and stays is looked at again then, or at once if `is_through` is false.
    pub(crate) fn end_look(
        &mut self,
        memory: &Memory,
        look: Look,
        now: UnixMillis,
        is_through: bool,
    ) {
        let again_at = match is_through {
            true => UnixMillis(now.0.saturating_add(STAYS_MS)),
            false => now,
        };
        if let Some(spiral) = &mut self.spiral {
            spiral.plan(memory.heap(), look.node, now, (look.passed, again_at));
        }
    }

    /// Sum of the milliseconds that the entries with a deadline have left at `now`; those that are due count negatively.
    pub(crate) fn ttl_sum_ms(&self, now: UnixMillis) -> i128 {
        self.deadline_sum - i128::from(now.0) * i128::from(self.volatile)
    }

    /// About how many entries are due at `now` and not yet removed: exact in a keyspace of up to [`SAMPLED_NODES`] nodes, beyond
    /// that reckoned from as many.
    pub(crate) fn due_about(&self, memory: &Memory, now: UnixMillis) -> u64 {
        let Some(spiral) = self.spiral.as_ref().filter(|_| self.look_at() <= now) else {
            return 0;
        };
        let nodes = spiral.nodes();
        let sampled = nodes.min(SAMPLED_NODES);
        let (mut due, mut volatile) = (0u64, 0u64);
        for nth in 0..sampled {
            let ordinal = u64::from(nth) * u64::from(nodes) / u64::from(sampled);
            let (of_node, due_of_node) = spiral.count_due(memory.heap(), ordinal as u32, now);
            volatile += u64::from(of_node);
            due += u64::from(due_of_node);
        }
        match volatile {
            0 => 0,
            _ => (u128::from(self.volatile) * u128::from(due) / u128::from(volatile)) as u64,
        }
    }
}

impl Look {
    /// The entry told of last stays.
    pub(crate) fn pass(&mut self) {
        self.place = self.place.next();
        self.passed += 1;
    }
}
