//! Registers of six bits, four in three bytes, taken to registers of a byte and back: 32 at once with the instructions of AVX2, which not
//! every x86-64 has, so that it is asked.
//!
//! ```text
//!  three bytes        |bbaaaaaa|ccccbbbb|ddddddcc|           of each four registers
//!  a number of four   |00aaaaaa|00bbbbbb|00cccccc|00dddddd|   each register moves up by two bits more than the one before
//! ```

use std::sync::atomic::{AtomicBool, Ordering};

/// Registers taken at once.
pub(crate) const REGISTERS_AT_ONCE: usize = 32;
/// The bytes in which they are packed.
pub(crate) const PACKED_AT_ONCE: usize = 24;
/// Bytes behind them that are looked at, or written, too.
const BYTES_BEHIND: usize = 4;

static MAY_USE_VECTORS: AtomicBool = AtomicBool::new(true);

/// Says whether these instructions may be used where the machine has them: `PFDEBUG SIMD`.
pub(crate) fn allow_vectors(allowed: bool) {
    MAY_USE_VECTORS.store(allowed, Ordering::Relaxed);
}

/// Whether they are used.
pub(crate) fn uses_vectors() -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    let has_them = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let has_them = false;
    has_them && MAY_USE_VECTORS.load(Ordering::Relaxed)
}

/// Takes the higher of each register and the packed one, from the first on as far as it can; how many registers it has taken.
#[cfg_attr(not(all(target_arch = "x86_64", not(miri))), expect(unused_variables))]
pub(crate) fn merge_packed(registers: &mut [u8], packed: &[u8]) -> usize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if uses_vectors() {
        // SAFETY: the machine has AVX2.
        return unsafe { avx2::merge_packed(registers, packed) };
    }
    0
}

/// Packs registers from the first on as far as it can; how many it has packed.
#[cfg_attr(not(all(target_arch = "x86_64", not(miri))), expect(unused_variables))]
pub(crate) fn pack(registers: &[u8], packed: &mut [u8]) -> usize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if uses_vectors() {
        // SAFETY: the machine has AVX2.
        return unsafe { avx2::pack(registers, packed) };
    }
    0
}

/// How many groups there are of which the bytes behind are within `packed`, too.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn whole_groups(registers: usize, packed: usize) -> usize {
    let reaching = packed.saturating_sub(BYTES_BEHIND) / PACKED_AT_ONCE;
    reaching.min(registers / REGISTERS_AT_ONCE)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_and_si256, _mm256_castsi256_si128,
        _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_max_epu8, _mm256_or_si256,
        _mm256_set_m128i, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_shuffle_epi8,
        _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256,
    };

    use super::{BYTES_BEHIND, PACKED_AT_ONCE, REGISTERS_AT_ONCE, whole_groups};

    /// Where the second half of a group's packed bytes begins.
    const HALF: usize = PACKED_AT_ONCE / 2;
    /// What is looked at of a group's packed bytes.
    const REACH: usize = PACKED_AT_ONCE + BYTES_BEHIND;

    #[target_feature(enable = "avx2")]
    pub(super) fn merge_packed(registers: &mut [u8], packed: &[u8]) -> usize {
        let spread = _mm256_setr_epi8(
            0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, //
            0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,
        );
        let groups = whole_groups(registers.len(), packed.len());
        for group in 0..groups {
            let packed = &packed[group * PACKED_AT_ONCE..][..REACH];
            let registers = &mut registers[group * REGISTERS_AT_ONCE..][..REGISTERS_AT_ONCE];
            // SAFETY: sixteen bytes from the first and from the thirteenth on are within the 28; these loads take any alignment.
            let halves = unsafe {
                _mm256_set_m128i(
                    _mm_loadu_si128(packed[HALF..].as_ptr().cast()),
                    _mm_loadu_si128(packed.as_ptr().cast()),
                )
            };
            let fours = _mm256_shuffle_epi8(halves, spread);
            let nth = |mask| _mm256_and_si256(fours, _mm256_set1_epi32(mask));
            let low = _mm256_or_si256(nth(0x3F), _mm256_slli_epi32::<2>(nth(0xFC0)));
            let high = _mm256_or_si256(
                _mm256_slli_epi32::<4>(nth(0x3_F000)),
                _mm256_slli_epi32::<6>(nth(0xFC_0000)),
            );
            let other = _mm256_or_si256(low, high);
            let at: *mut __m256i = registers.as_mut_ptr().cast();
            // SAFETY: there are 32 bytes; load and store take any alignment.
            unsafe {
                let highest = _mm256_max_epu8(_mm256_loadu_si256(at), other);
                _mm256_storeu_si256(at, highest);
            }
        }
        groups * REGISTERS_AT_ONCE
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn pack(registers: &[u8], packed: &mut [u8]) -> usize {
        let gather = _mm256_setr_epi8(
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, //
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
        );
        let groups = whole_groups(registers.len(), packed.len());
        for group in 0..groups {
            let packed = &mut packed[group * PACKED_AT_ONCE..][..REACH];
            let registers = &registers[group * REGISTERS_AT_ONCE..][..REGISTERS_AT_ONCE];
            // SAFETY: there are 32 bytes; the load takes any alignment.
            let fours = unsafe { _mm256_loadu_si256(registers.as_ptr().cast()) };
            let nth = |mask| _mm256_and_si256(fours, _mm256_set1_epi32(mask));
            let low = _mm256_or_si256(nth(0x3F), _mm256_srli_epi32::<2>(nth(0x3F00)));
            let high = _mm256_or_si256(
                _mm256_srli_epi32::<4>(nth(0x3F_0000)),
                _mm256_srli_epi32::<6>(nth(0x3F00_0000)),
            );
            let halves = _mm256_shuffle_epi8(_mm256_or_si256(low, high), gather);
            // SAFETY: sixteen bytes from the first and from the thirteenth on are within the 28; these stores take any alignment.
            // The next group, or whoever packs the rest, writes over the four behind.
            unsafe {
                let first = packed.as_mut_ptr();
                _mm_storeu_si128(first.cast(), _mm256_castsi256_si128(halves));
                let second = packed[HALF..].as_mut_ptr();
                _mm_storeu_si128(second.cast(), _mm256_extracti128_si256::<1>(halves));
            }
        }
        groups * REGISTERS_AT_ONCE
    }
}
