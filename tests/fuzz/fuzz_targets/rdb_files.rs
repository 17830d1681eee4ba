//! Files in Redis's RDB format, whole and in pieces: both come to the same, and values end where their frames do.

#![no_main]

use larder_tests::rdb_files;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[cut, piece_bytes, header], file)) = data.split_first_chunk() else { return };
    // So that most inputs are files.
    let headers = [&b"REDIS0003"[..], b"REDIS0010", b"REDIS0013", b"VALKEY080", b""];
    let file = [headers[usize::from(header) % headers.len()], file].concat();
    let sizes = (usize::from(cut) + 1, usize::from(piece_bytes) + 1);
    if let Err(why) = rdb_files::agree(&file, sizes.0, sizes.1) {
        panic!("{why}");
    }
});
