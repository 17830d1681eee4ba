//! `maxmemory` on cores within a test: what is refused, what is let go, and what is bounded, whoever sleeps meanwhile.

#![cfg(test)]

use crate::budget::{self, room_bytes};
use crate::dispatch::Core;
use crate::dispatch::limits::{
    BATCH_HIGH_WATER_BYTES, MAIL_MAX_BYTES, REQUESTS_UNDER_WAY_MAX_BYTES,
};
use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::session::Closing;

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

const MIB: usize = 1 << 20;

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(b"\r\n");
    }
    out
}

fn set(key: &str, bytes: usize) -> Vec<u8> {
    command(&[b"SET", key.as_bytes(), &vec![b'v'; bytes]])
}

/// Sends a command in pieces, as a socket brings them.
fn send_in_pieces(server: &mut Server, client: Client, bytes: &[u8]) -> String {
    let pieces = bytes.chunks(64 * 1024);
    pieces
        .map(|piece| server.send_alone(client, piece))
        .collect()
}

fn used_bytes(server: &Server) -> u64 {
    server.cores.iter().map(|core| core.used_bytes()).sum()
}

/// What each core uses and has leased.
fn budgets(server: &Server) -> Vec<(u64, u64)> {
    let cores = server.cores.iter();
    cores
        .map(|core| (core.used_bytes(), core.leased_bytes()))
        .collect()
}

#[test]
fn what_a_refused_command_took_is_let_go_at_once_wherever_its_key_lives() {
    for (of, to, other) in (0..8).map(|case| (case / 4, case / 2 % 2, case % 2)) {
        let mut server = Server::configured(2, &[("maxmemory", "4mb")]);
        let (client, another) = (server.connect(of), server.connect(other));
        let key = key_on(to as u16, 2, "large");
        let small = key_on(other as u16, 2, "small");
        let reply = send_in_pieces(&mut server, client, &set(&key, 12 * MIB));
        assert_eq!(reply, OOM, "from core {of} to core {to}");
        for _ in 0..3 {
            let reply = server.send_alone(another, &set(&small, 1));
            assert_eq!(
                reply,
                "+OK\r\n",
                "core {other}, after {of} to {to}: {} used",
                used_bytes(&server)
            );
        }
    }
}

/// Sends a command in pieces, and returns its reply in the very turn in which it comes: what is done in steps is still to be done.
fn send_and_hurry(server: &mut Server, client: Client, bytes: &[u8]) -> String {
    const TURNS_MAX: usize = 1000;
    for piece in bytes.chunks(64 * 1024) {
        server.receive(client, piece);
    }
    for _ in 0..TURNS_MAX {
        // Replies leave at the end of a turn.
        server.some_turns(1);
        let reply = server.take_output(client);
        if !reply.is_empty() {
            return String::from_utf8(reply).unwrap();
        }
    }
    panic!("no reply");
}

#[test]
fn what_large_arguments_took_counts_for_nobody_once_their_command_is_answered() {
    let large = vec![b'v'; 40 * MIB];
    for (of, to, other) in (0..8).map(|case| (case / 4, case / 2 % 2, case % 2)) {
        let key = key_on(to as u16, 2, "large");
        let far = key_on(1 - to as u16, 2, "large");
        let (key, far) = (key.as_bytes(), far.as_bytes());
        let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
        type Step<'a> = (&'a [&'a [u8]], &'a str);
        let cases: [&[Step<'_>]; 4] = [
            &[(&[b"SET", key, &large], OOM)],
            &[(&[b"MSET", key, b"1", far, &large], OOM)],
            &[
                (&[b"MULTI"], "+OK\r\n"),
                (&[b"SET", key, &large[..3 * MIB]], "+QUEUED\r\n"),
                (&[b"SET", key, &large], OOM),
                (&[b"EXEC"], aborted),
            ],
            // The client leaves within its argument.
            &[],
        ];
        for (case, steps) in cases.iter().enumerate() {
            let mut server = Server::configured(2, &[("maxmemory", "10mb")]);
            let (client, another) = (server.connect(of), server.connect(other));
            for (words, expected) in *steps {
                let reply = send_and_hurry(&mut server, client, &command(words));
                assert_eq!(reply, *expected, "case {case} from core {of} to core {to}");
            }
            if steps.is_empty() {
                let request = command(&[b"SET", key, &large]);
                for piece in request[..request.len() - 5].chunks(64 * 1024) {
                    server.receive(client, piece);
                }
                server.some_turns(1);
                server.disconnect(client);
                server.some_turns(1);
            }
            let small = key_on(other as u16, 2, "small");
            let reply = send_and_hurry(&mut server, another, &set(&small, 1));
            let dying = server.cores.iter_mut();
            let dying: Vec<u64> = dying.map(|core| core.state().shard.dying_bytes()).collect();
            assert_eq!(
                reply, "+OK\r\n",
                "case {case}, core {other}, after {of} to {to}: {dying:?} are dying"
            );
            server.disconnect(another);
            if !steps.is_empty() {
                server.disconnect(client);
            }
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_what_fits_is_not_wherever_its_keys_live() {
    let large = vec![b'v'; 12 * MIB];
    let half = vec![b'v'; 6 * MIB];
    for cores in [1, 2, 4] {
        let mut server = Server::configured(cores, &[("maxmemory", "10mb")]);
        for (of, to) in (0..cores * cores).map(|pair| (pair / cores, pair % cores)) {
            let client = server.connect(usize::from(of));
            let key = key_on(to, cores, "a");
            let key = key.as_bytes();
            let far = key_on((to + 1) % cores, cores, "b");
            let far = far.as_bytes();
            let cases: [(&[&[u8]], &str); 8] = [
                (&[b"SET", key, &large], OOM),
                (&[b"APPEND", key, &large], OOM),
                (&[b"SETRANGE", key, b"5", &large], OOM),
                (&[b"RESTORE", key, b"0", &large], OOM),
                (&[b"MSET", key, &half, far, &half], OOM),
                (&[b"MSETNX", key, &half, far, &half], OOM),
                (&[b"SET", key, &half], "+OK\r\n"),
                (&[b"SET", key, &half], OOM),
            ];
            for (words, expected) in cases {
                let reply = send_in_pieces(&mut server, client, &command(words));
                let name = String::from_utf8_lossy(words[0]);
                assert!(
                    reply.starts_with(expected),
                    "{cores} cores, {name} from {of} to {to}: {reply}"
                );
            }
            assert_eq!(
                server.send_alone(client, &command(&[b"DEL", key])),
                ":1\r\n"
            );
            // As in Redis, what is queued is kept and so refused, whatever it does.
            let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
            let multi: [(&[&[u8]], &str); 6] = [
                (&[b"MULTI"], "+OK\r\n"),
                (&[b"SET", key, &half], "+QUEUED\r\n"),
                (&[b"SET", far, &half], OOM),
                (&[b"MGET", key, &half], OOM),
                (&[b"GET", key], "+QUEUED\r\n"),
                (&[b"EXEC"], aborted),
            ];
            for (words, expected) in multi {
                let reply = send_in_pieces(&mut server, client, &command(words));
                assert_eq!(
                    reply,
                    expected,
                    "{cores} cores, from {of} to {to}: {:?}",
                    budgets(&server)
                );
            }
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn scripts_are_refused_what_does_not_fit() {
    let large = vec![b'v'; 12 * MIB];
    for (cores, to) in [(1, 0), (2, 0), (2, 1)] {
        let mut server = Server::configured(cores, &[("maxmemory", "10mb")]);
        let client = server.connect(0);
        let [key, far] = [to, 0].map(|core| key_on(core, cores, "a"));
        let lua = b"return redis.call('SET', KEYS[1], ARGV[1])";
        for keys in [&[&key][..], &[&key, &far]] {
            let count = keys.len().to_string();
            let mut words: Vec<&[u8]> = vec![b"EVAL", lua, count.as_bytes()];
            words.extend(keys.iter().map(|key| key.as_bytes()));
            words.push(&large);
            let reply = send_in_pieces(&mut server, client, &command(&words));
            assert!(reply.starts_with("-OOM"), "{cores} cores: {reply}");
        }
        assert_eq!(server.send(client, b"DBSIZE\r\n"), ":0\r\n");
    }
}

#[test]
fn a_command_that_grew_is_counted_before_the_next_one_of_its_pipeline() {
    for cores in [1, 2] {
        let mut server = Server::configured(cores, &[("maxmemory", "4mb")]);
        let client = server.connect(0);
        let [grown, next] = ["grown", "next"].map(|name| key_on(cores - 1, cores, name));
        for grow in [
            format!("SETRANGE {grown} 5000000 x\r\n"),
            format!("SETBIT {grown} 40000000 1\r\n"),
            format!("EVAL \"redis.call('SETRANGE', KEYS[1], 5000000, 'x')\" 1 {grown}\r\n"),
        ] {
            let commands = format!(
                "{grow}SET {next} 1\r\nGET {next}\r\nDEL {grown}\r\nSET {next} 1\r\nDEL {next}\r\n"
            );
            let reply = server.send_alone(client, commands.as_bytes());
            let (_, rest) = reply.split_once("\r\n").unwrap();
            let expected = format!("{OOM}$-1\r\n:1\r\n+OK\r\n:1\r\n");
            assert!(rest.ends_with(&expected), "{cores} cores, {grow}: {reply}");
        }
    }
}

#[test]
fn a_limit_that_comes_goes_or_changes_holds_for_cores_that_sleep() {
    let mut server = Server::new(2);
    let clients = [server.connect(0), server.connect(1)];
    let keys = [key_on(0, 2, "a"), key_on(1, 2, "a")];
    let small = [key_on(0, 2, "b"), key_on(1, 2, "b")];
    for (&client, key) in clients.iter().zip(&keys) {
        assert_eq!(server.send_alone(client, &set(key, 3 * MIB)), "+OK\r\n");
    }
    for (limit, expected) in [
        ("5mb", OOM),
        ("7mb", "+OK\r\n"),
        ("1mb", OOM),
        ("0", "+OK\r\n"),
    ] {
        for at in [0, 1] {
            let change = format!("CONFIG SET maxmemory {limit}\r\n");
            assert_eq!(server.send(clients[at], change.as_bytes()), "+OK\r\n");
            for (&client, key) in clients.iter().zip(&small) {
                let reply = server.send_alone(client, &set(key, 10));
                assert_eq!(reply, expected, "{limit}");
            }
        }
    }
}

#[test]
fn a_limit_is_in_force_on_all_cores_when_config_set_is_answered() {
    for cores in [1, 2, 4] {
        let keys: Vec<String> = (0..cores).map(|core| key_on(core, cores, "k")).collect();
        for way in ["", "MULTI\r\n", "CLIENT REPLY SKIP\r\n"] {
            let mut server = Server::new(cores);
            let client = server.connect(0);
            for key in &keys {
                assert_eq!(server.send(client, &set(key, 100)), "+OK\r\n");
            }
            let mut pipeline = format!("{way}CONFIG SET maxmemory 1\r\n");
            if way.starts_with("MULTI") {
                pipeline.push_str("EXEC\r\n");
            }
            let answered = match way {
                "" => "+OK\r\n",
                "MULTI\r\n" => "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n",
                _ => "",
            };
            pipeline.push_str("CONFIG GET maxmemory\r\n");
            let mut expected = format!("{answered}*2\r\n$9\r\nmaxmemory\r\n$1\r\n1\r\n");
            for key in &keys {
                let write = "return redis.call('set', KEYS[1], 1)";
                pipeline.push_str(&format!("EVAL \"{write}\" 1 {key}\r\nSET {key} 1\r\n"));
                expected.push_str(OOM);
                expected.push_str(OOM);
            }
            let reply = server.send(client, pipeline.as_bytes());
            let reply: String = reply
                .split_inclusive("\r\n")
                .map(|line| match line.contains("OOM command") {
                    true => OOM,
                    false => line,
                })
                .collect();
            assert_eq!(reply, expected, "{cores} cores, {way}");
        }
    }
}

/// What a client that sends `request` without end is allowed to, while the batches of its core go where `ship` takes them.
fn requests_taken(
    server: &mut Server,
    client: Client,
    request: &[u8],
    mut go_on: impl FnMut(&mut Server),
) -> usize {
    const TRIES: usize = 200;
    let mut sent = 0;
    for _ in 0..TRIES {
        if server.intent(client) == crate::dispatch::Intent::Read {
            server.receive(client, request);
            sent += 1;
        }
        go_on(server);
    }
    assert!(sent < TRIES, "it is never held back");
    sent
}

#[test]
fn batches_to_a_core_that_takes_none_are_bounded_and_cost_none_of_what_they_carry() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let key = key_on(1, 2, "k");
    server.send(client, b"CLIENT REPLY OFF\r\n");
    let request = command(&[b"APPEND", key.as_bytes(), &vec![b'v'; MIB]]);
    let mut most = 0;
    let sent = requests_taken(&mut server, client, &request, |server| {
        server.turn();
        server.ship();
        let waiting = server.cores[0].outbox_bytes_for(1);
        most = most.max(server.bytes_under_way(0, 1) + waiting);
    });
    let bound = MAIL_MAX_BYTES as usize + BATCH_HIGH_WATER_BYTES + 2 * MIB;
    assert!(most <= bound, "{most} bytes under way");
    server.turns();
    let reply = server.send(
        client,
        format!("CLIENT REPLY ON\r\nSTRLEN {key}\r\n").as_bytes(),
    );
    assert_eq!(reply, format!("+OK\r\n:{}\r\n", sent * MIB));
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn requests_that_wait_for_locks_are_bounded_and_all_run() {
    let mut server = Server::new(3);
    let client = server.connect(0);
    let holder = server.connect(2);
    let [key, other] = [key_on(1, 3, "k"), key_on(2, 3, "k")];
    // It has its locks on core 1 from its place on; the word of that does not arrive for now.
    server.receive(holder, format!("MSETNX {key} a {other} a\r\n").as_bytes());
    server.ship_from(2);
    while server.deliver_one(2, 1) {}
    server.send_alone(client, b"CLIENT REPLY OFF\r\n");
    let request = command(&[b"APPEND", key.as_bytes(), &vec![b'v'; MIB]]);
    let sent = requests_taken(&mut server, client, &request, |server| {
        server.turn();
        server.ship_between(0, 1);
        server.deliver_one(0, 1);
        server.ship_between(1, 0);
        server.deliver_one(1, 0);
    });
    assert!(
        sent <= REQUESTS_UNDER_WAY_MAX_BYTES as usize / MIB + 4,
        "{sent} requests wait"
    );
    assert!(server.cores[1].used_bytes() as usize >= (sent - 3) * MIB);
    server.turns();
    server.turns();
    assert_eq!(server.take_output(holder), b":1\r\n");
    let ask = format!("CLIENT REPLY ON\r\nSTRLEN {key}\r\n");
    let reply = server.send(client, ask.as_bytes());
    assert_eq!(reply, format!("+OK\r\n:{}\r\n", sent * MIB + 1));
    server.disconnect(client);
    server.disconnect(holder);
    server.assert_nothing_is_left();
}

#[test]
fn requests_set_aside_for_a_client_that_does_not_read_are_bounded() {
    let mut server = Server::configured(2, &[("client-output-buffer-high-water", "4mb")]);
    let (client, other) = (server.connect(0), server.connect(0));
    let [key, next] = ["k", "next"].map(|name| key_on(1, 2, name));
    server.send(client, &set(&key, MIB));
    let gets = format!("GET {key}\r\n").repeat(8) + "CLIENT REPLY OFF\r\n";
    server.receive(client, gets.as_bytes());
    let request = set(&next, MIB);
    requests_taken(&mut server, client, &request, |server| server.some_turns(1));
    assert!(server.cores[1].used_bytes() < 10 * MIB as u64);
    // It holds up nobody else.
    assert_eq!(server.send_alone(other, &set(&next, 10)), "+OK\r\n");
    server.disconnect(client);
    server.disconnect(other);
    server.assert_nothing_is_left();
}

/// A server under `maxmemory`, its clients, and what the model knows of it.
struct Play {
    server: Server,
    random: Random,
    clients: Vec<Client>,
    limit: u64,
    /// Clients in the midst of a command, and what is left of it to send.
    halves: Vec<(Client, Vec<u8>)>,
    refused: u64,
    accepted: u64,
}

/// Longest value written whole.
const VALUE_MAX_BYTES: usize = 200_000;

impl Play {
    fn new(cores: u16, seed: u64) -> Self {
        let mut server = Server::new(cores);
        let clients = (0..2 * cores)
            .map(|at| server.connect(usize::from(at / 2)))
            .collect();
        Self {
            server,
            random: Random(seed),
            clients,
            limit: 0,
            halves: Vec::new(),
            refused: 0,
            accepted: 0,
        }
    }

    /// What all cores together may hold ahead.
    fn room(&self) -> u64 {
        let cores = self.server.cores.len() as u64;
        cores * room_bytes(self.limit, cores as u16)
    }

    fn key(&mut self) -> String {
        format!("k{}", self.random.below(60))
    }

    fn size(&mut self) -> usize {
        let most = self.random.of(&[20, 2000, 20_000, VALUE_MAX_BYTES]);
        self.random.below(most)
    }

    /// Leases and what is free make up the limit; who has no lease uses nothing.
    fn check(&mut self) {
        let (mut leased, mut held) = (0, 0);
        for core in &self.server.cores {
            assert!(core.leased_bytes() >= core.used_bytes());
            leased += core.leased_bytes();
            held += core.leasable_bytes();
        }
        let free = self.server.cores[0].state().shared.memory.free_bytes();
        let whole = budget::Pool::new(self.limit).free_bytes();
        assert_eq!(free + leased.cast_signed(), whole);
        assert!(leased <= held + self.room());
    }

    fn write(&mut self) {
        let (key, size) = (self.key(), self.size());
        let client = self.random.of(&self.clients);
        let value = vec![b'v'; size];
        let two = self.key();
        let request = match self.random.below(4) {
            0 => command(&[b"MSET", key.as_bytes(), &value, two.as_bytes(), &value]),
            1 => command(&[b"APPEND", key.as_bytes(), &value]),
            _ => command(&[b"SET", key.as_bytes(), &value]),
        };
        let before = used_bytes(&self.server);
        let leased: u64 = budgets(&self.server).iter().map(|(_, leased)| leased).sum();
        let held: u64 = self.server.cores.iter().map(Core::leasable_bytes).sum();
        let reply = send_in_pieces(&mut self.server, client, &request);
        let after = used_bytes(&self.server);
        if self.limit == 0 {
            return;
        }
        // The command is there once as it came, and once more when it goes to another core.
        let slack = self.room() + 2 * request.len() as u64 + 16_384;
        if reply == OOM {
            self.refused += 1;
            assert!(
                held + slack > self.limit,
                "refused with {held} held of {}",
                self.limit
            );
        } else {
            self.accepted += 1;
            assert!(!reply.starts_with('-'), "{reply}");
            let allowed = self.limit + self.room() + 16_384;
            // Beyond that there is what came to be used without asking, such as half a command; then only room is taken, which
            // was leased before.
            let most = match before <= allowed {
                true => allowed + 3 * request.len() as u64,
                false => leased,
            };
            assert!(after <= most, "{after} used of {most}, {before} before");
        }
    }

    fn step(&mut self) {
        let client = self.random.of(&self.clients);
        match self.random.below(20) {
            0..12 => self.write(),
            12..16 => {
                let (one, two) = (self.key(), self.key());
                let del = command(&[b"DEL", one.as_bytes(), two.as_bytes()]);
                self.server.send_alone(client, &del);
            }
            16 => {
                let limit = self
                    .random
                    .of(&[0, 500_000, 1_000_000, 2_000_000, 4_000_000]);
                let change = format!("CONFIG SET maxmemory {limit}\r\n");
                self.server.send(client, change.as_bytes());
                self.limit = limit;
            }
            // A client that stops in the midst of a command, and goes on later or goes away.
            17 if self.halves.len() < 3 => {
                let half = self.server.connect(self.clients[0].0);
                let (key, size) = (self.key(), self.size());
                let request = set(&key, size);
                let (now, later) = request.split_at(request.len() / 2);
                send_in_pieces(&mut self.server, half, now);
                self.halves.push((half, later.to_vec()));
            }
            17 | 18 => {
                if let Some((half, later)) = self.halves.pop() {
                    let (core, id) = half;
                    if self.random.one_in(2) {
                        send_in_pieces(&mut self.server, half, &later);
                    } else {
                        let session = self.server.cores[core].state().sessions.get_mut(id);
                        session.unwrap().closing = Closing::Now;
                    }
                    self.server.disconnect(half);
                    self.server.turn_of(core);
                }
            }
            _ => {
                self.server.advance(100);
                let core = self.random.below(self.server.cores.len());
                self.server.turn_of(core);
            }
        }
        self.check();
    }
}

#[test]
fn the_cores_together_use_no_more_than_the_limit_and_are_refused_nothing_below_it() {
    let (mut refused, mut accepted) = (0, 0);
    for seed in 0..seeds(6) {
        for cores in [1, 2, 4] {
            let mut play = Play::new(cores, seed);
            for _ in 0..1500 {
                play.step();
            }
            refused += play.refused;
            accepted += play.accepted;
            // What is over is let go, though most cores sleep.
            let asking = play.clients[0];
            while let Some((half, _)) = play.halves.pop() {
                play.server.disconnect(half);
                play.server.turn_of(half.0);
            }
            play.server
                .send_alone(asking, b"CONFIG SET maxmemory 2000000\r\nFLUSHALL\r\n");
            play.server.advance(100);
            (0..usize::from(cores)).for_each(|core| play.server.turn_of(core));
            for &client in &play.clients {
                let reply = play.server.send_alone(client, b"SET s 1\r\n");
                assert_eq!(reply, "+OK\r\n", "{} used", used_bytes(&play.server));
            }
        }
    }
    assert!(
        refused > 100 && accepted > 1000,
        "{refused} refused, {accepted} accepted"
    );
}

/// On its way back to the system, and not yet there.
#[test]
fn the_memory_of_a_large_value_counts_as_free_as_soon_as_it_is_deleted() {
    let mut server = Server::configured(1, &[("maxmemory", "100mb")]);
    let client = server.connect(0);
    assert_eq!(server.send(client, &set("large", 60 * MIB)), "+OK\r\n");
    let before = server.cores[0].used_bytes();
    server.receive(client, b"DEL large\r\n");
    assert!(server.cores[0].state().shard.dying_bytes() > 30 << 20);
    let after = server.cores[0].used_bytes();
    assert!(after + (59 << 20) <= before, "{after} of {before}");
}
