//! `LARDER HOTKEYS`: the most used keys, as every core has seen them ([`crate::observe::HotKeys`]).
//!
//! A key is counted where commands on it run: on its own core, and on others that answer reads from copies. The merge adds
//! these up. What is told is an estimate from one command in a hundred.

use larder_engine::{DbIndex, parse_canonical_i64};

use crate::command::{Args, CommandSpec, CoreCall, CoreState, Flags, Group, Run};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// Keys told of if no number is asked for.
const DEFAULT_COUNT: usize = 10;

/// `LARDER HOTKEYS`.
pub(super) const SPEC: CommandSpec = CommandSpec {
    name: "larder|hotkeys",
    arity: -2,
    flags: Flags::ADMIN.with(Flags::ANYTIME),
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    group: Group::Server,
    since: super::LARDER_ITSELF,
    syntax: "[COUNT count] [RESET]",
    summary: "Returns the most used keys of the last seconds.",
    complexity: "O(N) where N is the number of keys counted, at most 32 a core",
    run: Run::EveryCore { each, merge },
    ..CommandSpec::BASE
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    count: usize,
    then: Then,
}

/// What becomes of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Keep,
    Reset,
}

fn parse(args: &Args<'_>) -> Result<Asked, ErrorReply> {
    let mut asked = Asked {
        count: DEFAULT_COUNT,
        then: Then::Keep,
    };
    let mut at = 2;
    while at < args.len() {
        if args.is(at, "COUNT") && at + 1 < args.len() {
            let count = parse_canonical_i64(args.at(at + 1)).ok_or(errors::NOT_AN_INTEGER)?;
            asked.count = usize::try_from(count).map_err(|_| errors::NOT_AN_INTEGER)?;
            at += 2;
        } else if args.is(at, "RESET") {
            asked.then = Then::Reset;
            at += 1;
        } else {
            return Err(errors::SYNTAX);
        }
    }
    Ok(asked)
}

/// A key, and what is known of its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct HotKeyReport {
    pub(in super::super) db: DbIndex,
    pub(in super::super) key: Box<[u8]>,
    /// The core that owns it.
    pub(in super::super) core: u64,
    pub(in super::super) reads_per_sec: u64,
    pub(in super::super) writes_per_sec: u64,
    /// Cores on which it was counted, and whether others may hold copies of it.
    pub(in super::super) is_copied: bool,
}

impl HotKeyReport {
    /// Writes a core's part: how many keys, and what it knows of each.
    pub(in super::super) fn write(core: &mut CoreState, part: &mut PartWriter<'_>) {
        let now_ms = core.clock.monotonic_ms();
        core.observed.hot_keys.age(now_ms);
        let hot_keys = &core.observed.hot_keys;
        let top = hot_keys.top();
        part.number(top.len() as u64);
        for hot in top {
            part.number(hot.db.0.into());
            part.bytes(&hot.key);
            part.number(u64::from(core.shared.slots.core_of(&hot.key).0));
            part.number(hot_keys.per_second(hot.reads, now_ms));
            part.number(hot_keys.per_second(hot.writes, now_ms));
            let is_copied = core.shard.copied().contains(hot.db, &hot.key);
            part.number(is_copied.into());
        }
    }

    /// Adds what a part tells to `all`.
    pub(in super::super) fn add(part: &mut PartReader<'_>, all: &mut Vec<Self>) {
        for _ in 0..part.number() {
            let read = Self {
                db: DbIndex(part.number() as u16),
                key: part.bytes().into(),
                core: part.number(),
                reads_per_sec: part.number(),
                writes_per_sec: part.number(),
                is_copied: part.number() == 1,
            };
            let known = all
                .iter_mut()
                .find(|known| known.db == read.db && known.key == read.key);
            match known {
                Some(known) => {
                    known.reads_per_sec += read.reads_per_sec;
                    known.writes_per_sec += read.writes_per_sec;
                    known.is_copied |= read.is_copied;
                }
                None => all.push(read),
            }
        }
    }

    /// The most used first.
    pub(in super::super) fn sort(all: &mut [Self]) {
        let rate = |key: &Self| std::cmp::Reverse(key.reads_per_sec + key.writes_per_sec);
        all.sort_by_key(rate);
    }
}

fn each(call: &mut CoreCall<'_>) {
    HotKeyReport::write(call.core, &mut PartWriter(call.out));
    if parse(&call.args).is_ok_and(|asked| asked.then == Then::Reset) {
        call.core.observed.hot_keys.reset();
    }
}

fn merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let asked = parse(args)?;
    let mut all = Vec::new();
    for part in parts {
        HotKeyReport::add(&mut PartReader::new(part), &mut all);
    }
    HotKeyReport::sort(&mut all);
    all.truncate(asked.count);
    reply.array(all.len());
    for hot in all {
        reply.map(6);
        reply.text("key");
        reply.bulk(&hot.key);
        for (name, value) in [
            ("db", u64::from(hot.db.0)),
            ("core", hot.core),
            ("reads-per-sec", hot.reads_per_sec),
            ("writes-per-sec", hot.writes_per_sec),
            ("copied", hot.is_copied.into()),
        ] {
            reply.text(name);
            reply.count(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;
    use crate::dispatch::testing::{Server, key_on};

    fn asked(command: &[&str]) -> Result<Asked, ErrorReply> {
        let (bytes, ranges) = words(command);
        parse(&Args::new(&bytes, &ranges))
    }

    #[test]
    fn the_arguments_come_in_any_order() {
        let five = Asked {
            count: 5,
            then: Then::Reset,
        };
        assert_eq!(
            asked(&["larder", "hotkeys", "count", "5", "reset"]),
            Ok(five)
        );
        assert_eq!(
            asked(&["larder", "hotkeys", "RESET", "COUNT", "5"]),
            Ok(five)
        );
        assert_eq!(asked(&["larder", "hotkeys", "count"]), Err(errors::SYNTAX));
        assert_eq!(
            asked(&["larder", "hotkeys", "count", "-1"]),
            Err(errors::NOT_AN_INTEGER)
        );
        assert_eq!(asked(&["larder", "hotkeys", "what"]), Err(errors::SYNTAX));
    }

    #[test]
    fn the_keys_of_all_cores_are_told_the_most_used_first() {
        let mut server = Server::new(2);
        let client = server.connect(0);
        let (near, far) = (key_on(0, 2, "near"), key_on(1, 2, "far"));
        for _ in 0..1000 {
            let piece = format!("SET {near} 1\r\nGET {far}\r\nGET {far}\r\nGET {far}\r\n");
            server.send(client, piece.as_bytes());
        }
        let told = server.send(client, b"LARDER HOTKEYS\r\n");
        let words: Vec<&str> = told
            .split("\r\n")
            .filter(|word| !word.starts_with(['$', '*']))
            .collect();
        assert_eq!(words[..2], ["key", &far], "{told}");
        assert!(told.find(&near) > told.find(&far), "{told}");
        let number = |name: &str, nth: usize| {
            let mut found = (0..words.len()).filter(|&at| words[at] == name);
            let at = found.nth(nth).unwrap();
            words[at + 1]
                .trim_start_matches(':')
                .parse::<u64>()
                .unwrap()
        };
        assert_eq!((number("core", 0), number("core", 1)), (1, 0));
        assert_eq!(
            (number("writes-per-sec", 0), number("reads-per-sec", 1)),
            (0, 0)
        );
        assert!(
            number("reads-per-sec", 0) > 1000 && number("writes-per-sec", 1) > 300,
            "{told}"
        );
        let info = server.send(client, b"INFO hotkeys\r\n");
        assert!(
            info.contains("# Hotkeys\r\n") && info.contains(&format!("key={far},db=0,core=1")),
            "{info}"
        );
        let one = server.send(client, b"LARDER HOTKEYS COUNT 1 RESET\r\n");
        assert!(one.starts_with("*1\r\n") && one.contains(&far));
        assert_eq!(server.send(client, b"LARDER HOTKEYS\r\n"), "*0\r\n");
        assert!(server.send(client, b"LARDER HELP\r\n").contains("HOTKEYS"));
    }
}
