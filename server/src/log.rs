//! The server's log: a line at a time, to the file that `logfile` names, or to standard output and, for warnings, standard error.
//!
//! The file is opened for each line, so that it can be rotated by renaming it, and without waiting: a pipe that nobody reads
//! loses lines and holds nothing up.

use std::fmt::Arguments;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// From now on the log goes to `file`. The first call holds.
pub fn to_file(file: &Path) {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    FILE.get_or_init(|| file);
}

/// Writes lines.
///
/// # Errors
/// One line: the file cannot be written.
pub fn say(lines: &[String]) -> Result<(), String> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    match FILE.get() {
        None => {
            // Nobody may be reading.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            Ok(())
        }
        Some(file) => append(file, &text)
            .map_err(|error| format!("cannot write the log {}: {error}", file.display())),
    }
}

/// Writes a line about something that an operator should know.
#[cold]
pub fn warn(text: Arguments<'_>) {
    tell("warning", text);
}

/// Writes a line of a level. A log that cannot be written keeps nothing from going on.
#[cold]
pub fn tell(level: &str, text: Arguments<'_>) {
    let _ = match FILE.get() {
        None => writeln!(io::stderr().lock(), "larder-server: {level}: {text}"),
        Some(file) => append(file, &format!("{level}: {text}\n")),
    };
}

fn append(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
}
