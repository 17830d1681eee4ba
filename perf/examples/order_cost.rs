//! What a transaction over cores costs by the clock: threads that pin to no processor ship one another parts and answers
//! by the order of transactions, and nothing else: no keys, no sockets, no sleep.
//!
//! `cargo run --release -p larder-perf --example order_cost [CORES [TRANSACTIONS [DEPTH]]]` prints nanoseconds a transaction
//! on all cores, each core having DEPTH of them under way.

use std::sync::Arc;
use std::time::Instant;

use crossbeam::queue::ArrayQueue;
use larder_server::order::{
    Coordinator, Cursor, EntryAt, Follower, Parcel, Position, Post, Ring, Station,
};
use larder_server::routing::CoreId;

/// Parcels under way from one core to another.
const PARCELS_UNDER_WAY: usize = 64;

/// Answers to the receiver's transactions.
type Mail = usize;
/// Transactions, each with something to do.
type Parts = Vec<u64>;
type Queue = ArrayQueue<Parcel<Mail, Parts>>;

struct Desk {
    me: CoreId,
    /// By sender, then receiver.
    queues: Arc<Vec<Vec<Queue>>>,
    /// By receiver.
    answers: Vec<Mail>,
    answered: usize,
    /// Transactions run here.
    ran: usize,
    sum: u64,
}

impl Desk {
    fn send(&mut self, to: CoreId, stamp: Position, parts: Option<Parts>) {
        let mail = std::mem::take(&mut self.answers[to.index()]);
        let queue = &self.queues[self.me.index()][to.index()];
        let sent = queue.push(Parcel { stamp, mail, parts });
        assert!(sent.is_ok(), "room was asked for");
    }
}

impl Station<Mail, Parts> for Desk {
    fn receive(&mut self, from: CoreId) -> Option<Parcel<Mail, Parts>> {
        self.queues[from.index()][self.me.index()].pop()
    }

    fn run_mail(&mut self, _from: CoreId, answers: Mail) {
        self.answered += answers;
    }

    fn run_parts(&mut self, at: EntryAt, parts: Parts) {
        self.answers[at.coordinator.index()] += parts.len();
        self.ran += parts.len();
        self.sum = parts
            .iter()
            .fold(self.sum, |sum, part| sum.wrapping_add(*part));
    }

    fn time_is(&mut self, _ms: u64) {}
}

impl Post<Parts> for Desk {
    fn has_room(&self, to: CoreId) -> bool {
        !self.queues[self.me.index()][to.index()].is_full()
    }

    fn ship(&mut self, to: CoreId, stamp: Position, parts: Parts) {
        self.send(to, stamp, Some(parts));
    }

    fn rouse(&mut self, _core: CoreId) {}
}

/// Runs `count` transactions on all cores, `depth` at a time, and serves the others' until all have ended.
fn run(mut follower: Follower<Mail, Parts>, mut desk: Desk, count: usize, depth: usize) -> u64 {
    let cores = follower.cursor().ring().cores();
    let mut coordinator = Coordinator::<Parts>::new(cores);
    let (mut begun, all) = (0, count * usize::from(cores));
    while desk.answered < all || desk.ran < all || desk.answers.iter().any(|&owed| owed > 0) {
        let before = (desk.ran, desk.answered);
        follower.begin_turn(0, &mut desk);
        for from in (0..cores).map(CoreId) {
            while let Some(parcel) = desk.receive(from) {
                follower.deliver(from, parcel, &mut desk);
            }
        }
        while begun < count && begun - desk.answered / usize::from(cores) < depth {
            (0..cores).for_each(|core| coordinator.parts_for(CoreId(core)).push(begun as u64));
            begun += 1;
        }
        coordinator.publish(&mut follower, &mut desk);
        follower.catch_up(&mut desk);
        desk.answered += std::mem::take(&mut desk.answers[desk.me.index()]);
        for to in (0..cores).map(CoreId) {
            if desk.answers[to.index()] > 0 && desk.has_room(to) {
                desk.send(to, coordinator.stamp(), None);
            }
        }
        if before == (desk.ran, desk.answered) {
            // Others may need this processor.
            std::thread::yield_now();
        }
    }
    desk.sum
}

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<usize>().expect("arguments are numbers"));
    let cores = args.next().unwrap_or(2);
    let count = args.next().unwrap_or(1_000_000);
    let depth = args.next().unwrap_or(64);
    let queue = |_| Queue::new(PARCELS_UNDER_WAY);
    let queues: Vec<Vec<Queue>> = (0..cores)
        .map(|_| (0..cores).map(queue).collect())
        .collect();
    let queues = Arc::new(queues);
    let ring = Ring::new(cores as u16, 0);
    let began = Instant::now();
    let threads: Vec<_> = (0..cores as u16)
        .map(|core| {
            let me = CoreId(core);
            let follower = Follower::new(Cursor::new(&ring, me));
            let desk = Desk {
                me,
                queues: Arc::clone(&queues),
                answers: vec![0; cores],
                answered: 0,
                ran: 0,
                sum: 0,
            };
            std::thread::spawn(move || run(follower, desk, count, depth))
        })
        .collect();
    let sums: Vec<u64> = threads
        .into_iter()
        .map(|thread| thread.join().expect("a core ends"))
        .collect();
    assert!(
        sums.windows(2).all(|pair| pair[0] == pair[1]),
        "all ran all"
    );
    let nanos = began.elapsed().as_nanos() as f64 / (count * cores) as f64;
    println!("{cores} cores, {depth} under way each: {nanos:.0} ns a transaction on all cores");
}
