//! Commands of collections and of HyperLogLogs, as a client sends them, and what there is to be before: what the hot command of each
//! type costs.

use larder_server::resp::encode_command;

use super::{KEYS, OPERATIONS};
use crate::data::{VALUE, key, scattered};

/// Commands that prepare, and commands that are counted.
pub struct Case {
    /// What there is before.
    pub before: Vec<Vec<u8>>,
    /// [`OPERATIONS`] commands.
    pub counted: Vec<Vec<u8>>,
    /// Whether the commands find the same when they come again, so that they may be run once before they are counted.
    pub is_repeatable: bool,
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    encode_command(words.iter().copied())
}

/// A case of `counted` by number, scattered over what `before` has made by number.
fn case(
    before: impl Fn(usize) -> Vec<u8>,
    counted: impl Fn(usize) -> Vec<u8>,
    is_repeatable: bool,
) -> Case {
    Case {
        before: (0..KEYS).map(before).collect(),
        counted: scattered(OPERATIONS, KEYS).map(counted).collect(),
        is_repeatable,
    }
}

/// A case of adding what is new, by number, behind what is there.
fn added(add: impl Fn(usize) -> Vec<u8> + Copy) -> Case {
    Case {
        before: (0..KEYS).map(add).collect(),
        counted: (KEYS..KEYS + OPERATIONS).map(add).collect(),
        is_repeatable: false,
    }
}

/// `name`, of a set and its member number `number`.
fn of_member(name: &str, number: usize) -> Vec<u8> {
    command(&[name.as_bytes(), b"set", &key(number)])
}

fn sadd(number: usize) -> Vec<u8> {
    of_member("SADD", number)
}

/// `SISMEMBER` of a member of a large set.
pub fn sismember() -> Case {
    case(sadd, |number| of_member("SISMEMBER", number), true)
}

/// `SADD` of a member that is there.
pub fn sadd_known() -> Case {
    case(sadd, sadd, true)
}

/// `SADD` of a new member to a large set.
pub fn sadd_new() -> Case {
    added(sadd)
}

/// A score with digits behind the point, different for every member.
fn score(number: usize) -> String {
    format!("{}.25", number.wrapping_mul(48_271) % 1_000_003)
}

fn zadd(number: usize, score: &str) -> Vec<u8> {
    command(&[b"ZADD", b"zset", score.as_bytes(), &key(number)])
}

/// `ZADD` that moves a member of a large sorted set.
pub fn zadd_moves() -> Case {
    let moved = |number| zadd(number, &score(number + KEYS));
    case(|number| zadd(number, &score(number)), moved, false)
}

/// `ZSCORE` of a member of a large sorted set.
pub fn zscore() -> Case {
    let asked = |number| command(&[b"ZSCORE", b"zset", &key(number)]);
    case(|number| zadd(number, &score(number)), asked, true)
}

fn hset(number: usize) -> Vec<u8> {
    command(&[b"HSET", b"hash", &key(number), &VALUE])
}

/// `HSET` over a field of a large hash.
pub fn hset_over() -> Case {
    case(hset, hset, true)
}

/// `HGET` of a field of a large hash.
pub fn hget() -> Case {
    case(
        hset,
        |number| command(&[b"HGET", b"hash", &key(number)]),
        true,
    )
}

/// Points within a degree.
fn place(number: usize) -> [String; 2] {
    let thousandths = |number: usize| format!("{}.{:03}", 10 + number / 1000 % 2, number % 1000);
    [thousandths(number * 7919), thousandths(number * 104_729)]
}

fn geoadd(number: usize) -> Vec<u8> {
    let [longitude, latitude] = place(number);
    command(&[
        b"GEOADD",
        b"geo",
        longitude.as_bytes(),
        latitude.as_bytes(),
        &key(number),
    ])
}

/// `GEOSEARCH` of the ten nearest within two kilometres.
pub fn geosearch() -> Case {
    let asked = |number| {
        let [longitude, latitude] = place(number);
        let center: [&[u8]; 3] = [b"FROMLONLAT", longitude.as_bytes(), latitude.as_bytes()];
        let within: [&[u8]; 6] = [b"BYRADIUS", b"2", b"km", b"ASC", b"COUNT", b"10"];
        let words: Vec<&[u8]> = [b"GEOSEARCH".as_slice(), b"geo"]
            .into_iter()
            .chain(center)
            .chain(within)
            .collect();
        command(&words)
    };
    case(geoadd, asked, true)
}

/// The id of entry number `number` of the stream: a few milliseconds apart.
fn entry_id(number: usize) -> String {
    let ms = 1_700_000_000_000 + number as u64 / 3 * 5;
    format!("{ms}-{}", number % 3)
}

/// `XADD` of an entry of two fields.
fn xadd(number: usize) -> Vec<u8> {
    let (id, value) = (
        entry_id(number),
        format!("{:08}", number * 7919 % 100_000_000),
    );
    let (id, value) = (id.as_bytes(), value.as_bytes());
    command(&[
        b"XADD",
        b"stream",
        id,
        b"temperature",
        value,
        b"humidity",
        value,
    ])
}

/// `XADD` behind the entries of a large stream.
pub fn xadd_new() -> Case {
    added(xadd)
}

/// `XRANGE` of ten entries from any on.
pub fn xrange_of_10() -> Case {
    let asked = |number| {
        let from = entry_id(number);
        command(&[b"XRANGE", b"stream", from.as_bytes(), b"+", b"COUNT", b"10"])
    };
    Case {
        before: (0..KEYS).map(xadd).collect(),
        counted: scattered(OPERATIONS, KEYS - 10).map(asked).collect(),
        is_repeatable: true,
    }
}

/// `XREADGROUP` of one entry after the other, and `XACK` of it.
pub fn xreadgroup_xack() -> Case {
    let group = command(&[b"XGROUP", b"CREATE", b"stream", b"group", b"0"]);
    let take: [&[u8]; 9] = [
        b"XREADGROUP",
        b"GROUP",
        b"group",
        b"me",
        b"COUNT",
        b"1",
        b"STREAMS",
        b"stream",
        b">",
    ];
    let taken = |number| {
        let id = entry_id(number);
        let acknowledge = command(&[b"XACK", b"stream", b"group", id.as_bytes()]);
        [command(&take), acknowledge].concat()
    };
    Case {
        before: (0..KEYS).map(xadd).chain([group]).collect(),
        counted: (0..OPERATIONS).map(taken).collect(),
        is_repeatable: false,
    }
}

/// HyperLogLogs, of so many elements each.
const HYPERLOGLOGS: usize = 64;

fn hyperloglog(number: usize) -> [u8; 6] {
    let mut name = *b"hll:00";
    let number = number % HYPERLOGLOGS;
    name[4] += (number / 10) as u8;
    name[5] += (number % 10) as u8;
    name
}

fn pfadd(number: usize, element: usize) -> Vec<u8> {
    command(&[b"PFADD", &hyperloglog(number), &key(element)])
}

/// A case of HyperLogLogs that `elements` elements were added to.
fn hyperloglogs(elements: usize, counted: impl Fn(usize) -> Vec<u8>, is_repeatable: bool) -> Case {
    let before = (0..HYPERLOGLOGS)
        .flat_map(|number| (0..elements).map(move |element| pfadd(number, element)));
    Case {
        before: before.collect(),
        counted: (0..OPERATIONS).map(counted).collect(),
        is_repeatable,
    }
}

/// `PFADD` of elements that are there, to sparse values of some hundred.
pub fn pfadd_known() -> Case {
    hyperloglogs(
        300,
        |number| pfadd(number, number / HYPERLOGLOGS % 300),
        true,
    )
}

/// `PFADD` of new elements to sparse values, which grow from nothing to some hundred.
pub fn pfadd_sparse() -> Case {
    hyperloglogs(1, |number| pfadd(number, 1 + number / HYPERLOGLOGS), false)
}

/// `PFADD` of new elements to dense values, a few of which change a register.
pub fn pfadd_dense() -> Case {
    hyperloglogs(
        2000,
        |number| pfadd(number, 2000 + number / HYPERLOGLOGS),
        false,
    )
}

/// `PFCOUNT` of values that have kept their count.
pub fn pfcount_kept() -> Case {
    hyperloglogs(
        300,
        |number| command(&[b"PFCOUNT", &hyperloglog(number)]),
        true,
    )
}

/// `PFCOUNT` of several sparse values.
pub fn pfcount_sparse() -> Case {
    let asked = |number| command(&[b"PFCOUNT", &hyperloglog(number), &hyperloglog(number)]);
    hyperloglogs(300, asked, true)
}

/// `PFMERGE` of two dense values into a third.
pub fn pfmerge_dense() -> Case {
    let merge = |number| {
        let (first, second) = (hyperloglog(number + 1), hyperloglog(number + 2));
        command(&[b"PFMERGE", &hyperloglog(number), &first, &second])
    };
    hyperloglogs(2000, merge, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Server;

    #[test]
    fn commands_are_answered_as_they_are_meant_to_be() {
        let ends = |made: fn() -> Case, reply: &[u8]| {
            let mut case = made();
            let mut server = Server::new(1);
            server.run(&case.before);
            let bytes = server.turn(&case.counted.swap_remove(0));
            assert_eq!(bytes, reply.len());
        };
        ends(sadd_known, b":0\r\n");
        ends(sadd_new, b":1\r\n");
        ends(sismember, b":1\r\n");
        ends(xadd_new, b"$15\r\n1700000027305-1\r\n");
        ends(zadd_moves, b":0\r\n");
        ends(hset_over, b":0\r\n");
        ends(pfadd_known, b":0\r\n");
        ends(pfadd_sparse, b":1\r\n");
        ends(pfcount_kept, b":300\r\n");
        ends(pfcount_sparse, b":300\r\n");
        ends(pfmerge_dense, b"+OK\r\n");
        let bytes = |made: fn() -> Case| {
            let case = made();
            assert_eq!(case.counted.len(), OPERATIONS);
            let mut server = Server::new(1);
            server.run(&case.before);
            server.run(&case.counted)
        };
        let entry = b"*2\r\n$15\r\n1700000000000-0\r\n*4\r\n$11\r\ntemperature\r\n$8\r\n00000000\r\n$8\r\nhumidity\r\n$8\r\n00000000\r\n";
        let ten = b"*10\r\n".len() + 10 * entry.len();
        assert_eq!(bytes(xrange_of_10), OPERATIONS * ten);
        let taken = b"*1\r\n*2\r\n$6\r\nstream\r\n*1\r\n".len() + entry.len() + b":1\r\n".len();
        assert_eq!(bytes(xreadgroup_xack), OPERATIONS * taken);
        assert_eq!(bytes(hget), OPERATIONS * crate::data::BULK_BYTES);
        assert!(bytes(zscore) > OPERATIONS * b"$-1\r\n".len());
        assert!(bytes(geosearch) > OPERATIONS * 5 * crate::data::KEY_BYTES);
    }
}
