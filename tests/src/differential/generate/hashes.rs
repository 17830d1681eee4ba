//! Commands of hashes, deadlines of fields included.

use std::collections::BTreeSet;

use super::Maker;
use crate::differential::step::{Command, Promise};

/// What is made here.
pub(super) const COMMANDS: &[&str] = &[
    "HSET",
    "HMSET",
    "HSETNX",
    "HGET",
    "HMGET",
    "HGETALL",
    "HKEYS",
    "HVALS",
    "HLEN",
    "HEXISTS",
    "HSTRLEN",
    "HDEL",
    "HINCRBY",
    "HINCRBYFLOAT",
    "HRANDFIELD",
    "HSCAN",
    "HEXPIRE",
    "HPEXPIRE",
    "HEXPIREAT",
    "HPEXPIREAT",
    "HTTL",
    "HPTTL",
    "HEXPIRETIME",
    "HPEXPIRETIME",
    "HPERSIST",
    "HGETEX",
    "HSETEX",
    "HGETDEL",
];

/// Those of which a step of their own is made.
const BY_STEPS: [&str; 2] = ["HRANDFIELD", "HSCAN"];

impl Maker<'_> {
    pub(super) fn hash_command(&mut self) -> Command {
        let name = loop {
            let name = self.name(COMMANDS);
            if !BY_STEPS.contains(&name) {
                break name;
            }
            // The whole hash, in any order, is no matter of chance.
            if name == "HRANDFIELD" {
                let command = Command::of(&[name]).key(self.hash_key()).arg("100000");
                return if self.random.one_in(2) {
                    command.promise(Promise::Members)
                } else {
                    command.arg("WITHVALUES").promise(Promise::Pairs)
                };
            }
        };
        // Hashes are to grow.
        let name = if self.random.one_in(6) { "HSET" } else { name };
        let key = self.hash_key();
        let command = Command::of(&[name]).key(&key);
        match name {
            "HSET" | "HMSET" => command.with(&self.pairs(6)),
            "HSETNX" => command.arg(self.field()).arg(self.element()),
            "HGET" | "HEXISTS" | "HSTRLEN" => command.arg(self.field()),
            "HMGET" | "HDEL" => command.with(&self.some_fields(4)),
            "HGETALL" => command.promise(Promise::Pairs),
            "HKEYS" | "HVALS" => command.promise(Promise::Members),
            "HLEN" => command,
            "HINCRBY" => command.arg(self.field()).arg(self.increment()),
            "HINCRBYFLOAT" => command.arg(self.field()).arg(self.float()),
            "HGETEX" => {
                let option = match self.random.below(4) {
                    0 => vec![],
                    1 => vec![b"PERSIST".to_vec()],
                    _ => self.any_deadline_option(),
                };
                let command = command.with(&option);
                self.counted_fields(command)
            }
            "HSETEX" => self.hsetex(command),
            "HEXPIRE" | "HPEXPIRE" | "HEXPIREAT" | "HPEXPIREAT" => {
                let command = command.arg(self.deadline_for(name));
                let command = match self.random.below(8) {
                    0 => command.arg("NX"),
                    1 => command.arg("XX"),
                    2 => command.arg("GT"),
                    3 => command.arg("LT"),
                    _ => command,
                };
                self.counted_fields(command)
            }
            "HTTL" | "HEXPIRETIME" => {
                let promise = Promise::Deadline { unit_ms: 1000 };
                self.counted_fields(command).promise(promise)
            }
            "HPTTL" | "HPEXPIRETIME" => {
                let promise = Promise::Deadline { unit_ms: 1 };
                self.counted_fields(command).promise(promise)
            }
            _ => self.counted_fields(command),
        }
    }

    fn hsetex(&mut self, command: Command) -> Command {
        let command = match self.random.below(6) {
            0 => command.arg("FNX"),
            1 => command.arg("FXX"),
            _ => command,
        };
        let command = match self.random.below(4) {
            0 => command,
            1 => command.arg("KEEPTTL"),
            _ => command.with(&self.any_deadline_option()),
        };
        self.counted_pairs(command)
    }

    /// `FIELDS 2 a 1 b 2` behind the command. No field comes twice: redis-server 8.6.3 may end itself then.
    pub(super) fn counted_pairs(&mut self, command: Command) -> Command {
        let pairs = self.pairs(4);
        let mut seen = BTreeSet::new();
        let pairs: Vec<Vec<u8>> = pairs
            .chunks_exact(2)
            .filter(|pair| seen.insert(&pair[0]))
            .flat_map(<[_]>::to_vec)
            .collect();
        let count = (pairs.len() / 2).to_string();
        command.arg("FIELDS").arg(count).with(&pairs)
    }

    /// `FIELDS 2 a b` behind the command.
    pub(super) fn counted_fields(&mut self, command: Command) -> Command {
        let fields = self.some_fields(4);
        let count = fields.len().to_string();
        command.arg("FIELDS").arg(count).with(&fields)
    }
}
