//! The only part of the engine with `unsafe` code: memory from the system and instructions without a safe wrapper.
//!
//! Everything here is safe to call: an accessor checks what it is given against what is mapped, so that a wrong
//! [`Block`] reads wrong bytes, or panics, but never leaves the arena. `system` has two implementations: mappings of the
//! kernel, and under miri plain zeroed allocations, so that miri runs everything above it.

#![allow(unsafe_code)]

mod arena;
mod buffer;
mod classes;
mod extent;
mod prefetch;
mod registers;
mod span;
#[cfg_attr(not(miri), path = "system.rs")]
#[cfg_attr(miri, path = "system_miri.rs")]
mod system;
mod tags;

#[cfg(test)]
pub(crate) use arena::FREE_MARK;
use arena::SLAB_BYTES;
pub(crate) use arena::{Arena, Block, EMPTIED_MAX_EIGHTHS, IdleBound, NthBlock};
pub use buffer::Buffer;
pub(crate) use extent::{ExtentId, Extents};
pub(crate) use prefetch::{LINE_BYTES, prefetch_read};
pub(crate) use registers::{
    WEIGHED_MAX, Weighed, allow_vectors, merge_packed, pack, uses_vectors, weigh,
};
pub(crate) use tags::{TAGS_AT_ONCE, matching_tags};

/// Bytes of a page, the unit in which the system takes memory back.
pub(crate) const PAGE_BYTES: usize = 4096;
