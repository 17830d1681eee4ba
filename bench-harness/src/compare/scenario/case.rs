//! The throughput cases of a scenario: a matrix of lists multiplied out, each combination a [`Case`].
//!
//! Cases that need the same keys with the same values form a data set ([`Case::data_set`]): the servers are started and
//! filled once for all of them.

use serde::{Deserialize, Serialize};

use super::file::{Cases, List};
use crate::compare::format;

/// What the load does: one of three ways to say it to `larder-bench run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Work {
    /// One command, as a template.
    Command(String),
    /// Writes to reads, such as `1:10`.
    Ratio(String),
    /// A workload of the load generator's by name.
    Preset(String),
}

impl Work {
    /// How a report names it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Command(template) => template.clone(),
            Self::Ratio(ratio) => format!("SET:GET {ratio}"),
            Self::Preset(name) => name.clone(),
        }
    }

    /// The arguments of `larder-bench run` for it. GET and SET go as ratios, which every protocol knows.
    fn arguments(&self) -> Vec<String> {
        let pair = |option: &str, value: &str| vec![option.to_owned(), value.to_owned()];
        match self {
            Self::Command(template) if template == "GET" => pair("--ratio", "0:1"),
            Self::Command(template) if template == "SET" => pair("--ratio", "1:0"),
            Self::Command(template) => pair("--command", template),
            Self::Ratio(ratio) => pair("--ratio", ratio),
            Self::Preset(name) => pair("--preset", name),
        }
    }

    /// Whether it leaves keys and sizes of values as the preload made them.
    fn keeps_the_data(&self) -> bool {
        match self {
            Self::Command(template) => template == "GET" || template == "SET",
            Self::Ratio(_) => true,
            Self::Preset(_) => false,
        }
    }
}

/// What makes a run of `larder-bench run` a preload and nothing else: the one operation after it counts nowhere.
pub(crate) const PRELOAD_ONLY: [&str; 7] = [
    "--preload",
    "--operations",
    "1",
    "--clients",
    "1",
    "--threads",
    "1",
];

/// One load, the same for every server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Case {
    /// What reports call it, where that is not what is sent.
    #[serde(default)]
    pub(crate) label: Option<String>,
    /// What is sent.
    pub(crate) work: Work,
    /// Commands in flight per connection.
    pub(crate) pipeline: u64,
    /// Connections in all.
    pub(crate) connections: u64,
    /// Size of values, in the notation of `larder-bench run`.
    pub(crate) value_bytes: String,
    /// How many keys there are.
    pub(crate) keys: u64,
    /// How they are chosen.
    pub(crate) key_distribution: String,
    /// Size of keys; the load generator's default when not given.
    pub(crate) key_bytes: Option<String>,
    /// Time to live of what is set.
    pub(crate) ttl_seconds: Option<String>,
    /// Operations a second in the open loop; none for the closed loop.
    pub(crate) rate: Option<u64>,
    /// Threads of the load; none for one per CPU of it.
    pub(crate) threads: Option<usize>,
    /// Whether every key is set before.
    pub(crate) preload: bool,
    /// What stores a key before, where that is not SET.
    #[serde(default)]
    pub(crate) preload_command: Option<String>,
    /// More arguments for `larder-bench run`.
    pub(crate) arguments: Vec<String>,
}

/// A property in which cases may differ, in the order in which reports look for the one to put side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Axis {
    Pipeline,
    Rate,
    Connections,
    Value,
    Keys,
    Distribution,
    Ttl,
    Work,
}

impl Axis {
    /// All of them, the one best put side by side first.
    pub(crate) const ALL: [Self; 8] = [
        Self::Pipeline,
        Self::Rate,
        Self::Connections,
        Self::Value,
        Self::Keys,
        Self::Distribution,
        Self::Ttl,
        Self::Work,
    ];
    /// The order in which a case's name lists them.
    pub(crate) const NAMING: [Self; 8] = [
        Self::Work,
        Self::Value,
        Self::Distribution,
        Self::Keys,
        Self::Ttl,
        Self::Connections,
        Self::Pipeline,
        Self::Rate,
    ];
}

impl Case {
    /// Its value on `axis`, as a report shows it; empty where there is nothing to say.
    pub(crate) fn value(&self, axis: Axis) -> String {
        match axis {
            Axis::Work => self.label.clone().unwrap_or_else(|| self.work.label()),
            Axis::Pipeline => format!("pipeline {}", self.pipeline),
            Axis::Connections => match self.connections {
                1 => "1 connection".to_owned(),
                count => format!("{} connections", format::count(count)),
            },
            Axis::Value => format::size_text(&self.value_bytes),
            Axis::Keys => format!("{} keys", format::count(self.keys)),
            Axis::Distribution => format!("keys {}", self.key_distribution.replace(':', " ")),
            Axis::Ttl => match &self.ttl_seconds {
                Some(ttl) => format!("TTL {} s", format::number_text(ttl)),
                None => String::new(),
            },
            Axis::Rate => match self.rate {
                Some(rate) => format!("{}/s", format::count(rate)),
                None => String::new(),
            },
        }
    }

    /// Its name from the values on `axes`, in naming order.
    pub(crate) fn title(&self, axes: &[Axis]) -> String {
        let in_order = Axis::NAMING.iter().filter(|axis| axes.contains(axis));
        let values = in_order.map(|axis| self.value(*axis));
        let said: Vec<String> = values.filter(|value| !value.is_empty()).collect();
        said.join(" · ")
    }

    /// Its name for `--only`, skip rules and JSON: lower case, no spaces.
    pub(crate) fn name(&self) -> String {
        let mut name = match (&self.label, &self.work) {
            (Some(label), _) => label.clone(),
            (None, Work::Ratio(ratio)) => format!("ratio-{ratio}"),
            (None, other) => other.label(),
        };
        name += &format!(
            "-{}b-{}-{}k-c{}-p{}",
            self.value_bytes, self.key_distribution, self.keys, self.connections, self.pipeline
        );
        if let Some(ttl) = &self.ttl_seconds {
            name += &format!("-ttl{ttl}");
        }
        if let Some(rate) = self.rate {
            name += &format!("-r{rate}");
        }
        let plain = |letter: char| match letter {
            letter if letter.is_alphanumeric() || "-_:.".contains(letter) => letter,
            _ => '_',
        };
        name.to_lowercase().chars().map(plain).collect()
    }

    /// What the servers must hold for it: cases with equal data sets can share a server.
    pub(crate) fn data_set(&self) -> String {
        let is_plain = self.arguments.is_empty() && self.preload_command.is_none();
        let work = if self.work.keeps_the_data() && is_plain {
            String::new()
        } else {
            format!(
                "{:?} {:?} {:?}",
                self.work, self.arguments, self.preload_command
            )
        };
        format!(
            "{} {:?} {} {:?} {} {work}",
            self.keys, self.key_bytes, self.value_bytes, self.ttl_seconds, self.preload
        )
    }

    /// The arguments of `larder-bench run` that say which keys and values there are.
    pub(crate) fn data_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--keys".to_owned(), self.keys.to_string()];
        arguments.extend(["--value-bytes".to_owned(), self.value_bytes.clone()]);
        if let Some(bytes) = &self.key_bytes {
            arguments.extend(["--key-bytes".to_owned(), bytes.clone()]);
        }
        if let Some(ttl) = &self.ttl_seconds {
            arguments.extend(["--ttl-seconds".to_owned(), ttl.clone()]);
        }
        arguments
    }

    /// The arguments of `larder-bench run` that set every key and then stop.
    pub(crate) fn preload_arguments(&self) -> Vec<String> {
        let mut arguments = match self.work.keeps_the_data() {
            true => Work::Command("GET".to_owned()).arguments(),
            false => self.work.arguments(),
        };
        arguments.extend(self.data_arguments());
        arguments.extend(self.arguments.iter().cloned());
        arguments.extend(PRELOAD_ONLY.map(str::to_owned));
        if let Some(command) = &self.preload_command {
            arguments.extend(["--preload-command".to_owned(), command.clone()]);
        }
        arguments
    }

    /// The arguments of `larder-bench run` for the load itself, without target, duration and seed.
    pub(crate) fn load_arguments(&self, load_cpus: usize) -> Vec<String> {
        let mut arguments = self.work.arguments();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        add("--pipeline", self.pipeline.to_string());
        add("--clients", self.connections.to_string());
        let threads = self.threads.unwrap_or(load_cpus);
        add(
            "--threads",
            threads.min(self.connections as usize).to_string(),
        );
        add("--key-distribution", self.key_distribution.clone());
        if let Some(rate) = self.rate {
            add("--rate", rate.to_string());
        }
        arguments.extend(self.data_arguments());
        arguments.extend(self.arguments.iter().cloned());
        arguments
    }
}

/// Multiplies `matrix` out, pipelines varying fastest.
///
/// # Errors
/// Not exactly one of `command`, `ratio` and `preset`, or a list with a value that is none.
pub(super) fn expand(matrix: &Cases) -> Result<Vec<Case>, String> {
    let works = works(matrix)?;
    if matrix.name.is_some() && works.len() > 1 {
        return Err("[[cases]]: one name is for one command, ratio or preset".to_owned());
    }
    let rates = match &matrix.rate {
        Some(rates) => rates.numbers("rate")?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let arguments = super::words::split(&matrix.arguments)?;
    let mut cases = Vec::new();
    for work in &works {
        for value_bytes in matrix.value_bytes.texts() {
            for key_distribution in matrix.key_distribution.texts() {
                for keys in matrix.keys.numbers("keys")? {
                    for connections in matrix.connections.numbers("connections")? {
                        for pipeline in matrix.pipeline.numbers("pipeline")? {
                            cases.extend(rates.iter().map(|rate| Case {
                                label: matrix.name.clone(),
                                work: work.clone(),
                                pipeline,
                                connections,
                                value_bytes: value_bytes.clone(),
                                keys,
                                key_distribution: key_distribution.clone(),
                                key_bytes: matrix.key_bytes.as_ref().map(super::Scalar::text),
                                ttl_seconds: matrix.ttl_seconds.as_ref().map(super::Scalar::text),
                                rate: *rate,
                                threads: matrix.threads,
                                preload: matrix.preload,
                                preload_command: matrix.preload_command.clone(),
                                arguments: arguments.clone(),
                            }));
                        }
                    }
                }
            }
        }
    }
    Ok(cases)
}

fn works(matrix: &Cases) -> Result<Vec<Work>, String> {
    let named =
        |list: &List, make: fn(String) -> Work| list.texts().into_iter().map(make).collect();
    let upper = |text: String| match text.to_uppercase().as_str() {
        plain @ ("GET" | "SET") => Work::Command(plain.to_owned()),
        _ => Work::Command(text),
    };
    match (&matrix.command, &matrix.ratio, &matrix.preset) {
        (Some(list), None, None) => Ok(named(list, upper)),
        (None, Some(list), None) => Ok(named(list, Work::Ratio)),
        (None, None, Some(list)) => Ok(named(list, Work::Preset)),
        _ => Err("[[cases]]: give exactly one of command, ratio and preset".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(text: &str) -> Result<Vec<Case>, String> {
        expand(&toml::from_str(text).unwrap())
    }

    #[test]
    fn a_matrix_is_multiplied_out_with_pipelines_fastest() {
        let text = "command = [\"get\", \"SET\"]\npipeline = [1, 16]\nconnections = [50, 500]\nvalue_bytes = [64, \"4096\"]";
        let all = cases(text).unwrap();
        assert_eq!(all.len(), 16);
        assert_eq!(all[0].name(), "get-64b-uniform-100000k-c50-p1");
        assert_eq!(
            (
                all[1].pipeline,
                all[2].connections,
                all[4].value_bytes.as_str()
            ),
            (16, 500, "4096")
        );
        let names: std::collections::BTreeSet<String> = all.iter().map(Case::name).collect();
        assert_eq!(names.len(), all.len(), "names tell cases apart");
        let sets: std::collections::BTreeSet<String> = all.iter().map(Case::data_set).collect();
        assert_eq!(sets.len(), 2, "one data set a size of values");
    }

    #[test]
    fn the_load_is_told_everything_a_case_says() {
        let text = "ratio = \"1:10\"\nkey_distribution = \"zipf:0.99\"\nkeys = 5\nttl_seconds = 60\nrate = 1000\n\
                    key_bytes = 20\nconnections = 3\narguments = \"--resp3 'a b'\"";
        let all = cases(text).unwrap();
        let arguments = all[0].load_arguments(8).join(" ");
        for part in [
            "--ratio 1:10",
            "--pipeline 1",
            "--clients 3",
            "--threads 3",
            "--key-distribution zipf:0.99",
            "--rate 1000",
            "--keys 5",
            "--value-bytes 64",
            "--key-bytes 20",
            "--ttl-seconds 60",
            "--resp3 a b",
        ] {
            assert!(arguments.contains(part), "{part} in {arguments}");
        }
        assert_eq!(
            all[0].title(&[Axis::Rate, Axis::Work]),
            "SET:GET 1:10 · 1,000/s"
        );
    }

    #[test]
    fn templates_and_presets_keep_a_server_to_themselves() {
        let zadd = &cases("command = [\"ZADD b __score__ __key__\"]").unwrap()[0];
        let get = &cases("command = \"GET\"").unwrap()[0];
        assert_ne!(zadd.data_set(), get.data_set());
        assert_eq!(
            zadd.load_arguments(1)[..2],
            ["--command", "ZADD b __score__ __key__"]
        );
        let preset = &cases("preset = \"ycsb-a\"").unwrap()[0];
        assert_eq!(preset.load_arguments(1)[..2], ["--preset", "ycsb-a"]);
    }

    #[test]
    fn a_name_stands_for_what_is_sent_in_reports_and_patterns() {
        let text = "name = \"MGET 2\"\ncommand = \"MGET __key__ __key__\"\nconnections = 8";
        let case = &cases(text).unwrap()[0];
        assert_eq!(case.title(&[Axis::Work]), "MGET 2");
        assert_eq!(case.name(), "mget_2-64b-uniform-100000k-c8-p1");
        assert_eq!(
            case.load_arguments(1)[..2],
            ["--command", "MGET __key__ __key__"]
        );
        let two = "name = \"a\"\ncommand = [\"PING\", \"GET\"]";
        assert!(cases(two).unwrap_err().contains("one name"));
    }

    #[test]
    fn a_matrix_says_in_exactly_one_way_what_is_sent() {
        for text in ["", "command = \"GET\"\nratio = \"1:1\""] {
            assert!(cases(text).unwrap_err().contains("exactly one"));
        }
        assert!(
            cases("command = \"GET\"\npipeline = [1, 0]")
                .unwrap_err()
                .contains("pipeline")
        );
    }
}
