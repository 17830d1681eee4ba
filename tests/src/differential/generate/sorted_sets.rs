//! Commands of sorted sets, and of positions in them.
//!
//! Scores are halves: other fractions are written with more digits before 7.2.

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
    "GEOADD",
    "GEODIST",
    "GEOHASH",
    "GEOSEARCH",
    "GEOSEARCHSTORE",
    "GEORADIUS",
    "GEORADIUSBYMEMBER",
];

/// Of which a step of its own is made.
const BY_STEPS: &str = "ZSCAN";

/// Whose members are positions, and whose scores are all alike.
const GEO: &str = "g:1";
const ALIKE: &str = "z:alike";

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
        if name.starts_with("GEO") {
            return self.geo_command(name);
        }
        let key = self.sorted_set_key();
        let command = Command::of(&[name]).key(&key);
        match name {
            "ZADD" => self.zadd(command),
            "ZINCRBY" => command.arg(self.score()).arg(self.scored()),
            "ZREM" | "ZMSCORE" => command.with(&self.some_scored(5)),
            "ZCARD" => command,
            "ZSCORE" | "ZRANK" | "ZREVRANK" => command.arg(self.scored()),
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
            "ZRANGE" | "ZREVRANGE" => {
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
            "ZMPOP" => {
                let command = self.counted(Command::of(&[name]), 3);
                let end = ["MIN", "MAX"][self.random.below(2)];
                command
                    .arg(end)
                    .arg("COUNT")
                    .arg(self.random.between(1, 5).to_string())
            }
            // All of one, in any order, is no matter of chance.
            "ZRANDMEMBER" => command.arg("100000").promise(Promise::Members),
            _ => self.operation(name),
        }
    }

    fn zadd(&mut self, command: Command) -> Command {
        if self.random.one_in(8) {
            // So that ranges of names mean something.
            let members = self.some_scored(12);
            let command = Command::of(&["ZADD"]).key(ALIKE.as_bytes());
            return members
                .iter()
                .fold(command, |command, name| command.arg("0").arg(name.clone()));
        }
        let mut command = command;
        for (option, odds) in [("NX", 8), ("XX", 6), ("GT", 6), ("LT", 8), ("CH", 3)] {
            if self.random.one_in(odds) {
                command = command.arg(option);
            }
        }
        if self.random.one_in(10) {
            return command.arg("INCR").arg(self.score()).arg(self.scored());
        }
        let count = self.random.between(1, if self.is_large { 60 } else { 8 });
        (0..count).fold(command, |command, _| {
            let score = self.score();
            command.arg(score).arg(self.scored())
        })
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

    fn geo_command(&mut self, name: &str) -> Command {
        let command = Command::of(&[name]).key(GEO.as_bytes());
        match name {
            "GEOADD" => {
                let count = self.random.between(1, 8);
                (0..count).fold(command, |command, _| {
                    let [longitude, latitude] = self.position();
                    command.arg(longitude).arg(latitude).arg(self.scored())
                })
            }
            "GEODIST" => command.arg(self.scored()).arg(self.scored()).arg("km"),
            "GEOHASH" => command.with(&self.some_scored(3)),
            "GEORADIUS" => {
                let [longitude, latitude] = self.position();
                let command = command.arg(longitude).arg(latitude);
                self.around(command).promise(Promise::Members)
            }
            "GEORADIUSBYMEMBER" => {
                let command = command.arg(self.scored());
                self.around(command).promise(Promise::Members)
            }
            _ => {
                let is_stored = name == "GEOSEARCHSTORE";
                let command = match is_stored {
                    true => Command::of(&[name])
                        .key(&self.sorted_set_key())
                        .key(GEO.as_bytes()),
                    false => command,
                };
                let [longitude, latitude] = self.position();
                let command = command.arg("FROMLONLAT").arg(longitude).arg(latitude);
                let command = match self.random.one_in(2) {
                    true => self.around(command.arg("BYRADIUS")),
                    false => {
                        let width = self.random.between(1, 9000).to_string();
                        self.around(command.arg("BYBOX").arg(width))
                    }
                };
                match is_stored {
                    true => command,
                    false => command.promise(Promise::Members),
                }
            }
        }
    }

    /// A length and its unit.
    fn around(&mut self, command: Command) -> Command {
        let length = self.random.between(1, 9000).to_string();
        command.arg(length).arg(["km", "mi"][self.random.below(2)])
    }

    fn position(&mut self) -> [String; 2] {
        let longitude = self.random.below(3600) as f64 / 10.0 - 180.0;
        let latitude = self.random.below(1700) as f64 / 10.0 - 85.0;
        [longitude.to_string(), latitude.to_string()]
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

    /// A score: halves, and now and then an infinite one.
    fn score(&mut self) -> String {
        match self.random.below(30) {
            0 => ["inf", "-inf", "+Infinity"][self.random.below(3)].to_owned(),
            _ => ((self.random.below(60) as f64 - 20.0) / 2.0).to_string(),
        }
    }

    /// A member: of few, or some of many; now and then a long one.
    fn scored(&mut self) -> Vec<u8> {
        let many = if self.is_large { 3000 } else { 30 };
        match self.random.below(12) {
            0..3 => self.random.below(many).to_string().into_bytes(),
            3..11 => format!("m{}", self.random.below(many)).into_bytes(),
            _ => self.element(),
        }
    }

    fn some_scored(&mut self, most: usize) -> Vec<Vec<u8>> {
        let count = self.random.between(1, most);
        (0..count).map(|_| self.scored()).collect()
    }
}
