//! Snapshots: all entries as they were at one moment, written to a file in RDB format while commands go on.
//!
//! ```text
//!  a job is claimed ─▶ its file is made ─▶ the cut, at one place in the order of all cores: each begins its part
//!   part    walk the shard, some entries a turn ──▶ chunks ──▶ written where the file has room ──▶ which stretches those were
//!  all parts are over ─▶ header and checksum ─▶ synced ─▶ the file gets its name ─▶ its directory is synced
//! ```
//! [`job`] is what cores share, [`part`] what one of them does. Nothing is forked: an entry that is about to change and has not been
//! written is written then, to a chunk like any other, and so that few are, the walk goes on by [`part::PACE`] entries for each. What a
//! snapshot takes in memory is then the names of one key in that many, the chunks that are on their way to the disk, and the one value
//! that is written over several turns.

pub mod job;
pub mod part;

pub use job::{Claim, Failure, Job, LastSave, Purpose, Snapshots, Uses};
pub use part::{Part, Progress};
