//! `larder-eviction`: how often each eviction policy misses on traces of requests, what a miss-ratio curve would have told, and
//! what policies cost.
//!
//! The policies are the engine's, over a plain map in place of a shard. A trace has a key a line, and its bytes behind it if keys differ.

#![allow(unsafe_code, reason = "the clock of a thread's own time")]

use std::collections::HashMap;
use std::env;
use std::fs::read_to_string;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

use larder_engine::evict::shards::{Sharing, Spread, run_shards};
use larder_engine::evict::simulation::{
    Full, Outcome, Request, run, run_curve, run_exact_clock, run_exact_lru,
};
use larder_engine::evict::traces::with_sizes;
use larder_engine::evict::{CurveOptions, PolicyName, Scope};

const USAGE: &str = "\
usage: larder-eviction misses [--sizes SEED] [--seeds N] TRACE...
       larder-eviction curve [--sizes SEED] [--entries N] TRACE...
       larder-eviction shards [--sizes SEED] TRACE...
       larder-eviction cost [ENTRIES [POLICY]]
  misses  parts of all requests that miss, with room for 1, 5 and 20% of all keys' bytes; adaptive as the mean of N seeds (5)
  curve   by how many points predicted hit ratios are off, of samples of N entries (2048), whatever they cost
  shards  misses of 2, 4 and 8 shards, for each of one that has all the room: as they share it, and how keys are spread
  cost    nanoseconds of a use, and of a victim with the entry that takes its place; bytes an entry, of so many (1000000)
  --sizes gives keys sizes between 64 bytes and 16 KiB, drawn by SEED";

/// Uses that are measured: under callgrind, `--toggle-collect='*Full*used*'` counts the instructions of as many.
const USES: u32 = 2_000_000;

/// Room for so much of all keys' bytes.
const PERCENTS: [u64; 3] = [1, 5, 20];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((mode, rest)) if mode == "misses" => Options::parse(rest).and_then(|it| misses(&it)),
        Some((mode, rest)) if mode == "curve" => Options::parse(rest).and_then(|it| curve(&it)),
        Some((mode, rest)) if mode == "shards" => Options::parse(rest).and_then(|it| shards(&it)),
        Some((mode, rest)) if mode == "cost" => cost(rest),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("larder-eviction: {why}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    sizes: Option<u64>,
    seeds: u64,
    entries: u32,
    traces: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self {
            sizes: None,
            seeds: 5,
            entries: 2048,
            traces: Vec::new(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut number = || -> Result<u64, String> {
                let text = args.next().ok_or(USAGE)?;
                text.parse().map_err(|why| format!("{arg} {text}: {why}"))
            };
            match arg.as_str() {
                "--sizes" => options.sizes = Some(number()?),
                "--seeds" => options.seeds = number()?.max(1),
                "--entries" => options.entries = number()? as u32,
                _ => options.traces.push(arg.clone()),
            }
        }
        match options.traces.is_empty() {
            true => Err(USAGE.to_owned()),
            false => Ok(options),
        }
    }

    /// Each trace by name, with the bytes of all its keys.
    fn read(&self) -> Result<Vec<(String, Vec<Request>, u64)>, String> {
        let read = |path: &String| {
            let mut trace = read_trace(Path::new(path))?;
            if let Some(seed) = self.sizes {
                trace = with_sizes(&trace, seed);
            }
            let bytes: HashMap<u64, u64> = trace.iter().map(|it| (it.key, it.bytes)).collect();
            let name = Path::new(path).file_stem().unwrap_or_default();
            Ok((
                name.to_string_lossy().into_owned(),
                trace,
                bytes.values().sum(),
            ))
        };
        self.traces.iter().map(read).collect()
    }
}

fn read_trace(path: &Path) -> Result<Vec<Request>, String> {
    let text = read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let mut keys: HashMap<&str, u64> = HashMap::new();
    let mut trace = Vec::new();
    for (nth, line) in text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace();
        let Some(key) = words.next() else { continue };
        let bytes = words.next().map_or(Ok(1), str::parse);
        let bytes = bytes.map_err(|why| format!("{}:{}: {why}", path.display(), nth + 1))?;
        let next = keys.len() as u64;
        let key = *keys.entry(key).or_insert(next);
        trace.push(Request { key, bytes });
    }
    Ok(trace)
}

/// Columns of the table of misses; `lru` and `clock` are exact.
type Column = (&'static str, fn(u64, &[Request], u64) -> Outcome);

const COLUMNS: &[Column] = &[
    ("lru", |capacity, trace, _| run_exact_lru(capacity, trace)),
    ("fifo", |capacity, trace, seed| {
        run(PolicyName::Fifo, seed, capacity, trace)
    }),
    ("clock", |capacity, trace, _| {
        run_exact_clock(capacity, trace)
    }),
    ("sieve", |capacity, trace, seed| {
        run(PolicyName::Sieve, seed, capacity, trace)
    }),
    ("s3fifo", |capacity, trace, seed| {
        run(PolicyName::S3Fifo, seed, capacity, trace)
    }),
    ("adaptive", |capacity, trace, seed| {
        run(PolicyName::Adaptive, seed, capacity, trace)
    }),
    ("gdsf", |capacity, trace, seed| {
        run(PolicyName::Gdsf, seed, capacity, trace)
    }),
    ("lru drawn", |capacity, trace, seed| {
        run(PolicyName::Lru, seed, capacity, trace)
    }),
    ("lfu", |capacity, trace, seed| {
        run(PolicyName::Lfu, seed, capacity, trace)
    }),
];

fn misses(options: &Options) -> Result<(), String> {
    let names: Vec<&str> = COLUMNS.iter().map(|&(name, _)| name).collect();
    println!("| trace, capacity % | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(COLUMNS.len()));
    let (mut means, mut of_lru) = (vec![0.0; COLUMNS.len()], vec![0.0; COLUMNS.len()]);
    let traces = options.read()?;
    let rows = (traces.len() * PERCENTS.len()) as f64;
    for (name, trace, bytes) in &traces {
        for percent in PERCENTS {
            let mut ratios = Vec::new();
            for &(column, simulate) in COLUMNS {
                let seeds = if column == "adaptive" {
                    options.seeds
                } else {
                    1
                };
                let of_seed = |seed| simulate(bytes * percent / 100, trace, seed).miss_ratio();
                ratios.push((1..=seeds).map(of_seed).sum::<f64>() / seeds as f64);
            }
            for (nth, ratio) in ratios.iter().enumerate() {
                means[nth] += ratio / rows;
                of_lru[nth] += ratio / ratios[0] / rows;
            }
            print_row(&format!("{name} {percent}"), &ratios);
        }
    }
    print_row("**mean**", &means);
    print_row("mean of lru's", &of_lru);
    Ok(())
}

fn print_row(name: &str, ratios: &[f64]) {
    let ratios: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.4}")).collect();
    println!("| {name} | {} |", ratios.join(" | "));
}

fn curve(options: &Options) -> Result<(), String> {
    let curves = CurveOptions {
        policy: Some(PolicyName::Adaptive),
        scope: Scope::AllKeys,
        entries: options.entries,
        cpu_percent: 100,
    };
    println!("| trace, capacity % | policy | ¼ | ½ | 1 | 2 | 4 |\n|---|---|---|---|---|---|---|");
    let mut offs = Vec::new();
    for (name, trace, bytes) in options.read()? {
        for percent in PERCENTS {
            let capacity = bytes * percent / 100;
            let curve = run_curve(&curves, 1, capacity, &trace);
            let points: Vec<_> = curve.points().collect();
            for line in points.chunk_by(|one, other| one.policy == other.policy) {
                let off = line.iter().map(|point| {
                    let capacity = (capacity * point.percent + 50) / 100;
                    let measured = 1.0 - run(point.policy, 1, capacity, &trace).miss_ratio();
                    100.0 * (point.hit_ratio() - measured)
                });
                let off: Vec<f64> = off.collect();
                let text: Vec<String> = off.iter().map(|off| format!("{off:+.1}")).collect();
                let policy = line[0].policy.as_str();
                println!("| {name} {percent} | {policy} | {} |", text.join(" | "));
                offs.extend(off.iter().map(|off| off.abs()));
            }
        }
    }
    let beyond = offs.iter().filter(|&&off| off > 2.0).count();
    let mean = offs.iter().sum::<f64>() / offs.len() as f64;
    println!(
        "\n{} points, off by {mean:.2} on average, {beyond} by more than 2",
        offs.len()
    );
    Ok(())
}

/// How keys are spread, and how room is shared.
const SHARINGS: [(&str, Spread, Sharing); 6] = [
    ("even: equal", Spread::Even, Sharing::Equal),
    ("as filled", Spread::Even, Sharing::AsFilled),
    ("lent", Spread::Even, Sharing::Lent),
    ("skewed: equal", Spread::Skewed, Sharing::Equal),
    ("as filled", Spread::Skewed, Sharing::AsFilled),
    ("lent", Spread::Skewed, Sharing::Lent),
];

fn shards(options: &Options) -> Result<(), String> {
    let traces = options.read()?;
    let names: Vec<&str> = SHARINGS.iter().map(|&(name, ..)| name).collect();
    println!("| shards | trace, capacity % | {} |", names.join(" | "));
    println!("|---|---|{}", "---|".repeat(names.len()));
    for shards in [2, 4, 8] {
        let (mut means, mut rows) = (vec![0.0; SHARINGS.len()], 0);
        for (name, trace, bytes) in &traces {
            for percent in PERCENTS {
                let (policy, capacity) = ((PolicyName::Adaptive, 1), bytes * percent / 100);
                let alone = run(policy.0, policy.1, capacity, trace).misses as f64;
                let ratio = |&(_, spread, sharing): &(&str, Spread, Sharing)| {
                    let among = (shards, spread);
                    run_shards(policy, among, sharing, capacity, trace).misses as f64 / alone
                };
                let ratios: Vec<f64> = SHARINGS.iter().map(ratio).collect();
                for (mean, ratio) in means.iter_mut().zip(&ratios) {
                    *mean += ratio;
                }
                rows += 1;
                print_row(&format!("{shards} | {name} {percent}"), &ratios);
            }
        }
        let means: Vec<f64> = means.iter().map(|sum| sum / f64::from(rows)).collect();
        print_row(&format!("{shards} | **mean**"), &means);
    }
    Ok(())
}

fn cost(args: &[String]) -> Result<(), String> {
    let entries = args.first().map_or("1000000", String::as_str);
    let entries = entries.parse().map_err(|why| format!("{entries}: {why}"))?;
    let is_asked = |name: PolicyName| match args.get(1) {
        Some(asked) => asked == name.as_str(),
        None => name != PolicyName::Ttl,
    };
    println!(
        "| policy | a use, ns | a victim and an entry for it, ns | slowest, µs | bytes an entry |"
    );
    println!("|---|---|---|---|---|");
    for &name in PolicyName::ALL.iter().filter(|&&name| is_asked(name)) {
        print_cost(name, Full::new(name, entries));
    }
    Ok(())
}

fn print_cost(name: PolicyName, mut full: Full) {
    let (uses, victims) = (USES, 200_000);
    let start = cpu_ns();
    let mut history = full.any_history();
    for _ in 0..uses {
        history = full.used(black_box(history));
    }
    black_box(history);
    let use_ns = (cpu_ns() - start) as f64 / f64::from(uses);
    let (mut slowest, start) = (0, cpu_ns());
    let mut last = start;
    for _ in 0..victims {
        full.evict();
        full.insert();
        let now = cpu_ns();
        slowest = slowest.max(now - last);
        last = now;
    }
    let victim_ns = (last - start) as f64 / f64::from(victims);
    let (slowest_us, bytes) = (slowest / 1000, full.held_bytes_an_entry());
    let name = name.as_str();
    println!("| {name} | {use_ns:.1} | {victim_ns:.0} | {slowest_us} | {bytes:.1} |");
}

/// Time of this thread on a processor, others' turns not counted.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one `timespec`, which is there.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(done, 0, "every Linux has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
