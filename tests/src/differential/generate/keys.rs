//! Commands of keys, whatever their type.

use super::Maker;
use crate::differential::step::{Command, Promise};

/// What is made here.
pub(super) const COMMANDS: &[&str] = &[
    "DEL",
    "UNLINK",
    "EXISTS",
    "TOUCH",
    "TYPE",
    "RENAME",
    "RENAMENX",
    "COPY",
    "MOVE",
    "SWAPDB",
    "SELECT",
    "FLUSHDB",
    "EXPIRE",
    "PEXPIRE",
    "EXPIREAT",
    "PEXPIREAT",
    "TTL",
    "PTTL",
    "EXPIRETIME",
    "PEXPIRETIME",
    "PERSIST",
    "OBJECT",
    "DUMP",
    "RESTORE",
    "KEYS",
    "SCAN",
    "RANDOMKEY",
    "DBSIZE",
];

impl Maker<'_> {
    pub(super) fn key_command(&mut self) -> Command {
        let mut name = self.name(COMMANDS);
        // What takes everything away, or elsewhere, is rare.
        let is_rare = ["DEL", "UNLINK", "SWAPDB", "SELECT", "FLUSHDB", "MOVE"].contains(&name);
        if is_rare && !self.random.one_in(3) {
            name = ["OBJECT", "TYPE", "EXISTS", "COPY"][self.random.below(4)];
        }
        let command = Command::of(&[name]);
        match name {
            "DEL" | "UNLINK" | "EXISTS" | "TOUCH" => {
                let keys = self.any_keys(3);
                command.some_keys(&keys)
            }
            "RENAME" | "RENAMENX" => command.key(self.any_key()).key(self.any_key()),
            "COPY" => {
                let command = command.key(self.any_key()).key(self.any_key());
                let command = match self.random.below(5) {
                    0 => command.arg("DB").arg(self.database()),
                    _ => command,
                };
                match self.random.below(2) {
                    0 => command.arg("REPLACE"),
                    _ => command,
                }
            }
            "MOVE" => command.key(self.any_key()).arg(self.database()),
            "SWAPDB" => command.arg(self.database()).arg(self.database()),
            "SELECT" => command.arg(self.database()),
            "FLUSHDB" if self.random.one_in(4) => command,
            "FLUSHDB" | "DBSIZE" => Command::of(&["DBSIZE"]),
            "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT" => {
                let command = command.key(self.any_key()).arg(self.deadline_for(name));
                match self.random.below(8) {
                    0 => command.arg("NX"),
                    1 => command.arg("XX"),
                    2 => command.arg("GT"),
                    3 => command.arg("LT"),
                    _ => command,
                }
            }
            "TTL" | "EXPIRETIME" => command
                .key(self.any_key())
                .promise(Promise::Deadline { unit_ms: 1000 }),
            "PTTL" | "PEXPIRETIME" => command
                .key(self.any_key())
                .promise(Promise::Deadline { unit_ms: 1 }),
            "OBJECT" if self.random.one_in(5) => command
                .arg("IDLETIME")
                .key(self.any_key())
                .promise(Promise::Kind),
            "OBJECT" => command.arg("ENCODING").key(self.any_key()),
            "DUMP" => command.key(self.any_key()).promise(Promise::Kind),
            // What is no payload. Those that are one have steps of their own.
            "RESTORE" => command.key(self.any_key()).arg("0").arg(self.element()),
            "KEYS" | "SCAN" | "RANDOMKEY" => Command::of(&["KEYS"])
                .arg(self.pattern())
                .promise(Promise::Members),
            _ => command.key(self.any_key()),
        }
    }
}
