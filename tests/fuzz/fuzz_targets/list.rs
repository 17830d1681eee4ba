//! A large list, a packed run and the lists of a shard against queues: all that changes, reads and moves them, takes changes back,
//! frees in slices, and every invariant.

#![no_main]

use larder_engine::model::{play_list, play_lists, play_packed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&which, steps)) = data.split_first() else { return };
    match which % 4 {
        0 => play_packed(steps),
        1 => play_list(steps),
        _ => play_lists(steps),
    }
});
