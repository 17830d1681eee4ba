//! Values that a running server makes, dumps and restores.

use std::path::PathBuf;

use super::Plain;
use super::golden::Golden;
use crate::client::Client;
use crate::resp::Reply;
use crate::{Outcome, tools};

/// How a value is made: its name, and commands on key `k`. A server that lacks the last one's leaves it out.
pub type Recipe = (&'static str, &'static [&'static str]);

/// Sent before each: the thresholds of all.
const THRESHOLDS: &[&str] = &[
    "DEL k",
    "CONFIG SET rdbcompression yes",
    "CONFIG SET list-max-listpack-size -2",
    "CONFIG SET list-compress-depth 0",
    "CONFIG SET hash-max-listpack-entries 128",
    "CONFIG SET hash-max-listpack-value 64",
    "CONFIG SET zset-max-listpack-entries 128",
    "CONFIG SET set-max-intset-entries 512",
];

/// A value of every type in every form that servers write, and of every form of element. The last one changes what a server
/// does with later lists.
pub const RECIPES: &[Recipe] = &[
    ("a small number", &["SET k -7"]),
    ("a number of 32 bits", &["SET k 2147483647"]),
    ("a number of 64 bits", &["SET k -9223372036854775808"]),
    ("a string", &["SET k \"a\\x00b\\xff\\r\\n\""]),
    ("a packed string", &["SETRANGE k 100 x"]),
    (
        "a small list",
        &[
            "RPUSH k a b \"\" 0 127 128 -1 4095 -4096 4096 -32768 32768 -40000 8388607 -8388609 2147483647 2147483648 9223372036854775807 007",
        ],
    ),
    (
        "a small list that is not packed",
        &[
            "CONFIG SET rdbcompression no",
            "RPUSH k some strings that are not packed 1 22 333 4444 55555",
        ],
    ),
    (
        "a list of several nodes",
        &[
            "CONFIG SET list-max-listpack-size 3",
            "RPUSH k a b c d e f g 8",
        ],
    ),
    (
        "a list of nodes packed in memory",
        &[
            "CONFIG SET list-max-listpack-size 3",
            "CONFIG SET list-compress-depth 1",
            "RPUSH k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c d e ffffffffffffffffffffffffffffffffffffffffffffffffffffffffff ffffffffffffffffffffffffffffffffffffffffffffffffffffffffff h i j k",
        ],
    ),
    (
        "a list of long elements",
        &[
            "SETRANGE x 4200 x",
            "EVAL \"redis.call('RPUSH', KEYS[1], redis.call('GET', KEYS[2]), string.rep('y', 63), string.rep('y', 64), string.rep('y', 4095))\" 2 k x",
            "DEL x",
        ],
    ),
    (
        "a list of an element larger than a node",
        &["EVAL \"redis.call('RPUSH', KEYS[1], 'a', string.rep('y', 9000), 'b')\" 1 k"],
    ),
    (
        "a small hash",
        &[
            "HSET k a 1 b \"\" \"\" c 1000000 -5 long xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ],
    ),
    (
        "a small hash that is not packed",
        &[
            "CONFIG SET rdbcompression no",
            "HSET k name value number 12345 another field",
        ],
    ),
    (
        "a large hash",
        &[
            "CONFIG SET hash-max-listpack-entries 2",
            "HSET k a 1 b \"\" 300 100000 d 2147483648",
        ],
    ),
    (
        "a hash of a long value",
        &[
            "HSET k a 1 b xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ],
    ),
    (
        "a small hash with deadlines",
        &[
            "HSET k a 1 b 2 c 3 d 4",
            "HPEXPIREAT k 9999999999999 FIELDS 1 c",
            "HPEXPIREAT k 9999999990000 FIELDS 1 b",
        ],
    ),
    (
        "a large hash with deadlines",
        &[
            "CONFIG SET hash-max-listpack-entries 2",
            "HSET k a 1 b 2 c 3 d 4",
            "HPEXPIREAT k 9999999999999 FIELDS 1 c",
            "HPEXPIREAT k 9999999990000 FIELDS 1 b",
        ],
    ),
    (
        "a small hash that had deadlines",
        &[
            "HSET k a 1 b 2 c 3",
            "HPEXPIREAT k 9999999999999 FIELDS 1 c",
            "HPERSIST k FIELDS 1 c",
        ],
    ),
    (
        "a large hash that had deadlines",
        &[
            "CONFIG SET hash-max-listpack-entries 2",
            "HSET k a 1 b 2 c 3",
            "HPEXPIREAT k 9999999999999 FIELDS 1 c",
            "HPERSIST k FIELDS 1 c",
        ],
    ),
    ("a set of numbers of 16 bits", &["SADD k 1 -3 300"]),
    ("a set of numbers of 32 bits", &["SADD k 1 -3 70000"]),
    (
        "a set of numbers of 64 bits",
        &["SADD k 1 -3 -9223372036854775808"],
    ),
    ("a small set", &["SADD k a 1 \"\" 300"]),
    (
        "a large set",
        &[
            "CONFIG SET set-max-intset-entries 1",
            "SADD k 5 6 7 -128 100000 8 9 10 11 12 13 14 15 16 17 18 19 20",
            "SADD k a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ],
    ),
    (
        "a small sorted set",
        &["ZADD k 1 a 1.5 b -inf c +inf d 3.0000000000000004 \"\" 100000 300 -1e300 e"],
    ),
    (
        "a large sorted set",
        &[
            "CONFIG SET zset-max-listpack-entries 2",
            "ZADD k 1 a 1.5 b -inf c +inf d 3.0000000000000004 \"\" 100000 300",
        ],
    ),
    (
        "a list of plain nodes",
        &[
            "DEBUG QUICKLIST-PACKED-THRESHOLD 5b",
            "RPUSH k a large large a b large 1234567",
        ],
    ),
];

/// Values too large to be kept.
pub const LARGE_RECIPES: &[Recipe] = &[
    (
        "a small hash of a value whose entry has a length of 14 ones",
        &[
            "CONFIG SET hash-max-listpack-value 20000",
            "EVAL \"redis.call('HSET', KEYS[1], 'a', string.rep('v', 16378), 'b', 1)\" 1 k",
        ],
    ),
    (
        "a list of many nodes",
        &[
            "EVAL \"for n = 1, 5000 do redis.call('RPUSH', KEYS[1], n * n, 'element ' .. n, string.rep('x', n % 300)) end\" 1 k",
        ],
    ),
    (
        "a hash of many fields",
        &[
            "EVAL \"for n = 1, 5000 do redis.call('HSET', KEYS[1], 'field' .. n, string.rep('x', n % 300)) end\" 1 k",
        ],
    ),
];

/// The servers that are there to be asked: those that `LARDER_TEST_PEERS` names, and redis-server.
#[must_use]
pub fn peers() -> Vec<PathBuf> {
    let named = std::env::var("LARDER_TEST_PEERS").unwrap_or_default();
    let named = named.split(':').filter(|path| !path.is_empty());
    let mut peers: Vec<PathBuf> = named.map(PathBuf::from).collect();
    peers.extend(tools::find_or_skip("redis-server"));
    peers
}

/// What a server calls itself: `redis-7.0.15`.
///
/// # Errors
/// It does not say.
pub fn name_of(client: &mut Client) -> Outcome<String> {
    let info = bulk(run(client, "INFO server")?)?;
    let info = String::from_utf8_lossy(&info);
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
    match (field("valkey_version:"), field("redis_version:")) {
        (Some(version), _) => Ok(format!("valkey-{version}")),
        (None, Some(version)) => Ok(format!("redis-{version}")),
        _ => Err(info.into_owned()),
    }
}

/// Makes a value, and dumps it; `None` if the server does not know how.
///
/// # Errors
/// It refuses something else.
pub fn make(client: &mut Client, (name, commands): Recipe) -> Outcome<Option<Golden>> {
    for command in THRESHOLDS {
        run(client, command)?;
    }
    for command in commands {
        match client.run(command)? {
            Reply::Error(text) if text.starts_with(b"ERR unknown command") => return Ok(None),
            Reply::Error(text) => {
                return Err(format!("{command}: {}", String::from_utf8_lossy(&text)));
            }
            _ => {}
        }
    }
    let payload = match client.call(&["DUMP", "k"])? {
        Reply::Bulk(payload) => payload,
        other => return Err(format!("DUMP: {:?}", other.lines())),
    };
    Ok(Some(Golden {
        name: name.into(),
        commands: commands.iter().map(|&command| command.to_owned()).collect(),
        payload,
        plain: ask(client)?,
    }))
}

/// Sends a command that is not to be refused.
///
/// # Errors
/// It is.
pub fn run(client: &mut Client, command: &str) -> Outcome<Reply> {
    match client.run(command)? {
        Reply::Error(text) => Err(format!("{command}: {}", String::from_utf8_lossy(&text))),
        reply => Ok(reply),
    }
}

/// The value of key `k`, as the server says.
///
/// # Errors
/// There is none, or one of a type not known here.
pub fn ask(client: &mut Client) -> Outcome<Plain> {
    let kind = match run(client, "TYPE k")? {
        Reply::Status(kind) => kind,
        other => return Err(format!("TYPE: {:?}", other.lines())),
    };
    Ok(match &kind[..] {
        b"string" => Plain::String(bulk(client.run("GET k")?)?),
        b"list" => Plain::List(bulks(client.run("LRANGE k 0 -1")?)?),
        b"set" => Plain::Set(bulks(client.run("SMEMBERS k")?)?),
        b"hash" => {
            let mut fields = Vec::new();
            for pair in bulks(client.run("HGETALL k")?)?.chunks(2) {
                let deadline = deadline(client, &pair[0])?;
                fields.push((pair[0].clone(), pair[1].clone(), deadline));
            }
            Plain::Hash(fields)
        }
        b"zset" => {
            let mut members = Vec::new();
            for pair in bulks(client.run("ZRANGE k 0 -1 WITHSCORES")?)?.chunks(2) {
                let score = String::from_utf8_lossy(&pair[1]);
                let score = score.parse().map_err(|_| format!("a score of {score}"))?;
                members.push((pair[0].clone(), score));
            }
            Plain::SortedSet(members)
        }
        other => return Err(format!("a {}", String::from_utf8_lossy(other))),
    })
}

fn bulk(reply: Reply) -> Outcome<Vec<u8>> {
    match reply {
        Reply::Bulk(bytes) => Ok(bytes),
        other => Err(format!("{:?}", other.lines())),
    }
}

fn bulks(reply: Reply) -> Outcome<Vec<Vec<u8>>> {
    match reply {
        Reply::Array(items) => items.into_iter().map(bulk).collect(),
        other => Err(format!("{:?}", other.lines())),
    }
}

/// The deadline of a field, `None` too where the server has no such thing.
fn deadline(client: &mut Client, field: &[u8]) -> Outcome<Option<i64>> {
    let words: [&[u8]; 5] = [b"HPEXPIRETIME", b"k", b"FIELDS", b"1", field];
    match client.call(&words)? {
        Reply::Array(items) => match items[..] {
            [Reply::Integer(-1)] => Ok(None),
            [Reply::Integer(at)] => Ok(Some(at)),
            _ => Err("HPEXPIRETIME answers something else".into()),
        },
        Reply::Error(text) if text.starts_with(b"ERR unknown command") => Ok(None),
        other => Err(format!("HPEXPIRETIME: {:?}", other.lines())),
    }
}

/// Restores key `k`, and gives what it holds then, or the text of the error.
///
/// # Errors
/// The server answers something else, or not at all.
pub fn restore(client: &mut Client, payload: &[u8]) -> Outcome<Result<Plain, String>> {
    let words: [&[u8]; 5] = [b"RESTORE", b"k", b"0", payload, b"REPLACE"];
    match client.call(&words)? {
        Reply::Status(_) => ask(client).map(Ok),
        Reply::Error(text) => Ok(Err(String::from_utf8_lossy(&text).into_owned())),
        other => Err(format!("RESTORE: {:?}", other.lines())),
    }
}
