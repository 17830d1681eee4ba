//! What the core of the keys says of a wait to the core of its session.

use crate::command::{Args, CommandId};
use crate::dispatch::run::kept_args::{KeptArgs, keep};

/// What the core of the keys says of a wait; the first byte of an answer to [`Ticket::Wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::dispatch) enum WaitWord {
    /// There was nothing: the session blocks, and the wait has this number.
    Parked,
    /// A key of a wait for keys of several cores has been written.
    Woken,
    /// It has been served. The reply follows.
    Served,
    /// It has ended as it was asked to. The reply follows.
    Ended,
    /// The keys live elsewhere by now. The command and its arguments follow.
    Moved,
}

impl WaitWord {
    /// Reads a word.
    ///
    /// # Panics
    /// If it is none: it comes from a core of this process.
    pub(in crate::dispatch) fn read(byte: u8) -> Self {
        use WaitWord::{Ended, Moved, Parked, Served, Woken};
        let all = [Parked, Woken, Served, Ended, Moved];
        let mut all = all.into_iter();
        all.find(|word| *word as u8 == byte)
            .expect("it comes from a core of this process")
    }
}

/// Writes what follows [`WaitWord::Moved`]: the command's number (u16), then each argument behind its length (u32).
pub(in crate::dispatch) fn write_moved(out: &mut Vec<u8>, command: CommandId, args: Args<'_>) {
    out.extend_from_slice(&command.0.to_le_bytes());
    for arg in args.iter_from(0) {
        out.extend_from_slice(&(arg.len() as u32).to_le_bytes());
        out.extend_from_slice(arg);
    }
}

/// Reads what [`write_moved`] wrote.
///
/// # Panics
/// If it is not whole: it comes from a core of this process.
pub(in crate::dispatch) fn read_moved(bytes: &[u8]) -> (CommandId, KeptArgs) {
    const WHOLE: &str = "it comes from a core of this process";
    let (id, mut rest) = bytes.split_first_chunk::<2>().expect(WHOLE);
    let words = std::iter::from_fn(|| {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (word, behind) = behind.split_at(u32::from_le_bytes(*len) as usize);
        rest = behind;
        Some(word)
    });
    (CommandId(u16::from_le_bytes(*id)), keep(words))
}
