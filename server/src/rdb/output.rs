//! Writing what every value is made of, in the forms that `input.rs` draws.

use larder_engine::parse_canonical_i64;

use super::limits::PIECE_BYTES;
use super::lzf::Packer;
use super::version::Version;

/// Whether long strings are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// They stand as they are.
    None,
    /// They are packed by LZF where that makes them shorter (`rdbcompression yes`).
    Lzf,
}

/// Values that are being written, in pieces if they are long.
#[derive(Debug)]
pub struct Output {
    /// What stands before `bytes`.
    pieces: Vec<Vec<u8>>,
    bytes: Vec<u8>,
    packer: Option<Packer>,
    version: Version,
}

/// Up to this many bytes, packing gains nothing.
const SHORT_BYTES: usize = 20;

/// Characters of the longest integer of 32 bits.
const INTEGER_MAX_BYTES: usize = 11;

impl Output {
    /// Nothing yet.
    #[must_use]
    pub fn new(packing: Packing) -> Self {
        Self {
            pieces: Vec::new(),
            bytes: Vec::new(),
            packer: (packing == Packing::Lzf).then(Packer::default),
            version: Version::WRITTEN,
        }
    }

    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self.pieces.is_empty() {
            true => self.bytes,
            false => self.into_pieces().concat(),
        }
    }

    /// What was written, in its pieces.
    #[must_use]
    pub fn into_pieces(mut self) -> Vec<Vec<u8>> {
        self.pieces.push(self.bytes);
        self.pieces
    }

    /// Begins another piece if the present one has not so many bytes of room left: what it has stays where it is.
    pub fn make_room(&mut self, bytes: usize) {
        if self.bytes.len() + bytes > PIECE_BYTES {
            let piece = Vec::with_capacity(PIECE_BYTES);
            self.pieces.push(std::mem::replace(&mut self.bytes, piece));
        }
    }

    /// How much was written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum::<usize>() + self.bytes.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let pieces = self.pieces.iter().map(Vec::capacity).sum::<usize>();
        pieces + self.bytes.capacity()
    }

    /// The oldest version whose readers know all that was written.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Notes that readers of older versions do not know what is written.
    pub(super) fn needs(&mut self, version: Version) {
        self.version = self.version.max(version);
    }

    /// Where the next byte will stand: in which piece, and where in that.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.pieces.len(), self.bytes.len())
    }

    /// Writes over what was written at one go at this place, but for the first `from` bytes of that.
    pub(super) fn overwrite(&mut self, (piece, at): (usize, usize), from: usize, bytes: &[u8]) {
        let piece = self.pieces.get_mut(piece).unwrap_or(&mut self.bytes);
        piece[at + from..][..bytes.len()].copy_from_slice(bytes);
    }

    /// A byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// So many bytes that are zero.
    pub(super) fn zeros(&mut self, bytes: usize) {
        self.bytes.resize(self.bytes.len() + bytes, 0);
    }

    /// A length or count.
    pub fn length(&mut self, len: u64) {
        match len {
            0..0x40 => self.byte(len as u8),
            0x40..0x4000 => self.raw(&(0x4000 | len as u16).to_be_bytes()),
            _ => match u32::try_from(len) {
                Ok(len) => {
                    self.byte(0x80);
                    self.raw(&len.to_be_bytes());
                }
                Err(_) => {
                    self.byte(0x81);
                    self.raw(&len.to_be_bytes());
                }
            },
        }
    }

    /// A string, as an integer if it is one of 32 bits.
    pub fn string(&mut self, value: &[u8]) {
        let number = (value.len() <= INTEGER_MAX_BYTES)
            .then(|| parse_canonical_i64(value))
            .flatten();
        match number.and_then(|number| i32::try_from(number).ok()) {
            Some(number) => self.integer(number),
            None => self.blob(value),
        }
    }

    /// A string that is no integer.
    pub(super) fn blob(&mut self, value: &[u8]) {
        if value.len() <= SHORT_BYTES || !self.packed(value) {
            self.length(value.len() as u64);
            self.raw(value);
        }
    }

    fn integer(&mut self, number: i32) {
        if let Ok(number) = i8::try_from(number) {
            self.byte(0xc0);
            self.raw(&number.to_le_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.byte(0xc1);
            self.raw(&number.to_le_bytes());
        } else {
            self.byte(0xc2);
            self.raw(&number.to_le_bytes());
        }
    }

    /// Writes a string packed, if that makes it shorter, and says whether it did.
    fn packed(&mut self, value: &[u8]) -> bool {
        /// What has to be gained: the form, and the second length.
        const OVERHEAD_BYTES: usize = 4;
        let Some(packer) = &mut self.packer else {
            return false;
        };
        let mut packed = Vec::new();
        if !packer.pack(value, value.len() - OVERHEAD_BYTES, &mut packed) {
            return false;
        }
        self.byte(0xc3);
        self.length(packed.len() as u64);
        self.length(value.len() as u64);
        self.raw(&packed);
        true
    }

    /// A moment, in milliseconds of Unix time.
    pub fn millis(&mut self, at_ms: i64) {
        self.raw(&at_ms.to_le_bytes());
    }

    /// A double, in eight bytes.
    pub fn double(&mut self, number: f64) {
        self.raw(&number.to_le_bytes());
    }
}

/// Where a number of nodes stands that is known only at the end: its form is chosen by the number of elements, which are as many at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountPlace {
    at: (usize, usize),
    width: CountWidth,
}

#[derive(Clone, Copy, Debug)]
enum CountWidth {
    One,
    Five,
    Nine,
}

impl CountPlace {
    /// Makes the place for the number of nodes of so many elements.
    pub(super) fn begin(elements: u64, out: &mut Output) -> Self {
        let at = out.place();
        let width = match elements {
            0..0x40 => CountWidth::One,
            0x40..=0xffff_ffff => CountWidth::Five,
            _ => CountWidth::Nine,
        };
        match width {
            CountWidth::One => out.byte(0),
            CountWidth::Five => out.raw(&[0x80, 0, 0, 0, 0]),
            CountWidth::Nine => out.raw(&[0x81, 0, 0, 0, 0, 0, 0, 0, 0]),
        }
        Self { at, width }
    }

    /// Writes the number.
    pub(super) fn finish(self, nodes: u64, out: &mut Output) {
        match self.width {
            CountWidth::One => out.overwrite(self.at, 0, &[nodes as u8]),
            CountWidth::Five => out.overwrite(self.at, 1, &(nodes as u32).to_be_bytes()),
            CountWidth::Nine => out.overwrite(self.at, 1, &nodes.to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::input::Input;

    #[test]
    fn lengths_come_back() {
        for len in [
            0,
            63,
            64,
            16_383,
            16_384,
            u32::MAX.into(),
            1 << 32,
            u64::MAX,
        ] {
            let mut out = Output::new(Packing::None);
            out.length(len);
            assert_eq!(Input::new(&out.into_bytes()).length(), Ok(len));
        }
    }

    #[test]
    fn strings_of_any_length_come_back_packed_or_not() {
        for packing in [Packing::None, Packing::Lzf] {
            for len in [0, 1, 20, 21, 63, 64, 65, 16_383, 16_384, 100_000_usize] {
                let mut state = 1_u64;
                let noise = (0..len).map(|_| {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    (state >> 56) as u8
                });
                for value in [noise.collect(), vec![b'x'; len]] {
                    let mut out = Output::new(packing);
                    out.string(&value);
                    let bytes = out.into_bytes();
                    assert_eq!(Input::new(&bytes).string().unwrap(), value, "{len} bytes");
                    assert!(bytes.len() <= value.len() + 5);
                    let is_packed = packing == Packing::Lzf && len > 20 && value[0] == b'x';
                    assert_eq!(bytes[0] == 0xc3, is_packed, "{len} bytes");
                }
            }
        }
    }
}
