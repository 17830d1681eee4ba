//! A large sorted set, a run of members and the sorted sets of a shard against maps: all that changes, reads and moves them, takes changes
//! back, frees in slices, and every invariant.

#![no_main]

use larder_engine::model::{play_run, play_sorted, play_sorted_sets};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&which, steps)) = data.split_first() else { return };
    match which % 4 {
        0 => play_run(steps),
        1 => play_sorted(steps),
        _ => play_sorted_sets(steps),
    }
});
