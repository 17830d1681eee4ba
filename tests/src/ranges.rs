//! Ranges of ids, scores and names whose ends are arbitrary bytes, as commands read them.
//!
//! Every command that takes the two ends must understand them alike: forwards, backwards, counted and removed. Where this file's own,
//! simple reading understands them, it must be so, too, and what is in between is what a list has there.

use std::str::from_utf8;

use crate::Outcome;
use crate::inprocess::{Client, Cluster};
use crate::resp::Reply;

const END_MAX_BYTES: usize = 40;
/// With so many more members a set is large.
const FILLERS: usize = 200;

/// A command that takes a range, as its words before the ends and those behind them.
type Form = (&'static [&'static str], &'static [&'static str]);

/// The commands of one kind of range.
struct Forms {
    /// They answer what is in the range, in order.
    forwards: &'static [Form],
    /// They take the ends the other way round, and answer it in the other order.
    backwards: &'static [Form],
    /// They answer how many are in it; the last removes them.
    counting: &'static [Form],
}

const OF_IDS: Forms = Forms {
    forwards: &[(&["XRANGE", "k"], &[])],
    backwards: &[(&["XREVRANGE", "k"], &[])],
    counting: &[],
};

const OF_SCORES: Forms = Forms {
    forwards: &[
        (&["ZRANGEBYSCORE", "k"], &[]),
        (&["ZRANGE", "k"], &["BYSCORE"]),
    ],
    backwards: &[
        (&["ZREVRANGEBYSCORE", "k"], &[]),
        (&["ZRANGE", "k"], &["BYSCORE", "REV"]),
    ],
    counting: &[
        (&["ZCOUNT", "k"], &[]),
        (&["ZRANGESTORE", "d", "k"], &["BYSCORE"]),
        (&["ZREMRANGEBYSCORE", "k"], &[]),
    ],
};

const OF_NAMES: Forms = Forms {
    forwards: &[(&["ZRANGEBYLEX", "k"], &[]), (&["ZRANGE", "k"], &["BYLEX"])],
    backwards: &[
        (&["ZREVRANGEBYLEX", "k"], &[]),
        (&["ZRANGE", "k"], &["BYLEX", "REV"]),
    ],
    counting: &[
        (&["ZLEXCOUNT", "k"], &[]),
        (&["ZRANGESTORE", "d", "k"], &["BYLEX"]),
        (&["ZREMRANGEBYLEX", "k"], &[]),
    ],
};

/// An end as this file reads it: what it lies at, and whether that is in the range.
#[derive(Debug, Clone, PartialEq)]
struct End<T> {
    at: T,
    is_in: bool,
}

/// Adds members made of `data` to a stream or a sorted set, and has all commands that take a range take two ends made of it.
///
/// # Errors
/// Two commands do not agree, or one answers something else than what is there.
pub fn check(data: &[u8]) -> Outcome<()> {
    let Some((&[kind, low, high], rest)) = data.split_first_chunk::<3>() else {
        return Ok(());
    };
    let mut rest = rest;
    let mut end = |length: u8| {
        let at = rest.len().min(usize::from(length) % END_MAX_BYTES);
        let (end, behind) = rest.split_at(at);
        rest = behind;
        end
    };
    let ends = [end(low), end(high)];
    let fillers = if kind & 0x80 == 0 { 0 } else { FILLERS };
    let mut cluster = Cluster::new(1, 1_700_000_000_000)?;
    let client = cluster.connect(0);
    let server = &mut (&mut cluster, client);
    match kind % 3 {
        0 => of_ids(server, ends, rest, fillers),
        1 => of_scores(server, ends, rest, fillers),
        _ => of_names(server, ends, rest, fillers),
    }
}

/// A server and a connection to it.
type Server<'a> = (&'a mut Cluster, Client);

fn call(server: &mut Server<'_>, words: &[&[u8]]) -> Outcome<Reply> {
    server.0.call(server.1, words)
}

fn of_ids(server: &mut Server<'_>, ends: [&[u8]; 2], rest: &[u8], fillers: usize) -> Outcome<()> {
    // Small numbers, and the greatest.
    let part = |byte: u8| match byte {
        0..0xf0 => u64::from(byte),
        _ => u64::MAX - u64::from(0xff - byte),
    };
    let mut ids: Vec<(u64, u64)> = rest
        .chunks_exact(2)
        .map(|pair| (part(pair[0]), part(pair[1])))
        .filter(|id| *id != (0, 0))
        .chain((0..fillers).map(|number| (100, number as u64)))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    for (ms, seq) in &ids {
        let id = format!("{ms}-{seq}");
        let added = call(server, &[b"XADD", b"k", id.as_bytes(), b"f", b"v"])?;
        if added.bytes() != Some(id.as_bytes()) {
            return Err(format!("XADD {id}: {:?}", added.lines()));
        }
    }
    let read = |text: &[u8], missing| -> Option<End<(u64, u64)>> {
        let number = |text: &str| text.parse().ok().filter(|_| is_canonical(text));
        let text = from_utf8(text).ok()?;
        let (text, is_in) = match text.strip_prefix('(') {
            Some(text) => (text, false),
            None => (text, true),
        };
        let at = match text.split_once('-') {
            _ if text == "-" && is_in => (0, 0),
            _ if text == "+" && is_in => (u64::MAX, u64::MAX),
            Some((ms, seq)) => (number(ms)?, number(seq)?),
            None => (number(text)?, missing),
        };
        // Nothing lies beyond, which is an error.
        let is_beyond = at == (missing, missing) && !is_in;
        (!is_beyond).then_some(End { at, is_in })
    };
    let range = read(ends[0], 0).zip(read(ends[1], u64::MAX));
    let expected = range.map(|(low, high)| {
        let is_in = |id: &&(u64, u64)| {
            (**id > low.at || low.is_in && **id == low.at)
                && (**id < high.at || high.is_in && **id == high.at)
        };
        let ids = ids.iter().filter(is_in);
        ids.map(|(ms, seq)| format!("{ms}-{seq}").into_bytes())
            .collect()
    });
    agree(server, &OF_IDS, ends, expected)
}

fn is_canonical(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn of_scores(
    server: &mut Server<'_>,
    ends: [&[u8]; 2],
    rest: &[u8],
    fillers: usize,
) -> Outcome<()> {
    let given = rest.chunks_exact(2).map(|pair| {
        let score = match pair[0] {
            0xff => f64::INFINITY,
            0xfe => f64::NEG_INFINITY,
            0xfd => f64::MIN_POSITIVE,
            byte => (f64::from(byte) - 100.0) / 4.0,
        };
        (score, format!("m{}", pair[1]))
    });
    let fillers = (0..fillers).map(|number| (number as f64 / 8.0, format!("filler{number}")));
    let mut members: Vec<(f64, String)> = given.chain(fillers).collect();
    // The last score of a member counts.
    members.reverse();
    let mut seen = std::collections::BTreeSet::new();
    members.retain(|(_, name)| seen.insert(name.clone()));
    members.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    for (score, name) in &members {
        let score = score.to_string();
        call(server, &[b"ZADD", b"k", score.as_bytes(), name.as_bytes()])?;
    }
    let read = |text: &[u8]| -> Option<End<f64>> {
        let text = from_utf8(text).ok()?;
        let (text, is_in) = match text.strip_prefix('(') {
            Some(text) => (text, false),
            None => (text, true),
        };
        let at: f64 = text.parse().ok()?;
        (!at.is_nan()).then_some(End { at, is_in })
    };
    let range = read(ends[0]).zip(read(ends[1]));
    let expected = range.map(|(low, high)| {
        let is_in = |score: f64| {
            (score > low.at || low.is_in && score == low.at)
                && (score < high.at || high.is_in && score == high.at)
        };
        let members = members.iter().filter(|(score, _)| is_in(*score));
        members.map(|(_, name)| name.clone().into_bytes()).collect()
    });
    agree(server, &OF_SCORES, ends, expected)
}

fn of_names(server: &mut Server<'_>, ends: [&[u8]; 2], rest: &[u8], fillers: usize) -> Outcome<()> {
    let given = rest.split(|byte| *byte == b' ').map(<[u8]>::to_vec);
    let fillers = (0..fillers).map(|number| format!("filler{number}").into_bytes());
    let mut names: Vec<Vec<u8>> = given.chain(fillers).collect();
    names.sort();
    names.dedup();
    for name in &names {
        call(server, &[b"ZADD", b"k", b"0", name])?;
    }
    // All that begins with neither a bracket nor a sign is none. The signs lie before and behind all names.
    let is_above = |name: &[u8], end: &[u8]| match end.split_first() {
        Some((b'[', at)) => Some(name >= at),
        Some((b'(', at)) => Some(name > at),
        _ if end == b"-" => Some(true),
        _ if end == b"+" => Some(false),
        _ => None,
    };
    let is_below = |name: &[u8], end: &[u8]| match end.split_first() {
        Some((b'[', at)) => Some(name <= at),
        Some((b'(', at)) => Some(name < at),
        _ if end == b"-" => Some(false),
        _ if end == b"+" => Some(true),
        _ => None,
    };
    let are_read = is_above(b"", ends[0]).zip(is_below(b"", ends[1])).is_some();
    let expected = are_read.then(|| {
        let is_in = |name: &&Vec<u8>| {
            is_above(name, ends[0]) == Some(true) && is_below(name, ends[1]) == Some(true)
        };
        names.iter().filter(is_in).cloned().collect()
    });
    agree(server, &OF_NAMES, ends, expected)
}

/// Has all commands take the range: they answer `expected`, or, where this file does not know, all the same, be it an error.
fn agree(
    server: &mut Server<'_>,
    forms: &Forms,
    [low, high]: [&[u8]; 2],
    mut expected: Option<Vec<Vec<u8>>>,
) -> Outcome<()> {
    let is_known = expected.is_some();
    let mut error = None;
    for (all, is_backwards) in [(forms.forwards, false), (forms.backwards, true)] {
        for form in all {
            let ends = if is_backwards {
                [high, low]
            } else {
                [low, high]
            };
            let mut found = members_of(&ask(server, form, ends)?);
            if let (Ok(found), true) = (&mut found, is_backwards) {
                found.reverse();
            }
            match (found, &mut expected, &mut error) {
                (Ok(found), Some(expected), _) if found == *expected => {}
                (Ok(found), expected @ None, None) => *expected = Some(found),
                (Err(why), None, error @ None) if !is_known => *error = Some(why),
                (Err(_), None, Some(_)) => {}
                (found, expected, _) => {
                    return Err(told(form, ends, &format!("{found:?}, not {expected:?}")));
                }
            }
        }
    }
    for form in forms.counting {
        let reply = ask(server, form, [low, high])?;
        let is_right = match (&reply, &expected) {
            (Reply::Integer(count), Some(expected)) => *count == expected.len() as i64,
            (Reply::Error(_), None) => true,
            _ => false,
        };
        if !is_right {
            return Err(told(
                form,
                [low, high],
                &format!("{reply:?}, not {expected:?}"),
            ));
        }
    }
    Ok(())
}

fn ask(server: &mut Server<'_>, (before, behind): &Form, ends: [&[u8]; 2]) -> Outcome<Reply> {
    let words = before.iter().map(|word| word.as_bytes());
    let words: Vec<&[u8]> = words
        .chain(ends)
        .chain(behind.iter().map(|word| word.as_bytes()))
        .collect();
    call(server, &words)
}

/// The members of an array, of entries their ids; or the error.
fn members_of(reply: &Reply) -> Result<Vec<Vec<u8>>, String> {
    let Reply::Array(items) = reply else {
        return Err(reply.lines().join(" "));
    };
    let of_item = |item: &Reply| match item {
        Reply::Array(entry) => entry.first().and_then(Reply::bytes).map(<[u8]>::to_vec),
        item => item.bytes().map(<[u8]>::to_vec),
    };
    let members = items.iter().map(of_item).collect::<Option<_>>();
    members.ok_or_else(|| reply.lines().join(" "))
}

fn told((before, behind): &Form, ends: [&[u8]; 2], what: &str) -> String {
    let ends = ends.map(crate::quoting::escape);
    format!(
        "{before:?} \"{}\" \"{}\" {behind:?}: {what}",
        ends[0], ends[1]
    )
}
