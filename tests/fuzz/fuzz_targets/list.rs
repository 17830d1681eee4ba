//! A large list and a packed run against queues: all that changes, reads and moves them, freeing in slices, and every invariant.

#![no_main]

use larder_engine::model::{play_list, play_packed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&which, steps)) = data.split_first() else { return };
    if which.is_multiple_of(4) { play_packed(steps) } else { play_list(steps) }
});
