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

use super::{Corrupt, HEADER_BYTES, REGISTERS, Rank, SPARSE_MAX_BYTES, add, to_dense};

/// Registers of the longest run of zeros in one byte.
const ZEROS_MAX: usize = 64;
/// Registers of the longest run of others.
const VALUES_MAX: usize = 4;
/// The highest value of such a run.
const VALUE_MAX: u8 = 32;
/// Runs that are looked at for neighbours to join.
const JOIN_RUNS: usize = 5;

/// Registers, one behind the other, that are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) value: u8,
    pub(super) count: usize,
    /// Bytes it takes. The second one of the last run may be missing, and counts as zero.
    bytes: usize,
}

impl Run {
    /// The run at the beginning of `bytes`.
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        let low = usize::from(first & 0x3F);
        Some(match first >> 6 {
            0 => Self {
                value: 0,
                count: low + 1,
                bytes: 1,
            },
            1 => Self {
                value: 0,
                count: (low << 8 | usize::from(rest.first().copied().unwrap_or(0))) + 1,
                bytes: 2,
            },
            _ => Self {
                value: (first >> 2 & 0x1F) + 1,
                count: usize::from(first & 0x3) + 1,
                bytes: 1,
            },
        })
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
    let (mut before, mut at) = (None, HEADER_BYTES);
    loop {
        let run = Run::read(value.get(at..)?)?;
        if index < run.count {
            return Some(Place {
                run,
                at,
                before,
                index,
            });
        }
        before = Some(at);
        at += run.bytes;
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
    while let Some(run) = Run::read(rest) {
        registers += run.count;
        if registers > REGISTERS {
            return Err(Corrupt);
        }
        each(run);
        rest = rest.get(run.bytes..).unwrap_or_default();
    }
    if registers == REGISTERS {
        Ok(())
    } else {
        Err(Corrupt)
    }
}

/// Appends `count` zeros, at least one.
pub(super) fn push_zeros(runs: &mut Vec<u8>, count: usize) {
    let number = count - 1;
    if count > ZEROS_MAX {
        runs.push(0x40 | (number >> 8) as u8);
    }
    runs.push(number as u8);
}

/// The byte of a run of registers that are not zero.
fn values(value: u8, count: usize) -> u8 {
    0x80 | (value - 1) << 2 | (count - 1) as u8
}

/// As [`add`], to a sparse value.
pub(super) fn raise(
    value: &mut Vec<u8>,
    rank: Rank,
    sparse_max_bytes: u64,
) -> Result<bool, Corrupt> {
    if value.len() > SPARSE_MAX_BYTES {
        return Err(Corrupt);
    }
    if rank.rank > VALUE_MAX {
        return raise_as_dense(value, rank);
    }
    let Place {
        run,
        at,
        before,
        index,
    } = place_of(value, rank.register()).ok_or(Corrupt)?;
    if run.value >= rank.rank {
        return Ok(false);
    }
    if run.bytes == 1 && run.count == 1 {
        value[at] = values(rank.rank, 1);
    } else {
        let divided = divided(run, index, rank.rank);
        let len = value.len() + divided.len() - run.bytes;
        if divided.len() > run.bytes && len as u64 > sparse_max_bytes {
            return raise_as_dense(value, rank);
        }
        let end = value.len().min(at + run.bytes);
        value.splice(at..end, divided);
        value.truncate(len);
    }
    join_neighbours(value, before.unwrap_or(HEADER_BYTES));
    Ok(true)
}

/// A run of which the register at `index` is to have another rank.
fn divided(run: Run, index: usize, rank: u8) -> Vec<u8> {
    let mut runs = Vec::with_capacity(5);
    let push = |runs: &mut Vec<u8>, count| match (count, run.value) {
        (0, _) => {}
        (_, 0) => push_zeros(runs, count),
        (_, value) => runs.push(values(value, count)),
    };
    push(&mut runs, index);
    runs.push(values(rank, 1));
    push(&mut runs, run.count - 1 - index);
    runs
}

fn join_neighbours(value: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_RUNS {
        let Some(run) = value.get(at..).and_then(Run::read) else {
            return;
        };
        let next = value.get(at + 1..).and_then(Run::read);
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
    while let Some(run) = value.get(at..).and_then(Run::read) {
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
