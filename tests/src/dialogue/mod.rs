//! Golden dialogues: command lines and the replies expected to them, in files under `cases/`.
//!
//! A file is `cases/<family>/<topic>.txt`. A line at the left margin is a command, with redis-cli's quoting; the
//! lines under it, four blanks in, are the reply:
//!
//! ```text
//! # comments start with a hash sign
//! SET k "a b"
//!     +OK
//! @2 GET k
//!     "a b"
//! ```
//!
//! # Replies
//!
//! A reply is written with RESP's own type marks, so that the exact type is fixed: `+status`, `-ERR error`,
//! `:integer`, `"bulk"`, `$-1` and `*-1` (RESP2's two nulls), `*2` array, and of RESP3 `_` null, `%1` map, `~2` set,
//! `>2` push, `,1.5` double, `#t` boolean, `(123` big number, `=txt:"verbatim"`, `!"bulk error"`, `|1` attribute.
//! Members follow two blanks further in, a map's values two more than their keys. `(none)` says that no reply comes,
//! `(closed)` that the server closes the connection. A bulk string above 512 bytes is shown by length and checksum.
//!
//! A reply that is not always the same is written as a pattern: `<n>` stands for an integer, `<f>` for a number,
//! `<95..100>` for an integer in that range, `<a|b>` for one of the texts, `<*>` for anything within the line, and a
//! line `...` for any number of lines.
//!
//! # Commands and directives
//!
//! `@2 ` in front of a command sends it over connection 2 (else 1); connections open when first used, and again
//! after they were closed. In an argument `${name}` is a saved value, and `$REPEAT(text,1000)` as a whole argument is
//! the text so many times over. Lines that start with `! ` are directives:
//!
//! | directive | effect |
//! |---|---|
//! | `! server NAME VALUE` | at the top: the file has a server of its own, started with this directive |
//! | `! by-hand REASON` | the next reply was not blessed: redis-server 7.0.15 answers otherwise, for this reason |
//! | `! by-hand-file REASON` | the same for the whole file |
//! | `! unordered` | members of the next reply come in any order; they are compared (and written) sorted |
//! | `! eventually` | the next command is repeated until it gives the reply, for at most five seconds |
//! | `! save NAME` | the next reply (its first member) is saved as `${NAME}` |
//! | `! raw "bytes" …` | sends bytes as they are and expects the replies under it; `! raw @2 "bytes"` |
//! | `! read` | expects a further reply without sending anything; `! read @2` |
//! | `! pipeline` … `! end` | the commands between are sent in one write, then the replies are read |
//! | `! resp3` | sends `HELLO 3` and ignores the reply; `! resp3 @2` |
//! | `! close` | closes the connection from this side; `! close @2` |
//! | `! sleep 50` | waits so many milliseconds |
//!
//! # Blessing
//!
//! `cargo run -p larder-tests --bin bless [FILE …]` plays the files on a real redis-server and writes its replies
//! into them. An expected reply that already fits, patterns included, stays as it is.

mod pattern;
mod play;
mod script;

pub use pattern::matches;
pub use play::{Mode, Report, play};
pub use script::Script;

use std::path::{Path, PathBuf};

use crate::Outcome;

/// The directory that holds the dialogues.
#[must_use]
pub fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Every dialogue, in the order of its path; only those whose path contains `LARDER_GOLDEN`, when that is set.
///
/// # Errors
/// When a file cannot be read or understood.
pub fn all() -> Outcome<Vec<Script>> {
    let wanted = std::env::var("LARDER_GOLDEN").unwrap_or_default();
    let mut files = Vec::new();
    for family in entries(&cases_dir())? {
        if family.is_dir() {
            files.extend(entries(&family)?);
        }
    }
    files.retain(|file| {
        file.extension().is_some_and(|ext| ext == "txt") && file.to_string_lossy().contains(&wanted)
    });
    files.iter().map(|file| Script::load(file)).collect()
}

fn entries(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let reading = |why: std::io::Error| format!("reading {}: {why}", dir.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(reading)? {
        paths.push(entry.map_err(reading)?.path());
    }
    paths.sort();
    Ok(paths)
}
