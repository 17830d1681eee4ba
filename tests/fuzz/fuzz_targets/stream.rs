//! A stream against ordered maps: all that changes, reads and moves it, takes changes back, sends it in parts, and every invariant.

#![no_main]

use larder_engine::model::play_stream;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| play_stream(data));
