//! `HOTKEYS`, of Redis 8.6: which keys cost most time, and most bytes, while somebody measures. `LARDER HOTKEYS` tells of the last
//! seconds without being told to measure, by numbers of uses.
//!
//! Every core measures what runs on it ([`crate::observe::KeyCosts`]); a command whose keys live on several cores counts on each with the
//! keys that it has there. All cores are one here: whoever is served by a core's own endpoint measures the server too.

use larder_engine::parse_canonical_i64;

use super::info::cpu_time_ms;
use crate::command::families::fetch;
use crate::command::{Args, CommandSpec, CoreCall, Flags, Group, Run, SessionCall};
use crate::observe::{KeyCosts, KeyCostsAsked, KeyCostsReport, Metrics, PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SLOTS, Slot};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "hotkeys",
    arity: -2,
    group: Group::Server,
    since: "8.6.0",
    summary: "A container for commands that measure what keys cost.",
    complexity: "Depends on subcommand.",
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

const MEASURING: CommandSpec = CommandSpec {
    arity: 2,
    flags: Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::IN_ORDER),
    tips: &["request_policy:special"],
    group: Group::Server,
    since: "8.6.0",
    ..CommandSpec::BASE
};

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hotkeys|get",
        tips: &[
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special",
        ],
        summary: "Returns the keys that cost most, as far as that was measured.",
        complexity: "O(K) where K is the number of hotkeys returned.",
        run: Run::EveryCore {
            each: get_part,
            merge: get_reply,
        },
        ..MEASURING
    },
    CommandSpec {
        name: "hotkeys|help",
        flags: Flags::ANYTIME,
        tips: &[],
        since: "8.6.1",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..MEASURING
    },
    CommandSpec {
        name: "hotkeys|reset",
        summary: "Forgets what was measured.",
        run: Run::EveryCore {
            each: |call| answer(call, reset_part),
            merge: ok_or_failure,
        },
        ..MEASURING
    },
    CommandSpec {
        name: "hotkeys|start",
        arity: -2,
        syntax: "METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio] [SLOTS count slot [slot ...]]",
        summary: "Begins to measure what keys cost: time, bytes, or both.",
        run: Run::EveryCore {
            each: |call| answer(call, start_part),
            merge: ok_or_failure,
        },
        ..MEASURING
    },
    CommandSpec {
        name: "hotkeys|stop",
        summary: "Ends measuring what keys cost.",
        run: Run::EveryCore {
            each: stop_part,
            merge: stop_reply,
        },
        ..MEASURING
    },
];

const HELP: &[&str] = &[
    "HOTKEYS <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "START <METRICS count [CPU] [NET]> [COUNT k] [DURATION duration] [SAMPLE ratio] [SLOTS count slot...]",
    "    Starts hotkeys tracking with specified metrics.",
    "    * METRICS count [CPU] [NET]",
    "        Specify count of metrics and choose amongst:",
    "        - CPU: Track hotkeys by CPU time percentage",
    "        - NET: Track hotkeys by network bytes percentage",
    "    * COUNT k",
    "        Specifies the value of K for the top-K hotkeys tracking. Default: 10",
    "    * DURATION duration",
    "        Specifies tracking duration in seconds. 0 means tracking will continue until manually stopped. Default: 0",
    "    * SAMPLE ratio",
    "        Keys are tracked with probability 1/ratio. Default: 1 (tracks every key)",
    "    * SLOTS count slot...",
    "        Specify which slots to track keys from. Only available in cluster mode. Default: empty (track all slots)",
    "STOP",
    "    Stop hotkeys tracking. Results are still available via GET",
    "GET",
    "    Get results from hotkeys tracking.",
    "RESET",
    "    Reset memory used for hotkeys tracking. Tracking must have been stopped.",
    "    Results will no longer be available after this command.",
    "HELP",
    "    Print this help.",
];

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

/// Answers that a part succeeded, or why it failed: as on all cores, for they take these commands in one order.
fn answer(call: &mut CoreCall<'_>, part: fn(&mut CoreCall<'_>) -> CommandResult) {
    match part(call) {
        Ok(()) => fetch::succeed(call.out),
        Err(error) => fetch::fail(call.out, &error),
    }
}

fn ok_or_failure(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    for part in parts {
        fetch::outcome(part)?;
    }
    reply.ok();
    Ok(())
}

/// Whether this core measures.
fn is_measuring(call: &mut CoreCall<'_>) -> bool {
    let now_ms = call.core.clock.unix.0;
    call.core.choose_costs();
    let costs = call.core.observed.key_costs.as_mut();
    costs.is_some_and(|costs| costs.goes_on(now_ms))
}

fn start_part(call: &mut CoreCall<'_>) -> CommandResult {
    if is_measuring(call) {
        return Err(errors::HOTKEYS_IN_PROGRESS);
    }
    let is_cluster = call.core.shared.core_ports().is_some();
    let asked = parse_start(&call.args, is_cluster)?;
    let costs = KeyCosts::new(asked, call.core.clock.unix.0, cpu_time_ms());
    call.core.observed.key_costs = Some(Box::new(costs));
    call.core.choose_costs();
    Ok(())
}

fn reset_part(call: &mut CoreCall<'_>) -> CommandResult {
    if is_measuring(call) {
        return Err(errors::HOTKEYS_NOT_STOPPED);
    }
    call.core.observed.key_costs = None;
    Ok(())
}

/// An integer within bounds, or this error.
fn number(
    text: &[u8],
    bounds: std::ops::RangeInclusive<i64>,
    error: ErrorReply,
) -> Result<i64, ErrorReply> {
    let number = parse_canonical_i64(text).filter(|number| bounds.contains(number));
    number.ok_or(error)
}

fn parse_start(args: &Args<'_>, is_cluster: bool) -> Result<KeyCostsAsked, ErrorReply> {
    if args.len() < 4 || !args.is(2, "metrics") {
        return Err(errors::HOTKEYS_NO_METRICS);
    }
    let count = number(args.at(3), 1..=2, errors::HOTKEYS_METRICS_COUNT)?;
    let mut at = 4 + count as usize;
    let mut asked = KeyCostsAsked {
        metrics: parse_metrics(args, 4..at)?,
        count: 10,
        sample_ratio: 1,
        ..KeyCostsAsked::default()
    };
    while at < args.len() {
        let is = |word: &str| args.is(at, word) && at + 1 < args.len();
        if is("count") {
            asked.count = number(args.at(at + 1), 1..=64, errors::HOTKEYS_COUNT)? as usize;
        } else if is("duration") {
            let seconds = number(args.at(at + 1), 1..=1_000_000, errors::HOTKEYS_DURATION)?;
            asked.duration_ms = seconds * 1000;
        } else if is("sample") {
            let ratio = number(args.at(at + 1), 1..=i32::MAX.into(), errors::HOTKEYS_SAMPLE)?;
            asked.sample_ratio = ratio as u64;
        } else if is("slots") {
            if !is_cluster {
                return Err(errors::HOTKEYS_SLOTS_ALONE);
            }
            if !asked.slots.is_empty() {
                return Err(errors::HOTKEYS_SLOTS_TWICE);
            }
            let (slots, end) = parse_slots(args, at + 1)?;
            asked.slots = slots;
            at = end;
            continue;
        } else {
            return Err(errors::SYNTAX);
        }
        at += 2;
    }
    Ok(asked)
}

/// The metrics that these arguments name; what is none is read over, as in Redis, if one is.
fn parse_metrics(args: &Args<'_>, places: std::ops::Range<usize>) -> Result<Metrics, ErrorReply> {
    let end = places.end;
    let mut metrics = Metrics::default();
    for at in places.take_while(|&at| at < args.len()) {
        if args.is(at, "cpu") && std::mem::replace(&mut metrics.time, true) {
            return Err(errors::HOTKEYS_CPU_TWICE);
        }
        if args.is(at, "net") && std::mem::replace(&mut metrics.bytes, true) {
            return Err(errors::HOTKEYS_NET_TWICE);
        }
    }
    if end > args.len() {
        return Err(errors::HOTKEYS_FEW_METRICS);
    }
    if metrics == Metrics::default() {
        return Err(errors::HOTKEYS_UNKNOWN_METRICS);
    }
    Ok(metrics)
}

/// Ranges of the slots listed from argument `at` on, behind their number, and where the list ends.
fn parse_slots(args: &Args<'_>, at: usize) -> Result<(Vec<(u16, u16)>, usize), ErrorReply> {
    let count = number(args.at(at), 1..=SLOTS.into(), errors::HOTKEYS_SLOTS_COUNT)? as usize;
    let end = at + 1 + count;
    if end > args.len() {
        return Err(errors::HOTKEYS_FEW_SLOTS);
    }
    let mut listed = vec![false; usize::from(SLOTS)];
    for at in at + 1..end {
        let slot = parse_canonical_i64(args.at(at)).and_then(Slot::new);
        let slot = slot.ok_or(errors::BAD_SLOT)?.number();
        if std::mem::replace(&mut listed[usize::from(slot)], true) {
            return Err(errors::HOTKEYS_SAME_SLOT);
        }
    }
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for slot in (0..SLOTS).filter(|&slot| listed[usize::from(slot)]) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == slot => *last = slot,
            _ => ranges.push((slot, slot)),
        }
    }
    Ok((ranges, end))
}

fn stop_part(call: &mut CoreCall<'_>) {
    let now_ms = call.core.clock.unix.0;
    let costs = call.core.observed.key_costs.as_mut();
    let went_on = costs.is_some_and(|costs| costs.end(now_ms));
    call.core.choose_costs();
    call.out.push(went_on.into());
}

fn stop_reply(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    match parts.contains(&&[1][..]) {
        true => reply.ok(),
        false => reply.null(),
    }
    Ok(())
}

/// What a core has measured, if it has; the first tells what was asked for, too.
fn get_part(call: &mut CoreCall<'_>) {
    let goes_on = is_measuring(call);
    let (core, now_ms) = (call.core.id, call.core.clock.unix.0);
    let Some(costs) = &call.core.observed.key_costs else {
        return;
    };
    let mut part = PartWriter(call.out);
    costs.write(&mut part);
    if core != CoreId(0) {
        return;
    }
    let asked = &costs.asked;
    let (began_ms, lasted_ms) = costs.period_ms(now_ms);
    let (user_ms, system_ms) = cpu_time_ms();
    for number in [
        goes_on.into(),
        asked.metrics.time.into(),
        asked.metrics.bytes.into(),
        asked.count as u64,
        asked.sample_ratio,
        began_ms as u64,
        lasted_ms as u64,
        user_ms.saturating_sub(costs.cpu_before_ms.0),
        system_ms.saturating_sub(costs.cpu_before_ms.1),
        asked.slots.len() as u64,
    ] {
        part.number(number);
    }
    for &(first, last) in &asked.slots {
        part.number(first.into());
        part.number(last.into());
    }
}

/// What the first core tells besides what it has measured.
struct Told {
    goes_on: bool,
    metrics: Metrics,
    count: usize,
    sample_ratio: u64,
    began_ms: u64,
    lasted_ms: u64,
    user_ms: u64,
    system_ms: u64,
    slots: Vec<(u64, u64)>,
}

impl Told {
    fn read(part: &mut PartReader<'_>) -> Self {
        let mut told = Self {
            goes_on: part.number() == 1,
            metrics: Metrics {
                time: part.number() == 1,
                bytes: part.number() == 1,
            },
            count: part.number() as usize,
            sample_ratio: part.number(),
            began_ms: part.number(),
            lasted_ms: part.number(),
            user_ms: part.number(),
            system_ms: part.number(),
            slots: Vec::new(),
        };
        for _ in 0..part.number() {
            told.slots.push((part.number(), part.number()));
        }
        told
    }
}

fn get_reply(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut report = KeyCostsReport::default();
    let mut told = None;
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let mut part = PartReader::new(part);
        report.add(&mut part);
        if !part.is_at_end() {
            told = Some(Told::read(&mut part));
        }
    }
    match told {
        Some(told) => {
            report.rank(told.count);
            write_reply(&told, &report, reply);
        }
        None => reply.null(),
    }
    Ok(())
}

fn write_reply(told: &Told, report: &KeyCostsReport, reply: &mut Reply<'_>) {
    let Metrics { time, bytes } = told.metrics;
    let has_slots = !told.slots.is_empty();
    let is_sampled = has_slots && told.sample_ratio > 1;
    let [all, selected, sampled] = report.sums;
    let numbers = [
        (
            is_sampled,
            "sampled-commands-selected-slots-us",
            sampled.nanos / 1000,
        ),
        (
            has_slots,
            "all-commands-selected-slots-us",
            selected.nanos / 1000,
        ),
        (true, "all-commands-all-slots-us", all.nanos / 1000),
        (
            is_sampled,
            "net-bytes-sampled-commands-selected-slots",
            sampled.bytes,
        ),
        (
            has_slots,
            "net-bytes-all-commands-selected-slots",
            selected.bytes,
        ),
        (true, "net-bytes-all-commands-all-slots", all.bytes),
        (true, "collection-start-time-unix-ms", told.began_ms),
        (true, "collection-duration-ms", told.lasted_ms),
        (time, "total-cpu-time-user-ms", told.user_ms),
        (time, "total-cpu-time-sys-ms", told.system_ms),
        (bytes, "total-net-bytes", report.by_bytes.total),
    ];
    let numbers = numbers.into_iter().filter(|(is_shown, ..)| *is_shown);
    let rankings = [
        (time, "by-cpu-time-us", &report.by_time.keys, 1000),
        (bytes, "by-net-bytes", &report.by_bytes.keys, 1),
    ];
    let rankings = rankings.into_iter().filter(|(is_shown, ..)| *is_shown);
    reply.array(1);
    reply.map(3 + numbers.clone().count() + rankings.clone().count());
    reply.text("tracking-active");
    reply.count(told.goes_on.into());
    reply.text("sample-ratio");
    reply.count(told.sample_ratio);
    reply.text("selected-slots");
    write_slots(&told.slots, reply);
    for (_, name, number) in numbers {
        reply.text(name);
        reply.count(number);
    }
    for (_, name, keys, unit) in rankings {
        // Of what rounds to nothing nothing is told, as in Redis.
        let keys = keys.iter().filter(|(_, sum)| *sum >= unit);
        reply.text(name);
        reply.array(2 * keys.clone().count());
        for (key, sum) in keys {
            reply.bulk(key);
            reply.count(sum / unit);
        }
    }
}

fn write_slots(slots: &[(u64, u64)], reply: &mut Reply<'_>) {
    const ALL: &[(u64, u64)] = &[(0, SLOTS as u64 - 1)];
    let slots = if slots.is_empty() { ALL } else { slots };
    reply.array(slots.len());
    for &(first, last) in slots {
        match first == last {
            true => {
                reply.array(1);
                reply.count(first);
            }
            false => {
                reply.array(2);
                reply.count(first);
                reply.count(last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;
    use crate::dispatch::testing::{Server, key_on};

    fn parsed(command: &str, is_cluster: bool) -> Result<KeyCostsAsked, ErrorReply> {
        let command: Vec<&str> = command.split(' ').collect();
        let (bytes, ranges) = words(&command);
        parse_start(&Args::new(&bytes, &ranges), is_cluster)
    }

    #[test]
    fn slots_are_ranges_in_order_and_only_where_cores_are_nodes() {
        let start = "hotkeys start metrics 2 net cpu sample 7 slots 4 9 3 10 11 count 5";
        let asked = parsed(start, true).unwrap();
        assert_eq!(asked.slots, [(3, 3), (9, 11)]);
        assert_eq!((asked.count, asked.sample_ratio), (5, 7));
        assert_eq!(parsed(start, false), Err(errors::HOTKEYS_SLOTS_ALONE));
        for (slots, error) in [
            ("0", errors::HOTKEYS_SLOTS_COUNT),
            ("2 1", errors::HOTKEYS_FEW_SLOTS),
            ("2 1 1", errors::HOTKEYS_SAME_SLOT),
            ("1 16384", errors::BAD_SLOT),
            ("1 1 slots 1 2", errors::HOTKEYS_SLOTS_TWICE),
        ] {
            let start = format!("hotkeys start metrics 1 cpu slots {slots}");
            assert_eq!(parsed(&start, true), Err(error), "{slots}");
        }
    }

    #[test]
    fn bytes_of_keys_on_all_cores_are_told_however_the_commands_came_to_them() {
        for cores in [1, 2] {
            let mut server = Server::new(cores);
            let client = server.connect(0);
            let (near, far) = (key_on(0, cores, "near"), key_on(cores - 1, cores, "far"));
            let mut send = |line: String| server.send(client, format!("{line}\r\n").as_bytes());
            let before = send("HOTKEYS GET".into());
            assert_eq!(before, "$-1\r\n");
            send(format!("SET {near} 1"));
            assert_eq!(send("HOTKEYS START METRICS 1 NET".into()), "+OK\r\n");
            let refused = send("HOTKEYS START METRICS 1 NET".into());
            assert!(
                refused.starts_with("-ERR hotkey tracking session already"),
                "{refused}"
            );
            assert!(send("HOTKEYS RESET".into()).starts_with("-ERR"));
            // As they are written here; Redis counts the array form.
            let bytes = |words: &[&str]| {
                let words = words
                    .iter()
                    .map(|word| format!("${}\r\n{word}\r\n", word.len()));
                words.map(|word| word.len()).sum::<usize>() + 4
            };
            let replies = [send(format!("SET {far} 1")), send(format!("GET {far}"))];
            let of_far =
                replies.concat().len() + bytes(&["SET", &far, "1"]) + bytes(&["GET", &far]);
            let of_near = send(format!("GET {near}")).len() + bytes(&["GET", &near]);
            let told = send("HOTKEYS GET".into());
            let expected = format!(
                "$12\r\nby-net-bytes\r\n*4\r\n${}\r\n{far}\r\n:{of_far}\r\n${}\r\n{near}\r\n:{of_near}\r\n",
                far.len(),
                near.len()
            );
            assert!(told.ends_with(&expected), "{told} {expected}");
            assert_eq!(send("HOTKEYS STOP".into()), "+OK\r\n");
            assert_eq!(send("HOTKEYS STOP".into()), "$-1\r\n");
            send(format!("GET {far}"));
            assert!(send("HOTKEYS GET".into()).ends_with(&expected));
            assert_eq!(send("HOTKEYS RESET".into()), "+OK\r\n");
            assert_eq!(send("HOTKEYS GET".into()), "$-1\r\n");
            server.disconnect(client);
            server.assert_nothing_is_left();
        }
    }

    #[test]
    fn measuring_ends_when_its_time_has_come() {
        let mut server = Server::new(2);
        let client = server.connect(0);
        server.send(client, b"HOTKEYS START METRICS 1 CPU DURATION 2\r\n");
        server.now_ms += 1999;
        server.send(client, b"GET a\r\n");
        let told = server.send(client, b"HOTKEYS GET\r\n");
        assert!(told.contains("tracking-active\r\n:1\r\n"), "{told}");
        server.now_ms += 1000;
        server.send(client, b"GET a\r\n");
        let told = server.send(client, b"HOTKEYS GET\r\n");
        assert!(told.contains("tracking-active\r\n:0\r\n"), "{told}");
        assert!(
            told.contains("collection-duration-ms\r\n:2000\r\n"),
            "{told}"
        );
        let gates = server.cores.iter_mut().map(|core| core.state().gates);
        assert!(
            gates
                .into_iter()
                .all(|gates| gates & crate::session::gate::COSTS == 0)
        );
        let info = server.send(client, b"INFO hotkeys\r\n");
        assert!(info.contains("hotkeys-tracking-active:0\r\n"), "{info}");
        assert_eq!(server.send(client, b"HOTKEYS RESET\r\n"), "+OK\r\n");
        let info = server.send(client, b"INFO hotkeys\r\n");
        assert!(!info.contains("hotkeys-tracking-active"), "{info}");
    }
}
