//! Hashes of a shard, packed and large, against a model: changes, deadlines, memory that runs out, undo, and what records say.

#![no_main]

use larder_engine::model::play_hashes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| play_hashes(data));
