//! `LARDER STATS`, and what `INFO hits` tells: how often keys are found, in all, by database and by prefix, and what goes by itself:
//! how much is evicted, of what age, how much ends, and how much has ended and is still held.

use larder_engine::DbIndex;

use super::super::object::eviction_of;
use super::mrc::ratio;
use crate::command::{Args, CommandSpec, CoreCall, CoreState, Flags, Group, Run};
use crate::observe::{HitCounts, PartReader, PartWriter, Removed};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// `LARDER STATS`.
pub(super) const SPEC: CommandSpec = CommandSpec {
    name: "larder|stats",
    arity: 2,
    flags: Flags::ADMIN.with(Flags::ANYTIME),
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    group: Group::Server,
    since: super::LARDER_ITSELF,
    summary: "Returns hit ratios, and what is evicted and expires.",
    complexity: "O(N) where N is the number of databases and configured prefixes",
    run: Run::EveryCore { each, merge },
    ..CommandSpec::BASE
};

/// How it is known how long an evicted entry had not been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum AgesBy {
    /// Not at all: the policy keeps no time, and there is no curve.
    #[default]
    Nothing,
    /// By the time that the policy keeps in each entry.
    Entries,
    /// By the keys that the miss-ratio curve samples.
    Sample,
}

impl AgesBy {
    const ALL: [Self; 3] = [Self::Nothing, Self::Entries, Self::Sample];

    fn of(core: &CoreState) -> Self {
        let eviction = eviction_of(&core.config, 1);
        match eviction.map(|eviction| eviction.policy.keeps_age()) {
            Some(true) => Self::Entries,
            Some(false) if core.shard.has_curve() => Self::Sample,
            _ => Self::Nothing,
        }
    }

    /// In a word.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "unknown",
            Self::Entries => "entries",
            Self::Sample => "sample",
        }
    }
}

/// What is told of hits, of all cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct HitsReport {
    pub(in super::super) all: HitCounts,
    pub(in super::super) databases: Vec<HitCounts>,
    pub(in super::super) prefixes: Vec<(Box<[u8]>, HitCounts)>,
    pub(in super::super) removed: Removed,
    pub(in super::super) ages_by: AgesBy,
    pub(in super::super) evicted_per_sec: u64,
    pub(in super::super) expired_per_sec: u64,
    pub(in super::super) entries: u64,
    pub(in super::super) entry_bytes: u64,
    /// About how many have reached their deadline and are still held, and their bytes.
    pub(in super::super) dead: u64,
    pub(in super::super) dead_bytes: u64,
}

impl HitsReport {
    /// Writes a core's part.
    pub(in super::super) fn write(core: &CoreState, part: &mut PartWriter<'_>) {
        let (stats, shard) = (&core.stats, &core.shard);
        stats.lookups.all().write(part);
        part.number(shard.databases().into());
        let (mut entries, mut dead) = (0, 0);
        for db in (0..shard.databases()).map(DbIndex) {
            stats.lookups.of_database(db).write(part);
            entries += shard.len(db);
            dead += shard.deadlines(db).due;
        }
        let prefixes = stats.lookups.by_prefix();
        part.number(prefixes.len() as u64);
        for (prefix, counts) in prefixes {
            part.bytes(prefix);
            counts.write(part);
        }
        Removed::of(shard).since(&stats.removed_before).write(part);
        part.number(AgesBy::of(core) as u64);
        let [.., evicted_per_sec, expired_per_sec] = stats.rates.per_second();
        let entry_bytes = shard.memory().entry_bytes;
        // Which ones they are is not known, so they are taken to be as large as others.
        let dead_bytes = u128::from(entry_bytes) * u128::from(dead) / u128::from(entries.max(1));
        for number in [
            evicted_per_sec,
            expired_per_sec,
            entries,
            entry_bytes,
            dead,
            dead_bytes as u64,
        ] {
            part.number(number);
        }
    }

    /// Adds what a core has written.
    pub(in super::super) fn add(&mut self, part: &mut PartReader<'_>) {
        self.all.add(HitCounts::read(part));
        let databases = part.number() as usize;
        self.databases
            .resize(databases.max(self.databases.len()), HitCounts::default());
        for database in &mut self.databases[..databases] {
            database.add(HitCounts::read(part));
        }
        for _ in 0..part.number() {
            let prefix = part.bytes();
            let counts = HitCounts::read(part);
            match self.prefixes.iter_mut().find(|known| *known.0 == *prefix) {
                Some((_, known)) => known.add(counts),
                None => self.prefixes.push((prefix.into(), counts)),
            }
        }
        self.removed.add(part);
        self.ages_by = AgesBy::ALL[part.number() as usize];
        for sum in [
            &mut self.evicted_per_sec,
            &mut self.expired_per_sec,
            &mut self.entries,
            &mut self.entry_bytes,
            &mut self.dead,
            &mut self.dead_bytes,
        ] {
            *sum += part.number();
        }
    }

    /// Databases in which keys were looked up.
    pub(in super::super) fn asked_databases(&self) -> impl Iterator<Item = (usize, HitCounts)> {
        let databases = self.databases.iter().copied().enumerate();
        databases.filter(|(_, counts)| counts.lookups() > 0)
    }

    /// The part of all bytes of entries that is held by those that have ended.
    pub(in super::super) fn dead_share(&self) -> f64 {
        self.dead_bytes as f64 / self.entry_bytes.max(1) as f64
    }

    fn reply(&self, reply: &mut Reply<'_>) {
        let databases: Vec<_> = self.asked_databases().collect();
        let removed = &self.removed;
        reply.map(8);
        reply.text("lookups");
        hits(reply, self.all);
        reply.text("databases");
        reply.map(databases.len());
        for (db, counts) in databases {
            reply.text(&format!("db{db}"));
            hits(reply, counts);
        }
        reply.text("prefixes");
        reply.map(self.prefixes.len());
        for (prefix, counts) in &self.prefixes {
            reply.bulk(prefix);
            hits(reply, *counts);
        }
        reply.text("evicted");
        gone(
            reply,
            [removed.evicted, removed.evicted_bytes, self.evicted_per_sec],
        );
        reply.text("expired");
        gone(
            reply,
            [removed.expired, removed.expired_bytes, self.expired_per_sec],
        );
        reply.text("age-at-eviction");
        self.ages(reply);
        reply.text("held");
        numbers(
            reply,
            &[("keys", self.entries), ("bytes", self.entry_bytes)],
        );
        reply.text("dead");
        reply.map(3);
        reply.text("keys");
        reply.count(self.dead);
        reply.text("bytes");
        reply.count(self.dead_bytes);
        reply.text("share");
        ratio(reply, self.dead_share());
    }

    fn ages(&self, reply: &mut Reply<'_>) {
        let ages = &self.removed.ages;
        reply.map(6);
        reply.text("known-by");
        reply.text(self.ages_by.name());
        for (name, number) in [
            ("keys", ages.len()),
            ("mean-secs", ages.mean_secs()),
            ("median-below-secs", ages.below_secs(500)),
            ("tenth-below-secs", ages.below_secs(100)),
        ] {
            reply.text(name);
            reply.count(number);
        }
        reply.text("histogram");
        let counts = ages.counts.iter().enumerate();
        let some: Vec<_> = counts.filter(|(_, count)| **count > 0).collect();
        reply.map(some.len());
        for (class, count) in some {
            reply.text(&format!("<{}", 1u64 << class));
            reply.count(*count);
        }
    }
}

fn hits(reply: &mut Reply<'_>, counts: HitCounts) {
    reply.map(3);
    reply.text("hits");
    reply.count(counts.hits);
    reply.text("misses");
    reply.count(counts.misses);
    reply.text("hit-ratio");
    ratio(reply, counts.hit_ratio());
}

fn gone(reply: &mut Reply<'_>, [keys, bytes, per_sec]: [u64; 3]) {
    numbers(
        reply,
        &[("keys", keys), ("bytes", bytes), ("keys-per-sec", per_sec)],
    );
}

fn numbers(reply: &mut Reply<'_>, numbers: &[(&str, u64)]) {
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.text(name);
        reply.count(*number);
    }
}

fn each(call: &mut CoreCall<'_>) {
    HitsReport::write(call.core, &mut PartWriter(call.out));
}

fn merge(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut report = HitsReport::default();
    for part in parts {
        report.add(&mut PartReader::new(part));
    }
    report.reply(reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dispatch::testing::Server;

    /// Words and numbers of a reply, in a row.
    fn flat(told: &str) -> String {
        let words = told
            .split("\r\n")
            .filter(|line| !line.starts_with(['$', '*', '%']));
        let words: Vec<&str> = words.map(|word| word.trim_start_matches(':')).collect();
        words.join(" ")
    }

    #[test]
    fn hits_of_all_cores_are_told_by_database_and_by_prefix() {
        let mut server = Server::configured(2, &[("hit-ratio-prefixes", "user: user:1")]);
        let client = server.connect(0);
        let (near, far) = ("user:a", "user:b");
        for command in [
            format!("SET {near} 1"),
            format!("SET {far} 1"),
            format!("GET {near}"),
            format!("GET {far}"),
            format!("MGET {near} {far} nothing user:1x"),
            "SELECT 3".to_owned(),
            "GET user:1y".to_owned(),
            "HGET user:2 f".to_owned(),
        ] {
            server.send(client, format!("{command}\r\n").as_bytes());
        }
        let told = flat(&server.send(client, b"LARDER STATS\r\n"));
        for part in [
            "lookups hits 4 misses 4 hit-ratio 0.5000",
            "databases db0 hits 4 misses 2 hit-ratio 0.6667 db3 hits 0 misses 2 hit-ratio 0.0000",
            "prefixes user: hits 4 misses 1 hit-ratio 0.8000 user:1 hits 0 misses 2 hit-ratio 0.0000",
            "evicted keys 0 bytes 0 keys-per-sec 0 expired keys 0 bytes 0",
            "known-by unknown",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let info = server.send(client, b"INFO hits\r\n");
        for line in [
            "# Hits\r\n",
            "larder_hit_ratio:0.5000\r\n",
            "larder_hits_db0:hits=4,misses=2,ratio=0.6667\r\n",
            "larder_hits_prefix_1:prefix=user:1,hits=0,misses=2,ratio=0.0000\r\n",
        ] {
            assert!(info.contains(line), "{line}: {info}");
        }
        server.send(client, b"CONFIG RESETSTAT\r\n");
        let told = flat(&server.send(client, b"LARDER STATS\r\n"));
        assert!(told.contains("lookups hits 0 misses 0"), "{told}");
        assert!(told.contains("user:1 hits 0 misses 0"), "{told}");
        assert!(server.send(client, b"LARDER HELP\r\n").contains("STATS"));
    }

    #[test]
    fn what_is_evicted_is_told_with_how_long_it_was_not_used() {
        let mut server = Server::new(1);
        let client = server.connect(0);
        let used = server.send(client, b"INFO memory\r\n");
        let used = used.split("used_memory:").nth(1).expect("it is told");
        let used: u64 = used
            .split("\r\n")
            .next()
            .expect("a number")
            .parse()
            .expect("a number");
        let limit = format!(
            "CONFIG SET maxmemory-policy allkeys-lru maxmemory {}\r\n",
            used + 400_000
        );
        assert_eq!(server.send(client, limit.as_bytes()), "+OK\r\n");
        for key in 0..4000 {
            if key == 1000 {
                server.advance(100_000);
            }
            server.send(client, format!("SET k{key} {key:0300}\r\n").as_bytes());
        }
        let told = flat(&server.send(client, b"LARDER STATS\r\n"));
        assert!(told.contains("known-by entries"), "{told}");
        assert!(told.contains("<128"), "{told}");
        let number = |word: &str| -> u64 {
            let behind = told.split(word).nth(1).expect("the word is there");
            let number = behind.split(' ').next().expect("a number");
            number.parse().expect("a number")
        };
        let evicted = number("evicted keys ");
        assert!(evicted > 2000, "{told}");
        assert!(
            number(&format!("evicted keys {evicted} bytes ")) > 300 * evicted,
            "{told}"
        );
        assert_eq!(number("known-by entries keys "), evicted);
        let info = server.send(client, b"INFO stats\r\n");
        assert!(
            info.contains(&format!("evicted_keys:{evicted}\r\n")),
            "{info}"
        );
    }

    #[test]
    fn what_ends_is_told_with_its_bytes_and_what_has_ended_and_is_held() {
        let mut server = Server::configured(2, &[("enable-debug-command", "yes")]);
        let client = server.connect(0);
        let answer = server.send(client, b"DEBUG SET-ACTIVE-EXPIRE 0\r\n");
        assert_eq!(answer, "+OK\r\n");
        for key in 0..100 {
            server.send(
                client,
                format!("SET k{key} {key:0100} PX 10\r\n").as_bytes(),
            );
        }
        server.advance(1000);
        server.send(client, b"MGET k1 k2 k3\r\n");
        let told = flat(&server.send(client, b"LARDER STATS\r\n"));
        assert!(told.contains("expired keys 3 bytes "), "{told}");
        assert!(told.contains("dead keys 97 bytes "), "{told}");
        assert!(told.contains("share 1.0000"), "{told}");
    }
}
