//! The three lists hold every directive, and what is refused stops the start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::treatment::{OBEYED, REFUSED, REFUSED_LINES, WARNED, refusal};
use super::{Config, DIRECTIVES, Kind, find};

/// Directives that are lines of their own kind: no row of the table.
const LINES: [&str; 4] = ["include", "loadmodule", "rename-command", "user"];

fn args(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

/// The list each directive is in.
fn treatments() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let obeyed = OBEYED.iter().map(|name| (*name, "obeyed"));
    let warned = WARNED.iter().map(|(name, ..)| (*name, "warned"));
    let refused = REFUSED.iter().map(|(name, ..)| (*name, "refused"));
    let lines = REFUSED_LINES.iter().map(|(name, ..)| (*name, "refused"));
    for (name, list) in obeyed.chain(warned).chain(refused).chain(lines) {
        lists.entry(name).or_default().push(list);
    }
    lists
}

#[test]
fn every_directive_is_in_one_list() {
    let lists = treatments();
    let known: BTreeSet<&str> = DIRECTIVES
        .iter()
        .map(|directive| directive.name)
        .chain(LINES)
        .collect();
    for name in &known {
        let list = lists.get(name).map_or(&[][..], Vec::as_slice);
        assert_eq!(list.len(), 1, "{name} is in {list:?}");
    }
    for name in lists.keys() {
        assert!(known.contains(name), "{name} is no directive");
    }
}

#[test]
fn every_directive_of_redis_7_2_is_known() {
    let lists = treatments();
    let mut count = 0;
    for line in include_str!("redis_7_2_directives.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (name, real) = line.split_once(' ').unwrap_or((line, line));
        if !LINES.contains(&name) {
            let found = find(name).unwrap_or_else(|| panic!("{name} is unknown"));
            assert_eq!(found.directive().name, real, "{name}");
        }
        assert!(lists.contains_key(real), "{real} is in no list");
        count += 1;
    }
    assert!(count > 200, "{count}");
}

/// What is obeyed is read: each directive's field of the settings is used outside of the configuration.
#[test]
fn what_is_obeyed_is_read_by_the_server() {
    let fields = fields_of_directives();
    let source = server_source();
    // Lines of their own kind, and what the configuration heeds itself or makes another figure of.
    let elsewhere = [
        "include",
        "rename-command",
        "enable-protected-configs",
        "maxmemory-clients",
    ];
    for name in OBEYED.iter().filter(|name| !elsewhere.contains(name)) {
        let field = fields
            .get(*name)
            .unwrap_or_else(|| panic!("no setting reads {name}"));
        let is_read = source
            .match_indices(&format!(".{field}"))
            .any(|(at, found)| {
                let behind = source[at + found.len()..].chars().next();
                !behind.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
            });
        assert!(is_read, "nothing reads {field}, the setting of {name}");
    }
}

/// The field of the settings that each directive is read into, from the source of `settings.rs`.
fn fields_of_directives() -> BTreeMap<String, String> {
    let source = include_str!("settings.rs");
    let (_, reading) = source
        .split_once("fn read(text")
        .expect("where settings are read");
    let (reading, _) = reading.split_once("\n    }\n}").expect("its end");
    let mut fields = BTreeMap::new();
    let mut field = "";
    for line in reading.lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(": ")
            && name
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
        {
            field = name;
        }
        if let Some(name) = line.split('"').nth(1)
            && find(name).is_some()
        {
            fields.insert(name.to_owned(), field.to_owned());
        }
    }
    fields
}

/// The server's source but for the configuration's.
fn server_source() -> String {
    fn collect(directory: &Path, text: &mut String) {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                collect(&path, text);
            } else {
                text.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = String::new();
    for entry in std::fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().unwrap().to_str() {
            Some("config") => {}
            _ if path.is_dir() => collect(&path, &mut text),
            _ => text.push_str(&std::fs::read_to_string(&path).unwrap()),
        }
    }
    text
}

/// A value of the directive that asks for something.
fn asking_value(name: &str) -> Vec<&'static str> {
    let directive = find(name).unwrap().directive();
    match (directive.kind, directive.default) {
        (Kind::Bool, "yes") => vec!["no"],
        (Kind::Bool, _) => vec!["yes"],
        (Kind::Integer { min, .. }, default) if default != min.to_string() => {
            vec![Box::leak(min.to_string().into_boxed_str())]
        }
        (Kind::Integer { .. }, _) => vec!["7"],
        (Kind::OneOf(words) | Kind::Flags(words), default) => {
            vec![words.iter().find(|word| **word != default).unwrap()]
        }
        (Kind::ReplicaOf, _) => vec!["10.0.0.1", "6379"],
        (Kind::Save, _) => vec!["60", "1"],
        (Kind::OomScores, _) => vec!["1", "2", "3"],
        (Kind::Memory { .. } | Kind::MemoryOrPercent, _) => vec!["3mb"],
        _ => vec!["something"],
    }
}

#[test]
fn what_is_refused_stops_the_start_with_its_name_and_place() {
    let file = std::env::temp_dir().join(format!("larder-refused-{}.conf", std::process::id()));
    for (name, ..) in REFUSED {
        let value = asking_value(name);
        std::fs::write(&file, format!("# a comment\n{name} {}\n", value.join(" "))).unwrap();
        let error = Config::load(Some(&file), &[]).expect_err(name).to_string();
        assert!(
            error.starts_with(&format!("{}:2: '{name}': there ", file.display())),
            "{error}"
        );
        assert!(
            !error.contains('\n') && !error.contains("something"),
            "{error}"
        );

        let option = format!("--{name}");
        let line: Vec<&str> = std::iter::once(option.as_str()).chain(value).collect();
        let error = Config::load(None, &args(&line))
            .expect_err(name)
            .to_string();
        assert!(
            error.starts_with(&format!("command line: '--{name}': there ")),
            "{error}"
        );
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn what_is_refused_at_start_is_refused_to_clients() {
    for (name, ..) in REFUSED {
        let value = asking_value(name).join(" ");
        let changed = Config::default().with(&[(name.as_bytes(), value.as_bytes())]);
        assert!(changed.is_err(), "{name} {value}");
        let directive = find(name).unwrap().directive();
        assert!(
            refusal(name, directive.default, directive.default).is_none(),
            "{name}"
        );
    }
}

#[test]
fn a_later_value_takes_back_what_would_be_refused() {
    assert!(Config::load(None, &args(&["--appendonly", "yes", "--appendonly", "no"])).is_ok());
    assert!(
        Config::load(
            None,
            &args(&["--slaveof", "h", "1", "--replicaof", "no", "one"])
        )
        .is_ok()
    );
    let error = Config::load(None, &args(&["--slaveof", "h", "1"]))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("command line: '--replicaof': there is no replication yet"),
        "{error}"
    );
}

#[test]
fn what_is_warned_of_starts_and_says_so() {
    for (name, ..) in WARNED {
        let option = format!("--{name}");
        let line: Vec<&str> = std::iter::once(option.as_str())
            .chain(asking_value(name))
            .collect();
        let config = Config::load(None, &args(&line)).unwrap_or_else(|error| panic!("{error}"));
        let said = config.startup_warnings();
        assert_eq!(said.len(), 1, "{name}: {said:?}");
        assert!(said[0].starts_with(&format!("{name} ")), "{said:?}");
    }
    assert!(Config::default().startup_warnings().is_empty());
}

#[test]
fn a_user_line_is_refused_unless_it_says_what_is_so() {
    for rules in [
        "default on nopass ~* &* +@all",
        "default on nopass sanitize-payload ~* &* +@all",
        "default on nopass allkeys allchannels allcommands",
    ] {
        let mut line = vec!["--user"];
        line.extend(rules.split(' '));
        assert!(Config::load(None, &args(&line)).is_ok(), "{rules}");
    }
    for rules in [
        "default on >secret ~* +@all",
        "default on nopass ~* &* +@all -@dangerous",
        "default on nopass ~a* &* +@all",
        "default off nopass ~* &* +@all",
        "default on nopass ~* +@all",
        "alice on nopass ~* &* +@all",
        "default",
    ] {
        let mut line = vec!["--user"];
        line.extend(rules.split(' '));
        let error = Config::load(None, &args(&line))
            .expect_err(rules)
            .to_string();
        assert!(
            error.starts_with("command line: '--user': there are no ACL users yet"),
            "{error}"
        );
    }
}
