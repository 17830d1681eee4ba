//! Clients that are held back go on, whatever ends that; and who is closed takes nobody with him.

#![cfg(test)]

use crate::dispatch::core::Intent;
use crate::dispatch::tests::testing::{Client, Server, key_on};

const MIB: usize = 1 << 20;

/// A server of so many cores, with a value of `bytes` on each core; the keys.
fn with_values(cores: u16, bytes: usize, directives: &[(&str, &str)]) -> (Server, Vec<String>) {
    let mut server = Server::configured(cores, directives);
    let keys: Vec<_> = (0..cores)
        .map(|core| key_on(core, cores, "value"))
        .collect();
    let client = server.connect(0);
    for key in &keys {
        let set = format!("SETRANGE {key} {} x\r\n", bytes - 1);
        server.send(client, set.as_bytes());
    }
    server.disconnect(client);
    (server, keys)
}

#[test]
fn a_session_held_back_for_a_large_part_of_a_reply_goes_on_when_credit_was_given_for_it() {
    let (mut server, keys) = with_values(2, 5 * MIB, &[]);
    let client = server.connect(0);
    let small = key_on(1, 2, "small");
    server.send(client, format!("SET {small} v\r\n").as_bytes());
    let mut commands = format!("MGET {} {}\r\n", key_on(0, 2, "none"), keys[1]);
    commands += &format!("GET {small}\r\n").repeat(1100);
    server.receive(client, commands.as_bytes());
    let taken = server.read_all(client);
    let one = "$1\r\nv\r\n".len();
    let first = format!("*2\r\n$-1\r\n${}\r\n\r\n", 5 * MIB).len() + 5 * MIB;
    assert_eq!(taken.len(), first + 1100 * one);
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn a_raised_high_water_lets_those_go_on_that_were_held_back() {
    for cores in [1, 2] {
        let high_water = ("client-output-buffer-high-water", "64kb");
        let (mut server, keys) = with_values(cores, 100_000, &[high_water]);
        let (client, operator) = (server.connect(0), server.connect(0));
        let key = &keys[usize::from(cores) - 1];
        server.receive(client, format!("GET {key}\r\n").repeat(50).as_bytes());
        server.turns();
        let set = b"CONFIG SET client-output-buffer-high-water 1gb\r\n";
        assert_eq!(server.send(operator, set), "+OK\r\n");
        let taken = server.read_all(client);
        assert_eq!(taken.len(), 50 * (100_000 + "$100000\r\n\r\n".len()));
    }
}

#[test]
fn one_closed_for_what_it_queued_takes_nobody_with_it() {
    let (mut server, keys) = with_values(1, 20_000, &[("maxmemory-clients", "20mb")]);
    let others: Vec<_> = (0..10).map(|_| server.connect(0)).collect();
    for &other in &others {
        let gets = format!("GET {}\r\n", keys[0]).repeat(2);
        server.receive(other, gets.as_bytes());
    }
    server.turns();
    let queues = server.connect(0);
    server.receive(queues, b"MULTI\r\n");
    let set = format!("SET k {}\r\n", "v".repeat(50_000));
    for _ in 0..600 {
        if server.intent(queues) == Intent::CloseNow {
            break;
        }
        server.receive(queues, set.as_bytes());
        server.turns();
    }
    assert_eq!(server.intent(queues), Intent::CloseNow);
    for other in others {
        assert_eq!(server.intent(other), Intent::Read);
    }
    assert_eq!(server.cores[0].state().stats.evicted_clients, 1);
}

#[test]
fn quoted_inline_commands_have_their_part_of_a_turn_as_others_do() {
    let (mut server, keys) = with_values(1, MIB, &[]);
    let client = server.connect(0);
    let commands = format!("GET \"{}\"\r\n", keys[0]).repeat(200);
    server.receive(client, commands.as_bytes());
    let (core, id) = client;
    let session = server.cores[core].state().sessions.get(id).unwrap();
    let held = session.output.pending_bytes();
    assert!(held < 24 * MIB, "{held} in one turn");
    let taken = server.read_all(client);
    let one = format!("${MIB}\r\n\r\n").len() + MIB;
    assert_eq!(taken.len(), 200 * one);
}

#[test]
fn what_went_out_to_a_client_that_is_closed_since_is_no_matter() {
    let (mut server, keys) = with_values(2, 100_000, &[("maxmemory-clients", "20mb")]);
    let slow = [server.connect(0), server.connect(0), server.connect(0)];
    for client in slow {
        let gets = format!("GET {}\r\n", keys[0]).repeat(60);
        server.receive(client, gets.as_bytes());
        server.turns();
    }
    // On the other core somebody, who holds less than each of these, makes all hold too much, so that one of these is to be closed; and its core has
    // yet to hear.
    let other = server.connect(1);
    let gets = format!("GET {}\r\n", keys[1]).repeat(35);
    server.receive(other, gets.as_bytes());
    server.turn_of(1);
    // The oldest, which is closed, comes last.
    for (core, id) in slow.into_iter().rev() {
        server.cores[core].sent(id, 1000);
    }
    server.turns();
    let open = |client: &&Client| server.intent(**client) == Intent::Read;
    assert_eq!(slow.iter().filter(open).count(), 2);
}
