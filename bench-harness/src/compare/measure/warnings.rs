//! What a reader must know before believing a comparison: a busy machine, a load at its limit, keys that were not there.

use crate::compare::format;
use crate::compare::proc;
use crate::compare::results::{Results, Round};
use crate::compare::scenario::case::{Axis, Work};

/// CPUs kept busy by others from which a measurement is doubtful.
const FOREIGN_CORES: f64 = 0.1;
/// The part of its CPUs from which the load counts as being at its limit.
const LOAD_LIMIT: f64 = 0.95;
/// The part of its CPUs below which a server had some left.
const SERVER_LEFT: f64 = 0.95;

/// The warnings that `results` give cause for.
pub(super) fn of(results: &Results) -> Vec<String> {
    let mut warnings = placement(results);
    let rounds: Vec<&Round> = results
        .cases
        .iter()
        .flat_map(|case| case.results.iter().flat_map(|result| &result.rounds))
        .collect();
    warnings.extend(foreign(&rounds));
    warnings.extend(load_limit(results, &rounds));
    warnings.extend(misses(results));
    warnings
}

fn placement(results: &Results) -> Vec<String> {
    let (servers, load) = (&results.setting.server_cpus, &results.setting.load_cpus);
    let mut warnings = Vec::new();
    if servers.overlaps(load) {
        warnings.push(format!(
            "The load shares CPUs with the servers (servers on {servers}, load on {load}): a server that needs less CPU \
             leaves more to the load, so throughput and latency say less than CPU per operation."
        ));
    }
    if let Some((server, twin)) = proc::shared_cores(servers, load).first() {
        warnings.push(format!(
            "CPU {server} of the servers and CPU {twin} of the load are two threads of one core and slow each other."
        ));
    }
    let baseline = &results.settings.baseline;
    if results.measured().all(|server| server.name != *baseline) {
        warnings.push(format!(
            "The baseline, {}, was not measured: there are no ratios.",
            results.label(baseline)
        ));
    }
    warnings
}

/// Anything else that used the machine.
fn foreign(rounds: &[&Round]) -> Option<String> {
    let busy = rounds
        .iter()
        .filter(|round| round.foreign_cores > FOREIGN_CORES)
        .count();
    let most = rounds
        .iter()
        .map(|round| round.foreign_cores)
        .fold(0.0, f64::max);
    (busy > 0).then(|| {
        format!(
            "Something else kept more than {FOREIGN_CORES} CPUs busy during {busy} of {} measurements (at most {}): \
             believe ratios rather than absolute figures.",
            rounds.len(),
            format::significant(most)
        )
    })
}

/// Measurements in which the load had no CPU left and the server had.
fn load_limit(results: &Results, rounds: &[&Round]) -> Option<String> {
    let load_cpus = results.setting.load_cpus.count() as f64;
    let server_cpus = results.setting.server_cpus.count() as f64;
    let limited = |round: &&&Round| {
        round.load_cores > LOAD_LIMIT * load_cpus && round.server_cores < SERVER_LEFT * server_cpus
    };
    let count = rounds.iter().filter(limited).count();
    (count > 0).then(|| {
        format!(
            "In {count} of {} measurements the load used all of its CPU while the server had some left: there, throughput \
             is the load's, and CPU per operation is what tells the servers apart.",
            rounds.len()
        )
    })
}

/// Reads of keys that had been set.
fn misses(results: &Results) -> Vec<String> {
    let mut warnings = Vec::new();
    for case in &results.cases {
        let reads = matches!(&case.case.work, Work::Command(template) if template == "GET");
        if !(reads && case.case.preload && case.case.ttl_seconds.is_none()) {
            continue;
        }
        for result in &case.results {
            if let Some(ratio) = result.summary.hit_ratio.filter(|ratio| *ratio < 1.0) {
                warnings.push(format!(
                    "{} found only {} of the keys that had been set, in {}: a miss is cheaper than a hit.",
                    results.label(&result.server),
                    format::percent(ratio),
                    case.case.title(&Axis::ALL)
                ));
            }
        }
    }
    warnings
}
