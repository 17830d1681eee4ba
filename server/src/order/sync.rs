//! The atomics of the order. Models that include these sources bring others: loom's, which reorder what hardware may
//! reorder, and shuttle's, which let any other core go on between two accesses.

pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

pub(super) use crossbeam::utils::CachePadded;
