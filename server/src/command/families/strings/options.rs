//! The options of `SET`, `GETEX` and `MSETEX`: one grammar, of which each command accepts a part.
//!
//! As in Redis an option may be repeated (the last one counts) but not combined with a rival, and all options are
//! parsed before the first value is looked at.

use larder_engine::UnixMillis;

use super::compare::Comparison;
use crate::command::Args;
use crate::resp::{ErrorReply, errors};

/// Which of the options a command accepts, besides `EX`, `PX`, `EXAT` and `PXAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// Conditions of any kind, `GET`, `KEEPTTL`.
    Set,
    /// `PERSIST`.
    GetEx,
    /// `NX`, `XX`, `KEEPTTL`.
    MSetEx,
}

/// What must hold for the value to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    /// Nothing.
    None,
    /// `NX`: the key does not exist.
    Missing,
    /// `XX`: it exists.
    Present,
    /// `IFEQ`, `IFNE`, `IFDEQ`, `IFDNE`.
    Value(Comparison<'a>),
}

/// What becomes of the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry<'a> {
    /// No option was given.
    None,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Persist,
    /// One of the four that set it.
    Deadline(Deadline<'a>),
}

/// A deadline as the client gave it; its number is parsed when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline<'a> {
    pub(super) unit: Unit,
    pub(super) number: &'a [u8],
}

/// How a deadline's number is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Millis,
    /// `EXAT`: seconds since the epoch.
    SecondsAt,
    /// `PXAT`: milliseconds since the epoch.
    MillisAt,
}

impl Unit {
    const ALL: [Self; 4] = [Self::Seconds, Self::Millis, Self::SecondsAt, Self::MillisAt];

    /// The option's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "EX",
            Self::Millis => "PX",
            Self::SecondsAt => "EXAT",
            Self::MillisAt => "PXAT",
        }
    }

    /// The unit of the option called `word`.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|unit| word.eq_ignore_ascii_case(unit.name().as_bytes()))
    }
}

impl Deadline<'_> {
    /// The deadline in absolute time.
    ///
    /// # Errors
    /// The number is none, not positive, or too far for 64 bits; `command` is named.
    pub(super) fn resolve(self, now: UnixMillis, command: &str) -> Result<UnixMillis, ErrorReply> {
        let number =
            larder_engine::parse_canonical_i64(self.number).ok_or(errors::NOT_AN_INTEGER)?;
        let millis = match self.unit {
            Unit::Seconds | Unit::SecondsAt => number.checked_mul(1000),
            Unit::Millis | Unit::MillisAt => Some(number),
        };
        let at = match self.unit {
            Unit::Seconds | Unit::Millis => millis.and_then(|millis| millis.checked_add(now.0)),
            Unit::SecondsAt | Unit::MillisAt => millis,
        };
        match at {
            Some(at) if number > 0 => Ok(UnixMillis(at)),
            _ => Err(errors::invalid_expire_time(command)),
        }
    }
}

/// Options, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options<'a> {
    pub(super) condition: Condition<'a>,
    pub(super) expiry: Expiry<'a>,
    /// `GET`: the old value is the reply.
    pub(super) get: bool,
}

impl<'a> Options<'a> {
    /// Parses the arguments from `from` on.
    ///
    /// # Errors
    /// A syntax error: an unknown option, one without its value, or two that exclude each other.
    pub(super) fn parse(
        args: &Args<'a>,
        from: usize,
        grammar: Grammar,
    ) -> Result<Self, ErrorReply> {
        let mut options = Self {
            condition: Condition::None,
            expiry: Expiry::None,
            get: false,
        };
        let mut words = args.iter_from(from);
        while let Some(word) = words.next() {
            if let Some(unit) = Unit::parse(word) {
                let number = words.next().ok_or(errors::SYNTAX)?;
                options.expire(Expiry::Deadline(Deadline { unit, number }))?;
            } else if grammar == Grammar::GetEx {
                if !word.eq_ignore_ascii_case(b"PERSIST") {
                    return Err(errors::SYNTAX);
                }
                options.expire(Expiry::Persist)?;
            } else if word.eq_ignore_ascii_case(b"KEEPTTL") {
                options.expire(Expiry::Keep)?;
            } else if word.eq_ignore_ascii_case(b"NX") {
                options.require(Condition::Missing)?;
            } else if word.eq_ignore_ascii_case(b"XX") {
                options.require(Condition::Present)?;
            } else if grammar == Grammar::MSetEx {
                return Err(errors::SYNTAX);
            } else if word.eq_ignore_ascii_case(b"GET") {
                options.get = true;
            } else {
                let operand = words.next();
                let comparison = operand.and_then(|operand| Comparison::parse(word, operand));
                options.require(Condition::Value(comparison.ok_or(errors::SYNTAX)?))?;
            }
        }
        Ok(options)
    }

    fn expire(&mut self, expiry: Expiry<'a>) -> Result<(), ErrorReply> {
        let agrees = match (self.expiry, expiry) {
            (Expiry::None, _)
            | (Expiry::Keep, Expiry::Keep)
            | (Expiry::Persist, Expiry::Persist) => true,
            (Expiry::Deadline(old), Expiry::Deadline(new)) => old.unit == new.unit,
            _ => false,
        };
        self.expiry = expiry;
        if agrees { Ok(()) } else { Err(errors::SYNTAX) }
    }

    fn require(&mut self, condition: Condition<'a>) -> Result<(), ErrorReply> {
        let agrees = match (self.condition, condition) {
            (Condition::None, _)
            | (Condition::Missing, Condition::Missing)
            | (Condition::Present, Condition::Present) => true,
            (Condition::Value(old), Condition::Value(new)) => old.test() == new.test(),
            _ => false,
        };
        self.condition = condition;
        if agrees { Ok(()) } else { Err(errors::SYNTAX) }
    }
}
