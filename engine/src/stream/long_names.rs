//! Names of fields that are too long for the heads of leaves: each lies once, and the leaves that have it say its number.
//!
//! So the entries of a stream take memory in proportion to their values however long their names are, as long as the same ones follow each other.

use crate::StoreError;
use crate::nodes::{Heap, Holdings, Long};
use crate::raw::Block;

/// In the place of a block of names, beyond its number: a leaf's ordinal has no such bit.
const OF_NAMES: u64 = 1 << 32;

/// Names by number.
#[derive(Debug, Default)]
pub(super) struct LongNames {
    slots: Vec<Option<Known>>,
    vacant: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    names: Long,
    /// Leaves that have them.
    leaves: u32,
}

impl LongNames {
    /// The number that a block's place says, if it has names.
    pub(super) fn number_of(place: u64) -> Option<u32> {
        (place & OF_NAMES != 0).then_some(place as u32)
    }

    fn known(&self, number: u32) -> &Known {
        let known = self.slots[number as usize].as_ref();
        known.expect("a leaf's names are known")
    }

    fn known_mut(&mut self, number: u32) -> &mut Known {
        let known = self.slots[number as usize].as_mut();
        known.expect("a leaf's names are known")
    }

    /// The names of a number.
    pub(super) fn bytes<'a>(&self, heap: &'a Heap, number: u32) -> &'a [u8] {
        self.known(number).names.bytes(heap)
    }

    /// Adds names, which no leaf has yet.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn add(
        &mut self,
        heap: &mut Heap,
        holdings: &mut Holdings,
        names: &[u8],
    ) -> Result<u32, StoreError> {
        let number = match self.vacant.last() {
            Some(number) => *number,
            None => self.slots.len() as u32,
        };
        let place = OF_NAMES | u64::from(number);
        let names = Long::store(heap, holdings, place, names)?;
        let known = Some(Known { names, leaves: 0 });
        match self.vacant.pop() {
            Some(number) => self.slots[number as usize] = known,
            None => self.slots.push(known),
        }
        Ok(number)
    }

    /// One more leaf has them.
    pub(super) fn keep(&mut self, number: u32) {
        self.known_mut(number).leaves += 1;
    }

    /// One leaf less has them. Names that no leaf has any more are freed: how many bytes that were.
    pub(super) fn release(
        &mut self,
        heap: &mut Heap,
        holdings: &mut Holdings,
        number: u32,
    ) -> usize {
        let known = self.known_mut(number);
        known.leaves -= 1;
        match known.leaves {
            0 => self.free(heap, holdings, number),
            _ => 0,
        }
    }

    /// Frees names that no leaf has; how many bytes that were.
    pub(super) fn free(&mut self, heap: &mut Heap, holdings: &mut Holdings, number: u32) -> usize {
        let known = self.slots[number as usize].take();
        let Known { names, leaves } = known.expect("they are known");
        assert_eq!(leaves, 0, "no leaf has them");
        let bytes = names.bytes(heap).len();
        names.free(heap, holdings);
        self.vacant.push(number);
        if self.vacant.len() == self.slots.len() {
            *self = Self::default();
        }
        bytes
    }

    /// Names have gone from one block to another.
    pub(super) fn moved(&mut self, number: u32, to: Block) {
        self.known_mut(number).names = Long::Block(to);
    }

    /// Bytes of the lists.
    pub(super) fn list_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Known>>()
            + self.vacant.capacity() * size_of::<u32>()
    }

    /// All names: number, where they are, how many leaves have them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Long, u32)> {
        let numbered = (0..).zip(&self.slots);
        numbered.filter_map(|(number, known)| {
            let known = known.as_ref()?;
            Some((number, known.names, known.leaves))
        })
    }
}
