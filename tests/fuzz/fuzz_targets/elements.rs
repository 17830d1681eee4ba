//! A large collection's elements against a map: all that changes, scans and moves them, freeing in slices, and every invariant.

#![no_main]

use larder_engine::model::play_spiral;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| play_spiral(data));
