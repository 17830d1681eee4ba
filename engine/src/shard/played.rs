//! What the models of a shard's collections share: a shard whose records are replayed alone, and how steps are played on it.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Shard, ShardOptions};
use crate::journal::Record;
use crate::{KeyHasher, UnixMillis};

/// How keys and names are hashed in it.
pub(super) fn hasher() -> KeyHasher {
    KeyHasher::with_seeds([1, 2, 3, 4])
}

/// A shard, and what `replay` makes of its records alone.
pub(super) fn shard<T: Default + 'static>(
    replay: fn(&mut T, &Record<'_>),
) -> (Shard, Rc<RefCell<T>>) {
    let options = ShardOptions {
        databases: 1,
        memory_ceiling_bytes: 1 << 30,
        hasher: hasher(),
    };
    let mut shard = Shard::new(&options).expect("address space");
    shard.set_now(UnixMillis(1000));
    let told = Rc::new(RefCell::new(T::default()));
    let replayed = Rc::clone(&told);
    let subscriber = move |record: &Record<'_>| replay(&mut replayed.borrow_mut(), record);
    shard.journal().subscribe(Box::new(subscriber));
    (shard, told)
}

/// Steps that are done to a shard and to a model of it.
pub(super) trait Play {
    /// Does one; whether there was one.
    fn step(&mut self) -> bool;
    /// Looks at everything.
    fn compare(&mut self);
}

/// Plays at most `most` steps, with a look at everything after each `interval` of them and at the end.
pub(super) fn drive(play: &mut impl Play, most: usize, interval: usize) {
    let mut step = 0;
    while step < most && play.step() {
        step += 1;
        if step.is_multiple_of(interval) {
            play.compare();
        }
    }
    play.compare();
}
