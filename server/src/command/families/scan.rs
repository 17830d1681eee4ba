//! Walking the keyspace, some keys at a time: `SCAN`; and choosing a key: `RANDOMKEY`.
//!
//! ```text
//! cursor of SCAN, 64 bits:  [ table × cores + core (16) | position in that core's shard (48) ]
//! ```
//! A scan walks one core after the other, in their order, and asks the next within the same command until it has visited
//! as many entries as `COUNT` says. Each shard guarantees that an entry present from the beginning to the end of its part
//! of the scan is visited; keys change cores when slots move, and then the scan begins again, so that the whole has the
//! guarantee too: `table` counts the changes of the slot table, as far as there is room. Zero begins and ends a scan: a
//! later core is begun at a cursor whose upper bits are not zero.

use std::ops::Range;

use larder_engine::{EntryRef, ScanCursor, parse_canonical_i64};

use crate::command::{
    Args, Category, CommandSpec, CoreCall, CoreRequest, Flags, Round, Rounds, Run,
};
use crate::glob::{self, Case};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::routing::{CoreId, Slot, SlotMap};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "scan",
        tips: &["nondeterministic_output", "request_policy:special"],
        arity: -2,
        flags: Flags::READONLY.with(Flags::BY_NODE),
        categories: &[Category::Keyspace],
        since: "2.8.0",
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        summary: "Walks the keys of the selected database, some at a time.",
        complexity: "O(1) for every call, O(N) for a whole walk, where N is the number of keys.",
        run: Run::Rounds(scan),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "randomkey",
        tips: &["request_policy:all_shards", "nondeterministic_output"],
        flags: Flags::READONLY.with(Flags::BY_NODE),
        categories: &[Category::Keyspace],
        summary: "Answers a key of the selected database chosen at random.",
        run: Run::EveryCore {
            each: random_key,
            merge: choose,
        },
        ..CommandSpec::BASE
    },
];

/// Entries a `SCAN` without `COUNT` visits.
pub(super) const DEFAULT_COUNT: i64 = 10;

/// Questions one `SCAN` asks at most beyond one for each core, where shards answer in small steps.
const EXTRA_QUESTIONS_MAX: u32 = 10;

/// Bits of a position within a shard.
const POSITION_BITS: u32 = 48;

/// Where a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    core: u16,
    position: u64,
}

impl Cursor {
    /// Where core `core` begins.
    fn at(core: u16) -> Self {
        Self { core, position: 0 }
    }
}

/// How a cursor is written: it holds for one state of the slot table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CursorForm {
    cores: u16,
    /// The version of the slot table, as far as there is room.
    table: u16,
    version: u64,
}

impl CursorForm {
    /// The form for a table of `cores` cores, at this version.
    fn new(cores: u16, version: u64) -> Self {
        let tables = (1 << (u64::BITS - POSITION_BITS)) / u64::from(cores);
        Self {
            cores,
            table: (version % tables) as u16,
            version,
        }
    }

    /// The place of this number. Where slots have moved since it was given, keys may have come to cores that were visited:
    /// the scan begins again. One that no scan has given is behind the end.
    fn read(self, number: u64) -> Cursor {
        let upper = (number >> POSITION_BITS) as u16;
        let table = upper / self.cores;
        if table == self.table {
            return Cursor {
                core: upper % self.cores,
                position: number & ((1 << POSITION_BITS) - 1),
            };
        }
        let is_given = u64::from(table) <= self.version;
        Cursor::at(if is_given { 0 } else { self.cores })
    }

    fn number(self, cursor: Cursor) -> u64 {
        assert!(
            cursor.position >> POSITION_BITS == 0,
            "a shard's scan position has 48 bits"
        );
        let upper = self.table * self.cores + cursor.core;
        (u64::from(upper) << POSITION_BITS) | cursor.position
    }
}

/// Reads a cursor as `strtoul` does, for clients that rely on it: a sign, no digits at all; but no space.
pub(super) fn parse_cursor(text: &[u8]) -> Result<u64, ErrorReply> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() && !text.is_empty() {
        return Err(errors::INVALID_CURSOR);
    }
    let mut number: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return Err(errors::INVALID_CURSOR);
        }
        number = number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(digit - b'0')))
            .ok_or(errors::INVALID_CURSOR)?;
    }
    Ok(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// Whether an option may ask for the keys of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    OfAnySlot,
    PerhapsOfASlot,
}

/// What is asked of a scan of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScanOptions<'a> {
    /// Entries to visit.
    pub(super) count: u64,
    pub(super) pattern: &'a [u8],
    pub(super) kind: Option<&'a [u8]>,
    pub(super) slot: Option<Slot>,
}

impl<'a> ScanOptions<'a> {
    /// The options from argument `at` on.
    pub(super) fn parse(
        args: &Args<'a>,
        mut at: usize,
        wanted: Wanted,
    ) -> Result<Self, ErrorReply> {
        let mut options = Self {
            count: DEFAULT_COUNT.unsigned_abs(),
            pattern: b"*",
            kind: None,
            slot: None,
        };
        while at < args.len() {
            let Some(value) = args.get(at + 1) else {
                return Err(errors::SYNTAX);
            };
            if args.is(at, "count") {
                let count = parse_canonical_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
                let count = u64::try_from(count).ok().filter(|count| *count > 0);
                options.count = count.ok_or(errors::SYNTAX)?;
            } else if args.is(at, "match") {
                options.pattern = value;
            } else if args.is(at, "type") {
                options.kind = Some(value);
            } else if args.is(at, "slot") && wanted == Wanted::PerhapsOfASlot {
                if options.slot.is_some() {
                    return Err(errors::SLOT_TWICE);
                }
                let slot = parse_canonical_i64(value).and_then(Slot::new);
                options.slot = Some(slot.ok_or(errors::BAD_SLOT)?);
            } else {
                return Err(errors::SYNTAX);
            }
            at += 2;
        }
        Ok(options)
    }

    /// Whether an entry is one that the scan is to show.
    fn takes(&self, entry: &EntryRef<'_>) -> bool {
        let kind = entry.kind().name().as_bytes();
        self.kind
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(kind))
            && matches(self.pattern, entry.key())
    }
}

/// Visits some entries of this core's shard, and shows the keys of those that are wanted; where to go on.
pub(super) fn scan_entries(
    call: &mut CoreCall<'_>,
    position: ScanCursor,
    options: &ScanOptions<'_>,
    show: &mut dyn FnMut(&[u8]),
) -> ScanCursor {
    let to_visit = usize::try_from(options.count).unwrap_or(usize::MAX);
    call.core
        .shard
        .scan(call.db, position, to_visit, &mut |entry| {
            if options.takes(&entry) {
                show(entry.key());
            }
        })
}

/// Begins `SCAN`.
fn scan(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let (cores, version) = (slots.cores(), slots.version());
    let cursor = parse_cursor(args.at(1))?;
    let cursor = CursorForm::new(cores, version).read(cursor);
    let options = ScanOptions::parse(args, 2, Wanted::OfAnySlot)?;
    Ok(Box::new(Scan {
        all_cores: cores,
        cores: 0..cores,
        version,
        cursor,
        to_visit: options.count,
        pattern: options.pattern.to_vec(),
        kind: options.kind.map(<[u8]>::to_vec),
        questions_left: u32::from(cores) + EXTRA_QUESTIONS_MAX,
        found: Found::default(),
    }))
}

#[derive(Debug)]
struct Scan {
    all_cores: u16,
    /// Those that are asked.
    cores: Range<u16>,
    /// The version of the slot table that the cursor is for.
    version: u64,
    cursor: Cursor,
    to_visit: u64,
    pattern: Vec<u8>,
    kind: Option<Vec<u8>>,
    questions_left: u32,
    found: Found,
}

/// Keys found, as replies one behind the other.
#[derive(Debug, Default)]
struct Found {
    keys: u64,
    encoded: Vec<u8>,
}

impl Scan {
    /// Takes what a core found, and moves on.
    fn take(&mut self, answer: &[u8]) {
        let (numbers, encoded) = answer
            .split_first_chunk::<32>()
            .expect("a scan's answer begins with four numbers");
        let number = |at: usize| {
            let bytes = numbers[at * 8..][..8].try_into();
            u64::from_le_bytes(bytes.expect("each number has eight bytes"))
        };
        self.cursor.position = number(0);
        if self.cursor.position == 0 {
            self.cursor.core += 1;
        }
        if number(3) != self.version {
            self.version = number(3);
            self.cursor = Cursor::at(self.cores.start);
        }
        self.to_visit = self.to_visit.saturating_sub(number(1));
        self.found.keys += number(2);
        self.found.encoded.extend_from_slice(encoded);
    }

    fn request(&self) -> CoreRequest {
        let mut args = vec![
            self.cursor.position.to_le_bytes().to_vec(),
            self.to_visit.to_le_bytes().to_vec(),
            self.pattern.clone(),
        ];
        args.extend(self.kind.clone());
        CoreRequest {
            core: CoreId(self.cursor.core),
            run: scan_shard,
            args,
        }
    }
}

impl Rounds for Scan {
    fn keep_to(&mut self, core: CoreId) {
        self.cores = core.0..core.0 + 1;
        if self.cursor.core < core.0 {
            self.cursor = Cursor::at(core.0);
        }
    }

    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        if let Some(answer) = answers.first() {
            self.take(answer);
        }
        let ended = self.cursor.core >= self.cores.end;
        if !ended && self.to_visit > 0 && self.questions_left > 0 {
            self.questions_left -= 1;
            return Ok(Round::Ask(vec![self.request()]));
        }
        let form = CursorForm::new(self.all_cores, self.version);
        let next = if ended { 0 } else { form.number(self.cursor) };
        reply.array(2);
        reply.text(&next.to_string());
        reply.array(self.found.keys as usize);
        reply.raw(&self.found.encoded);
        Ok(Round::Done)
    }
}

/// Scans this core's shard. Arguments: position, entries to visit, pattern, perhaps a type. Answers the next position, the
/// number of entries visited, the number of keys found, the version of the slot table, and the keys as bulk strings.
fn scan_shard(call: &mut CoreCall<'_>) {
    let args = call.args;
    let number = |at: usize| {
        let bytes = args.at(at).try_into();
        u64::from_le_bytes(bytes.expect("a scan's numbers have eight bytes"))
    };
    let (position, to_visit) = (ScanCursor(number(0)), number(1));
    let options = ScanOptions {
        count: to_visit,
        pattern: args.at(2),
        kind: args.get(3),
        slot: None,
    };
    let header = call.out.len();
    call.out.extend_from_slice(&[0; 32]);
    let (mut visited, mut found) = (0u64, 0u64);
    let mut reply = Reply::new(call.out, Protocol::Resp2);
    let next = call.core.shard.scan(
        call.db,
        position,
        usize::try_from(to_visit).unwrap_or(usize::MAX),
        &mut |entry| {
            visited += 1;
            if options.takes(&entry) {
                found += 1;
                reply.bulk(entry.key());
            }
        },
    );
    let numbers = [next.0, visited, found, call.core.shared.slots.version()];
    for (slot, number) in call.out[header..].chunks_exact_mut(8).zip(numbers) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
}

/// Whether a name is one that a scan is to show.
#[inline]
pub(super) fn matches(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob::matches(pattern, key, Case::Sensitive)
}

/// Answers this core's number of keys, a random number, and a key of its own; nothing if it has none.
fn random_key(call: &mut CoreCall<'_>) {
    let (choice, weight) = (call.core.random.draw(), call.core.random.draw());
    let len = call.core.shard.len(call.db);
    if let Some(entry) = call.core.shard.random(call.db, choice) {
        call.out.extend_from_slice(&len.to_le_bytes());
        call.out.extend_from_slice(&weight.to_le_bytes());
        call.out.extend_from_slice(entry.key());
    }
}

/// Chooses among the cores' keys by the cores' numbers of keys.
fn choose(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let candidates = parts.iter().filter_map(|part| {
        let (len, rest) = part.split_first_chunk::<8>()?;
        let (random, key) = rest.split_first_chunk::<8>()?;
        Some((u64::from_le_bytes(*len), u64::from_le_bytes(*random), key))
    });
    let total: u64 = candidates.clone().map(|(len, ..)| len).sum();
    let random = candidates
        .clone()
        .fold(0, |mixed, (_, random, _)| mixed ^ random);
    let mut left = random.checked_rem(total).unwrap_or(0);
    for (len, _, key) in candidates {
        if left < len {
            reply.bulk(key);
            return Ok(());
        }
        left -= len;
    }
    reply.null();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_carries_core_and_position_and_holds_for_one_slot_table() {
        for (cores, version) in [(1, 0), (2, 0), (2, 7), (64, 1023), (64, 12_345), (1000, 66)] {
            let form = CursorForm::new(cores, version);
            for (core, position) in [(0, 0), (cores - 1, (1 << 48) - 1), (cores / 2, 12_345)] {
                let cursor = Cursor { core, position };
                let number = form.number(cursor);
                assert_eq!(form.read(number), cursor);
                let later = CursorForm::new(cores, version + 1);
                assert_eq!(later.read(number), Cursor::at(0));
            }
        }
        // As long as no slot has moved, the upper bits are the core.
        assert_eq!(CursorForm::new(2, 0).read(1 << 48), Cursor::at(1));
        assert_eq!(CursorForm::new(3, 0).read(u64::MAX), Cursor::at(3));
    }

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        for (text, expected) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("+5", Some(5)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-", None),
            ("+", None),
            (" 1", None),
            ("1 ", None),
            ("0x1", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()).ok(), expected, "{text:?}");
        }
    }
}
