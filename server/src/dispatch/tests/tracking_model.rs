//! A client that keeps what it reads never serves anything older than what its server holds, once it has heard what it was
//! sent: random writes and reads, on servers whose batches take their time.
//!
//! A cache here does what a client library does: it keeps the replies to its reads, and drops what it is told of. Now and
//! then all that is under way is delivered; whatever a cache still holds must then be what a plain client reads.

#![cfg(test)]

use std::collections::{BTreeMap, VecDeque};

use crate::dispatch::tests::testing::{Client, Random, Server, seeds};

const CORES: [u16; 3] = [1, 2, 3];
const KEYS: usize = 8;

/// Writes, whose `k` and `l` stand for keys and whose `n` stands for a number.
const WRITES: &[&str] = &[
    "SET k n",
    "SET k n",
    "APPEND k n",
    "DEL k l",
    "SET k n PX 3",
    "MSET k n l n",
    "MSETNX k n l n",
    "RENAME k l",
    "RENAMENX k l",
    "COPY k l REPLACE",
    "MOVE k 1",
    "PEXPIRE k 2",
    "PEXPIRE k -1",
    "PERSIST k",
    "GETDEL k",
    "GETEX k PX 2",
    "GETSET k n",
    "INCRBYFLOAT k n",
    "BITOP NOT k l",
    "SETBIT k n 1",
    "SETRANGE k 1 n",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
];

/// How the caches track.
const MODES: &[&str] = &[
    "ON",
    "ON NOLOOP",
    "ON BCAST",
    "ON BCAST PREFIX key:1 PREFIX key:2",
    "ON OPTIN",
    "ON OPTOUT",
];

/// Whether a cache takes in all that it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Good,
    /// It misses one message in ten.
    Poor,
}

/// What a cache waits for.
enum Asked {
    /// A word that says nothing of keys.
    Word,
    /// The values of these keys.
    Values(Vec<usize>),
    /// The same, but they are not tracked.
    Untracked,
}

/// A client that keeps what it reads, and forgets what it is told of.
struct Cache {
    client: Client,
    mode: &'static str,
    asked: VecDeque<Asked>,
    kept: BTreeMap<usize, Vec<u8>>,
    unread: Vec<u8>,
    hearing: Hearing,
    /// Messages it was sent.
    messages: u64,
}

impl Cache {
    fn new(server: &mut Server, core: usize, mode: &'static str, hearing: Hearing) -> Self {
        let client = server.connect(core);
        let on = format!("HELLO 3\r\nCLIENT TRACKING {mode}\r\n");
        assert!(server.send(client, on.as_bytes()).ends_with("+OK\r\n"));
        Self {
            client,
            mode,
            asked: VecDeque::new(),
            kept: BTreeMap::new(),
            unread: Vec::new(),
            hearing,
            messages: 0,
        }
    }

    /// Whether it is told of changes to what it holds of this key.
    fn tracks(&self, key: usize) -> bool {
        !self.mode.contains("PREFIX") || self.mode.contains(&format!("key:{key}"))
    }

    /// Reads keys: with `GET`, `MGET` or within a transaction, announced where that is wanted.
    fn ask(&mut self, server: &mut Server, random: &mut Random) {
        let count = 1 + random.below(3);
        let keys: Vec<usize> = (0..count).map(|_| random.below(KEYS)).collect();
        let names: Vec<String> = keys.iter().map(|key| format!("key:{key}")).collect();
        let mut command = String::new();
        let mut is_tracked = true;
        let announces = random.one_in(2);
        match self.mode {
            "ON OPTIN" => is_tracked = announces,
            "ON OPTOUT" => is_tracked = !announces,
            _ => {}
        }
        if self.mode.contains("OPT") && announces {
            let word = if self.mode == "ON OPTIN" { "YES" } else { "NO" };
            command += &format!("CLIENT CACHING {word}\r\n");
            self.asked.push_back(Asked::Word);
        }
        match &names[..] {
            [name] => command += &format!("GET {name}\r\n"),
            names if random.one_in(3) => {
                command += "MULTI\r\n";
                names
                    .iter()
                    .for_each(|name| command += &format!("GET {name}\r\n"));
                command += "EXEC\r\n";
                self.asked.extend((0..=names.len()).map(|_| Asked::Word));
            }
            names => command += &format!("MGET {}\r\n", names.join(" ")),
        }
        server.receive(self.client, command.as_bytes());
        self.asked.push_back(if is_tracked {
            Asked::Values(keys)
        } else {
            Asked::Untracked
        });
    }

    /// Writes itself. One that is not told of its own changes has to forget what it writes by itself, and does not write.
    fn write(&mut self, server: &mut Server, random: &mut Random) {
        if !self.mode.contains("NOLOOP") {
            server.receive(self.client, write(random).as_bytes());
            self.asked.push_back(Asked::Word);
        }
    }

    /// Takes what has come, in its order.
    fn hear(&mut self, server: &mut Server) {
        self.unread.extend(server.take_output(self.client));
        // The reply of a transaction comes piece by piece.
        while let Some(end) = end_of_reply(&self.unread, 0) {
            let reply: Vec<u8> = self.unread.drain(..end).collect();
            let text = String::from_utf8_lossy(&reply).into_owned();
            if text.starts_with('>') {
                self.messages += 1;
                if self.hearing == Hearing::Good || !self.messages.is_multiple_of(10) {
                    self.forget(&text);
                }
                continue;
            }
            let asked = self.asked.pop_front().expect("every reply was asked for");
            if let Asked::Values(keys) = asked {
                self.keep(&keys, &text);
            }
        }
    }

    fn forget(&mut self, message: &str) {
        if message.ends_with("\r\n_\r\n") {
            self.kept.clear();
        }
        let words = message.split("\r\n");
        for key in words.filter_map(|word| word.strip_prefix("key:")) {
            self.kept.remove(&key.parse().expect("a number follows"));
        }
    }

    fn keep(&mut self, keys: &[usize], reply: &str) {
        let mut rest = reply;
        if reply.starts_with('*') {
            rest = rest.split_once("\r\n").expect("a line").1;
        }
        for key in keys {
            let lines = if rest.starts_with('$') { 2 } else { 1 };
            let end = rest
                .match_indices("\r\n")
                .nth(lines - 1)
                .expect("a reply")
                .0
                + 2;
            self.kept.insert(*key, rest[..end].into());
            rest = &rest[end..];
        }
    }

    /// Fails unless what is kept is what `plain` reads.
    fn assert_holds(&mut self, server: &mut Server, plain: Client, what: &str) {
        self.hear(server);
        assert!(self.asked.is_empty(), "{what}: everything is answered");
        for key in 0..KEYS {
            // What has expired is told of once somebody notices.
            let now = server.send(plain, format!("GET key:{key}\r\n").as_bytes());
            self.hear(server);
            if let Some(kept) = self.kept.get(&key).filter(|_| self.tracks(key)) {
                let kept = String::from_utf8_lossy(kept);
                assert_eq!(
                    kept, now,
                    "{what}: key:{key} of {} is out of date",
                    self.mode
                );
            }
        }
    }
}

/// Where the reply that begins at `at` ends, if it is all there.
fn end_of_reply(bytes: &[u8], at: usize) -> Option<usize> {
    let line = bytes.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
    let end = at + line + 2;
    let count = || -> i64 {
        let digits = std::str::from_utf8(&bytes[at + 1..end - 2]).unwrap();
        digits.parse().unwrap()
    };
    match bytes[at] {
        b'$' if count() >= 0 => Some(end + count() as usize + 2).filter(|end| *end <= bytes.len()),
        b'*' | b'>' => (0..count()).try_fold(end, |at, _| end_of_reply(bytes, at)),
        _ => Some(end),
    }
}

/// One command that writes.
fn write(random: &mut Random) -> String {
    let (key, other, number) = (random.below(KEYS), random.below(KEYS), random.below(100));
    let words = random.of(WRITES).split(' ').map(|word| match word {
        "k" => format!("key:{key}"),
        "l" => format!("key:{other}"),
        "n" => number.to_string(),
        word => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ") + "\r\n"
}

/// Several, in a transaction.
fn transaction(random: &mut Random) -> String {
    let writes: String = (0..1 + random.below(3)).map(|_| write(random)).collect();
    format!("MULTI\r\n{writes}EXEC\r\n")
}

/// Lets some of what is under way between the cores go on.
fn go_on(server: &mut Server, cores: u16, random: &mut Random) {
    if random.one_in(2) {
        server.turn();
    }
    for from in 0..cores.into() {
        if random.one_in(2) {
            server.ship_from(from);
        }
        for to in 0..cores.into() {
            if random.one_in(2) {
                server.deliver_one(from, to);
            }
        }
    }
    if random.one_in(20) {
        server.advance(2);
    }
}

#[test]
fn no_cache_serves_what_is_older_than_the_last_write_once_it_has_heard_what_it_was_sent() {
    for seed in 0..seeds(12) {
        for cores in CORES {
            run(seed, cores, Hearing::Good);
        }
    }
}

#[test]
#[should_panic(expected = "is out of date")]
fn a_cache_that_misses_one_message_in_ten_would_be_found_out() {
    (0..20).for_each(|seed| run(seed, 2, Hearing::Poor));
}

/// One run of many steps.
fn run(seed: u64, cores: u16, hearing: Hearing) {
    let random = &mut Random(seed ^ 0xCAC4E);
    let mut server = Server::new(cores);
    let mut caches: Vec<Cache> = MODES
        .iter()
        .map(|mode| Cache::new(&mut server, random.below(cores.into()), mode, hearing))
        .collect();
    let writers: Vec<Client> = (0..3)
        .map(|_| server.connect(random.below(cores.into())))
        .collect();
    let plain = server.connect(0);
    server.send(plain, b"HELLO 3\r\n");
    for step in 0..250 {
        match random.below(8) {
            0 | 1 => {
                let written = if random.one_in(3) {
                    transaction(random)
                } else {
                    write(random)
                };
                server.receive(random.of(&writers), written.as_bytes());
            }
            2..5 => caches[random.below(MODES.len())].ask(&mut server, random),
            5 => caches[random.below(MODES.len())].write(&mut server, random),
            6 => caches[random.below(MODES.len())].hear(&mut server),
            _ => {}
        }
        go_on(&mut server, cores, random);
        if random.one_in(40) || step == 249 {
            server.turns();
            let what = format!("seed {seed}, {cores} cores, step {step}");
            for cache in &mut caches {
                cache.assert_holds(&mut server, plain, &what);
            }
        }
    }
}
