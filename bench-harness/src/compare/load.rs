//! The load: `larder-bench run` as a process of its own, pinned to its CPUs, its report read back.
//!
//! While it runs the server is watched, so that a death is told as the server's and not as a broken connection.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::interrupt::{Interrupt, LOOK_EVERY};
use super::proc;
use super::scenario::{CpuList, Protocol, words};
use super::scratch::Scratch;
use super::server::Server;
use crate::report::{FORMAT, Report};

/// How much of what the load printed is quoted when it fails.
const TAIL_LINES: usize = 5;

/// How the load is run.
#[derive(Debug)]
pub(crate) struct Load {
    program: PathBuf,
    cpus: CpuList,
    interrupt: Interrupt,
    scratch: Scratch,
}

/// How long a run may take before it counts as hung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Patience {
    /// It runs for so many seconds by itself.
    Seconds(f64),
    /// It runs until its work is done.
    Done,
}

/// What a run that ought to last a number of seconds may take beyond them.
const GRACE: Duration = Duration::from_secs(60);

impl Load {
    /// A load that `program` (else this executable) makes on `cpus`.
    ///
    /// # Errors
    /// This executable is not to be found, or no directory can be made.
    pub(crate) fn new(
        program: Option<PathBuf>,
        cpus: CpuList,
        interrupt: Interrupt,
    ) -> Result<Self, Failure> {
        let program = match program {
            Some(program) => program,
            None => std::env::current_exe().map_err(|error| {
                Failure::Failed(format!("cannot find this executable: {error}"))
            })?,
        };
        let scratch = Scratch::new("load")?;
        Ok(Self {
            program,
            cpus,
            interrupt,
            scratch,
        })
    }

    /// The CPUs it runs on.
    pub(crate) fn cpus(&self) -> &CpuList {
        &self.cpus
    }

    /// Asked by whatever waits.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Runs it on `server` with `arguments` and reads its report.
    ///
    /// # Errors
    /// The load fails, answers with what is no report, or the server dies or answers with errors.
    pub(crate) fn run(
        &self,
        server: &mut Server,
        protocol: Protocol,
        arguments: &[String],
        patience: Patience,
    ) -> Result<Report, Failure> {
        let file = self.scratch.path().join("report.json");
        // A report left by an earlier run must not be taken for this one's.
        let _ = fs::remove_file(&file);
        let printed = self.scratch.path().join("printed");
        let child = self.spawn(server, protocol, arguments, &file, &printed)?;
        let status = self.wait(child, server, patience)?;
        if !status.success() {
            server.check_alive()?;
            let text = fs::read_to_string(&printed).unwrap_or_default();
            let lines: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
            return Err(server.failed(&format!(
                "cannot be loaded ({status}): {tail}\n  by larder-bench run {}",
                words::join(arguments)
            )));
        }
        let report = self.read(&file)?;
        check(&report, server)?;
        Ok(report)
    }

    fn spawn(
        &self,
        server: &Server,
        protocol: Protocol,
        arguments: &[String],
        file: &PathBuf,
        printed: &PathBuf,
    ) -> Result<Child, Failure> {
        let told = |error: std::io::Error| {
            Failure::Failed(format!(
                "cannot run the load, {}: {error}",
                self.program.display()
            ))
        };
        let out = File::create(printed).map_err(told)?;
        let mut command = Command::new(&self.program);
        command
            .args(["run", "--server", &format!("127.0.0.1:{}", server.port())])
            .args(["--protocol", protocol.name()])
            .args(arguments)
            .arg("--json")
            .arg(file)
            .arg("--quiet")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out);
        proc::pinned(&self.cpus, move || command.spawn()).map_err(told)
    }

    /// Waits for the load; ends it when the user wants to stop, the server dies, or it hangs.
    fn wait(
        &self,
        mut child: Child,
        server: &mut Server,
        patience: Patience,
    ) -> Result<ExitStatus, Failure> {
        let give_up = match patience {
            Patience::Seconds(seconds) => {
                Some(Instant::now() + Duration::from_secs_f64(seconds) + GRACE)
            }
            Patience::Done => None,
        };
        let told =
            |error: std::io::Error| Failure::Failed(format!("cannot wait for the load: {error}"));
        loop {
            if let Some(status) = child.try_wait().map_err(told)? {
                return Ok(status);
            }
            let hung = match give_up {
                Some(moment) if Instant::now() > moment => Err(server.failed(&format!(
                    "keeps the load waiting {} s too long",
                    GRACE.as_secs()
                ))),
                _ => Ok(()),
            };
            if let Err(failure) = self.interrupt.check().and(server.check_alive()).and(hung) {
                // It may have ended by itself meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failure);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn read(&self, file: &PathBuf) -> Result<Report, Failure> {
        let told = |error: &dyn std::fmt::Display| {
            Failure::Failed(format!(
                "{}: no report of the load: {error}",
                self.program.display()
            ))
        };
        let text = fs::read_to_string(file).map_err(|error| told(&error))?;
        let report: Report = serde_json::from_str(&text).map_err(|error| told(&error))?;
        if report.format != FORMAT {
            return Err(told(&format!(
                "format {} instead of {FORMAT}",
                report.format
            )));
        }
        Ok(report)
    }
}

/// A server that answers with errors is not measured.
fn check(report: &Report, server: &mut Server) -> Result<(), Failure> {
    server.check_alive()?;
    let totals = &report.totals;
    if totals.errors > 0 {
        let first = totals.first_error.as_ref();
        let first = first.map_or(String::new(), |error| format!(", the first: {error}"));
        let of = format!(
            "answered {} of {} commands with errors{first}",
            totals.errors, totals.operations
        );
        return Err(server.failed(&of));
    }
    if totals.verify_failures > 0 {
        return Err(server.failed(&format!(
            "returned {} values that were never set",
            totals.verify_failures
        )));
    }
    if totals.operations == 0 {
        return Err(server.failed("answered no command at all"));
    }
    Ok(())
}
