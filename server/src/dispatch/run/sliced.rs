//! Commands that do their work on this core's shard in slices.

use std::collections::VecDeque;

use crate::command::{Command, Slices};
use crate::dispatch::mail::requests::RequestHead;
use crate::dispatch::run::kept_args::KeptArgs;
use crate::routing::CoreId;
use crate::session::{LockId, Reader};

/// A command of a session of any core, whose answer is yet to come.
#[derive(Debug)]
pub(in crate::dispatch) struct Sliced {
    pub(in crate::dispatch) from: CoreId,
    pub(in crate::dispatch) head: RequestHead,
    pub(in crate::dispatch) command: &'static Command,
    pub(in crate::dispatch) args: KeptArgs,
    /// Whose command it is.
    pub(in crate::dispatch) by: Reader,
    pub(in crate::dispatch) slices: Box<dyn Slices>,
    /// What its slices have taken so far.
    pub(in crate::dispatch) nanos: u64,
}

/// Those of a core, each under locks of its keys.
#[derive(Default)]
pub(in crate::dispatch) struct SlicedCommands {
    /// The next first.
    queue: VecDeque<(LockId, Sliced)>,
    /// The locks that the request at work has waited for.
    of_request: Option<LockId>,
}

impl SlicedCommands {
    /// Whether there are none.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds one behind the others.
    pub(in crate::dispatch) fn add(&mut self, lock: LockId, sliced: Sliced) {
        self.queue.push_back((lock, sliced));
    }

    /// Takes the next one.
    pub(in crate::dispatch) fn next(&mut self) -> Option<(LockId, Sliced)> {
        self.queue.pop_front()
    }

    /// A request runs under these locks, which it takes if it leaves slices.
    pub(in crate::dispatch) fn begin_request(&mut self, lock: LockId) {
        self.of_request = Some(lock);
    }

    /// Takes the locks of the request at work, if it has waited for some.
    pub(in crate::dispatch) fn take_lock(&mut self) -> Option<LockId> {
        self.of_request.take()
    }
}
