//! Replies that are too large: a command that would write one is refused before it has changed anything.

use crate::command::families::testing::Bench;
use crate::resp::with_replies_of;

/// A bench with a stream of ten entries of some hundred bytes, a group that has been given four of them, and a second stream.
fn bench() -> Bench {
    let mut bench = Bench::new();
    let value = "x".repeat(100);
    for stream in ["s", "t"] {
        for number in 1..=10 {
            bench.run(&format!("XADD {stream} {number} field {value}"));
        }
        bench.run(&format!("XGROUP CREATE {stream} g 0"));
        bench.run(&format!(
            "XREADGROUP GROUP g one COUNT 4 STREAMS {stream} >"
        ));
    }
    for number in 0..30 {
        bench.run(&format!("XGROUP CREATE s group:{number} 0"));
        bench.run(&format!(
            "XREADGROUP GROUP g consumer:{number} COUNT 0 STREAMS t 0"
        ));
    }
    for number in 0..30 {
        bench.run(&format!(
            "XCLAIM t g consumer:{number} 0 1 2 3 4 5 JUSTID FORCE"
        ));
    }
    bench.advance(1000);
    bench
}

const REFUSED: &str = "the reply exceeds the maximum allowed size";

#[test]
fn a_reply_that_would_be_too_large_changes_nothing() {
    for (command, most) in [
        ("XRANGE s - +", 500),
        ("XREVRANGE s + -", 500),
        ("XREAD STREAMS s 0", 500),
        ("XREAD STREAMS s t 0 0", 2000),
        ("XREADGROUP GROUP g two STREAMS s >", 500),
        ("XREADGROUP GROUP g two STREAMS s t > >", 1200),
        ("XREADGROUP GROUP g two NOACK STREAMS s t > >", 1200),
        ("XREADGROUP GROUP g one STREAMS s 0", 300),
        ("XREADGROUP GROUP g two CLAIM 0 COUNT 4 STREAMS s >", 300),
        ("XREADGROUP GROUP g two CLAIM 0 STREAMS s >", 1000),
        ("XCLAIM s g two 0 1 2 3 4", 300),
        ("XCLAIM s g two 0 1 1 1 1 LASTID 9", 300),
        ("XAUTOCLAIM s g two 0 0", 300),
        ("XAUTOCLAIM s g two 0 0 JUSTID", 30),
        ("XPENDING s g", 40),
        ("XPENDING s g - + 10", 50),
        ("XINFO STREAM s FULL", 500),
        ("XINFO STREAM s FULL COUNT 1", 1000),
        ("XINFO STREAM t FULL COUNT 1", 1000),
        ("XINFO GROUPS s", 500),
        ("XINFO CONSUMERS t g", 500),
    ] {
        let mut bench = bench();
        let told = |bench: &mut Bench| {
            ["s", "t"].map(|stream| bench.run(&format!("XINFO STREAM {stream} FULL COUNT 0")))
        };
        let (before, changes) = (told(&mut bench), bench.changes());
        let reply = with_replies_of(most, || bench.run(command));
        assert!(reply.contains(REFUSED), "{command}: {reply}");
        assert_eq!(told(&mut bench), before, "{command}");
        assert_eq!(bench.changes(), changes, "{command}");
        let reply = bench.run(command);
        assert!(!reply.contains(REFUSED), "{command}: {reply}");
    }
}

#[test]
fn an_entry_that_is_claimed_twice_by_one_command_is_found_as_it_is_by_then() {
    Bench::new().check(&[
        ("XADD s 1 a 1", "\"1-0\""),
        ("XGROUP CREATE s g 0", "OK"),
        (
            "XREADGROUP GROUP g one STREAMS s >",
            "[[\"s\", [[\"1-0\", [\"a\", \"1\"]]]]]",
        ),
        (
            "XCLAIM s g two 0 1 1 JUSTID RETRYCOUNT 7",
            "[\"1-0\", \"1-0\"]",
        ),
        (
            "XCLAIM s g two 0 1 1",
            "[[\"1-0\", [\"a\", \"1\"]], [\"1-0\", [\"a\", \"1\"]]]",
        ),
        ("XPENDING s g - + 9", "[[\"1-0\", \"two\", 0, 9]]"),
        ("XCLAIM s g two 1 1 1 TIME 0", "[]"),
        ("XDEL s 1", "1"),
        ("XCLAIM s g two 0 1 1", "[]"),
        ("XPENDING s g - + 9", "[]"),
    ]);
}

#[test]
fn a_stream_that_is_named_twice_is_read_on_from_what_was_given_before() {
    Bench::new().check(&[
        ("XADD s 1 a 1", "\"1-0\""),
        ("XADD s 2 a 2", "\"2-0\""),
        ("XGROUP CREATE s g 0", "OK"),
        (
            "XREADGROUP GROUP g one COUNT 1 STREAMS s s s > > >",
            "[[\"s\", [[\"1-0\", [\"a\", \"1\"]]]], [\"s\", [[\"2-0\", [\"a\", \"2\"]]]]]",
        ),
    ]);
}

#[test]
fn the_greatest_id_says_what_is_new_to_a_group() {
    Bench::new().check(&[
        ("XADD s 1 a 1", "\"1-0\""),
        ("XGROUP CREATE s g 0", "OK"),
        (
            "XREADGROUP GROUP g one STREAMS s 18446744073709551615-18446744073709551615",
            "[[\"s\", [[\"1-0\", [\"a\", \"1\"]]]]]",
        ),
        (
            "XREADGROUP GROUP g one STREAMS s 18446744073709551615-18446744073709551615",
            "nil",
        ),
        ("XPENDING s g - + 9", "[[\"1-0\", \"one\", 0, 1]]"),
    ]);
}

#[test]
fn identifiers_that_have_been_kept_for_long_enough_are_no_more_than_forgotten_ones() {
    let mut bench = Bench::new();
    bench.configure("stream-idmp-duration", "5");
    bench.configure("stream-idmp-maxsize", "3");
    for number in 0..200 {
        bench.run(&format!("XADD s IDMP p{number} i * a {number}"));
    }
    let tracked = |bench: &mut Bench| {
        let told = bench.run("XINFO STREAM s");
        let at = told.find("pids-tracked").unwrap() + "pids-tracked\", ".len();
        told[at..]
            .split(',')
            .next()
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    assert!(
        bench
            .run("XINFO STREAM s")
            .contains("\"idmp-duration\", 5, \"idmp-maxsize\", 3")
    );
    assert_eq!(tracked(&mut bench), 200);
    bench.advance(4000);
    let first = bench.run("XRANGE s - + COUNT 1");
    let again = bench.run("XADD s IDMP p199 i * a again");
    assert!(!first.contains(&again));
    assert_eq!(
        (bench.run("XLEN s"), tracked(&mut bench)),
        ("200".to_owned(), 200)
    );
    bench.advance(2000);
    // Those of all have ended: some are forgotten with each command, and what was not yet is found to have ended.
    bench.run("XADD s IDMP p199 i * a 200");
    assert_eq!(bench.run("XLEN s"), "201");
    let left = tracked(&mut bench);
    assert!((150..200).contains(&left), "{left}");
    for number in 0..20 {
        bench.run(&format!("XADD s IDMP q i{number} * a b"));
    }
    assert_eq!(tracked(&mut bench), 2);
}

#[test]
fn xidmprecord_notes_the_entry_of_a_message() {
    Bench::new().check(&[
        ("XIDMPRECORD s p i 1-1", "ERR no such key"),
        ("XADD s 1-1 a 1", "\"1-1\""),
        ("XADD s 1-2 a 2", "\"1-2\""),
        ("XIDMPRECORD s p i 1-3", "ERR No such message in stream"),
        (
            "XIDMPRECORD s '' i 1-1",
            "ERR producer ID must be non-empty",
        ),
        (
            "XIDMPRECORD s p '' 1-1",
            "ERR idempotent ID must be non-empty",
        ),
        (
            "XIDMPRECORD s p i x",
            "ERR Invalid stream ID specified as stream command argument",
        ),
        ("XIDMPRECORD s p i 1-1", "OK"),
        ("XIDMPRECORD s p i 1-1", "OK"),
        (
            "XIDMPRECORD s p i 1-2",
            "ERR IID already exists for this producer with a different stream ID",
        ),
        ("SET t x", "OK"),
        (
            "XIDMPRECORD t p i 1-1",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
}
