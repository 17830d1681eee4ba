//! `DUMP` and `RESTORE` of large values in steps: what is written or gathered in one is bounded.
//!
//! ```text
//!  DUMP      write elements, … ──▶ sum up bytes, … ──▶ the reply
//!  RESTORE   sum up bytes, …   ──▶ gather elements, … ──▶ put
//! ```
//! In an `EXEC` or a script, all steps are done at once. One string, element, field or node of a list is never divided, but for a string that is a whole value.

use larder_engine::Access;

use super::payload::{Sealing, WritingPayload};
use super::restoring::{Restoring, SUM_BYTES};
use super::{Options, put};
use crate::command::{ShardCall, Step, Steps};
use crate::persist::values::Budget;
use crate::resp::ErrorReply;

/// A `DUMP` of a key that is there.
#[derive(Debug)]
enum Dump {
    Writing(WritingPayload),
    Sealing(Sealing),
    Done,
}

/// `DUMP`, with its first step.
pub(super) fn begin_dump(call: &mut ShardCall<'_>) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let key = call.key(1);
    let entry = call.shard.read(call.db, key, call.access);
    call.stats
        .count_lookup((call.db, key.bytes()), entry.is_some());
    let Some(entry) = entry else {
        call.reply.null();
        return Ok(None);
    };
    let mut writing = WritingPayload::of(&entry);
    if writing.go_on(&entry, Budget::WRITE) {
        return Ok(Some(Box::new(Dump::Writing(writing))));
    }
    let mut sealing = Sealing::of(writing.end());
    if sealing.go_on(SUM_BYTES) {
        return Ok(Some(Box::new(Dump::Sealing(sealing))));
    }
    let pieces = sealing.into_reply();
    pieces.iter().for_each(|piece| call.reply.raw(piece));
    Ok(None)
}

impl Steps for Dump {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        match self {
            Self::Writing(writing) => {
                let key = call.key(1);
                let Some(entry) = call.shard.get(call.db, key, Access::Peek) else {
                    // It has reached its deadline, and somebody else who reads it has found that.
                    call.reply.null();
                    return Ok(Step::Done);
                };
                if writing.go_on(&entry, Budget::WRITE) {
                    return Ok(Step::More);
                }
                let Self::Writing(writing) = std::mem::replace(self, Self::Done) else {
                    unreachable!("it is writing")
                };
                *self = Self::Sealing(Sealing::of(writing.end()));
                Ok(Step::More)
            }
            Self::Sealing(sealing) => {
                if sealing.go_on(SUM_BYTES) {
                    return Ok(Step::More);
                }
                let Self::Sealing(sealing) = std::mem::replace(self, Self::Done) else {
                    unreachable!("it is being summed up")
                };
                Ok(Step::Reply(sealing.into_reply()))
            }
            Self::Done => unreachable!("no step comes behind the reply"),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Self::Writing(writing) => writing.held_bytes(),
            Self::Sealing(sealing) => sealing.held_bytes(),
            Self::Done => 0,
        }
    }
}

/// A `RESTORE` whose options are right, and which may replace what is there.
#[derive(Debug)]
struct Restore {
    options: Options,
    restoring: Restoring,
}

/// `RESTORE`, with its first step.
pub(super) fn begin_restore(
    call: &mut ShardCall<'_>,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let options = Options::of(call)?;
    let mut restore = Restore {
        options,
        restoring: Restoring::new(call.config.payload_checksums()),
    };
    Ok(match restore.next(call)? {
        Step::More => Some(Box::new(restore)),
        _ => None,
    })
}

impl Steps for Restore {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let payload = call.args.at(3);
        let gathered = self.restoring.go_on(call.shard, payload, Budget::GATHER)?;
        let Some(gathered) = gathered else {
            return Ok(Step::More);
        };
        put(call, gathered, self.options)?;
        Ok(Step::Done)
    }

    fn held_bytes(&self) -> usize {
        self.restoring.held_bytes()
    }
}
