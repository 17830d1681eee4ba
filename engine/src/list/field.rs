//! An element as it lies in a packed run: itself, or a reference to where it is, and the code that says which.

use super::packed::{HEADER_BYTES, PACKED_MAX_BYTES};

/// What is known of an element beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub(super) u16);

impl Code {
    /// The number of an extent and the length lie in the element's place.
    pub(crate) const IN_EXTENT: Self = Self(0xFFFD);
    /// The number of a block does.
    pub(crate) const IN_BLOCK: Self = Self(0xFFFE);
    /// The greatest length of one byte. Above, a byte says that there is a reference; it is then the lower one of two.
    const NARROW_MAX: u16 = 252;

    #[inline(always)]
    pub(super) fn of_byte(byte: u8) -> Self {
        let code = u16::from(byte);
        Self(if code > Self::NARROW_MAX {
            0xFF00 | code
        } else {
            code
        })
    }

    #[inline(always)]
    pub(crate) fn is_reference(self) -> bool {
        self.0 >= Self::IN_EXTENT.0
    }

    /// Bytes of a code as this.
    #[inline(always)]
    pub(super) fn width(self) -> usize {
        1 + usize::from(self.0 > Self::NARROW_MAX && !self.is_reference())
    }

    /// Bytes in the element's place.
    #[inline(always)]
    pub(super) fn body_bytes(self) -> usize {
        match self {
            Self::IN_BLOCK => 4,
            Self::IN_EXTENT => 8,
            Self(len) => usize::from(len),
        }
    }
}

/// An element as it lies here, or is to: its bytes, or a reference to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(super) code: Code,
    pub(super) bytes: &'a [u8],
}

impl<'a> Field<'a> {
    /// An element that lies here itself, and fits a run.
    #[inline(always)]
    pub(crate) fn inline(bytes: &'a [u8]) -> Self {
        debug_assert!(bytes.len() <= PACKED_MAX_BYTES - HEADER_BYTES);
        Self {
            code: Code(bytes.len() as u16),
            bytes,
        }
    }

    /// A reference of as many bytes as `code` says.
    pub(crate) fn reference(code: Code, bytes: &'a [u8]) -> Self {
        debug_assert!(code.is_reference() && bytes.len() == code.body_bytes());
        Self { code, bytes }
    }

    #[inline(always)]
    pub(crate) fn code(self) -> Code {
        self.code
    }

    /// What lies in the element's place.
    #[inline(always)]
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}
