//! A large list by itself, without commands: bytes an element, time an operation, and the longest steps.
//!
//! ```text
//! cargo build --profile quick -p larder-engine --features bench --example list_elements
//! target/quick/examples/list_elements bytes [ELEMENTS]    bytes an element: fresh, trimmed, thinned out, inserted into
//! target/quick/examples/list_elements times [ELEMENTS]    ns an operation
//! target/quick/examples/list_elements steps [ELEMENTS]    the longest push, insertion, removal, and slices of freeing
//! target/quick/examples/list_elements WORK [ELEMENTS]     one of WORK, idle or filled, for a profiler
//! ```
//! `touched` bytes are pages of the arena and lists. Times and steps are of elements of 16 bytes. An operation is done to each
//! element or at random places, 200,000 times at most where it is dearer than a push.

use std::hint::black_box;
use std::time::{Duration, Instant};

use larder_engine::End;
use larder_engine::bench::BareList;

/// A bound that decides the granule of the arena.
const MEMORY_CEILING_BYTES: u64 = 16 << 30;
const ELEMENT: [u8; 16] = *b"element:00000000";
/// Operations of [`WORK`] that are dearer than a push.
const FEW: usize = 200_000;
/// Elements of a range.
const RANGE: u32 = 100;
/// Blocks that a slice frees.
const SLICE_BLOCKS: u32 = 64;

/// Lengths of elements.
#[derive(Clone, Copy, Debug)]
enum Lens {
    /// 16 bytes each.
    Equal,
    /// 8 to 24.
    Varying,
}

fn empty() -> BareList {
    BareList::new(MEMORY_CEILING_BYTES).expect("address space is to be had")
}

/// A number of 64 bits that looks random.
fn scrambled(number: usize) -> u64 {
    let mut z = (number as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn push(list: &mut BareList, end: End, element: &[u8]) {
    list.push(end, element).expect("memory is to be had");
}

fn filled(elements: usize, lens: Lens, end: End) -> BareList {
    let mut list = empty();
    for number in 0..elements {
        let mut element = [b'x'; 24];
        element[..8].copy_from_slice(&scrambled(number).to_le_bytes());
        let len = match lens {
            Lens::Equal => 16,
            Lens::Varying => 8 + scrambled(number) as usize % 17,
        };
        push(&mut list, end, &element[..len]);
    }
    list
}

/// Prints the bytes above the payload; those with the payload.
fn print_bytes(what: &str, list: &BareList) -> f64 {
    let bytes = list.bytes();
    let over = |all: u64| (all as f64 - bytes.payload as f64) / f64::from(list.len());
    let (used, touched) = (over(bytes.used), over(bytes.touched));
    println!("  {what}: {used:.2} used, {touched:.2} touched bytes an element above the payload");
    bytes.touched as f64
}

fn refilled(of: &BareList) -> BareList {
    let mut list = empty();
    of.range(0..of.len(), |element| push(&mut list, End::Tail, element));
    list
}

/// What is left after `change`, before and after house-keeping, beside a fresh list of the same.
fn after(what: &str, mut list: BareList, change: impl FnOnce(&mut BareList)) {
    change(&mut list);
    let began = Instant::now();
    while list.reclaim(SLICE_BLOCKS) {}
    let reclaimed = began.elapsed();
    print_bytes(what, &list);
    let moved = list.compact();
    let now = print_bytes("  compacted", &list);
    let fresh = print_bytes("  the same, fresh", &refilled(&list));
    println!(
        "    {:.3} of fresh with the payload; reclaimed in {reclaimed:.1?}, {moved} blocks moved",
        now / fresh
    );
}

fn bytes(elements: usize) {
    for lens in [Lens::Equal, Lens::Varying] {
        println!("{elements} elements, lengths {lens:?}");
        print_bytes("pushed at the tail", &filled(elements, lens, End::Tail));
        print_bytes("pushed at the head", &filled(elements, lens, End::Head));
        let list = || filled(elements, lens, End::Tail);
        let count = elements as u32;
        after("half trimmed from the middle", list(), |list| {
            list.remove(count / 4..count * 3 / 4);
        });
        for kept in [2, 10] {
            let what = format!("all but one of {kept} removed, one by one at random");
            after(&what, list(), |list| {
                for at in (0..count)
                    .rev()
                    .filter(|&at| !scrambled(at as usize).is_multiple_of(kept))
                {
                    list.remove(at..at + 1);
                }
            });
        }
        after("a tenth inserted at random", list(), |list| {
            for number in 0..elements / 10 {
                let at = scrambled(number) as u32 % list.len();
                list.insert(at, &ELEMENT).expect("memory is to be had");
            }
        });
    }
}

const WORK: [&str; 9] = [
    "push tail",
    "push head",
    "pop tail",
    "pop head",
    "queue",
    "index",
    "range",
    "insert",
    "remove",
];

/// Does what is named; how often, and the time it took.
fn work(what: &str, elements: usize) -> (usize, Duration) {
    let is_filled = !what.starts_with("push") && what != "idle";
    let count = if is_filled { elements } else { 0 };
    let mut list = filled(count, Lens::Equal, End::Tail);
    let is_dear = is_filled && !what.starts_with("pop");
    let times = if is_dear { elements.min(FEW) } else { elements };
    let list = &mut list;
    let took = match what {
        "push tail" => clocked(times, |_| push(list, End::Tail, &ELEMENT)),
        "push head" => clocked(times, |_| push(list, End::Head, &ELEMENT)),
        "pop tail" => clocked(times, |_| list.pop(End::Tail)),
        "pop head" => clocked(times, |_| list.pop(End::Head)),
        "queue" => clocked(times, |_| {
            push(list, End::Head, &ELEMENT);
            list.pop(End::Tail)
        }),
        "index" => clocked(times, |number| {
            list.get(scrambled(number) as u32 % list.len())
                .map(<[u8]>::len)
        }),
        "range" => clocked(times, |number| {
            let start = scrambled(number) as u32 % (list.len() - RANGE);
            let mut sum = 0;
            list.range(start..start + RANGE, |element| sum += u32::from(element[0]));
            sum
        }),
        "insert" => clocked(times, |number| {
            let at = scrambled(number) as u32 % list.len();
            list.insert(at, &ELEMENT).expect("memory is to be had");
        }),
        "remove" => clocked(times / 2, |number| {
            let at = scrambled(number) as u32 % list.len();
            list.remove(at..at + 1);
        }),
        _ => clocked(times, scrambled),
    };
    (if what == "remove" { times / 2 } else { times }, took)
}

/// How long it takes to do something so often.
fn clocked<T>(times: usize, mut step: impl FnMut(usize) -> T) -> Duration {
    let began = Instant::now();
    for number in 0..times {
        black_box(step(number));
    }
    began.elapsed()
}

fn times(elements: usize) {
    for what in WORK {
        let each = |_| {
            let (times, took) = work(what, elements);
            took.as_nanos() as f64 / times as f64
        };
        let least = (0..3).map(each).fold(f64::MAX, f64::min);
        println!("{what}: {least:.0} ns, least of three");
    }
}

fn print_steps(what: &str, mut nanos: Vec<u32>) {
    nanos.sort_unstable();
    let at = |share: f64| f64::from(nanos[((nanos.len() - 1) as f64 * share) as usize]) / 1000.0;
    println!(
        "{what}: {} steps, median {:.2}, 99.9% {:.1}, longest {:.1} µs",
        nanos.len(),
        at(0.5),
        at(0.999),
        at(1.0)
    );
}

/// How long each of `count` steps takes, of each the least of three rounds.
fn timed(elements: usize, count: usize, mut step: impl FnMut(&mut BareList, usize)) -> Vec<u32> {
    let mut least = vec![u32::MAX; count];
    for _ in 0..3 {
        let mut list = filled(elements, Lens::Equal, End::Tail);
        for (number, least) in least.iter_mut().enumerate() {
            let began = Instant::now();
            step(&mut list, number);
            *least = (*least).min(began.elapsed().as_nanos() as u32);
        }
    }
    least
}

/// How long each slice takes until there is nothing left to do.
fn slices(mut slice: impl FnMut() -> bool) -> Vec<u32> {
    let mut nanos = Vec::new();
    loop {
        let began = Instant::now();
        let more = slice();
        nanos.push(began.elapsed().as_nanos() as u32);
        if !more {
            return nanos;
        }
    }
}

fn steps(elements: usize) {
    let push_tail = |list: &mut BareList, _| push(list, End::Tail, &ELEMENT);
    print_steps("push", timed(0, elements, push_tail));
    let insert = |list: &mut BareList, number| {
        let at = scrambled(number) as u32 % list.len();
        list.insert(at, &ELEMENT).expect("memory is to be had");
    };
    print_steps("insert", timed(elements, FEW, insert));
    let remove = |list: &mut BareList, number| {
        let at = scrambled(number) as u32 % list.len();
        list.remove(at..at + 1);
    };
    print_steps("remove", timed(elements, FEW.min(elements / 2), remove));
    let mut list = filled(elements, Lens::Equal, End::Tail);
    let count = list.len();
    let cut = slices(|| {
        list.remove(count / 7..count / 7 * 6);
        false
    });
    print_steps("cutting five sevenths out", cut);
    print_steps(
        "a slice of reclaiming",
        slices(|| list.reclaim(SLICE_BLOCKS)),
    );
    let mut list = filled(elements, Lens::Varying, End::Tail);
    print_steps(
        "a slice of freeing all",
        slices(|| list.dismantle(SLICE_BLOCKS)),
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let elements = arguments.next().and_then(|count| count.parse().ok());
    let elements = elements.unwrap_or(1_000_000);
    match what.as_str() {
        "bytes" => bytes(elements),
        "times" => times(elements),
        "steps" => steps(elements),
        what if WORK.contains(&what) || ["idle", "filled"].contains(&what) => {
            let (times, took) = work(what, elements);
            println!("{what}: {times} times in {took:.1?}");
        }
        _ => eprintln!(
            "bytes, times, steps, idle, filled, or one of {WORK:?}, and a number of elements"
        ),
    }
}
