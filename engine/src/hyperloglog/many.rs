//! Many elements added to sparse registers in one pass over the runs.
//!
//! One by one, each element looks for its register from the first run on, and moves what is behind. Here elements are sorted by their
//! registers, and the runs between those that change are copied as they are.
//!
//! What comes of it is to be the same to the byte. Zeros are written in one way only. Neighbours of one value are in runs of four at
//! most: up to four of them are one run, whatever came first, since any two runs that could be one are joined as soon as one of them
//! changes. Of more, it is by the order of the elements how they are divided, and it is by the length at each moment whether the value
//! becomes dense. Where that could matter, nothing is said, and elements are added one by one.

use super::sparse::{self, Run, VALUE_MAX, VALUES_MAX};
use super::{HEADER_BYTES, REGISTERS, Rank};

/// Elements from which on a pass over all runs costs less than looking for each.
pub(super) const MANY: usize = 4;
/// Bytes that a sparse value has more with one register more that is not zero, at most.
const GROWTH_MAX: u64 = 3;

/// How many elements a value of so many bytes takes, whatever they are, and has no more than `sparse_max_bytes` then, nor before.
pub(super) fn room(bytes: usize, sparse_max_bytes: u64) -> usize {
    let left = sparse_max_bytes.saturating_sub(bytes as u64);
    (left / GROWTH_MAX).try_into().unwrap_or(usize::MAX)
}

/// What comes of adding elements: the value, if a register changed, and how many of the elements changed one, coming one after the other.
pub(super) type Raised = (Option<Vec<u8>>, u64);

/// Adds to a sparse value elements for which it has [`room`]; `None`: they are to be added one by one.
pub(super) fn raise_all(value: &[u8], ranks: &[Rank]) -> Option<Raised> {
    let sorted = sorted(ranks);
    let mut rest = &sorted[..];
    let mut written = Written::new(value, ranks.len());
    let (mut runs, mut first, mut raised) = (&value[HEADER_BYTES..], 0, 0);
    while let Some((run, behind)) = Run::split(runs) {
        let end = first + run.count;
        let own = rest.iter().take_while(|rank| rank.register() < end).count();
        let part = value.len() - runs.len()..value.len() - behind.len();
        if part.len() < run.bytes {
            return None;
        }
        let (elements, others) = rest.split_at(own);
        let mut next = first;
        for elements in elements.chunk_by(|a, b| a.register == b.register) {
            let mut highest = run.value;
            for rank in elements {
                raised += u64::from(rank.rank > highest);
                highest = rank.rank.max(highest);
            }
            if highest > VALUE_MAX {
                return None;
            }
            if highest > run.value {
                written.up_to(part.start);
                let register = elements[0].register();
                written.push(run.value, register - next)?;
                written.push(highest, 1)?;
                written.leave_out(part.end);
                next = register + 1;
            }
        }
        if next == first {
            written.keep(run, part.end)?;
        } else {
            written.push(run.value, end - next)?;
        }
        (runs, first, rest) = (behind, end, others);
    }
    (first == REGISTERS).then(|| (written.finish(), raised))
}

/// Elements in the order of their registers, those of one register as they came.
fn sorted(ranks: &[Rank]) -> Vec<Rank> {
    let mut ranks = ranks.to_vec();
    ranks.sort_by_key(|rank| rank.register);
    ranks
}

/// What is written of a new value.
struct Written<'v> {
    was: &'v [u8],
    /// Empty as long as nothing has changed.
    value: Vec<u8>,
    capacity: usize,
    /// Bytes of `was` that are in it, or that others have come in the place of.
    taken: usize,
    /// The run before what comes next, if it is of values.
    last: Option<Last>,
}

/// A run of registers that are not zero.
#[derive(Clone, Copy)]
struct Last {
    value: u8,
    count: usize,
    is_new: bool,
}

impl Last {
    fn is_joined_by(self, value: u8, count: usize) -> bool {
        self.value == value && self.count + count <= VALUES_MAX
    }
}

impl<'v> Written<'v> {
    fn new(was: &'v [u8], elements: usize) -> Self {
        Self {
            was,
            value: Vec::new(),
            capacity: was.len() + elements * GROWTH_MAX as usize,
            taken: 0,
            last: None,
        }
    }

    /// Takes what is not taken of the value before `at`.
    fn up_to(&mut self, at: usize) {
        if self.value.is_empty() {
            self.value.reserve_exact(self.capacity);
        }
        if self.taken < at {
            self.value.extend_from_slice(&self.was[self.taken..at]);
            self.taken = at;
        }
    }

    /// Takes nothing of what is before `end`.
    fn leave_out(&mut self, end: usize) {
        self.taken = end;
    }

    /// A run that stays, up to `end`. `None`: by the order of the elements it may be written in another way.
    fn keep(&mut self, run: Run, end: usize) -> Option<()> {
        let Run { value, count, .. } = run;
        if value == 0 {
            self.last = None;
            return Some(());
        }
        match self.last {
            Some(last) if last.is_new && last.value == value => {
                self.join(last, count)?;
                self.leave_out(end);
            }
            Some(last) if last.is_joined_by(value, count) => return None,
            _ => {
                self.last = Some(Last {
                    value,
                    count,
                    is_new: false,
                });
            }
        }
        Some(())
    }

    /// A run that is new, behind all that is written; of no registers it is none. `None`: as [`Self::keep`].
    fn push(&mut self, value: u8, count: usize) -> Option<()> {
        if count == 0 {
            return Some(());
        }
        if value == 0 {
            sparse::push_zeros(&mut self.value, count);
            self.last = None;
            return Some(());
        }
        match self.last {
            Some(last) if last.value == value => self.join(last, count),
            _ => {
                self.value.push(sparse::values(value, count));
                self.last = Some(Last {
                    value,
                    count,
                    is_new: true,
                });
                Some(())
            }
        }
    }

    /// Has the last run, which ends what is written, have so many registers more.
    fn join(&mut self, last: Last, count: usize) -> Option<()> {
        if !last.is_joined_by(last.value, count) {
            return None;
        }
        let count = last.count + count;
        *self.value.last_mut().expect("the last run is written") =
            sparse::values(last.value, count);
        self.last = Some(Last {
            count,
            is_new: true,
            ..last
        });
        Some(())
    }

    /// The value, if anything has changed.
    fn finish(mut self) -> Option<Vec<u8>> {
        if self.value.is_empty() {
            return None;
        }
        self.up_to(self.was.len());
        Some(self.value)
    }
}
