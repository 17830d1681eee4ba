//! The arguments of commands about several fields and their deadlines, in the order in which Redis finds fault with them.
//!
//! ```text
//!  HTTL    key      FIELDS numfields field …                          nothing else, and nothing behind
//!  HEXPIRE key time [NX | XX | GT | LT] FIELDS numfields field …      options on either side
//!  HGETEX  key      [EX … | PERSIST] FIELDS numfields field …         options on either side
//!  HSETEX  key      [NX | XX] [FNX | FXX] [EX … | KEEPTTL] FIELDS numfields field value …
//! ```
//! `NX` and `XX` of `HSETEX` are Valkey's; Redis knows no such argument.

use std::ops::Range;

use larder_engine::{UnixMillis, parse_canonical_i64};

use crate::command::families::expire::{self, Origin, Unit};
use crate::command::{Args, ShardCall};
use crate::resp::ErrorReply;
use crate::resp::errors;

/// The latest deadline a field may have, as in Redis: 46 bits of milliseconds, in the year 4199.
const DEADLINE_MAX: UnixMillis = UnixMillis((1 << 46) - 1);

/// The fields of a command that has nothing but fields behind its key.
///
/// # Errors
/// `FIELDS` does not follow, or another number of fields than it says.
pub(super) fn only_fields(args: &Args<'_>) -> Result<Range<usize>, ErrorReply> {
    if !args.is(2, "fields") {
        return Err(errors::FIELDS_NOT_THERE);
    }
    let fields = 4..args.len();
    match parse_canonical_i64(args.at(3)) {
        Some(count) if count > 0 && count == fields.len() as i64 => Ok(fields),
        Some(count) if count > 0 => Err(errors::NUMFIELDS_MISMATCH),
        _ => Err(errors::NUMFIELDS_NOT_POSITIVE),
    }
}

/// The error of wrong arguments, unless the key holds another type: that comes first.
#[cold]
pub(super) fn behind_type(call: &mut ShardCall<'_>, error: ErrorReply) -> ErrorReply {
    let key = call.key(1);
    match call.shard.hash_mut(call.db, key) {
        Ok(hash) => {
            hash.close(&[]);
            error
        }
        Err(wrong_type) => wrong_type.into(),
    }
}

/// The deadline of fields that `number` means.
///
/// # Errors
/// It is none, negative, or means one beyond [`DEADLINE_MAX`]; `command` is named.
pub(super) fn deadline(
    number: &[u8],
    (unit, origin): (Unit, Origin),
    now: UnixMillis,
    command: &str,
) -> Result<UnixMillis, ErrorReply> {
    let time = parse_canonical_i64(number).ok_or(errors::NOT_AN_INTEGER)?;
    if time < 0 {
        return Err(errors::EXPIRE_TIME_NEGATIVE);
    }
    expire::deadline(time, unit, origin, now)
        .filter(|&deadline| deadline <= DEADLINE_MAX)
        .ok_or_else(|| errors::invalid_expire_time(command))
}

/// `HEXPIRE` and its kin behind their time.
pub(super) struct Setting {
    pub(super) condition: expire::Condition,
    pub(super) fields: Range<usize>,
}

impl Setting {
    /// Reads the arguments from 3 on.
    pub(super) fn parse(args: &Args<'_>) -> Result<Self, ErrorReply> {
        let mut condition = expire::Condition::default();
        let mut fields = None;
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "fields") {
                if fields.is_some() {
                    return Err(errors::FIELDS_TWICE);
                }
                if at + 2 >= args.len() {
                    return Err(errors::FIELDS_TOO_SHORT);
                }
                let announced = announced(args, at + 1, 1, &errors::HEXPIRE_NUMFIELDS)?;
                at = announced.end;
                fields = Some(announced);
            } else if condition.add(args.at(at)) {
                at += 1;
            } else {
                return Err(errors::unknown_argument(args.at(at)));
            }
        }
        let fields = fields.ok_or(errors::FIELDS_MISSING)?;
        if condition.len() > 1 {
            return Err(errors::CONDITION_TWICE);
        }
        Ok(Self { condition, fields })
    }
}

/// The fields that the number at argument `at` announces, each with `step` arguments.
///
/// # Errors
/// It is not one that can be (`bad_number`), or there are fewer arguments.
fn announced(
    args: &Args<'_>,
    at: usize,
    step: usize,
    bad_number: &ErrorReply,
) -> Result<Range<usize>, ErrorReply> {
    let count = parse_canonical_i64(args.at(at))
        .and_then(|count| i32::try_from(count).ok())
        .filter(|&count| count > 0)
        .ok_or_else(|| bad_number.clone())?;
    let first = at + 1;
    let end = first + count as usize * step;
    if end > args.len() {
        return Err(errors::FIELDS_TOO_FEW);
    }
    Ok(first..end)
}

/// Whose options are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// `HGETEX`: `PERSIST`.
    GetEx,
    /// `HSETEX`: `NX`, `XX`, `FNX`, `FXX`, `KEEPTTL`; each field has a value.
    SetEx,
}

impl Grammar {
    fn command(self) -> &'static str {
        match self {
            Self::GetEx => "hgetex",
            Self::SetEx => "hsetex",
        }
    }

    /// The error of two options about deadlines.
    fn expiry_twice(self) -> ErrorReply {
        match self {
            Self::GetEx => errors::HGETEX_EXPIRY_TWICE,
            Self::SetEx => errors::HSETEX_EXPIRY_TWICE,
        }
    }

    /// Arguments a field has.
    fn step(self) -> usize {
        match self {
            Self::GetEx => 1,
            Self::SetEx => 2,
        }
    }
}

/// What becomes of the deadlines of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// No option was given.
    None,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Persist,
    /// One of the four that set it.
    At(UnixMillis),
}

/// What must hold of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldCondition {
    /// Nothing.
    None,
    /// `FNX`: none of them is there.
    Missing,
    /// `FXX`: all of them are there.
    Present,
}

/// `HGETEX` and `HSETEX` behind their key.
pub(super) struct Options {
    pub(super) expiry: Expiry,
    /// Whether both `PERSIST` and `KEEPTTL` were given, of which each command has but one.
    is_of_both: bool,
    /// `XX`: the key must exist; `NX`: it must not.
    pub(super) key_exists: Option<bool>,
    pub(super) condition: FieldCondition,
    pub(super) fields: Range<usize>,
}

impl Options {
    /// Reads the arguments from 2 on. Both commands know the options of both, and refuse the other's at the end.
    ///
    /// # Errors
    /// They are not of this grammar.
    pub(super) fn parse(
        args: &Args<'_>,
        grammar: Grammar,
        now: UnixMillis,
    ) -> Result<Self, ErrorReply> {
        let mut options = Self {
            expiry: Expiry::None,
            is_of_both: false,
            key_exists: None,
            condition: FieldCondition::None,
            fields: 0..0,
        };
        let mut at = 2;
        while at < args.len() {
            at = options.take(args, at, grammar, now)?;
        }
        if options.fields.is_empty() {
            return Err(errors::FIELDS_MISSING);
        }
        if options.are_of_other(grammar) {
            return Err(errors::UNKNOWN_ARGUMENT);
        }
        Ok(options)
    }

    /// Whether one of them is the other command's.
    fn are_of_other(&self, grammar: Grammar) -> bool {
        self.is_of_both
            || match grammar {
                Grammar::GetEx => {
                    self.expiry == Expiry::Keep || self.condition != FieldCondition::None
                }
                Grammar::SetEx => self.expiry == Expiry::Persist,
            }
    }

    /// Takes what stands at argument `at`; where the next option stands.
    fn take(
        &mut self,
        args: &Args<'_>,
        at: usize,
        grammar: Grammar,
        now: UnixMillis,
    ) -> Result<usize, ErrorReply> {
        let word = args.at(at);
        let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
        if is("fields") {
            if !self.fields.is_empty() {
                return Err(errors::FIELDS_TWICE);
            }
            if at + 1 >= args.len() {
                return Err(errors::wrong_arity(grammar.command()));
            }
            self.fields = announced(args, at + 1, grammar.step(), &errors::HGETEX_NUMFIELDS)?;
            return Ok(self.fields.end);
        }
        if let Some(time) = time_of(word) {
            if self.expiry != Expiry::None {
                return Err(grammar.expiry_twice());
            }
            let number = args.get(at + 1).ok_or(errors::EXPIRE_TIME_MISSING)?;
            self.expiry = Expiry::At(deadline(number, time, now, grammar.command())?);
            return Ok(at + 2);
        }
        if is("persist") || is("keepttl") {
            let named = if is("persist") {
                Expiry::Persist
            } else {
                Expiry::Keep
            };
            match self.expiry {
                Expiry::None => self.expiry = named,
                Expiry::Keep | Expiry::Persist if self.expiry != named => self.is_of_both = true,
                _ => return Err(grammar.expiry_twice()),
            }
        } else if is("fnx") || is("fxx") {
            if self.condition != FieldCondition::None {
                return Err(errors::FIELD_CONDITION_TWICE);
            }
            self.condition = if is("fnx") {
                FieldCondition::Missing
            } else {
                FieldCondition::Present
            };
        } else if grammar == Grammar::SetEx && (is("nx") || is("xx")) {
            let exists = is("xx");
            if self.key_exists.is_some_and(|other| other != exists) {
                return Err(errors::SYNTAX);
            }
            self.key_exists = Some(exists);
        } else {
            return Err(errors::unknown_argument(word));
        }
        Ok(at + 1)
    }
}

/// How the number behind this option is meant, if it is one that sets a deadline.
fn time_of(word: &[u8]) -> Option<(Unit, Origin)> {
    const OPTIONS: [(&[u8], Unit, Origin); 4] = [
        (b"ex", Unit::Seconds, Origin::Now),
        (b"px", Unit::Millis, Origin::Now),
        (b"exat", Unit::Seconds, Origin::Epoch),
        (b"pxat", Unit::Millis, Origin::Epoch),
    ];
    let option = OPTIONS
        .into_iter()
        .find(|(known, ..)| word.eq_ignore_ascii_case(known));
    option.map(|(_, unit, origin)| (unit, origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::testing::Bench;

    #[test]
    fn deadlines_are_taken_up_to_the_last_millisecond_redis_takes() {
        let now = UnixMillis(1_700_000_000_000);
        let of = |number: i64, time| deadline(number.to_string().as_bytes(), time, now, "hexpire");
        let latest = DEADLINE_MAX.0;
        for (number, time, expected) in [
            (latest, (Unit::Millis, Origin::Epoch), Some(latest)),
            (latest + 1, (Unit::Millis, Origin::Epoch), None),
            (latest - now.0, (Unit::Millis, Origin::Now), Some(latest)),
            (latest - now.0 + 1, (Unit::Millis, Origin::Now), None),
            (
                latest / 1000,
                (Unit::Seconds, Origin::Epoch),
                Some(latest / 1000 * 1000),
            ),
            (latest / 1000 + 1, (Unit::Seconds, Origin::Epoch), None),
            (i64::MAX, (Unit::Seconds, Origin::Now), None),
            (i64::MAX, (Unit::Millis, Origin::Now), None),
            (0, (Unit::Millis, Origin::Epoch), Some(0)),
        ] {
            assert_eq!(
                of(number, time).ok(),
                expected.map(UnixMillis),
                "{number} {time:?}"
            );
        }
        let negative = of(-1, (Unit::Seconds, Origin::Now));
        assert_eq!(negative, Err(errors::EXPIRE_TIME_NEGATIVE));
    }

    #[test]
    fn numbers_of_fields_beyond_all_arguments_are_refused() {
        let mut bench = Bench::new();
        bench.run("HSET h a 1");
        // Redis 8.6.3 ends at the first of these: the sum overflows.
        for (line, expected) in [
            (
                "HEXPIRE h 10 FIELDS 2147483647 a",
                "ERR wrong number of arguments",
            ),
            (
                "HGETEX h FIELDS 2147483647 a",
                "ERR wrong number of arguments",
            ),
            (
                "HSETEX h FIELDS 2147483647 a 1",
                "ERR wrong number of arguments",
            ),
            (
                "HGETEX h FIELDS 2147483648 a",
                "ERR invalid number of fields",
            ),
            (
                "HTTL h FIELDS 9223372036854775807 a",
                "ERR The `numfields` parameter must match the number of arguments",
            ),
        ] {
            assert_eq!(bench.run(line), expected, "{line}");
        }
    }

    #[test]
    fn another_type_is_what_is_found_fault_with_first_but_by_hsetex() {
        let mut bench = Bench::new();
        bench.run("SET s x");
        let wrong_type = bench.run("HGET s a");
        for line in [
            "HEXPIRE s x FIELDS 1 a",
            "HEXPIRE s 1 FOO 1 a",
            "HPERSIST s FIELDS 0 a",
            "HTTL s FIELD 1 a",
            "HGETEX s FIELDS 0 a",
            "HGETDEL s FIELDS 2 a",
        ] {
            assert_eq!(bench.run(line), wrong_type, "{line}");
        }
        assert_eq!(
            bench.run("HSETEX s FIELDS 0 a 1"),
            "ERR invalid number of fields"
        );
    }
}
