//! Registers of six bits, four in three bytes, taken to registers of a byte and back, and weighed: 32 at once with the instructions of
//! AVX2, or 64 with those of AVX-512, which not every x86-64 has, so that it is asked.
//!
//! ```text
//!  three bytes        |bbaaaaaa|ccccbbbb|ddddddcc|           of each four registers
//!  a number of four   |00aaaaaa|00bbbbbb|00cccccc|00dddddd|   each register moves up by two bits more than the one before
//! ```
//! AVX2 moves numbers of 16 bits by different distances when they are multiplied: by a power of two upwards, and downwards by taking the
//! upper half of the product. So `a` and `c` are put where they move down, `b` and `d` where they move up. (As Wojciech Muła and Daniel Lemire
//! do it for base64: "Faster Base64 Encoding and Decoding Using AVX2 Instructions", arXiv:1704.00605.) AVX-512 has an instruction that
//! takes eight bits from anywhere in a number of 64.

use std::sync::atomic::{AtomicBool, Ordering};

/// Registers of the larger group that is taken at once.
const GROUP_REGISTERS: usize = 64;
/// The bytes in which they are packed.
const GROUP_PACKED: usize = 48;

/// The highest register that [`weigh`] weighs.
pub(crate) const WEIGHED_MAX: u32 = 39;

/// Registers by what they weigh in an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weighed {
    /// How many are zero.
    pub(crate) zeros: u32,
    /// What the others weigh together: one that is r weighs 2^([`WEIGHED_MAX`] − r).
    pub(crate) weight: u64,
}

static MAY_USE_VECTORS: AtomicBool = AtomicBool::new(true);

/// Says whether these instructions may be used where the machine has them: `PFDEBUG SIMD`.
pub(crate) fn allow_vectors(allowed: bool) {
    MAY_USE_VECTORS.store(allowed, Ordering::Relaxed);
}

/// Whether they are used.
pub(crate) fn uses_vectors() -> bool {
    vectors() != Vectors::None
}

/// Which instructions are used. Those of AVX-512 take twice as many registers at once, and have what unpacks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(all(target_arch = "x86_64", not(miri))), expect(dead_code))]
enum Vectors {
    None,
    Avx2,
    Avx512,
}

fn vectors() -> Vectors {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if MAY_USE_VECTORS.load(Ordering::Relaxed) && is_x86_feature_detected!("avx2") {
        let has_more =
            is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi");
        return match has_more {
            true => Vectors::Avx512,
            false => Vectors::Avx2,
        };
    }
    Vectors::None
}

/// Takes the higher of each register and the packed one, if the machine can take many at once; whether it has.
pub(crate) fn merge_packed(registers: &mut [u8], packed: &[u8]) -> bool {
    assert_whole(registers, packed);
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    match vectors() {
        // SAFETY: the machine has AVX-512 with bytes and their permutations.
        Vectors::Avx512 => unsafe { avx512::merge_packed(registers, packed) },
        // SAFETY: the machine has AVX2.
        Vectors::Avx2 => unsafe { avx2::merge_packed(registers, packed) },
        Vectors::None => return false,
    }
    cfg!(all(target_arch = "x86_64", not(miri)))
}

/// Packs registers, which have six bits, if the machine can take many at once; whether it has.
pub(crate) fn pack(registers: &[u8], packed: &mut [u8]) -> bool {
    assert_whole(registers, packed);
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    match vectors() {
        // SAFETY: the machine has AVX-512 with bytes and their permutations.
        Vectors::Avx512 => unsafe { avx512::pack(registers, packed) },
        // SAFETY: the machine has AVX2.
        Vectors::Avx2 => unsafe { avx2::pack(registers, packed) },
        Vectors::None => return false,
    }
    cfg!(all(target_arch = "x86_64", not(miri)))
}

/// So many registers as are packed, in whole groups of either kind.
fn assert_whole(registers: &[u8], packed: &[u8]) {
    let groups = registers.len() / GROUP_REGISTERS;
    assert_eq!(registers.len() % GROUP_REGISTERS, 0);
    assert_eq!(groups * GROUP_PACKED, packed.len());
}

/// Weighs registers, which have six bits, if none is above [`WEIGHED_MAX`] and the machine can take them all at once.
#[cfg_attr(not(all(target_arch = "x86_64", not(miri))), expect(unused_variables))]
pub(crate) fn weigh(registers: &[u8]) -> Option<Weighed> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if uses_vectors() {
        // SAFETY: the machine has AVX2.
        return unsafe { avx2::weigh(registers) };
    }
    None
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_loadu_si128, _mm_storel_epi64, _mm_storeu_si128, _mm256_add_epi64,
        _mm256_adds_epu8, _mm256_and_si256, _mm256_castsi256_si128, _mm256_cmpeq_epi8,
        _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
        _mm256_max_epu8, _mm256_mulhrs_epi16, _mm256_mullo_epi16, _mm256_or_si256,
        _mm256_permutevar8x32_epi32, _mm256_sad_epu8, _mm256_set_m128i, _mm256_set1_epi8,
        _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32,
        _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_storeu_si256, _mm256_sub_epi8,
        _mm256_xor_si256,
    };
    use std::hint::black_box;

    use super::{WEIGHED_MAX, Weighed};

    /// Registers of a group, which are taken at once.
    const REGISTERS_AT_ONCE: usize = 32;
    /// The bytes in which they are packed.
    const PACKED_AT_ONCE: usize = 24;

    /// The same sixteen bytes in both halves.
    #[target_feature(enable = "avx2")]
    fn both_halves(bytes: [i8; 16]) -> __m256i {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        _mm256_setr_epi8(
            a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, //
            a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p,
        )
    }

    /// What groups are unpacked with: in 16 bits each, `a` and `c`, which move down, and `b` and `d`, which move up.
    struct Unpacking {
        down: Moved,
        up: Moved,
    }

    /// An order of bytes, which of their bits count, and what they are multiplied by.
    struct Moved {
        order: __m256i,
        mask: __m256i,
        factors: __m256i,
    }

    impl Unpacking {
        #[target_feature(enable = "avx2")]
        fn new() -> Self {
            // The first half holds the group's bytes from the first on, the second one those from the ninth on, of which four are the first's.
            let down = _mm256_setr_epi8(
                -1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, //
                -1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15,
            );
            let up = _mm256_setr_epi8(
                0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, //
                4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1,
            );
            Self {
                // Of the product the upper bits are taken, from the fifteenth on.
                down: Moved {
                    order: down,
                    mask: _mm256_set1_epi32(0x03F0_3F00),
                    factors: _mm256_set1_epi32(1 << (16 + 15 - 4) | 1 << (15 - 8)),
                },
                // A compiler that knows what is multiplied by makes shifts of it, three instructions for one.
                up: Moved {
                    order: up,
                    mask: _mm256_set1_epi32(0x00FC_0FC0),
                    factors: black_box(_mm256_set1_epi32(1 << (16 + 6) | 1 << 2)),
                },
            }
        }

        /// The registers of a group, a byte each.
        #[target_feature(enable = "avx2")]
        fn unpack(&self, packed: &[u8; PACKED_AT_ONCE]) -> __m256i {
            // SAFETY: sixteen bytes from the first and from the ninth on are within the 24; these loads take any alignment.
            let halves = unsafe {
                _mm256_set_m128i(
                    _mm_loadu_si128(packed[8..].as_ptr().cast()),
                    _mm_loadu_si128(packed.as_ptr().cast()),
                )
            };
            let Self { down, up } = self;
            let low = _mm256_and_si256(_mm256_shuffle_epi8(halves, down.order), down.mask);
            let high = _mm256_and_si256(_mm256_shuffle_epi8(halves, up.order), up.mask);
            _mm256_or_si256(
                _mm256_mulhrs_epi16(low, down.factors),
                _mm256_mullo_epi16(high, up.factors),
            )
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn merge_packed(registers: &mut [u8], packed: &[u8]) {
        let unpacking = Unpacking::new();
        let (registers, _) = registers.as_chunks_mut::<REGISTERS_AT_ONCE>();
        let (packed, _) = packed.as_chunks::<PACKED_AT_ONCE>();
        for (registers, packed) in registers.iter_mut().zip(packed) {
            let others = unpacking.unpack(packed);
            let at: *mut __m256i = registers.as_mut_ptr().cast();
            // SAFETY: there are 32 bytes; load and store take any alignment.
            unsafe {
                let highest = _mm256_max_epu8(_mm256_loadu_si256(at), others);
                _mm256_storeu_si256(at, highest);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn pack(registers: &[u8], packed: &mut [u8]) {
        let threes = both_halves([0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1]);
        let together = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
        let (registers, _) = registers.as_chunks::<REGISTERS_AT_ONCE>();
        let (packed, _) = packed.as_chunks_mut::<PACKED_AT_ONCE>();
        for (registers, packed) in registers.iter().zip(packed) {
            // SAFETY: there are 32 bytes; the load takes any alignment.
            let fours = unsafe { _mm256_loadu_si256(registers.as_ptr().cast()) };
            // a + 64 b and c + 64 d, then the first + 4096 of the second.
            let twos = _mm256_maddubs_epi16(fours, _mm256_set1_epi16(64 << 8 | 1));
            let fours = _mm256_madd_epi16(twos, _mm256_set1_epi32(4096 << 16 | 1));
            let halves = _mm256_shuffle_epi8(fours, threes);
            let whole = _mm256_permutevar8x32_epi32(halves, together);
            // SAFETY: sixteen bytes from the first on and eight from the seventeenth on are within the 24; these stores take any alignment.
            unsafe {
                let (first, rest) = packed.split_at_mut(16);
                _mm_storeu_si128(first.as_mut_ptr().cast(), _mm256_castsi256_si128(whole));
                let last = _mm256_extracti128_si256::<1>(whole);
                _mm_storel_epi64(rest.as_mut_ptr().cast(), last);
            }
        }
    }

    /// Registers whose weights are added up together: their weights, from 128 down to 1, have a byte.
    const CLASS_REGISTERS: u32 = 8;
    /// Classes of the registers that are weighed.
    const CLASSES: usize = ((WEIGHED_MAX + 1) / CLASS_REGISTERS) as usize;

    /// The sum of four numbers.
    #[target_feature(enable = "avx2")]
    fn sum(four: __m256i) -> u64 {
        let mut numbers = [0u64; 4];
        // SAFETY: there are 32 bytes; the store takes any alignment.
        unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast(), four) };
        numbers.iter().sum()
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn weigh(registers: &[u8]) -> Option<Weighed> {
        /// Vectors after which a byte of each may have been counted as often as it can be.
        const COUNTED_MAX: usize = 255;
        // By the lower four bits of a register; one that is zero has no weight.
        let weights = [-128, 64, 32, 16, 8, 4, 2, 1];
        let [a, b, c, d, e, f, g, h] = weights;
        let lower = both_halves([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]);
        let upper = both_halves([0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, e, f, g, h]);
        let first = both_halves([0, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]);
        // With it what is below sixteen has its highest bit clear and its lower four as they are; all else has it set, and finds nothing.
        let below_16 = _mm256_set1_epi8(0x70);
        let nothing = _mm256_setzero_si256();
        let mut sums = [nothing; CLASSES];
        let (mut zeros, mut highest) = (nothing, nothing);
        let (vectors, rest) = registers.as_chunks::<REGISTERS_AT_ONCE>();
        if !rest.is_empty() {
            return None;
        }
        for vectors in vectors.chunks(COUNTED_MAX) {
            let mut counted = nothing;
            for vector in vectors {
                // SAFETY: there are 32 bytes; the load takes any alignment.
                let registers = unsafe { _mm256_loadu_si256(vector.as_ptr().cast()) };
                highest = _mm256_max_epu8(highest, registers);
                counted = _mm256_sub_epi8(counted, _mm256_cmpeq_epi8(registers, nothing));
                let from_16 = _mm256_xor_si256(registers, _mm256_set1_epi8(16));
                let from_32 = _mm256_xor_si256(registers, _mm256_set1_epi8(32));
                let to_16 = _mm256_adds_epu8(registers, below_16);
                let to_32 = _mm256_adds_epu8(from_16, below_16);
                let to_48 = _mm256_adds_epu8(from_32, below_16);
                let found = [
                    _mm256_shuffle_epi8(first, to_16),
                    _mm256_shuffle_epi8(upper, to_16),
                    _mm256_shuffle_epi8(lower, to_32),
                    _mm256_shuffle_epi8(upper, to_32),
                    _mm256_shuffle_epi8(lower, to_48),
                ];
                for (sum, found) in sums.iter_mut().zip(found) {
                    *sum = _mm256_add_epi64(*sum, _mm256_sad_epu8(found, nothing));
                }
            }
            zeros = _mm256_add_epi64(zeros, _mm256_sad_epu8(counted, nothing));
        }
        let mut bytes = [0u8; REGISTERS_AT_ONCE];
        // SAFETY: there are 32 bytes; the store takes any alignment.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), highest) };
        if bytes
            .iter()
            .any(|&register| u32::from(register) > WEIGHED_MAX)
        {
            return None;
        }
        let weight = sums.iter().rev().zip(0..).map(|(class, number)| {
            // Of the last class the weights are what they are to be.
            sum(*class) << (number * CLASS_REGISTERS)
        });
        Some(Weighed {
            zeros: sum(zeros) as u32,
            weight: weight.sum(),
        })
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, __mmask64, _mm512_and_si512, _mm512_loadu_epi8, _mm512_madd_epi16,
        _mm512_maddubs_epi16, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_max_epu8,
        _mm512_multishift_epi64_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi16,
        _mm512_set1_epi32, _mm512_set1_epi64, _mm512_storeu_epi8,
    };

    use super::{GROUP_PACKED, GROUP_REGISTERS};

    /// The packed bytes of a group.
    const PACKED: __mmask64 = (1 << GROUP_PACKED) - 1;

    /// The six bytes of eight registers in a number of 64 bits each, of which two bytes are whatever they are.
    static SPREAD: [u8; GROUP_REGISTERS] = places(8, 6);
    /// The three bytes of four registers, from a number of 32 bits, behind those of the four before.
    static GATHER: [u8; GROUP_REGISTERS] = places(3, 4);

    /// What comes to each place: `from` bytes on for every `to` places, the next ones in between.
    const fn places(to: usize, from: usize) -> [u8; GROUP_REGISTERS] {
        let mut places = [0; GROUP_REGISTERS];
        let mut at = 0;
        while at < places.len() {
            places[at] = ((at / to * from + at % to) % GROUP_REGISTERS) as u8;
            at += 1;
        }
        places
    }

    #[target_feature(enable = "avx512bw,avx512vbmi")]
    fn order(places: &[u8; GROUP_REGISTERS]) -> __m512i {
        // SAFETY: there are 64 bytes; the load takes any alignment.
        unsafe { _mm512_loadu_epi8(places.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512bw,avx512vbmi")]
    pub(super) fn merge_packed(registers: &mut [u8], packed: &[u8]) {
        let spread = order(&SPREAD);
        // Eight bits from the first on, from the seventh on, and so forth.
        let starts = _mm512_set1_epi64(0x2A24_1E18_120C_0600);
        let (registers, _) = registers.as_chunks_mut::<GROUP_REGISTERS>();
        let (packed, _) = packed.as_chunks::<GROUP_PACKED>();
        for (registers, packed) in registers.iter_mut().zip(packed) {
            // SAFETY: of 64 bytes the 48 that there are are loaded, at any alignment.
            let sixes = unsafe { _mm512_maskz_loadu_epi8(PACKED, packed.as_ptr().cast()) };
            let eights = _mm512_permutexvar_epi8(spread, sixes);
            let others = _mm512_multishift_epi64_epi8(starts, eights);
            let others = _mm512_and_si512(others, _mm512_set1_epi8(0x3F));
            let at: *mut i8 = registers.as_mut_ptr().cast();
            // SAFETY: there are 64 bytes; load and store take any alignment.
            unsafe {
                let highest = _mm512_max_epu8(_mm512_loadu_epi8(at), others);
                _mm512_storeu_epi8(at, highest);
            }
        }
    }

    #[target_feature(enable = "avx512bw,avx512vbmi")]
    pub(super) fn pack(registers: &[u8], packed: &mut [u8]) {
        let gather = order(&GATHER);
        let (registers, _) = registers.as_chunks::<GROUP_REGISTERS>();
        let (packed, _) = packed.as_chunks_mut::<GROUP_PACKED>();
        for (registers, packed) in registers.iter().zip(packed) {
            // SAFETY: there are 64 bytes; the load takes any alignment.
            let fours = unsafe { _mm512_loadu_epi8(registers.as_ptr().cast()) };
            // As with AVX2.
            let twos = _mm512_maddubs_epi16(fours, _mm512_set1_epi16(64 << 8 | 1));
            let fours = _mm512_madd_epi16(twos, _mm512_set1_epi32(4096 << 16 | 1));
            let threes = _mm512_permutexvar_epi8(gather, fours);
            // SAFETY: of 64 bytes the 48 that there are are stored, at any alignment.
            unsafe { _mm512_mask_storeu_epi8(packed.as_mut_ptr().cast(), PACKED, threes) };
        }
    }
}

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests {
    use super::*;

    const REGISTERS: usize = 4 * GROUP_REGISTERS;
    const PACKED: usize = 4 * GROUP_PACKED;

    /// Numbers of six bits that look random.
    fn numbers<const N: usize>(seed: u64) -> [u8; N] {
        let mut state = seed;
        std::array::from_fn(|_| {
            state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            (state >> 58) as u8
        })
    }

    fn pack_one_by_one(registers: &[u8; REGISTERS]) -> [u8; PACKED] {
        let mut packed = [0; PACKED];
        for (at, register) in registers.iter().enumerate() {
            for bit in (0..6).filter(|bit| register >> bit & 1 == 1) {
                packed[(6 * at + bit) / 8] |= 1 << ((6 * at + bit) % 8);
            }
        }
        packed
    }

    #[test]
    fn all_instructions_pack_and_merge_as_bit_by_bit() {
        for seed in 1..50 {
            let (ours, theirs): ([u8; REGISTERS], [u8; REGISTERS]) =
                (numbers(seed), numbers(seed + 1000));
            let packed = pack_one_by_one(&theirs);
            let highest: [u8; REGISTERS] = std::array::from_fn(|at| ours[at].max(theirs[at]));
            if is_x86_feature_detected!("avx2") {
                let (mut merged, mut again) = (ours, [0xFF; PACKED]);
                // SAFETY: the machine has these instructions.
                unsafe {
                    avx2::merge_packed(&mut merged, &packed);
                    avx2::pack(&theirs, &mut again);
                }
                assert_eq!((merged, again), (highest, packed));
            }
            if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi") {
                let (mut merged, mut again) = (ours, [0xFF; PACKED]);
                // SAFETY: the machine has these instructions.
                unsafe {
                    avx512::merge_packed(&mut merged, &packed);
                    avx512::pack(&theirs, &mut again);
                }
                assert_eq!((merged, again), (highest, packed));
            }
        }
    }
}
