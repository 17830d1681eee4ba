//! A scenario as it stands in its TOML file, before it is validated: every field as written, defaults filled in.
//!
//! `COMPARE.md` in this package describes the format. An unknown field is an error, so that a misspelt one cannot
//! quietly measure something else.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The version of the format that this program reads.
pub(super) const FORMAT: u32 = 1;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) format: u32,
    pub(super) title: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) baseline: Option<String>,
    #[serde(default = "default_rounds")]
    pub(super) rounds: u32,
    #[serde(default = "default_seconds")]
    pub(super) seconds: f64,
    #[serde(default = "default_warmup_seconds")]
    pub(super) warmup_seconds: f64,
    #[serde(default)]
    pub(super) cpus: Cpus,
    #[serde(default)]
    pub(super) servers: Vec<Server>,
    #[serde(default)]
    pub(super) cases: Vec<Cases>,
    #[serde(default)]
    pub(super) memory: Vec<Memory>,
    #[serde(default)]
    pub(super) hit_ratio: Vec<HitRatio>,
}

fn default_rounds() -> u32 {
    5
}

fn default_seconds() -> f64 {
    3.0
}

fn default_warmup_seconds() -> f64 {
    0.5
}

/// Which CPUs the servers and the load get.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cpus {
    #[serde(default = "default_server_cpus")]
    pub(super) servers: String,
    /// A list, or `rest`: all that the servers do not have.
    #[serde(default = "default_load_cpus")]
    pub(super) load: String,
}

impl Default for Cpus {
    fn default() -> Self {
        Self {
            servers: default_server_cpus(),
            load: default_load_cpus(),
        }
    }
}

fn default_server_cpus() -> String {
    "0".to_owned()
}

fn default_load_cpus() -> String {
    "1".to_owned()
}

/// A program to measure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) label: Option<String>,
    pub(super) command: String,
    #[serde(default)]
    pub(super) hit_ratio_arguments: Option<String>,
    #[serde(default = "default_protocol")]
    pub(super) protocol: String,
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) missing: Missing,
    #[serde(default)]
    pub(super) skip: Vec<Skip>,
}

fn default_protocol() -> String {
    "resp2".to_owned()
}

/// What to do when a server's program is not found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Missing {
    /// Go on without it, and say so.
    #[default]
    Skip,
    /// Stop.
    Fail,
}

/// Cases a server takes no part in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    /// A pattern of case names, with `*`.
    pub(crate) cases: String,
    /// Shown in every report.
    pub(crate) reason: String,
}

/// A matrix of throughput cases: every combination of the lists is a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    /// What reports call the one command, ratio or preset.
    pub(super) name: Option<String>,
    pub(super) command: Option<List>,
    pub(super) ratio: Option<List>,
    pub(super) preset: Option<List>,
    #[serde(default = "one")]
    pub(super) pipeline: List,
    #[serde(default = "fifty")]
    pub(super) connections: List,
    #[serde(default = "sixty_four")]
    pub(super) value_bytes: List,
    #[serde(default = "uniform")]
    pub(super) key_distribution: List,
    #[serde(default = "hundred_thousand")]
    pub(super) keys: List,
    pub(super) rate: Option<List>,
    pub(super) key_bytes: Option<Scalar>,
    pub(super) ttl_seconds: Option<Scalar>,
    /// Threads of the load; one for each of its CPUs unless given.
    pub(super) threads: Option<usize>,
    /// Whether every key is set before the first round.
    #[serde(default = "yes")]
    pub(super) preload: bool,
    /// What stores a key before the first round, where that is not SET.
    pub(super) preload_command: Option<String>,
    /// More arguments for `larder-bench run`.
    #[serde(default)]
    pub(super) arguments: String,
}

fn yes() -> bool {
    true
}

fn one() -> List {
    List::number(1)
}

fn fifty() -> List {
    List::number(50)
}

fn sixty_four() -> List {
    List::number(64)
}

fn hundred_thousand() -> List {
    List::number(100_000)
}

fn uniform() -> List {
    List::One(Scalar::Text("uniform".to_owned()))
}

/// Bytes per key above the payload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    pub(super) name: String,
    pub(super) keys: u64,
    #[serde(default = "default_memory_value")]
    pub(super) value_bytes: u64,
    #[serde(default = "default_memory_key")]
    pub(super) key_bytes: u64,
    pub(super) ttl_seconds: Option<Scalar>,
    #[serde(default = "default_memory_rounds")]
    pub(super) rounds: u32,
    #[serde(default = "default_settle_seconds")]
    pub(super) settle_seconds: f64,
}

fn default_memory_value() -> u64 {
    64
}

fn default_memory_key() -> u64 {
    16
}

fn default_memory_rounds() -> u32 {
    1
}

fn default_settle_seconds() -> f64 {
    2.0
}

/// Hit ratio of a replayed trace at equal memory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HitRatio {
    pub(super) name: String,
    pub(super) trace: Option<String>,
    pub(super) synthetic: Option<super::Synthetic>,
    pub(super) maxmemory: Scalar,
    #[serde(default = "default_trace_value")]
    pub(super) value_bytes: u64,
    #[serde(default = "default_memory_rounds")]
    pub(super) rounds: u32,
    #[serde(default = "default_replay_connections")]
    pub(super) connections: u32,
}

fn default_trace_value() -> u64 {
    512
}

/// Each takes the next line when it is free, so the order is the trace's but for as many places; one connection alone would
/// spend its time on being woken.
fn default_replay_connections() -> u32 {
    16
}

/// A number or a text, such as `64` or `"lognormal:200:1"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Number(u64),
    Text(String),
}

impl Scalar {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// One value or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum List {
    One(Scalar),
    Many(Vec<Scalar>),
}

impl List {
    fn number(number: u64) -> Self {
        Self::One(Scalar::Number(number))
    }

    pub(super) fn texts(&self) -> Vec<String> {
        match self {
            Self::One(scalar) => vec![scalar.text()],
            Self::Many(scalars) => scalars.iter().map(Scalar::text).collect(),
        }
    }

    /// The values as numbers from 1.
    pub(super) fn numbers(&self, field: &str) -> Result<Vec<u64>, String> {
        let number = |text: String| {
            let number = text.replace('_', "").parse::<u64>().ok();
            let wrong = || format!("{field}: not a number from 1: {text}");
            number.filter(|number| *number > 0).ok_or_else(wrong)
        };
        self.texts().into_iter().map(number).collect()
    }
}
