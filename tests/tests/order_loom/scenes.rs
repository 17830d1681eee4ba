//! Two or three cores, one or two transactions each.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::coordinator::{Coordinator, Post, Publication};
use super::follower::{EntryAt, Follower, Parcel, Station};
use super::ring::{Cursor, Full, Ring};
use super::routing::CoreId;
use super::sleepers::Sleepers;
use super::word::{Named, Position};

/// Slots of the rings.
const N: usize = 4;

type Parts = Vec<u64>;

/// A queue between two cores, as the product's: what is in it is published by a store of its own, with release.
#[derive(Default)]
struct Queue {
    sent: AtomicUsize,
    taken: AtomicUsize,
    parcels: Mutex<VecDeque<Parcel<u64, Parts>>>,
}

impl Queue {
    fn send(&self, parcel: Parcel<u64, Parts>) {
        self.parcels
            .lock()
            .expect("nobody panics in it")
            .push_back(parcel);
        let sent = self.sent.load(Ordering::Relaxed);
        self.sent.store(sent + 1, Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.sent.load(Ordering::Acquire) == self.taken.load(Ordering::Relaxed)
    }

    fn receive(&self) -> Option<Parcel<u64, Parts>> {
        if self.is_empty() {
            return None;
        }
        let taken = self.taken.load(Ordering::Relaxed);
        self.taken.store(taken + 1, Ordering::Relaxed);
        self.parcels
            .lock()
            .expect("nobody panics in it")
            .pop_front()
    }
}

/// Where a core sleeps until it rings.
#[derive(Default)]
struct Bell {
    has_rung: loom::sync::Mutex<bool>,
    changed: loom::sync::Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.has_rung.lock().expect("nobody panics in it") = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut has_rung = self.has_rung.lock().expect("nobody panics in it");
        while !*has_rung {
            has_rung = self.changed.wait(has_rung).expect("nobody panics in it");
        }
        *has_rung = false;
    }
}

/// What cores share.
struct World {
    sleepers: Sleepers,
    bells: Vec<Bell>,
    /// By sender, then receiver.
    queues: Vec<Vec<Queue>>,
    ring: Arc<Ring<N>>,
}

impl World {
    fn new(cores: u16) -> Arc<Self> {
        let each = || 0..cores;
        Arc::new(Self {
            sleepers: Sleepers::new(cores),
            bells: each().map(|_| Bell::default()).collect(),
            queues: each()
                .map(|_| each().map(|_| Queue::default()).collect())
                .collect(),
            ring: Ring::new(cores, 0),
        })
    }
}

/// A core: writes down which parts and mail it has run.
struct Desk {
    me: CoreId,
    world: Arc<World>,
    ran: RefCell<Vec<u64>>,
}

impl Station<u64, Parts> for Desk {
    fn receive(&mut self, from: CoreId) -> Option<Parcel<u64, Parts>> {
        self.world.queues[from.index()][self.me.index()].receive()
    }

    fn run_mail(&mut self, _from: CoreId, mail: u64) {
        if mail != 0 {
            self.ran.borrow_mut().push(mail);
        }
    }

    fn run_parts(&mut self, _at: EntryAt, parts: Parts) {
        self.ran.borrow_mut().extend(parts);
    }

    fn time_is(&mut self, _ms: u64) {}
}

impl Post<Parts> for Desk {
    fn has_room(&self, _to: CoreId) -> bool {
        true
    }

    fn ship(&mut self, to: CoreId, stamp: Position, parts: Parts) {
        let parts = Some(parts);
        self.world.queues[self.me.index()][to.index()].send(Parcel {
            stamp,
            mail: 0,
            parts,
        });
    }

    fn rouse(&mut self, core: CoreId) {
        if self.world.sleepers.rouse(core) {
            self.world.bells[core.index()].ring();
        }
    }
}

struct Core {
    desk: Desk,
    follower: Follower<u64, Parts, N>,
    coordinator: Coordinator<Parts>,
}

impl Core {
    fn new(world: &Arc<World>, me: u16) -> Self {
        let me = CoreId(me);
        Self {
            desk: Desk {
                me,
                world: Arc::clone(world),
                ran: RefCell::default(),
            },
            follower: Follower::new(Cursor::new(&world.ring, me)),
            coordinator: Coordinator::new(world.ring.cores()),
        }
    }

    /// A transaction named `name` on the cores `on`.
    fn transact(&mut self, name: u64, on: &[u16]) {
        for &core in on {
            self.coordinator.parts_for(CoreId(core)).push(name);
        }
        let publication = self.coordinator.publish(&mut self.follower, &mut self.desk);
        assert!(matches!(publication, Publication::At(_)), "{publication:?}");
        self.follower.catch_up(&mut self.desk);
    }

    /// Takes what has come.
    fn turn(&mut self) {
        for from in 0..self.desk.world.ring.cores() {
            while let Some(parcel) = self.desk.receive(CoreId(from)) {
                self.follower.deliver(CoreId(from), parcel, &mut self.desk);
            }
        }
    }

    /// Turns and sleeps until it has run `count` parts and mails.
    fn run_until(&mut self, count: usize) -> Vec<u64> {
        loop {
            self.follower.catch_up(&mut self.desk);
            self.turn();
            if self.desk.ran.borrow().len() >= count {
                return self.desk.ran.take();
            }
            self.sleep();
        }
    }

    fn sleep(&mut self) {
        let (world, me) = (&self.desk.world, self.desk.me);
        world.sleepers.announce(me);
        let mut inboxes = world.queues.iter().map(|queues| &queues[me.index()]);
        if inboxes.all(Queue::is_empty) && self.follower.may_sleep() {
            world.bells[me.index()].wait();
        }
        world.sleepers.withdraw(me);
    }
}

/// Both cores have a transaction on both. Each runs the two, in the same order.
pub(super) fn two_coordinators() {
    let world = World::new(2);
    let mut other = Core::new(&world, 1);
    let other = thread::spawn(move || {
        other.transact(2, &[0, 1]);
        other.run_until(2)
    });
    let mut core = Core::new(&world, 0);
    core.transact(1, &[0, 1]);
    let ran = core.run_until(2);
    assert_eq!(ran, other.join().expect("it ends"), "one order");
}

/// A core that may have taken its parts before their entry is there, and goes to sleep with them in hand.
pub(super) fn parts_for_one_about_to_sleep() {
    let world = World::new(2);
    let mut other = Core::new(&world, 1);
    let other = thread::spawn(move || other.run_until(1));
    Core::new(&world, 0).transact(7, &[0, 1]);
    assert_eq!(other.join().expect("it ends"), [7]);
}

/// One appends more than the ring has slots, the other passes what it finds.
pub(super) fn a_ring_goes_round() {
    let world = World::new(2);
    let mut reader = Cursor::new(&world.ring, CoreId(1));
    let reader = thread::spawn(move || {
        for _ in 0..N + 1 {
            if let Some(entry) = reader.peek() {
                reader.pass(entry);
                reader.publish();
            }
        }
    });
    let mut writer = Cursor::new(&world.ring, CoreId(0));
    let mut refused = 0;
    for _ in 0..N + 1 {
        let appended = writer.append(Named::default());
        refused += usize::from(appended == Err(Full));
        while let Some(entry) = writer.peek() {
            writer.pass(entry);
        }
        writer.publish();
    }
    assert!(refused <= 1, "a ring's worth fits in any case");
    reader.join().expect("it was not overtaken");
}

/// A core that no entry concerns sleeps, and is a whole ring behind when the next is to be appended.
pub(super) fn a_sleeper_holds_up_the_ring() {
    let world = World::new(2);
    let mut writer = Core::new(&world, 0);
    for _ in 0..N {
        writer.transact(1, &[0]);
    }
    let mut sleeper = Core::new(&world, 1);
    let sleeper = thread::spawn(move || {
        sleeper.sleep();
        sleeper.follower.catch_up(&mut sleeper.desk);
    });
    writer.coordinator.parts_for(CoreId(0)).push(2);
    while writer.coordinator.is_waiting() {
        let Core {
            desk,
            follower,
            coordinator,
        } = &mut writer;
        if coordinator.publish(follower, desk) == Publication::AwaitsSlot {
            thread::yield_now();
        }
    }
    // It sleeps once more at most, since nothing else concerns it.
    if world.sleepers.rouse(CoreId(1)) {
        world.bells[1].ring();
    }
    sleeper.join().expect("it ends");
}

/// A transaction on two cores; one of them tells the third, which tells the other one. That one has passed the
/// transaction before it runs what it is told.
pub(super) fn word_of_a_transaction() {
    let world = World::new(2);
    let mut told = Core::new(&world, 1);
    let told = thread::spawn(move || {
        told.turn();
        told.desk.ran.take()
    });
    // The entry concerns core 1, whose parts it finds in hand or in its inbox; what it is told comes by another way, as
    // from a client: not behind the parts in the same queue.
    let mut core = Core::new(&world, 0);
    core.transact(1, &[0, 1]);
    let stamp = core.coordinator.stamp();
    world.queues[1][1].send(Parcel {
        stamp,
        mail: 2,
        parts: None,
    });
    let ran = told.join().expect("it ends");
    if ran.contains(&2) {
        assert_eq!(ran, [1, 2], "told of a transaction it had not passed");
    }
}
