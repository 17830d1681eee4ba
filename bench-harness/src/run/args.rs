//! The command line of `larder-bench run`.

use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, FromArgMatches};

use super::distribution::KeyDistribution;
use super::net::Address;
use super::protocol::Protocol;
use super::schedule::Arrivals;
use super::size::SizeDistribution;

/// Puts load on one server and reports throughput and latency.
#[derive(clap::Args, Clone, Debug)]
#[command(after_long_help = super::help::after())]
pub struct Args {
    /// The server.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:6379",
        help_heading = "Target"
    )]
    pub server: Address,
    /// The server's Unix socket, instead of --server.
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with = "server",
        help_heading = "Target"
    )]
    pub unix: Option<PathBuf>,
    /// What to speak.
    #[arg(long, value_enum, default_value_t = Protocol::Resp2, help_heading = "Target")]
    pub protocol: Protocol,
    /// The name to go by.
    #[arg(long, requires = "password", help_heading = "Target")]
    pub user: Option<String>,
    /// The password.
    #[arg(long, help_heading = "Target")]
    pub password: Option<String>,
    /// The database.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Target")]
    pub db: u32,
    /// The server is a Redis Cluster: every client connects to all nodes, sends each command to the owner of its key, and
    /// follows MOVED and ASK.
    #[arg(long, help_heading = "Target")]
    pub cluster: bool,
    /// The longest silence of a server that owes a reply.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 30.0,
        help_heading = "Target"
    )]
    pub timeout_seconds: f64,

    /// Connections in all [default: 50, with --replay 1].
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub clients: Option<usize>,
    /// Threads that share them.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    pub threads: usize,
    /// The processors to run on, as 1,3-5: thread number i on the i-th of them.
    #[arg(long, value_name = "LIST", help_heading = "Load")]
    pub cpus: Option<CpuList>,
    /// Commands sent together on a connection; the next ones follow when all are answered. With --rate, the most that a
    /// connection may owe.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    pub pipeline: usize,
    /// Open loop: this many commands a second, due at times that do not depend on replies. Latency counts from when a command
    /// was due.
    #[arg(long, value_name = "PER_SECOND", help_heading = "Load")]
    pub rate: Option<f64>,
    /// How the due times of the open loop are spaced.
    #[arg(long, value_enum, default_value_t = Arrivals::Constant, requires = "rate", help_heading = "Load")]
    pub arrivals: Arrivals,
    /// How long to measure [default: 10, without --operations or --replay].
    #[arg(long, value_name = "SECONDS", help_heading = "Load")]
    pub duration: Option<f64>,
    /// How many commands to measure.
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub operations: Option<u64>,
    /// Load before the measurement that counts in no figure.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0.0,
        help_heading = "Load"
    )]
    pub warmup: f64,

    /// SETs and GETs, by these weights.
    #[arg(
        long,
        value_name = "SET:GET",
        default_value = "1:10",
        help_heading = "Commands"
    )]
    pub ratio: Ratio,
    /// Commands in place of SET and GET.
    #[command(flatten)]
    pub commands: Commands,
    /// A template of several commands is one operation: it is counted, timed up to its last reply and pipelined as one.
    #[arg(long, conflicts_with_all = ["cluster", "replay"], help_heading = "Commands")]
    pub groups_as_one: bool,
    /// A ready-made workload; see below.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ratio", "command"], help_heading = "Commands")]
    pub preset: Option<String>,
    /// Replays a trace, one key and optionally a size a line: get, set on a miss.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ratio", "command", "preset", "preload", "warmup"], help_heading = "Commands")]
    pub replay: Option<PathBuf>,
    /// Stores every key before the run.
    #[arg(long, help_heading = "Commands")]
    pub preload: bool,
    /// What stores a key for --preload, when it is not SET.
    #[arg(
        long,
        value_name = "TEMPLATE",
        requires = "preload",
        help_heading = "Commands"
    )]
    pub preload_command: Option<String>,
    /// Checks every value in every reply: it must be its key's, as this tool writes them.
    #[arg(long, help_heading = "Commands")]
    pub verify: bool,
    /// Subscribers of --preset pubsub.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        help_heading = "Commands"
    )]
    pub subscribers: usize,
    /// Channels of --preset pubsub; subscriber i listens to channel i modulo this.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Commands")]
    pub channels: usize,

    /// How many keys there are.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        help_heading = "Keys and values"
    )]
    pub keys: u64,
    /// What keys begin with [default: key:, with --replay nothing].
    #[arg(long, value_name = "P", help_heading = "Keys and values")]
    pub key_prefix: Option<String>,
    /// uniform, zipf[:THETA], gaussian[:SIGMA], sequential, hot:FRACTION:PROBABILITY, latest[:THETA] [default: uniform, or the
    /// preset's].
    #[arg(long, value_name = "D", help_heading = "Keys and values")]
    pub key_distribution: Option<KeyDistribution>,
    /// The length of keys with their prefix: SIZE, MIN-MAX, lognormal:MEAN:SIGMA or SIZE:WEIGHT,… [default: the prefix and 12
    /// digits].
    #[arg(long, value_name = "SIZES", help_heading = "Keys and values")]
    pub key_bytes: Option<SizeDistribution>,
    /// The length of values, likewise [default: 64, or the preset's].
    #[arg(long, value_name = "SIZES", help_heading = "Keys and values")]
    pub value_bytes: Option<SizeDistribution>,
    /// The time to live of what is stored.
    #[arg(long, value_name = "N|MIN-MAX", help_heading = "Keys and values")]
    pub ttl_seconds: Option<Ttl>,
    /// How many different fields __field__ fills in.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        help_heading = "Keys and values"
    )]
    pub fields: u64,
    /// Where random numbers begin; equal seeds give equal loads.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Keys and values"
    )]
    pub seed: u64,

    /// Writes the report as JSON to a file, or with - to standard output.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// No progress and no table.
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
}

/// Command templates in their order, each with its weight.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    /// Template and weight.
    pub weighted: Vec<(String, u32)>,
}

impl clap::Args for Commands {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
            .arg(
                clap::Arg::new("command")
                    .long("command")
                    .value_name("TEMPLATE")
                    .action(ArgAction::Append)
                    .conflicts_with("ratio")
                    .help_heading("Commands")
                    .help("A command to send instead of SET and GET; may be given several times. See below for templates"),
            )
            .arg(
                clap::Arg::new("command_weight")
                    .long("command-weight")
                    .value_name("N")
                    .action(ArgAction::Append)
                    .value_parser(clap::value_parser!(u32).range(1..))
                    .requires("command")
                    .help_heading("Commands")
                    .help("How often the --command before it is sent, relative to the others [default: 1]"),
            )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Commands {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let indices = |id| matches.indices_of(id).into_iter().flatten();
        let templates = matches.get_many::<String>("command").into_iter().flatten();
        let mut commands: Vec<(usize, String, Option<u32>)> = indices("command")
            .zip(templates)
            .map(|(index, template)| (index, template.clone(), None))
            .collect();
        let weights = matches
            .get_many::<u32>("command_weight")
            .into_iter()
            .flatten();
        for (index, weight) in indices("command_weight").zip(weights) {
            let before = commands.iter_mut().rev().find(|(at, _, _)| *at < index);
            match before {
                Some((_, _, slot @ None)) => *slot = Some(*weight),
                _ => {
                    return Err(clap::Error::raw(
                        clap::error::ErrorKind::ValueValidation,
                        "a --command-weight stands behind the --command it belongs to\n",
                    ));
                }
            }
        }
        let weighted = commands
            .into_iter()
            .map(|(_, template, weight)| (template, weight.unwrap_or(1)))
            .collect();
        Ok(Self { weighted })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `SET:GET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// The weight of SET.
    pub set: u32,
    /// The weight of GET.
    pub get: u32,
}

impl std::str::FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once(':')
            .and_then(|(set, get)| {
                Some(Self {
                    set: set.parse().ok()?,
                    get: get.parse().ok()?,
                })
            })
            .filter(|ratio| ratio.set > 0 || ratio.get > 0)
            .ok_or_else(|| format!("`{text}` is not SET:GET, such as 1:10"))
    }
}

/// `N` or `MIN-MAX` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// At least 1.
    pub min: u64,
    /// Not below the least.
    pub max: u64,
}

impl std::str::FromStr for Ttl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        min.parse()
            .ok()
            .zip(max.parse().ok())
            .filter(|&(min, max)| 0 < min && min <= max && max < u64::MAX)
            .map(|(min, max)| Self { min, max })
            .ok_or_else(|| format!("`{text}` is not N or MIN-MAX seconds"))
    }
}

/// Processors by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

impl std::str::FromStr for CpuList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            match (from.parse::<usize>(), to.parse::<usize>()) {
                (Ok(from), Ok(to)) if from <= to && to < 1024 => cpus.extend(from..=to),
                _ => {
                    return Err(format!(
                        "`{text}` is not a list of processors such as 0,2-3"
                    ));
                }
            }
        }
        Ok(Self(cpus))
    }
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

    fn parse(line: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("larder-bench").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.args)
    }

    #[test]
    fn a_weight_belongs_to_the_command_before_it() {
        let args =
            parse("--command a --command b --command-weight 3 --command c --command-weight 2");
        let want = [("a", 1), ("b", 3), ("c", 2)].map(|(text, weight)| (text.to_owned(), weight));
        assert_eq!(args.unwrap().commands.weighted, want);
        assert!(parse("--command-weight 2 --command a").is_err());
        assert!(parse("--command a --command-weight 2 --command-weight 2").is_err());
        assert!(parse("--command a --command-weight 0").is_err());
    }

    #[test]
    fn lists_and_ranges_are_read_and_nonsense_is_refused() {
        assert_eq!("0,2-4".parse(), Ok(CpuList(vec![0, 2, 3, 4])));
        assert!("2-1".parse::<CpuList>().is_err() && "x".parse::<CpuList>().is_err());
        assert_eq!("5".parse(), Ok(Ttl { min: 5, max: 5 }));
        assert_eq!("5-9".parse(), Ok(Ttl { min: 5, max: 9 }));
        assert!("0".parse::<Ttl>().is_err() && "9-5".parse::<Ttl>().is_err());
        assert_eq!("0:1".parse(), Ok(Ratio { set: 0, get: 1 }));
        assert!("0:0".parse::<Ratio>().is_err() && "1".parse::<Ratio>().is_err());
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for line in [
            "--unix /s --server a:1",
            "--ratio 1:1 --command PING",
            "--preset ycsb-a --ratio 1:1",
            "--replay f --preload",
            "--user u",
            "--arrivals poisson",
            "--preload-command x",
            "--groups-as-one --cluster",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
