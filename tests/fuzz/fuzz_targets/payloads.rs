//! Values in Redis's RDB format: damaged ones are refused, and what is accepted reads the same when it was written again, and when
//! a server has restored it.

#![no_main]

use larder_server::rdb::Version;
use larder_tests::payloads::damage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&version, value)) = data.split_first() else { return };
    let version = Version([6, 10, 13, 80][usize::from(version) % 4]);
    if let Err(why) = damage::check(version, value) {
        panic!("{why}");
    }
    if let Err(why) = damage::check_restored(version, value) {
        panic!("{why}");
    }
});
