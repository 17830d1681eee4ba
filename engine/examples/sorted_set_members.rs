//! A large sorted set, or many small ones, in a shard without commands: bytes a member, time an operation, and the longest steps.
//!
//! ```text
//! cargo build --profile quick -p larder-engine --features bench --example sorted_set_members
//! target/quick/examples/sorted_set_members bytes [MEMBERS [SCORES [EACH]]]   bytes a member: fresh, after deletions, after changes
//! target/quick/examples/sorted_set_members times [MEMBERS [SCORES [EACH]]]   ns an operation
//! target/quick/examples/sorted_set_members batches [MEMBERS [SCORES]]        the same in batches of 16, brought near
//! target/quick/examples/sorted_set_members steps [MEMBERS [SCORES [EACH]]]   the longest insertion, change and removal
//! target/quick/examples/sorted_set_members free [MEMBERS [SCORES]]           the longest slice of freeing
//! target/quick/examples/sorted_set_members WORK [MEMBERS [SCORES [EACH]]]    add, score, rank, update, increment, range, remove or idle
//! ```
//! SCORES are `random`, doubles below a million, or `sequential`, whole numbers that come in their order, or `whole`, whole numbers below
//! 10,000 at random. All members are of one sorted set, or EACH of each of many. Names are of 16 bytes, in many sorted sets
//! of 8. The payload is keys and names: a score counts as overhead. An operation is what a command has of the engine: the key is looked
//! up, records and events are told to nobody.

use std::ops::ControlFlow;
mod common;

use std::time::{Duration, Instant};

use common::{scattered, write_number};
use larder_engine::bench::BareSortedSets;
use larder_engine::{Bound, Direction, KeyHasher, Member, Scored, ShardOptions};

const NAME_BYTES: usize = 16;
const SHORT_NAME_BYTES: usize = 8;
const KEY: &[u8; 12] = b"zset00000000";
/// Operations whose members are brought near together.
const BATCH: usize = 16;
const WORK: [&str; 7] = [
    "add",
    "score",
    "rank",
    "update",
    "increment",
    "range",
    "remove",
];

#[derive(Clone, Copy, PartialEq)]
enum Scores {
    Random,
    Sequential,
    Whole,
}

/// What the sorted set is of.
#[derive(Clone, Copy)]
struct Members {
    count: usize,
    scores: Scores,
    /// Members of each, if they are of many.
    each: Option<usize>,
}

/// A member: its sorted set, its name, its score.
struct Place {
    key: [u8; KEY.len()],
    name: [u8; NAME_BYTES],
    name_bytes: usize,
    score: f64,
}

impl Place {
    fn member(&self) -> Member<'_> {
        Member {
            name: &self.name[..self.name_bytes],
            score: self.score,
        }
    }
}

/// A number without visible order.
fn mixed(number: usize, salt: u64) -> u64 {
    let mut z = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 31)
}

impl Members {
    /// Member number `number`, with one score or another.
    fn place(&self, number: usize, salt: u64) -> Place {
        let mut place = Place {
            key: *KEY,
            name: *b"memb:00000000000",
            name_bytes: NAME_BYTES,
            score: match self.scores {
                Scores::Random => (mixed(number, salt) >> 11) as f64 / (1u64 << 53) as f64 * 1e6,
                Scores::Sequential => (number as u64 ^ salt) as f64,
                Scores::Whole => (mixed(number, salt) % 10_000) as f64,
            },
        };
        match self.each {
            None => write_number(&mut place.name[5..], number),
            Some(each) => {
                place.name_bytes = SHORT_NAME_BYTES;
                write_number(&mut place.name[5..SHORT_NAME_BYTES], number % each);
                write_number(&mut place.key[4..], number / each);
            }
        }
        place
    }

    /// The numbers in the order in which members come.
    fn numbers(&self) -> Box<dyn Iterator<Item = usize>> {
        match self.scores {
            Scores::Sequential => Box::new(0..self.count),
            _ => Box::new(scattered(self.count)),
        }
    }

    /// Bytes of keys and names of so many of the members.
    fn payload(&self, count: usize) -> u64 {
        let names = match self.each {
            None => NAME_BYTES,
            Some(_) => SHORT_NAME_BYTES,
        };
        let sets = self.each.map_or(1, |each| self.count.div_ceil(each));
        (count * names + sets * KEY.len()) as u64
    }

    fn filled(&self, numbers: impl Iterator<Item = usize>, salt: u64) -> BareSortedSets {
        let mut sets = empty();
        for number in numbers {
            let place = self.place(number, salt);
            let set = sets.set(&place.key, place.member());
            set.expect("memory is to be had");
        }
        sets
    }

    fn all(&self) -> BareSortedSets {
        self.filled(self.numbers(), 0)
    }
}

fn empty() -> BareSortedSets {
    BareSortedSets::new(&ShardOptions {
        databases: 1,
        memory_ceiling_bytes: 16 << 30,
        hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
    })
    .expect("memory is to be had")
}

/// Prints what `count` of the members take; touched bytes a member, payload included.
fn print_bytes(what: &str, members: &Members, sets: &BareSortedSets, count: usize) -> f64 {
    let (bytes, before) = (sets.bytes(), empty().bytes());
    let each = |bytes: u64| bytes as f64 / count as f64;
    let payload = each(members.payload(count));
    let (used, touched) = (each(bytes.used - before.used), each(bytes.touched));
    println!(
        "{what}: {:.2} used, {:.2} touched bytes a member above the payload of {payload:.1}",
        used - payload,
        touched - payload
    );
    touched
}

fn tend(sets: &mut BareSortedSets) {
    while sets.tend(64) {}
}

fn bytes(members: &Members) {
    print_bytes("fresh", members, &members.all(), members.count);
    for (what, left) in [("half", 2), ("nine tenths", 10)] {
        let mut sets = members.all();
        let goes = |number: usize| !(mixed(number, 9) % 1000).is_multiple_of(left);
        for number in (0..members.count).filter(|&number| goes(number)) {
            let place = members.place(number, 0);
            assert!(sets.remove(&place.key, place.member().name));
        }
        let stay = || (0..members.count).filter(|&number| !goes(number));
        let count = stay().count();
        tend(&mut sets);
        let now = print_bytes(&format!("{what} removed"), members, &sets, count);
        let fresh = members.filled(stay(), 0);
        let fresh = print_bytes("  the same, fresh", members, &fresh, count);
        println!("  {:.3} of fresh", now / fresh);
    }
    let mut sets = members.all();
    for salt in [77, 78] {
        for number in scattered(members.count) {
            let place = members.place(number, salt);
            let set = sets.set(&place.key, place.member());
            set.expect("memory is to be had");
        }
    }
    tend(&mut sets);
    let now = print_bytes("all scores changed twice", members, &sets, members.count);
    let fresh = members.filled(scattered(members.count), 78);
    let fresh = print_bytes("  the same, fresh", members, &fresh, members.count);
    println!("  {:.3} of fresh", now / fresh);
}

/// Does what is named to each member, in a scattered order; the time it took.
fn work(what: &str, members: &Members, batch: usize) -> Duration {
    let mut sets = match what {
        "add" => empty(),
        _ => members.all(),
    };
    let numbers: Vec<usize> = match what {
        "add" => members.numbers().collect(),
        _ => scattered(members.count).collect(),
    };
    let salt = if what == "update" { 77 } else { 0 };
    let began = Instant::now();
    let mut found = 0;
    for numbers in numbers.chunks(batch) {
        let mut places = [const { None }; BATCH];
        for (&number, place) in numbers.iter().zip(&mut places) {
            *place = Some(std::hint::black_box(members.place(number, salt)));
        }
        let places = || places.iter().flatten();
        if batch > 1 {
            sets.prefetch(KEY, places().map(|place| place.member().name));
        }
        for place in places() {
            let (key, member) = (&place.key, place.member());
            found += usize::from(match what {
                "add" => sets.set(key, member) == Ok(Scored::Added),
                "update" => sets.set(key, member).is_ok(),
                "increment" => sets.add_to(key, member.name, 1.0).is_ok(),
                "score" => sets
                    .get(key)
                    .and_then(|set| set.score(member.name))
                    .is_some(),
                "rank" => sets
                    .get(key)
                    .and_then(|set| set.rank(member.name))
                    .is_some(),
                "range" => range(&mut sets, key, member.score) > 0,
                "remove" => sets.remove(key, member.name),
                _ => true,
            });
        }
    }
    let took = began.elapsed();
    assert_eq!(found, members.count);
    took
}

/// Reads a hundred members from a score on, or all before it; how many.
fn range(sets: &mut BareSortedSets, key: &[u8], score: f64) -> usize {
    let set = sets.get(key).expect("it is there");
    let mut left = 100;
    let rank = set.rank_of(&Bound::Score {
        score,
        side: larder_engine::Side::Before,
    });
    let mut bytes = 0;
    set.walk(&Bound::Rank(rank), Direction::Up, &mut |member| {
        bytes += member.name.len();
        left -= 1;
        match left {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    bytes
}

fn times(members: &Members, batch: usize) {
    let idle = work("idle", members, 1);
    for what in WORK {
        let least = (0..3).map(|_| work(what, members, batch)).min();
        let each = least.unwrap_or_default().saturating_sub(idle).as_nanos() as f64;
        println!(
            "{what}: {:.0} ns, least of three",
            each / members.count as f64
        );
    }
}

/// The longest changes, of each the least of three rounds.
fn steps(members: &Members) {
    let mut least = vec![[u32::MAX; 3]; members.count];
    for _ in 0..3 {
        let mut sets = empty();
        for (number, least) in members.numbers().zip(&mut least) {
            let place = members.place(number, 0);
            let began = Instant::now();
            let set = sets.set(&place.key, place.member());
            least[0] = least[0].min(began.elapsed().as_nanos() as u32);
            set.expect("memory is to be had");
        }
        for (number, least) in scattered(members.count).zip(&mut least) {
            let place = members.place(number, 77);
            let began = Instant::now();
            let set = sets.set(&place.key, place.member());
            least[1] = least[1].min(began.elapsed().as_nanos() as u32);
            set.expect("memory is to be had");
        }
        for (number, least) in scattered(members.count).zip(&mut least) {
            let place = members.place(number, 0);
            let began = Instant::now();
            assert!(sets.remove(&place.key, place.member().name));
            least[2] = least[2].min(began.elapsed().as_nanos() as u32);
        }
    }
    for (at, what) in ["add", "update", "remove"].into_iter().enumerate() {
        print_times(what, least.iter().map(|least| least[at]).collect());
    }
}

/// The longest slices of freeing, of each the least of three rounds.
fn free(members: &Members) {
    let mut least: Vec<u32> = Vec::new();
    for _ in 0..3 {
        let mut sets = members.all();
        sets.delete(KEY);
        for slice in 0.. {
            let began = Instant::now();
            let more = sets.tend(1);
            let nanos = began.elapsed().as_nanos() as u32;
            match least.get_mut(slice) {
                Some(least) => *least = nanos.min(*least),
                None => least.push(nanos),
            }
            if !more {
                break;
            }
        }
    }
    print_times("a slice of freeing", least);
}

fn print_times(what: &str, mut nanos: Vec<u32>) {
    nanos.sort_unstable();
    let at = |share: f64| f64::from(nanos[((nanos.len() - 1) as f64 * share) as usize]) / 1000.0;
    println!(
        "{what}: median {:.2}, 99% {:.1}, 99.9% {:.1}, longest {:.1} µs",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise| {
        let number = arguments.get(at).and_then(|number| number.parse().ok());
        number.unwrap_or(otherwise)
    };
    let members = Members {
        count: number(1, 1_000_000),
        scores: match arguments.get(2).map(String::as_str) {
            Some("sequential") => Scores::Sequential,
            Some("whole") => Scores::Whole,
            _ => Scores::Random,
        },
        each: Some(number(3, 0)).filter(|&each| each > 0),
    };
    match arguments.first().map_or("", String::as_str) {
        "bytes" => bytes(&members),
        "times" => times(&members, 1),
        "batches" if members.each.is_none() => times(&members, BATCH),
        "steps" => steps(&members),
        "free" => free(&members),
        what if WORK.contains(&what) || what == "idle" => {
            work(what, &members, 1);
        }
        _ => println!(
            "sorted_set_members bytes | times | batches | steps | free | {} [MEMBERS [SCORES [EACH]]]",
            WORK.join(" | ")
        ),
    }
}
