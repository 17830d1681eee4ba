//! Throughput cases: operations a second, latency, server CPU per operation.
//!
//! The server's CPU clock is read before the load's process starts and after it ends, and the load does nothing but the
//! measurement in between (no warm-up, no preload), so all operations counted and all CPU counted belong to each other. What
//! is in the CPU beyond them is the opening and closing of the connections, some 20 µs each.

use std::time::{Duration, Instant};

use super::{Lab, rotated};
use crate::compare::failure::Failure;
use crate::compare::format;
use crate::compare::load::Patience;
use crate::compare::proc;
use crate::compare::results::{CaseReport, CaseResult, Round, SkippedServer};
use crate::compare::scenario::Case;
use crate::compare::scenario::case::Axis;
use crate::compare::server::Server;
use crate::compare::summary::Summary;
use crate::report::Report;

/// What starting, connecting and stopping the load takes, for the time still to go.
const OVERHEAD_SECONDS: f64 = 0.25;
/// Warm-up draws other keys than the measurement after it.
const WARMUP_SEED: u64 = 1 << 32;

pub(super) type Reports = Vec<CaseReport<Case, Round, Summary>>;

/// A server that runs during the cases of one data set.
struct Running {
    index: usize,
    server: Server,
}

/// Who takes part in a case, and what came out so far.
struct Entry<'a> {
    case: &'a Case,
    part: Vec<usize>,
    skipped: Vec<SkippedServer>,
    /// By place in `part`.
    rounds: Vec<Vec<Round>>,
}

pub(super) fn seconds_expected(lab: &Lab<'_>) -> f64 {
    let visits = lab
        .scenario
        .cases
        .iter()
        .map(|case| lab.taking_part(&case.name(), |_| None).0.len())
        .sum::<usize>();
    visits as f64 * f64::from(lab.scenario.rounds) * visit_seconds(lab)
}

fn visit_seconds(lab: &Lab<'_>) -> f64 {
    let warmup = lab.scenario.warmup_seconds;
    let runs = if warmup > 0.0 { 2.0 } else { 1.0 };
    lab.scenario.seconds + warmup + runs * OVERHEAD_SECONDS
}

/// Measures every case, those of one data set together.
pub(super) fn measure(lab: &mut Lab<'_>) -> Result<Reports, Failure> {
    let scenario = lab.scenario;
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for case in &scenario.cases {
        let (part, skipped) = lab.taking_part(&case.name(), |_| None);
        let rounds = part.iter().map(|_| Vec::new()).collect();
        entries.push(Entry {
            case,
            part,
            skipped,
            rounds,
        });
    }
    let mut sets: Vec<String> = Vec::new();
    for entry in &entries {
        let set = entry.case.data_set();
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    for set in sets {
        let mut members: Vec<&mut Entry<'_>> = entries
            .iter_mut()
            .filter(|entry| entry.case.data_set() == set)
            .collect();
        measure_set(lab, &mut members)?;
    }
    entries
        .into_iter()
        .map(|entry| report(lab, entry))
        .collect()
}

/// Starts and fills the servers once, then visits them by round, case and turn.
fn measure_set(lab: &mut Lab<'_>, members: &mut [&mut Entry<'_>]) -> Result<(), Failure> {
    let first = members[0].case;
    let mut running: Vec<Running> = Vec::new();
    for index in 0..lab.present.len() {
        if members.iter().any(|member| member.part.contains(&index)) {
            let mut server = lab.start(index, &[], &[])?;
            if first.preload {
                let spec = lab.present[index].spec;
                lab.progress.say(&format!(
                    "{} · {} keys are set",
                    spec.label,
                    format::count(first.keys)
                ));
                lab.load.run(
                    &mut server,
                    spec.protocol,
                    &first.preload_arguments(),
                    Patience::Done,
                )?;
            }
            server.rest()?;
            running.push(Running { index, server });
        }
    }
    for round in 0..lab.scenario.rounds {
        for member in members.iter_mut() {
            let turn: Vec<usize> = rotated(&member.part, round).collect();
            for index in turn {
                let measured = visit(lab, &mut running, index, member.case, round)?;
                let place = member.part.iter().position(|part| *part == index);
                member.rounds[place.expect("turns are a rotation of the part")].push(measured);
            }
        }
    }
    Ok(())
}

/// One measurement, after its warm-up.
fn visit(
    lab: &mut Lab<'_>,
    running: &mut [Running],
    index: usize,
    case: &Case,
    round: u32,
) -> Result<Round, Failure> {
    let spec = lab.present[index].spec;
    let about = format!(
        "round {} · {} · {}",
        round + 1,
        case.title(&Axis::ALL),
        spec.label
    );
    lab.progress.say(&about);
    let threads = lab.load.cpus().count();
    let arguments = |seconds: f64, seed: u64| {
        let mut arguments = case.load_arguments(threads);
        arguments.extend(["--duration".to_owned(), seconds.to_string()]);
        arguments.extend(["--seed".to_owned(), seed.to_string()]);
        arguments
    };
    let one = running.iter_mut().find(|one| one.index == index);
    let server = &mut one.expect("all that take part run").server;
    server.wake();
    let (seconds, warmup) = (lab.scenario.seconds, lab.scenario.warmup_seconds);
    // The same keys for every server of a round, others in every round.
    let seed = u64::from(round) + 1;
    if warmup > 0.0 {
        let warming = arguments(warmup, seed + WARMUP_SEED);
        lab.load
            .run(server, spec.protocol, &warming, Patience::Seconds(warmup))?;
    }
    let before = Clocks::read(server)?;
    let report = lab.load.run(
        server,
        spec.protocol,
        &arguments(seconds, seed),
        Patience::Seconds(seconds),
    )?;
    let after = Clocks::read(server)?;
    let resident_bytes = server.resident_bytes()?;
    server.rest()?;
    let measured = round_of(round, lab.order, &before, &after, resident_bytes, report);
    lab.order += 1;
    lab.progress.done(visit_seconds(lab));
    lab.progress.result(&format!(
        "{about}: {} op/s, {} µs/op",
        format::rate(measured.load.totals.ops_per_second),
        format::significant(measured.cpu_us_per_op)
    ));
    Ok(measured)
}

/// All clocks at one moment.
struct Clocks {
    wall: Instant,
    machine: Duration,
    own: Duration,
    server: Duration,
}

impl Clocks {
    fn read(server: &mut Server) -> Result<Self, Failure> {
        let told = |error: std::io::Error| {
            Failure::Failed(format!("cannot read the machine's clocks: {error}"))
        };
        Ok(Self {
            server: server.cpu_time()?,
            own: proc::own_cpu_time().map_err(told)?,
            machine: proc::machine_busy().map_err(told)?,
            wall: Instant::now(),
        })
    }
}

fn round_of(
    round: u32,
    order: u32,
    before: &Clocks,
    after: &Clocks,
    resident_bytes: u64,
    load: Report,
) -> Round {
    let spent =
        |clock: fn(&Clocks) -> Duration| clock(after).saturating_sub(clock(before)).as_secs_f64();
    let server = spent(|clocks| clocks.server);
    let wall = after.wall.duration_since(before.wall).as_secs_f64();
    let foreign = spent(|clocks| clocks.machine) - server - spent(|clocks| clocks.own);
    Round {
        round,
        order,
        server_cpu_seconds: server,
        cpu_us_per_op: server * 1e6 / load.totals.operations as f64,
        server_cores: server / wall,
        load_cores: load.totals.client_cpu_seconds / load.totals.seconds,
        foreign_cores: (foreign / wall).max(0.0),
        resident_bytes,
        load,
    }
}

fn report(lab: &Lab<'_>, entry: Entry<'_>) -> Result<CaseReport<Case, Round, Summary>, Failure> {
    let baseline = entry
        .part
        .iter()
        .position(|index| lab.present[*index].spec.name == lab.scenario.baseline);
    let baseline = baseline.map(|place| entry.rounds[place].clone());
    let mut results = Vec::new();
    for (index, rounds) in entry.part.iter().zip(entry.rounds) {
        let spec = lab.present[*index].spec;
        let summary = Summary::of(&rounds, baseline.as_deref())
            .map_err(|error| Failure::Failed(format!("{}: {}", spec.label, error.0)))?;
        results.push(CaseResult {
            server: spec.name.clone(),
            summary,
            rounds,
        });
    }
    Ok(CaseReport {
        name: entry.case.name(),
        case: entry.case.clone(),
        load_arguments: entry.case.load_arguments(lab.load.cpus().count()),
        results,
        skipped: entry.skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::testing::report as load_report;

    fn clocks(wall: Instant, machine: u64, own: u64, server: u64) -> Clocks {
        Clocks {
            wall,
            machine: Duration::from_millis(machine),
            own: Duration::from_millis(own),
            server: Duration::from_millis(server),
        }
    }

    #[test]
    fn the_cpu_of_a_round_is_that_between_two_looks() {
        let now = Instant::now();
        let before = clocks(now, 1000, 100, 500);
        let after = clocks(now + Duration::from_secs(2), 3000, 700, 1500);
        let mut load = load_report(1_000_000.0, &[10]);
        load.totals.client_cpu_seconds = 0.5;
        let round = round_of(3, 9, &before, &after, 77, load);
        let near = |value: f64, wanted: f64| (value - wanted).abs() < 1e-9;
        assert!(near(round.cpu_us_per_op, 1.0), "a second for a million");
        assert!(near(round.server_cores, 0.5) && near(round.load_cores, 0.5));
        // 2 s busy less 1 s of the server and 600 ms of the load, over 2 s.
        assert!(near(round.foreign_cores, 0.2), "{}", round.foreign_cores);
        assert_eq!((round.round, round.order, round.resident_bytes), (3, 9, 77));
    }
}
