//! The entries of a database against a map: short strings in nodes and items, with deadlines, scans, looks at what has ended, moves, and
//! memory that runs out.

#![no_main]

use larder_engine::model::play_keyspace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| play_keyspace(data));
