//! Commands of streams. Ids are given, so that both servers have the same; what tells of times is not drawn.

use super::Maker;
use crate::differential::step::Command;

/// What is made here.
pub(super) const COMMANDS: &[&str] = &[
    "XADD",
    "XLEN",
    "XRANGE",
    "XREVRANGE",
    "XDEL",
    "XTRIM",
    "XREAD",
    "XREADGROUP",
    "XGROUP",
    "XACK",
    "XPENDING",
    "XCLAIM",
    "XAUTOCLAIM",
    "XSETID",
];

const GROUPS: [&str; 2] = ["g", "group"];
const CONSUMERS: [&str; 3] = ["a", "b", "c"];

impl Maker<'_> {
    pub(super) fn stream_command(&mut self) -> Command {
        let name = self.name(COMMANDS);
        // Streams are to grow, and groups to be there.
        let name = match self.random.below(8) {
            0 | 1 => "XADD",
            2 => "XREADGROUP",
            _ => name,
        };
        let key = self.stream_key();
        let command = Command::of(&[name]);
        match name {
            "XADD" => self.addition(command.key(&key)),
            "XLEN" => command.key(&key),
            "XRANGE" | "XREVRANGE" => {
                let ends = [self.interval_end(), self.interval_end()];
                let command = command.key(&key).with(&ends);
                self.perhaps_count(command)
            }
            "XDEL" => command.key(&key).with(&self.some_ids()),
            "XTRIM" => self.trim(command.key(&key)),
            "XREAD" => {
                let command = self.perhaps_count(command).arg("STREAMS");
                let (first, second) = (self.stream_key(), self.stream_key());
                let ids = [self.id(), self.id()];
                command.key(&first).key(&second).with(&ids)
            }
            "XREADGROUP" => {
                let command = command.arg("GROUP").arg(self.group()).arg(self.consumer());
                let mut command = self.perhaps_count(command);
                if self.random.one_in(5) {
                    command = command.arg("NOACK");
                }
                let from = match self.random.below(3) {
                    0 => self.id(),
                    _ => b">".to_vec(),
                };
                command.arg("STREAMS").key(&key).arg(from)
            }
            "XGROUP" => self.group_command(command, &key),
            "XACK" => {
                let command = command.key(&key).arg(self.group());
                command.with(&self.some_ids())
            }
            "XPENDING" => command.key(&key).arg(self.group()),
            "XCLAIM" => {
                let command = command.key(&key).arg(self.group()).arg(self.consumer());
                let command = command.arg("0").with(&self.some_ids());
                let options: [&[&str]; 4] = [&[], &["JUSTID"], &["FORCE"], &["RETRYCOUNT", "3"]];
                options[self.random.below(options.len())]
                    .iter()
                    .fold(command, |command, word| command.arg(*word))
            }
            "XAUTOCLAIM" => {
                let command = command.key(&key).arg(self.group()).arg(self.consumer());
                let command = command.arg("0").arg(self.interval_end());
                self.perhaps_count(command)
            }
            _ => command.key(&key).arg(self.id()),
        }
    }

    fn addition(&mut self, mut command: Command) -> Command {
        if self.random.one_in(8) {
            command = command.arg("NOMKSTREAM");
        }
        if self.random.one_in(6) {
            command = self.trim(command);
        }
        // Mostly they rise; some stay below the last.
        let id = match self.random.below(6) {
            0 => self.id(),
            _ => format!("{}-*", self.random.between(100, 120)).into_bytes(),
        };
        let pairs = self.random.between(1, 3);
        let names = ["name", "age", "f"];
        (0..pairs).fold(command.arg(id), |command, at| {
            command.arg(names[at]).arg(self.element())
        })
    }

    fn trim(&mut self, command: Command) -> Command {
        match self.random.below(4) {
            0 => command.arg("MAXLEN").arg(self.random.below(12).to_string()),
            1 => command.arg("MAXLEN").arg("~").arg("1000"),
            2 => command.arg("MINID").arg(self.id()),
            _ => command.arg("MINID").arg("=").arg(self.id()),
        }
    }

    fn group_command(&mut self, command: Command, key: &[u8]) -> Command {
        let group = self.group();
        let of = |command: Command, name: &str| command.arg(name).key(key).arg(group);
        match self.random.below(8) {
            0 => of(command, "DESTROY"),
            1 => of(command, "CREATECONSUMER").arg(self.consumer()),
            2 => of(command, "DELCONSUMER").arg(self.consumer()),
            3 => of(command, "SETID").arg(self.id()),
            _ => of(command, "CREATE").arg("0").arg("MKSTREAM"),
        }
    }

    fn group(&mut self) -> &'static str {
        GROUPS[self.random.below(GROUPS.len())]
    }

    fn consumer(&mut self) -> &'static str {
        CONSUMERS[self.random.below(CONSUMERS.len())]
    }

    fn id(&mut self) -> Vec<u8> {
        let ms = self.random.between(98, 122);
        match self.random.below(3) {
            0 => ms.to_string().into_bytes(),
            _ => format!("{ms}-{}", self.random.below(4)).into_bytes(),
        }
    }

    fn some_ids(&mut self) -> Vec<Vec<u8>> {
        (0..self.random.between(1, 4)).map(|_| self.id()).collect()
    }

    fn interval_end(&mut self) -> Vec<u8> {
        match self.random.below(6) {
            0 => b"-".to_vec(),
            1 => b"+".to_vec(),
            2 => [b"(", &self.id()[..]].concat(),
            _ => self.id(),
        }
    }

    fn perhaps_count(&mut self, command: Command) -> Command {
        match self.random.below(3) {
            0 => command
                .arg("COUNT")
                .arg(self.random.between(1, 9).to_string()),
            _ => command,
        }
    }
}
