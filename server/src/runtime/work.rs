//! Work outstanding on glommio: while there is some, an idle core waits through glommio's reactor, not in its own ring.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static OUTSTANDING: Cell<u32> = const { Cell::new(0) };
}

/// Held by a background task of a core across every await on glommio's timers, channels or files. Without one, glommio's
/// reactor does not run while the core is idle, and the await may last for ever. A task that is spawned takes it along:
/// it is made before the spawn, or the task does not even begin while the core is idle.
#[derive(Debug)]
pub struct GlommioWork {
    /// It counts for the thread that made it.
    on_this_thread: PhantomData<*const ()>,
}

impl GlommioWork {
    /// Work begins on this core.
    #[expect(clippy::new_without_default, reason = "making one has an effect")]
    pub fn new() -> Self {
        OUTSTANDING.with(|count| count.set(count.get() + 1));
        Self {
            on_this_thread: PhantomData,
        }
    }

    /// Whether this thread's core has work outstanding.
    #[inline]
    pub(super) fn is_outstanding() -> bool {
        OUTSTANDING.with(|count| count.get() > 0)
    }
}

impl Drop for GlommioWork {
    fn drop(&mut self) {
        OUTSTANDING.with(|count| count.set(count.get() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_outstanding_until_the_last_guard_is_dropped() {
        assert!(!GlommioWork::is_outstanding());
        let first = GlommioWork::new();
        let second = GlommioWork::new();
        drop(first);
        assert!(GlommioWork::is_outstanding());
        drop(second);
        assert!(!GlommioWork::is_outstanding());
    }
}
