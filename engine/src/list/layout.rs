//! Laying out elements of packed runs in another, which has only the codes that these need: what dividing, joining, growing and
//! shrinking are.

use std::ops::Range;

use super::packed::{End, HEADER_BYTES, Packed, Shape};

/// Elements of runs, to be laid out in another.
pub(crate) struct Layout<'p, 'a> {
    parts: &'p [(Packed<'a>, Range<usize>)],
    shape: Shape,
}

impl<'p, 'a> Layout<'p, 'a> {
    /// The elements of all `parts`, in order.
    pub(crate) fn new(parts: &'p [(Packed<'a>, Range<usize>)]) -> Self {
        let mut shape = Shape::EMPTY;
        for (packed, range) in parts {
            let steps = match packed.common_code() {
                Some(_) => range.len().min(1),
                None => range.len(),
            };
            for at in range.start..range.start + steps {
                let code = packed.code(at);
                shape.width = shape.width_with(code);
                if shape.count == 0 {
                    shape.code = code;
                }
                shape.has_references |= code.is_reference();
                shape.count += 1;
            }
            shape.count += range.len() - steps;
            shape.end += packed.bytes_of(range.clone());
        }
        Self { parts, shape }
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.count
    }

    /// Bytes of the run that they make.
    pub(crate) fn used_bytes(&self) -> usize {
        self.shape.end + self.shape.count * self.shape.width
    }

    /// Writes that run into `bytes`, with what room there is towards one end.
    ///
    /// # Panics
    /// There are too few bytes.
    pub(crate) fn write(&self, bytes: &mut [u8], towards: End) {
        let room = bytes.len().checked_sub(self.used_bytes());
        let room = room.expect("there are as many bytes as asked for");
        let mut shape = self.shape;
        if towards == End::Head && shape.count > 0 {
            let mean = shape.payload() / shape.count + shape.width;
            shape.left = room.checked_div(mean).unwrap_or(0) * shape.width;
            let start = HEADER_BYTES + room - shape.left;
            (shape.start, shape.end) = (start, start + shape.payload());
        }
        let len = bytes.len();
        let (mut at, mut place) = (0, shape.start);
        for (packed, range) in self.parts {
            let body = packed.bytes_of(range.clone());
            let offset = packed.offset(range.start);
            bytes[place..place + body].copy_from_slice(&packed.bytes[offset..offset + body]);
            place += body;
            let codes = shape.codes(len, at..at + range.len());
            at += range.len();
            if shape.width > 0 && shape.width == packed.shape.width {
                let from = packed.shape.codes(packed.bytes.len(), range.clone());
                bytes[codes].copy_from_slice(&packed.bytes[from]);
            } else if shape.width > 0 {
                let places = bytes[codes].chunks_exact_mut(shape.width).rev();
                for (place, at) in places.zip(range.clone()) {
                    let code = packed.code(at).0.to_le_bytes();
                    place.copy_from_slice(&code[..shape.width]);
                }
            }
        }
        shape.write(bytes);
    }
}
