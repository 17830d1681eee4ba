//! The order of transactions: appending, catching up, a whole transaction on two cores, and what a turn pays for none.

use std::collections::VecDeque;
use std::hint::black_box;

use larder_server::order::ring::SLOTS;
use larder_server::order::word::Named;
use larder_server::order::{
    Coordinator, Cursor, EntryAt, Follower, Parcel, Position, Post, Ring, Station,
};
use larder_server::routing::CoreId;

/// Parts, as short as they can be.
type Parts = Vec<u32>;
type Mail = u32;

/// A core without a shard: it counts what it is given to run.
#[derive(Default)]
pub struct Desk {
    inbox: VecDeque<Parcel<Mail, Parts>>,
    shipped: Vec<Parcel<Mail, Parts>>,
    /// What it has run.
    pub ran: usize,
}

impl Station<Mail, Parts> for Desk {
    #[inline]
    fn receive(&mut self, _from: CoreId) -> Option<Parcel<Mail, Parts>> {
        self.inbox.pop_front()
    }

    #[inline]
    fn run_mail(&mut self, _from: CoreId, mail: Mail) {
        self.ran += mail as usize;
    }

    #[inline]
    fn run_parts(&mut self, _at: EntryAt, parts: Parts) {
        self.ran += parts.len();
    }

    #[inline]
    fn time_is(&mut self, ms: u64) {
        black_box(ms);
    }
}

impl Post<Parts> for Desk {
    #[inline]
    fn has_room(&self, _to: CoreId) -> bool {
        true
    }

    #[inline]
    fn ship(&mut self, _to: CoreId, stamp: Position, parts: Parts) {
        self.shipped.push(Parcel {
            stamp,
            mail: 0,
            parts: Some(parts),
        });
    }

    #[inline]
    fn rouse(&mut self, core: CoreId) {
        black_box(core);
    }
}

/// A core's place in the order, and the rest of it.
pub struct Core {
    follower: Follower<Mail, Parts>,
    coordinator: Coordinator<Parts>,
    desk: Desk,
}

/// The two cores of an order in which nothing has happened, with room for `count` parcels.
pub fn two_cores(count: usize) -> [Core; 2] {
    let ring = Ring::<SLOTS>::new(2, 0);
    [0, 1].map(|id| Core {
        follower: Follower::new(Cursor::new(&ring, CoreId(id))),
        coordinator: Coordinator::new(2),
        desk: Desk {
            inbox: VecDeque::with_capacity(count),
            shipped: Vec::with_capacity(count),
            ran: 0,
        },
    })
}

/// As [`two_cores`], with `count` entries of the first that concern the second, and their parts in its inbox.
pub fn to_be_passed(count: usize) -> [Core; 2] {
    let [mut first, mut second] = two_cores(count);
    for _ in 0..count {
        first.coordinator.parts_for(CoreId(1)).push(1);
        first
            .coordinator
            .publish(&mut first.follower, &mut first.desk);
    }
    second.desk.inbox.extend(first.desk.shipped.drain(..));
    [first, second]
}

/// As [`to_be_passed`], with entries that concern nobody else.
pub fn of_no_concern(count: usize) -> [Core; 2] {
    let mut cores = two_cores(count);
    append(&mut cores, count);
    cores
}

/// The first core appends `count` entries for itself, and runs none.
pub fn append([first, _]: &mut [Core; 2], count: usize) {
    let cursor = first.follower.cursor_mut();
    let named: Named = cursor.ring().groups().naming(CoreId(0));
    for _ in 0..count {
        black_box(cursor.append(black_box(named)).is_ok());
    }
}

/// The second core passes all there is; what it has run.
pub fn catch_up([_, second]: &mut [Core; 2]) -> usize {
    second.follower.catch_up(&mut second.desk);
    second.desk.ran
}

/// The second core looks `count` times and finds nothing.
pub fn look([_, second]: &mut [Core; 2], count: usize) -> usize {
    let mut found = 0;
    for _ in 0..count {
        found += usize::from(black_box(&second.follower).cursor().is_behind());
    }
    found
}

/// `count` turns without a transaction or a new time: at the beginning, behind a receive, at the end, before a sleep.
pub fn turns_with_nothing([_, second]: &mut [Core; 2], count: usize) -> usize {
    let mut asleep = 0;
    for _ in 0..count {
        second.follower.begin_turn(black_box(0), &mut second.desk);
        second.follower.catch_up(&mut second.desk);
        second
            .coordinator
            .publish(&mut second.follower, &mut second.desk);
        asleep += usize::from(second.follower.may_sleep());
    }
    asleep
}

/// `count` transactions of the first core on both, each an entry of its own, from their parts to the last of them run.
pub fn transactions([first, second]: &mut [Core; 2], count: usize) -> usize {
    for number in 0..count as u32 {
        first.coordinator.parts_for(CoreId(0)).push(number);
        first.coordinator.parts_for(CoreId(1)).push(number);
        first
            .coordinator
            .publish(&mut first.follower, &mut first.desk);
        first.follower.catch_up(&mut first.desk);
        let parcel = first.desk.shipped.pop().expect("parts were shipped");
        second.follower.deliver(CoreId(0), parcel, &mut second.desk);
    }
    first.desk.ran + second.desk.ran
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_done() {
        let mut cores = to_be_passed(100);
        assert_eq!(catch_up(&mut cores), 100);
        let mut cores = of_no_concern(100);
        assert_eq!(look(&mut cores, 10), 10);
        assert_eq!(catch_up(&mut cores), 0);
        assert_eq!(look(&mut cores, 10), 0);
        assert_eq!(turns_with_nothing(&mut cores, 10), 10);
        assert_eq!(transactions(&mut two_cores(1), 100), 200);
    }
}
