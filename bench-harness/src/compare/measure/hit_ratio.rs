//! Hit-ratio cases: a trace replayed (get, set on a miss) on fresh servers that are all given the same memory.
//!
//! Each server keeps to its bound by its own accounting, so the resident bytes afterwards stand beside the ratio: one that
//! overruns its bound buys hits with memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::{Lab, in_rounds};
use crate::compare::failure::Failure;
use crate::compare::format;
use crate::compare::load::Patience;
use crate::compare::results::{CaseReport, CaseResult, HitRatioRound};
use crate::compare::scenario::{HitRatioCase, MEMORY_PLACEHOLDERS, ServerSpec, Trace};
use crate::compare::scratch::Scratch;
use crate::compare::summary::HitRatioSummary;
use crate::compare::trace;

/// About how many requests a second a replay makes, for the time still to go.
const REQUESTS_PER_SECOND: f64 = 50_000.0;
/// How many requests a trace from a file is taken to have, for the time still to go.
const FILE_REQUESTS: u64 = 500_000;

pub(super) type Reports = Vec<CaseReport<HitRatioCase, HitRatioRound, HitRatioSummary>>;

/// Why a server without a bound on its memory does not take part.
fn unbounded(spec: &ServerSpec) -> Option<&str> {
    match spec.hit_ratio_arguments {
        Some(_) => None,
        None => Some("the scenario does not say how its memory is bounded (hit_ratio_arguments)"),
    }
}

pub(super) fn seconds_expected(lab: &Lab<'_>) -> f64 {
    let part = |case: &HitRatioCase| lab.taking_part(&case.name, unbounded).0.len();
    let seconds =
        |case: &HitRatioCase| part(case) as f64 * f64::from(case.rounds) * visit_seconds(case);
    lab.scenario.hit_ratio.iter().map(seconds).sum()
}

fn visit_seconds(case: &HitRatioCase) -> f64 {
    let requests = match &case.trace {
        Trace::Synthetic(made_up) => made_up.requests,
        Trace::File(_) => FILE_REQUESTS,
    };
    requests as f64 / REQUESTS_PER_SECOND
}

/// Measures every case.
pub(super) fn measure(lab: &mut Lab<'_>) -> Result<Reports, Failure> {
    let scenario = lab.scenario;
    let scratch = Scratch::new("traces")?;
    let mut reports = Vec::new();
    for case in &scenario.hit_ratio {
        let file = trace_file(lab, case, &scratch)?;
        let (part, skipped) = lab.taking_part(&case.name, unbounded);
        let rounds = in_rounds(&part, case.rounds, |index, round| {
            let measured = visit(lab, index, case, &file, round)?;
            lab.progress.done(visit_seconds(case));
            Ok(measured)
        })?;
        let results = part.iter().zip(rounds).map(|(index, rounds)| CaseResult {
            server: lab.present[*index].spec.name.clone(),
            summary: HitRatioSummary::of(&rounds),
            rounds,
        });
        reports.push(CaseReport {
            name: case.name.clone(),
            case: case.clone(),
            load_arguments: arguments(case, "TRACE"),
            results: results.collect(),
            skipped,
        });
    }
    Ok(reports)
}

/// The file of the trace, which is made where the scenario describes it.
fn trace_file(lab: &Lab<'_>, case: &HitRatioCase, scratch: &Scratch) -> Result<PathBuf, Failure> {
    match &case.trace {
        Trace::File(path) => {
            let file = lab.traces.join(path);
            if file.is_file() {
                return Ok(file);
            }
            let name = &case.name;
            Err(Failure::Failed(format!(
                "hit_ratio {name:?}: no trace {} (see --traces)",
                file.display()
            )))
        }
        Trace::Synthetic(made_up) => {
            lab.progress
                .say(&format!("{} · the trace is made", case.name));
            let file = scratch.path().join(format!("{}.txt", case.name));
            let written = File::create(&file).and_then(|out| {
                let mut out = BufWriter::new(out);
                trace::write(made_up, &mut out)?;
                out.flush()
            });
            written.map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
            Ok(file)
        }
    }
}

fn arguments(case: &HitRatioCase, file: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    add("--replay", file.to_owned());
    add("--value-bytes", case.value_bytes.to_string());
    add("--clients", case.connections.to_string());
    add("--threads", "1".to_owned());
    arguments
}

fn visit(
    lab: &mut Lab<'_>,
    index: usize,
    case: &HitRatioCase,
    file: &std::path::Path,
    round: u32,
) -> Result<HitRatioRound, Failure> {
    let spec = lab.present[index].spec;
    let about = format!("{} · {}", case.title(), spec.label);
    lab.progress.say(&about);
    let bytes = case.maxmemory_bytes;
    let values = [bytes.to_string(), (bytes >> 20).max(1).to_string()];
    let values: Vec<(&'static str, String)> = MEMORY_PLACEHOLDERS.into_iter().zip(values).collect();
    let more = spec.hit_ratio_arguments.as_deref().unwrap_or_default();
    let mut server = lab.start(index, more, &values)?;
    let empty_bytes = server.resident_bytes()?;
    let arguments = arguments(case, &file.display().to_string());
    let load = lab
        .load
        .run(&mut server, spec.protocol, &arguments, Patience::Done)?;
    let Some(hit_ratio) = load.totals.hit_ratio else {
        return Err(server.failed("was not read from in the replay"));
    };
    lab.progress
        .result(&format!("{about}: {} hits", format::percent(hit_ratio)));
    Ok(HitRatioRound {
        round,
        hit_ratio,
        hits: load.totals.hits,
        misses: load.totals.misses,
        empty_bytes,
        resident_bytes: server.resident_bytes()?,
        keys: server.key_count()?,
        load,
    })
}
