//! Data outside of memory.
//!
//! ```text
//! values/     a value of the shard ◀─▶ its bytes, in steps
//! ```

pub mod values;
