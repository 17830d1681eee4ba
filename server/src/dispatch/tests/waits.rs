//! Waits for keys whose end, or whose keys' move, crosses what is on its way to them.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::Slot;

fn id_of(server: &mut Server, client: Client) -> String {
    let reply = server.send(client, b"CLIENT ID\r\n");
    reply.trim_start_matches(':').trim().to_owned()
}

fn is_being_served(server: &mut Server, (core, id): Client) -> bool {
    let session = server.cores[core].state().sessions.get(id);
    let blocked = session.and_then(|session| session.blocked.as_ref());
    blocked.is_some_and(|blocked| blocked.is_being_served)
}

/// An attempt over cores that finds nothing, and its client is to be unblocked while it is under way.
#[test]
fn who_is_unblocked_during_an_attempt_that_finds_nothing_waits_no_longer() {
    const STEPS_MAX: usize = 10_000;
    for (how, heard) in [
        ("TIMEOUT", "*-1\r\n"),
        (
            "ERROR",
            "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n",
        ),
    ] {
        for seed in 0..20 {
            let mut random = Random(seed);
            let mut server = Server::new(2);
            let (client, writer) = (server.connect(0), server.connect(1));
            let admin = server.connect(random.below(2));
            let keys = [0, 1].map(|core| key_on(core, 2, "queue"));
            let id = id_of(&mut server, client);
            let take = format!("TEST.CLAIM {} {} 1 0\r\n", keys[0], keys[1]);
            assert_eq!(server.send(client, take.as_bytes()), "");
            server.receive(writer, format!("RPUSH {} x\r\n", keys[1]).as_bytes());
            let mut steps = 0..STEPS_MAX;
            while !is_being_served(&mut server, client) {
                steps.next().expect("an attempt is made");
                server.stir(&mut random);
            }
            server.receive(admin, format!("CLIENT UNBLOCK {id} {how}\r\n").as_bytes());
            server.turns();
            assert_eq!(server.take_output(admin), b":1\r\n", "seed {seed}");
            assert_eq!(server.take_output(client), heard.as_bytes(), "seed {seed}");
            let errors = server.send(admin, b"INFO errorstats\r\n");
            let counted = errors.contains("errorstat_UNBLOCKED:count=1\r\n");
            assert_eq!(counted, how == "ERROR", "{errors}");
            let commands = server.send(admin, b"INFO commandstats\r\n");
            let failed = commands
                .lines()
                .find(|line| line.starts_with("cmdstat_test.claim:"));
            let failures = format!("failed_calls={}", u8::from(counted));
            assert!(
                failed.is_some_and(|line| line.ends_with(&failures)),
                "{commands}"
            );
            for client in [client, writer, admin] {
                server.disconnect(client);
            }
            server.assert_nothing_is_left();
        }
    }
}

/// Steps in any order; batches from the first core of `held` to the second stay under way.
fn stir(server: &mut Server, random: &mut Random, held: Option<(usize, usize)>) {
    match random.below(4) {
        0 => drop(server.turn()),
        1 => server.ship_from(random.below(3)),
        _ => {
            let (from, to) = (random.below(3), random.below(3));
            if held != Some((from, to)) {
                server.deliver_one(from, to);
            }
        }
    }
    if random.one_in(10) {
        server.advance(1);
    }
}

/// A key moves, and moves again before the wait for it is there: the core that sends the wait on stands still already, and has
/// said so behind all that it sent by then.
#[test]
fn a_wait_that_comes_when_its_key_has_gone_on_follows_it() {
    const STEPS_MAX: usize = 100_000;
    let key = key_on(1, 3, "queue");
    let slot = Slot::of(key.as_bytes());
    for seed in 0..seeds(100) {
        let mut random = Random(seed);
        let mut server = Server::new(3);
        let clients: Vec<Client> = [0, 1, 2].map(|core| server.connect(core)).into();
        let [client, writer, mover] = clients[..] else {
            unreachable!()
        };
        let take = format!("BLPOP {key} 0\r\n");
        assert_eq!(server.send(client, take.as_bytes()), "");
        let mut steps = 0..STEPS_MAX;
        let mut next = || steps.next().expect("slots move");
        let move_to = |core: usize| format!("LARDER REBALANCE MOVE {} {core}\r\n", slot.number());
        let is_on_first = |server: &mut Server| {
            let shared = &server.cores[0].state().shared;
            shared.slots.core_of(key.as_bytes()).index() == 1
        };
        server.receive(mover, move_to(2).as_bytes());
        while is_on_first(&mut server) {
            next();
            stir(&mut server, &mut random, None);
        }
        // Core 1 gives the wait back now, and core 0 does not hear of it before it stands still for the second time.
        while server.is_rebalancing() {
            next();
            stir(&mut server, &mut random, Some((1, 0)));
        }
        let to = random.below(2);
        server.receive(mover, move_to(to).as_bytes());
        while !server.cores[0].state().moving.stands_still() {
            next();
            stir(&mut server, &mut random, Some((1, 0)));
        }
        // What core 0 sends from now on arrives when the key has gone on, if that does not wait for it.
        for _ in 0..200 {
            stir(&mut server, &mut random, Some((1, 0)));
        }
        for _ in 0..1000 {
            stir(&mut server, &mut random, Some((0, 2)));
        }
        while server.is_rebalancing() {
            next();
            stir(&mut server, &mut random, None);
        }
        server.turns();
        server.send(writer, format!("RPUSH {key} v\r\n").as_bytes());
        let taken = format!("*2\r\n${}\r\n{key}\r\n$1\r\nv\r\n", key.len());
        assert_eq!(server.send(client, b""), taken, "seed {seed}, to {to}");
        clients.iter().for_each(|client| server.disconnect(*client));
        server.assert_nothing_is_left();
    }
}
