//! `WATCH`: the core of each key notes who watches it, and says whether it changed.

use crate::command::{CoreCall, CoreRequest, Round, Rounds};
use crate::resp::{ErrorReply, Reply};

/// `WATCH`: one round, to the cores of its keys.
#[derive(Debug)]
pub(in crate::dispatch) struct WatchRounds {
    /// Until they are asked.
    requests: Option<Vec<CoreRequest>>,
}

impl WatchRounds {
    /// One round, of these requests.
    pub(in crate::dispatch) fn of(requests: Vec<CoreRequest>) -> Self {
        Self {
            requests: Some(requests),
        }
    }
}

impl Rounds for WatchRounds {
    fn next(&mut self, _: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        Ok(match self.requests.take() {
            Some(requests) => Round::Ask(requests),
            None => {
                reply.ok();
                Round::Done
            }
        })
    }
}

/// Notes that a client watches the keys among the arguments.
pub(in crate::dispatch) fn watch_part(call: &mut CoreCall<'_>) {
    for at in 0..call.args.len() {
        let shard = &mut call.core.shard;
        let key = shard.hasher().key(call.args.at(at));
        shard.watch(call.asking_client_id, call.db, key);
        if call.core.shared.slots.core_of(call.args.at(at)) != call.core.id {
            // Its slot has moved while this was on its way: what becomes of the key is not seen here.
            call.core.shard.watches().spoil(call.asking_client_id);
        }
    }
}

/// Ends what a client watches here.
pub(in crate::dispatch) fn end_watch_part(call: &mut CoreCall<'_>) {
    call.core.shard.watches().end(call.asking_client_id);
}
