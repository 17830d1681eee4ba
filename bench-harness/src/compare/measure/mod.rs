//! The measuring itself: who takes part, on which CPUs, in which order.
//!
//! All servers of a throughput case are up at once, all but one stopped in their tracks; every case visits them in turn, round
//! after round, and who comes first rotates, so that a drift of the machine falls on all alike. Memory and hit-ratio cases start each server
//! afresh. Warm-up and preload are runs of the load of their own, over before a clock is read.

mod hit_ratio;
mod memory;
mod throughput;
mod warnings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::failure::Failure;
use super::interrupt::Interrupt;
use super::load::Load;
use super::proc;
use super::programs::Programs;
use super::progress::Progress;
use super::results::{FORMAT, Placement, Results, ServerReport, Settings, SkippedServer};
use super::scenario::{CpuList, LoadCpus, Missing, Scenario, ServerSpec, words};
use super::server::{Launch, Server};
use crate::machine::Machine;

/// What the command line says beyond the scenario.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where programs are.
    pub(crate) programs: Programs,
    /// What makes the load instead of this executable.
    pub(crate) load_program: Option<PathBuf>,
    /// Where traces are.
    pub(crate) traces: PathBuf,
    /// How loud it is.
    pub(crate) progress: Progress,
}

/// A server whose program was found.
struct Present<'a> {
    spec: &'a ServerSpec,
    program: PathBuf,
}

/// Everything at hand while measuring.
struct Lab<'a> {
    scenario: &'a Scenario,
    present: Vec<Present<'a>>,
    server_cpus: CpuList,
    load: Load,
    traces: PathBuf,
    progress: Progress,
    /// By server name, as first told.
    versions: BTreeMap<String, String>,
    /// Measurements made so far.
    order: u32,
    warnings: Vec<String>,
}

/// Measures what `scenario` asks for.
///
/// # Errors
/// The first thing that goes wrong; by then every server has been stopped.
pub(crate) fn run(scenario: &Scenario, options: Options) -> Result<Results, Failure> {
    let (began, started) = (Instant::now(), SystemTime::now());
    let machine = Machine::look();
    let interrupt = Interrupt::on_signals()?;
    let (server_cpus, load_cpus) = place(scenario)?;
    let (present, servers) = find(scenario, &options.programs)?;
    let mut lab = Lab {
        scenario,
        present,
        load: Load::new(options.load_program, load_cpus.clone(), interrupt)?,
        traces: options.traces,
        progress: options.progress,
        versions: BTreeMap::new(),
        order: 0,
        warnings: Vec::new(),
        server_cpus: server_cpus.clone(),
    };
    // This process must not disturb the servers either.
    rustix::thread::sched_setaffinity(None, &load_cpus.to_set())
        .map_err(|error| Failure::Failed(format!("cannot keep to CPUs {load_cpus}: {error}")))?;
    lab.progress.expect(lab.seconds_expected());
    let measured = measure_all(&mut lab);
    lab.progress.finish();
    // Ctrl-C goes to all processes of the terminal: what one of them says as it ends is not what went wrong.
    lab.load.interrupt().check()?;
    let (cases, memory, hit_ratio) = measured?;
    let governor = server_cpus.iter().next().and_then(proc::governor);
    let mut results = Results {
        format: FORMAT,
        larder_bench: env!("CARGO_PKG_VERSION").to_owned(),
        command_line: std::env::args().collect(),
        settings: settings(scenario),
        machine,
        setting: Placement {
            governor,
            server_cpus,
            load_cpus,
            is_virtual: proc::is_virtual(),
        },
        started_unix_ms: started
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64),
        took_seconds: began.elapsed().as_secs_f64(),
        servers,
        cases,
        memory,
        hit_ratio,
        warnings: lab.warnings,
    };
    for server in &mut results.servers {
        server.version = lab.versions.remove(&server.name);
    }
    results.warnings.extend(warnings::of(&results));
    Ok(results)
}

type Measured = (throughput::Reports, memory::Reports, hit_ratio::Reports);

fn measure_all(lab: &mut Lab<'_>) -> Result<Measured, Failure> {
    Ok((
        throughput::measure(lab)?,
        memory::measure(lab)?,
        hit_ratio::measure(lab)?,
    ))
}

fn settings(scenario: &Scenario) -> Settings {
    Settings {
        title: scenario.title.clone(),
        description: scenario.description.clone(),
        baseline: scenario.baseline.clone(),
        rounds: scenario.rounds,
        seconds: scenario.seconds,
        warmup_seconds: scenario.warmup_seconds,
        scenario: scenario.source.clone(),
    }
}

/// The CPUs of the servers and of the load, all of which this process may use.
fn place(scenario: &Scenario) -> Result<(CpuList, CpuList), Failure> {
    let allowed = proc::allowed_cpus()
        .map_err(|error| Failure::Failed(format!("cannot tell which CPUs there are: {error}")))?;
    let servers = scenario.server_cpus.clone();
    let load = match &scenario.load_cpus {
        LoadCpus::List(list) => list.clone(),
        LoadCpus::Rest => {
            let rest = allowed.iter().filter(|cpu| !servers.contains(*cpu));
            CpuList::of(rest).unwrap_or_else(|| allowed.clone())
        }
    };
    for (whose, option, list) in [
        ("servers", "--server-cpus", &servers),
        ("load", "--load-cpus", &load),
    ] {
        if let Some(cpu) = list.iter().find(|cpu| !allowed.contains(*cpu)) {
            return Err(Failure::Usage(format!(
                "cpus.{whose} = {list}: CPU {cpu} is not available, only {allowed}; give others by {option}"
            )));
        }
    }
    Ok((servers, load))
}

/// The servers that are there, and all of them for the report.
fn find<'a>(
    scenario: &'a Scenario,
    programs: &Programs,
) -> Result<(Vec<Present<'a>>, Vec<ServerReport>), Failure> {
    let used: Vec<(&str, &str)> = scenario
        .servers
        .iter()
        .map(|spec| (spec.name.as_str(), spec.command[0].as_str()))
        .collect();
    if let Some(name) = programs.unused(&used).first() {
        return Err(Failure::Usage(format!(
            "--program {name}: no server of the scenario is called or runs that"
        )));
    }
    let (mut present, mut reports) = (Vec::new(), Vec::new());
    for spec in &scenario.servers {
        let word = &spec.command[0];
        let program = programs.find(&spec.name, word);
        let missing = format!(
            "its program {word} was not found (give it by --program {}=PATH)",
            spec.name
        );
        if program.is_none() && spec.missing == Missing::Fail {
            return Err(Failure::Failed(format!("{}: {missing}", spec.label)));
        }
        reports.push(ServerReport {
            name: spec.name.clone(),
            label: spec.label.clone(),
            command: words::join(&spec.command),
            hit_ratio_arguments: spec
                .hit_ratio_arguments
                .as_ref()
                .map(|words| words::join(words)),
            program: program.as_ref().map(|path| path.display().to_string()),
            environment: spec.environment.clone(),
            protocol: spec.protocol,
            version: None,
            skipped: program.is_none().then_some(missing),
        });
        present.extend(program.map(|program| Present { spec, program }));
    }
    if present.is_empty() {
        return Err(Failure::Failed(
            "no server of the scenario was found".to_owned(),
        ));
    }
    Ok((present, reports))
}

impl Lab<'_> {
    /// About how long all of it takes.
    fn seconds_expected(&self) -> f64 {
        throughput::seconds_expected(self)
            + memory::seconds_expected(self)
            + hit_ratio::seconds_expected(self)
    }

    /// Starts the server at `index` of those present.
    fn start(
        &mut self,
        index: usize,
        more: &[String],
        values: &[(&'static str, String)],
    ) -> Result<Server, Failure> {
        let present = &self.present[index];
        let launch = Launch {
            program: &present.program,
            cpus: &self.server_cpus,
            more,
            values,
            interrupt: self.load.interrupt(),
        };
        let server = Server::start(present.spec, &launch)?;
        if !self.versions.contains_key(&present.spec.name) {
            let version = match &present.spec.version {
                Some(arguments) => printed_version(&present.program, arguments),
                None => server.version(),
            };
            self.versions
                .extend(version.map(|version| (present.spec.name.clone(), version)));
        }
        Ok(server)
    }

    /// The servers (by index of those present) that take part in the case called `name`, and those that do not.
    fn taking_part(
        &self,
        name: &str,
        more: fn(&ServerSpec) -> Option<&str>,
    ) -> (Vec<usize>, Vec<SkippedServer>) {
        let (mut part, mut skipped) = (Vec::new(), Vec::new());
        for (index, present) in self.present.iter().enumerate() {
            match present.spec.skipped(name).or_else(|| more(present.spec)) {
                None => part.push(index),
                Some(reason) => skipped.push(SkippedServer {
                    server: present.spec.name.clone(),
                    reason: reason.to_owned(),
                }),
            }
        }
        (part, skipped)
    }
}

/// Visits each of `part` once a round, beginning with another one each time. What each visit measured, by the place in
/// `part`.
///
/// # Errors
/// The first visit that fails.
fn in_rounds<R>(
    part: &[usize],
    rounds: u32,
    mut visit: impl FnMut(usize, u32) -> Result<R, Failure>,
) -> Result<Vec<Vec<R>>, Failure> {
    let places: Vec<usize> = (0..part.len()).collect();
    let mut measured: Vec<Vec<R>> = part.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for place in rotated(&places, round) {
            measured[place].push(visit(part[place], round)?);
        }
    }
    Ok(measured)
}

/// `list` beginning with another one each round.
fn rotated(list: &[usize], round: u32) -> impl Iterator<Item = usize> + '_ {
    let start = round as usize % list.len().max(1);
    list[start..].iter().chain(&list[..start]).copied()
}

/// The first line that `program` prints when asked for its version.
fn printed_version(program: &Path, arguments: &[String]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_first_rotates() {
        let order = |round| rotated(&[5, 6, 7], round).collect::<Vec<_>>();
        assert_eq!(
            [order(0), order(1), order(2), order(3)],
            [[5, 6, 7], [6, 7, 5], [7, 5, 6], [5, 6, 7]]
        );
        assert_eq!(rotated(&[], 1).count(), 0);
    }

    #[test]
    fn a_version_is_the_first_line_a_program_prints() {
        let shell = PathBuf::from("/bin/sh");
        let printed = printed_version(&shell, &["-c".to_owned(), "echo; echo v1 >&2".to_owned()]);
        assert_eq!(printed.as_deref(), Some("v1"));
        assert_eq!(
            printed_version(&PathBuf::from("no-such-program"), &[]),
            None
        );
    }
}
