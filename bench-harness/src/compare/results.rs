//! Everything a comparison found out: the JSON document it writes, and what table and HTML report are made from.
//!
//! Each round is kept whole, the load's own report included, beside the medians drawn from them, so that others can draw
//! theirs. `larder-bench compare --from FILE` makes the table and the HTML report again from the document alone.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::scenario::{Case, CpuList, HitRatioCase, MemoryCase, Protocol};
use super::summary::{HitRatioSummary, MemorySummary, Summary};
use crate::machine::Machine;
use crate::report::Report;

/// The version of this document.
pub(crate) const FORMAT: u32 = 1;

/// A whole comparison.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The version of the harness.
    pub(crate) larder_bench: String,
    /// The arguments as given.
    pub(crate) command_line: Vec<String>,
    /// What was asked.
    pub(crate) settings: Settings,
    /// Where it was measured.
    pub(crate) machine: Machine,
    /// More of it.
    pub(crate) setting: Placement,
    /// When it began.
    pub(crate) started_unix_ms: u64,
    /// How long it took.
    pub(crate) took_seconds: f64,
    /// The servers of the scenario, also those that were skipped.
    pub(crate) servers: Vec<ServerReport>,
    /// Throughput, CPU and latency.
    pub(crate) cases: Vec<CaseReport<Case, Round, Summary>>,
    /// Bytes per key.
    pub(crate) memory: Vec<CaseReport<MemoryCase, MemoryRound, MemorySummary>>,
    /// Hit ratios.
    pub(crate) hit_ratio: Vec<CaseReport<HitRatioCase, HitRatioRound, HitRatioSummary>>,
    /// What a reader must know before believing it.
    pub(crate) warnings: Vec<String>,
}

/// The scenario as it was run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) title: String,
    pub(crate) description: String,
    /// The server that ratios are to.
    pub(crate) baseline: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) warmup_seconds: f64,
    /// The scenario file's text.
    pub(crate) scenario: String,
}

/// Which CPUs did what, and what they are like.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Placement {
    pub(crate) server_cpus: CpuList,
    pub(crate) load_cpus: CpuList,
    /// Whether a hypervisor stands between.
    pub(crate) is_virtual: bool,
    /// How the clocks are governed, where the kernel tells.
    pub(crate) governor: Option<String>,
}

/// One server of the scenario.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServerReport {
    pub(crate) name: String,
    pub(crate) label: String,
    /// Its command as the scenario has it.
    pub(crate) command: String,
    /// What hit-ratio cases add to it.
    pub(crate) hit_ratio_arguments: Option<String>,
    /// The program that was run.
    pub(crate) program: Option<String>,
    pub(crate) environment: std::collections::BTreeMap<String, String>,
    pub(crate) protocol: Protocol,
    /// Name and version as it, or its program, tells them.
    pub(crate) version: Option<String>,
    /// Why it was not measured.
    pub(crate) skipped: Option<String>,
}

/// One case and what each server made of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CaseReport<C, R, S> {
    /// Its name.
    pub(crate) name: String,
    /// What it asks.
    pub(crate) case: C,
    /// The arguments the load was given, without target, seed and output.
    pub(crate) load_arguments: Vec<String>,
    /// In the order of the servers.
    pub(crate) results: Vec<CaseResult<R, S>>,
    /// Servers that took no part, and why.
    pub(crate) skipped: Vec<SkippedServer>,
}

/// What one server made of one case.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CaseResult<R, S> {
    /// Its name.
    pub(crate) server: String,
    /// Medians and spread.
    pub(crate) summary: S,
    /// Every measurement.
    pub(crate) rounds: Vec<R>,
}

/// A server that took no part in a case.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SkippedServer {
    pub(crate) server: String,
    pub(crate) reason: String,
}

/// One throughput measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// From 0.
    pub(crate) round: u32,
    /// Its place among all measurements.
    pub(crate) order: u32,
    /// CPU time of the server from before the load's start to after its end.
    pub(crate) server_cpu_seconds: f64,
    /// The same by operation.
    pub(crate) cpu_us_per_op: f64,
    /// CPUs the server used, on average over that time.
    pub(crate) server_cores: f64,
    /// CPUs the load used, on average.
    pub(crate) load_cores: f64,
    /// CPUs that anything but the servers, the load and this program kept busy.
    pub(crate) foreign_cores: f64,
    /// The server's resident bytes afterwards.
    pub(crate) resident_bytes: u64,
    /// What the load reports.
    pub(crate) load: Report,
}

/// One filling of a fresh server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MemoryRound {
    pub(crate) round: u32,
    /// Resident bytes of the empty server.
    pub(crate) empty_bytes: u64,
    /// Resident bytes of the full one.
    pub(crate) full_bytes: u64,
    /// How many keys it said it held.
    pub(crate) keys: u64,
    /// `(full - empty) / keys`.
    pub(crate) bytes_per_key: f64,
    /// The same less key and value.
    pub(crate) overhead_per_key: f64,
}

/// One replay on a fresh server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HitRatioRound {
    pub(crate) round: u32,
    pub(crate) hit_ratio: f64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Resident bytes of the empty server.
    pub(crate) empty_bytes: u64,
    /// Resident bytes after the replay.
    pub(crate) resident_bytes: u64,
    /// How many keys it held in the end.
    pub(crate) keys: u64,
    /// What the load reports.
    pub(crate) load: Report,
}

impl Results {
    /// The servers that were measured.
    pub(crate) fn measured(&self) -> impl Iterator<Item = &ServerReport> {
        self.servers
            .iter()
            .filter(|server| server.skipped.is_none())
    }

    /// How reports call the server named `name`.
    pub(crate) fn label<'a>(&'a self, name: &'a str) -> &'a str {
        let server = self.servers.iter().find(|server| server.name == name);
        server.map_or(name, |server| server.label.as_str())
    }

    /// The place of the server named `name` in the scenario, which decides its colour.
    pub(crate) fn place(&self, name: &str) -> usize {
        let place = self.servers.iter().position(|server| server.name == name);
        place.unwrap_or(0)
    }

    /// Every server that was not measured or took no part in a case, once for each reason.
    pub(crate) fn absences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for server in &self.servers {
            if let Some(reason) = &server.skipped {
                lines.push(format!("{} was skipped: {reason}", server.label));
            }
        }
        let throughput = self.cases.iter().map(|case| (&case.name, &case.skipped));
        let memory = self.memory.iter().map(|case| (&case.name, &case.skipped));
        let hit_ratio = self
            .hit_ratio
            .iter()
            .map(|case| (&case.name, &case.skipped));
        // One line per server and reason, with the cases it is about.
        let mut reasons: Vec<(&SkippedServer, Vec<&str>)> = Vec::new();
        for (name, skipped) in throughput.chain(memory).chain(hit_ratio) {
            for one in skipped {
                match reasons.iter_mut().find(|(known, _)| *known == one) {
                    Some((_, cases)) => cases.push(name),
                    None => reasons.push((one, vec![name])),
                }
            }
        }
        for (skipped, cases) in reasons {
            let label = self.label(&skipped.server);
            let cases = match cases.len() {
                0..=3 => cases.join(", "),
                count => format!("{count} cases"),
            };
            lines.push(format!(
                "{label} takes no part in {cases}: {}",
                skipped.reason
            ));
        }
        lines
    }

    /// Reads a document that an earlier comparison wrote.
    ///
    /// # Errors
    /// The file cannot be read or is no such document.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let told = |error: String| Failure::Usage(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
        let results: Self = serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
        if results.format != FORMAT {
            return Err(told(format!(
                "format {} is not one this program reads",
                results.format
            )));
        }
        Ok(results)
    }
}
