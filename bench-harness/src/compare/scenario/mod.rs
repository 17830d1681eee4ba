//! A scenario: which servers, on which CPUs, under which loads. Read from TOML ([`file`]) and validated once, here.

pub(crate) mod case;
pub(crate) mod cpus;
mod file;
pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use case::Case;
pub(crate) use cpus::CpuList;
use file::{FORMAT, File, Scalar};
pub(crate) use file::{Missing, Skip};

use crate::compare::format;

/// A validated scenario.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Heading of the report.
    pub(crate) title: String,
    /// A paragraph beneath it.
    pub(crate) description: String,
    /// The server that ratios are to.
    pub(crate) baseline: String,
    /// How often every case visits every server.
    pub(crate) rounds: u32,
    /// How long a measurement takes.
    pub(crate) seconds: f64,
    /// Load before it, in no figure.
    pub(crate) warmup_seconds: f64,
    /// CPUs of the servers.
    pub(crate) server_cpus: CpuList,
    /// CPUs of the load.
    pub(crate) load_cpus: LoadCpus,
    /// The servers, in the order of the file.
    pub(crate) servers: Vec<ServerSpec>,
    /// Throughput cases.
    pub(crate) cases: Vec<Case>,
    /// Memory cases.
    pub(crate) memory: Vec<MemoryCase>,
    /// Hit-ratio cases.
    pub(crate) hit_ratio: Vec<HitRatioCase>,
    /// The file itself, for the report.
    pub(crate) source: String,
}

/// Which CPUs the load gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoadCpus {
    /// These.
    List(CpuList),
    /// All that the servers do not have; all, where they have all.
    Rest,
}

impl LoadCpus {
    /// The list `text` denotes, or `rest`.
    ///
    /// # Errors
    /// See [`CpuList::parse`].
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "rest" => Ok(Self::Rest),
            list => Ok(Self::List(CpuList::parse(list)?)),
        }
    }
}

/// A server as the scenario describes it.
#[derive(Clone, Debug)]
pub(crate) struct ServerSpec {
    /// Short and unique.
    pub(crate) name: String,
    /// How reports call it.
    pub(crate) label: String,
    /// The program and its arguments, with placeholders.
    pub(crate) command: Vec<String>,
    /// Arguments that bound its memory; without them it takes part in no hit-ratio case.
    pub(crate) hit_ratio_arguments: Option<Vec<String>>,
    /// How it is spoken to.
    pub(crate) protocol: Protocol,
    /// Arguments with which the program prints its version.
    pub(crate) version: Option<Vec<String>>,
    /// Variables on top of this process's own, with placeholders.
    pub(crate) environment: BTreeMap<String, String>,
    /// What to do without its program.
    pub(crate) missing: Missing,
    /// Cases it takes no part in.
    pub(crate) skip: Vec<Skip>,
}

impl ServerSpec {
    /// Why it takes no part in the case called `name`; `None` when it does.
    pub(crate) fn skipped(&self, name: &str) -> Option<&str> {
        let rule = self.skip.iter().find(|rule| matches(&rule.cases, name));
        rule.map(|rule| rule.reason.as_str())
    }
}

/// The protocol that the load speaks to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    Resp2,
    Resp3,
    MemcachedText,
    MemcachedMeta,
}

impl Protocol {
    const ALL: [Self; 4] = [
        Self::Resp2,
        Self::Resp3,
        Self::MemcachedText,
        Self::MemcachedMeta,
    ];

    /// Its name on the command line of `larder-bench run`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Resp2 => "resp2",
            Self::Resp3 => "resp3",
            Self::MemcachedText => "memcached-text",
            Self::MemcachedMeta => "memcached-meta",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|protocol| protocol.name() == text);
        known.copied().ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("protocol {text:?} is none of {names}")
        })
    }
}

/// Resident bytes per key above the payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemoryCase {
    /// Unique among all cases.
    pub(crate) name: String,
    /// How many keys are set.
    pub(crate) keys: u64,
    /// Size of each key.
    pub(crate) key_bytes: u64,
    /// Size of each value.
    pub(crate) value_bytes: u64,
    /// Time to live of each.
    pub(crate) ttl_seconds: Option<String>,
    /// How often it is done with a fresh server.
    pub(crate) rounds: u32,
    /// How long the server rests before its memory is read.
    pub(crate) settle_seconds: f64,
}

impl MemoryCase {
    /// Its heading.
    pub(crate) fn title(&self) -> String {
        let (keys, value) = (
            format::count(self.keys),
            format::size(self.value_bytes as f64),
        );
        let ttl = self.ttl_seconds.as_ref();
        let ttl = ttl.map_or(String::new(), |ttl| {
            format!(" · TTL {} s", format::number_text(ttl))
        });
        format!("{keys} keys · {} B + {value}{ttl}", self.key_bytes)
    }
}

/// Hit ratio of a trace at equal memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HitRatioCase {
    /// Unique among all cases.
    pub(crate) name: String,
    /// The keys, in order.
    pub(crate) trace: Trace,
    /// What each server is told to keep to.
    pub(crate) maxmemory_bytes: u64,
    /// Size of each value.
    pub(crate) value_bytes: u64,
    /// How often it is done with a fresh server.
    pub(crate) rounds: u32,
    /// Connections that replay it together.
    pub(crate) connections: u32,
}

impl HitRatioCase {
    /// Its heading.
    pub(crate) fn title(&self) -> String {
        let memory = format::size(self.maxmemory_bytes as f64);
        let value = format::size(self.value_bytes as f64);
        format!("{} · {memory} · values of {value}", self.name)
    }
}

/// Where the keys of a hit-ratio case come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trace {
    /// A file of one key a line, relative to the scenario or to `--traces`.
    File(String),
    /// Made up.
    Synthetic(Synthetic),
}

/// A made-up trace: popularity by Zipf's law, now and then a scan of keys that do not come back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Synthetic {
    /// Keys that are asked for again.
    pub(crate) keys: u64,
    /// Length of the trace.
    pub(crate) requests: u64,
    /// Skew: the k-th most popular key is asked for in proportion to k^-theta.
    pub(crate) theta: f64,
    /// Part of the requests that belong to scans.
    #[serde(default)]
    pub(crate) scan_fraction: f64,
    /// Keys one scan reads.
    #[serde(default = "default_scan_keys")]
    pub(crate) scan_keys: u64,
    /// Of the random numbers.
    #[serde(default = "default_seed")]
    pub(crate) seed: u64,
}

fn default_scan_keys() -> u64 {
    2000
}

fn default_seed() -> u64 {
    1
}

/// What every server's command and environment may name.
pub(crate) const PLACEHOLDERS: [&str; 3] = ["port", "dir", "cpus"];
/// What its `hit_ratio_arguments` may name besides.
pub(crate) const MEMORY_PLACEHOLDERS: [&str; 2] = ["maxmemory_bytes", "maxmemory_mib"];

/// The most that a scenario may ask for, so that a slip of the finger is seen at once.
const MAX_SECONDS: f64 = 86_400.0;

impl Scenario {
    /// Reads and validates the scenario in `path`.
    ///
    /// # Errors
    /// One text that says what is wrong with it and where.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let told = |error: String| format!("{}: {error}", path.display());
        let source = std::fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
        Self::parse(source).map_err(told)
    }

    /// Validates the scenario in `source`.
    ///
    /// # Errors
    /// One text that says what is wrong with it.
    pub(crate) fn parse(source: String) -> Result<Self, String> {
        let file: File = toml::from_str(&source).map_err(|error| error.to_string())?;
        if file.format != FORMAT {
            return Err(format!(
                "format {} is not one this program reads ({FORMAT})",
                file.format
            ));
        }
        let servers: Vec<ServerSpec> = each(&file.servers, server)?;
        let first = servers.first().ok_or("there are no [[servers]]")?;
        let scenario = Self {
            baseline: file.baseline.unwrap_or_else(|| first.name.clone()),
            title: file.title,
            description: file.description.trim().to_owned(),
            rounds: file.rounds,
            seconds: file.seconds,
            warmup_seconds: file.warmup_seconds,
            server_cpus: CpuList::parse(&file.cpus.servers)?,
            load_cpus: LoadCpus::parse(&file.cpus.load)?,
            servers,
            cases: each(&file.cases, case::expand)?
                .into_iter()
                .flatten()
                .collect(),
            memory: each(&file.memory, memory)?,
            hit_ratio: each(&file.hit_ratio, hit_ratio)?,
            source,
        };
        scenario.check()?;
        Ok(scenario)
    }

    /// The names of all cases of all kinds.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.cases.iter().map(Case::name).collect();
        names.extend(self.memory.iter().map(|case| case.name.clone()));
        names.extend(self.hit_ratio.iter().map(|case| case.name.clone()));
        names
    }

    /// Keeps the cases whose name one of `patterns` matches; all when there are none.
    ///
    /// # Errors
    /// A pattern that no case matches.
    pub(crate) fn keep(&mut self, patterns: &[String]) -> Result<(), String> {
        let names = self.names();
        for pattern in patterns {
            if !names.iter().any(|name| matches(pattern, name)) {
                return Err(format!(
                    "no case is called {pattern}; there are {}",
                    names.join(", ")
                ));
            }
        }
        let kept = |name: &str| patterns.is_empty() || patterns.iter().any(|p| matches(p, name));
        self.cases.retain(|case| kept(&case.name()));
        self.memory.retain(|case| kept(&case.name));
        self.hit_ratio.retain(|case| kept(&case.name));
        Ok(())
    }

    /// Keeps the servers called `names`; all when there are none. Another baseline takes over where it is left out.
    ///
    /// # Errors
    /// A name that no server has.
    pub(crate) fn keep_servers(&mut self, names: &[String]) -> Result<(), String> {
        if names.is_empty() {
            return Ok(());
        }
        if let Some(stranger) = names
            .iter()
            .find(|name| self.servers.iter().all(|s| s.name != **name))
        {
            return Err(format!("no server is called {stranger}"));
        }
        self.servers.retain(|server| names.contains(&server.name));
        if self
            .servers
            .iter()
            .all(|server| server.name != self.baseline)
        {
            self.baseline.clone_from(&self.servers[0].name);
        }
        Ok(())
    }

    /// What each part cannot check by itself. Options of the command line change a scenario, so it is asked again then.
    ///
    /// # Errors
    /// One text that says what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.rounds == 0 {
            return Err("rounds: at least 1".to_owned());
        }
        seconds("seconds", self.seconds, 0.05)?;
        seconds("warmup_seconds", self.warmup_seconds, 0.0)?;
        unique(
            "server",
            self.servers.iter().map(|server| server.name.clone()),
        )?;
        unique("case", self.names().into_iter())?;
        if self
            .servers
            .iter()
            .all(|server| server.name != self.baseline)
        {
            return Err(format!(
                "baseline {:?} is not the name of a server",
                self.baseline
            ));
        }
        if self.names().is_empty() {
            return Err(
                "there is nothing to measure: no [[cases]], [[memory]] or [[hit_ratio]]".to_owned(),
            );
        }
        Ok(())
    }
}

/// Applies `check` to every part.
fn each<P, T>(parts: &[P], check: fn(&P) -> Result<T, String>) -> Result<Vec<T>, String> {
    parts.iter().map(check).collect()
}

fn unique(kind: &str, names: impl Iterator<Item = String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(format!("two of one {kind} name: {name}"));
        }
    }
    Ok(())
}

fn seconds(field: &str, seconds: f64, least: f64) -> Result<(), String> {
    if (least..=MAX_SECONDS).contains(&seconds) {
        Ok(())
    } else {
        Err(format!(
            "{field} = {seconds} is not from {least} to {MAX_SECONDS}"
        ))
    }
}

fn server(file: &file::Server) -> Result<ServerSpec, String> {
    let named = |error: String| format!("server {:?}: {error}", file.name);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if file.name.is_empty() || !file.name.chars().all(plain) {
        return Err(named("a name has letters, digits and -_. only".to_owned()));
    }
    let command = words::split(&file.command).map_err(named)?;
    if command.is_empty() {
        return Err(named("command is empty".to_owned()));
    }
    let in_command = command.iter().any(|word| word.contains("{port}"));
    if !in_command
        && !file
            .environment
            .values()
            .any(|value| value.contains("{port}"))
    {
        return Err(named(
            "neither command nor environment has {port}".to_owned(),
        ));
    }
    let optional = |text: &Option<String>| text.as_deref().map(words::split).transpose();
    let hit_ratio_arguments = optional(&file.hit_ratio_arguments).map_err(named)?;
    // A wrong placeholder is told now and not when the server's turn comes.
    let plain = PLACEHOLDERS.map(|name| (name, String::new()));
    let bounded = [
        plain.as_slice(),
        &MEMORY_PLACEHOLDERS.map(|name| (name, String::new())),
    ]
    .concat();
    for word in command.iter().chain(file.environment.values()) {
        words::fill(word, &plain).map_err(named)?;
    }
    for word in hit_ratio_arguments.iter().flatten() {
        words::fill(word, &bounded).map_err(named)?;
    }
    Ok(ServerSpec {
        name: file.name.clone(),
        label: file.label.clone().unwrap_or_else(|| file.name.clone()),
        command,
        hit_ratio_arguments,
        protocol: Protocol::parse(&file.protocol).map_err(named)?,
        version: optional(&file.version).map_err(named)?,
        environment: file.environment.clone(),
        missing: file.missing,
        skip: file.skip.clone(),
    })
}

fn memory(file: &file::Memory) -> Result<MemoryCase, String> {
    if file.keys == 0 || file.rounds == 0 || file.key_bytes == 0 {
        return Err(format!(
            "memory {:?}: keys, key_bytes and rounds are at least 1",
            file.name
        ));
    }
    seconds("settle_seconds", file.settle_seconds, 0.0)?;
    Ok(MemoryCase {
        name: file.name.clone(),
        keys: file.keys,
        key_bytes: file.key_bytes,
        value_bytes: file.value_bytes,
        ttl_seconds: file.ttl_seconds.as_ref().map(Scalar::text),
        rounds: file.rounds,
        settle_seconds: file.settle_seconds,
    })
}

fn hit_ratio(file: &file::HitRatio) -> Result<HitRatioCase, String> {
    let named = |error: &str| format!("hit_ratio {:?}: {error}", file.name);
    let trace = match (&file.trace, file.synthetic) {
        (Some(path), None) => Trace::File(path.clone()),
        (None, Some(made_up)) => {
            let sound = made_up.keys > 0
                && made_up.requests > 0
                && made_up.scan_keys > 0
                && (0.0..1.0).contains(&made_up.scan_fraction)
                && (0.0..=5.0).contains(&made_up.theta);
            if !sound {
                return Err(named(
                    "synthetic: keys, requests and scan_keys from 1, theta 0 to 5, scan_fraction below 1",
                ));
            }
            Trace::Synthetic(made_up)
        }
        _ => return Err(named("give exactly one of trace and synthetic")),
    };
    if file.rounds == 0 || file.connections == 0 {
        return Err(named("rounds and connections are at least 1"));
    }
    let maxmemory = file.maxmemory.text();
    Ok(HitRatioCase {
        name: file.name.clone(),
        trace,
        maxmemory_bytes: bytes(&maxmemory)
            .ok_or_else(|| named("maxmemory is no size like 64mb"))?,
        value_bytes: file.value_bytes,
        rounds: file.rounds,
        connections: file.connections,
    })
}

/// A size such as `64mb`, in powers of two as in redis.conf.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "b" => 1,
        "kb" | "kib" => 1 << 10,
        "mb" | "mib" => 1 << 20,
        "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    let number = digits.trim().replace('_', "").parse::<u64>().ok()?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}

/// Whether `pattern`, in which `*` stands for any text, matches the whole of `name`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            let mut ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            ends.any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests;
