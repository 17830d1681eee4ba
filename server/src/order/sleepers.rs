//! Who sleeps, and so must be woken.
//!
//! A core about to sleep announces it, then looks once more at whatever could keep it awake; another core leaves it
//! something, then looks whether it sleeps. With a full fence between the two steps on both sides, one of them sees the
//! other (Dekker). Waking costs a system call, so only who sleeps is woken, and the first who sees the announcement takes
//! it down.

use super::rules::{Rule, keeps};
use super::sync::{AtomicBool, CachePadded, Ordering, fence};
use crate::routing::CoreId;

/// The announcements of all cores.
#[derive(Debug)]
pub struct Sleepers {
    asleep: Box<[CachePadded<AtomicBool>]>,
}

impl Sleepers {
    /// Those of `cores` cores, all awake.
    #[must_use]
    pub fn new(cores: u16) -> Self {
        let awake = || CachePadded::new(AtomicBool::new(false));
        Self {
            asleep: (0..cores).map(|_| awake()).collect(),
        }
    }

    /// `core` is about to sleep. Whatever could keep it awake it looks at *behind* this.
    pub fn announce(&self, core: CoreId) {
        self.asleep[core.index()].store(true, Ordering::Relaxed);
        if keeps(Rule::FenceBeforeLook) {
            fence(Ordering::SeqCst);
        }
    }

    /// `core` is awake.
    pub fn withdraw(&self, core: CoreId) {
        self.asleep[core.index()].store(false, Ordering::Relaxed);
    }

    /// Between leaving something to cores and [`rouse`](Self::rouse): once for all of them.
    pub fn before_rousing() {
        if keeps(Rule::FenceBeforeLook) {
            fence(Ordering::SeqCst);
        }
    }

    /// Whether `core` sleeps and is the caller's to wake.
    #[must_use]
    pub fn rouse(&self, core: CoreId) -> bool {
        let asleep = &self.asleep[core.index()];
        asleep.load(Ordering::Relaxed) && asleep.swap(false, Ordering::Relaxed)
    }
}
