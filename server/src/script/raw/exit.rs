//! How a machine is left from inside Lua.

use std::cell::Cell;
use std::ptr::NonNull;

use super::super::vm::Step;

/// Gives the core back, and returns once it has come again.
type Leave<'a> = dyn Fn(Step) + 'a;

/// The way out, which is there while the machine works.
#[derive(Default)]
pub(in crate::script) struct Exit(Cell<Option<NonNull<Leave<'static>>>>);

impl Exit {
    /// Works with `leave` as the exit.
    pub(in crate::script) fn open<R>(&self, leave: &Leave<'_>, work: impl FnOnce() -> R) -> R {
        /// Takes the exit away, on a panic too.
        struct Closes<'a>(&'a Exit);

        impl Drop for Closes<'_> {
            fn drop(&mut self) {
                self.0.0.set(None);
            }
        }

        let leave = NonNull::from(leave);
        // SAFETY: only the lifetime differs. The pointer is taken away before `leave` can go: at the end of this call.
        let leave =
            unsafe { std::mem::transmute::<NonNull<Leave<'_>>, NonNull<Leave<'static>>>(leave) };
        self.0.set(Some(leave));
        let _closes = Closes(self);
        work()
    }

    /// Leaves, and comes back when the script is to go on.
    ///
    /// # Panics
    /// If the machine is not at work.
    pub(in crate::script) fn leave(&self, step: Step) {
        let leave = self.0.get().expect("Lua runs while its machine works");
        // SAFETY: `open` has lent it until it takes it away.
        (unsafe { leave.as_ref() })(step);
    }
}
