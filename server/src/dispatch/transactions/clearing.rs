//! Pauses (`CLIENT PAUSE`) whose place a core has passed and which it has yet to answer. What an `EXEC` that pauses has cleared behind it
//! (`Work::Clear`) is answered like a pause, and counted as one here.

use crate::command::Flags;
use crate::dispatch::mail::requests::Ticket;
use crate::routing::CoreId;

/// What writes, for a pause.
pub(in crate::dispatch) fn writes(flags: Flags) -> bool {
    flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE))
}

/// Pauses whose place this core has passed, and which it has yet to answer.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Clearing {
    pauses: Vec<Unanswered>,
    /// How many entries of its own this core must have passed to clear them.
    entries: u64,
}

/// A pause that has yet to be answered, and who is.
#[derive(Debug)]
pub(in crate::dispatch) struct Unanswered {
    pub(in crate::dispatch) from: CoreId,
    pub(in crate::dispatch) ticket: Ticket,
    /// Which of all pauses it is.
    number: u64,
}

impl Clearing {
    /// Whether there is nothing to clear.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.pauses.is_empty()
    }

    /// The place of the pause with this number has come, behind `entries` of the core's own.
    pub(in crate::dispatch) fn add(
        &mut self,
        (from, ticket): (CoreId, Ticket),
        number: u64,
        entries: u64,
    ) {
        self.entries = entries;
        self.pauses.push(Unanswered {
            from,
            ticket,
            number,
        });
    }

    /// How many entries of its own the core must have passed to clear them.
    pub(in crate::dispatch) fn entries(&self) -> u64 {
        self.entries
    }

    /// The numbers of the pauses.
    pub(in crate::dispatch) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.pauses.iter().map(|pause| pause.number)
    }

    /// Takes those of which `is_over` says so of their number.
    pub(in crate::dispatch) fn take_over(
        &mut self,
        is_over: impl Fn(u64) -> bool,
    ) -> Vec<Unanswered> {
        let pauses = std::mem::take(&mut self.pauses);
        let (over, pauses) = pauses.into_iter().partition(|pause| is_over(pause.number));
        self.pauses = pauses;
        over
    }
}
