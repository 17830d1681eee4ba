//! The rules of the order (decision 0017) in dispatch: what cores within a test do when mail, entries and parts reach them
//! one at a time.

#![cfg(test)]

use std::cell::RefCell;
use std::rc::Rc;

use super::testing::Server;
use super::{Batch, Lines};
use crate::routing::CoreId;

/// Lines by which one batch more comes for each that is taken.
struct NeverEmpty {
    waiting: usize,
    taken: Rc<RefCell<usize>>,
}

impl Lines for NeverEmpty {
    fn receive(&mut self, _: CoreId) -> Option<Box<Batch>> {
        *self.taken.borrow_mut() += 1;
        assert!(*self.taken.borrow() < 1000, "a turn does not end");
        Some(Box::default())
    }

    fn waiting(&self, from: CoreId) -> usize {
        self.waiting * usize::from(from == CoreId(1))
    }

    fn has_room(&self, _: CoreId) -> bool {
        true
    }

    fn send(&mut self, _: CoreId, _: Box<Batch>) -> Result<(), Box<Batch>> {
        Ok(())
    }
}

#[test]
fn a_turn_takes_the_mail_there_is_when_it_begins_however_fast_more_comes() {
    let mut server = Server::new(2);
    let taken = Rc::default();
    let lines = NeverEmpty {
        waiting: 3,
        taken: Rc::clone(&taken),
    };
    server.cores[0].connect_lines(Box::new(lines));
    for turn in 1..4 {
        server.cores[0].take_mail();
        assert_eq!(*taken.borrow(), 3 * turn);
        assert!(
            !server.cores[0].fall_asleep(),
            "the next turn follows at once"
        );
    }
}
