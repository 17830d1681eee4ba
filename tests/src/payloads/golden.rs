//! Payloads of real servers in files, `tests/payloads/SERVER.txt`:
//!
//! ```text
//! # comments start with a hash sign
//!
//! a hash with a deadline                        the name
//! > HSET k a 1 b 2                              what made the value
//! > HPEXPIREAT k 9999999999999 FIELDS 1 b
//! payload "\x19\xff…"
//! hash                                          what it holds: string, list, hash, set, zset
//!   "b" "2" 9999999999999
//!   "a" "1"
//! ```

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::Plain;
use crate::Outcome;
use crate::quoting::{escape, split};

/// A payload and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// What is special about it.
    pub name: String,
    /// The commands that made the value, of key `k`.
    pub commands: Vec<String>,
    /// What `DUMP k` answered.
    pub payload: Vec<u8>,
    /// What the server said that the value is.
    pub plain: Plain,
}

/// Where the files lie.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("payloads")
}

/// All of a file.
///
/// # Errors
/// It cannot be read, or a line of it means nothing.
pub fn load(path: &Path) -> Outcome<Vec<Golden>> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|why| format!("{}: {why}", path.display()))?;
    let mut found = Vec::new();
    for block in text.split("\n\n") {
        let lines: Vec<&str> = block
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .collect();
        if !lines.is_empty() {
            let golden = parse(&lines).ok_or_else(|| format!("{}: {block}", path.display()))?;
            found.push(golden);
        }
    }
    Ok(found)
}

fn parse(lines: &[&str]) -> Option<Golden> {
    let (name, rest) = lines.split_first()?;
    let commands = rest.iter().map_while(|line| line.strip_prefix("> "));
    let commands: Vec<String> = commands.map(str::to_owned).collect();
    let (payload, rest) = rest[commands.len()..].split_first()?;
    let mut payload = split(payload.strip_prefix("payload ")?).ok()?;
    let (kind, items) = rest.split_first()?;
    let items: Option<Vec<Vec<Vec<u8>>>> = items.iter().map(|item| split(item).ok()).collect();
    Some(Golden {
        name: (*name).to_owned(),
        commands,
        payload: payload.pop()?,
        plain: parse_plain(kind, items?)?,
    })
}

fn parse_plain(kind: &str, items: Vec<Vec<Vec<u8>>>) -> Option<Plain> {
    let number = |text: &[u8]| std::str::from_utf8(text).ok().map(str::to_owned);
    let single = |item: Vec<Vec<u8>>| item.into_iter().next();
    Some(match kind {
        "string" => Plain::String(items.into_iter().next().and_then(single)?),
        "list" => Plain::List(items.into_iter().map(single).collect::<Option<_>>()?),
        "stream" => Plain::Stream(items.into_iter().map(single).collect::<Option<_>>()?),
        "set" => Plain::Set(items.into_iter().map(single).collect::<Option<_>>()?),
        "hash" => {
            let field = |item: Vec<Vec<u8>>| match &item[..] {
                [name, value] => Some((name.clone(), value.clone(), None)),
                [name, value, deadline] => {
                    let deadline = number(deadline)?.parse().ok()?;
                    Some((name.clone(), value.clone(), Some(deadline)))
                }
                _ => None,
            };
            Plain::Hash(items.into_iter().map(field).collect::<Option<_>>()?)
        }
        "zset" => {
            let member = |item: Vec<Vec<u8>>| match &item[..] {
                [name, score] => Some((name.clone(), number(score)?.parse().ok()?)),
                _ => None,
            };
            Plain::SortedSet(items.into_iter().map(member).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// The text of a file.
#[must_use]
pub fn format(about: &str, all: &[Golden]) -> String {
    let mut text = String::new();
    for line in about.lines() {
        text += &format!("# {line}\n");
    }
    for golden in all {
        text += &format!("\n{}\n", golden.name);
        for command in &golden.commands {
            text += &format!("> {command}\n");
        }
        text += &format!("payload \"{}\"\n", escape(&golden.payload));
        text += &format_plain(&golden.plain);
    }
    text
}

fn format_plain(plain: &Plain) -> String {
    let mut text = String::new();
    let mut item = |parts: &[&[u8]], number: Option<String>| {
        let quoted = parts.iter().map(|part| format!("\"{}\"", escape(part)));
        let all: Vec<String> = quoted.chain(number).collect();
        writeln!(text, "  {}", all.join(" ")).expect("a string takes all");
    };
    let kind = match plain {
        Plain::String(string) => {
            item(&[string], None);
            "string"
        }
        Plain::List(elements) => {
            elements.iter().for_each(|element| item(&[element], None));
            "list"
        }
        Plain::Set(members) => {
            members.iter().for_each(|member| item(&[member], None));
            "set"
        }
        Plain::Hash(fields) => {
            for (name, value, deadline) in fields {
                item(&[name, value], deadline.map(|at| at.to_string()));
            }
            "hash"
        }
        Plain::SortedSet(members) => {
            for (name, score) in members {
                item(&[name], Some(score.to_string()));
            }
            "zset"
        }
        Plain::Stream(changes) => {
            changes.iter().for_each(|change| item(&[change], None));
            "stream"
        }
    };
    format!("{kind}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_formatted_is_loaded() {
        let golden = |name: &str, plain| Golden {
            name: name.into(),
            commands: vec!["SET k \"a b\"".into(), "PING".into()],
            payload: (0..=255).collect(),
            plain,
        };
        let bytes = |text: &str| text.as_bytes().to_vec();
        let all = [
            golden("one", Plain::String(b"a\n\n\"b\"\0".to_vec())),
            golden("two", Plain::List(vec![bytes(""), bytes("x y")])),
            golden("three", Plain::Set(vec![bytes("5")])),
            golden(
                "four",
                Plain::Hash(vec![
                    (bytes("a"), bytes(""), Some(7)),
                    (bytes("b"), bytes("c"), None),
                ]),
            ),
            golden(
                "five",
                Plain::SortedSet(vec![(bytes("a"), f64::INFINITY), (bytes("b"), -1.5e-300)]),
            ),
        ];
        let scratch = crate::scratch::ScratchDir::new("golden").unwrap();
        let path = scratch.path().join("file.txt");
        std::fs::write(&path, format("about\nthem", &all)).unwrap();
        assert_eq!(load(&path).unwrap(), all);
    }
}
