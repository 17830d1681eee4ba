//! Who claims locks of a shard.

use crate::dispatch::mail::batch::Batch;
use crate::dispatch::mail::requests::Ticket;
use crate::routing::CoreId;
use crate::session::{SessionId, WaitNumber};

/// Who claims locks of a shard: holds them, or is queued for them.
#[derive(Debug)]
pub(in crate::dispatch) enum Claimant {
    /// A session of this core, with its next command.
    Session(SessionId),
    /// A command of another core's session, or a part from any core; it stands alone in the batch.
    Request { from: CoreId, batch: Box<Batch> },
    /// A transaction that asks for locks.
    Transaction {
        to: CoreId,
        ticket: Ticket,
        watcher: Option<u64>,
        is_undoable: bool,
    },
    /// An attempt at a command that waits for keys of this core.
    Attempt(WaitNumber),
    /// Nobody: these locks are never waited for.
    Nobody,
}
