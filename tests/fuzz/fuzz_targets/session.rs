//! Whatever a client sends: the server does not panic, answers in whole replies, and does not care where it was cut.

#![no_main]

use larder_tests::inprocess::Cluster;
use larder_tests::resp::{self, ParseError};
use libfuzzer_sys::fuzz_target;

/// Commands that end, stop or slow the process, or answer with what differs from run to run.
const LEFT_OUT: &[&str] = &[
    "debug", "shutdown", "config", "client", "info", "memory", "slowlog", "latency", "monitor", "time", "hello",
    "randomkey", "object", "lolwut", "save", "rewriteaof", "lastsave", "wait", "spop", "setrange", "setbit", "bitfield",
    "acl", "cluster", "command",
];

/// Sends the bytes in two pieces to a server of its own; gives all it answers.
fn answers(first: &[u8], second: &[u8], cores: u16) -> Vec<u8> {
    let mut cluster = Cluster::new(cores, 1_700_000_000_000).expect("a few cores fit in memory");
    let client = cluster.connect(0);
    let mut output = cluster.send(client, first);
    if !second.is_empty() {
        output.extend(cluster.send(client, second));
    }
    output
}

fuzz_target!(|data: &[u8]| {
    let Some((&[cores, cut], sent)) = data.split_first_chunk::<2>() else { return };
    let lower = sent.to_ascii_lowercase();
    if LEFT_OUT.iter().any(|name| lower.windows(name.len()).any(|window| window == name.as_bytes())) {
        return;
    }
    let cores = [1, 2, 4][usize::from(cores) % 3];
    let whole = answers(sent, &[], cores);
    let mut rest = &whole[..];
    while !rest.is_empty() {
        match resp::parse(rest) {
            Ok((_, used)) => rest = &rest[used..],
            Err(ParseError::Incomplete) => panic!("half a reply: {:?}", String::from_utf8_lossy(rest)),
            Err(ParseError::Malformed(why)) => panic!("{why}"),
        }
    }
    let (first, second) = sent.split_at(usize::from(cut).min(sent.len()));
    assert_eq!(whole, answers(first, second, cores), "cut after {}", first.len());
});
