//! Sparse registers: runs of equal ones, a byte or two each.
//!
//! ```text
//!  00nnnnnn            n + 1 registers that are zero, up to 64
//!  01nnnnnn nnnnnnnn   n + 1 registers that are zero, up to 16384
//!  1vvvvvnn            n + 1 registers, up to 4, that are v + 1, up to 32
//! ```
//! Which of several ways to write the same registers comes of an element is Redis's: a run is divided where the register stands, then
//! neighbours of the same rank become one, of the five runs from the one before on.

use std::fmt::Write;
use std::ops::Range;

use super::skip::skip;
use super::{Corrupt, HEADER_BYTES, REGISTERS, Rank, add, to_dense};

/// Registers of the longest run of zeros in one byte.
const ZEROS_MAX: usize = 64;
/// Registers of the longest run of others.
pub(super) const VALUES_MAX: usize = 4;
/// The highest value of such a run.
pub(super) const VALUE_MAX: u8 = 32;
/// Runs that are looked at for neighbours to join.
const JOIN_RUNS: usize = 5;

/// Registers, one behind the other, that are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) value: u8,
    pub(super) count: usize,
    /// Bytes it takes. The second one of the last run may be missing, and counts as zero.
    pub(super) bytes: usize,
}

/// What the first byte of a run says: its registers, but for what a second byte adds, and their value.
#[derive(Clone, Copy)]
struct First {
    count: u16,
    value: u8,
}

/// By the first byte. Which of the three forms a run has is as good as random: a branch on it would be mispredicted often.
static FIRSTS: [First; 256] = {
    let mut firsts = [First { count: 0, value: 0 }; 256];
    let mut first = 0;
    while first < firsts.len() {
        let low = first as u16 & 0x3F;
        firsts[first] = match first >> 6 {
            0 => First {
                count: low + 1,
                value: 0,
            },
            1 => First {
                count: (low << 8) + 1,
                value: 0,
            },
            _ => First {
                count: (low & 0x3) + 1,
                value: (first as u8 >> 2 & 0x1F) + 1,
            },
        };
        first += 1;
    }
    firsts
};

impl Run {
    /// The run at the beginning of `bytes`, and what is behind it.
    #[inline(always)]
    pub(super) fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        match bytes {
            [first, second, ..] => {
                let run = Self::of(*first, *second);
                // Where the next run begins is found without the table, since all that follows waits for it.
                Some((run, &bytes[run.bytes..]))
            }
            [first] => Some((Self::of(*first, 0), &[])),
            [] => None,
        }
    }

    /// The run of these bytes, of which it may have but the first.
    #[inline(always)]
    fn of(first: u8, second: u8) -> Self {
        let is_long = first >> 6 == 1;
        let First { count, value } = FIRSTS[usize::from(first)];
        Self {
            value,
            count: usize::from(count) + usize::from(second & u8::from(is_long).wrapping_neg()),
            bytes: 1 + usize::from(is_long),
        }
    }

    /// The run that begins there.
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let (run, _) = Self::split(bytes.get(at..)?)?;
        Some(run)
    }
}

/// Where the register is that a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) run: Run,
    /// Where the run is in the value, and the one before, if there is one.
    at: usize,
    before: Option<usize>,
    /// Registers of the run before this one.
    index: usize,
}

/// Where register `index` is, if the runs of a sparse value come to it.
#[inline]
pub(super) fn place_of(value: &[u8], mut index: usize) -> Option<Place> {
    let runs = &value[HEADER_BYTES..];
    let (at, before) = skip(runs, index);
    let mut rest = &runs[at..];
    index -= before;
    // By what was left of the value: the run before this one, if there is one.
    let mut left_before = None;
    loop {
        let (run, behind) = Run::split(rest)?;
        if index < run.count {
            return Some(Place {
                run,
                at: value.len() - rest.len(),
                before: left_before.map(|left: usize| value.len() - left),
                index,
            });
        }
        left_before = Some(rest.len());
        rest = behind;
        index -= run.count;
    }
}

/// Calls `each` with the runs of a sparse value.
///
/// # Errors
/// They are not all registers.
#[inline]
pub(super) fn for_each_run(value: &[u8], mut each: impl FnMut(Run)) -> Result<(), Corrupt> {
    let (mut rest, mut registers) = (&value[HEADER_BYTES..], 0);
    while let Some((run, behind)) = Run::split(rest) {
        registers += run.count;
        if registers > REGISTERS {
            return Err(Corrupt);
        }
        each(run);
        rest = behind;
    }
    if registers == REGISTERS {
        Ok(())
    } else {
        Err(Corrupt)
    }
}

/// Appends `count` zeros, at least one.
pub(super) fn push_zeros(runs: &mut Vec<u8>, count: usize) {
    each_of_zeros(count, &mut |byte| runs.push(byte));
}

/// The bytes of a run of `count` zeros, at least one.
fn each_of_zeros(count: usize, push: &mut dyn FnMut(u8)) {
    let number = count - 1;
    if count > ZEROS_MAX {
        push(0x40 | (number >> 8) as u8);
    }
    push(number as u8);
}

/// The byte of a run of registers that are not zero.
pub(super) fn values(value: u8, count: usize) -> u8 {
    0x80 | (value - 1) << 2 | (count - 1) as u8
}

/// As [`add`], to a sparse value.
pub(super) fn raise(
    value: &mut Vec<u8>,
    rank: Rank,
    sparse_max_bytes: u64,
) -> Result<bool, Corrupt> {
    if rank.rank > VALUE_MAX {
        return raise_as_dense(value, rank);
    }
    let place = place_of(value, rank.register()).ok_or(Corrupt)?;
    if place.run.value >= rank.rank {
        return Ok(false);
    }
    raise_at(value, place, rank, sparse_max_bytes)
}

/// As [`raise`], where the register is at `place` and lower.
pub(super) fn raise_at(
    value: &mut Vec<u8>,
    place: Place,
    rank: Rank,
    sparse_max_bytes: u64,
) -> Result<bool, Corrupt> {
    if rank.rank > VALUE_MAX {
        return raise_as_dense(value, rank);
    }
    let Place {
        run,
        at,
        before,
        index,
    } = place;
    if run.bytes == 1 && run.count == 1 {
        value[at] = values(rank.rank, 1);
    } else {
        let (divided, bytes) = divided(run, index, rank.rank);
        let len = value.len() + bytes - run.bytes;
        if bytes > run.bytes && len as u64 > sparse_max_bytes {
            return raise_as_dense(value, rank);
        }
        let end = value.len().min(at + run.bytes);
        replace(value, at..end, &divided[..bytes]);
        value.truncate(len);
    }
    join_neighbours(value, before.unwrap_or(HEADER_BYTES));
    Ok(true)
}

/// The most bytes that a run becomes when it is divided: zeros before the register, it, and zeros behind.
const DIVIDED_MAX_BYTES: usize = 5;

/// A run of which the register at `index` is to have another rank, and how many bytes that takes.
fn divided(run: Run, index: usize, rank: u8) -> ([u8; DIVIDED_MAX_BYTES], usize) {
    let (mut runs, mut bytes) = ([0; DIVIDED_MAX_BYTES], 0);
    let mut push = |byte: u8| {
        runs[bytes] = byte;
        bytes += 1;
    };
    let push_same = |push: &mut dyn FnMut(u8), count| match (count, run.value) {
        (0, _) => {}
        (_, 0) => each_of_zeros(count, push),
        (_, value) => push(values(value, count)),
    };
    push_same(&mut push, index);
    push(values(rank, 1));
    push_same(&mut push, run.count - 1 - index);
    (runs, bytes)
}

/// Puts `by` in the place of a part of `value`, which may be longer, or shorter: two bytes of one register are written in one.
fn replace(value: &mut Vec<u8>, part: Range<usize>, by: &[u8]) {
    let (len, end) = (value.len(), part.start + by.len());
    value.resize(len + end.saturating_sub(part.end), 0);
    value.copy_within(part.end..len, end);
    value[part.start..end].copy_from_slice(by);
    value.truncate(len + by.len() - part.len());
}

fn join_neighbours(value: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_RUNS {
        let Some(run) = Run::at(value, at) else {
            return;
        };
        let next = Run::at(value, at + 1);
        let joined = next.filter(|next| {
            run.value > 0 && next.value == run.value && next.count + run.count <= VALUES_MAX
        });
        match joined {
            // What is one now may be joined with what comes behind.
            Some(next) => {
                value[at + 1] = values(run.value, run.count + next.count);
                value.remove(at);
            }
            None => at += run.bytes,
        }
    }
}

fn raise_as_dense(value: &mut Vec<u8>, rank: Rank) -> Result<bool, Corrupt> {
    *value = to_dense(value)?;
    add(value, rank, 0)
}

/// As [`super::decode`].
pub(super) fn decode(value: &[u8]) -> String {
    let mut text = String::new();
    let mut at = HEADER_BYTES;
    while let Some(run) = Run::at(value, at) {
        if at > HEADER_BYTES {
            text.push(' ');
        }
        let Run { value, count, .. } = run;
        let written = match (value, run.bytes) {
            (0, 1) => write!(text, "z:{count}"),
            (0, _) => write!(text, "Z:{count}"),
            _ => write!(text, "v:{value},{count}"),
        };
        written.expect("a string takes what is written to it");
        at += run.bytes;
    }
    text
}
