//! Elements that one command names, brought near some at a time before they are looked for.

use larder_engine::limits::NEAR_AT_ONCE;

/// Whether element number `number` of `count` is the first of several that are brought near together.
#[inline]
pub(super) fn begins_part(number: usize, count: usize) -> bool {
    number.is_multiple_of(NEAR_AT_ONCE) && number + 1 < count
}
