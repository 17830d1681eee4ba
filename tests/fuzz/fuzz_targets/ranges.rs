//! Ranges of ids, scores and names whose ends are arbitrary bytes: all commands that take one understand it alike.

#![no_main]

use larder_tests::ranges::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(why) = check(data) {
        panic!("{why}");
    }
});
