//! Commands of lists. Those that block have a time to wait that is soon over; clients that wait for each other are in
//! `waits`.

use super::Maker;
use crate::differential::step::{Command, Promise};

/// What is made here.
pub(super) const COMMANDS: &[&str] = &[
    "LPUSH",
    "RPUSH",
    "LPUSHX",
    "RPUSHX",
    "LPOP",
    "RPOP",
    "LLEN",
    "LINDEX",
    "LINSERT",
    "LRANGE",
    "LREM",
    "LSET",
    "LTRIM",
    "LPOS",
    "LMOVE",
    "RPOPLPUSH",
    "LMPOP",
    "SORT",
    "SORT_RO",
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BRPOPLPUSH",
    "BLMPOP",
];

const SIDES: [&str; 2] = ["LEFT", "RIGHT"];

impl Maker<'_> {
    pub(super) fn list_command(&mut self) -> Command {
        let name = match self.random.below(5) {
            0 => ["LPUSH", "RPUSH"][self.random.below(2)],
            _ => self.name(COMMANDS),
        };
        // Waiting in vain takes its time.
        if name.starts_with('B') {
            return if self.random.one_in(4) {
                let timeout = ["0.001", "0.005", "0.01"][self.random.below(3)];
                self.blocking_command(name, timeout)
            } else {
                self.right_command()
            };
        }
        let command = Command::of(&[name]);
        match name {
            "LMOVE" => {
                let command = command.key(self.list_key()).key(self.list_key());
                command.arg(self.side()).arg(self.side())
            }
            "RPOPLPUSH" => command.key(self.list_key()).key(self.list_key()),
            "LMPOP" => self.popping(command),
            "SORT" | "SORT_RO" => self.sort(command),
            _ => {
                let command = command.key(self.list_key());
                self.of_one_list(name, command)
            }
        }
    }

    fn of_one_list(&mut self, name: &str, command: Command) -> Command {
        match name {
            "LPUSH" | "RPUSH" | "LPUSHX" | "RPUSHX" => command.with(&self.elements(8)),
            "LPOP" | "RPOP" => match self.random.below(4) {
                0 => command.arg(self.small(5)),
                1 => command.arg(["0", "3", "1000"][self.random.below(3)]),
                _ => command,
            },
            "LINDEX" => command.arg(self.index()),
            "LRANGE" => command.arg(self.index()).arg(self.index()),
            // Else little would be left.
            "LTRIM" if self.random.one_in(2) => command
                .arg(self.random.below(4).to_string())
                .arg(format!("-{}", self.random.between(1, 4))),
            "LTRIM" => command.arg(self.index()).arg(self.index()),
            "LINSERT" => {
                let place = ["BEFORE", "AFTER", "after"][self.random.below(3)];
                command.arg(place).arg(self.element()).arg(self.element())
            }
            "LREM" => {
                let count = ["0", "1", "-1", "2", "-2", "100"][self.random.below(6)];
                command.arg(count).arg(self.element())
            }
            "LSET" => command.arg(self.index()).arg(self.element()),
            "LPOS" => {
                let mut command = command.arg(self.element());
                for (option, values) in [
                    ("RANK", ["1", "2", "-1", "-2", "0"]),
                    ("COUNT", ["0", "1", "2", "5", "-1"]),
                    ("MAXLEN", ["0", "1", "10", "100", "-1"]),
                ] {
                    if self.random.one_in(3) {
                        command = command.arg(option).arg(values[self.random.below(5)]);
                    }
                }
                command
            }
            _ => command,
        }
    }

    /// `LINSERT` beside an element that is there.
    pub(super) fn insert(&mut self) -> Vec<Command> {
        let (key, beside) = (self.list_key(), self.element());
        let push = Command::of(&["RPUSH"]).key(&key).arg(&beside);
        let place = ["BEFORE", "AFTER"][self.random.below(2)];
        let insert = Command::of(&["LINSERT"]).key(&key).arg(place);
        vec![push, insert.arg(&beside).arg(self.element())]
    }

    pub(super) fn side(&mut self) -> &'static str {
        SIDES[self.random.below(2)]
    }

    /// The rest of `LMPOP`.
    fn popping(&mut self, command: Command) -> Command {
        let keys = self.list_keys(3);
        let command = command.arg(keys.len().to_string()).some_keys(&keys);
        let command = command.arg(self.side());
        match self.random.below(3) {
            0 => command.arg("COUNT").arg(self.small(6)),
            _ => command,
        }
    }

    /// A command that blocks, by this name, for so many seconds.
    pub(super) fn blocking_command(&mut self, name: &str, timeout: &str) -> Command {
        let command = Command::of(&[name]);
        match name {
            "BLMOVE" => {
                let command = command.key(self.list_key()).key(self.list_key());
                command.arg(self.side()).arg(self.side()).arg(timeout)
            }
            "BRPOPLPUSH" => {
                let command = command.key(self.list_key()).key(self.list_key());
                command.arg(timeout)
            }
            "BLMPOP" => {
                let command = command.arg(timeout);
                self.popping(command)
            }
            _ => command.some_keys(&self.list_keys(3)).arg(timeout),
        }
    }

    fn sort(&mut self, command: Command) -> Command {
        let can_store = command.name() == "SORT";
        let mut command = command.key(self.list_key());
        let by = match self.random.below(6) {
            0 => Some("w_*"),
            1 => Some("nosort"),
            2 => Some("h:*->f1"),
            _ => None,
        };
        let is_alpha = self.random.one_in(2);
        // Elements of one weight have no order then, nor have members of a set that are not sorted.
        let is_free = by == Some("nosort") || is_alpha && by.is_some_and(|by| by.contains('*'));
        if let Some(by) = by {
            command = command.arg("BY").arg(by);
        }
        if !is_free && self.random.one_in(3) {
            let count = ["-1", "0", "2", "10"][self.random.below(4)];
            let offset = self.random.below(6).to_string();
            command = command.arg("LIMIT").arg(offset).arg(count);
        }
        for get in ["#", "w_*", "h:*->f1", "h:1->f*", "nothing"] {
            if !is_free && self.random.one_in(8) {
                command = command.arg("GET").arg(get);
            }
        }
        command = match self.random.below(4) {
            0 => command.arg("DESC"),
            1 => command.arg("ASC"),
            _ => command,
        };
        if is_alpha {
            command = command.arg("ALPHA");
        }
        if can_store && !is_free && self.random.one_in(3) {
            command = command.arg("STORE").key(self.list_key());
        }
        if is_free {
            command = command.promise(Promise::Members);
        }
        command
    }
}
