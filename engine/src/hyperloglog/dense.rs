//! Dense registers: six bits each, four in a group of three bytes.
//!
//! ```text
//!  |11000000|22221111|33333322|          the lowest bits of the first register first
//! ```
//! Many are unpacked 32 at a time where the machine can (`raw/registers.rs`), else eight: six bytes are a number of 48 bits, whose
//! halves, quarters and eighths move apart.

use super::REGISTERS;
use crate::raw;

/// Registers of a group.
pub(super) const GROUP_REGISTERS: usize = 4;
/// Bytes of a group.
pub(super) const GROUP_BYTES: usize = 3;

const REGISTER_MASK: u32 = 0x3F;

/// The group of a register.
pub(super) fn group(register: u16) -> usize {
    usize::from(register) / GROUP_REGISTERS
}

fn read_group(bytes: &[u8; GROUP_BYTES]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

/// A register.
pub(super) fn register(packed: &[u8], register: usize) -> u8 {
    let at = register / GROUP_REGISTERS * GROUP_BYTES;
    let group = read_group(packed[at..].first_chunk().expect("groups are whole"));
    (group >> (register % GROUP_REGISTERS * 6) & REGISTER_MASK) as u8
}

/// Gives a register this rank if it has a lower one; whether it had.
pub(super) fn raise(packed: &mut [u8], register: usize, rank: u8) -> bool {
    let at = register / GROUP_REGISTERS * GROUP_BYTES;
    let bytes: &mut [u8; GROUP_BYTES] = packed[at..].first_chunk_mut().expect("groups are whole");
    let (group, shift) = (read_group(bytes), register % GROUP_REGISTERS * 6);
    if group >> shift & REGISTER_MASK >= rank.into() {
        return false;
    }
    let raised = group & !(REGISTER_MASK << shift) | u32::from(rank) << shift;
    bytes.copy_from_slice(&raised.to_le_bytes()[..GROUP_BYTES]);
    true
}

/// Eight registers, a byte each, of the six bytes that they are packed in.
#[inline(always)]
fn unpack(packed: &[u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = *packed;
    let bits = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
    let bits = bits & 0xFF_FFFF | (bits & 0xFFFF_FF00_0000) << 8;
    let bits = bits & 0x0000_0FFF_0000_0FFF | (bits & 0x00FF_F000_00FF_F000) << 4;
    let bits = bits & 0x003F_003F_003F_003F | (bits & 0x0FC0_0FC0_0FC0_0FC0) << 2;
    bits.to_le_bytes()
}

/// The six bytes of eight registers.
#[inline(always)]
fn packed(registers: &[u8; 8]) -> [u8; 6] {
    let bits = u64::from_le_bytes(*registers) & 0x3F3F_3F3F_3F3F_3F3F;
    let bits = bits & 0x003F_003F_003F_003F | (bits & 0x3F00_3F00_3F00_3F00) >> 2;
    let bits = bits & 0x0000_0FFF_0000_0FFF | (bits & 0x0FFF_0000_0FFF_0000) >> 4;
    let bits = bits & 0xFF_FFFF | (bits & 0x00FF_FFFF_0000_0000) >> 8;
    let [a, b, c, d, e, f, ..] = bits.to_le_bytes();
    [a, b, c, d, e, f]
}

/// The higher ones of eight registers, a byte each.
#[inline(always)]
fn highest(registers: [u8; 8], others: [u8; 8]) -> [u8; 8] {
    const TOP_BITS: u64 = 0x8080_8080_8080_8080;
    let [ours, theirs] = [registers, others].map(u64::from_le_bytes);
    // The top bit of a byte stays where ours is not lower.
    let stays = (((ours | TOP_BITS) - theirs) & TOP_BITS) >> 7;
    let ours_mask = stays * 0xFF;
    (ours & ours_mask | theirs & !ours_mask).to_le_bytes()
}

/// Takes the higher of each register and the packed one.
pub(super) fn merge(registers: &mut [u8; REGISTERS], packed: &[u8]) {
    if raw::merge_packed(registers, packed) {
        return;
    }
    let (registers, _) = registers.as_chunks_mut::<8>();
    for (registers, packed) in registers.iter_mut().zip(packed.as_chunks().0) {
        *registers = highest(*registers, unpack(packed));
    }
}

/// Packs registers.
pub(super) fn pack(registers: &[u8; REGISTERS], into: &mut [u8]) {
    if raw::pack(registers, into) {
        return;
    }
    let (registers, _) = registers.as_chunks();
    for (into, registers) in into.as_chunks_mut().0.iter_mut().zip(registers) {
        *into = packed(registers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_registers_are_found_byte_by_byte() {
        for low in 0..64u8 {
            for high in 0..64u8 {
                let ours = [low, high, 0, 63, low, low, high, high];
                let theirs = [high, low, 63, 0, low, high, low, high];
                let expected = std::array::from_fn(|at: usize| ours[at].max(theirs[at]));
                assert_eq!(highest(ours, theirs), expected);
            }
        }
    }
}
