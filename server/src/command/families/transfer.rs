//! What cores answer each other of entries: yes, no, or why not. The entries themselves are handed over beside the answer
//! ([`crate::command::Handed`]).
//!
//! ```text
//! answer:  0                      no
//!          1 payload ...          yes
//!          2 error text ...       failed
//! ```

use larder_engine::LooseId;

use crate::command::{CoreCall, CoreRequest};
use crate::resp::ErrorReply;
use crate::routing::CoreId;

/// A collection that is being gathered, as an argument or a payload; none is empty.
pub(super) fn loose_argument(id: Option<LooseId>) -> Vec<u8> {
    id.map_or_else(Vec::new, |id| id.0.to_le_bytes().to_vec())
}

/// What [`loose_argument`] has written.
pub(super) fn loose_of(argument: &[u8]) -> Option<LooseId> {
    let number = argument.try_into().ok()?;
    Some(LooseId(u32::from_le_bytes(number)))
}

/// Asks a core to drop what it has gathered.
pub(super) fn drop_request(core: CoreId, gathered: LooseId) -> CoreRequest {
    CoreRequest {
        core,
        run: drop_gathered,
        args: vec![loose_argument(Some(gathered))],
    }
}

fn drop_gathered(call: &mut CoreCall<'_>) {
    let gathered = loose_of(call.args.at(0));
    let gathered = gathered.expect("there is something to drop");
    call.core.shard.drop_loose(gathered);
}

/// A core's answer to a question of one round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// There is nothing, or nothing was done.
    No,
    /// There is, or it was done.
    Yes(&'a [u8]),
}

const NO: u8 = 0;
const YES: u8 = 1;
const FAILED: u8 = 2;

impl<'a> Answer<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// The command failed on the core that answers.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, ErrorReply> {
        match bytes {
            [NO] => Ok(Self::No),
            [YES, payload @ ..] => Ok(Self::Yes(payload)),
            [FAILED, text @ ..] => Err(ErrorReply::new(text)),
            _ => unreachable!("cores answer in one of three ways"),
        }
    }

    /// Writes a no.
    pub(super) fn no(out: &mut Vec<u8>) {
        out.push(NO);
    }

    /// Writes a yes with what `payload` adds.
    pub(super) fn yes(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
        out.push(YES);
        payload(out);
    }

    /// Writes a failure.
    pub(super) fn failed(out: &mut Vec<u8>, error: &ErrorReply) {
        out.push(FAILED);
        out.extend_from_slice(error.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let mut out = Vec::new();
        Answer::no(&mut out);
        assert_eq!(Answer::of(&out), Ok(Answer::No));
        out.clear();
        Answer::yes(&mut out, |out| out.extend_from_slice(b"payload"));
        assert_eq!(Answer::of(&out), Ok(Answer::Yes(b"payload")));
        out.clear();
        let error = ErrorReply::fixed("ERR no");
        Answer::failed(&mut out, &error);
        assert_eq!(Answer::of(&out), Err(error));
    }
}
