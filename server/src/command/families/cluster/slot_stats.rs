//! `CLUSTER SLOT-STATS`: keys by slot, and, as `cluster-slot-stats-enabled` says, memory, time and bytes.
//!
//! Keys and their memory are counted when it is asked: each core walks its keys once, in steps (see [`super::keys`]); keys that come or go
//! meanwhile count or not. Time and bytes are counted as commands run ([`crate::observe::SlotCosts`]). The slots are those of all cores, or,
//! for a client of a core's own endpoint, of that core.

use std::cmp::Reverse;

use larder_engine::{DbIndex, ScanCursor};

use super::ranges::parse_slot;
use crate::command::families::fetch;
use crate::command::{Args, CoreCall, CoreState, Walk, Walking, merge_joined};
use crate::config::SlotStats;
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{SLOTS, Slot};

/// Entries visited in a step.
const STEP_ENTRIES: usize = 1000;

/// How a core counts, in steps.
pub(super) const WALK: Walk = Walk {
    begin,
    merge: |args, parts, protocol| merge_joined(args, &parts, protocol, merge),
};

/// What is known of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    Keys,
    Memory,
    Time,
    BytesIn,
    BytesOut,
}

impl Metric {
    const ALL: [Self; 5] = [
        Self::Keys,
        Self::Memory,
        Self::Time,
        Self::BytesIn,
        Self::BytesOut,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Keys => "key-count",
            Self::Memory => "memory-bytes",
            Self::Time => "cpu-usec",
            Self::BytesIn => "network-bytes-in",
            Self::BytesOut => "network-bytes-out",
        }
    }

    fn is_told(self, told: SlotStats) -> bool {
        match self {
            Self::Keys => true,
            Self::Memory => told.memory,
            Self::Time => told.time,
            Self::BytesIn | Self::BytesOut => told.bytes,
        }
    }
}

/// The numbers of a slot, as [`Metric::ALL`] lists them.
type Numbers = [u64; Metric::ALL.len()];

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Range(u16, u16),
    Sorted {
        by: Metric,
        limit: usize,
        is_ascending: bool,
    },
}

impl Asked {
    fn parse(args: &Args<'_>, told: SlotStats) -> Result<Self, ErrorReply> {
        match args.len() {
            5 if args.is(2, "slotsrange") => {
                let (first, last) = (parse_slot(args.at(3))?, parse_slot(args.at(4))?);
                let (first, last) = (first.number(), last.number());
                if first > last {
                    return Err(errors::range_backwards(first, last));
                }
                Ok(Self::Range(first, last))
            }
            4.. if args.is(2, "orderby") => Self::parse_sorted(args, told),
            _ => Err(errors::subcommand_syntax(args.at(0), args.at(1))),
        }
    }

    fn parse_sorted(args: &Args<'_>, told: SlotStats) -> Result<Self, ErrorReply> {
        let metrics = Metric::ALL.into_iter();
        let mut named = metrics.filter(|metric| metric.is_told(told) && args.is(3, metric.name()));
        let by = named.next().ok_or(errors::BAD_SLOT_METRIC)?;
        let (mut limit, mut order) = (None, None);
        let mut at = 4;
        while at < args.len() {
            let is_twice = if args.is(at, "limit") && at + 1 < args.len() {
                let number = larder_engine::parse_canonical_i64(args.at(at + 1));
                let number = number.filter(|number| (1..=i64::from(SLOTS)).contains(number));
                let number = number.ok_or(errors::BAD_SLOT_LIMIT)?;
                at += 1;
                limit.replace(number as usize).is_some()
            } else if args.is(at, "asc") {
                order.replace(true).is_some()
            } else if args.is(at, "desc") {
                order.replace(false).is_some()
            } else {
                return Err(errors::SYNTAX);
            };
            if is_twice {
                return Err(errors::SLOT_FILTER_TWICE);
            }
            at += 1;
        }
        Ok(Self::Sorted {
            by,
            limit: limit.unwrap_or(usize::from(SLOTS)),
            is_ascending: order.unwrap_or(false),
        })
    }

    fn has(self, slot: u16) -> bool {
        match self {
            Self::Range(first, last) => (first..=last).contains(&slot),
            Self::Sorted { .. } => true,
        }
    }
}

/// Begins a core's part.
pub(super) fn begin(call: &mut CoreCall<'_>) -> Option<Box<dyn Walking>> {
    let told = call.core.config.cluster_slot_stats;
    let asked = match call.core.shared.core_ports() {
        Some(_) => Asked::parse(&call.args, told),
        None => Err(errors::CLUSTER_DISABLED),
    };
    match asked {
        Ok(asked) => Some(Box::new(Counting {
            asked,
            db: call.db,
            cursor: ScanCursor(0),
            numbers: vec![Numbers::default(); usize::from(SLOTS)],
        })),
        Err(error) => {
            fetch::fail(call.out, &error);
            None
        }
    }
}

/// A core's keys, counted by slot.
#[derive(Debug)]
struct Counting {
    asked: Asked,
    db: DbIndex,
    /// Where the next step begins.
    cursor: ScanCursor,
    numbers: Vec<Numbers>,
}

impl Counting {
    /// What a core knows: what is told, then its slots that are asked for, each with its numbers.
    fn part(&mut self, core: &CoreState) -> Vec<u8> {
        let mut out = Vec::new();
        fetch::succeed(&mut out);
        let (mut part, told) = (PartWriter(&mut out), core.config.cluster_slot_stats);
        for is_told in [told.memory, told.time, told.bytes] {
            part.number(is_told.into());
        }
        for slot in Slot::all().filter(|slot| core.shared.slots.owner(*slot) == core.id) {
            if !self.asked.has(slot.number()) {
                continue;
            }
            let slot = slot.number();
            let cost = core.observed.slot_costs.of(slot);
            let [keys, memory, ..] = self.numbers[usize::from(slot)];
            let numbers = [
                keys,
                memory,
                cost.nanos / 1000,
                cost.bytes_in,
                cost.bytes_out,
            ];
            part.number(slot.into());
            numbers.iter().for_each(|number| part.number(*number));
        }
        out
    }
}

impl Walking for Counting {
    fn next(&mut self, core: &mut CoreState) -> Option<Vec<Vec<u8>>> {
        let numbers = &mut self.numbers;
        let visit = &mut |entry: larder_engine::EntryRef<'_>| {
            let slot = usize::from(Slot::of(entry.key()).number());
            numbers[slot][0] += 1;
            numbers[slot][1] += entry.memory_bytes();
        };
        self.cursor = core.shard.scan(self.db, self.cursor, STEP_ENTRIES, visit);
        match self.cursor {
            ScanCursor(0) => Some(vec![self.part(core)]),
            _ => None,
        }
    }

    fn held_bytes(&self) -> usize {
        size_of_val(&self.numbers[..])
    }
}

pub(super) fn merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (mut told, mut slots) = (SlotStats::default(), Vec::new());
    for part in parts {
        let mut part = PartReader::new(fetch::outcome(part)?);
        for is_told in [&mut told.memory, &mut told.time, &mut told.bytes] {
            *is_told = part.number() == 1;
        }
        while !part.is_at_end() {
            let slot = part.number();
            let numbers: Numbers = std::array::from_fn(|_| part.number());
            slots.push((slot, numbers));
        }
    }
    slots.sort_unstable_by_key(|(slot, _)| *slot);
    if let Asked::Sorted {
        by,
        limit,
        is_ascending,
    } = Asked::parse(args, told)?
    {
        let number = |(_, numbers): &(u64, Numbers)| numbers[by as usize];
        match is_ascending {
            true => slots.sort_by_key(number),
            false => slots.sort_by_key(|slot| Reverse(number(slot))),
        }
        slots.truncate(limit);
    }
    reply.array(slots.len());
    for (slot, numbers) in slots {
        reply.array(2);
        reply.count(slot);
        let shown = Metric::ALL.into_iter().zip(numbers);
        let shown = shown.filter(|(metric, _)| metric.is_told(told));
        reply.map(shown.clone().count());
        for (metric, number) in shown {
            reply.text(metric.name());
            reply.count(number);
        }
    }
    Ok(())
}
