//! Steps with a way of their own: deadlines that pass, samples, scans, payloads, and the thresholds an episode begins with.

use super::Maker;
use crate::differential::step::{Command, Sampled, Session, Step, words};

/// Milliseconds until a deadline that passes within its step.
const SOON_MS: usize = 8;

impl Maker<'_> {
    /// A deadline that passes: of a key, or of some fields. The key is there before.
    pub(super) fn passing(&mut self, session: Session) -> Vec<Step> {
        let ms = self.random.between(1, SOON_MS);
        let text = ms.to_string();
        let is_hash = self.random.one_in(2);
        let mut before = Vec::new();
        let (key, command) = if is_hash {
            let key = self.hash_key();
            before.push(Command::of(&["HSET"]).key(&key).with(&self.pairs(6)));
            let names = ["HPEXPIRE", "HGETEX", "HSETEX", "PEXPIRE"];
            let name = self.name(&names);
            let command = Command::of(&[name]).key(&key);
            let command = match name {
                "HPEXPIRE" => {
                    let command = command.arg(&text);
                    self.counted_fields(command)
                }
                "HGETEX" => {
                    let command = command.arg("PX").arg(&text);
                    self.counted_fields(command)
                }
                "HSETEX" => {
                    let command = command.arg("PX").arg(&text);
                    self.counted_pairs(command)
                }
                _ => command.arg(&text),
            };
            (key, command)
        } else {
            let key = self.string_key();
            before.push(Command::of(&["SET"]).key(&key).arg(self.element()));
            let command = match self.random.below(5) {
                0 => {
                    let command = Command::of(&["SET"]).key(&key).arg(self.element());
                    command.arg("PX").arg(&text)
                }
                1 => Command::of(&["PSETEX"]).key(&key).arg(&text).arg("v"),
                2 => Command::of(&["GETEX"]).key(&key).arg("PX").arg(&text),
                3 => {
                    let command = Command::of(&["SET"]).key(&key).arg(self.element());
                    command.arg("PXAT").arg("1")
                }
                _ => Command::of(&["PEXPIRE"]).key(&key).arg(&text),
            };
            (key, command)
        };
        let mut steps = Vec::new();
        if !self.random.one_in(3) {
            steps.push(Step::Pipeline {
                session,
                commands: before,
            });
        }
        steps.push(Step::Passing {
            session,
            command,
            key,
            within_ms: ms as u64,
        });
        steps
    }

    pub(super) fn sample(&mut self, session: Session) -> Step {
        if self.random.one_in(6) {
            return Step::Sample {
                session,
                all: Command::of(&["KEYS", "*"]),
                command: Command::of(&["RANDOMKEY"]),
                count: Sampled::Key,
            };
        }
        let is_hash = self.random.one_in(2);
        let (key, name, all) = match is_hash {
            true => (self.hash_key(), "HRANDFIELD", "HGETALL"),
            false => (self.set_key(), "SRANDMEMBER", "SMEMBERS"),
        };
        let command = Command::of(&[name]).key(&key);
        let number = self.random.below(15);
        let (command, count) = match self.random.below(3) {
            0 => (command, Sampled::Field),
            1 => (command.arg(number.to_string()), Sampled::Different(number)),
            _ => (
                command.arg(format!("-{number}")),
                if number == 0 {
                    Sampled::Different(0)
                } else {
                    Sampled::Any(number)
                },
            ),
        };
        let command = if is_hash && count != Sampled::Field && self.random.one_in(2) {
            command.arg("WITHVALUES")
        } else {
            command
        };
        Step::Sample {
            session,
            all: Command::of(&[all]).key(&key),
            command,
            count,
        }
    }

    pub(super) fn scan(&mut self, session: Session) -> Step {
        let mut after: Vec<Vec<u8>> = Vec::new();
        if self.random.one_in(2) {
            after.extend([b"MATCH".to_vec(), self.pattern()]);
        }
        if self.random.one_in(2) {
            let least = if self.is_large { 10 } else { 1 };
            let count = self.random.between(least, 200).to_string();
            after.extend(words(&["COUNT", &count]));
        }
        let is_hash = !self.random.one_in(4);
        let mut has_pairs = is_hash;
        let before = if is_hash {
            if self.knows("HEXPIRE") && self.random.one_in(3) {
                after.push(b"NOVALUES".to_vec());
                has_pairs = false;
            }
            let key = self.hash_key();
            vec![b"HSCAN".to_vec(), key]
        } else if self.random.one_in(3) {
            has_pairs = true;
            vec![b"ZSCAN".to_vec(), self.sorted_set_key()]
        } else if self.random.one_in(2) {
            vec![b"SSCAN".to_vec(), self.set_key()]
        } else {
            if self.random.one_in(2) {
                let kind =
                    ["string", "list", "set", "hash", "zset", "STRING"][self.random.below(6)];
                after.extend(words(&["TYPE", kind]));
            }
            vec![b"SCAN".to_vec()]
        };
        if self.random.one_in(15) {
            after.push(b"COUNT".to_vec());
            after.push([&b"0"[..], b"x", b"-1"][self.random.below(3)].to_vec());
        }
        Step::Scan {
            session,
            before,
            after,
            has_pairs,
        }
    }

    /// A scan with writes in between: of the keyspace, a set, or of a hash, whose fields alone are looked at.
    pub(super) fn scan_amid(&mut self, session: Session) -> Step {
        if self.random.one_in(3) {
            return self.scan_of_set_amid(session);
        }
        let is_hash = self.knows("HEXPIRE") && !self.random.one_in(3);
        let count = ["5", "10", "50"][self.random.below(3)];
        let writes = self.random.between(3, 12);
        let (before, mut after, all, between) = if is_hash {
            let key = self.hash_key();
            let between = (0..writes)
                .map(|_| {
                    if self.random.one_in(2) {
                        Command::of(&["HSET"]).key(&key).with(&self.pairs(9))
                    } else {
                        let fields = self.some_fields(9);
                        Command::of(&["HDEL"]).key(&key).with(&fields)
                    }
                })
                .collect();
            (
                vec![b"HSCAN".to_vec(), key.clone()],
                words(&["NOVALUES"]),
                Command::of(&["HKEYS"]).key(&key),
                between,
            )
        } else {
            let between = (0..writes).map(|_| self.write_of_a_key()).collect();
            let all = Command::of(&["KEYS", "*"]);
            (words(&["SCAN"]), vec![], all, between)
        };
        after.extend(words(&["COUNT", count]));
        Step::ScanAmid {
            session,
            before,
            after,
            all,
            between,
        }
    }

    fn scan_of_set_amid(&mut self, session: Session) -> Step {
        let key = self.set_key();
        let between = (0..self.random.between(3, 12)).map(|_| {
            let name = ["SADD", "SREM"][self.random.below(2)];
            let members = self.some_fields(9);
            Command::of(&[name]).key(&key).with(&members)
        });
        let between = between.collect();
        Step::ScanAmid {
            session,
            before: vec![b"SSCAN".to_vec(), key.clone()],
            after: words(&["COUNT", "10"]),
            all: Command::of(&["SMEMBERS"]).key(&key),
            between,
        }
    }

    fn write_of_a_key(&mut self) -> Command {
        match self.random.below(3) {
            0 => Command::of(&["DEL"]).key(self.any_key()),
            1 => Command::of(&["RENAME"])
                .key(self.any_key())
                .key(self.any_key()),
            _ => Command::of(&["SET"]).key(self.string_key()).arg("v"),
        }
    }

    pub(super) fn payload(&mut self, session: Session) -> Step {
        let from = self.any_key();
        let to = self.any_key();
        let mut options: Vec<Vec<u8>> = Vec::new();
        if !self.random.one_in(3) {
            options.push(b"REPLACE".to_vec());
        }
        let ttl = match self.random.below(6) {
            0 => self.far_seconds() * 1000,
            1 => {
                options.push(b"ABSTTL".to_vec());
                self.moment() * 1000
            }
            2 => {
                options.push(b"ABSTTL".to_vec());
                1
            }
            _ => 0,
        };
        if self.random.one_in(12) {
            options.extend(words(&["IDLETIME", "100"]));
        }
        let damage = self.random.one_in(6).then(|| self.random.below(40));
        Step::Payload {
            session,
            from,
            restore: vec![b"RESTORE".to_vec(), to, ttl.to_string().into_bytes()],
            options,
            damage,
        }
    }

    /// Thresholds between the encodings, other than those a server has by itself.
    pub(super) fn thresholds(&mut self) -> Step {
        let entries = [0, 1, 4, 16, 128, 4000][self.random.below(6)];
        let value = [0, 5, 64, 1000][self.random.below(4)].to_string();
        let list = [1, 2, 7, 128, -1, -2, -3, -5][self.random.below(8)].to_string();
        // Never fewer than of other members: which sets of integers are listpacks then depends on where they come from.
        let integers = [16, 512, 4000][self.random.below(3)];
        let integers = integers.max(entries).to_string();
        let entries = entries.to_string();
        let lines: [[&str; 4]; 6] = [
            ["CONFIG", "SET", "set-max-intset-entries", &integers],
            ["CONFIG", "SET", "hash-max-listpack-entries", &entries],
            ["CONFIG", "SET", "hash-max-listpack-value", &value],
            ["CONFIG", "SET", "list-max-listpack-size", &list],
            ["CONFIG", "SET", "zset-max-listpack-entries", &entries],
            ["CONFIG", "SET", "zset-max-listpack-value", &value],
        ];
        Step::Pipeline {
            session: 0,
            commands: lines
                .iter()
                .map(|line| Command::of(line))
                .chain(self.known.since_7_2.then(|| {
                    let names = ["set-max-listpack-entries", "set-max-listpack-value"];
                    Command::of(&["CONFIG", "SET", names[0], &entries, names[1], &value])
                }))
                .collect(),
        }
    }
}
