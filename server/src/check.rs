//! `larder-server check FILE…`: whether files can be loaded, without a server.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::rdb::file::{Check, Found, Trailer};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// What there is to say of a file, on one line.
///
/// # Errors
/// It cannot be read, or not loaded: where, why, and what to do.
pub fn check(path: &Path) -> Result<String, String> {
    let name = path.display();
    let unreadable = |why: std::io::Error| format!("{name}: {why}");
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut check, mut buffer) = (Check::new(), vec![0; READ_BYTES]);
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        let outcome = match read {
            0 => check.complete(),
            _ => check.add(&buffer[..read]),
        };
        outcome.map_err(|damage| format!("{name}: {damage}{}", advice(&check)))?;
        if read == 0 {
            return Ok(format!("{name}: {}", described(check.found())));
        }
    }
}

/// What to know of a file that is damaged, and what to do.
fn advice(check: &Check) -> String {
    let Some(version) = check.found().version else {
        return String::new();
    };
    let keys: u64 = check.found().databases.values().map(|keys| keys.all).sum();
    let whole = keys - u64::from(check.key().is_some());
    let within = check.key().map(|(db, key)| {
        let key = key.escape_ascii();
        format!(", in the value of \"{key}\" of database {db}")
    });
    let within = within.unwrap_or_default();
    format!(
        "{within}. Of RDB version {}; {whole} keys before that are whole. Take another copy of the file: none that is damaged is loaded",
        version.0
    )
}

fn described(found: &Found) -> String {
    let version = found.version.map_or(0, |version| version.0);
    let mut parts = vec![format!("RDB version {version}")];
    if let Some((program, version)) = &found.writer {
        let program = program.trim_end_matches("-ver");
        parts.push(format!("written by {program} {}", version.escape_default()));
    }
    for (db, keys) in &found.databases {
        let mut part = format!("{} keys in database {db}", keys.all);
        let of_them = [(keys.expiring, "with deadlines"), (keys.empty, "empty")];
        let of_them = of_them.iter().filter(|(count, _)| *count > 0);
        let of_them: Vec<String> = of_them
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !of_them.is_empty() {
            part += &format!(" ({})", of_them.join(", "));
        }
        parts.push(part);
    }
    if found.databases.is_empty() {
        parts.push("no keys".into());
    }
    if found.libraries > 0 {
        parts.push(format!("{} libraries of functions", found.libraries));
    }
    parts.push(format!("{} bytes", found.bytes));
    if found.bytes_behind > 0 {
        parts.push(format!("and {} behind its end", found.bytes_behind));
    }
    parts.push(match found.trailer {
        Some(Trailer::Fits) => "checksum fits".into(),
        _ => "no checksum".into(),
    });
    parts.join(", ")
}
