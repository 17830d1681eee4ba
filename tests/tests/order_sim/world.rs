//! The world of a simulation: what cores share, the queues between them, and their clients.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::core::Core;
use super::follower::Parcel;
use super::history::{Command, History};
use super::left_out::{Clock, clock};
use super::ring::Ring;
use super::routing::CoreId;
use super::sleepers::Sleepers;
use super::word::Groups;

/// Parcels under way from one core to another.
const PARCELS_UNDER_WAY: usize = 2;

/// One step in so many is a stall of up to so many steps of others.
const STALLS_ONE_IN: u32 = 40;
const STALL_STEPS_MAX: u32 = 400;

/// Keys of each core.
const KEYS_OF_CORE: usize = 2;

/// What is asked of the cores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// An entry names groups of so many cores.
    width: u32,
    /// Slots to choose from.
    slots: &'static [usize],
    sessions: usize,
    pipelines: usize,
    /// Of ten commands, so many are transactions.
    transactions: u32,
}

impl Load {
    /// Few clients, exact sets of cores.
    pub(crate) const EXACT: Self = Self {
        width: 1,
        slots: &[4, 8, 16, 64],
        sessions: 4,
        pipelines: 3,
        transactions: 5,
    };
    /// The same, where an entry names pairs of cores.
    pub(crate) const GROUPED: Self = Self {
        width: 2,
        ..Self::EXACT
    };
    /// Rings and outboxes are full much of the time.
    pub(crate) const CROWDED: Self = Self {
        slots: &[4],
        sessions: 6,
        transactions: 9,
        ..Self::EXACT
    };
}

/// Parts of the transactions of an entry: which command touches which keys, and by which time it would be if parts carried one.
pub(crate) type Parts = Vec<(usize, Vec<(usize, bool)>, u64)>;

/// What cores tell one another beside parts.
#[derive(Debug)]
pub(crate) enum Message {
    /// Touch the one key of a command.
    Request { command: usize, home: CoreId },
    /// A part of a command has run.
    Answer { command: usize },
}

type Queue = Mutex<VecDeque<Parcel<Vec<Message>, Parts>>>;

/// Where one sleeps until it rings. (Threads that park may wake for no reason, which would hide a wake-up that was lost.)
#[derive(Default)]
struct Bell {
    has_rung: shuttle::sync::Mutex<bool>,
    changed: shuttle::sync::Condvar,
}

impl Bell {
    fn ring(&self) {
        *self
            .has_rung
            .lock()
            .expect("nobody panics while holding it") = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut has_rung = self
            .has_rung
            .lock()
            .expect("nobody panics while holding it");
        while !*has_rung {
            has_rung = self
                .changed
                .wait(has_rung)
                .expect("nobody panics while holding it");
        }
        *has_rung = false;
    }
}

/// What all share.
pub(crate) struct World {
    pub(crate) cores: u16,
    pub(crate) sleepers: Sleepers,
    /// By sender, then receiver.
    queues: Vec<Vec<Queue>>,
    /// By core: pipelines that clients have sent.
    inputs: Vec<Mutex<VecDeque<Vec<usize>>>>,
    pub(crate) history: Mutex<History>,
    /// Milliseconds by the clock that all cores read.
    clock_ms: Mutex<u64>,
    /// The latest time any core has judged by, where that is what cores tell time by.
    pub(crate) watermark_ms: Mutex<u64>,
    /// What cores and clients sleep at.
    core_bells: Vec<Bell>,
    client_bells: Vec<Bell>,
    clients_left: Mutex<usize>,
}

/// A step: whoever else is ready may go on first. Now and then it takes so long that others do much meanwhile, as when the
/// kernel takes a core's thread off its processor.
pub(crate) fn step() {
    let mut random = thread_rng();
    let others = if random.gen_ratio(1, STALLS_ONE_IN) {
        random.gen_range(0..STALL_STEPS_MAX)
    } else {
        1
    };
    (0..others).for_each(|_| thread::yield_now());
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}

impl World {
    fn new(cores: u16, load: Load) -> Self {
        let each = || 0..usize::from(cores);
        Self {
            cores,
            sleepers: Sleepers::new(cores),
            queues: each()
                .map(|_| each().map(|_| Queue::default()).collect())
                .collect(),
            inputs: each().map(|_| Mutex::default()).collect(),
            history: Mutex::new(History::of_keys(usize::from(cores) * KEYS_OF_CORE)),
            clock_ms: Mutex::new(1),
            watermark_ms: Mutex::new(1),
            core_bells: each().map(|_| Bell::default()).collect(),
            client_bells: (0..load.sessions).map(|_| Bell::default()).collect(),
            clients_left: Mutex::new(load.sessions),
        }
    }

    pub(crate) fn owner(&self, key: usize) -> CoreId {
        CoreId((key % usize::from(self.cores)) as u16)
    }

    pub(crate) fn clock_ms(&self) -> u64 {
        step();
        *lock(&self.clock_ms)
    }

    pub(crate) fn has_room(&self, from: CoreId, to: CoreId) -> bool {
        step();
        lock(&self.queues[from.index()][to.index()]).len() < PARCELS_UNDER_WAY
    }

    pub(crate) fn send(&self, from: CoreId, to: CoreId, parcel: Parcel<Vec<Message>, Parts>) {
        step();
        let mut queue = lock(&self.queues[from.index()][to.index()]);
        assert!(queue.len() < PARCELS_UNDER_WAY, "room was asked for");
        queue.push_back(parcel);
    }

    pub(crate) fn receive(&self, from: CoreId, to: CoreId) -> Option<Parcel<Vec<Message>, Parts>> {
        step();
        lock(&self.queues[from.index()][to.index()]).pop_front()
    }

    pub(crate) fn has_mail(&self, to: CoreId) -> bool {
        step();
        self.queues
            .iter()
            .any(|queues| !lock(&queues[to.index()]).is_empty())
    }

    pub(crate) fn take_input(&self, core: CoreId) -> Option<Vec<usize>> {
        step();
        lock(&self.inputs[core.index()]).pop_front()
    }

    /// Sleeps until [`wake`](Self::wake) was called since the last sleep.
    pub(crate) fn sleep(&self, core: CoreId) {
        self.core_bells[core.index()].wait();
    }

    /// Wakes `core` out of its sleep, or out of the next.
    pub(crate) fn wake(&self, core: CoreId) {
        self.core_bells[core.index()].ring();
    }

    /// `command` is answered; the last of a pipeline lets its client go on.
    pub(crate) fn reply(&self, command: usize) {
        let client = {
            let mut history = lock(&self.history);
            let event = history.next_event();
            history.commands[command].answered = Some(event);
            history.commands[command].session
        };
        self.client_bells[client].ring();
    }

    pub(crate) fn is_over(&self) -> bool {
        *lock(&self.clients_left) == 0
    }

    /// Draws a pipeline of `session` and writes it down.
    fn draw(&self, session: usize, load: Load) -> Vec<usize> {
        let mut random = thread_rng();
        let keys = usize::from(self.cores) * KEYS_OF_CORE;
        let mut numbers = Vec::new();
        for _ in 0..random.gen_range(1..=4) {
            let is_transaction = random.gen_range(0..10) < load.transactions;
            let count = if is_transaction {
                random.gen_range(1..=3)
            } else {
                1
            };
            let mut touched: Vec<(usize, bool)> = Vec::new();
            for _ in 0..count {
                let key = random.gen_range(0..keys);
                if touched.iter().all(|&(other, _)| other != key) {
                    touched.push((key, random.gen_bool(0.5)));
                }
            }
            let mut history = lock(&self.history);
            let sent = history.next_event();
            numbers.push(history.commands.len());
            history.commands.push(Command {
                session,
                keys: touched,
                is_transaction,
                unanswered: 0,
                sent,
                answered: None,
                times: Vec::new(),
            });
        }
        numbers
    }

    /// A client: sends pipelines to its core, each when the one before is answered.
    fn be_client(&self, session: usize, load: Load) {
        let home = CoreId((session % usize::from(self.cores)) as u16);
        for _ in 0..load.pipelines {
            let pipeline = self.draw(session, load);
            lock(&self.inputs[home.index()]).push_back(pipeline.clone());
            step();
            self.wake(home);
            let answered = || {
                let history = lock(&self.history);
                pipeline
                    .iter()
                    .all(|&number| history.commands[number].answered.is_some())
            };
            while !answered() {
                self.client_bells[session].wait();
            }
            let passes = clock() != Clock::Stopped && thread_rng().gen_bool(0.5);
            *lock(&self.clock_ms) += u64::from(passes);
        }
        *lock(&self.clients_left) -= 1;
        if self.is_over() {
            (0..self.cores).for_each(|core| self.wake(CoreId(core)));
        }
    }
}

/// Cores and clients from beginning to end, and the check of what they did.
///
/// # Panics
/// If that was not right.
pub(crate) fn run(load: Load) {
    let cores = thread_rng().gen_range(2..=5);
    let slots = load.slots[thread_rng().gen_range(0..load.slots.len())];
    match slots {
        4 => run_with::<4>(cores, load),
        8 => run_with::<8>(cores, load),
        16 => run_with::<16>(cores, load),
        64 => run_with::<64>(cores, load),
        _ => unreachable!("a size that is listed"),
    }
}

fn run_with<const N: usize>(cores: u16, load: Load) {
    let world = Arc::new(World::new(cores, load));
    let ring = Ring::<N>::with_groups(cores, Groups::of_width(load.width), 1);
    let core = |core| {
        let (world, ring) = (Arc::clone(&world), Arc::clone(&ring));
        thread::spawn(move || Core::new(CoreId(core), world, &ring).run())
    };
    let cores: Vec<_> = (0..cores).map(core).collect();
    let client = |session| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.be_client(session, load))
    };
    let clients: Vec<_> = (0..load.sessions).map(client).collect();
    for thread in cores.into_iter().chain(clients) {
        thread.join().expect("a panic ends the simulation at once");
    }
    lock(&world.history).check();
}
