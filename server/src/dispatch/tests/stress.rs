//! Random pipelines, cut at random places, on servers of one and of many cores whose batches take their time: what a
//! client is told depends on neither, and nothing is left behind.
//!
//! The oracle is the server of one core that gets every script in one piece. `LARDER_STRESS_SEEDS` says how many scripts
//! each test tries.

#![cfg(test)]

use crate::dispatch::Intent;
use crate::dispatch::tests::testing::{BEGAN_MS, Client, Random, Server, replies, seeds};

const CORES: [u16; 3] = [2, 3, 7];

/// Commands on keys alone. In these texts `K` is a key, `V` a value, `N` a small number.
const ON_KEYS: &[&str] = &[
    "SET K V",
    "SET K V",
    "SET K N",
    "SET K V NX GET",
    "SET K V EX 100",
    "SET K V XX KEEPTTL",
    "GET K",
    "GET K",
    "GETDEL K",
    "GETEX K EX 50",
    "GETRANGE K N -1",
    "SETRANGE K N V",
    "APPEND K V",
    "STRLEN K",
    "INCR K",
    "DECRBY K N",
    "INCRBYFLOAT K 1.5",
    "MGET K",
    "MGET K K",
    "MGET K K K K K K K K",
    "MSET K V K V",
    "MSET K V K V K V K V K V",
    "MSET K V K",
    "MSETNX K V K V K V",
    "MSETNX K V K",
    "MSETEX 2 K V K V",
    "MSETEX 3 K V K V K V NX EX 10",
    "MSETEX 3 K V K V",
    "MSETEX -1 K V K V",
    "MSETEX 99999999999 K V K V",
    "DEL K",
    "DEL K K K K",
    "UNLINK K K",
    "EXISTS K K K K",
    "TOUCH K K K",
    "TYPE K",
    "RENAME K K",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K",
    "COPY K K REPLACE",
    "COPY K K DB 1 REPLACE",
    "COPY K K DB 99",
    "COPY K K WHAT",
    "MOVE K N",
    "EXPIRE K 100",
    "EXPIRE K -1",
    "PEXPIRE K 123456 NX",
    "EXPIRETIME K",
    "TTL K",
    "PERSIST K",
    "OBJECT ENCODING K",
    "OBJECT REFCOUNT K",
    "LCS K K",
    "LCS K K LEN",
    "LCS K K IDX LEN",
    "BITOP AND K K K",
    "BITOP XOR K K K K",
    "BITOP NOT K K",
    "BITOP NOT K K K",
    "BITCOUNT K",
    "SETBIT K N 1",
    "GETBIT K N",
    "BITPOS K 1",
    "BITFIELD K SET u8 0 N GET u8 0",
    "DUMP K",
    "EVAL return(redis.call([[APPEND]],KEYS[1],ARGV[1])) 1 K V",
    "EVAL redis.call([[SET]],KEYS[1],ARGV[1])redis.call([[RENAME]],KEYS[1],KEYS[2])return(redis.call([[GET]],KEYS[2])) 2 K K V",
    "EVAL return(redis.call([[MGET]],unpack(KEYS))) 4 K K K K",
    "EVAL return(redis.call([[DEL]],unpack(KEYS))) 3 K K K",
    "EVAL return(redis.pcall([[INCR]],ARGV[1])) 0 K",
    "EVAL return(redis.call([[INCR]],KEYS[2])) 2 K K",
    "EVAL return(redis.call([[LCS]],KEYS[1],KEYS[2])) 2 K K",
    "EVAL return(redis.call([[SET]],KEYS[1],ARGV[1])) -1 K V",
    "EVAL_RO return(redis.call([[GET]],KEYS[1])) 1 K",
    "EVAL_RO return({redis.call([[GET]],KEYS[1]),redis.call([[STRLEN]],KEYS[2])}) 2 K K",
    "EVAL_RO return(redis.call([[DEL]],KEYS[1])) 2 K K",
];

/// Commands that concern the session alone.
const ON_SESSION: &[&str] = &[
    "PING",
    "PING V",
    "PING V V",
    "ECHO V",
    "SELECT 0",
    "SELECT 1",
    "SELECT N",
    "SELECT 16",
    "SELECT -1",
    "SELECT 99999999999999999999",
    "HELLO 2",
    "HELLO 3 SETNAME V",
    "HELLO 4",
    "HELLO 3 AUTH default V",
    "RESET",
    "CLIENT SETNAME V",
    "CLIENT GETNAME",
    "CLIENT REPLY ON",
    "CLIENT REPLY OFF",
    "CLIENT REPLY SKIP",
    "CLIENT REPLY SKIP",
    "CLIENT NO-TOUCH ON",
    "CLIENT NO-TOUCH OFF",
    "CLIENT WHAT",
    "CLIENT",
    "COMMAND COUNT",
    "COMMAND GETKEYS MSET K V K V",
    "COMMAND GETKEYS MSET",
    "CONFIG GET maxmemory",
    "CONFIG SET what V",
    "WAIT 0 0",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH K",
    "WATCH K K",
    "UNWATCH",
    "AUTH V",
    "AUTH default V",
    "GET",
    "GET K K",
    "MSET",
    "MSET K",
    "DEL",
    "RENAME K",
    "LCS K",
    "BITOP AND K",
    "BITOP",
    "OBJECT",
    "OBJECT WHAT K",
    "OBJECT ENCODING",
    "NOSUCH K V",
    "EVAL return({1,2,ARGV[1]}) 0 V",
    "EVAL redis.call([[SELECT]],1)return(redis.call([[PING]])) 0",
    "EVAL error([[what]]) 1 K",
    "EVALSHA 0 0",
    "SCRIPT EXISTS V",
    "QUIT",
];

/// Commands on the keyspace as a whole.
const ON_KEYSPACE: &[&str] = &[
    "FLUSHALL",
    "FLUSHDB ASYNC",
    "FLUSHALL WHAT",
    "DBSIZE",
    "DBSIZE",
    "KEYS *",
    "KEYS *1*",
    "SCAN 0 COUNT 100000",
    "SCAN 0 COUNT 100000 MATCH k* TYPE string",
    "SCAN 0 COUNT 0",
    "SCAN x",
    "SWAPDB 0 1",
    "SWAPDB 1 N",
    "SWAPDB 0 16",
    "SWAPDB 0 x",
    "EVAL return(redis.call([[DBSIZE]])) 0",
    "EVAL redis.call([[SET]],KEYS[1],ARGV[1])redis.call([[FLUSHALL]])return(redis.call([[EXISTS]],KEYS[1])) 1 K V",
    "EVAL redis.call([[SET]],KEYS[1],ARGV[1])return(redis.call([[APPEND]],ARGV[2],ARGV[1])) 1 K V K",
    "EVAL redis.call([[GET]],KEYS[1])return(redis.call([[MGET]],unpack(ARGV))) 1 K K K K",
    "EVAL return(redis.call([[COPY]],ARGV[1],ARGV[2])) 0 K K",
];

/// Commands whose effect or reply depends on other sessions or on time.
const ON_OTHERS: &[&str] = &[
    "MONITOR",
    "SUBSCRIBE V V N",
    "PSUBSCRIBE v* *",
    "SSUBSCRIBE N",
    "UNSUBSCRIBE",
    "UNSUBSCRIBE N",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "RESET",
    "PUBLISH N V",
    "PUBLISH N V",
    "SPUBLISH N V",
    "PUBSUB CHANNELS",
    "PUBSUB NUMSUB N N",
    "CLIENT KILL TYPE pubsub",
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON OPTIN NOLOOP",
    "CLIENT TRACKING ON OPTOUT",
    "CLIENT TRACKING ON REDIRECT N",
    "CLIENT TRACKING ON BCAST",
    "CLIENT TRACKING ON BCAST PREFIX k PREFIX V",
    "CLIENT TRACKING OFF",
    "CLIENT CACHING YES",
    "CLIENT CACHING NO",
    "CLIENT TRACKINGINFO",
    "CONFIG SET tracking-table-max-keys 3",
    "CONFIG SET tracking-table-max-keys 1000000",
    "CLIENT LIST",
    "CLIENT LIST ID 1 2 3 N",
    "CLIENT INFO",
    "CLIENT ID",
    "CLIENT KILL ID N",
    "CLIENT KILL TYPE normal SKIPME no",
    "CLIENT UNBLOCK N",
    "CLIENT UNBLOCK N ERROR",
    "CLIENT PAUSE 20 WRITE",
    "CLIENT PAUSE 20 ALL",
    "CLIENT UNPAUSE",
    "WAIT 1 15",
    "WAIT 1 100000",
    "WAIT 1 0",
    "WAITAOF 0 1 10",
    "RANDOMKEY",
    "SCAN N COUNT 2",
    "SCAN 18446744073709551615",
    "SCAN 281474976710656 COUNT 1",
    "SCAN 281479271677953 COUNT 1",
    "SCAN 65535",
    "SLOWLOG GET",
    "SLOWLOG GET -1",
    "SLOWLOG LEN",
    "SLOWLOG RESET",
    "CONFIG SET slowlog-log-slower-than 0",
    "CONFIG SET slowlog-log-slower-than 10000",
    "CONFIG SET notify-keyspace-events KEAmn",
    "CONFIG SET notify-keyspace-events \"\"",
    "PSUBSCRIBE __key*",
    "CONFIG SET maxmemory 1",
    "CONFIG SET maxmemory 0",
    "CONFIG SET requirepass V",
    "CONFIG SET requirepass \"\"",
    "CONFIG RESETSTAT",
    "CONFIG GET *",
    "INFO everything",
    "LATENCY LATEST",
    "LATENCY HISTOGRAM",
    "LATENCY RESET",
    "MEMORY STATS",
    "MEMORY USAGE K",
    "MEMORY DOCTOR",
    "COMMAND DOCS",
    "COMMAND INFO get mset nosuch",
    "COMMAND LIST",
    "LARDER REBALANCE",
    "LARDER REBALANCE EVEN",
    "LARDER REBALANCE STATUS",
    "LARDER REBALANCE MOVE 0-3000 N",
    "LARDER REBALANCE MOVE 9000-9400 1 16000 0",
    "CLUSTER COUNTKEYSINSLOT 1",
    "OBJECT FREQ K",
    "OBJECT IDLETIME K",
    "EVAL return(redis.call([[PUBLISH]],ARGV[1],ARGV[2])) 0 N V",
    "EVAL redis.call([[SET]],KEYS[1],ARGV[2])redis.call([[PUBLISH]],ARGV[1],ARGV[2])return(redis.call([[GET]],KEYS[1])) 1 K N V",
    "EVAL return(#redis.call([[INFO]],[[everything]])) 1 K",
    "EVAL return(redis.call([[RANDOMKEY]])) 0",
    "EVAL return(redis.call([[SCAN]],0)) 1 K",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "CONFIG SET busy-reply-threshold 1",
    "EVAL local\tn=0;while(n<2e3)do\tn=n+1;redis.call([[GET]],KEYS[1])end 1 K",
    "EVAL local\tn=0;while(n<2e2)do\tn=n+1;redis.call([[EXISTS]],KEYS[1],KEYS[2])end 2 K K",
    "EVAL local\tn=0;while(n<3e4)do\tn=n+1;end;return(redis.call([[GET]],ARGV[1])) 0 K",
];

/// Bytes that are no command, or hardly one.
const ODD: &[&[u8]] = &[
    b"\r\n",
    b"\n\n\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*-9223372036854775808\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"\"\"\r\n",
    b"ECHO \"quoted \\x00 value\"\r\n",
    b"   ECHO   'a'  \r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nechO\r\n$4\r\na\r\nb\r\n",
];

/// Bytes that end a connection.
const FATAL: &[&[u8]] = &[
    b"*x\r\n",
    b"*99999999999\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$99999999999\r\n",
    b"GET \"unbalanced\r\n",
];

/// Bytes that end a connection at once, whatever it is owed.
const CUTTING: &[u8] = b"POST / HTTP/1.1\r\n";

/// What a script may hold.
#[derive(Clone, Copy)]
struct Kind {
    /// Whether the keyspace is its own.
    alone: bool,
    /// Whether what it is told may depend on others and on time.
    chaotic: bool,
    /// Whether it may watch keys: a watch ends where a slot moves.
    watches: bool,
    /// Begins its keys.
    prefix: &'static str,
}

/// One command in the form of an array, or now and then of a line.
fn command(random: &mut Random, kind: Kind, out: &mut Vec<u8>) {
    let table = match random.below(20) {
        0..4 => ON_SESSION,
        4 if kind.alone => ON_KEYSPACE,
        5..8 if kind.chaotic => ON_OTHERS,
        _ => ON_KEYS,
    };
    // What ends or silences a session is rarer than the rest.
    let mut text = random.of(table);
    if text.starts_with("WATCH") && !kind.watches {
        text = "UNWATCH";
    }
    if ["QUIT", "CLIENT REPLY OFF"].contains(&text) && !random.one_in(4) {
        text = "CLIENT REPLY ON";
    }
    let words: Vec<String> = text
        .split(' ')
        .map(|word| match word {
            "K" => format!("{}{}", kind.prefix, random.below(24)),
            "V" if random.one_in(50) => "v".repeat(random.below(40_000)),
            "V" => format!("v{}", random.below(1000)),
            "N" => random.below(20).to_string(),
            word => word.trim_matches('"').to_owned(),
        })
        .collect();
    if random.one_in(5) && words.iter().all(|word| !word.is_empty()) {
        let line = words.join(" ");
        let quoted = random.one_in(2) && words.len() > 1;
        let line = if quoted {
            line.replacen(&words[1], &format!("\"{}\"", words[1]), 1)
        } else {
            line
        };
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(if random.one_in(2) { b"\n" } else { b"\r\n" });
        return;
    }
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in &words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// What one connection says.
fn script(random: &mut Random, kind: Kind) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(120) {
        if random.one_in(25) {
            bytes.extend_from_slice(ODD[random.below(ODD.len())]);
        } else if random.one_in(200) {
            bytes.extend_from_slice(FATAL[random.below(FATAL.len())]);
        } else if kind.chaotic && random.one_in(100) {
            bytes.extend_from_slice(CUTTING);
        } else {
            command(random, kind, &mut bytes);
        }
    }
    bytes
}

/// A connection under way.
struct Talk {
    client: Client,
    bytes: Vec<u8>,
    said: usize,
    heard: Vec<u8>,
    closed: bool,
}

impl Talk {
    fn new(server: &mut Server, core: usize, bytes: Vec<u8>) -> Self {
        Self {
            client: server.connect(core),
            bytes,
            said: 0,
            heard: Vec::new(),
            closed: false,
        }
    }

    fn is_over(&self) -> bool {
        self.closed || self.said == self.bytes.len()
    }

    /// Says the next `count` bytes, if the server takes any.
    fn say(&mut self, server: &mut Server, count: usize) {
        if self.closed || server.intent(self.client) != Intent::Read {
            return;
        }
        let end = (self.said + count).min(self.bytes.len());
        server.receive(self.client, &self.bytes[self.said..end]);
        self.said = end;
    }

    /// Reads until nothing more comes: what is read may let the session go on.
    fn hear_out(&mut self, server: &mut Server) {
        loop {
            server.turns();
            let heard = self.heard.len();
            self.hear(server, usize::MAX);
            if self.closed || self.heard.len() == heard {
                return;
            }
        }
    }

    /// Reads at most `count` bytes, and closes as the server wants it.
    fn hear(&mut self, server: &mut Server, count: usize) {
        if self.closed {
            return;
        }
        let (core, id) = self.client;
        let unsent = server.cores[core].unsent(id);
        let taken = unsent[..unsent.len().min(count)].to_vec();
        server.cores[core].sent(id, taken.len());
        self.heard.extend_from_slice(&taken);
        let ends = match server.intent(self.client) {
            Intent::CloseNow => true,
            Intent::CloseAfterSend => server.cores[core].unsent(id).is_empty(),
            Intent::Read | Intent::PauseReading => false,
        };
        if ends {
            server.disconnect(self.client);
            self.closed = true;
        }
    }
}

/// Something random happens between the cores: turns, batches shipped and delivered, each pair's in their order.
fn stir(server: &mut Server, random: &mut Random) {
    if random.one_in(2) {
        server.turn();
    }
    for from in 0..server.cores.len() {
        if random.one_in(2) {
            server.ship_from(from);
        }
        for to in 0..server.cores.len() {
            if random.one_in(2) {
                server.deliver_one(from, to);
            }
        }
    }
}

/// What the clients hear on a server of one core that gets everything at once, and has had `others` before.
fn expected(scripts: &[Vec<u8>], others: usize) -> Vec<Vec<u8>> {
    let mut server = Server::new(1);
    for _ in 0..others {
        // Clients are numbered.
        let other = server.connect(0);
        server.disconnect(other);
    }
    scripts
        .iter()
        .map(|bytes| {
            let mut talk = Talk::new(&mut server, 0, bytes.clone());
            talk.say(&mut server, usize::MAX);
            talk.hear_out(&mut server);
            if !talk.closed {
                server.disconnect(talk.client);
            }
            talk.heard
        })
        .collect()
}

/// Takes the talk to its end, its input cut at random places.
fn finish(server: &mut Server, random: &mut Random, talk: &mut Talk) {
    while !talk.is_over() {
        let most = if random.one_in(3) { 5 } else { 500 };
        talk.say(server, 1 + random.below(most));
        stir(server, random);
        let count = if random.one_in(2) {
            usize::MAX
        } else {
            random.below(100)
        };
        talk.hear(server, count);
    }
    talk.hear_out(server);
}

#[test]
fn what_a_client_hears_depends_neither_on_cores_nor_on_cuts() {
    let kind = Kind {
        alone: true,
        chaotic: false,
        watches: true,
        prefix: "k:",
    };
    for seed in 0..seeds(12) {
        let random = &mut Random(seed);
        let scripts: Vec<_> = (0..3).map(|_| script(random, kind)).collect();
        let expected = expected(&scripts, 0);
        for cores in CORES {
            let mut server = Server::new(cores);
            for (at, bytes) in scripts.iter().enumerate() {
                let core = random.below(cores.into());
                let mut talk = Talk::new(&mut server, core, bytes.clone());
                finish(&mut server, random, &mut talk);
                if !talk.closed {
                    server.disconnect(talk.client);
                }
                assert_same(
                    &talk.heard,
                    &expected[at],
                    &format!("seed {seed}, script {at}, {cores} cores"),
                    bytes,
                );
            }
            server.assert_nothing_is_left();
        }
    }
}

/// Whether slots move meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slots {
    Stay,
    Move,
}

#[test]
fn what_clients_with_keys_of_their_own_hear_does_not_depend_on_each_other() {
    for seed in 0..seeds(6) {
        talk_beside_each_other(seed, Slots::Stay);
    }
}

#[test]
fn what_clients_hear_does_not_depend_on_slots_that_move() {
    let versions = (0..seeds(12)).map(|seed| talk_beside_each_other(seed, Slots::Move));
    assert!(versions.sum::<u64>() > 0, "slots have moved");
}

/// Has some slots of the clients' keys move, and a little time pass: too little for what clients are told of deadlines.
fn move_some(server: &mut Server, random: &mut Random, mover: Client) {
    const TIME_MAX_MS: u64 = 400;
    const STEP_MS: u64 = 8;
    if server.now_ms < BEGAN_MS + TIME_MAX_MS && random.one_in(4) {
        let key = format!("k:{}{}", random.of(&["a", "b", "c", "d"]), random.below(24));
        let slot = crate::routing::Slot::of(key.as_bytes()).number();
        let core = random.below(server.cores.len());
        server.receive(
            mover,
            format!("LARDER REBALANCE MOVE {slot} {core}\r\n").as_bytes(),
        );
        server.take_output(mover);
        server.now_ms += STEP_MS;
    }
}

/// How often slots have moved.
fn talk_beside_each_other(seed: u64, slots: Slots) -> u64 {
    let mut moves = 0;
    const PREFIXES: [&str; 4] = ["k:a", "k:b", "k:c", "k:d"];
    let random = &mut Random(seed ^ 0xABCD);
    let scripts = PREFIXES.map(|prefix| {
        let kind = Kind {
            alone: false,
            chaotic: false,
            watches: slots == Slots::Stay,
            prefix,
        };
        script(random, kind)
    });
    for cores in CORES {
        let mut server = Server::new(cores);
        let mut talks: Vec<Talk> = scripts
            .iter()
            .map(|bytes| {
                let core = random.below(cores.into());
                Talk::new(&mut server, core, bytes.clone())
            })
            .collect();
        let mover = server.connect(0);
        while talks.iter().any(|talk| !talk.is_over()) {
            let talk = &mut talks[random.below(PREFIXES.len())];
            talk.say(&mut server, 1 + random.below(500));
            stir(&mut server, random);
            talk.hear(&mut server, random.below(10_000));
            if slots == Slots::Move {
                move_some(&mut server, random, mover);
            }
        }
        server.turns();
        for (at, talk) in talks.iter_mut().enumerate() {
            talk.hear_out(&mut server);
            if !talk.closed {
                server.disconnect(talk.client);
            }
            let alone = expected(&scripts[at..=at], at);
            assert_same(
                &talk.heard,
                &alone[0],
                &format!("seed {seed}, client {at}, {cores} cores"),
                &scripts[at],
            );
        }
        if slots == Slots::Move {
            while server.cores[0]
                .state()
                .shared
                .rebalance
                .busy
                .load(std::sync::atomic::Ordering::Relaxed)
            {
                server.advance(1);
                server.turns();
            }
        }
        moves += server.cores[0].state().shared.slots.version();
        server.disconnect(mover);
        server.assert_nothing_is_left();
    }
    moves
}

#[test]
fn clients_that_come_and_go_in_the_midst_of_anything_leave_nothing_behind() {
    let kind = Kind {
        alone: true,
        chaotic: true,
        watches: true,
        prefix: "k:",
    };
    for seed in 0..seeds(12) {
        let random = &mut Random(seed ^ 0x1234_5678);
        for cores in [1, 2, 3, 7] {
            let mut server = Server::new(cores);
            let mut talks: Vec<Talk> = Vec::new();
            for _ in 0..300 {
                if talks.len() < 12 && random.one_in(3) {
                    let core = random.below(cores.into());
                    let bytes = script(random, kind);
                    talks.push(Talk::new(&mut server, core, bytes));
                }
                if let Some(at) = talks.len().checked_sub(1) {
                    let talk = &mut talks[random.below(at + 1)];
                    talk.say(&mut server, 1 + random.below(2000));
                    talk.hear(&mut server, random.below(5000));
                }
                stir(&mut server, random);
                if random.one_in(10) {
                    server.advance(7);
                }
                if random.one_in(10) && !talks.is_empty() {
                    let talk = talks.swap_remove(random.below(talks.len()));
                    if !talk.closed {
                        let (core, id) = talk.client;
                        if random.one_in(2) {
                            server.cores[core].input_ended(id);
                        }
                        server.disconnect(talk.client);
                    }
                }
                talks.retain(|talk| !talk.closed);
            }
            for talk in talks {
                server.disconnect(talk.client);
            }
            server.assert_nothing_is_left();
        }
    }
}

/// Compares what was heard with what should have been, reply by reply.
fn assert_same(heard: &[u8], expected: &[u8], what: &str, script: &[u8]) {
    let (heard, expected) = (replies(heard), replies(expected));
    for (at, (heard, expected)) in heard.iter().zip(&expected).enumerate() {
        assert!(
            heard == expected,
            "{what}: reply {at} is\n  {}\nand should be\n  {}\nto\n  {}",
            heard.escape_ascii(),
            expected.escape_ascii(),
            String::from_utf8_lossy(script)
                .replace(&"v".repeat(50), "")
                .escape_debug(),
        );
    }
    assert_eq!(heard.len(), expected.len(), "{what}: replies");
}
