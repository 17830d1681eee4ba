//! The external programs some tests need, and what happens where one is missing.
//!
//! A test that needs a program which is not installed says so and passes, so that `cargo test` works everywhere.
//! With `CI=true` in the environment a missing program is a failure instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// The path of an installed program, found through `PATH`.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

/// Whether this is a run in which nothing may be skipped.
#[must_use]
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Says that the running test is skipped, and why.
///
/// # Panics
/// In CI, where nothing may be skipped.
pub fn skip(why: &str) {
    assert!(!is_ci(), "needed here, where CI is set: {why}");
    eprintln!("SKIPPED: {why}");
}

/// [`find`], or [`skip`] and `None`.
///
/// # Panics
/// In CI, when the program is missing.
#[must_use]
pub fn find_or_skip(program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// The redis-server that the golden dialogues are blessed with.
pub const ORACLE_VERSION: &str = "7.0.15";

/// The redis-server that dialogues are blessed with, or [`skip`] and `None`.
///
/// # Errors
/// It does not say its version.
///
/// # Panics
/// In CI, when it is missing.
pub fn oracle_or_skip() -> Outcome<Option<PathBuf>> {
    let Some(redis) = find_or_skip("redis-server") else {
        return Ok(None);
    };
    let version = redis_version(&redis)?;
    if version != ORACLE_VERSION {
        skip(&format!("redis-server is {version}, not {ORACLE_VERSION}"));
        return Ok(None);
    }
    Ok(Some(redis))
}

/// The version a redis-server says it is.
///
/// # Errors
/// When it does not run or says nothing of the kind.
pub fn redis_version(program: &Path) -> Outcome<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|why| why.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="));
    version
        .map(str::to_owned)
        .ok_or_else(|| format!("no version in: {text}"))
}
