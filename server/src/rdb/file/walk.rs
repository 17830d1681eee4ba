//! Where a value ends: its lengths are walked along, nothing is unpacked, nothing is built. What its strings hold is not looked at.
//!
//! Each type is a list of parts, one behind the other, as its reader's file draws it. A list of parts may come several times
//! ([`Part::Many`]), in which there may be such lists again: those that are not at their end lie on a stack. A walk goes on wherever
//! bytes ended, part by part: of a part that is not all there it has seen nothing.

use crate::rdb::{Fault, Input, Version, kind};

/// What a value is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Length,
    Bytes(u64),
    String,
    DoubleText,
    /// A length, and so many times all of these.
    Many(&'static [Part]),
    /// Bytes of a module, up to their end.
    Module,
}

use Part::{Bytes, DoubleText, Length, Many, Module, String};

/// Lists of parts within each other, at most: a stream, its groups, their consumers, what these have pending.
const MAX_DEPTH: usize = 4;

const STRING: &[Part] = &[String];
const STRINGS: &[Part] = &[Many(&[String])];
const PAIRS: &[Part] = &[Many(&[String, String])];
const NODES: &[Part] = &[Many(&[Length, String])];
const SCORED_TEXTS: &[Part] = &[Many(&[String, DoubleText])];
const SCORED: &[Part] = &[Many(&[String, Bytes(8)])];
const TRIPLES: &[Part] = &[Many(&[Length, String, String])];
const TRIPLES_BEHIND_SOONEST: &[Part] = &[Bytes(8), Many(&[Length, String, String])];
const STRING_BEHIND_SOONEST: &[Part] = &[Bytes(8), String];
const VALKEY_TRIPLES: &[Part] = &[Many(&[String, String, Bytes(8)])];

const PENDING: Part = Many(&[Bytes(16), Bytes(8), Length]);
const OWN: Part = Many(&[Bytes(16)]);
const STREAM: &[Part] = &[
    Many(&[String, String]),
    Length,
    Length,
    Length,
    Many(&[
        String,
        Length,
        Length,
        PENDING,
        Many(&[String, Bytes(8), OWN]),
    ]),
];
const STREAM_2: &[Part] = &[
    Many(&[String, String]),
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Many(&[
        String,
        Length,
        Length,
        Length,
        PENDING,
        Many(&[String, Bytes(8), OWN]),
    ]),
];
const CONSUMERS_3: Part = Many(&[String, Bytes(8), Bytes(8), OWN]);
const STREAM_3: &[Part] = &[
    Many(&[String, String]),
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Many(&[String, Length, Length, Length, PENDING, CONSUMERS_3]),
];
const STREAM_4: &[Part] = &[
    Many(&[String, String]),
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Length,
    Many(&[String, Length, Length, Length, PENDING, CONSUMERS_3]),
    Length,
    Length,
    Many(&[String, Many(&[String, Length, Length])]),
    Length,
    Length,
];

/// What a module keeps beside keys, behind its name.
pub(super) const MODULE: &[Part] = &[Length, Length, Module];
/// Slots that are being imported.
pub(super) const SLOT_IMPORT: &[Part] = &[String, Many(&[Length, Length])];

/// The parts of a value of this type, `None` if the version has none.
pub(super) fn parts_of(kind: u8, version: Version) -> Option<&'static [Part]> {
    if version.is_valkey() && kind >= kind::VALKEY_HASH_2 {
        return (kind == kind::VALKEY_HASH_2).then_some(VALKEY_TRIPLES);
    }
    Some(match kind {
        kind::STRING => STRING,
        kind::LIST | kind::SET | kind::LIST_QUICKLIST => STRINGS,
        kind::ZSET => SCORED_TEXTS,
        kind::HASH => PAIRS,
        kind::ZSET_2 => SCORED,
        kind::HASH_ZIPMAP
        | kind::LIST_ZIPLIST
        | kind::SET_INTSET
        | kind::ZSET_ZIPLIST
        | kind::HASH_ZIPLIST
        | kind::HASH_LISTPACK
        | kind::ZSET_LISTPACK
        | kind::SET_LISTPACK
        | kind::HASH_LISTPACK_EX_PRE_GA => STRING,
        kind::LIST_QUICKLIST_2 => NODES,
        kind::HASH_METADATA_PRE_GA => TRIPLES,
        kind::HASH_METADATA => TRIPLES_BEHIND_SOONEST,
        kind::HASH_LISTPACK_EX => STRING_BEHIND_SOONEST,
        kind::STREAM => STREAM,
        kind::STREAM_2 => STREAM_2,
        kind::STREAM_3 => STREAM_3,
        kind::STREAM_4 => STREAM_4,
        _ => return None,
    })
}

/// A walk along parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    levels: [Level; MAX_DEPTH],
    depth: usize,
}

/// A list of parts that is not at its end.
#[derive(Clone, Copy, Debug)]
struct Level {
    parts: &'static [Part],
    /// The next of them.
    at: usize,
    /// How many times they are still to come, this time among these.
    times: u64,
}

/// How far a walk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// To the end.
    All,
    /// As far as it was to go.
    Enough,
}

impl Walk {
    /// Begins a walk along these parts.
    pub(super) fn along(parts: &'static [Part]) -> Self {
        let level = Level {
            parts,
            at: 0,
            times: 1,
        };
        Self {
            levels: [level; MAX_DEPTH],
            depth: 1,
        }
    }

    /// Goes on, by so many bytes at least unless the end comes before. `input` is behind what was walked along, whatever comes of it.
    ///
    /// # Errors
    /// The bytes end, or are damaged.
    pub(super) fn go_on(&mut self, input: &mut Input<'_>, bytes: usize) -> Result<Walked, Fault> {
        let begun = input.len();
        while let Some(level) = self.levels[..self.depth].last_mut() {
            if level.at == level.parts.len() {
                level.at = 0;
                level.times -= 1;
            }
            if level.times == 0 {
                self.depth -= 1;
                continue;
            }
            if begun - input.len() >= bytes {
                return Ok(Walked::Enough);
            }
            let part = level.parts[level.at];
            let mut ahead = *input;
            match pass(part, &mut ahead)? {
                Passed::Part => level.at += 1,
                Passed::Some => {}
                Passed::Count(times) => {
                    level.at += 1;
                    let Many(parts) = part else {
                        unreachable!("nothing else has a count")
                    };
                    let at = 0;
                    self.levels[self.depth] = Level { parts, at, times };
                    self.depth += 1;
                }
            }
            *input = ahead;
        }
        Ok(Walked::All)
    }
}

/// What a step of a walk came by.
enum Passed {
    /// A whole part.
    Part,
    /// Some of a part.
    Some,
    /// How many times the part's own parts come.
    Count(u64),
}

fn pass(part: Part, input: &mut Input<'_>) -> Result<Passed, Fault> {
    match part {
        Length => drop(input.length()?),
        Bytes(bytes) => drop(input.take(bytes)?),
        String => input.pass_string()?,
        DoubleText => match input.byte()? {
            253.. => {}
            len => drop(input.take(len.into())?),
        },
        Many(_) => return input.length().map(Passed::Count),
        Module => match input.length()? {
            0 => {}
            what => {
                pass_of_module(what, input)?;
                return Ok(Passed::Some);
            }
        },
    }
    Ok(Passed::Part)
}

/// Passes over one thing that a module has written.
fn pass_of_module(what: u64, input: &mut Input<'_>) -> Result<(), Fault> {
    match what {
        1 | 2 => drop(input.length()?),
        3 => drop(input.take(4)?),
        4 => drop(input.take(8)?),
        5 => input.pass_string()?,
        _ => return Err(Fault::Damaged("a module has written something unknown")),
    }
    Ok(())
}
