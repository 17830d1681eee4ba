//! The programs of this workspace that tests run, brought up to date by cargo once per process and program, unless the environment names
//! one: built alone, a program has its dependencies built anew, with the features that it asks for by itself.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::Outcome;

/// The server under test: `LARDER_SERVER_BIN`, or the workspace's own.
///
/// # Errors
/// When it cannot be built.
pub fn larder_server() -> Outcome<PathBuf> {
    static PROGRAM: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| given_or_built("LARDER_SERVER_BIN", "larder-server"))
        .clone()
}

/// The load generator: `LARDER_BENCH_BIN`, or the workspace's own.
///
/// # Errors
/// When it cannot be built.
pub fn larder_bench() -> Outcome<PathBuf> {
    static PROGRAM: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| given_or_built("LARDER_BENCH_BIN", "larder-bench"))
        .clone()
}

/// The program that a variable of the environment names, or that of a package of the same name.
fn given_or_built(variable: &str, program: &str) -> Outcome<PathBuf> {
    match std::env::var_os(variable) {
        Some(path) => {
            let path = PathBuf::from(path);
            path.canonicalize()
                .map_err(|why| format!("{variable}, {}: {why}", path.display()))
        }
        None => build(program),
    }
}

fn build(program: &str) -> Outcome<PathBuf> {
    let own = std::env::current_exe().map_err(|why| why.to_string())?;
    // target/PROFILE/deps/test-binary or target/PROFILE/binary
    let profile_dir = own
        .ancestors()
        .skip(1)
        .find(|dir| dir.file_name().is_some_and(|name| name != "deps"))
        .ok_or("the test does not run from a target directory")?;
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target_dir = profile_dir
        .parent()
        .ok_or("the target directory has no parent")?;
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            program,
            "--bin",
            program,
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .map_err(|why| format!("running cargo: {why}"))?;
    if !built.status.success() {
        return Err(format!(
            "building {program}:\n{}",
            String::from_utf8_lossy(&built.stderr)
        ));
    }
    Ok(profile_dir.join(program))
}
