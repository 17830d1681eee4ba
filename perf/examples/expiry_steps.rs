//! How long the steps of the expiry hand are: over what dies together, and amid new keys with a time to live at full speed.
//!
//! `cargo run --release -p larder-perf --example expiry_steps [KEYS]` prints their number, their median and the longest,
//! in microseconds. Both do the same steps each round, and of each step the least time counts: what else the machine did
//! is left out.

use std::time::Instant;

use larder_engine::{Shard, TtlChange, UnixMillis};
use larder_perf::data::{NOW, VALUE};
use larder_perf::shard::{DB, Hashed, empty, filled, set, soon};
use larder_server::dispatch::limits::{EXPIRE_BUDGET_ENTRIES, RUN_COMMANDS};

const ROUNDS: usize = 5;
/// Commands of a turn: 50 clients with pipelines of 64.
const TURN_COMMANDS: usize = 50 * 64;
/// Milliseconds from one turn to the next.
const TURN_MS: i64 = 3;
const TTL_MS: i64 = 999;

fn main() {
    let mut args = std::env::args().skip(1);
    let keys = args.next().map_or(2_000_000, |keys| {
        keys.parse().expect("the number of keys is a number")
    });
    print("all dead", (0..ROUNDS).map(|_| all_dead(keys)));
    print("amid new keys", (0..ROUNDS).map(|_| amid_new_keys(keys)));
}

/// The steps that remove `keys` keys which all are dead.
fn all_dead(keys: usize) -> Steps {
    let mut steps = Steps::default();
    let mut shard = filled(keys, soon());
    shard.forgo_expiry();
    shard.set_now(UnixMillis(NOW.0 + 10_000));
    while steps.take(&mut shard, EXPIRE_BUDGET_ENTRIES) {}
    assert!(shard.is_empty(DB), "all are dead");
    steps
}

/// The steps between the writes of `keys` new keys, as a core takes them: after runs of commands, and after turns.
fn amid_new_keys(keys: usize) -> Steps {
    let mut steps = Steps::default();
    let mut shard = empty();
    let (mut now, mut most) = (NOW.0, 0);
    for number in 0..keys {
        let at = TtlChange::At(UnixMillis(now + TTL_MS));
        set(&mut shard, &Hashed::of(number), &VALUE, at);
        if number % RUN_COMMANDS == 0 && shard.expiry_is_paid() {
            steps.take_if_due(&mut shard, 0);
        }
        if number % TURN_COMMANDS == 0 {
            steps.take_if_due(&mut shard, EXPIRE_BUDGET_ENTRIES);
            now += TURN_MS;
            shard.set_now(UnixMillis(now));
            most = most.max(shard.len(DB));
        }
    }
    let live = (TURN_COMMANDS as i64 * TTL_MS / TURN_MS) as u64;
    assert!(most <= live / 9 * 10, "the dead are at most a tenth");
    steps
}

/// The durations of steps, in nanoseconds.
#[derive(Default)]
struct Steps {
    nanos: Vec<u64>,
}

impl Steps {
    /// Whether another is due.
    fn take(&mut self, shard: &mut Shard, budget: u32) -> bool {
        let began = Instant::now();
        let step = shard.expire_cycle(budget);
        self.nanos.push(began.elapsed().as_nanos() as u64);
        step.is_cut_short
    }

    fn take_if_due(&mut self, shard: &mut Shard, budget: u32) {
        if shard.expiry_due_at() <= shard.now() {
            self.take(shard, budget);
        } else {
            shard.forgo_expiry();
        }
    }
}

/// Prints how long the steps of several rounds were.
fn print(what: &str, mut rounds: impl Iterator<Item = Steps>) {
    let mut least = rounds.next().expect("there is a round").nanos;
    for round in rounds {
        assert_eq!(round.nanos.len(), least.len(), "rounds are alike");
        for (least, nanos) in least.iter_mut().zip(round.nanos) {
            *least = nanos.min(*least);
        }
    }
    assert!(!least.is_empty(), "something died");
    least.sort_unstable();
    let micros = |at: usize| least[at] as f64 / 1000.0;
    let count = least.len();
    let (median, longest) = (micros(count / 2), micros(count - 1));
    println!("{what}: {count} steps, median {median:.0} µs, longest {longest:.0} µs");
}
