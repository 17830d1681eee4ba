//! What commands whose keys live on several cores share: grouping keys by core, fetching strings from other cores, and
//! the form of partial results.
//!
//! A partial result is one byte, [`OK`] or [`FAILED`], and then what the part answers, or the text of the error.

use larder_engine::Access;

use crate::command::{Args, CoreCall};
use crate::resp::ErrorReply;
use crate::routing::{CoreId, SlotMap};

const OK: u8 = 0;
const FAILED: u8 = 1;

/// Begins the result of a part that succeeded.
pub(super) fn succeed(out: &mut Vec<u8>) {
    out.push(OK);
}

/// The result of a part that failed.
pub(super) fn fail(out: &mut Vec<u8>, error: &ErrorReply) {
    out.push(FAILED);
    out.extend_from_slice(error.text());
}

/// What a part answered.
///
/// # Errors
/// It failed, with this error.
pub(super) fn outcome(answer: &[u8]) -> Result<&[u8], ErrorReply> {
    match answer.split_first() {
        Some((&OK, rest)) => Ok(rest),
        Some((_, text)) => Err(ErrorReply::new(text)),
        None => unreachable!("a part answers at least whether it succeeded"),
    }
}

/// The arguments at `places` by the core that owns them, each core's in their order.
pub(super) fn by_core(
    args: &Args<'_>,
    places: impl Iterator<Item = usize>,
    slots: &SlotMap,
) -> Vec<(CoreId, Vec<usize>)> {
    let mut groups: Vec<(CoreId, Vec<usize>)> = Vec::new();
    for at in places {
        let core = slots.core_of(args.at(at));
        match groups.iter_mut().find(|(owner, _)| *owner == core) {
            Some((_, group)) => group.push(at),
            None => groups.push((core, vec![at])),
        }
    }
    groups
}

/// A string fetched from another core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched<'a> {
    /// There is no such key.
    Missing,
    /// Its value.
    String(&'a [u8]),
    /// It holds another type.
    WrongType,
}

const MISSING: u8 = 0;
const STRING: u8 = 1;
const WRONG_TYPE: u8 = 2;

/// A [`crate::command::CoreFn`] that answers the strings at its arguments, counted as read: for each a byte, and for a
/// string its length (8 bytes) and itself.
pub(super) fn strings(call: &mut CoreCall<'_>) {
    succeed(call.out);
    for key in call.args.iter_from(0) {
        let core = &mut *call.core;
        if let Some(reader) = call.reader {
            core.remember_key(key, reader);
        }
        let key = core.shard.hasher().key(key);
        let Some(entry) = core.shard.read(call.db, key, Access::Touch) else {
            core.stats.count_lookup((call.db, key.bytes()), false);
            call.out.push(MISSING);
            continue;
        };
        core.stats.count_lookup((call.db, key.bytes()), true);
        match entry.string() {
            Some(value) => {
                call.out.push(STRING);
                call.out.extend((value.len() as u64).to_le_bytes());
                call.out.extend_from_slice(value);
            }
            None => call.out.push(WRONG_TYPE),
        }
    }
}

/// The strings that [`strings`] answered, in the order of its arguments.
///
/// # Errors
/// The part failed.
pub(super) fn fetched(answer: &[u8]) -> Result<impl Iterator<Item = Fetched<'_>>, ErrorReply> {
    let mut rest = outcome(answer)?;
    Ok(std::iter::from_fn(move || {
        let (&tag, after) = rest.split_first()?;
        rest = after;
        Some(match tag {
            MISSING => Fetched::Missing,
            STRING => {
                let (len, after) = rest.split_first_chunk::<8>()?;
                let (value, after) = after.split_at_checked(u64::from_le_bytes(*len) as usize)?;
                rest = after;
                Fetched::String(value)
            }
            _ => Fetched::WrongType,
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_apart_as_they_were_put_together() {
        let mut out = Vec::new();
        succeed(&mut out);
        out.push(STRING);
        out.extend(2u64.to_le_bytes());
        out.extend(b"ab");
        out.extend([MISSING, WRONG_TYPE]);
        let all: Vec<_> = fetched(&out).unwrap().collect();
        assert_eq!(
            all,
            [Fetched::String(b"ab"), Fetched::Missing, Fetched::WrongType]
        );
        let mut failed = Vec::new();
        fail(&mut failed, &crate::resp::errors::SYNTAX);
        assert_eq!(outcome(&failed), Err(crate::resp::errors::SYNTAX));
    }
}
