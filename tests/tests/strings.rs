//! Commands of several strings: their replies are the same on any number of cores.

use larder_tests::inprocess::{Cluster, check};

#[test]
fn strings_are_set_and_read_wherever_they_live() {
    check(&[
        ("MSET a 1 b 2 c 3 d 4 e 5 a 6", "+OK"),
        (
            "MGET a b none c d e a",
            "*7 $1 6 $1 2 $-1 $1 3 $1 4 $1 5 $1 6",
        ),
        (
            "MSET a 1 b",
            "-ERR wrong number of arguments for 'mset' command",
        ),
        ("MGET a b", "*2 $1 6 $1 2"),
    ]);
}

#[test]
fn conditions_hold_for_all_keys_or_nothing_is_written() {
    check(&[
        ("MSETNX a 1 b 2 c 3", ":1"),
        ("MSETNX d 1 e 2 c 4", ":0"),
        ("MGET a b c d e", "*5 $1 1 $1 2 $1 3 $-1 $-1"),
        (
            "MSETNX d 1 e",
            "-ERR wrong number of arguments for 'msetnx' command",
        ),
        ("MSETEX 3 a 4 b 5 x 6 XX", ":0"),
        ("MSETEX 3 a 4 b 5 x 6 NX", ":0"),
        ("MSETEX 3 a 4 b 5 c 6 XX EX 100", ":1"),
        ("MGET a b c", "*3 $1 4 $1 5 $1 6"),
        ("TTL a", ":100"),
        ("TTL b", ":100"),
        ("TTL c", ":100"),
        ("MSETEX 2 a 1 b 2 KEEPTTL", ":1"),
        ("TTL b", ":100"),
        ("MSETEX 2 a 1 b 2", ":1"),
        ("TTL b", ":-1"),
        (
            "MSETEX 2 a 7 b 7 EX 0",
            "-ERR invalid expire time in 'msetex' command",
        ),
        (
            "MSETEX 2 a 7 b 7 PX x",
            "-ERR value is not an integer or out of range",
        ),
        ("MSETEX 3 a 7 b 7", "-ERR wrong number of key-value pairs"),
        ("MGET a b", "*2 $1 1 $1 2"),
        ("MSETEX 2 a 7 b 7 PXAT 5", ":1"),
        ("MGET a b", "*2 $-1 $-1"),
    ]);
}

#[test]
fn bits_of_several_strings_are_combined_in_the_order_given() {
    check(&[
        ("MSET a abc b ab c b d x", "+OK"),
        ("BITOP AND r a b c", ":3"),
        (r#"SET expected "`\x00\x00""#, "+OK"),
        ("BITOP XOR zero r expected", ":3"),
        ("BITCOUNT zero", ":0"),
        ("BITOP DIFF r a b", ":3"),
        ("BITOP DIFF1 s b a", ":3"),
        ("BITOP XOR zero r s", ":3"),
        ("BITCOUNT zero", ":0"),
        ("BITCOUNT r", ":4"),
        ("BITOP ANDOR r a b c d", ":3"),
        ("BITOP ONE r a b c d", ":3"),
        ("BITOP NOT r d", ":1"),
        (
            "BITOP NOT r a b",
            "-ERR BITOP NOT must be called with a single source key.",
        ),
        ("BITOP OR r none nil", ":0"),
        ("EXISTS r", ":0"),
    ]);
}

#[test]
fn subsequences_are_found_across_cores() {
    check(&[
        ("MSET k1 ohmytext k2 mynewtext", "+OK"),
        ("LCS k1 k2", "$6 mytext"),
        ("LCS k2 k1 LEN", ":6"),
        (
            "LCS k1 k2 IDX WITHMATCHLEN",
            "*4 $7 matches *2 *3 *2 :4 :7 *2 :5 :8 :4 *3 *2 :2 :3 *2 :0 :1 :2 $3 len :6",
        ),
        ("LCS k1 k2 FOO", "-ERR syntax error"),
        (
            "LCS k1 k2 LEN IDX",
            "-ERR If you want both the length and indexes, please just use IDX.",
        ),
        ("LCS k1 none", "$0"),
        ("LCS none k1", "$0"),
    ]);
}

#[test]
fn commands_behind_one_of_several_rounds_wait_for_it() {
    let mut server = Cluster::at_rest(4);
    let client = server.connect(0);
    let reply = server.run(
        client,
        "MSETNX a 1 b 2 c 3 d 4\r\nMGET a b c d\r\nBITOP OR e a b c d\r\nGET e",
    );
    assert_eq!(
        reply,
        ":1\r\n*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n:1\r\n$1\r\n7\r\n"
    );
}
