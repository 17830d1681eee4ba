//! The hand that removes entries past their deadline: it goes round the databases, to nodes that want to be looked at.
//!
//! How much it does in a step follows what it is owed. Each deadline that is set pays for a removal and more
//! ([`SET_DEADLINE_COST`]), so that the dead stay few at any rate of writes. What a step has as its own budget works off
//! what dies together. So that no step is long, one is taken as soon as enough is paid for it. See decision 0012.

use crate::UnixMillis;
use crate::agenda::NEVER;
use crate::keyspace::{Keyspace, Look};
use crate::limits::EXPIRY_PAID_STEP;
use crate::memory::Memory;

/// Cost of a removal, in entries read: it hashes the key, closes the node up, and frees the item if there is one.
pub(crate) const REMOVAL_COST: u32 = 8;
/// Bytes given back to the system that cost as much as reading an entry: the pages of a slab, when its last entry goes.
pub(crate) const GIVEN_BACK_BYTES: u64 = 64;
/// Cost of balancing once a node is looked through: it joins two, or does nothing.
pub(crate) const BALANCE_COST: u32 = 8;
/// Cost of a look at a node: all its deadlines are read, twice.
const LOOK_COST: u32 = 4;
/// Cost of reading a page of an agenda.
const PAGE_COST: u32 = 16;
/// What a deadline that is set pays: two removals with what finding them costs. One for its own entry, and one so that a
/// backlog shrinks under any load.
const SET_DEADLINE_COST: u32 = 36;

/// Where the hand is, and what it is owed.
pub(crate) struct Hand {
    database: usize,
    /// No node wants to be looked at before this.
    due_at: UnixMillis,
    /// Paid by deadlines set since the last step.
    paid: u32,
}

impl Hand {
    pub(crate) fn new() -> Self {
        Self {
            database: 0,
            due_at: NEVER,
            paid: 0,
        }
    }

    /// No entry is worth removing before this.
    #[inline]
    pub(crate) fn due_at(&self) -> UnixMillis {
        self.due_at
    }

    /// A deadline was set in a keyspace that wants to be looked at at `look_at`.
    #[inline]
    pub(crate) fn deadline_set(&mut self, look_at: UnixMillis) {
        self.due_at = self.due_at.min(look_at);
        self.paid = self.paid.saturating_add(SET_DEADLINE_COST);
    }

    /// Whether deadlines have paid for a step.
    #[inline]
    pub(crate) fn is_paid(&self) -> bool {
        self.paid >= EXPIRY_PAID_STEP
    }

    /// No step is to be taken now: what is paid is lost, so that none is long because of deadlines set long ago.
    #[inline]
    pub(crate) fn forgo(&mut self) {
        self.paid = 0;
    }

    /// Begins a step, with the next database, so that none waits for another that always has something due. What deadlines
    /// have paid since the last.
    pub(crate) fn begin_step(&mut self, databases: usize) -> u32 {
        self.database += 1;
        if self.database >= databases {
            self.database = 0;
        }
        std::mem::take(&mut self.paid)
    }

    /// Something may be due: a look at a node that wants it, and of which database; `None` if there is no such node. Adds to `spent` what
    /// finding it cost.
    pub(crate) fn find(
        &mut self,
        databases: &mut [Keyspace],
        (memory, now): (&Memory, UnixMillis),
        spent: &mut u32,
    ) -> Option<(usize, Look)> {
        let mut pages_read = 0;
        for _ in 0..databases.len() {
            let database = self.database;
            let look = databases[database].begin_look(memory, now, &mut pages_read);
            if let Some(look) = look {
                *spent += LOOK_COST + pages_read * PAGE_COST;
                return Some((database, look));
            }
            self.database = (database + 1) % databases.len();
        }
        *spent += pages_read * PAGE_COST;
        let soonest = databases.iter().map(Keyspace::look_at).min();
        self.due_at = soonest.unwrap_or(NEVER);
        None
    }
}
