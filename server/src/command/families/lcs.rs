//! `LCS`: the longest common subsequence of two strings.
//!
//! By the table of Wagner and Fischer (JACM 1974): cell (i, j) is the length of the longest common subsequence of the
//! first i bytes of one and the first j of the other. Time and memory grow with the product of the lengths, which
//! `proto-max-bulk-len` bounds, as in Redis. Of several longest subsequences the one is taken that Redis takes: from the
//! ends back, a step in the second string unless the first promises more. For `LEN` alone two rows of the table do.
//!
//! With the keys on two cores: the second string is fetched, and the first key's core does the rest.

use crate::command::families::fetch::{self, Fetched};
use crate::command::{
    Args, Category, CommandSpec, CoreCall, CoreRequest, Flags, Group, KeyFlags, KeySpec, Keys,
    Round, Rounds, Run, ShardCall, Spread,
};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};
use larder_engine::Access;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "lcs",
    arity: -3,
    flags: Flags::READONLY,
    categories: &[Category::String],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access()).to(1)]),
    group: Group::String,
    since: "7.0.0",
    syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    summary: "Finds the longest common subsequence of two string values.",
    complexity: "O(N*M) where N and M are the lengths of the two strings",
    run: Run::FanOut {
        together: lcs,
        spread: Spread::Rounds(lcs_rounds),
    },
    ..CommandSpec::BASE
}];

/// What is wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    /// `LEN`: the length.
    len: bool,
    /// `IDX`: the ranges that match.
    idx: bool,
    /// `MINMATCHLEN`: those of at least this length.
    min_match_len: u64,
    /// `WITHMATCHLEN`: with their lengths.
    with_match_len: bool,
}

impl Options {
    fn parse(args: &Args<'_>, from: usize) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        let mut at = from;
        while at < args.len() {
            if args.is(at, "IDX") {
                options.idx = true;
            } else if args.is(at, "LEN") {
                options.len = true;
            } else if args.is(at, "WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args.is(at, "MINMATCHLEN") && at + 1 < args.len() {
                at += 1;
                options.min_match_len = u64::try_from(args.integer(at)?).unwrap_or(0);
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        if options.len && options.idx {
            return Err(errors::LCS_LEN_AND_IDX);
        }
        Ok(options)
    }
}

/// Answers for strings `a` and `b`.
fn answer(
    a: &[u8],
    b: &[u8],
    options: Options,
    bytes_max: usize,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    if cells * size_of::<u32>() as u128 > bytes_max as u128 {
        return Err(errors::LCS_TOO_LARGE);
    }
    if options.len {
        reply.count(length(a, b).into());
        return Ok(());
    }
    let table = Table::build(a, b);
    if !options.idx {
        let mut common = Vec::with_capacity(table.length() as usize);
        table.walk(|i, _| common.push(a[i]));
        common.reverse();
        reply.bulk(&common);
        return Ok(());
    }
    let mut matches = table.matches();
    matches.retain(|found| found.len as u64 >= options.min_match_len);
    reply.map(2);
    reply.text("matches");
    reply.array(matches.len());
    for Match { a, b, len } in matches {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for start in [a, b] {
            reply.array(2);
            reply.count(start as u64);
            reply.count((start + len - 1) as u64);
        }
        if options.with_match_len {
            reply.count(len as u64);
        }
    }
    reply.text("len");
    reply.count(table.length().into());
    Ok(())
}

/// The length of the longest common subsequence.
fn length(a: &[u8], b: &[u8]) -> u32 {
    let mut row = vec![0u32; b.len() + 1];
    for &byte in a {
        let mut diagonal = 0;
        for (j, &other) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if byte == other {
                diagonal + 1
            } else {
                above.max(row[j])
            };
            diagonal = above;
        }
    }
    row[b.len()]
}

/// Bytes of one string that are those of the other, at `a` and `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    cells: Vec<u32>,
}

impl<'a> Table<'a> {
    fn build(a: &'a [u8], b: &'a [u8]) -> Self {
        let width = b.len() + 1;
        let mut cells = vec![0u32; (a.len() + 1) * width];
        for (i, &byte) in a.iter().enumerate() {
            let (before, rest) = cells.split_at_mut((i + 1) * width);
            let above = &before[i * width..];
            let row = &mut rest[..width];
            for (j, &other) in b.iter().enumerate() {
                row[j + 1] = if byte == other {
                    above[j] + 1
                } else {
                    above[j + 1].max(row[j])
                };
            }
        }
        Self { a, b, cells }
    }

    fn cell(&self, i: usize, j: usize) -> u32 {
        self.cells[i * (self.b.len() + 1) + j]
    }

    fn length(&self) -> u32 {
        self.cell(self.a.len(), self.b.len())
    }

    /// Visits the places of the subsequence's bytes in both strings, the last first.
    fn walk(&self, mut visit: impl FnMut(usize, usize)) {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        while i > 0 && j > 0 {
            if self.a[i - 1] == self.b[j - 1] {
                i -= 1;
                j -= 1;
                visit(i, j);
            } else if self.cell(i - 1, j) > self.cell(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }

    /// The subsequence as ranges, the last first.
    fn matches(&self) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        self.walk(|i, j| match matches.last_mut() {
            Some(last) if last.a == i + 1 && last.b == j + 1 => {
                *last = Match {
                    a: i,
                    b: j,
                    len: last.len + 1,
                };
            }
            _ => matches.push(Match { a: i, b: j, len: 1 }),
        });
        matches
    }
}

fn lcs(call: &mut ShardCall<'_>) -> CommandResult {
    // Both are looked up before either's type is looked at.
    let mut values = [Some(Vec::new()), Some(Vec::new())];
    for (at, value) in values.iter_mut().enumerate() {
        let key = call.key(1 + at);
        let entry = call.shard.read(call.db, key, call.access);
        call.stats
            .count_lookup((call.db, key.bytes()), entry.is_some());
        if let Some(entry) = entry {
            *value = entry.string().map(<[u8]>::to_vec);
        }
    }
    let [Some(a), Some(b)] = values else {
        return Err(errors::LCS_NOT_STRINGS);
    };
    let options = Options::parse(&call.args, 3)?;
    let bytes_max = call.config.proto_max_bulk_bytes;
    answer(&a, &b, options, bytes_max, &mut call.reply)
}

/// `LCS` whose keys live on two cores.
struct Apart {
    state: State,
    first: CoreId,
    second: CoreId,
    /// All arguments of the command.
    args: Vec<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum State {
    Begun,
    Fetched,
    Answered,
}

fn lcs_rounds(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Box::new(Apart {
        state: State::Begun,
        first: slots.core_of(args.at(1)),
        second: slots.core_of(args.at(2)),
        args: args.iter_from(0).map(<[u8]>::to_vec).collect(),
    }))
}

impl Rounds for Apart {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match (self.state, answers) {
            (State::Begun, _) => {
                self.state = State::Fetched;
                Ok(Round::Ask(vec![CoreRequest {
                    core: self.second,
                    run: fetch::strings,
                    args: vec![self.args[2].clone()],
                }]))
            }
            (State::Fetched, [fetched]) => {
                self.args[2] = match fetch::fetched(fetched)?.next() {
                    Some(Fetched::String(value)) => value.to_vec(),
                    Some(Fetched::Missing) => Vec::new(),
                    _ => return Err(errors::LCS_NOT_STRINGS),
                };
                self.state = State::Answered;
                Ok(Round::Ask(vec![CoreRequest {
                    core: self.first,
                    run: answer_there,
                    args: std::mem::take(&mut self.args),
                }]))
            }
            (State::Answered, [answered]) => {
                reply.raw(fetch::outcome(answered)?);
                Ok(Round::Done)
            }
            _ => unreachable!("every question has one answer"),
        }
    }
}

/// The command's arguments, with the second string in the place of its key; answers the reply.
fn answer_there(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    if let Some(reader) = call.reader {
        core.remember_key(call.args.at(1), reader);
    }
    let key = core.shard.hasher().key(call.args.at(1));
    let value = match core.shard.read(call.db, key, Access::Touch) {
        Some(entry) => {
            core.stats.count_lookup((call.db, key.bytes()), true);
            entry.string().ok_or(errors::LCS_NOT_STRINGS)
        }
        None => {
            core.stats.count_lookup((call.db, key.bytes()), false);
            Ok(&b""[..])
        }
    };
    let mut text = Vec::new();
    let answered = value.and_then(|a| {
        let options = Options::parse(&call.args, 3)?;
        let bytes_max = core.config.proto_max_bulk_bytes;
        let mut reply = Reply::new(&mut text, call.protocol);
        answer(a, call.args.at(2), options, bytes_max, &mut reply)
    });
    match answered {
        Ok(()) => {
            fetch::succeed(call.out);
            call.out.extend_from_slice(&text);
        }
        Err(error) => fetch::fail(call.out, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, length};
    use crate::command::families::testing::{Bench, check};
    use proptest::prelude::*;

    #[test]
    fn the_subsequence_its_length_and_its_ranges_are_those_of_redis() {
        check(&[
            ("MSET k1 ohmytext k2 mynewtext", "OK"),
            ("LCS k1 k2", "\"mytext\""),
            ("LCS k1 k2 LEN", "6"),
            (
                "LCS k1 k2 IDX",
                r#"["matches", [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], "len", 6]"#,
            ),
            (
                "LCS k1 k2 idx MINMATCHLEN 4",
                r#"["matches", [[[4, 7], [5, 8]]], "len", 6]"#,
            ),
            (
                "LCS k1 k2 IDX MINMATCHLEN 4 WITHMATCHLEN",
                r#"["matches", [[[4, 7], [5, 8], 4]], "len", 6]"#,
            ),
            (
                "LCS k1 k2 IDX MINMATCHLEN -4 WITHMATCHLEN",
                r#"["matches", [[[4, 7], [5, 8], 4], [[2, 3], [0, 1], 2]], "len", 6]"#,
            ),
            ("LCS k1 none", "\"\""),
            ("LCS none none IDX", r#"["matches", [], "len", 0]"#),
        ]);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let mut bench = Bench::new();
        bench.check(&[
            (
                "LCS a b LEN IDX",
                "ERR If you want both the length and indexes, please just use IDX.",
            ),
            ("LCS a b FOO", "ERR syntax error"),
            ("LCS a b MINMATCHLEN", "ERR syntax error"),
            (
                "LCS a b MINMATCHLEN x",
                "ERR value is not an integer or out of range",
            ),
            ("SETRANGE a 600 x", "601"),
            ("SETRANGE b 600 x", "601"),
        ]);
        bench.configure("proto-max-bulk-len", "1mb");
        const TOO_LARGE: &str =
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        bench.check(&[("LCS a b LEN", TOO_LARGE), ("LCS a b", TOO_LARGE)]);
    }

    fn is_subsequence(of: &[u8], bytes: &[u8]) -> bool {
        let mut rest = of.iter();
        bytes.iter().all(|byte| rest.any(|other| other == byte))
    }

    proptest! {
        #[test]
        fn what_is_found_is_common_and_as_long_as_said(
            a in prop::collection::vec(b'a'..b'd', 0..30), b in prop::collection::vec(b'a'..b'd', 0..30),
        ) {
            let table = Table::build(&a, &b);
            let mut common = Vec::new();
            table.walk(|i, j| {
                assert_eq!(a[i], b[j]);
                common.push(a[i]);
            });
            common.reverse();
            prop_assert_eq!(common.len() as u32, table.length());
            prop_assert_eq!(length(&a, &b), table.length());
            prop_assert!(is_subsequence(&a, &common) && is_subsequence(&b, &common));
            let total: usize = table.matches().iter().map(|found| found.len).sum();
            prop_assert_eq!(total, common.len());
        }
    }
}
