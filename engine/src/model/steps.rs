//! Bytes that models are played by: steps and their operands. What is missing at the end reads as zero.

use crate::list::End;

/// What is left of them.
pub(crate) struct Steps<'a>(std::slice::Iter<'a, u8>);

impl<'a> Steps<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    /// The next step; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<u8> {
        self.0.next().copied()
    }

    /// The next operand.
    pub(crate) fn operand(&mut self) -> usize {
        self.next().map_or(0, usize::from)
    }

    /// A number below `bound`, at least zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let operand = self.operand() * 256 + self.operand();
        operand % bound.max(1)
    }

    /// An end of a list.
    pub(crate) fn end(&mut self) -> End {
        match self.operand().is_multiple_of(2) {
            true => End::Head,
            false => End::Tail,
        }
    }
}
