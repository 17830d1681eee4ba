//! Plays the golden dialogues on a real redis-server and writes its replies into them.
//!
//! `cargo run -p larder-tests --bin bless [FILE …]`; without a file all of them. The replies depend on the server's
//! version, so only the version the dialogues were blessed with is taken.

use std::path::Path;
use std::process::ExitCode;

use larder_tests::Outcome;
use larder_tests::dialogue::{self, Mode, Script};
use larder_tests::server::{Options, Server};
use larder_tests::tools;

fn main() -> ExitCode {
    match bless_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn bless_all() -> Outcome<()> {
    let redis = tools::find("redis-server").ok_or("redis-server is not installed")?;
    let version = tools::redis_version(&redis)?;
    if version != tools::ORACLE_VERSION {
        return Err(format!(
            "redis-server is {version}; the dialogues are blessed with {}",
            tools::ORACLE_VERSION
        ));
    }
    let files: Vec<String> = std::env::args().skip(1).collect();
    let scripts = if files.is_empty() {
        dialogue::all()?
    } else {
        files
            .iter()
            .map(|file| Script::load(Path::new(file)))
            .collect::<Outcome<Vec<_>>>()?
    };
    let mut failures = Vec::new();
    for script in scripts {
        let options = script
            .server_directives()
            .iter()
            .fold(Options::redis(redis.clone()), |options, (name, value)| {
                options.directive(name, value)
            });
        let server = Server::start(&options)?;
        let report = dialogue::play(&script, server.address(), Mode::Bless, None)?;
        let changed = report.script.to_text() != script.to_text();
        report.script.save()?;
        println!(
            "{} {} ({} replies)",
            if changed { "wrote" } else { "same " },
            script.name(),
            report.replies
        );
        failures.extend(report.failures);
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("patterns that do not fit:\n{}", failures.concat()))
    }
}
