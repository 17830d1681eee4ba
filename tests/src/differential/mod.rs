//! Random commands on Larder and on a real redis-server side by side, whose replies, and what is left in the end, must
//! be the same.
//!
//! A run is a row of *episodes*: each begins with empty servers, sends some hundred random commands over connections of
//! RESP2 and RESP3, alone and pipelined, in transactions and in scripts, and ends with a comparison of all keys. Commands
//! come from [`generate`]; which of them are made follows from what the reference answers to `COMMAND LIST`, and one that it
//! has and the subject has not fails the run. Replies are compared as what they promise ([`step::Promise`]): all of them
//! to the last byte, errors included, but for those without an order, for what is left of a deadline, and for samples
//! and scans, which are checked on each server by what they promise. A difference that is right has its entry in
//! [`explained`]; every other fails the run, with its seed and with a shorter episode that shows it ([`shrink`]).
//!
//! Left out: `OBJECT REFCOUNT` and `FREQ`, which tell of the implementation, and the size of a `DUMP`.

mod audit;
mod compare;
pub mod explained;
pub mod generate;
mod play;
mod scans;
mod shrink;
pub mod step;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Outcome;
use crate::resp::Reply;
use explained::{Explanations, Version};
use generate::{Cores, Known, Maker};
use play::Ledger;
use target::Target;
pub use target::{Contender, Fault};

/// Lines of a failing episode that are shown, its last ones.
const MAX_LINES: usize = 60;

/// A reference that ends more often within a run fails it.
const MAX_ENDS: u64 = 10;

/// What to play.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Episodes follow from it.
    pub seed: u64,
    /// The first episode.
    pub first: u64,
    /// Commands, at least.
    pub commands: u64,
    /// Where the subjects' keys are.
    pub cores: Cores,
    /// So many different faults are shrunk and reported, then the run ends.
    pub faults: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Commands sent to each server.
    pub commands: u64,
    /// Episodes played.
    pub episodes: u64,
    /// How often the reference ended in the midst of an episode.
    pub ends: u64,
    /// Explained differences, and how often each was met.
    pub met: BTreeMap<&'static str, u64>,
    /// A text for each fault, one of a kind.
    pub faults: Vec<String>,
    /// The lines of the shortest episode of each fault.
    pub shortest: Vec<Vec<String>>,
}

impl Report {
    /// One sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self {
            commands,
            episodes,
            ends,
            met,
            faults,
            ..
        } = self;
        let faults = faults.len();
        format!(
            "{commands} commands in {episodes} episodes, {faults} faults; the reference ended {ends} times; \
             explained differences: {met:?}"
        )
    }
}

/// Plays episodes until there were enough commands.
///
/// # Errors
/// A server does not start, the reference fails, or a subject has not a command that it should have.
pub fn run(reference: Contender, subjects: Vec<Contender>, plan: Plan) -> Outcome<Report> {
    let mut targets = vec![Target::start(reference)?];
    for subject in subjects {
        targets.push(Target::start(subject)?);
    }
    let known = known_to(&mut targets[0])?;
    lacks_none(&mut targets, &known.commands)?;
    let reference = version_of(&mut targets[0])?;
    let mut explained = Vec::new();
    for subject in &mut targets[1..] {
        explained.push(if subject.is_redis() {
            Explanations::between(reference, version_of(subject)?)
        } else {
            Explanations::with_larder(reference)
        });
    }
    let mut ledger = Ledger {
        explained,
        met: BTreeMap::new(),
        commands: 0,
        longest: Duration::ZERO,
        has_field_deadlines: known.has("HPEXPIRETIME"),
        tells_of_streams: known.tells_of_streams_as_now(),
    };
    let mut report = Report {
        commands: 0,
        episodes: 0,
        ends: 0,
        met: BTreeMap::new(),
        faults: Vec::new(),
        shortest: Vec::new(),
    };
    let mut kinds = BTreeSet::new();
    while report.commands < plan.commands && report.faults.len() < plan.faults {
        let episode = plan.first + report.episodes;
        let steps = Maker::new(plan.seed, episode, &known, plan.cores).episode();
        let before = ledger.commands;
        let found = match play::play(&mut targets, &steps, &mut ledger) {
            Ok(found) => found,
            Err(why) => {
                // It has faults of its own, and is started again. One that has many is no reference.
                report.ends += 1;
                report.episodes += 1;
                let text = format!("seed {} episode {episode}: {why}", plan.seed);
                if report.ends > MAX_ENDS {
                    return Err(text);
                }
                let lines: Vec<&str> = text.lines().take(MAX_LINES).collect();
                eprintln!("THE REFERENCE ENDED: {}\n", lines.join("\n"));
                continue;
            }
        };
        report.commands += ledger.commands - before;
        report.episodes += 1;
        let Some(difference) = found else {
            continue;
        };
        let met = std::mem::take(&mut ledger.met);
        let (steps, difference) = shrink::shrink(&mut targets, &mut ledger, &steps, difference)?;
        ledger.met = met;
        let lines: Vec<String> = steps.iter().flat_map(step::Step::lines).collect();
        let shown = lines.len().saturating_sub(MAX_LINES);
        if kinds.insert(difference.name.clone()) {
            let text = format!(
                "seed {} episode {episode}:\n{}\n\n{}",
                plan.seed,
                lines[shown..].join("\n"),
                difference.text
            );
            // Now, lest a run that is stopped tells nothing.
            eprintln!("{text}\n");
            report.faults.push(text);
            report.shortest.push(lines);
        }
    }
    report.met = ledger.met;
    for target in targets {
        target.stop()?;
    }
    Ok(report)
}

/// What episodes may have, by what the reference has.
fn known_to(reference: &mut Target) -> Outcome<Known> {
    let blpop = reference.ask(&["COMMAND", "INFO", "BLPOP"])?.lines();
    Ok(Known {
        commands: commands_of(reference)?,
        since_7_2: !blpop.iter().any(|line| line.ends_with("+noscript")),
    })
}

/// Names of commands, in upper case.
fn commands_of(target: &mut Target) -> Outcome<BTreeSet<String>> {
    match target.ask(&["COMMAND", "LIST"])? {
        Reply::Array(names) => Ok(names
            .iter()
            .map(|name| name.to_text().to_ascii_uppercase())
            .collect()),
        other => Err(format!("COMMAND LIST: {:?}", other.lines())),
    }
}

/// That no subject lacks what the reference has.
fn lacks_none(targets: &mut [Target], known: &BTreeSet<String>) -> Outcome<()> {
    let wanted: Vec<&str> = generate::commands()
        .into_iter()
        .filter(|name| known.contains(*name))
        .collect();
    for target in &mut targets[1..] {
        let has = commands_of(target)?;
        let lacks: Vec<_> = wanted.iter().filter(|name| !has.contains(**name)).collect();
        if !lacks.is_empty() {
            return Err(format!("{} has no {lacks:?}", target.label()));
        }
    }
    Ok(())
}

fn version_of(target: &mut Target) -> Outcome<Version> {
    let info = target.ask(&["INFO", "server"])?.to_text();
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .ok_or("INFO has no redis_version")?;
    let mut numbers = version.trim().split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(format!("no version: {version}")),
    }
}
