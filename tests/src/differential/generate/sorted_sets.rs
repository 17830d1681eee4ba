//! Commands of sorted sets. Those that block have a time to wait that is soon over; clients that wait for each other are in `waits`.

use std::collections::BTreeSet;

use super::Maker;
use crate::differential::step::{Command, Promise};

/// What is made here.
pub(super) const COMMANDS: &[&str] = &[
    "ZADD",
    "ZINCRBY",
    "ZREM",
    "ZREMRANGEBYRANK",
    "ZREMRANGEBYSCORE",
    "ZREMRANGEBYLEX",
    "ZCARD",
    "ZSCORE",
    "ZMSCORE",
    "ZRANK",
    "ZREVRANK",
    "ZCOUNT",
    "ZLEXCOUNT",
    "ZRANGE",
    "ZREVRANGE",
    "ZRANGEBYSCORE",
    "ZREVRANGEBYSCORE",
    "ZRANGEBYLEX",
    "ZREVRANGEBYLEX",
    "ZRANGESTORE",
    "ZPOPMIN",
    "ZPOPMAX",
    "ZMPOP",
    "ZRANDMEMBER",
    "ZSCAN",
    "ZUNION",
    "ZINTER",
    "ZDIFF",
    "ZINTERCARD",
    "ZUNIONSTORE",
    "ZINTERSTORE",
    "ZDIFFSTORE",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
];

/// Of which a step of its own is made.
const BY_STEPS: &str = "ZSCAN";

/// Whose scores are all alike, so that ranges of names mean something.
pub(super) const ALIKE: &str = "z:alike";

impl Maker<'_> {
    pub(super) fn sorted_set_command(&mut self) -> Command {
        let name = loop {
            let name = self.name(COMMANDS);
            if name != BY_STEPS {
                break name;
            }
        };
        // Sorted sets are to grow.
        let name = if self.random.one_in(5) { "ZADD" } else { name };
        // Waiting in vain takes its time.
        if name.starts_with('B') {
            return if self.random.one_in(4) {
                let timeout = ["0.001", "0.005", "0.01"][self.random.below(3)];
                self.blocking_sorted_set_command(name, timeout)
            } else {
                self.sorted_set_command()
            };
        }
        let key = self.sorted_set_key();
        let command = Command::of(&[name]).key(&key);
        match name {
            "ZADD" => self.zadd(command),
            "ZINCRBY" => command.arg(self.score()).arg(self.scored()),
            "ZREM" | "ZMSCORE" => command.with(&self.some_scored(5)),
            "ZCARD" => command,
            "ZSCORE" => command.arg(self.scored()),
            "ZRANK" | "ZREVRANK" => {
                let command = command.arg(self.scored());
                match self.random.below(3) {
                    0 if self.known.since_7_2 => command.arg("WITHSCORE"),
                    _ => command,
                }
            }
            "ZCOUNT" | "ZREMRANGEBYSCORE" => self.of_scores(command),
            "ZREMRANGEBYRANK" => self.of_ranks(command),
            "ZLEXCOUNT" | "ZREMRANGEBYLEX" | "ZRANGEBYLEX" | "ZREVRANGEBYLEX" => {
                let command = self.of_names(Command::of(&[name]).key(ALIKE.as_bytes()));
                if name.contains("RANGEBYLEX") && !name.contains("REM") {
                    self.limited(command)
                } else {
                    command
                }
            }
            "ZRANGE" => self.range(command),
            "ZREVRANGE" => {
                let command = self.of_ranks(command);
                self.with_scores(command)
            }
            "ZRANGEBYSCORE" | "ZREVRANGEBYSCORE" => {
                let command = self.of_scores(command);
                let command = self.with_scores(command);
                self.limited(command)
            }
            "ZRANGESTORE" => {
                let source = self.sorted_set_key();
                self.range_store(command.key(&source))
            }
            "ZPOPMIN" | "ZPOPMAX" => match self.random.below(3) {
                0 => command,
                _ => command.arg(self.random.below(6).to_string()),
            },
            "ZMPOP" => self.popping_scored(Command::of(&[name])),
            // All of one, in any order, is no matter of chance.
            "ZRANDMEMBER" => command.arg("100000").promise(Promise::Members),
            _ => self.operation(name),
        }
    }

    fn zadd(&mut self, command: Command) -> Command {
        if self.random.one_in(8) {
            // So that ranges of names mean something.
            let members = self.different_scored(12);
            let command = Command::of(&["ZADD"]).key(ALIKE.as_bytes());
            return members
                .iter()
                .fold(command, |command, name| command.arg("0").arg(name.clone()));
        }
        let mut command = command;
        for (option, odds) in [("NX", 8), ("XX", 6), ("GT", 6), ("LT", 8), ("CH", 3)] {
            if self.random.one_in(odds) && self.may_add(option) {
                command = command.arg(option);
            }
        }
        if self.random.one_in(10) {
            return command.arg("INCR").arg(self.score()).arg(self.scored());
        }
        self.scores_and_members(command, if self.is_large { 60 } else { 8 })
    }

    /// Some scores and members, as `ZADD` takes them.
    pub(super) fn scores_and_members(&mut self, command: Command, most: usize) -> Command {
        let members = self.different_scored(most);
        members.into_iter().fold(command, |command, member| {
            command.arg(self.score()).arg(member)
        })
    }

    /// Some members. As with pairs of hashes, those that are given twice count twice for the encoding since 7.2, here once.
    pub(super) fn different_scored(&mut self, most: usize) -> Vec<Vec<u8>> {
        let mut members = self.some_scored(most);
        if self.has_thresholds {
            let mut seen = BTreeSet::new();
            members.retain(|member| seen.insert(member.clone()));
        }
        members
    }

    /// Whether `ZADD` may have this option. In Redis pairs that add nothing count for the encoding, too.
    pub(super) fn may_add(&self, option: &str) -> bool {
        option != "XX" || !self.has_thresholds
    }

    /// A command that blocks, by this name, for so many seconds.
    pub(super) fn blocking_sorted_set_command(&mut self, name: &str, timeout: &str) -> Command {
        let command = Command::of(&[name]);
        if name == "BZMPOP" {
            return self.popping_scored(command.arg(timeout));
        }
        let count = self.random.between(1, 3);
        let command = (0..count).fold(command, |command, _| command.key(self.sorted_set_key()));
        command.arg(timeout)
    }

    /// The rest of `ZMPOP`.
    fn popping_scored(&mut self, command: Command) -> Command {
        let command = self.counted(command, 3);
        let command = command.arg(["MIN", "MAX"][self.random.below(2)]);
        match self.random.below(3) {
            0 => command,
            _ => command.arg("COUNT").arg(self.small(5)),
        }
    }

    /// `ZRANGE` in any of its ways.
    fn range(&mut self, command: Command) -> Command {
        let command = match self.random.below(4) {
            0 => {
                let command = self.of_scores(command).arg("BYSCORE");
                self.limited(command)
            }
            1 => {
                let command = self.of_names(Command::of(&["ZRANGE"]).key(ALIKE.as_bytes()));
                let command = self.limited(command.arg("BYLEX"));
                return match self.random.below(3) {
                    0 => command.arg("REV"),
                    _ => command,
                };
            }
            _ => self.of_ranks(command),
        };
        let command = match self.random.below(3) {
            0 => command.arg("REV"),
            _ => command,
        };
        self.with_scores(command)
    }

    /// `ZUNION` and its kin.
    fn operation(&mut self, name: &str) -> Command {
        let command = Command::of(&[name]);
        let command = match name.ends_with("STORE") {
            true => command.key(&self.sorted_set_key()),
            false => command,
        };
        let count = self.random.between(1, 3);
        let mut command = command.arg(count.to_string());
        for _ in 0..count {
            let key = match self.random.one_in(6) {
                true => self.set_key(),
                false => self.sorted_set_key(),
            };
            command = command.key(&key);
        }
        if name == "ZINTERCARD" {
            return match self.random.below(3) {
                0 => command.arg("LIMIT").arg(self.random.below(8).to_string()),
                _ => command,
            };
        }
        if !name.starts_with("ZDIFF") && self.random.one_in(2) {
            command = command.arg("WEIGHTS");
            for _ in 0..count {
                command = command.arg(self.random.between(1, 4).to_string());
            }
        }
        if !name.starts_with("ZDIFF") && self.random.one_in(2) {
            let aggregate = ["SUM", "MIN", "MAX"][self.random.below(3)];
            command = command.arg("AGGREGATE").arg(aggregate);
        }
        match name.ends_with("STORE") {
            true => command,
            false => self.with_scores(command),
        }
    }

    fn range_store(&mut self, command: Command) -> Command {
        if self.random.one_in(2) {
            return self.of_ranks(command);
        }
        let command = self.of_scores(command).arg("BYSCORE");
        self.limited(command)
    }

    /// `numkeys key [key ...]`.
    fn counted(&mut self, command: Command, most: usize) -> Command {
        let count = self.random.between(1, most);
        let command = command.arg(count.to_string());
        (0..count).fold(command, |command, _| command.key(&self.sorted_set_key()))
    }

    fn with_scores(&mut self, command: Command) -> Command {
        match self.random.one_in(2) {
            true => command.arg("WITHSCORES"),
            false => command,
        }
    }

    fn limited(&mut self, command: Command) -> Command {
        if !self.random.one_in(3) {
            return command;
        }
        let offset = self.random.below(6).to_string();
        let count = ["-1", "0", "1", "3", "20"][self.random.below(5)];
        command.arg("LIMIT").arg(offset).arg(count)
    }

    fn of_ranks(&mut self, command: Command) -> Command {
        let mut rank = || (self.random.below(30) as i64 - 10).to_string();
        let (first, last) = (rank(), rank());
        command.arg(first).arg(last)
    }

    fn of_scores(&mut self, command: Command) -> Command {
        let mut limit = || {
            let score = self.score();
            match self.random.below(5) {
                0 => format!("({score}"),
                1 => "-inf".to_owned(),
                2 => "+inf".to_owned(),
                _ => score,
            }
        };
        let (min, max) = (limit(), limit());
        command.arg(min).arg(max)
    }

    fn of_names(&mut self, command: Command) -> Command {
        let mut limit = || {
            let name = self.scored();
            match self.random.below(6) {
                0 => b"-".to_vec(),
                1 => b"+".to_vec(),
                2 => [b"(", &name[..]].concat(),
                _ => [b"[", &name[..]].concat(),
            }
        };
        let (min, max) = (limit(), limit());
        command.arg(min).arg(max)
    }

    /// A score: often the same, now and then one of many digits, or an infinite one.
    pub(super) fn score(&mut self) -> String {
        // Before 7.2 a sorted set is a small one, which has no -0, where a later one is not.
        let zero = if self.known.since_7_2 { "-0" } else { "0" };
        let random = &mut self.random;
        match random.below(30) {
            0 => ["inf", "-inf", "+Infinity"][random.below(3)].to_owned(),
            1 => {
                let some = [
                    zero,
                    "1e300",
                    "-2.5e-7",
                    "9007199254740993",
                    "123456789012345680000",
                ];
                some[random.below(some.len())].to_owned()
            }
            2 => (random.number() as i64).to_string(),
            3 => (random.below(1_000_000) as f64 / 7.0).to_string(),
            4 | 5 => format!("{}.{}", random.below(50), random.below(1000)),
            _ => ((random.below(60) as f64 - 20.0) / 2.0).to_string(),
        }
    }

    /// A member: of few, or some of many; now and then a long one.
    pub(super) fn scored(&mut self) -> Vec<u8> {
        let many = if self.is_large { 3000 } else { 30 };
        match self.random.below(12) {
            0..3 => self.random.below(many).to_string().into_bytes(),
            3..11 => format!("m{}", self.random.below(many)).into_bytes(),
            _ => self.element(),
        }
    }

    pub(super) fn some_scored(&mut self, most: usize) -> Vec<Vec<u8>> {
        let count = self.random.between(1, most);
        (0..count).map(|_| self.scored()).collect()
    }
}
