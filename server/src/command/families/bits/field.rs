//! `BITFIELD`: integers of 1 to 64 bits at any bit of a string.
//!
//! ```text
//! u5 at offset 6:   byte 0    byte 1    byte 2 ...      a field touches at most nine bytes,
//!                  |......vv|vvv.....|........|         which are handled as one 72-bit number
//! ```
//! All subcommands are parsed before the first runs. Sums are made in 128 bits, so that overflow shows by itself.

use larder_engine::{Encoding, Event, Key};

use super::bit_offset;
use crate::command::{
    Args, Category, CommandSpec, Flags, Group, Growth, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::config::Config;
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "bitfield",
        arity: -2,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
        categories: &[Category::Bitmap],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())
            .variable(bitfield_does)
            .note("This command allows both access and modification of the key")]),
        growth: Some(Growth::ToBytes(fields_end)),
        group: Group::Bitmap,
        since: "3.2.0",
        syntax: "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | \
                 INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
                 <SET encoding offset value | INCRBY encoding offset increment> ...]]",
        summary: "Reads, sets and adds to integers of any width at any bit of a string value.",
        complexity: "O(1) for each subcommand specified",
        run: Run::OnShard(bitfield),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "bitfield_ro",
        arity: -2,
        flags: Flags::READONLY.with(Flags::FAST),
        categories: &[Category::Bitmap],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
        group: Group::Bitmap,
        since: "6.0.0",
        syntax: "key [GET encoding offset [GET encoding offset ...]]",
        summary: "Reads integers of any width at any bit of a string value.",
        complexity: "O(1) for each subcommand specified",
        run: Run::OnShard(bitfield_ro),
        ..CommandSpec::BASE
    },
];

/// It writes unless there are only `GET`s; what is no subcommand is an error, and may as well be a write.
fn bitfield_does(args: &Args<'_>) -> KeyFlags {
    let mut at = 2;
    while at < args.len() {
        let behind = args.len() - at - 1;
        at += match () {
            () if args.is(at, "get") && behind >= 2 => 3,
            () if args.is(at, "overflow") && behind >= 1 => 2,
            () => return KeyFlags::RW.access().update(),
        };
    }
    KeyFlags::RO.access()
}

/// Most bytes a field touches.
const FIELD_MAX_BYTES: usize = 9;

/// Where a field is and how its bits are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    signed: bool,
    /// 1 to 64, unsigned to 63.
    bits: u8,
    /// Of its first bit.
    offset: u64,
}

impl Field {
    fn parse(encoding: &[u8], offset: &[u8], config: &Config) -> Result<Self, ErrorReply> {
        let (signed, width) = match encoding {
            [b'i', width @ ..] => (true, width),
            [b'u', width @ ..] => (false, width),
            _ => return Err(errors::BAD_BITFIELD_TYPE),
        };
        let widest = if signed { 64 } else { 63 };
        let bits = larder_engine::parse_canonical_i64(width)
            .filter(|bits| (1..=widest).contains(bits))
            .ok_or(errors::BAD_BITFIELD_TYPE)? as u8;
        let offset = bit_offset(offset, Some(bits), config)?;
        Ok(Self {
            signed,
            bits,
            offset,
        })
    }

    fn first_byte(self) -> usize {
        (self.offset >> 3) as usize
    }

    fn last_byte(self) -> usize {
        ((self.offset + u64::from(self.bits) - 1) >> 3) as usize
    }

    /// How far the field's lowest bit is from that of the nine bytes.
    fn shift(self) -> u32 {
        FIELD_MAX_BYTES as u32 * 8 - (self.offset & 7) as u32 - u32::from(self.bits)
    }

    fn mask(self) -> u128 {
        (1 << self.bits) - 1
    }

    /// The least and the greatest it can hold.
    fn range(self) -> (i128, i128) {
        if self.signed {
            let half = 1i128 << (self.bits - 1);
            (-half, half - 1)
        } else {
            (0, (1 << self.bits) - 1)
        }
    }

    /// The number that the low bits of `raw` stand for.
    fn interpret(self, raw: u128) -> i128 {
        let raw = (raw & self.mask()) as i128;
        let (_, max) = self.range();
        if raw > max {
            raw - (1 << self.bits)
        } else {
            raw
        }
    }

    /// The nine bytes from its first on, zeros behind the end of `value`, as a number.
    fn window(self, value: &[u8]) -> u128 {
        let mut bytes = [0u8; 16];
        let from = value.get(self.first_byte()..).unwrap_or_default();
        let len = from.len().min(FIELD_MAX_BYTES);
        bytes[7..7 + len].copy_from_slice(&from[..len]);
        u128::from_be_bytes(bytes)
    }

    fn get(self, value: &[u8]) -> i128 {
        self.interpret(self.window(value) >> self.shift())
    }

    /// The bytes it touches, with `number` in it.
    fn bytes_with(self, value: &[u8], number: i128) -> ([u8; FIELD_MAX_BYTES], usize) {
        let cleared = self.window(value) & !(self.mask() << self.shift());
        let window = cleared | (number as u128 & self.mask()) << self.shift();
        let mut bytes = [0u8; FIELD_MAX_BYTES];
        bytes.copy_from_slice(&window.to_be_bytes()[7..]);
        (bytes, self.last_byte() - self.first_byte() + 1)
    }
}

/// What becomes of a number that does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// Its high bits are lost.
    Wrap,
    /// The nearest that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    IncrBy(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    field: Field,
    action: Action,
    overflow: Overflow,
}

impl Operation {
    /// The number to write, if it fits or can be made to fit.
    fn result(self, old: i128) -> Option<i128> {
        let exact = match self.action {
            Action::Get => old,
            Action::Set(number) if self.field.signed => number.into(),
            // A negative number is a large one where there are none.
            Action::Set(number) => (number as u64).into(),
            Action::IncrBy(increment) => old + i128::from(increment),
        };
        let (min, max) = self.field.range();
        if (min..=max).contains(&exact) {
            return Some(exact);
        }
        match self.overflow {
            Overflow::Wrap => Some(self.field.interpret(exact as u128)),
            // Redis finds in 64 bits how far a number to set is below the greatest: where those overflow, it is above.
            Overflow::Saturate
                if matches!(self.action, Action::Set(_)) && max - exact > i128::from(i64::MAX) =>
            {
                Some(max)
            }
            Overflow::Saturate => Some(exact.clamp(min, max)),
            Overflow::Fail => None,
        }
    }
}

fn parse(args: &Args<'_>, config: &Config) -> Result<Vec<Operation>, ErrorReply> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let behind = args.len() - at - 1;
        if args.is(at, "OVERFLOW") && behind >= 1 {
            overflow = if args.is(at + 1, "WRAP") {
                Overflow::Wrap
            } else if args.is(at + 1, "SAT") {
                Overflow::Saturate
            } else if args.is(at + 1, "FAIL") {
                Overflow::Fail
            } else {
                return Err(errors::BAD_BITFIELD_OVERFLOW);
            };
            at += 2;
            continue;
        }
        let writes: Option<fn(i64) -> Action> = if args.is(at, "GET") && behind >= 2 {
            None
        } else if args.is(at, "SET") && behind >= 3 {
            Some(Action::Set)
        } else if args.is(at, "INCRBY") && behind >= 3 {
            Some(Action::IncrBy)
        } else {
            return Err(errors::SYNTAX);
        };
        let field = Field::parse(args.at(at + 1), args.at(at + 2), config)?;
        let action = match writes {
            Some(action) => action(args.integer(at + 3)?),
            None => Action::Get,
        };
        at += if writes.is_some() { 4 } else { 3 };
        operations.push(Operation {
            field,
            action,
            overflow,
        });
    }
    Ok(operations)
}

/// Behind the last byte that a field of `BITFIELD` is written to.
fn fields_end(args: &Args<'_>, config: &Config) -> u64 {
    let operations = parse(args, config).unwrap_or_default();
    let written = operations.iter().filter(|it| it.action != Action::Get);
    let ends = written.map(|it| it.field.last_byte() as u64 + 1);
    ends.max().unwrap_or(0)
}

fn bitfield(call: &mut ShardCall<'_>) -> CommandResult {
    let operations = parse(&call.args, call.config)?;
    let writing = operations
        .iter()
        .filter(|operation| operation.action != Action::Get);
    match writing.map(|operation| operation.field.last_byte()).max() {
        Some(last_byte) => read_and_write(call, &operations, last_byte),
        None => read_only(call, &operations),
    }
}

fn bitfield_ro(call: &mut ShardCall<'_>) -> CommandResult {
    let operations = parse(&call.args, call.config)?;
    let reads = |operation: &Operation| operation.action == Action::Get;
    if !operations.iter().all(reads) {
        return Err(errors::BITFIELD_READ_ONLY);
    }
    read_only(call, &operations)
}

fn read_only(call: &mut ShardCall<'_>, operations: &[Operation]) -> CommandResult {
    let key = call.key(1);
    let value = match call.shard.read(call.db, key, call.access) {
        Some(entry) => {
            call.stats.count_lookup((call.db, key.bytes()), true);
            entry.string().ok_or(errors::WRONG_TYPE)?
        }
        None => {
            call.stats.count_lookup((call.db, key.bytes()), false);
            b""
        }
    };
    call.reply.array(operations.len());
    for operation in operations {
        call.reply.integer(operation.field.get(value) as i64);
    }
    Ok(())
}

/// Runs operations of which one at least writes, up to `last_byte`.
///
/// As in Redis the string first grows to hold all of them, whether or not any comes to write; that alone is no event.
/// The first change is.
fn read_and_write(
    call: &mut ShardCall<'_>,
    operations: &[Operation],
    last_byte: usize,
) -> CommandResult {
    let key = call.key(1);
    let (len, is_raw) = match call.shard.get(call.db, key, call.access) {
        Some(entry) => {
            let value = entry.string().ok_or(errors::WRONG_TYPE)?;
            (value.len(), entry.encoding() == Encoding::Raw)
        }
        None => (0, true),
    };
    let has_grown = len <= last_byte;
    if has_grown {
        call.shard
            .write_range(call.db, key, last_byte, &[0], Event::Silent)?;
    }
    let mut event = Event::SetBit;
    let mut changes = 0;
    call.reply.array(operations.len());
    for operation in operations {
        let value = current(call, key);
        let old = operation.field.get(value);
        let Some(new) = operation.result(old) else {
            call.reply.null();
            continue;
        };
        if operation.action != Action::Get && (has_grown || new != old) {
            let (bytes, len) = operation.field.bytes_with(value, new);
            let at = operation.field.first_byte();
            call.shard
                .write_range(call.db, key, at, &bytes[..len], event)?;
            event = Event::Silent;
            changes += 1;
        }
        let shown = if matches!(operation.action, Action::Set(_)) {
            old
        } else {
            new
        };
        call.reply.integer(shown as i64);
    }
    if changes > 1 {
        // Those that were written without an event.
        call.shard.journal().count_as(0, changes - 1);
    }
    if changes == 0 && !has_grown && !is_raw {
        // Nothing changed that a client could read, yet the string is raw from now on.
        let byte = [current(call, key)[0]];
        call.shard
            .write_range(call.db, key, 0, &byte, Event::Silent)?;
    }
    Ok(())
}

fn current<'c>(call: &'c mut ShardCall<'_>, key: Key<'_>) -> &'c [u8] {
    let entry = call.shard.get(call.db, key, larder_engine::Access::Peek);
    entry
        .and_then(|entry| entry.string())
        .expect("the string was there, or has been written, earlier in this command")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::testing::{Bench, check};
    use proptest::prelude::*;

    #[test]
    fn integers_are_read_written_and_added_to_at_any_bit() {
        let mut bench = Bench::new();
        bench.check(&[
            (
                "BITFIELD k SET u8 0 255 GET u4 0 SET i5 100 -3",
                "[0, 15, 0]",
            ),
            ("BITFIELD k GET i5 100 get u5 100", "[-3, 29]"),
            (
                "BITFIELD k INCRBY u2 #1 1 INCRBY i64 7 -1",
                "[0, 9223372036854775807]",
            ),
            ("BITFIELD k", "[]"),
            ("BITFIELD_RO k GET u8 0", "[206]"),
            ("BITFIELD_RO none GET i64 12345", "[0]"),
        ]);
        assert_eq!(bench.events(), ["setbit k", "setbit k"]);
    }

    #[test]
    fn what_does_not_fit_wraps_saturates_or_fails() {
        check(&[
            ("BITFIELD k SET u2 0 9", "[0]"),
            ("BITFIELD k GET u2 0", "[1]"),
            (
                "BITFIELD k OVERFLOW SAT SET u2 0 -1 SET i3 8 100 GET i3 8",
                "[1, 0, 3]",
            ),
            (
                "BITFIELD k INCRBY u2 0 1 OVERFLOW FAIL INCRBY u2 0 -1 INCRBY u2 0 2",
                "[0, nil, 2]",
            ),
            (
                "BITFIELD k OVERFLOW SAT INCRBY i3 8 -100 INCRBY i64 64 9223372036854775807 INCRBY i64 64 1",
                "[-4, 9223372036854775807, 9223372036854775807]",
            ),
            ("BITFIELD k INCRBY i64 64 1", "[-9223372036854775808]"),
            (
                "BITFIELD m OVERFLOW SAT SET i56 0 -9223372036854775808 GET i56 0",
                "[0, 36028797018963967]",
            ),
            (
                "BITFIELD m OVERFLOW SAT SET i56 0 -9187343239835811840 GET i56 0",
                "[36028797018963967, -36028797018963968]",
            ),
        ]);
    }

    #[test]
    fn a_write_that_fails_still_makes_room_but_is_no_event() {
        let mut bench = Bench::new();
        bench.check(&[
            ("BITFIELD k OVERFLOW FAIL SET u2 30 9", "[nil]"),
            ("STRLEN k", "4"),
            ("SET n 5", "OK"),
            ("BITFIELD n SET u8 0 53", "[53]"),
        ]);
        assert_eq!(bench.encoding("n"), "raw");
        assert_eq!(bench.events(), ["set n"]);
    }

    #[test]
    fn malformed_subcommands_are_refused() {
        const TYPE: &str = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        const OFFSET: &str = "ERR bit offset is not an integer or out of range";
        check(&[
            ("BITFIELD k GET u64 0", TYPE),
            ("BITFIELD k GET i65 0", TYPE),
            ("BITFIELD k GET i0 0", TYPE),
            ("BITFIELD k GET x8 0", TYPE),
            ("BITFIELD k GET \"\" 0", TYPE),
            ("BITFIELD k GET u8 -1", OFFSET),
            ("BITFIELD k GET u8 #-1", OFFSET),
            ("BITFIELD k GET u8 #9223372036854775807", OFFSET),
            ("BITFIELD k GET u8 4294967296", OFFSET),
            ("BITFIELD k GET u8 #536870911", "[0]"),
            ("BITFIELD k GET u8", "ERR syntax error"),
            ("BITFIELD k SET u8 0", "ERR syntax error"),
            ("BITFIELD k OVERFLOW", "ERR syntax error"),
            (
                "BITFIELD k OVERFLOW x",
                "ERR Invalid OVERFLOW type specified",
            ),
            (
                "BITFIELD k SET u8 0 x",
                "ERR value is not an integer or out of range",
            ),
            (
                "BITFIELD_RO k SET u8 0 1",
                "ERR BITFIELD_RO only supports the GET subcommand",
            ),
            ("BITFIELD_RO k OVERFLOW SAT", "[]"),
        ]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_nothing_else_changes(
            mut value in prop::collection::vec(any::<u8>(), 40),
            signed in any::<bool>(), bits in 1u8..=63, offset in 0u64..200, number in any::<i64>(),
        ) {
            let field = Field { signed, bits, offset };
            let number = field.interpret(number as u128);
            let before = value.clone();
            let (bytes, len) = field.bytes_with(&value, number);
            let at = field.first_byte();
            value[at..at + len].copy_from_slice(&bytes[..len]);
            prop_assert_eq!(field.get(&value), number);
            let bit = |bytes: &[u8], at: u64| bytes[(at / 8) as usize] >> (7 - at % 8) & 1;
            for at in (0..320).filter(|at| !(offset..offset + u64::from(bits)).contains(at)) {
                prop_assert_eq!(bit(&value, at), bit(&before, at));
            }
        }
    }
}
