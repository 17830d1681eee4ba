//! `LARDER MRC`: how often keys would be found with a quarter of the memory, or four times as much, by each policy: the miss-ratio curves
//! of all cores' shards ([`larder_engine::evict::Curve`]), added up.

use larder_engine::evict::{CurveOptions, CurveStats, Point, PolicyName};

use super::super::object::eviction_of;
use crate::command::{Args, CommandSpec, CoreCall, CoreState, Flags, Group, Run};
use crate::config::{Config, MissRatioCurve};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// Memory of a core of which the curve may take its part unasked: with less, its caches would be too small to tell much.
const AUTO_MIN_BYTES: u64 = 128 << 20;

/// Entries of a sample where nobody says how many, and memory has no bound.
const ENTRIES: u32 = 2048;

/// `LARDER MRC`.
pub(super) const SPEC: CommandSpec = CommandSpec {
    name: "larder|mrc",
    arity: -2,
    flags: Flags::ADMIN.with(Flags::ANYTIME),
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    group: Group::Server,
    since: super::LARDER_ITSELF,
    syntax: "[RESET]",
    summary: "Predicts the hit ratio with less memory and more, by policy.",
    complexity: "O(1)",
    run: Run::EveryCore { each, merge },
    ..CommandSpec::BASE
};

/// The curve that a core of `cores` keeps, if it does.
pub fn curve_of(config: &Config, cores: u16) -> Option<CurveOptions> {
    let eviction = eviction_of(config, cores).filter(|_| config.maxmemory_bytes > 0);
    let memory_bytes = config.maxmemory_bytes / u64::from(cores.max(1));
    let is_kept = match config.miss_ratio_curve {
        MissRatioCurve::Yes => true,
        MissRatioCurve::No => false,
        MissRatioCurve::Auto => eviction.is_some() && memory_bytes >= AUTO_MIN_BYTES,
    };
    is_kept.then(|| CurveOptions {
        policy: eviction.map(|eviction| eviction.policy),
        scope: eviction.map_or_else(Default::default, |eviction| eviction.scope),
        entries: entries_sampled(config, memory_bytes),
        cpu_percent: config.miss_ratio_curve_cpu_percent,
    })
}

/// Entries that the sample of a core is to have which may use so much memory; zero: any.
pub fn entries_sampled(config: &Config, memory_bytes: u64) -> u32 {
    match (config.miss_ratio_curve_entries, memory_bytes) {
        (0, 0) => ENTRIES,
        (0, bytes) => CurveOptions::entries_for(bytes),
        (entries, _) => entries,
    }
}

impl CoreState {
    /// Tells the curve of the lookups that it has not been told of.
    pub fn tell_lookups(&mut self) {
        let lookups = self.stats.lookups.all();
        let new = lookups.since(self.observed.told_lookups);
        self.observed.told_lookups = lookups;
        self.shard.count_lookups(new.lookups(), new.hits);
    }
}

/// Whether the counts begin anew.
fn resets(args: &Args<'_>) -> Result<bool, ErrorReply> {
    match args.len() {
        2 => Ok(false),
        3 if args.is(2, "RESET") => Ok(true),
        _ => Err(errors::SYNTAX),
    }
}

/// What the curves of all cores say.
#[derive(Debug, Default)]
struct Sum {
    policy: String,
    is_limited: bool,
    memory_bytes: u64,
    cores: u32,
    counted: CurveStats,
    points: Vec<Point>,
}

impl Sum {
    fn write(core: &mut CoreState, part: &mut PartWriter<'_>) {
        core.tell_lookups();
        part.bytes(core.config.maxmemory_policy.name().as_bytes());
        part.number((core.config.maxmemory_bytes > 0).into());
        part.number(core.observed.curve_budget_bytes);
        let Some(curve) = core.shard.curve() else {
            return part.number(0);
        };
        let points: Vec<Point> = curve.points().collect();
        part.number(points.len() as u64);
        let CurveStats {
            requests,
            hits,
            sampled,
            rate,
        } = curve.stats();
        part.number(sampled);
        for number in [requests, hits, rate] {
            part.number(number.to_bits());
        }
        for point in points {
            part.bytes(point.policy.as_str().as_bytes());
            part.number(point.percent);
            part.number(point.requests.to_bits());
            part.number(point.hits.to_bits());
        }
    }

    fn add(&mut self, part: &mut PartReader<'_>) {
        self.policy = part.text().to_owned();
        self.is_limited = part.number() == 1;
        self.memory_bytes += part.number();
        let points = part.number();
        if points == 0 {
            return;
        }
        let float = |part: &mut PartReader<'_>| f64::from_bits(part.number());
        self.cores += 1;
        self.counted.sampled += part.number();
        self.counted.requests += float(part);
        self.counted.hits += float(part);
        self.counted.rate += float(part);
        for _ in 0..points {
            let name = part.text();
            let policy = PolicyName::ALL
                .iter()
                .find(|policy| policy.as_str() == name);
            let point = Point {
                policy: *policy.expect("the name of a policy"),
                percent: part.number(),
                requests: float(part),
                hits: float(part),
            };
            let is_same =
                |known: &&mut Point| (known.policy, known.percent) == (point.policy, point.percent);
            match self.points.iter_mut().find(is_same) {
                Some(known) => known.add(&point),
                None => self.points.push(point),
            }
        }
    }

    fn reply(&self, reply: &mut Reply<'_>) {
        reply.map(7);
        reply.text("policy");
        reply.text(&self.policy);
        reply.text("memory-bytes");
        reply.count(self.memory_bytes);
        reply.text("memory-is");
        reply.text(if self.is_limited { "maxmemory" } else { "used" });
        reply.text("requests");
        reply.count(self.counted.requests as u64);
        reply.text("hit-ratio");
        ratio(reply, self.counted.hits / self.counted.requests.max(1.0));
        reply.text("sample");
        reply.map(2);
        reply.text("requests");
        reply.count(self.counted.sampled);
        reply.text("share-of-keys");
        ratio(reply, self.counted.rate / f64::from(self.cores.max(1)));
        reply.text("curves");
        let lines = self
            .points
            .chunk_by(|one, other| one.policy == other.policy);
        let lines: Vec<&[Point]> = lines.collect();
        reply.map(lines.len());
        for line in lines {
            reply.text(line[0].policy.as_str());
            reply.array(line.len());
            for point in line {
                reply.map(3);
                reply.text("percent");
                reply.count(point.percent);
                reply.text("bytes");
                reply.count(self.memory_bytes / 100 * point.percent);
                reply.text("hit-ratio");
                ratio(reply, point.hit_ratio());
            }
        }
    }
}

/// A ratio, in ten-thousandths.
pub(super) fn ratio(reply: &mut Reply<'_>, ratio: f64) {
    reply.double_text(&format!("{ratio:.4}"));
}

fn each(call: &mut CoreCall<'_>) {
    Sum::write(call.core, &mut PartWriter(call.out));
    if resets(&call.args) == Ok(true)
        && let Some(curve) = call.core.shard.curve()
    {
        curve.count_anew();
    }
}

fn merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    resets(args)?;
    let mut sum = Sum::default();
    for part in parts {
        sum.add(&mut PartReader::new(part));
    }
    if sum.cores == 0 {
        return Err(errors::NO_CURVE);
    }
    sum.reply(reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::testing::{Client, Server};

    /// The number behind a word of a reply, the first after another word.
    fn number(told: &str, after: &str, word: &str) -> f64 {
        let from = told.find(after).expect("the word is there");
        let words: Vec<&str> = told[from..]
            .split("\r\n")
            .filter(|line| !line.starts_with(['$', '*', '%']))
            .collect();
        let at = words
            .iter()
            .position(|it| *it == word)
            .expect("it is there");
        let number = words[at + 1].trim_start_matches([':', ',']);
        number.parse().expect("a number")
    }

    /// Reads each of so many keys, and writes those that are not there.
    fn ask(server: &mut Server, client: Client, keys: u32) {
        for key in 0..keys {
            if server.send(client, format!("GET k{key}\r\n").as_bytes()) == "$-1\r\n" {
                let set = format!("SET k{key} {key:0200}\r\n");
                assert_eq!(server.send(client, set.as_bytes()), "+OK\r\n");
            }
        }
    }

    #[test]
    fn without_a_limit_what_is_used_is_the_memory_and_all_is_found() {
        let mut server = Server::new(2);
        let client = server.connect(0);
        assert!(server.send(client, b"LARDER MRC\r\n").contains("curve"));
        server.send(
            client,
            b"CONFIG SET miss-ratio-curve yes miss-ratio-curve-cpu-percent 100\r\n",
        );
        ask(&mut server, client, 600);
        server.advance(200);
        server.turns();
        server.send(client, b"LARDER MRC RESET\r\n");
        ask(&mut server, client, 600);
        let told = server.send(client, b"LARDER MRC\r\n");
        assert!(
            told.contains("noeviction") && told.contains("used"),
            "{told}"
        );
        assert_eq!(number(&told, "requests", "requests"), 600.0);
        assert_eq!(number(&told, "requests", "hit-ratio"), 1.0);
        assert_eq!(number(&told, "lru", "hit-ratio"), 0.0, "{told}");
    }

    #[test]
    fn the_command_takes_one_word_and_is_in_the_help() {
        let mut server = Server::new(1);
        let client = server.connect(0);
        server.send(client, b"CONFIG SET miss-ratio-curve yes\r\n");
        assert!(
            server
                .send(client, b"LARDER MRC WHAT\r\n")
                .starts_with("-ERR syntax")
        );
        assert!(
            server
                .send(client, b"LARDER MRC RESET NOW\r\n")
                .starts_with("-ERR syntax")
        );
        assert!(server.send(client, b"LARDER HELP\r\n").contains("MRC"));
    }

    #[test]
    fn a_curve_comes_by_itself_where_it_is_a_small_part_of_the_memory() {
        let curve = |pairs: &[(&str, &str)]| {
            let words = pairs.iter();
            let words = words.flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
            let words: Vec<String> = words.collect();
            curve_of(&Config::load(None, &words).expect("directives"), 2)
        };
        let limited = ("maxmemory", "256mb");
        let adaptive = ("maxmemory-policy", "allkeys-adaptive");
        assert_eq!(curve(&[]), None);
        assert_eq!(curve(&[limited]), None);
        assert_eq!(curve(&[("maxmemory", "128mb"), adaptive]), None);
        let auto = curve(&[limited, adaptive]).expect("there is one");
        assert_eq!(auto.policy, Some(PolicyName::Adaptive));
        assert!((210..240).contains(&auto.entries), "{auto:?}");
        assert_eq!(
            curve(&[limited, adaptive, ("miss-ratio-curve", "no")]),
            None
        );
        let yes = curve(&[
            ("miss-ratio-curve", "yes"),
            ("miss-ratio-curve-entries", "99"),
        ]);
        assert_eq!(
            yes.map(|curve| (curve.policy, curve.entries)),
            Some((None, 99))
        );
    }
}
