//! The lines to other cores: what a core needs of whoever carries its batches.

use crate::dispatch::mail::batch::Batch;
use crate::routing::CoreId;

/// One core's ends of the queues between it and each other core. Batches of a pair of cores keep their order.
pub trait Lines {
    /// The oldest batch that has come from `from`.
    fn receive(&mut self, from: CoreId) -> Option<Box<Batch>>;

    /// Number of batches that have come from `from`.
    fn arrived(&self, from: CoreId) -> usize;

    /// Whether a batch for `to` would be taken now.
    fn has_room(&self, to: CoreId) -> bool;

    /// Ships a batch.
    ///
    /// # Errors
    /// The batch, when there is no room.
    fn send(&mut self, to: CoreId, batch: Box<Batch>) -> Result<(), Box<Batch>>;
}

/// The lines of a core that is alone: nothing comes, and nothing is to be sent.
#[derive(Debug)]
pub(in crate::dispatch) struct NoLines;

impl Lines for NoLines {
    fn receive(&mut self, _: CoreId) -> Option<Box<Batch>> {
        None
    }

    fn arrived(&self, _: CoreId) -> usize {
        0
    }

    fn has_room(&self, _: CoreId) -> bool {
        false
    }

    fn send(&mut self, _: CoreId, batch: Box<Batch>) -> Result<(), Box<Batch>> {
        Err(batch)
    }
}
