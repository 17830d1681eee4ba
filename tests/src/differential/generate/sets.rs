//! Commands of sets.

use super::Maker;
use crate::differential::step::{Command, Promise};

/// What is made here.
pub(super) const COMMANDS: &[&str] = &[
    "SADD",
    "SREM",
    "SISMEMBER",
    "SMISMEMBER",
    "SCARD",
    "SMEMBERS",
    "SMOVE",
    "SRANDMEMBER",
    "SPOP",
    "SSCAN",
    "SINTER",
    "SINTERCARD",
    "SUNION",
    "SDIFF",
    "SINTERSTORE",
    "SUNIONSTORE",
    "SDIFFSTORE",
];

/// Of which a step of its own is made.
const BY_STEPS: &str = "SSCAN";

impl Maker<'_> {
    pub(super) fn set_command(&mut self) -> Command {
        let name = loop {
            let name = self.name(COMMANDS);
            if name != BY_STEPS {
                break name;
            }
        };
        // Sets are to grow.
        let name = if self.random.one_in(5) { "SADD" } else { name };
        let key = self.set_key();
        let command = Command::of(&[name]).key(&key);
        match name {
            "SADD" => command.with(&self.some_members(12)),
            "SREM" | "SMISMEMBER" => command.with(&self.some_members(5)),
            "SISMEMBER" => command.arg(self.member()),
            "SCARD" => command,
            "SMEMBERS" => command.promise(Promise::Members),
            // All of a set, in any order, is no matter of chance.
            "SRANDMEMBER" | "SPOP" => command.arg("100000").promise(Promise::Members),
            "SMOVE" => command.key(&self.set_key()).arg(self.member()),
            "SINTERCARD" => {
                let keys = self.some_set_keys(4);
                let command = Command::of(&[name]).arg(keys.len().to_string());
                let command = keys.iter().fold(command, |command, key| command.key(key));
                match self.random.below(3) {
                    0 => command.arg("LIMIT").arg(self.random.below(8).to_string()),
                    _ => command,
                }
            }
            "SINTERSTORE" | "SUNIONSTORE" | "SDIFFSTORE" => self.of_some_sets(command, 3),
            _ => self.of_some_sets(command, 3).promise(Promise::Members),
        }
    }

    fn of_some_sets(&mut self, command: Command, most: usize) -> Command {
        let keys = self.some_set_keys(most);
        keys.iter().fold(command, |command, key| command.key(key))
    }

    fn some_set_keys(&mut self, most: usize) -> Vec<Vec<u8>> {
        let count = self.random.between(1, most);
        (0..count).map(|_| self.set_key()).collect()
    }

    fn some_members(&mut self, most: usize) -> Vec<Vec<u8>> {
        let count = self.random.between(1, most);
        (0..count).map(|_| self.member()).collect()
    }

    /// An integer as often as not, of few, or some of many; now and then a long one.
    fn member(&mut self) -> Vec<u8> {
        let many = if self.is_large { 3000 } else { 40 };
        match self.random.below(8) {
            0..4 => self.random.below(many).to_string().into_bytes(),
            4..7 => format!("m{}", self.random.below(many)).into_bytes(),
            _ => self.element(),
        }
    }
}
