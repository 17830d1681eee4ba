//! Commands within transactions and scripts.

use super::Maker;
use crate::differential::step::{Command, Promise, SESSIONS, Session, Step};

/// One command, whose error is the script's.
const CALLS: &str = "return redis.call(unpack(ARGV))";
/// One command, whose error is its value.
const TRIES: &str = "return redis.pcall(unpack(ARGV))";
/// One command, whose reply is RESP3's.
const CALLS_RESP3: &str = "redis.setresp(3) return redis.call(unpack(ARGV))";
/// Several commands, each behind the number of its words; the reply has one member for each.
const TRIES_SEVERAL: &str = "local replies, at = {}, 1 \
    while at <= #ARGV do \
      local last = at + tonumber(ARGV[at]) \
      replies[#replies + 1] = redis.pcall(unpack(ARGV, at + 1, last)) \
      at = last + 1 \
    end \
    return replies";

/// `unpack` of Lua has room for so many words.
const MAX_SCRIPT_WORDS: usize = 4000;

impl Maker<'_> {
    /// `MULTI`, commands, `EXEC`; perhaps under `WATCH`, with another client that writes in between.
    pub(super) fn transaction(&mut self, session: Session, steps: &mut Vec<Step>) {
        let is_watched = self.random.one_in(4);
        if is_watched {
            let keys = self.any_keys(3);
            let watch = Command::of(&["WATCH"]).some_keys(&keys);
            steps.push(Step::Pipeline {
                session,
                commands: vec![watch],
            });
            if self.random.one_in(2) {
                let commands = vec![self.command()];
                steps.push(Step::Pipeline {
                    session: (session + 1) % SESSIONS,
                    commands,
                });
            }
        }
        let count = self.random.between(1, 6);
        let mut inner: Vec<Command> = (0..count)
            .map(|_| {
                if self.random.one_in(8) {
                    self.script()
                } else {
                    self.command()
                }
            })
            .collect();
        // What is watched, or watches, is told apart by keys, not by databases.
        inner.retain(|command| command.name() != "SELECT" || !is_watched);
        let end = if self.random.one_in(12) {
            Command::of(&["DISCARD"])
        } else {
            Command::of(&["EXEC"]).promise(Promise::Each(inner.clone()))
        };
        let mut commands = vec![Command::of(&["MULTI"])];
        commands.append(&mut inner);
        commands.push(end);
        steps.push(Step::Pipeline { session, commands });
    }

    /// `EVAL` of one command or several, with their keys told or not.
    pub(super) fn script(&mut self) -> Command {
        let (body, inner) = match self.random.below(4) {
            0 => (CALLS, vec![self.command()]),
            1 => (TRIES, vec![self.command()]),
            2 => (CALLS_RESP3, vec![self.command()]),
            _ => {
                let count = self.random.between(1, 4);
                let inner = (0..count).map(|_| self.command()).collect();
                (TRIES_SEVERAL, inner)
            }
        };
        self.script_of(body, inner)
    }

    /// A script of several commands.
    pub(super) fn script_of_several(&mut self, inner: Vec<Command>) -> Command {
        self.script_of(TRIES_SEVERAL, inner)
    }

    fn script_of(&mut self, body: &str, mut inner: Vec<Command>) -> Command {
        for command in &mut inner {
            if command.words.len() > MAX_SCRIPT_WORDS {
                *command = Command::of(&["TYPE"]).key(self.any_key());
            }
        }
        // A script has a database of its own, and the client keeps its own, whatever the version.
        for command in &mut inner {
            let name = command.name();
            let blocks = name.starts_with('B') && !name.starts_with("BIT")
                || command.words.iter().any(|word| word == b"BLOCK");
            if name == "SELECT" || blocks && !self.known.since_7_2 {
                *command = Command::of(&["DBSIZE"]);
            }
        }
        let name = if self.random.one_in(10) {
            "EVAL_RO"
        } else {
            "EVAL"
        };
        let mut keys: Vec<&Vec<u8>> = inner
            .iter()
            .flat_map(|command| {
                command
                    .keys
                    .iter()
                    .filter_map(|&key| command.words.get(key))
            })
            .collect();
        if self.random.one_in(5) {
            keys.clear();
        }
        let mut script = Command::of(&[name, body])
            .arg(keys.len().to_string())
            .some_keys(&keys);
        if body == TRIES_SEVERAL {
            for command in &inner {
                let count = command.words.len().to_string();
                script = script.arg(count).with(&command.words);
            }
            return script.promise(Promise::Each(inner));
        }
        for command in inner {
            script = script.with(&command.words);
            script.promise = Promise::Of(Box::new(command));
        }
        script
    }
}
