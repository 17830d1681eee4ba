//! The batches that a core fills in a turn, one for each core, and emptied ones for reuse.

use crate::dispatch::limits::{BATCH_WEIGHED_BYTES, SPARE_BATCHES};
use crate::dispatch::mail::batch::Batch;
use crate::routing::CoreId;

/// What a core has for each core until the turn ends. Answers to its own transactions are among it: these it takes itself.
#[derive(Debug)]
#[allow(clippy::vec_box, reason = "batches travel boxed, and keep their boxes")]
pub(in crate::dispatch) struct Outboxes {
    /// By core.
    filling: Vec<Box<Batch>>,
    /// Emptied batches.
    spare: Vec<Box<Batch>>,
}

impl Outboxes {
    /// Empty ones, for so many cores.
    pub(in crate::dispatch) fn new(cores: usize) -> Self {
        Self {
            filling: (0..cores).map(|_| Box::default()).collect(),
            spare: Vec::new(),
        }
    }

    /// Whether there is no other core.
    #[inline(always)]
    pub(in crate::dispatch) fn is_alone(&self) -> bool {
        self.filling.len() == 1
    }

    /// All cores, this one among them.
    #[inline]
    pub(in crate::dispatch) fn cores(&self) -> impl Iterator<Item = CoreId> + use<> {
        (0..self.filling.len() as u16).map(CoreId)
    }

    /// The batch for a core, to be filled.
    #[inline(always)]
    pub(in crate::dispatch) fn to(&mut self, core: CoreId) -> &mut Batch {
        &mut self.filling[core.index()]
    }

    /// The batches for all cores but `own`, to be filled.
    pub(in crate::dispatch) fn others(&mut self, own: CoreId) -> impl Iterator<Item = &mut Batch> {
        let batches = self.filling.iter_mut().enumerate();
        let others = batches.filter(move |(core, _)| *core != own.index());
        others.map(|(_, batch)| &mut **batch)
    }

    /// The batches for all cores, to be filled.
    pub(in crate::dispatch) fn all(&mut self) -> impl Iterator<Item = &mut Batch> {
        self.filling.iter_mut().map(|batch| &mut **batch)
    }

    /// The batch for a core, as far as it is filled.
    #[inline(always)]
    pub(in crate::dispatch) fn for_core(&self, core: CoreId) -> &Batch {
        &self.filling[core.index()]
    }

    /// Whether there is nothing for any core.
    pub(in crate::dispatch) fn are_empty(&self) -> bool {
        self.filling.iter().all(|batch| batch.is_empty())
    }

    /// Whether some batch holds as much as one should.
    pub(in crate::dispatch) fn any_is_full(&self) -> bool {
        self.filling.iter().any(|batch| batch.is_full())
    }

    /// Bytes of memory of the large batches. Small ones leave with the turn, and are not counted.
    #[inline(always)]
    pub(in crate::dispatch) fn weighed_bytes(&self) -> u64 {
        if self.is_alone() {
            return 0;
        }
        let batches = self.filling.iter().map(|batch| batch.memory_bytes());
        let large = batches.filter(|bytes| *bytes >= BATCH_WEIGHED_BYTES);
        large.sum::<usize>() as u64
    }

    /// Takes the batch for a core; an empty one is filled from now on.
    pub(in crate::dispatch) fn take(&mut self, core: CoreId) -> Box<Batch> {
        let empty = self.empty();
        std::mem::replace(&mut self.filling[core.index()], empty)
    }

    /// Puts a batch back that was taken in this turn.
    pub(in crate::dispatch) fn put_back(&mut self, core: CoreId, batch: Box<Batch>) {
        let empty = std::mem::replace(&mut self.filling[core.index()], batch);
        debug_assert!(
            empty.is_empty(),
            "a batch is returned in the turn it was taken"
        );
        self.spare.push(empty);
    }

    /// An empty batch, a spare one if there is any.
    #[inline]
    pub(in crate::dispatch) fn empty(&mut self) -> Box<Batch> {
        self.spare.pop().unwrap_or_default()
    }

    /// Empties a batch and keeps it for reuse, if there are not many. A core may well receive more of them than it sends.
    pub(in crate::dispatch) fn keep(&mut self, mut batch: Box<Batch>) {
        if self.spare.len() < SPARE_BATCHES * self.filling.len() {
            batch.clear();
            self.spare.push(batch);
        }
    }

    /// Batches kept for reuse.
    #[cfg(test)]
    pub(in crate::dispatch) fn spare_batches(&self) -> usize {
        self.spare.len()
    }
}
