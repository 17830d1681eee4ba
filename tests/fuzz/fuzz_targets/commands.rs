//! Dialogues of several clients against the naive model of the keyspace, on 1, 2 and 4 cores.

#![no_main]

use larder_tests::model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&cores, dialogue)) = data.split_first() else { return };
    let cores = [1, 2, 4][usize::from(cores) % 3];
    if let Err(difference) = model::check(dialogue, cores) {
        panic!("{difference}");
    }
});
