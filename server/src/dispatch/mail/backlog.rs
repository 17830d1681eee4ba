//! Batches that have come, and of which some requests have yet to run because their answers would have been too many.

use std::collections::VecDeque;

use crate::dispatch::mail::batch::Batch;
use crate::routing::CoreId;

/// Batches received, in the order in which their requests are to run.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Backlog(VecDeque<Unrun>);

/// A batch some of whose requests have yet to run.
#[derive(Debug)]
pub(in crate::dispatch) struct Unrun {
    pub(in crate::dispatch) from: CoreId,
    pub(in crate::dispatch) batch: Box<Batch>,
    /// The first request that has yet to run.
    pub(in crate::dispatch) first: usize,
}

impl Backlog {
    /// Whether all requests have run.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many batches there are.
    pub(in crate::dispatch) fn len(&self) -> usize {
        self.0.len()
    }

    /// A batch has come from core `from`; its requests run behind all others.
    pub(in crate::dispatch) fn add(&mut self, from: CoreId, batch: Box<Batch>) {
        self.put_back(Unrun {
            from,
            batch,
            first: 0,
        });
    }

    /// A batch whose requests run before all others.
    pub(in crate::dispatch) fn add_first(&mut self, from: CoreId, batch: Box<Batch>) {
        self.0.push_front(Unrun {
            from,
            batch,
            first: 0,
        });
    }

    /// Takes the next batch.
    pub(in crate::dispatch) fn next(&mut self) -> Option<Unrun> {
        self.0.pop_front()
    }

    /// Some of its requests have yet to run: they do so behind all others.
    pub(in crate::dispatch) fn put_back(&mut self, unrun: Unrun) {
        self.0.push_back(unrun);
    }

    /// Takes batch `at` out of its place if it came from core `from`, and the first of its requests that has yet to run. To be
    /// given back.
    pub(in crate::dispatch) fn lend(
        &mut self,
        at: usize,
        from: CoreId,
    ) -> Option<(Box<Batch>, usize)> {
        let unrun = self.0.get_mut(at).filter(|unrun| unrun.from == from)?;
        Some((std::mem::take(&mut unrun.batch), unrun.first))
    }

    /// Gives batch `at` back to its place.
    pub(in crate::dispatch) fn give_back(&mut self, at: usize, batch: Box<Batch>) {
        self.0[at].batch = batch;
    }
}
