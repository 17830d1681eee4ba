//! HyperLogLog: how many different elements there were, from 16384 registers of six bits, in a string that Redis reads too.
//!
//! ```text
//!  0      4          5       8                        16
//!  | HYLL | encoding | zeros | count, little endian   | registers …
//!           0 dense            its highest bit set:      dense   six bits each, the first lowest: always 12288 bytes
//!           1 sparse           to be estimated anew      sparse  runs of equal registers: sparse.rs
//! ```
//! An element is hashed (`murmur.rs`): fourteen bits name its register, the zeros behind them are its *rank*, and a register keeps the
//! highest rank that came. From how many registers have each rank follows the estimate (`estimate.rs`). A value is what a client may
//! have written: nothing here trusts it.
//!
//! Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", AofA 2007; Heule,
//! Nunkesser, Hall, "HyperLogLog in practice", EDBT 2013, for 64 bits of hash.

mod dense;
mod estimate;
mod many;
mod murmur;
mod skip;
mod sparse;
#[cfg(test)]
mod tests;

use crate::raw;

use estimate::Histogram;
use murmur::murmur64a;

/// Registers of a value.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bytes before the registers.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a dense value.
pub const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * REGISTER_BITS / 8;
/// Bits of a hash that name a register.
const INDEX_BITS: u32 = 14;
/// Bits of a register.
const REGISTER_BITS: usize = 6;
/// The highest rank of an element: all other bits of its hash are zeros.
const RANK_MAX: usize = 64 - INDEX_BITS as usize + 1;
/// Values that a register may have, those that no element gives included.
const REGISTER_VALUES: usize = 1 << REGISTER_BITS;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const COUNT_AT: usize = 8;
/// Where the byte stands that says whether the count is to be estimated anew.
const STALE_AT: usize = COUNT_AT + 7;
const STALE: u8 = 0x80;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// How registers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    /// Six bits each.
    Dense,
    /// Runs of equal ones.
    Sparse,
}

/// The registers of a value are not what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// A register, and what an element gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    register: u16,
    rank: u8,
}

impl Rank {
    /// The register of `element` and its rank.
    pub fn of(element: &[u8]) -> Self {
        /// Redis's.
        const SEED: u64 = 0xADC8_3B19;
        let hash = murmur64a(element, SEED);
        // The bit behind the last ends the zeros.
        let zeros = (hash >> INDEX_BITS | 1 << (64 - INDEX_BITS)).trailing_zeros();
        Self {
            register: (hash as usize % REGISTERS) as u16,
            rank: zeros as u8 + 1,
        }
    }

    /// The number of the register.
    pub fn register(self) -> usize {
        self.register.into()
    }

    /// The rank.
    pub fn rank(self) -> u8 {
        self.rank
    }
}

/// Whether an element of `rank` changes a register of a dense `value`.
pub fn raises(value: &[u8], rank: Rank) -> bool {
    dense::register(&value[HEADER_BYTES..], rank.register.into()) < rank.rank
}

/// How the registers of `value` are written, if its header is one.
pub fn representation(value: &[u8]) -> Option<Representation> {
    if value.len() < HEADER_BYTES || !value.starts_with(MAGIC) {
        return None;
    }
    match value[ENCODING_AT] {
        DENSE if value.len() == DENSE_BYTES => Some(Representation::Dense),
        SPARSE => Some(Representation::Sparse),
        _ => None,
    }
}

/// The value of no elements.
pub fn empty() -> Vec<u8> {
    let mut value = vec![0; HEADER_BYTES];
    value[..MAGIC.len()].copy_from_slice(MAGIC);
    value[ENCODING_AT] = SPARSE;
    sparse::push_zeros(&mut value, REGISTERS);
    value
}

/// The estimate that `value`, whose header is one, has kept.
pub fn kept_count(value: &[u8]) -> Option<u64> {
    let count = value[COUNT_AT..].first_chunk().expect("there is a header");
    (value[STALE_AT] & STALE == 0).then(|| u64::from_le_bytes(*count))
}

/// The estimate of `value`, whose header is one, from its registers.
///
/// # Errors
/// The registers of a sparse value are corrupt.
pub fn count(value: &[u8]) -> Result<u64, Corrupt> {
    match representation(value) {
        Some(Representation::Dense) => {
            let mut registers = Lines([0; REGISTERS]);
            dense::merge(&mut registers.0, &value[HEADER_BYTES..]);
            Ok(estimate::estimate(&registers.0))
        }
        Some(Representation::Sparse) => {
            let mut histogram = Histogram::default();
            sparse::for_each_run(value, |run| histogram.add(run))?;
            Ok(histogram.estimate())
        }
        None => Err(Corrupt),
    }
}

/// The bytes to write so that a value keeps `count`, and where.
pub fn keeping(count: u64) -> (usize, [u8; 8]) {
    (COUNT_AT, count.to_le_bytes())
}

/// The byte to write so that `value`, whose header is one, does not keep its estimate any longer, and where.
pub fn keeping_none(value: &[u8]) -> (usize, [u8; 1]) {
    (STALE_AT, [value[STALE_AT] | STALE])
}

/// Has `value`, whose header is one, not keep its estimate any longer.
pub fn forget_count(value: &mut [u8]) {
    let (at, bytes) = keeping_none(value);
    value[at..=at].copy_from_slice(&bytes);
}

/// What elements of `ranks` change of a dense value: bytes to write, and where, in their order; and how many of the elements changed a
/// register when they came one after the other.
pub fn dense_changes(value: &[u8], ranks: &mut [Rank]) -> (Vec<(usize, [u8; 3])>, u64) {
    let packed = &value[HEADER_BYTES..];
    let (mut changes, mut raised) = (Vec::new(), 0);
    // Of one register the elements stay in their order.
    ranks.sort_by_key(|rank| rank.register);
    for ranks in ranks.chunk_by(|a, b| dense::group(a.register) == dense::group(b.register)) {
        let at = dense::group(ranks[0].register) * dense::GROUP_BYTES;
        let was: [u8; 3] = *packed[at..].first_chunk().expect("groups are whole");
        let mut bytes = was;
        for rank in ranks {
            let register = usize::from(rank.register) % dense::GROUP_REGISTERS;
            raised += u64::from(dense::raise(&mut bytes, register, rank.rank));
        }
        if bytes != was {
            changes.push((HEADER_BYTES + at, bytes));
        }
    }
    (changes, raised)
}

/// What comes of adding elements to a sparse value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The value, if a register has changed. It keeps no estimate.
    pub value: Option<Vec<u8>>,
    /// How many of the elements changed a register when they came one after the other.
    pub raised: u64,
    /// Whether the registers were found corrupt where an element has its own: those before it are added.
    pub is_corrupt: bool,
}

/// Adds elements of `ranks` to a sparse `value`, one after the other. As [`add`].
pub fn add_to_sparse(
    value: &[u8],
    ranks: impl ExactSizeIterator<Item = Rank>,
    sparse_max_bytes: u64,
) -> Added {
    let mut adding = Adding {
        was: value,
        value: None,
        raised: 0,
        sparse_max_bytes,
    };
    let added = if ranks.len() < many::MANY {
        adding.add_each(ranks)
    } else {
        adding.add_many(&ranks.collect::<Vec<_>>())
    };
    let Adding {
        mut value, raised, ..
    } = adding;
    if let Some(value) = &mut value {
        forget_count(value);
    }
    Added {
        value,
        raised,
        is_corrupt: added.is_err(),
    }
}

/// A value to which elements are being added. Nothing is copied for elements that change nothing.
struct Adding<'v> {
    was: &'v [u8],
    value: Option<Vec<u8>>,
    raised: u64,
    sparse_max_bytes: u64,
}

impl Adding<'_> {
    fn value(&self) -> &[u8] {
        self.value.as_deref().unwrap_or(self.was)
    }

    /// Adds elements together, as many at a time as surely leave the value sparse.
    fn add_many(&mut self, mut ranks: &[Rank]) -> Result<(), Corrupt> {
        while !ranks.is_empty() {
            let value = self.value();
            let room = many::room(value.len(), self.sparse_max_bytes);
            let (next, others) = ranks.split_at(room.max(many::MANY).min(ranks.len()));
            let is_sparse = representation(value) == Some(Representation::Sparse);
            let together = (is_sparse && (many::MANY..=room).contains(&next.len()))
                .then(|| many::raise_all(value, next));
            match together.flatten() {
                Some((value, raised)) => {
                    self.value = value.or(self.value.take());
                    self.raised += raised;
                }
                None => self.add_each(next.iter().copied())?,
            }
            ranks = others;
        }
        Ok(())
    }

    fn add_each(&mut self, ranks: impl Iterator<Item = Rank>) -> Result<(), Corrupt> {
        for rank in ranks {
            self.raised += u64::from(self.add(rank)?);
        }
        Ok(())
    }

    fn add(&mut self, rank: Rank) -> Result<bool, Corrupt> {
        /// Bytes that a value mostly grows by with an element, at most.
        const GROWTH_BYTES: usize = 8;
        if let Some(value) = &mut self.value {
            return add(value, rank, self.sparse_max_bytes);
        }
        // Whether the runs come to all registers is seen when they are unpacked.
        let place = sparse::place_of(self.was, rank.register()).ok_or(Corrupt)?;
        if place.run.value >= rank.rank {
            return Ok(false);
        }
        let mut value = Vec::with_capacity(self.was.len() + GROWTH_BYTES);
        value.extend_from_slice(self.was);
        let is_raised = sparse::raise_at(&mut value, place, rank, self.sparse_max_bytes)?;
        self.value = Some(value);
        Ok(is_raised)
    }
}

/// Adds an element of `rank` to `value`, whose header is one: whether that changed a register. A sparse value that would have more than
/// `sparse_max_bytes` becomes dense. The count that the value keeps is the caller's to forget.
///
/// # Errors
/// The registers are corrupt; then nothing has changed.
pub fn add(value: &mut Vec<u8>, rank: Rank, sparse_max_bytes: u64) -> Result<bool, Corrupt> {
    match representation(value) {
        Some(Representation::Dense) => {
            let packed = &mut value[HEADER_BYTES..];
            Ok(dense::raise(packed, rank.register.into(), rank.rank))
        }
        Some(Representation::Sparse) => sparse::raise(value, rank, sparse_max_bytes),
        None => Err(Corrupt),
    }
}

/// `value`, whose header is one, with dense registers.
///
/// # Errors
/// The registers of a sparse value are corrupt.
pub fn to_dense(value: &[u8]) -> Result<Vec<u8>, Corrupt> {
    let mut registers = Registers::default();
    registers.merge(value)?;
    Ok(registers.as_dense(value))
}

/// A sparse value in words, as `PFDEBUG DECODE` shows it: `z:19` and `Z:1000` are registers that are zero, in the short form of a run and
/// in the long one, `v:3,2` two that are 3.
pub fn decode(value: &[u8]) -> String {
    sparse::decode(value)
}

/// Says whether registers may be taken many at a time where the machine can; whether they are.
pub fn allow_vectors(allowed: bool) -> bool {
    raw::allow_vectors(allowed);
    raw::uses_vectors()
}

/// All registers, a byte each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers(Box<Lines>);

/// Bytes that begin with a cache line, since what is taken many at once would often lie in two.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
struct Lines([u8; REGISTERS]);

impl Default for Registers {
    fn default() -> Self {
        Self(Box::new(Lines([0; REGISTERS])))
    }
}

impl Registers {
    /// The registers in the order of their numbers.
    pub fn bytes(&self) -> &[u8; REGISTERS] {
        &self.0.0
    }

    /// Takes the higher of each register and that of `value`, whose header is one.
    ///
    /// # Errors
    /// The registers of a sparse value are corrupt; those before the fault are taken in.
    pub fn merge(&mut self, value: &[u8]) -> Result<(), Corrupt> {
        match representation(value) {
            Some(Representation::Dense) => {
                dense::merge(&mut self.0.0, &value[HEADER_BYTES..]);
                Ok(())
            }
            Some(Representation::Sparse) => {
                let mut next = 0;
                sparse::for_each_run(value, |run| {
                    let end = next + run.count;
                    if run.value > 0 {
                        // Four at most: by number, since what makes many faster makes few slower.
                        for register in next..end {
                            self.0.0[register] = run.value.max(self.0.0[register]);
                        }
                    }
                    next = end;
                })
            }
            None => Err(Corrupt),
        }
    }

    /// Takes the higher of each register and that of `others`.
    pub fn merge_with(&mut self, others: &Self) {
        for (register, other) in self.0.0.iter_mut().zip(others.bytes()) {
            *register = (*register).max(*other);
        }
    }

    /// How many elements they stand for.
    pub fn count(&self) -> u64 {
        estimate::estimate(self.bytes())
    }

    /// A dense value of these registers with the header of `value`.
    fn as_dense(&self, value: &[u8]) -> Vec<u8> {
        let mut dense = vec![0; DENSE_BYTES];
        dense[..HEADER_BYTES].copy_from_slice(&value[..HEADER_BYTES]);
        dense[ENCODING_AT] = DENSE;
        dense::pack(self.bytes(), &mut dense[HEADER_BYTES..]);
        dense
    }

    /// What `value`, whose header is one and whose registers are all taken in, is to become: with `is_dense`, or if it is dense, a dense
    /// value; otherwise one to which an element was added for each register that is not zero, in the order of their numbers.
    ///
    /// # Errors
    /// The registers of `value` are corrupt.
    pub fn merged_into(
        &self,
        value: &[u8],
        is_dense: bool,
        sparse_max_bytes: u64,
    ) -> Result<Vec<u8>, Corrupt> {
        if is_dense || representation(value) == Some(Representation::Dense) {
            let mut merged = self.as_dense(value);
            forget_count(&mut merged);
            return Ok(merged);
        }
        let ranks = self
            .bytes()
            .iter()
            .enumerate()
            .filter(|(_, rank)| **rank > 0);
        let ranks = ranks.map(|(register, &rank)| Rank {
            register: register as u16,
            rank,
        });
        let ranks: Vec<Rank> = ranks.collect();
        let added = add_to_sparse(value, ranks.into_iter(), sparse_max_bytes);
        if added.is_corrupt {
            return Err(Corrupt);
        }
        let mut merged = added.value.unwrap_or_else(|| value.to_vec());
        forget_count(&mut merged);
        Ok(merged)
    }
}

impl TryFrom<&[u8]> for Registers {
    type Error = Corrupt;

    /// What [`Registers::bytes`] has given.
    fn try_from(bytes: &[u8]) -> Result<Self, Corrupt> {
        let bytes: &[u8; REGISTERS] = bytes.try_into().map_err(|_| Corrupt)?;
        let is_possible = bytes
            .iter()
            .all(|&byte| usize::from(byte) < REGISTER_VALUES);
        is_possible
            .then(|| Self(Box::new(Lines(*bytes))))
            .ok_or(Corrupt)
    }
}
