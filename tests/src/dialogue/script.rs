//! The text of a dialogue: read into items, and written back with new replies.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::{Outcome, quoting};

/// One dialogue file.
#[derive(Debug, Clone)]
pub struct Script {
    path: PathBuf,
    pub(super) items: Vec<Item>,
    /// Directives of the server of its own that the file asks for.
    server: Vec<(String, String)>,
    /// Why the whole file is not blessed.
    by_hand: Option<String>,
}

/// A line at the left margin, with the reply written under it.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) line_number: usize,
    text: String,
    pub(super) action: Action,
    pub(super) expected: Vec<String>,
}

/// What a line at the left margin asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// A comment, a blank line, or a directive that concerns the whole file.
    Nothing,
    Command {
        connection: u32,
        line: String,
    },
    Raw {
        connection: u32,
        line: String,
    },
    Read {
        connection: u32,
    },
    Resp3 {
        connection: u32,
    },
    Close {
        connection: u32,
    },
    Sleep {
        millis: u64,
    },
    Pipeline,
    EndPipeline,
    Unordered,
    Eventually,
    Save {
        name: String,
    },
    ByHand,
}

/// What stands in front of a reply's lines.
const REPLY_INDENT: &str = "    ";

impl Script {
    /// Reads a dialogue from its file.
    ///
    /// # Errors
    /// When the file cannot be read, or a line cannot be understood.
    pub fn load(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|why| format!("reading {}: {why}", path.display()))?;
        Self::parse(path, &text)
    }

    /// Reads a dialogue from text.
    ///
    /// # Errors
    /// When a line cannot be understood.
    pub fn parse(path: &Path, text: &str) -> Outcome<Self> {
        let mut script = Self {
            path: path.to_owned(),
            items: Vec::new(),
            server: Vec::new(),
            by_hand: None,
        };
        for (index, line) in text.lines().enumerate() {
            let place = |why: String| format!("{}:{}: {why}", path.display(), index + 1);
            if let Some(reply) = line.strip_prefix(REPLY_INDENT) {
                let item = script
                    .items
                    .last_mut()
                    .filter(|item| item.action.has_reply());
                item.ok_or_else(|| place("a reply without a command".into()))?
                    .expected
                    .push(reply.to_owned());
                continue;
            }
            if line.starts_with(' ') {
                return Err(place("indented by less than four blanks".into()));
            }
            let action = script.action(line).map_err(place)?;
            let item = Item {
                line_number: index + 1,
                text: line.trim_end().into(),
                action,
                expected: Vec::new(),
            };
            script.items.push(item);
        }
        Ok(script)
    }

    fn action(&mut self, line: &str) -> Outcome<Action> {
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(Action::Nothing);
        }
        let Some(directive) = line.strip_prefix("! ") else {
            let (connection, line) = connection_of(line)?;
            return Ok(Action::Command {
                connection,
                line: line.to_owned(),
            });
        };
        let (name, rest) = directive
            .trim()
            .split_once(' ')
            .unwrap_or((directive.trim(), ""));
        let (connection, rest) = connection_of(rest.trim())?;
        Ok(match name {
            "server" => {
                let (name, value) = rest
                    .split_once(' ')
                    .ok_or("`! server` takes a name and a value")?;
                self.server.push((name.to_owned(), value.to_owned()));
                Action::Nothing
            }
            "by-hand-file" if !rest.is_empty() => {
                self.by_hand = Some(rest.to_owned());
                Action::Nothing
            }
            "by-hand" if !rest.is_empty() => Action::ByHand,
            "by-hand" | "by-hand-file" => return Err(format!("`! {name}` takes the reason")),
            "unordered" => Action::Unordered,
            "eventually" => Action::Eventually,
            "save" => Action::Save {
                name: rest.to_owned(),
            },
            "raw" => Action::Raw {
                connection,
                line: rest.to_owned(),
            },
            "read" => Action::Read { connection },
            "resp3" => Action::Resp3 { connection },
            "close" => Action::Close { connection },
            "pipeline" => Action::Pipeline,
            "end" => Action::EndPipeline,
            "sleep" => Action::Sleep {
                millis: rest.parse().map_err(|_| "`! sleep` takes milliseconds")?,
            },
            other => return Err(format!("no directive is called {other}")),
        })
    }

    /// The file as it would be written.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for item in &self.items {
            out.push_str(&item.text);
            out.push('\n');
            for line in &item.expected {
                writeln!(out, "{REPLY_INDENT}{line}").expect("writing to a string does not fail");
            }
        }
        out
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self) -> Outcome<()> {
        std::fs::write(&self.path, self.to_text())
            .map_err(|why| format!("writing {}: {why}", self.path.display()))
    }

    /// The file it came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `family/topic`.
    #[must_use]
    pub fn name(&self) -> String {
        let topic = self.path.with_extension("");
        let parts: Vec<_> = topic
            .iter()
            .rev()
            .take(2)
            .map(|part| part.to_string_lossy())
            .collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    }

    /// Directives for a server of its own; none when any server will do.
    #[must_use]
    pub fn server_directives(&self) -> &[(String, String)] {
        &self.server
    }

    /// Why no reply of the file is blessed, if so.
    #[must_use]
    pub fn by_hand(&self) -> Option<&str> {
        self.by_hand.as_deref()
    }

    /// The line numbers of commands without an expected reply.
    #[must_use]
    pub fn unanswered(&self) -> Vec<usize> {
        let open = self
            .items
            .iter()
            .filter(|item| item.action.has_reply() && item.expected.is_empty());
        open.map(|item| item.line_number).collect()
    }
}

impl Action {
    fn has_reply(&self) -> bool {
        matches!(
            self,
            Self::Command { .. } | Self::Raw { .. } | Self::Read { .. }
        )
    }
}

impl Item {
    /// The command or directive as it stands in the file.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How many replies the expected lines describe.
    pub(super) fn expected_replies(&self) -> usize {
        let starts_reply = |line: &&String| !line.starts_with(' ') && !line.starts_with('|');
        self.expected.iter().filter(starts_reply).count()
    }
}

/// Splits `@2 rest`; connection 1 where none is named.
fn connection_of(text: &str) -> Outcome<(u32, &str)> {
    let Some(rest) = text.strip_prefix('@') else {
        return Ok((1, text));
    };
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let number = number
        .parse()
        .map_err(|_| format!("no connection number: {text}"))?;
    Ok((number, rest))
}

/// Splits a command line into arguments, putting in saved values and repeated texts.
pub(super) fn arguments(line: &str, saved: &HashMap<String, String>) -> Outcome<Vec<Vec<u8>>> {
    let mut line = line.to_owned();
    for (name, value) in saved {
        line = line.replace(&format!("${{{name}}}"), value);
    }
    quoting::split(&line)?.into_iter().map(repeated).collect()
}

fn repeated(arg: Vec<u8>) -> Outcome<Vec<u8>> {
    let inner = arg
        .strip_prefix(b"$REPEAT(")
        .and_then(|rest| rest.strip_suffix(b")"));
    let Some(inner) = inner else {
        return Ok(arg);
    };
    let inner = String::from_utf8_lossy(inner);
    let (text, times) = inner
        .rsplit_once(',')
        .ok_or("$REPEAT takes a text and a number")?;
    let times = times
        .trim()
        .parse()
        .map_err(|_| "$REPEAT takes a text and a number")?;
    Ok(text.as_bytes().repeat(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "# sample\n! server maxclients 10\nSET k v\n    +OK\n\n! unordered\n@2 KEYS *\n    *1\n      \"k\"\n";

    #[test]
    fn a_file_is_written_back_as_it_was_read() {
        let script = Script::parse(Path::new("cases/a/b.txt"), SAMPLE).unwrap();
        assert_eq!(script.to_text(), SAMPLE);
        assert_eq!(script.name(), "a/b");
        assert_eq!(
            script.server_directives(),
            [("maxclients".to_owned(), "10".to_owned())]
        );
        assert_eq!(
            script.items[5].action,
            Action::Command {
                connection: 2,
                line: "KEYS *".into()
            }
        );
        assert_eq!(script.items[5].expected_replies(), 1);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for text in [
            "! nonsense\n",
            "    +OK\n",
            "  +OK\n",
            "! by-hand\n",
            "@x GET k\n",
        ] {
            assert!(Script::parse(Path::new("c"), text).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_take_saved_values_and_repetitions() {
        let saved = HashMap::from([("id".to_owned(), "7".to_owned())]);
        assert_eq!(
            arguments("A ${id} $REPEAT(xy,2)", &saved).unwrap(),
            [&b"A"[..], b"7", b"xyxy"]
        );
    }
}
