//! Sets of a shard, packed and large, against a model: changes, memory that runs out, undo, what is gathered, and what records say.

#![no_main]

use larder_engine::model::play_sets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| play_sets(data));
