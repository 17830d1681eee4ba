//! The commands of a run made ready, and for one thread the order in which they come.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::distribution::{Sampler, Share};
use super::keyspace::KeySpace;
use super::rng::Rng;
use super::settings::Settings;
use super::template::{Draw, Piece, Program, Sources, Template};
use super::trace::Trace;
use super::value::Values;

/// More keys than a run can insert: names are laid out for this many.
const MAX_INSERTED: u64 = 100_000_000_000;

/// The content of values does not depend on `--seed`, so that one run can check what another has stored.
const VALUE_SEED: u64 = 0x1a2d_e201;

/// The name under which deliveries to subscribers are reported.
const MESSAGE: &str = "MESSAGE";

/// A run's commands, the same for all threads.
#[derive(Debug)]
pub struct Workload {
    /// All commands, group after group.
    pub programs: Vec<Program>,
    /// The names that they are reported under.
    pub labels: Vec<String>,
    /// The label of each program.
    pub label_of: Vec<usize>,
    /// Commands that are sent together, in the order of the settings.
    pub groups: Vec<Group>,
    /// What stores a key beforehand.
    pub preload: Option<usize>,
    /// The label of deliveries, with subscribers.
    pub message: Option<usize>,
    /// What commands are filled with.
    pub sources: Sources,
    trace: Option<Arc<Trace>>,
}

/// Commands that are sent together.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which.
    pub programs: Range<usize>,
    /// Their keys.
    pub draws: Vec<Draw>,
    /// As how many operations they count.
    pub operations: usize,
    weight: u64,
}

/// In a replay, the group that gets.
pub const REPLAY_GET: usize = 0;

/// In a replay, the group that sets after a miss.
pub const REPLAY_SET: usize = 1;

impl Workload {
    /// Makes the commands of the settings ready.
    ///
    /// # Errors
    /// One line: a template that is wrong, a trace that cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let mut templates = Vec::new();
        for command in &settings.commands {
            templates.push((Template::parse(&command.template)?, command.weight));
        }
        let preload = settings
            .preload
            .as_deref()
            .map(Template::parse)
            .transpose()?;
        let has_preload = preload.is_some();
        templates.extend(preload.map(|template| (template, 0)));
        let pieces = |wanted: &Piece| {
            let commands = templates
                .iter()
                .flat_map(|(template, _)| &template.commands);
            commands
                .flat_map(|command| command.pieces())
                .any(|piece| piece == wanted)
        };
        if pieces(&Piece::Ttl) && settings.ttl_seconds.is_none() {
            return Err("__ttl__ needs --ttl-seconds".to_owned());
        }
        let trace = settings
            .replay
            .as_deref()
            .map(Trace::read)
            .transpose()?
            .map(Arc::new);
        let inserts = templates
            .iter()
            .any(|(template, _)| template.draws.contains(&Draw::Inserted));
        let mut workload = Self {
            programs: Vec::new(),
            labels: Vec::new(),
            label_of: Vec::new(),
            groups: Vec::new(),
            preload: has_preload.then(|| templates.len() - 1),
            message: None,
            sources: sources(settings, trace.as_ref(), inserts)?,
            trace,
        };
        for (template, weight) in &templates {
            workload.add(template, *weight, settings)?;
        }
        if settings.is_pubsub() {
            workload.message = Some(workload.label(MESSAGE));
        }
        Ok(workload)
    }

    fn add(&mut self, template: &Template, weight: u32, settings: &Settings) -> Result<(), String> {
        let first = self.programs.len();
        let last = template.commands.len() - 1;
        for (index, command) in template.commands.iter().enumerate() {
            let compiled = Program::compile(command, settings.protocol, &self.sources);
            let mut program =
                compiled.map_err(|error| format!("template `{}`: {error}", template.text))?;
            program.ends_operation = index == last || !settings.groups_as_one;
            self.programs.push(program);
            let label = if settings.groups_as_one {
                self.label(&name_of_all(template))
            } else {
                self.label(&command.name)
            };
            self.label_of.push(label);
        }
        let programs = &self.programs[first..];
        let operations = programs.iter().filter(|program| program.ends_operation);
        let operations = operations.count();
        self.groups.push(Group {
            programs: first..self.programs.len(),
            draws: template.draws.clone(),
            operations,
            weight: u64::from(weight),
        });
        Ok(())
    }

    fn label(&mut self, name: &str) -> usize {
        let known = self.labels.iter().position(|label| label == name);
        known.unwrap_or_else(|| {
            self.labels.push(name.to_owned());
            self.labels.len() - 1
        })
    }

    /// How many accesses the trace has, when one is replayed.
    #[must_use]
    pub fn trace_len(&self) -> Option<u64> {
        self.trace.as_ref().map(|trace| trace.len())
    }
}

/// The names of a template's commands, each once: `MULTI SET EXEC`.
fn name_of_all(template: &Template) -> String {
    let mut names: Vec<&str> = Vec::new();
    for command in &template.commands {
        if !names.contains(&command.name.as_str()) {
            names.push(&command.name);
        }
    }
    names.join(" ")
}

fn sources(
    settings: &Settings,
    trace: Option<&Arc<Trace>>,
    inserts: bool,
) -> Result<Sources, String> {
    let keys = match trace {
        Some(trace) => KeySpace::traced(&settings.key_prefix, Arc::clone(trace)),
        None => KeySpace::numbered(
            &settings.key_prefix,
            settings.keys,
            settings.key_bytes.as_ref(),
            VALUE_SEED,
        )?,
    };
    Ok(Sources {
        keys: Arc::new(keys),
        last_key: settings.keys - 1 + if inserts { MAX_INSERTED } else { 0 },
        values: Arc::new(Values::new(VALUE_SEED)),
        value_bytes: settings.value_bytes.clone(),
        ttl_seconds: settings.ttl_seconds.unwrap_or((1, 1)),
        fields: settings.fields,
    })
}

/// What one thread sends next.
#[derive(Debug)]
pub enum Source {
    /// Groups by weight, keys by distribution.
    Mix {
        /// Draws keys.
        sampler: Sampler,
        /// Draws groups.
        rng: Rng,
        /// The sum of the weights.
        total: u64,
    },
    /// Every key of a part of the key space once.
    Preload {
        /// Which group.
        group: usize,
        /// The keys left.
        left: Range<u64>,
    },
    /// The accesses of a trace, each by whichever thread comes first.
    Replay {
        /// The next access, of all threads.
        next: Arc<AtomicU64>,
        /// How many there are.
        end: u64,
    },
}

impl Source {
    /// A thread's share of the mix.
    #[must_use]
    pub fn mix(workload: &Workload, settings: &Settings, share: Share, seed: u64) -> Self {
        Self::Mix {
            sampler: Sampler::new(settings.key_distribution, settings.keys, share),
            rng: Rng::new(seed),
            total: workload.groups.iter().map(|group| group.weight).sum(),
        }
    }

    /// The next group, whose keys are put into `keys`; none when all is done. `misses` are those of the client that asks.
    #[inline]
    pub fn next(
        &mut self,
        workload: &Workload,
        misses: &mut Vec<u64>,
        keys: &mut Vec<u64>,
    ) -> Option<usize> {
        keys.clear();
        match self {
            Self::Mix {
                sampler,
                rng,
                total,
            } => {
                let index = pick(&workload.groups, rng, *total);
                for draw in &workload.groups[index].draws {
                    keys.push(match draw {
                        Draw::Sampled => sampler.draw(rng),
                        Draw::Inserted => sampler.insert(),
                    });
                }
                Some(index)
            }
            Self::Preload { group, left } => {
                let key = left.next()?;
                keys.resize(workload.groups[*group].draws.len(), key);
                Some(*group)
            }
            Self::Replay { next, end } => {
                if let Some(missed) = misses.pop() {
                    keys.push(missed);
                    return Some(REPLAY_SET);
                }
                let access = next.fetch_add(1, Ordering::Relaxed);
                keys.push(access);
                (access < *end).then_some(REPLAY_GET)
            }
        }
    }

    /// Whether misses are to be filled.
    #[must_use]
    pub fn fills_misses(&self) -> bool {
        matches!(self, Self::Replay { .. })
    }
}

#[inline]
fn pick(groups: &[Group], rng: &mut Rng, total: u64) -> usize {
    if groups.len() == 1 {
        return 0;
    }
    let mut at = rng.below(total);
    for (index, group) in groups.iter().enumerate() {
        match at.checked_sub(group.weight) {
            Some(rest) => at = rest,
            None => return index,
        }
    }
    unreachable!("the draw lies below the sum of the weights")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::run::args::Args;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn settings(words: &[&str]) -> Settings {
        let words = std::iter::once("larder-bench").chain(words.iter().copied());
        Settings::resolve(&Cli::parse_from(words).args).unwrap()
    }

    #[test]
    fn groups_come_as_often_as_their_weights_say() {
        let settings = settings(&["--ratio", "1:3", "--preload"]);
        let workload = Workload::new(&settings).unwrap();
        assert_eq!(workload.labels, ["SET", "GET"]);
        assert_eq!(workload.preload, Some(2));
        let mut source = Source::mix(&workload, &settings, Share::WHOLE, 1);
        let mut keys = Vec::new();
        let mut counts = [0; 3];
        for _ in 0..40_000 {
            let group = source.next(&workload, &mut Vec::new(), &mut keys).unwrap();
            counts[group] += 1;
            assert_eq!(keys.len(), 1);
        }
        assert!(
            (9_600..10_400).contains(&counts[0]) && counts[2] == 0,
            "{counts:?}"
        );
    }

    #[test]
    fn a_group_counts_as_its_commands_or_as_one() {
        let words = ["--command", "MULTI ; SET __key__ 1 ; SET __key__ 2 ; EXEC"];
        let workload = Workload::new(&settings(&words)).unwrap();
        assert_eq!(workload.labels, ["MULTI", "SET", "EXEC"]);
        assert_eq!(workload.groups[0].operations, 4);
        let words = [words[0], words[1], "--command", "PING", "--groups-as-one"];
        let workload = Workload::new(&settings(&words)).unwrap();
        assert_eq!(workload.labels, ["MULTI SET EXEC", "PING"]);
        assert_eq!(workload.label_of, [0, 0, 0, 0, 1]);
        let ends = |program: &Program| program.ends_operation;
        let ends: Vec<bool> = workload.programs.iter().map(ends).collect();
        assert_eq!(ends, [false, false, false, true, true]);
        assert_eq!(
            (workload.groups[0].operations, workload.groups[1].operations),
            (1, 1)
        );
    }

    #[test]
    fn the_preload_stores_every_key_once() {
        let settings = settings(&["--keys", "5", "--preload"]);
        let workload = Workload::new(&settings).unwrap();
        let mut source = Source::Preload {
            group: workload.preload.unwrap(),
            left: 0..5,
        };
        let mut keys = Vec::new();
        let mut seen = Vec::new();
        while source.next(&workload, &mut Vec::new(), &mut keys).is_some() {
            seen.extend_from_slice(&keys);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_replay_fills_a_miss_before_it_goes_on() {
        let path = std::env::temp_dir().join(format!("larder-bench-replay-{}", std::process::id()));
        std::fs::write(&path, "a\nb\n").unwrap();
        let settings = settings(&["--replay", path.to_str().unwrap()]);
        let workload = Workload::new(&settings).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut source = Source::Replay {
            next: Arc::default(),
            end: workload.trace_len().unwrap(),
        };
        let mut keys = Vec::new();
        let mut misses = Vec::new();
        assert_eq!(
            source.next(&workload, &mut misses, &mut keys),
            Some(REPLAY_GET)
        );
        misses.push(keys[0]);
        assert_eq!(
            source.next(&workload, &mut misses, &mut keys),
            Some(REPLAY_SET)
        );
        assert_eq!(
            source.next(&workload, &mut misses, &mut keys),
            Some(REPLAY_GET)
        );
        assert_eq!(source.next(&workload, &mut misses, &mut keys), None);
    }

    #[test]
    fn a_template_that_needs_what_is_not_given_is_refused() {
        let settings = settings(&["--command", "EXPIRE __key__ __ttl__"]);
        assert_eq!(
            Workload::new(&settings).unwrap_err(),
            "__ttl__ needs --ttl-seconds"
        );
    }
}
