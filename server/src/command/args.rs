//! A command's arguments: ranges of the buffer they arrived in, the command's name first.

use std::ops::Index;

use larder_engine::parse_canonical_i64;

use crate::resp::{ErrorReply, errors};

/// Borrowed arguments of one command.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    input: &'a [u8],
    ranges: &'a [ArgRange],
}

/// Where an argument stands in the input.
pub(super) use crate::resp::ArgRange;

impl<'a> Args<'a> {
    /// Arguments at `ranges` of `input`.
    #[inline]
    pub fn new(input: &'a [u8], ranges: &'a [ArgRange]) -> Self {
        Self { input, ranges }
    }

    /// Number of arguments, the name included.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "the name is always there")]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Argument `at`, if there are so many; 0 is the name.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&'a [u8]> {
        self.ranges
            .get(at)
            .map(|range| &self.input[range.start as usize..][..range.len as usize])
    }

    /// Argument `at`; 0 is the name.
    ///
    /// # Panics
    /// If there are fewer: arity is checked before a command runs.
    #[inline]
    pub fn at(&self, at: usize) -> &'a [u8] {
        let range = self.ranges[at];
        &self.input[range.start as usize..][..range.len as usize]
    }

    /// The arguments from `from` on.
    pub fn iter_from(
        &self,
        from: usize,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let input = self.input;
        self.ranges[from.min(self.ranges.len())..]
            .iter()
            .map(move |range| &input[range.start as usize..][..range.len as usize])
    }

    /// The arguments from `from` on, as a command's of their own.
    pub fn from(&self, from: usize) -> Self {
        Self {
            input: self.input,
            ranges: &self.ranges[from.min(self.ranges.len())..],
        }
    }

    /// Whether argument `at` is `word`, letters of any case.
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.get(at)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Argument `at` as a 64-bit integer in its one decimal form.
    ///
    /// # Errors
    /// It is none.
    #[inline]
    pub fn integer(&self, at: usize) -> Result<i64, ErrorReply> {
        parse_canonical_i64(self.at(at)).ok_or(errors::NOT_AN_INTEGER)
    }

    /// The bytes that the ranges refer to.
    pub fn input(&self) -> &'a [u8] {
        self.input
    }

    /// Where the arguments stand in [`Self::input`].
    pub fn ranges(&self) -> &'a [ArgRange] {
        self.ranges
    }

    /// Bytes from the first argument's beginning to the last one's end, what stands between them included.
    #[inline]
    pub fn span_bytes(&self) -> usize {
        match (self.ranges.first(), self.ranges.last()) {
            (Some(first), Some(last)) => (last.start + last.len - first.start) as usize,
            _ => 0,
        }
    }

    /// Bytes of all arguments.
    pub fn bytes(&self) -> usize {
        self.ranges.iter().map(|range| range.len as usize).sum()
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, at: usize) -> &[u8] {
        self.at(at)
    }
}
