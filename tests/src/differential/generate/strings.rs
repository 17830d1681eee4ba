//! Commands of strings, of their bits, and of HyperLogLogs.

use super::Maker;
use crate::differential::step::Command;

/// What is made here.
pub(super) const COMMANDS: &[&str] = &[
    "SET",
    "GET",
    "GETSET",
    "GETDEL",
    "GETEX",
    "SETNX",
    "SETEX",
    "PSETEX",
    "MSET",
    "MSETNX",
    "MSETEX",
    "MGET",
    "APPEND",
    "STRLEN",
    "GETRANGE",
    "SUBSTR",
    "SETRANGE",
    "INCR",
    "DECR",
    "INCRBY",
    "DECRBY",
    "INCRBYFLOAT",
    "LCS",
    "DELEX",
    "DIGEST",
    "SETBIT",
    "GETBIT",
    "BITCOUNT",
    "BITPOS",
    "BITOP",
    "PFADD",
    "PFCOUNT",
    "PFMERGE",
    "PFDEBUG",
];

impl Maker<'_> {
    pub(super) fn string_command(&mut self) -> Command {
        let name = match self.random.below(6) {
            0 => "SET",
            _ => self.name(COMMANDS),
        };
        let command = Command::of(&[name]);
        match name {
            "MSET" | "MSETNX" => self.pairs_of_keys(command).0,
            "MSETEX" => {
                let count = self.random.between(1, 3);
                let mut command = command.arg(count.to_string());
                for _ in 0..count {
                    command = command.key(self.string_key()).arg(self.value());
                }
                self.set_options(command, &["NX", "XX"])
            }
            "MGET" => {
                let keys: Vec<_> = (0..self.random.between(1, 4))
                    .map(|_| self.string_key())
                    .collect();
                command.some_keys(&keys)
            }
            "LCS" => {
                let command = command.key(self.string_key()).key(self.string_key());
                match self.random.below(4) {
                    0 => command.arg("LEN"),
                    1 => command.arg("IDX").arg("WITHMATCHLEN"),
                    _ => command,
                }
            }
            "BITOP" => {
                let command = command.arg(["AND", "OR", "XOR"][self.random.below(3)]);
                let command = command.key(self.bytes_key());
                command.key(self.string_key()).key(self.string_key())
            }
            "PFADD" | "PFCOUNT" | "PFMERGE" | "PFDEBUG" => self.of_hyperloglogs(name, command),
            "SETRANGE" | "SETBIT" => {
                let command = command.key(self.bytes_key());
                self.of_one_string(name, command)
            }
            _ => {
                let command = command.key(self.string_key());
                self.of_one_string(name, command)
            }
        }
    }

    fn pairs_of_keys(&mut self, mut command: Command) -> (Command, usize) {
        let count = self.random.between(1, 4);
        for _ in 0..count {
            command = command.key(self.string_key()).arg(self.value());
        }
        (command, count)
    }

    fn of_hyperloglogs(&mut self, name: &str, command: Command) -> Command {
        match name {
            "PFADD" => {
                let elements = self.elements(8);
                let command = command.key(self.hyperloglog_key());
                elements.into_iter().fold(command, Command::arg)
            }
            "PFDEBUG" => {
                let command = command.arg(["ENCODING", "DECODE", "TODENSE"][self.random.below(3)]);
                command.key(self.hyperloglog_key())
            }
            _ => {
                let keys: Vec<_> = (0..self.random.between(1, 4))
                    .map(|_| self.hyperloglog_key())
                    .collect();
                command.some_keys(&keys)
            }
        }
    }

    fn of_one_string(&mut self, name: &str, command: Command) -> Command {
        match name {
            "SET" => {
                let mut conditions = vec!["NX", "XX"];
                if self.knows("DELEX") {
                    conditions.extend(["IFEQ 1", "IFNE 1", "IFEQ a"]);
                }
                let command = command.arg(self.value());
                let command = self.set_options(command, &conditions);
                match self.random.below(8) {
                    0 => command.arg("GET"),
                    _ => command,
                }
            }
            "GETSET" | "SETNX" | "APPEND" => command.arg(self.value()),
            "GETEX" => match self.random.below(4) {
                0 => command,
                1 => command.arg("PERSIST"),
                _ => command.with(&self.any_deadline_option()),
            },
            "SETEX" => command
                .arg(self.far_seconds().to_string())
                .arg(self.value()),
            "PSETEX" => command
                .arg((self.far_seconds() * 1000).to_string())
                .arg(self.value()),
            "GETRANGE" | "SUBSTR" => command.arg(self.index()).arg(self.index()),
            "SETRANGE" => command
                .arg(self.random.below(80).to_string())
                .arg(self.value()),
            "INCRBY" | "DECRBY" => command.arg(self.increment()),
            "INCRBYFLOAT" => command.arg(self.float()),
            "DELEX" => match self.random.below(3) {
                0 => command,
                1 => command.arg("IFEQ").arg(self.value()),
                _ => command.arg("IFNE").arg(self.value()),
            },
            "SETBIT" => command
                .arg(self.random.below(200).to_string())
                .arg(["0", "1", "2"][self.random.below(3)]),
            "GETBIT" => command.arg(self.random.below(300).to_string()),
            "BITCOUNT" => match self.random.below(3) {
                0 => command,
                1 => command.arg(self.index()).arg(self.index()),
                _ => command.arg(self.index()).arg(self.index()).arg("BIT"),
            },
            "BITPOS" => match self.random.below(3) {
                0 => command.arg("0"),
                1 => command.arg("1").arg(self.index()),
                _ => command.arg("1").arg(self.index()).arg(self.index()),
            },
            _ => command,
        }
    }

    /// A condition and a deadline, or one of them, or neither.
    fn set_options(&mut self, command: Command, conditions: &[&str]) -> Command {
        let command = match self.random.below(3) {
            0 => {
                let condition = conditions[self.random.below(conditions.len())];
                condition.split(' ').fold(command, Command::arg)
            }
            _ => command,
        };
        match self.random.below(5) {
            0 | 1 => command.with(&self.deadline_option()),
            2 if self.random.one_in(2) => command.arg("KEEPTTL"),
            _ => command,
        }
    }
}
