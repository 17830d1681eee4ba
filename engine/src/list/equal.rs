//! Taking out the elements that are equal to one, leaf by leaf.
//!
//! ```text
//!  Sweep::next ──▶ which elements of the next leaf are equal ──▶ they are taken out ──▶ Sweep::next ──▶ …
//! ```
//! Between the two whoever takes them out can say so.

use std::ops::{ControlFlow, Range};

use super::layout::Layout;
use super::packed::{End, Packed};
use super::{List, ListView, leaf};
use crate::nodes::Heap;

/// Where such a removal has come to.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    /// What is still to be looked at.
    range: Range<u32>,
    from: End,
    /// How many may still be taken out.
    left: u32,
}

impl Sweep {
    /// One that takes at most `most` elements out of a range, from this end on.
    pub(crate) fn new(range: Range<u32>, most: u32, from: End) -> Self {
        Self {
            range,
            from,
            left: most,
        }
    }

    /// Which elements of the next leaf that has any, or of a whole small list, are `element`: the index of the leaf's first, and
    /// which of the leaf's they are, in order. They are to be taken out before the next call.
    pub(crate) fn next(
        &mut self,
        list: &ListView<'_>,
        element: &[u8],
        found: &mut Vec<usize>,
    ) -> Option<u32> {
        found.clear();
        if self.left == 0 || self.range.is_empty() {
            return None;
        }
        let (base, piece) = match list {
            ListView::Packed(run) => {
                let range = self.range.start as usize..self.range.end as usize;
                let find = |rest| run.find(rest, self.from, element);
                self.find_all(range, find, found);
                (0, self.range.clone())
            }
            ListView::Large(list, heap) => self.next_in_tree(list, heap, element, found),
        };
        let count = found.len() as u32;
        self.left -= count;
        match self.from {
            End::Head => self.range = piece.end - count..self.range.end - count,
            End::Tail => self.range.end = piece.start,
        }
        (count > 0).then_some(base)
    }

    fn next_in_tree(
        &self,
        list: &List,
        heap: &Heap,
        element: &[u8],
        found: &mut Vec<usize>,
    ) -> (u32, Range<u32>) {
        let (mut base, mut piece) = (0, self.range.clone());
        list.each_piece(heap, self.range.clone(), self.from, |first, run, range| {
            base = first - range.start as u32;
            piece = first..first + range.len() as u32;
            let find = |rest| list.find_in(heap, run, rest, self.from, element);
            self.find_all(range, find, found);
            match found.is_empty() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        (base, piece)
    }

    fn find_all(
        &self,
        mut rest: Range<usize>,
        find: impl Fn(Range<usize>) -> Option<usize>,
        found: &mut Vec<usize>,
    ) {
        while found.len() < self.left as usize
            && let Some(at) = find(rest.clone())
        {
            found.push(at);
            rest = match self.from {
                End::Head => at + 1..rest.end,
                End::Tail => rest.start..at,
            };
        }
        if self.from == End::Tail {
            found.reverse();
        }
    }
}

impl List {
    /// Takes elements out of the leaf that has element `index`: which of the leaf's, in order.
    pub(crate) fn remove_from_leaf(&mut self, heap: &mut Heap, index: u32, elements: &[usize]) {
        let spot = self.locate(heap, index);
        self.discard(heap, spot.block, elements.iter().copied());
        let image = leaf::image(heap, spot.block);
        let packed = Packed::new(&image);
        let starts = std::iter::once(0).chain(elements.iter().map(|at| at + 1));
        let ends = elements.iter().copied().chain([packed.len()]);
        let kept = starts.zip(ends).map(|(start, end)| (packed, start..end));
        let kept: Vec<_> = kept.filter(|(_, range)| !range.is_empty()).collect();
        self.write_run(heap, spot.block, &Layout::new(&kept), End::Tail);
        self.removed(heap, &spot, elements.len());
    }

    /// Takes out the elements that are `element`, the first `most` of them or the last; how many those were.
    #[cfg(any(test, feature = "model", feature = "bench"))]
    pub(crate) fn remove_equal(
        &mut self,
        heap: &mut Heap,
        element: &[u8],
        most: u32,
        from: End,
    ) -> u32 {
        let len = self.len();
        let (mut sweep, mut found) = (Sweep::new(0..len, most, from), Vec::new());
        while let Some(first) = sweep.next(&ListView::Large(self, heap), element, &mut found) {
            self.remove_from_leaf(heap, first, &found);
        }
        len - self.len()
    }
}
