//! `CLUSTERSCAN`: walking the keys slot by slot, each call at the node that owns the slots, as Valkey's cluster clients do.
//!
//! ```text
//! cursor:  fingerprint - {tag} - position        0 begins and ends the scan
//!          │             │       └ in the shard of the core that is asked
//!          │             └ of the slot with which the core's slots begin here: by it clients find the node
//!          └ of those slots and their core: where it is another, they are walked from the beginning; 0 always is
//! ```
//! A call walks all slots, one behind the other, that the owner of the first has; with `SLOT`, or a pattern that matches keys of one slot
//! only, that slot. A shard is walked whole, and what is of other slots left out. Slots that move meanwhile change the fingerprint, so
//! that keys that were there all the time are found, some of them twice.

use std::sync::OnceLock;

use larder_engine::ScanCursor;

use super::super::scan::{ScanOptions, Wanted, scan_entries};
use super::super::transfer::Answer;
use crate::command::{Args, CoreCall, CoreRequest, Round, Rounds};
use crate::resp::errors;
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::routing::{CoreId, SLOTS, Slot, SlotMap};

/// Begins `CLUSTERSCAN`.
pub(super) fn begin(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    // Which core is asked the cursor says; what is wrong with the arguments that core says.
    let slot = Cursor::parse(args.at(1)).map_or(Slot::all().next(), |cursor| Some(cursor.slot));
    let args = args.iter_from(1).map(<[u8]>::to_vec);
    Ok(Box::new(ClusterScan {
        request: Some(CoreRequest {
            core: slot.map_or(CoreId(0), |slot| slots.owner(slot)),
            run: scan_part,
            args: args.collect(),
        }),
    }))
}

struct ClusterScan {
    request: Option<CoreRequest>,
}

impl Rounds for ClusterScan {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        if let Some(request) = self.request.take() {
            return Ok(Round::Ask(vec![request]));
        }
        match Answer::of(answers[0])? {
            Answer::Yes(encoded) => {
                reply.raw(encoded);
                Ok(Round::Done)
            }
            _ => unreachable!("the core asked answers or fails"),
        }
    }
}

/// Where a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor<'a> {
    fingerprint: &'a [u8],
    slot: Slot,
    position: u64,
}

impl<'a> Cursor<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.splitn(3, |&byte| byte == b'-');
        let (fingerprint, tag, position) = (parts.next()?, parts.next()?, parts.next()?);
        let position = std::str::from_utf8(position).ok()?;
        if !position.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            fingerprint,
            slot: Slot::of(tag),
            position: position.parse().ok()?,
        })
    }

    /// The text of a cursor that begins with `slot`.
    fn beginning(slot: Slot) -> String {
        format!("0-{{{}}}-0", tag_of(slot))
    }
}

/// A short text of the slot.
fn tag_of(slot: Slot) -> &'static str {
    static TAGS: OnceLock<Vec<Box<str>>> = OnceLock::new();
    &TAGS.get_or_init(tags)[usize::from(slot.number())]
}

/// For each slot the first text of three digits or letters.
fn tags() -> Vec<Box<str>> {
    let signs: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut tags: Vec<Box<str>> = vec![Box::default(); usize::from(SLOTS)];
    for a in &signs {
        for b in &signs {
            for c in &signs {
                let text: String = [a, b, c].into_iter().collect();
                let tag = &mut tags[usize::from(Slot::of(text.as_bytes()).number())];
                if tag.is_empty() {
                    *tag = text.into();
                }
            }
        }
    }
    tags
}

/// The slot of all keys that `pattern` matches, if it shows: a tag, or a whole key, before anything that stands for others.
fn slot_of_pattern(pattern: &[u8]) -> Option<Slot> {
    let special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
    let plain = pattern.iter().position(special).unwrap_or(pattern.len());
    let plain = &pattern[..plain];
    let is_tagged = plain
        .iter()
        .position(|&byte| byte == b'{')
        .is_some_and(|open| {
            let close = plain[open + 1..].iter().position(|&byte| byte == b'}');
            close.is_some_and(|bytes| bytes > 0)
        });
    (is_tagged || plain.len() == pattern.len()).then(|| Slot::of(plain))
}

/// Begins a scan, or goes on with one: cursor, options.
fn scan_part(call: &mut CoreCall<'_>) {
    match scan_here(call) {
        Ok(encoded) => Answer::yes(call.out, |out| out.extend_from_slice(&encoded)),
        Err(error) => Answer::failed(call.out, &error),
    }
}

/// The reply.
fn scan_here(call: &mut CoreCall<'_>) -> Result<Vec<u8>, ErrorReply> {
    if call.core.shared.core_ports().is_none() {
        return Err(errors::CLUSTER_DISABLED);
    }
    let args = call.args;
    let options = ScanOptions::parse(&args, 1, Wanted::PerhapsOfASlot)?;
    let only = match (options.slot, options.pattern) {
        (None, b"*") => None,
        (slot, pattern) => match (slot, slot_of_pattern(pattern)) {
            (Some(slot), Some(other)) if slot != other => return Ok(nothing("0")),
            (slot, other) => slot.or(other),
        },
    };
    if args.at(0) == b"0" {
        let first = only
            .or_else(|| Slot::all().next())
            .expect("there are slots");
        return Ok(nothing(&Cursor::beginning(first)));
    }
    let cursor = Cursor::parse(args.at(0)).ok_or(errors::BAD_CLUSTER_CURSOR)?;
    if options.slot.is_some_and(|slot| slot != cursor.slot) {
        return Err(errors::CURSOR_OF_ANOTHER_SLOT);
    }
    if let Some(only) = only
        && only != cursor.slot
    {
        let is_ahead = only.number() > cursor.slot.number();
        return Ok(nothing(&match is_ahead {
            true => Cursor::beginning(only),
            false => "0".to_owned(),
        }));
    }
    if call.core.shared.slots.owner(cursor.slot) != call.core.id {
        // It has moved while the question was on its way.
        return Ok(nothing(&Cursor::beginning(cursor.slot)));
    }
    Ok(walk(call, &cursor, &options, only.is_some()))
}

/// A reply without keys.
fn nothing(cursor: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Protocol::Resp2);
    reply.array(2);
    reply.text(cursor);
    reply.array(0);
    out
}

/// Walks some of the keys of this core's slots from that of the cursor on, or only of that.
fn walk(
    call: &mut CoreCall<'_>,
    cursor: &Cursor<'_>,
    options: &ScanOptions<'_>,
    is_alone: bool,
) -> Vec<u8> {
    let slots = &call.core.shared.slots;
    let first = cursor.slot.number();
    let behind = match is_alone {
        true => first + 1,
        false => Slot::all()
            .skip(usize::from(first))
            .find(|slot| slots.owner(*slot) != call.core.id)
            .map_or(SLOTS, Slot::number),
    };
    let fingerprint = fingerprint(call, first, behind);
    let position = match cursor.fingerprint == fingerprint.as_bytes() {
        true => cursor.position,
        false => 0,
    };
    let mut keys = Vec::new();
    let mut count = 0;
    let mut reply = Reply::new(&mut keys, Protocol::Resp2);
    let next = scan_entries(call, ScanCursor(position), options, &mut |key| {
        if (first..behind).contains(&Slot::of(key).number()) {
            count += 1;
            reply.bulk(key);
        }
    });
    let next = match (next.0, Slot::new(behind.into())) {
        (0, Some(slot)) if !is_alone => Cursor::beginning(slot),
        (0, _) => "0".to_owned(),
        (position, _) => format!("{fingerprint}-{{{}}}-{position}", tag_of(cursor.slot)),
    };
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Protocol::Resp2);
    reply.array(2);
    reply.text(&next);
    reply.array(count);
    reply.raw(&keys);
    out
}

/// Six signs for slots of this core, in this process.
fn fingerprint(call: &CoreCall<'_>, first: u16, behind: u16) -> String {
    let slots = format!("{} {first} {behind}", call.core.id.0);
    let hash = call.core.shard.hasher().key(slots.as_bytes()).hash();
    (0..6)
        .map(|sign| char::from(b'0' + (hash >> (sign * 6) & 0x3F) as u8))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_tag() {
        for slot in Slot::all() {
            assert_eq!(Slot::of(tag_of(slot).as_bytes()), slot);
        }
        assert_eq!(tag_of(Slot::new(0).unwrap()), "06S");
    }

    #[test]
    fn a_cursor_says_where_to_go_on() {
        let slot = Slot::new(7).unwrap();
        let text = format!("abcdef-{{{}}}-95", tag_of(slot));
        let cursor = Cursor::parse(text.as_bytes()).unwrap();
        assert_eq!((cursor.slot, cursor.position), (slot, 95));
        for bad in ["1", "", "a-b", "a-{b}-", "a-{b}-+1", "a-{b}-x"] {
            assert_eq!(Cursor::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_pattern_that_names_its_slot_is_known() {
        let of = |text: &str| Some(Slot::of(text.as_bytes()));
        for (pattern, slot) in [
            ("key", of("key")),
            ("{tag}*", of("tag")),
            ("a{tag}[bc]", of("tag")),
            ("{}*", None),
            ("{}x", of("{}x")),
            ("{ta*}", None),
            ("*{tag}", None),
            ("k\\ey", None),
        ] {
            assert_eq!(slot_of_pattern(pattern.as_bytes()), slot, "{pattern}");
        }
    }
}
