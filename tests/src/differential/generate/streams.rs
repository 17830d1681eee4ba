//! Commands of streams. Ids are given, so that both servers have the same; of what tells of times the rest is compared.
//!
//! Left out: `XADD` with `IDMP`, which gives ids by the clock, and `CLAIM` of `XREADGROUP`, whose replies have times among entries;
//! beside a Redis before 8.6, `XINFO`, which has more fields since; before 7.2, `XSETID` to an id that may be below a deleted one,
//! which is refused since, consumers that wait, and `XGROUP CREATECONSUMER`, since who found nothing was no consumer, and an entry that
//! is trimmed at once while somebody waits, who got an empty reply.

use super::Maker;
use crate::differential::step::{Command, Promise};

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
    "XINFO",
    "XACKDEL",
    "XDELEX",
    "XCFGSET",
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
            // Waiting in vain takes its time.
            "XREAD" | "XREADGROUP" => {
                let block_ms = ["1", "5", "10"][self.random.below(3)];
                let block = self.random.one_in(8).then_some(block_ms);
                self.reading(command, block)
            }
            "XGROUP" => self.group_command(command, &key),
            "XACK" => {
                let command = command.key(&key).arg(self.group());
                command.with(&self.some_ids())
            }
            "XPENDING" => {
                let command = command.key(&key).arg(self.group());
                self.pending(command)
            }
            "XINFO" => self.told_of(command, &key),
            "XACKDEL" => {
                let command = command.key(&key).arg(self.group());
                let command = self.perhaps_references(command);
                self.counted_ids(command)
            }
            "XDELEX" => {
                let command = self.perhaps_references(command.key(&key));
                self.counted_ids(command)
            }
            "XCFGSET" => {
                let command = command.key(&key);
                match self.random.below(3) {
                    0 => command.arg("IDMP-DURATION").arg(self.small(300)),
                    1 => command.arg("IDMP-MAXSIZE").arg(self.small(300)),
                    _ => command.arg("IDMP-MAXSIZE").arg("0"),
                }
            }
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
            _ => self.last_id(command.key(&key)),
        }
    }

    /// A command that blocks, by this name, for long enough.
    pub(super) fn blocking_stream_command(&mut self, name: &str) -> Command {
        let block_ms = ["0", "1000000"][self.random.below(2)];
        self.reading(Command::of(&[name]), Some(block_ms))
    }

    /// `XREAD` or `XREADGROUP`, which blocks for so long, or not.
    fn reading(&mut self, command: Command, block_ms: Option<&str>) -> Command {
        let is_group = command.name() == "XREADGROUP";
        let command = match is_group {
            true => command.arg("GROUP").arg(self.group()).arg(self.consumer()),
            false => command,
        };
        let mut command = self.perhaps_count(command);
        // Before 7.2 there is no consumer before it is served.
        let block_ms = block_ms.filter(|_| !is_group || self.known.since_7_2);
        if let Some(ms) = block_ms {
            command = command.arg("BLOCK").arg(ms);
        }
        if is_group && self.random.one_in(5) {
            command = command.arg("NOACK");
        }
        let count = self.random.between(1, 2);
        let keys: Vec<_> = (0..count).map(|_| self.stream_key()).collect();
        command = command.arg("STREAMS").some_keys(&keys);
        for _ in keys {
            command = match self.random.below(4) {
                0 => command.arg(self.id()),
                1 if !is_group && self.knows("XCFGSET") => command.arg("+"),
                _ => command.arg(if is_group { ">" } else { "$" }),
            };
        }
        command
    }

    fn pending(&mut self, command: Command) -> Command {
        if self.random.one_in(2) {
            return command;
        }
        let command = match self.random.below(4) {
            0 => command.arg("IDLE").arg("0"),
            _ => command,
        };
        let ends = [self.interval_end(), self.interval_end()];
        let command = command.with(&ends).arg(self.small(9));
        let command = match self.random.below(3) {
            0 => command.arg(self.consumer()),
            _ => command,
        };
        command.promise(Promise::Timeless)
    }

    fn told_of(&mut self, command: Command, key: &[u8]) -> Command {
        let of = |command: Command, name: &str| command.arg(name).key(key);
        let command = match self.random.below(4) {
            0 => of(command, "STREAM"),
            1 => of(command, "STREAM").arg("FULL").arg("COUNT").arg("0"),
            2 => of(command, "GROUPS"),
            _ => of(command, "CONSUMERS").arg(self.group()),
        };
        command.promise(Promise::Timeless)
    }

    /// `KEEPREF` and its kin, or none.
    fn perhaps_references(&mut self, command: Command) -> Command {
        match self.random.below(6) {
            0 => command.arg("KEEPREF"),
            1 => command.arg("DELREF"),
            2 => command.arg("ACKED"),
            _ => command,
        }
    }

    fn counted_ids(&mut self, command: Command) -> Command {
        let ids = self.some_ids();
        command.arg("IDS").arg(ids.len().to_string()).with(&ids)
    }

    /// The rest of `XSETID`. Since 7.2 it refuses an id below one that was deleted.
    fn last_id(&mut self, command: Command) -> Command {
        if !self.known.since_7_2 {
            return command.arg("200-1");
        }
        let command = command.arg(self.id());
        match self.random.below(4) {
            0 => command.arg("ENTRIESADDED").arg(self.small(40)),
            1 => {
                let command = command.arg("ENTRIESADDED").arg(self.small(40));
                command.arg("MAXDELETEDID").arg(self.id())
            }
            _ => command,
        }
    }

    pub(super) fn addition(&mut self, mut command: Command) -> Command {
        if self.random.one_in(8) {
            command = command.arg("NOMKSTREAM");
        }
        if self.knows("XACKDEL") {
            command = self.perhaps_references(command);
        }
        if self.random.one_in(6) && !self.is_awaited {
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
        let command = match self.random.below(4) {
            0 => command.arg("MAXLEN").arg(self.random.below(12).to_string()),
            1 => command.arg("MAXLEN").arg("~").arg("1000"),
            2 => command.arg("MINID").arg(self.id()),
            _ => command.arg("MINID").arg("=").arg(self.id()),
        };
        let may_refer = command.name() == "XTRIM" && self.knows("XACKDEL");
        match may_refer {
            true => self.perhaps_references(command),
            false => command,
        }
    }

    pub(super) fn group_command(&mut self, command: Command, key: &[u8]) -> Command {
        let group = self.group();
        let of = |command: Command, name: &str| command.arg(name).key(key).arg(group);
        match self.random.below(8) {
            0 => of(command, "DESTROY"),
            1 if self.known.since_7_2 => of(command, "CREATECONSUMER").arg(self.consumer()),
            2 => of(command, "DELCONSUMER").arg(self.consumer()),
            3 => of(command, "SETID").arg(self.id()),
            4 => of(command, "CREATE")
                .arg("$")
                .arg("ENTRIESREAD")
                .arg(self.small(9)),
            _ => of(command, "CREATE").arg("0").arg("MKSTREAM"),
        }
    }

    pub(super) fn group(&mut self) -> &'static str {
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

    pub(super) fn some_ids(&mut self) -> Vec<Vec<u8>> {
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
