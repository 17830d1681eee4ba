//! Strings as arrays of bits: `SETBIT`, `GETBIT`, `BITCOUNT`, `BITPOS`. Bit 0 is the highest of the first byte.

mod field;
mod op;
mod scan;

use larder_engine::{Encoding, Event, parse_canonical_i64};

use super::strings::clamp_range;
use crate::command::{
    Args, Category, CommandSpec, Flags, Group, Growth, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::config::Config;
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The tables of `BITOP` and of `BITFIELD`.
pub(crate) use {field::COMMANDS as FIELD, op::COMMANDS as OP};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "setbit",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
        categories: &[Category::Bitmap],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())]),
        growth: Some(Growth::ToBytes(bit_end)),
        group: Group::Bitmap,
        since: "2.2.0",
        syntax: "key offset value",
        summary: "Sets or clears a bit of a string value, which grows to hold it, and returns the bit it was.",
        run: Run::OnShard(setbit),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "getbit",
        arity: 3,
        flags: Flags::READONLY.with(Flags::FAST).with(Flags::FROM_COPY),
        categories: &[Category::Bitmap],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
        group: Group::Bitmap,
        since: "2.2.0",
        syntax: "key offset",
        summary: "Returns a bit of a string value; beyond its end all bits are 0.",
        run: Run::OnShard(getbit),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "bitcount",
        arity: -2,
        flags: Flags::READONLY,
        categories: &[Category::Bitmap],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
        group: Group::Bitmap,
        since: "2.6.0",
        syntax: "key [start end [BYTE | BIT]]",
        summary: "Counts the bits set in a string value or in a part of it.",
        complexity: "O(N)",
        run: Run::OnShard(bitcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "bitpos",
        arity: -3,
        flags: Flags::READONLY,
        categories: &[Category::Bitmap],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
        group: Group::Bitmap,
        since: "2.8.7",
        syntax: "key bit [start [end [BYTE | BIT]]]",
        summary: "Finds the first bit that is set, or clear, in a string value or in a part of it.",
        complexity: "O(N)",
        run: Run::OnShard(bitpos),
        ..CommandSpec::BASE
    },
];

/// The offset of a bit that `text` stands for: with `#`, where `field_bits` are given, a multiple of them.
fn bit_offset(text: &[u8], field_bits: Option<u8>, config: &Config) -> Result<u64, ErrorReply> {
    let offset = match (text, field_bits) {
        ([b'#', number @ ..], Some(bits)) => {
            parse_canonical_i64(number).and_then(|number| number.checked_mul(bits.into()))
        }
        _ => parse_canonical_i64(text),
    };
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset
        .filter(|offset| offset >> 3 < config.proto_max_bulk_bytes as u64)
        .ok_or(errors::BAD_BIT_OFFSET)
}

/// Behind the byte that `SETBIT` writes.
fn bit_end(args: &Args<'_>, config: &Config) -> u64 {
    bit_offset(args.at(2), None, config).map_or(0, |offset| (offset >> 3) + 1)
}

fn setbit(call: &mut ShardCall<'_>) -> CommandResult {
    let offset = bit_offset(call.args.at(2), None, call.config)?;
    let on = match call.args.at(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(errors::BAD_BIT),
    };
    let key = call.key(1);
    let (at, mask) = ((offset >> 3) as usize, 0x80 >> (offset & 7));
    let (byte, is_raw) = match call.shard.get(call.db, key, call.access) {
        Some(entry) => {
            let value = entry.string().ok_or(errors::WRONG_TYPE)?;
            (value.get(at).copied(), entry.encoding() == Encoding::Raw)
        }
        None => (None, true),
    };
    let old = byte.unwrap_or(0);
    let new = if on { old | mask } else { old & !mask };
    // A bit beyond the end makes the string grow even if it is 0. One that is as it should be changes nothing that a
    // client could read, yet leaves the string raw, as in Redis.
    let event = if byte != Some(new) {
        Some(Event::SetBit)
    } else {
        (!is_raw).then_some(Event::Silent)
    };
    if let Some(event) = event {
        call.shard.write_range(call.db, key, at, &[new], event)?;
    }
    call.reply.integer((old & mask != 0).into());
    Ok(())
}

/// The string at argument 1, counted as read; `None` if there is none.
fn read<'c>(call: &'c mut ShardCall<'_>) -> Result<Option<&'c [u8]>, ErrorReply> {
    let key = call.key(1);
    match call.shard.read(call.db, key, call.access) {
        Some(entry) => {
            call.stats.count_lookup((call.db, key.bytes()), true);
            entry.string().ok_or(errors::WRONG_TYPE).map(Some)
        }
        None => {
            call.stats.count_lookup((call.db, key.bytes()), false);
            Ok(None)
        }
    }
}

fn getbit(call: &mut ShardCall<'_>) -> CommandResult {
    let offset = bit_offset(call.args.at(2), None, call.config)?;
    let byte = read(call)?
        .and_then(|value| value.get((offset >> 3) as usize))
        .copied();
    let bit = byte.unwrap_or(0) >> (7 - (offset & 7)) & 1;
    call.reply.integer(bit.into());
    Ok(())
}

/// What positions in a string count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    /// The unit named by argument `at`, bytes if there is none.
    fn parse(args: &Args<'_>, at: usize) -> Result<Self, ErrorReply> {
        if args.get(at).is_none() || args.is(at, "BYTE") {
            Ok(Self::Byte)
        } else if args.is(at, "BIT") {
            Ok(Self::Bit)
        } else {
            Err(errors::SYNTAX)
        }
    }

    /// How many of them `value` has.
    fn count(self, value: &[u8]) -> usize {
        match self {
            Self::Byte => value.len(),
            Self::Bit => value.len() * 8,
        }
    }

    /// The first and the last bit of a range of them.
    fn bits(self, (first, last): (usize, usize)) -> (usize, usize) {
        match self {
            Self::Byte => (first * 8, last * 8 + 7),
            Self::Bit => (first, last),
        }
    }
}

fn bitcount(call: &mut ShardCall<'_>) -> CommandResult {
    let args = call.args;
    // Wrong arguments are refused whatever the key holds.
    let asked = match args.len() {
        2 => None,
        4 | 5 => Some((args.integer(2)?, args.integer(3)?, Unit::parse(&args, 4)?)),
        _ => return Err(errors::SYNTAX),
    };
    let value = read(call)?.unwrap_or_default();
    let count = match asked {
        None => scan::count(value),
        Some((start, end, _)) if start < 0 && end < 0 && start > end => 0,
        Some((start, end, unit)) => match clamp_range(start, end, unit.count(value)) {
            Some(range) => {
                let (first, last) = unit.bits(range);
                scan::count_between(value, first, last)
            }
            None => 0,
        },
    };
    call.reply.count(count);
    Ok(())
}

fn bitpos(call: &mut ShardCall<'_>) -> CommandResult {
    let args = call.args;
    let bit = match args.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(errors::BAD_BITPOS_BIT),
    };
    if args.len() > 6 {
        return Err(errors::SYNTAX);
    }
    let start = if args.len() > 3 { args.integer(3)? } else { 0 };
    let unit = Unit::parse(&args, 5)?;
    let end_given = args.len() > 4;
    let end = if end_given { args.integer(4)? } else { -1 };
    let Some(value) = read(call)? else {
        // A missing key is an endless string of zeros.
        call.reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let position = match clamp_range(start, end, unit.count(value)) {
        Some(range) => {
            let (first, last) = unit.bits(range);
            match scan::find_between(value, bit, first, last) {
                Some(at) => at as i64,
                // Behind the string all is zero, unless the client drew the line.
                None if !bit && !end_given => value.len() as i64 * 8,
                None => -1,
            }
        }
        None => -1,
    };
    call.reply.integer(position);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn bits_are_set_and_read_and_the_string_grows_to_hold_them() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SETBIT k 9 0", "0"),
            ("GET k", r#""\x00\x00""#),
            ("SETBIT k 9 1", "0"),
            ("SETBIT k 9 1", "1"),
            ("GETBIT k 9", "1"),
            ("GETBIT k 8", "0"),
            ("GETBIT k 4294967295", "0"),
            ("GETBIT none 1", "0"),
        ]);
        assert_eq!(bench.events(), ["setbit k", "setbit k"]);
        bench.check(&[("SET n 1", "OK"), ("SETBIT n 3 1", "1")]);
        assert_eq!(bench.encoding("n"), "raw");
        assert_eq!(bench.events().len(), 3);
    }

    #[test]
    fn bits_and_offsets_that_cannot_be_are_refused() {
        const OFFSET: &str = "ERR bit offset is not an integer or out of range";
        const BIT: &str = "ERR bit is not an integer or out of range";
        check(&[
            ("SETBIT k 4294967296 1", OFFSET),
            ("SETBIT k -1 1", OFFSET),
            ("SETBIT k x 1", OFFSET),
            ("GETBIT k #1", OFFSET),
            ("SETBIT k 0 2", BIT),
            ("SETBIT k 0 x", BIT),
            ("SETBIT k 0 -1", BIT),
        ]);
    }

    #[test]
    fn bits_are_counted_in_ranges_of_bytes_and_of_bits() {
        check(&[
            ("SET k foobar", "OK"),
            ("BITCOUNT k", "26"),
            ("BITCOUNT k 0 0", "4"),
            ("BITCOUNT k 1 1 byte", "6"),
            ("BITCOUNT k 5 30 BIT", "17"),
            ("BITCOUNT k -2 -1", "7"),
            ("BITCOUNT k -1 -2 foo", "ERR syntax error"),
            ("BITCOUNT k 0 0 foo", "ERR syntax error"),
            ("BITCOUNT k 0", "ERR syntax error"),
            (
                "BITCOUNT k 0 x",
                "ERR value is not an integer or out of range",
            ),
            ("BITCOUNT none", "0"),
            ("BITCOUNT none 0 0 foo", "ERR syntax error"),
        ]);
    }

    #[test]
    fn the_first_bit_is_found_in_the_whole_and_in_parts() {
        check(&[
            (r#"SET k "\xff\xf0\x00""#, "OK"),
            ("BITPOS k 0", "12"),
            ("BITPOS k 1", "0"),
            ("BITPOS k 1 2", "-1"),
            ("BITPOS k 0 0 0", "-1"),
            ("BITPOS k 0 0 -1", "12"),
            ("BITPOS k 1 9 20 bit", "9"),
            ("BITPOS k 0 7 15 BIT", "12"),
            ("BITPOS k 0 7 11 BIT", "-1"),
            ("BITPOS k 1 -100 -200", "0"),
            (r#"SET f "\xff\xff""#, "OK"),
            ("BITPOS f 0", "16"),
            ("BITPOS f 0 1", "16"),
            ("BITPOS f 0 0 -1", "-1"),
            ("BITPOS f 0 5", "-1"),
            ("BITPOS none 0", "0"),
            (
                "BITPOS none 1 0 x",
                "ERR value is not an integer or out of range",
            ),
            ("BITPOS f 2", "ERR The bit argument must be 1 or 0."),
            ("BITPOS f 0 0 1 foo", "ERR syntax error"),
            ("SET e \"\"", "OK"),
            ("BITPOS e 0", "-1"),
        ]);
    }
}
