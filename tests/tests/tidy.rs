//! The rules of the source tree that no compiler checks: who may import whom, how long a file may be, where unsafe
//! code and `unwrap` may stand, and that every file says what it is.

use std::path::{Path, PathBuf};

/// A file longer than this holds two concepts.
const MAX_LINES: usize = 800;

/// Where unsafe code may stand.
const UNSAFE_ALLOWED: &[&str] = &[
    "engine/src/raw/",
    "server/src/runtime/ring/",
    "server/src/script/raw/",
    "perf/",
];

/// The packages whose sources are looked at.
const PACKAGES: &[&str] = &["engine", "server", "bench-harness", "perf", "tests"];

/// A source file with its comments and strings blanked out, so that only code is left to search.
struct Source {
    /// Relative to the workspace, with `/`.
    path: String,
    text: String,
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
        .to_owned()
}

fn files_under(dir: &Path, extension: &str, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "node_modules" {
                files_under(&path, extension, out);
            }
        } else if path.extension().is_some_and(|ext| ext == extension) {
            out.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut paths = Vec::new();
    for package in PACKAGES {
        files_under(&root.join(package), "rs", &mut paths);
    }
    paths.sort();
    let relative = |path: &Path| {
        let inside = path.strip_prefix(&root).expect("found under the root");
        inside.to_string_lossy().replace('\\', "/")
    };
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("a source file is readable text");
            let code = code_only(&text);
            Source {
                path: relative(path),
                text,
                code,
            }
        })
        .collect()
}

/// The code with comments and literals replaced by blanks; line ends stay.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment_end(rest)
        } else if rest[0] == b'"' {
            string_end(rest)
        } else if let Some(end) =
            raw_string_end(rest, at.checked_sub(1).map(|before| bytes[before]))
        {
            end
        } else {
            char_literal_end(rest).unwrap_or_default()
        };
        if end == 0 {
            out.push(char::from(bytes[at]));
            at += 1;
        } else {
            out.extend(
                rest[..end]
                    .iter()
                    .map(|&b| if b == b'\n' { '\n' } else { ' ' }),
            );
            at += end;
        }
    }
    out
}

fn block_comment_end(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i + 1 < rest.len() {
        match &rest[i..i + 2] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    rest.len()
}

fn string_end(rest: &[u8]) -> usize {
    let mut i = 1;
    while i < rest.len() {
        match rest[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    rest.len()
}

fn raw_string_end(rest: &[u8], before: Option<u8>) -> Option<usize> {
    if rest[0] != b'r'
        || before.is_some_and(|b| (b.is_ascii_alphanumeric() && b != b'b') || b == b'_')
    {
        return None;
    }
    let hashes = rest[1..].iter().take_while(|&&b| b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let start = 2 + hashes;
    let length = rest[start..]
        .windows(close.len())
        .position(|window| window == close)?;
    Some(start + length + close.len())
}

/// The end of `'x'` or `'\n'`; a lifetime is none.
fn char_literal_end(rest: &[u8]) -> Option<usize> {
    if rest[0] != b'\'' {
        return None;
    }
    if rest.get(1) == Some(&b'\\') {
        return rest[3..]
            .iter()
            .position(|&b| b == b'\'')
            .map(|found| found + 4);
    }
    let width = rest[1..].iter().take(5).position(|&b| b == b'\'')?;
    (width == 1 || (width > 1 && !rest[1].is_ascii())).then_some(width + 2)
}

/// The code before the module of tests of the file (none where all of it is for tests, `#![cfg(test)]`), by line.
fn code_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let is_for_tests = source.code.contains("#![cfg(test)]");
    let mut attributes = source.code.match_indices("#[cfg(test)]");
    let module = attributes.find(|(at, _)| {
        let behind = source.code[*at..].lines().nth(1).unwrap_or_default();
        behind.contains("mod ") && behind.ends_with('{')
    });
    let end = module.map_or(source.code.len(), |(at, _)| at);
    let end = if is_for_tests { 0 } else { end };
    source.code[..end]
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// Whether `line` names `path` (such as `std::net` or `crate::runtime`), not as a part of a longer name.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let before = at.checked_sub(1).map(|i| line.as_bytes()[i]);
        let after = line.as_bytes().get(at + path.len()).copied();
        !before.is_some_and(|b| word(b) || b == b':') && !after.is_some_and(word)
    })
}

/// Every place outside of unit tests where a file under `inside` (but not under an exception) names one of `paths`.
fn breaches(sources: &[Source], inside: &str, except: &[&str], paths: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        if !source.path.starts_with(inside)
            || except.iter().any(|other| source.path.starts_with(other))
        {
            continue;
        }
        for (number, line) in code_lines(source) {
            for path in paths {
                if names(line, path) {
                    found.push(format!("{}:{number}: {path}: {}", source.path, line.trim()));
                }
            }
        }
    }
    found
}

/// Whether the modules of one layer may import each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Siblings {
    AreStrangers,
    MayImportEachOther,
}

/// Checks that no file of a layer names a layer that stands above it, or beside it where siblings are strangers.
///
/// `layers` goes from the top to the bottom; a layer is a list of siblings, each a module of `package`'s library.
fn layering(
    sources: &[Source],
    package: &str,
    layers: &[&[&str]],
    siblings: Siblings,
) -> Vec<String> {
    let mut found = Vec::new();
    for (depth, layer) in layers.iter().enumerate() {
        for module in *layer {
            let above = layers[..depth].iter().flat_map(|layer| layer.iter());
            let beside = layer
                .iter()
                .filter(|other| siblings == Siblings::AreStrangers && *other != module);
            let forbidden: Vec<String> = above
                .chain(beside)
                .map(|other| format!("crate::{other}"))
                .collect();
            let forbidden: Vec<&str> = forbidden.iter().map(String::as_str).collect();
            for place in [
                format!("{package}/src/{module}/"),
                format!("{package}/src/{module}.rs"),
            ] {
                found.extend(breaches(sources, &place, &[], &forbidden));
            }
        }
    }
    found
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |source: &&Source| !source.text.starts_with("//!");
    let found: Vec<String> = sources()
        .iter()
        .filter(silent)
        .map(|source| source.path.clone())
        .collect();
    assert_none(&found, "a file opens with `//!`");
}

#[test]
fn no_file_holds_two_concepts() {
    let mut found = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            found.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert_none(&found, "a file has at most 800 lines");
}

#[test]
fn only_the_runtime_knows_glommio_and_io_uring() {
    let sources = sources();
    let rings = ["glommio", "io_uring"];
    let mut found = breaches(&sources, "server/", &["server/src/runtime"], &rings);
    found.extend(breaches(&sources, "engine/", &[], &rings));
    assert_none(
        &found,
        "only server/src/runtime/ imports glommio or io_uring",
    );
}

#[test]
fn the_protocol_stands_on_the_standard_library_alone() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.path.starts_with("server/src/resp"))
    {
        for (number, line) in code_lines(source) {
            let crates = [
                "larder_engine",
                "memchr",
                "itoa",
                "bumpalo",
                "hashbrown",
                "crossbeam",
                "libc",
            ];
            let other_crate = crates.iter().any(|name| names(line, name));
            let other_module = line.contains("crate::") && !line.contains("crate::resp");
            if other_crate || other_module {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&found, "resp imports std only");
}

#[test]
fn the_formats_of_values_stand_by_themselves() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.path.starts_with("server/src/rdb/"))
    {
        for (number, line) in code_lines(source) {
            if line.contains("crate::") && !line.contains("crate::rdb") {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&found, "rdb imports nothing of the server");
}

#[test]
fn the_engine_does_no_input_or_output_and_knows_no_clock() {
    let outside = [
        "std::net",
        "std::fs",
        "std::thread",
        "std::time::Instant",
        "std::time::SystemTime",
        "std::io",
    ];
    let mut paths = outside.to_vec();
    paths.extend(["Instant", "SystemTime"]);
    assert_none(
        &breaches(&sources(), "engine/src/", &[], &paths),
        "time, randomness and files are not the engine's",
    );
}

#[test]
fn the_server_is_layered() {
    let foundation: &[&str] = &[
        "resp", "observe", "config", "shared", "budget", "quota", "order", "topics", "routing",
        "glob", "log", "rdb", "script", "persist",
    ];
    let layers: &[&[&str]] = &[
        &["runtime"],
        &["dispatch"],
        &["command"],
        &["session"],
        foundation,
    ];
    let found = layering(&sources(), "server", layers, Siblings::MayImportEachOther);
    assert_none(
        &found,
        "main > runtime > dispatch > command > session > resp, observe, config, shared, budget, quota, order, topics, routing, glob, log, rdb, script, persist",
    );
}

/// The modules of `server/src/dispatch/`, each with those it may import. A module stands below all that import it: it is named
/// only by what comes later in this list.
const MODULES: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("locks", &[]),
    ("mail", &["limits", "locks"]),
    ("memory", &["limits"]),
    ("turn", &[]),
    ("hot", &["limits", "mail"]),
    ("run", &["mail"]),
    ("steps", &["mail"]),
    ("saving", &[]),
    ("exec", &["limits", "mail"]),
    ("notify", &[]),
    ("rebalance", &[]),
    ("blocking", &["locks", "mail", "run"]),
    ("gather", &["blocking", "limits", "mail", "notify", "run"]),
    ("scripts", &["limits", "locks", "mail", "notify", "run"]),
    (
        "transactions",
        &["blocking", "locks", "mail", "run", "scripts"],
    ),
];

/// Where `Core` is: it may import every module, and no module may import it.
const CORE: &str = "core";

const DISPATCH: &str = "server/src/dispatch/";

/// The module of dispatch that a file is of, `None` for those of no module: `mod.rs` and the tests.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix(DISPATCH)?;
    let (module, _) = inside.split_once('/').unwrap_or((inside, ""));
    let module = module.strip_suffix(".rs").unwrap_or(module);
    (module != "mod" && module != "tests").then_some(module)
}

/// What a line says of other modules: each name behind `crate::dispatch::`, or behind as many `super::` as lead to dispatch.
fn modules_named<'a>(path: &str, line: &'a str) -> Vec<&'a str> {
    let depth = path[DISPATCH.len()..].matches('/').count();
    let ups = depth + usize::from(!path.ends_with("/mod.rs"));
    let to_dispatch = "super::".repeat(ups);
    let mut named = Vec::new();
    for prefix in ["crate::dispatch::", to_dispatch.as_str()] {
        for (at, _) in line.match_indices(prefix) {
            let is_longer = line[..at].ends_with("super::");
            if prefix.is_empty() || is_longer {
                continue;
            }
            let rest = &line[at + prefix.len()..];
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            // A group, `{`, or `*`, is nobody's name.
            named.push(if end == 0 {
                &rest[..1.min(rest.len())]
            } else {
                &rest[..end]
            });
        }
    }
    named
}

/// Every place where a module names `Core`, or another module that it may not import.
fn breaches_of_modules(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let Some(module) = module_of(&source.path) else {
            continue;
        };
        let known = MODULES.iter().find(|(name, _)| *name == module);
        let Some((_, below)) = known else {
            if module != CORE {
                found.push(format!("{}: {module} is no module", source.path));
            }
            continue;
        };
        for (number, line) in code_lines(source) {
            let mut said = modules_named(&source.path, line);
            said.retain(|name| *name != module && !below.contains(name));
            if names(line, "Core") {
                said.push("Core");
            }
            let place = |name| format!("{}:{number}: {module} names {name}", source.path);
            found.extend(said.into_iter().map(place));
        }
    }
    found
}

#[test]
fn the_modules_of_dispatch_import_what_is_below_them_and_only_core_knows_core() {
    let mut below: Vec<&str> = Vec::new();
    for (module, imports) in MODULES {
        for import in *imports {
            assert!(
                below.contains(import),
                "{module} imports {import}, not below"
            );
        }
        let has_files = |source: &Source| module_of(&source.path) == Some(module);
        assert!(
            sources().iter().any(has_files),
            "there is no module {module}"
        );
        below.push(module);
    }
    let rule = "a module of dispatch imports the modules that MODULES lists for it, and never Core";
    assert_none(&breaches_of_modules(&sources()), rule);
}

#[test]
fn a_module_that_imports_too_much_is_found() {
    let source = |path: &str, line: &str| Source {
        path: path.to_owned(),
        text: line.to_owned(),
        code: code_only(line),
    };
    let breaches = |path, line| breaches_of_modules(&[source(path, line)]);
    let queues = "server/src/dispatch/blocking/key_queues.rs";
    for line in [
        "use crate::dispatch::core::turn::Turn;",
        "use crate::dispatch::Core;",
        "use super::super::transactions::pending::Plan;",
        "use crate::dispatch::{mail, run};",
        "fn serve(core: &mut Core) {}",
    ] {
        assert!(!breaches(queues, line).is_empty(), "{line}");
    }
    for line in [
        "use crate::dispatch::mail::requests::Head;",
        "use super::super::locks::Scope;",
        "use super::unblocks::Unblocks;",
        "use crate::routing::CoreId; // not Core",
    ] {
        assert_none(&breaches(queues, line), line);
    }
    let module = "server/src/dispatch/gather/mod.rs";
    assert!(!breaches(module, "use super::scripts::Scripts;").is_empty());
    assert_none(
        &breaches(module, "use super::blocking::blocked::Attempt;"),
        "",
    );
    let core = "server/src/dispatch/core/hot.rs";
    assert_none(&breaches(core, "use super::Core;"), "");
    let stray = "server/src/dispatch/attic.rs";
    assert!(!breaches(stray, "").is_empty());
}

#[test]
fn the_engine_is_layered() {
    let sources = sources();
    let layers: &[&[&str]] = &[
        &["shard"],
        &["quota"],
        &["expiry", "evict", "snapshot"],
        &["keyspace"],
        &["memory"],
        &["sorted", "list", "stream"],
        &["spiral"],
        &["item"],
        &["nodes"],
        &["encoding"],
        &["thresholds"],
        &["raw", "value", "agenda"],
        &["limits", "units", "error"],
    ];
    let rule = "shard > quota > expiry, evict, snapshot > keyspace > memory > sorted, list, stream > spiral > item > nodes > encoding > thresholds > raw, value, agenda > limits, units, error";
    assert_none(
        &layering(&sources, "engine", layers, Siblings::AreStrangers),
        rule,
    );
}

#[test]
fn the_bench_harness_knows_servers_by_their_sockets_only() {
    let found = breaches(
        &sources(),
        "bench-harness/",
        &[],
        &["larder_engine", "larder_server", "glommio", "io_uring"],
    );
    assert_none(&found, "bench-harness treats every target alike");
}

#[test]
fn unsafe_code_stays_where_it_is_allowed() {
    let found = breaches(
        &sources(),
        "",
        UNSAFE_ALLOWED,
        &["unsafe", "allow(unsafe_code)"],
    );
    assert_none(
        &found,
        "unsafe code stands in engine/src/raw/, server/src/runtime/ring/ and server/src/script/raw/ only",
    );
}

#[test]
fn nothing_outside_of_tests_unwraps() {
    let mut found = Vec::new();
    for source in sources() {
        let is_test = ["/tests/", "/benches/", "/fuzz/", "/tests.rs"]
            .iter()
            .any(|part| source.path.contains(part));
        if is_test || source.path.ends_with("_tests.rs") {
            continue;
        }
        for (number, line) in code_lines(&source) {
            if line.contains(".unwrap()") {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&found, "`expect` says why it holds");
}

#[test]
fn nothing_is_left_unfinished() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.path != "tests/tests/tidy.rs")
    {
        for (number, line) in code_lines(source) {
            if ["todo!(", "unimplemented!(", "dbg!("]
                .iter()
                .any(|mark| line.contains(mark))
            {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&found, "no stubs");
}

#[test]
fn documents_and_sources_name_no_path_of_a_machine() {
    let root = root();
    let mut paths = Vec::new();
    for extension in ["md", "rs", "toml", "py", "sh", "txt", "js"] {
        files_under(&root, extension, &mut paths);
    }
    let mut found = Vec::new();
    // Put together here, so that this file does not find itself.
    let marks =
        ["/work", "/farm", "/home", "/root", "/tmp/peers", "/tmp/w"].map(|dir| format!("{dir}/"));
    for path in paths {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            let named = marks.iter().any(|mark| {
                line.match_indices(mark.as_str()).any(|(at, _)| {
                    // `engine/work/…` is a relative path, and so is `https://…/home/`.
                    let before = line[..at].chars().next_back();
                    before.is_none_or(|c| c.is_whitespace() || "\"'`(=:".contains(c))
                })
            });
            if named {
                found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    assert_none(&found, "nothing names a directory of one machine");
}

#[test]
fn the_blanking_of_comments_and_literals_keeps_the_code() {
    let text = "let a = \"x // y\"; // unsafe\nlet b = 'u'; let c: &'a str = r#\"un\"safe\"#; /* a /* b */ c */ f()\n";
    let code = code_only(text);
    assert_eq!(code.lines().count(), 2);
    assert!(code.contains("let a =") && code.contains("let c: &'a str =") && code.contains("f()"));
    assert!(!code.contains("unsafe") && !code.contains("x //") && !code.contains("b */"));
    assert!(names("use std::net::TcpStream;", "std::net"));
    assert!(!names("use std::network;", "std::net"));
    assert!(!names("crate::std::net", "std::net"));
}
