//! A bounded queue between two threads: one sends, one receives, neither waits.
//!
//! ```text
//!  slots   [ null ][ box ][ box ][ box ][ null ][ null ][ null ][ null ]
//!                    ▲ head: known to the receiver alone
//!                                         ▲ tail: known to the sender alone
//! ```
//! A slot is either null (free) or holds a box. The sender fills the slot at its tail if it is null, the receiver empties
//! the slot at its head if it is not; nothing else is shared. Source: FastForward (Giacomoni, Moseley, Vachharajani,
//! PPoPP 2008). Cost: one load and one store of a slot on each side; an empty poll is one load of a line that stays in
//! the receiver's cache.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The slots, and the boxes in them.
struct Slots<T>(Box<[AtomicPtr<T>]>);

// SAFETY: a box in a slot is owned by the queue alone and leaves it on the receiving thread; `T: Send` lets it cross.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: the slots are atomics; each box is taken out by the one receiver only.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        for slot in &mut self.0 {
            let value = *slot.get_mut();
            if !value.is_null() {
                // SAFETY: a pointer in a slot came from `Box::into_raw` and was not taken out.
                drop(unsafe { Box::from_raw(value) });
            }
        }
    }
}

/// The sending end.
pub(in crate::runtime) struct Sender<T> {
    slots: Arc<Slots<T>>,
    tail: usize,
}

/// The receiving end.
pub(in crate::runtime) struct Receiver<T> {
    slots: Arc<Slots<T>>,
    head: usize,
}

/// A queue of at most `capacity` boxes.
///
/// # Panics
/// If `capacity` is not a power of two.
pub(in crate::runtime) fn queue<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity.is_power_of_two(), "positions are masked");
    let slots = (0..capacity)
        .map(|_| AtomicPtr::new(ptr::null_mut()))
        .collect();
    let slots = Arc::new(Slots(slots));
    let sender = Sender {
        slots: Arc::clone(&slots),
        tail: 0,
    };
    (sender, Receiver { slots, head: 0 })
}

impl<T: Send> Sender<T> {
    /// Appends `value`.
    ///
    /// # Errors
    /// `value` itself when the queue is full.
    #[inline]
    pub(in crate::runtime) fn send(&mut self, value: Box<T>) -> Result<(), Box<T>> {
        let slots = &self.slots.0;
        let slot = &slots[self.tail & (slots.len() - 1)];
        // Acquire: the receiver is done with the slot before it is filled anew.
        if !slot.load(Ordering::Acquire).is_null() {
            return Err(value);
        }
        slot.store(Box::into_raw(value), Ordering::Release);
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }
}

impl<T: Send> Sender<T> {
    /// Whether a value would be taken now.
    #[inline]
    pub(in crate::runtime) fn has_room(&self) -> bool {
        let slots = &self.slots.0;
        slots[self.tail & (slots.len() - 1)]
            .load(Ordering::Acquire)
            .is_null()
    }
}

impl<T: Send> Receiver<T> {
    /// The oldest value.
    #[inline]
    pub(in crate::runtime) fn receive(&mut self) -> Option<Box<T>> {
        let slots = &self.slots.0;
        let slot = &slots[self.head & (slots.len() - 1)];
        let value = slot.load(Ordering::Acquire);
        if value.is_null() {
            return None;
        }
        slot.store(ptr::null_mut(), Ordering::Release);
        self.head = self.head.wrapping_add(1);
        // SAFETY: the pointer came from `Box::into_raw` in `send`; the slot was emptied, so it is taken once.
        Some(unsafe { Box::from_raw(value) })
    }

    /// Number of values there are.
    #[inline]
    pub(in crate::runtime) fn waiting(&self) -> usize {
        let slots = &self.slots.0;
        // Relaxed: a value is looked at when it is received.
        let is_filled = |ahead: &usize| {
            let slot = &slots[self.head.wrapping_add(*ahead) & (slots.len() - 1)];
            !slot.load(Ordering::Relaxed).is_null()
        };
        (0..slots.len()).take_while(is_filled).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_in_the_order_sent_and_a_full_queue_gives_them_back() {
        let (mut sender, mut receiver) = queue(4);
        assert!(receiver.waiting() == 0);
        for round in 0..10 {
            for value in 0..4 {
                sender.send(Box::new(round * 4 + value)).unwrap();
            }
            assert_eq!(*sender.send(Box::new(99)).unwrap_err(), 99);
            for value in 0..4 {
                assert!(receiver.waiting() > 0);
                assert_eq!(*receiver.receive().unwrap(), round * 4 + value);
            }
            assert!(receiver.receive().is_none());
        }
    }

    #[test]
    fn what_is_sent_while_values_are_taken_stays_for_the_next_time() {
        let (mut sender, mut receiver) = queue(4);
        for waiting in [0, 1, 3, 4] {
            (0..waiting).for_each(|value| sender.send(Box::new(value)).unwrap());
            for round in 0..10 {
                let taken = (0..receiver.waiting())
                    .map_while(|_| receiver.receive())
                    .take(1000)
                    .inspect(|value| {
                        sender.send(Box::new(**value)).unwrap();
                    });
                assert_eq!(taken.map(|value| *value).sum::<u32>(), (0..waiting).sum());
                assert_eq!(receiver.waiting(), waiting as usize, "round {round}");
            }
            assert_eq!(
                (0..receiver.waiting())
                    .map_while(|_| receiver.receive())
                    .count(),
                waiting as usize
            );
        }
    }

    #[test]
    fn two_threads_pass_everything_once_and_in_order() {
        const COUNT: usize = 200_000;
        let (mut sender, mut receiver) = queue(8);
        let producer = std::thread::spawn(move || {
            for value in 0..COUNT {
                let mut value = Box::new(value);
                while let Err(back) = sender.send(value) {
                    value = back;
                    std::thread::yield_now();
                }
            }
        });
        for expected in 0..COUNT {
            let value = loop {
                match receiver.receive() {
                    Some(value) => break value,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(*value, expected);
        }
        producer.join().unwrap();
        assert!(receiver.waiting() == 0);
    }

    #[test]
    fn what_was_never_received_is_dropped_with_the_queue() {
        struct Counted(Arc<()>);
        let witness = Arc::new(());
        let (mut sender, mut receiver) = queue(4);
        for _ in 0..3 {
            let sent = sender.send(Box::new(Counted(Arc::clone(&witness))));
            assert!(sent.is_ok());
        }
        let first = receiver.receive().unwrap();
        assert_eq!(Arc::strong_count(&first.0), 4);
        drop((sender, receiver, first));
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
