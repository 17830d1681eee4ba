//! The command line resolved: every default filled in, everything checked that can be before a server is asked.

use std::fmt::Display;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::args::{Args, Ratio, Ttl};
use super::distribution::KeyDistribution;
use super::net::Address;
use super::preset::{self, Preset};
use super::protocol::Protocol;
use super::schedule::Arrivals;
use super::size::SizeDistribution;

/// More connections than a machine has ports.
const MAX_CLIENTS: usize = 60_000;

/// More threads than any machine has processors for.
const MAX_THREADS: usize = 1024;

/// Deeper pipelines measure the buffers.
const MAX_PIPELINE: usize = 100_000;

/// What is measured when nothing else is said.
const DEFAULT_SECONDS: f64 = 10.0;

/// Everything that decides what a run does; with the program's version, enough to repeat it.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// The server.
    #[serde(serialize_with = "as_text")]
    pub target: Address,
    /// What is spoken.
    pub protocol: Protocol,
    /// The name to go by.
    pub user: Option<String>,
    /// Not in reports.
    #[serde(skip)]
    pub password: Option<String>,
    /// The database.
    pub db: u32,
    /// Whether commands are routed by the map of a cluster.
    pub cluster: bool,
    /// The longest silence.
    pub timeout_seconds: f64,
    /// Connections, or with a cluster clients.
    pub clients: usize,
    /// Threads.
    pub threads: usize,
    /// Where they run, when told.
    pub cpus: Option<Vec<usize>>,
    /// Commands sent together, or owed at most in the open loop.
    pub pipeline: usize,
    /// The open loop's.
    pub rate: Option<f64>,
    /// The open loop's.
    pub arrivals: Arrivals,
    /// How long is measured, when it is time that ends the run.
    pub duration_seconds: Option<f64>,
    /// How much is measured, when it is a count.
    pub operations: Option<u64>,
    /// Before that.
    pub warmup_seconds: f64,
    /// The preset that was asked for.
    pub preset: Option<String>,
    /// The commands.
    pub commands: Vec<Weighted>,
    /// The trace, when one is replayed.
    pub replay: Option<PathBuf>,
    /// What stores every key beforehand, when that is asked for.
    pub preload: Option<String>,
    /// Whether a template of several commands is one operation.
    pub groups_as_one: bool,
    /// Whether values are checked.
    pub verify: bool,
    /// Those of the pub/sub preset; 0 without it.
    pub subscribers: usize,
    /// Likewise.
    pub channels: usize,
    /// How many keys.
    pub keys: u64,
    /// What they begin with.
    pub key_prefix: String,
    /// How they are chosen.
    #[serde(serialize_with = "as_text")]
    pub key_distribution: KeyDistribution,
    /// How long they are, when told.
    #[serde(serialize_with = "as_optional_text")]
    pub key_bytes: Option<SizeDistribution>,
    /// How long values are.
    #[serde(serialize_with = "as_text")]
    pub value_bytes: SizeDistribution,
    /// From and to, when what is stored expires.
    pub ttl_seconds: Option<(u64, u64)>,
    /// What `__field__` chooses from.
    pub fields: u64,
    /// Where random numbers begin.
    pub seed: u64,
}

/// A template and how often it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Weighted {
    /// The text.
    pub template: String,
    /// Relative to the others.
    pub weight: u32,
}

fn as_text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_optional_text<T: Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

impl Settings {
    /// Fills in and checks.
    ///
    /// # Errors
    /// One line that says what does not go together.
    pub fn resolve(args: &Args) -> Result<Self, String> {
        check_ranges(args)?;
        let preset = args.preset.as_deref().map(preset::find).transpose()?;
        let is_pubsub = preset.is_some_and(|preset| preset.name == preset::PUBSUB);
        let from_preset = |text: &str| text.parse::<SizeDistribution>();
        let value_bytes = match (&args.value_bytes, preset) {
            (Some(sizes), _) => sizes.clone(),
            (None, Some(preset)) => from_preset(preset.value_bytes)?,
            (None, None) => SizeDistribution::Fixed(64),
        };
        let key_distribution = match (args.key_distribution, preset) {
            (Some(distribution), _) => distribution,
            (None, Some(preset)) => preset.distribution.parse()?,
            (None, None) => KeyDistribution::Uniform,
        };
        let replaying = args.replay.is_some();
        let clients = args.clients.unwrap_or(if replaying { 1 } else { 50 });
        let ends_by_itself = args.operations.is_some() || replaying;
        Ok(Self {
            target: match &args.unix {
                Some(path) => Address::Unix(path.clone()),
                None => args.server.clone(),
            },
            protocol: args.protocol,
            user: args.user.clone(),
            password: args.password.clone(),
            db: args.db,
            cluster: args.cluster,
            timeout_seconds: args.timeout_seconds,
            clients,
            threads: args.threads.min(clients),
            cpus: args.cpus.as_ref().map(|cpus| cpus.0.clone()),
            pipeline: args.pipeline,
            rate: args.rate,
            arrivals: args.arrivals,
            duration_seconds: args
                .duration
                .or((!ends_by_itself).then_some(DEFAULT_SECONDS)),
            operations: args.operations,
            warmup_seconds: args.warmup,
            preset: args.preset.clone(),
            commands: commands(args, preset)?,
            replay: args.replay.clone(),
            preload: args.preload.then(|| preload(args, preset)),
            groups_as_one: args.groups_as_one,
            verify: args.verify,
            subscribers: if is_pubsub { args.subscribers } else { 0 },
            channels: if is_pubsub { args.channels } else { 0 },
            keys: args.keys,
            key_prefix: match &args.key_prefix {
                Some(prefix) => prefix.clone(),
                None if replaying => String::new(),
                None => "key:".to_owned(),
            },
            key_distribution,
            key_bytes: args.key_bytes.clone(),
            value_bytes,
            ttl_seconds: args.ttl_seconds.map(|ttl| (ttl.min, ttl.max)),
            fields: args.fields,
            seed: args.seed,
        })
    }

    /// Whether subscribers are measured.
    #[must_use]
    pub fn is_pubsub(&self) -> bool {
        self.subscribers > 0
    }
}

fn check_ranges(args: &Args) -> Result<(), String> {
    let within = |name: &str, value: usize, max: usize| {
        if (1..=max).contains(&value) {
            return Ok(());
        }
        Err(format!("--{name} is from 1 to {max}"))
    };
    within("clients", args.clients.unwrap_or(1), MAX_CLIENTS)?;
    within("threads", args.threads, MAX_THREADS)?;
    within("pipeline", args.pipeline, MAX_PIPELINE)?;
    within("subscribers", args.subscribers, MAX_CLIENTS)?;
    within("channels", args.channels, MAX_CLIENTS)?;
    let positive = |name: &str, value: Option<f64>| match value {
        Some(value) if !(value > 0.0 && value <= 1e9) => Err(format!("--{name} is above 0")),
        _ => Ok(()),
    };
    positive("duration", args.duration)?;
    positive("rate", args.rate)?;
    positive("timeout-seconds", Some(args.timeout_seconds))?;
    if !(0.0..=1e9).contains(&args.warmup) {
        return Err("--warmup is not negative".to_owned());
    }
    if args.keys == 0 || args.keys > 1 << 48 {
        return Err("--keys is from 1 to 2^48".to_owned());
    }
    if args.fields == 0 || args.operations == Some(0) {
        return Err("--fields and --operations are above 0".to_owned());
    }
    if !args.protocol.is_resp() && (args.db > 0 || args.cluster) {
        return Err(format!(
            "{} knows neither --db nor --cluster",
            args.protocol
        ));
    }
    if args.cluster && args.unix.is_some() {
        return Err("a cluster has no Unix socket".to_owned());
    }
    Ok(())
}

/// The commands of the run, by where they come from: a trace, a preset, templates, or the ratio.
fn commands(args: &Args, preset: Option<&Preset>) -> Result<Vec<Weighted>, String> {
    let weighted = |(weight, template): (u32, &str)| Weighted {
        template: template.to_owned(),
        weight,
    };
    let set = set_template(args.protocol, args.ttl_seconds);
    let get = get_template(args.protocol);
    if args.replay.is_some() {
        return Ok([(1, get), (0, set.as_str())].map(weighted).into());
    }
    if let Some(preset) = preset {
        return preset_commands(args, preset);
    }
    if !args.commands.weighted.is_empty() {
        let given = args.commands.weighted.iter();
        return Ok(given
            .map(|(template, weight)| weighted((*weight, template)))
            .collect());
    }
    let Ratio {
        set: sets,
        get: gets,
    } = args.ratio;
    let both = [(sets, set.as_str()), (gets, get)];
    Ok(both
        .into_iter()
        .filter(|(weight, _)| *weight > 0)
        .map(weighted)
        .collect())
}

fn preset_commands(args: &Args, preset: &Preset) -> Result<Vec<Weighted>, String> {
    let templates = match args.protocol {
        Protocol::Resp2 | Protocol::Resp3 => preset.resp,
        Protocol::MemcachedText => preset.memcached,
        Protocol::MemcachedMeta => {
            return Err("presets speak resp2, resp3 or memcached-text".to_owned());
        }
    };
    if templates.is_empty() {
        return Err(format!(
            "memcached has no command for the preset {}",
            preset.name
        ));
    }
    let channel = format!("channel:__int:0-{}__", args.channels - 1);
    let filled = |&(weight, template): &(u32, &str)| Weighted {
        template: template.replace("__channel__", &channel),
        weight,
    };
    Ok(templates.iter().map(filled).collect())
}

fn preload(args: &Args, preset: Option<&Preset>) -> String {
    let of_preset = |preset: &Preset| {
        let resp = args.protocol.is_resp();
        let text = if resp {
            preset.preload
        } else {
            preset.preload_memcached
        };
        text.to_owned()
    };
    args.preload_command
        .clone()
        .or_else(|| preset.map(of_preset))
        .unwrap_or_else(|| set_template(args.protocol, args.ttl_seconds))
}

fn get_template(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Resp2 | Protocol::Resp3 => "GET __key__",
        Protocol::MemcachedText => "get __key__",
        Protocol::MemcachedMeta => "mg __key__ v",
    }
}

fn set_template(protocol: Protocol, ttl: Option<Ttl>) -> String {
    match (protocol, ttl) {
        (Protocol::Resp2 | Protocol::Resp3, None) => "SET __key__ __value__",
        (Protocol::Resp2 | Protocol::Resp3, Some(_)) => "SET __key__ __value__ EX __ttl__",
        (Protocol::MemcachedText, None) => "set __key__ 0 0 __bytes__ __value__",
        (Protocol::MemcachedText, Some(_)) => "set __key__ 0 __ttl__ __bytes__ __value__",
        (Protocol::MemcachedMeta, None) => "ms __key__ __bytes__ __value__",
        (Protocol::MemcachedMeta, Some(_)) => "ms __key__ __bytes__ T__ttl__ __value__",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn resolve(line: &str) -> Result<Settings, String> {
        let words = std::iter::once("larder-bench").chain(line.split_whitespace());
        Settings::resolve(&Cli::parse_from(words).args)
    }

    fn templates(line: &str) -> Vec<(u32, String)> {
        let commands = resolve(line).unwrap().commands;
        commands
            .into_iter()
            .map(|command| (command.weight, command.template))
            .collect()
    }

    #[test]
    fn the_ratio_becomes_commands_of_the_protocol() {
        assert_eq!(
            templates(""),
            [
                (1, "SET __key__ __value__".to_owned()),
                (10, "GET __key__".to_owned())
            ]
        );
        assert_eq!(templates("--ratio 0:1"), [(1, "GET __key__".to_owned())]);
        assert_eq!(
            templates("--ratio 1:0 --protocol memcached-meta --ttl-seconds 5"),
            [(1, "ms __key__ __bytes__ T__ttl__ __value__".to_owned())]
        );
    }

    #[test]
    fn a_preset_brings_its_keys_and_values_unless_told_otherwise() {
        let settings = resolve("--preset ycsb-b").unwrap();
        assert_eq!(settings.key_distribution.to_string(), "zipf:0.99");
        assert_eq!(settings.value_bytes.to_string(), "1000");
        let settings = resolve("--preset ycsb-b --value-bytes 10 --key-distribution uniform");
        assert_eq!(settings.unwrap().value_bytes.to_string(), "10");
        assert_eq!(
            templates("--preset pubsub --channels 3"),
            [(
                1,
                "PUBLISH channel:__int:0-2__ __stamp____value__".to_owned()
            )]
        );
    }

    #[test]
    fn a_run_ends_by_time_unless_a_count_or_a_trace_ends_it() {
        assert_eq!(resolve("").unwrap().duration_seconds, Some(10.0));
        assert_eq!(resolve("--operations 5").unwrap().duration_seconds, None);
        let replay = resolve("--replay trace").unwrap();
        assert_eq!((replay.duration_seconds, replay.clients), (None, 1));
        assert_eq!(replay.key_prefix, "");
    }

    #[test]
    fn the_password_is_not_in_the_report() {
        let settings = resolve("--password sesame --user ali").unwrap();
        let json = serde_json::to_string(&settings).unwrap();
        assert!(json.contains("ali") && !json.contains("sesame"), "{json}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "--clients 0",
            "--threads 0",
            "--pipeline 0",
            "--rate 0",
            "--duration -1",
            "--keys 0",
            "--preset x",
            "--protocol memcached-text --cluster",
            "--protocol memcached-text --db 1",
            "--protocol memcached-text --preset queue",
            "--unix s --cluster",
            "--operations 0",
        ] {
            let words = std::iter::once("larder-bench").chain(line.split_whitespace());
            let refused = match Cli::try_parse_from(words) {
                Ok(cli) => Settings::resolve(&cli.args).is_err(),
                Err(_) => true,
            };
            assert!(refused, "{line}");
        }
    }
}
