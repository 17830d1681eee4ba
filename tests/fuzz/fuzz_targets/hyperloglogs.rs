//! HyperLogLogs that clients have set, of arbitrary bytes: counted or refused, by all commands alike, and nothing panics.

#![no_main]

use larder_tests::hyperloglogs::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(why) = check(data) {
        panic!("{why}");
    }
});
