//! Files in Redis's RDB format: what stands in one, and writing one. Bytes come from whoever reads, and go to whoever writes.
//!
//! ```text
//! frames.rs    the bytes of a file, piece by piece ──▶ header, notes, entries, end     check.rs reads a file to its end so
//! walk.rs          where a value ends
//! damage.rs        what is wrong with a file, and where
//! writer.rs    entries ──▶ chunks, in any order ──▶ one file
//! opcodes.rs   what stands between entries, drawn
//! ```
//! A value's own bytes are what `rdb`'s readers and writers have, here as in `DUMP`.

mod check;
mod damage;
mod frames;
mod opcodes;
mod walk;
mod writer;

pub use check::{Check, Found, Keys};
pub use damage::{Damage, ModuleName, Wrong};
pub use frames::{Entry, Frame, Frames, Piece, Trailer};
pub use opcodes::History;
pub use writer::{Chunk, Facts, Header, Sealed, trailer};

#[cfg(test)]
mod tests;
