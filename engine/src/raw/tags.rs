//! Comparing sixteen tags at once, with the instructions of x86-64 that have no safe wrapper for a load.

/// Tags compared at once.
pub(crate) const TAGS_AT_ONCE: usize = 16;

/// Which of sixteen tags are `tag`: a bit each, the first lowest.
#[inline(always)]
pub(crate) fn matching_tags(tags: &[u8; TAGS_AT_ONCE], tag: u8) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8,
        };
        // SAFETY: the reference is to sixteen bytes, the load takes any alignment, and SSE2 is part of x86-64.
        unsafe {
            let tags = _mm_loadu_si128(tags.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag as i8))) as u32
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    one_by_one(tags, tag)
}

/// The same without those instructions.
#[cfg_attr(all(target_arch = "x86_64", not(miri), not(test)), expect(dead_code))]
fn one_by_one(tags: &[u8; TAGS_AT_ONCE], tag: u8) -> u32 {
    let tags = tags.iter().enumerate();
    tags.fold(0, |bits, (at, &is)| bits | u32::from(is == tag) << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same_tags() {
        for seed in 0..=255u8 {
            let tags = std::array::from_fn(|at| seed.wrapping_mul(at as u8 / 3));
            for tag in 0..=255 {
                assert_eq!(matching_tags(&tags, tag), one_by_one(&tags, tag));
            }
        }
        assert_eq!(matching_tags(&[7; 16], 7), 0xFFFF);
        let mut tags = [0; 16];
        (tags[0], tags[9]) = (5, 5);
        assert_eq!(matching_tags(&tags, 5), 1 | 1 << 9);
    }
}
