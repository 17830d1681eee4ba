//! Memory cases: resident bytes per key above key and value, of a fresh server filled with so many keys.
//!
//! Resident bytes of the empty server are taken off, so that what is left is what the keys cost. A server that does not
//! hold every key in the end has thrown some away, and its figure would be a lie: that fails.

use std::time::Duration;

use super::{Lab, in_rounds};
use crate::compare::failure::Failure;
use crate::compare::format;
use crate::compare::load::Patience;
use crate::compare::results::{CaseReport, CaseResult, MemoryRound};
use crate::compare::scenario::MemoryCase;
use crate::compare::scenario::case::PRELOAD_ONLY;
use crate::compare::summary::MemorySummary;

/// About how many keys a second a server is filled with, for the time still to go.
const KEYS_PER_SECOND: f64 = 500_000.0;

pub(super) type Reports = Vec<CaseReport<MemoryCase, MemoryRound, MemorySummary>>;

pub(super) fn seconds_expected(lab: &Lab<'_>) -> f64 {
    let part = |case: &MemoryCase| lab.taking_part(&case.name, |_| None).0.len();
    let seconds =
        |case: &MemoryCase| part(case) as f64 * f64::from(case.rounds) * visit_seconds(case);
    lab.scenario.memory.iter().map(seconds).sum()
}

fn visit_seconds(case: &MemoryCase) -> f64 {
    2.0 * case.settle_seconds + case.keys as f64 / KEYS_PER_SECOND
}

/// Measures every case.
pub(super) fn measure(lab: &mut Lab<'_>) -> Result<Reports, Failure> {
    let scenario = lab.scenario;
    let mut reports = Vec::new();
    for case in &scenario.memory {
        let (part, skipped) = lab.taking_part(&case.name, |_| None);
        let rounds = in_rounds(&part, case.rounds, |index, round| {
            let measured = visit(lab, index, case, round)?;
            lab.progress.done(visit_seconds(case));
            Ok(measured)
        })?;
        let results = part.iter().zip(rounds).map(|(index, rounds)| CaseResult {
            server: lab.present[*index].spec.name.clone(),
            summary: MemorySummary::of(&rounds),
            rounds,
        });
        reports.push(CaseReport {
            name: case.name.clone(),
            case: case.clone(),
            load_arguments: arguments(case),
            results: results.collect(),
            skipped,
        });
    }
    Ok(reports)
}

fn arguments(case: &MemoryCase) -> Vec<String> {
    let mut arguments: Vec<String> = PRELOAD_ONLY.map(str::to_owned).to_vec();
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    add("--ratio", "0:1".to_owned());
    add("--keys", case.keys.to_string());
    add("--key-bytes", case.key_bytes.to_string());
    add("--value-bytes", case.value_bytes.to_string());
    if let Some(ttl) = &case.ttl_seconds {
        add("--ttl-seconds", ttl.clone());
    }
    arguments
}

fn visit(
    lab: &mut Lab<'_>,
    index: usize,
    case: &MemoryCase,
    round: u32,
) -> Result<MemoryRound, Failure> {
    let spec = lab.present[index].spec;
    let about = format!("{} · {}", case.title(), spec.label);
    lab.progress.say(&about);
    let settle = Duration::from_secs_f64(case.settle_seconds);
    let mut server = lab.start(index, &[], &[])?;
    lab.load.interrupt().sleep(settle)?;
    let empty_bytes = server.resident_bytes()?;
    lab.load
        .run(&mut server, spec.protocol, &arguments(case), Patience::Done)?;
    lab.load.interrupt().sleep(settle)?;
    let full_bytes = server.resident_bytes()?;
    let keys = server.key_count()?;
    if keys != case.keys {
        let (held, wanted) = (format::count(keys), format::count(case.keys));
        return Err(server.failed(&format!("holds {held} keys after {wanted} were set")));
    }
    let measured = round_of(case, round, empty_bytes, full_bytes);
    lab.progress.result(&format!(
        "{about}: {} bytes a key above the payload",
        format::significant(measured.overhead_per_key)
    ));
    Ok(measured)
}

fn round_of(case: &MemoryCase, round: u32, empty_bytes: u64, full_bytes: u64) -> MemoryRound {
    let bytes_per_key = (full_bytes as f64 - empty_bytes as f64) / case.keys as f64;
    MemoryRound {
        round,
        empty_bytes,
        full_bytes,
        keys: case.keys,
        bytes_per_key,
        overhead_per_key: bytes_per_key - (case.key_bytes + case.value_bytes) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_what_is_resident_beyond_the_empty_server_and_the_payload() {
        let case = MemoryCase {
            name: "m".to_owned(),
            keys: 1000,
            key_bytes: 16,
            value_bytes: 64,
            ttl_seconds: Some("60".to_owned()),
            rounds: 1,
            settle_seconds: 0.0,
        };
        let round = round_of(&case, 0, 5_000, 105_000);
        assert_eq!((round.bytes_per_key, round.overhead_per_key), (100.0, 20.0));
        let arguments = arguments(&case).join(" ");
        for part in [
            "--preload",
            "--keys 1000",
            "--key-bytes 16",
            "--value-bytes 64",
            "--ttl-seconds 60",
        ] {
            assert!(arguments.contains(part), "{arguments}");
        }
    }
}
