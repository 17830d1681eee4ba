//! Data outside of memory.
//!
//! ```text
//! values/     a value of the shard ◀─▶ its bytes, in steps
//! snapshot/   all entries as of one moment ──▶ a file
//! load/       a file ──▶ the shards of all cores
//! files.rs    what is asked of the file system
//! ```

pub mod files;
pub mod load;
pub mod snapshot;
pub mod values;
