//! What clients have the server keep for them counts as theirs, and who has it keep too much is closed (`maxmemory-clients`).

#![cfg(test)]

use crate::dispatch::core::Intent;
use crate::dispatch::tests::testing::{Client, Server};

/// Sends commands that `of` makes of their numbers until the client is closed; how many.
fn until_closed(server: &mut Server, client: Client, of: fn(usize) -> String) -> usize {
    (0..10_000)
        .find(|number| {
            server.send(client, format!("{}\r\n", of(*number)).as_bytes());
            server.intent(client) != Intent::Read
        })
        .expect("it is closed sometime")
}

#[test]
fn a_client_that_watches_subscribes_or_tracks_without_end_is_closed() {
    let ways: [fn(usize) -> String; 5] = [
        |number| format!("WATCH key{number}"),
        |number| format!("SUBSCRIBE channel{number}"),
        |number| format!("PSUBSCRIBE pattern{number}"),
        |number| format!("SSUBSCRIBE channel{number}"),
        |number| format!("CLIENT TRACKING ON BCAST PREFIX {number:08}"),
    ];
    for cores in [1, 2] {
        for of in ways {
            let mut server = Server::configured(cores, &[("maxmemory-clients", "200000")]);
            let client = server.connect(0);
            let commands = until_closed(&mut server, client, of);
            assert!((50..2000).contains(&commands), "{commands} of {}", of(0));
            let stats = &server.cores[0].state().stats;
            assert_eq!(stats.evicted_clients, 1, "{}", of(0));
            server.disconnect(client);
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn what_a_client_no_longer_watches_does_not_count() {
    let mut server = Server::configured(2, &[("maxmemory-clients", "200000")]);
    let client = server.connect(0);
    for number in 0..10_000 {
        server.send(client, format!("WATCH key{number}\r\n").as_bytes());
        if number % 100 == 99 {
            server.send(client, b"UNWATCH\r\n");
        }
    }
    assert_eq!(server.intent(client), Intent::Read);
}

#[test]
fn many_small_clients_are_closed_the_oldest_first_and_those_that_may_not_be_stay() {
    let mut server = Server::configured(1, &[("maxmemory-clients", "100000")]);
    let spared = server.connect(0);
    server.send(spared, b"CLIENT NO-EVICT ON\r\n");
    let clients: Vec<Client> = (0..300).map(|_| server.connect(0)).collect();
    // So many are closed in a turn, and the next comes a moment later.
    for _ in 0..10 {
        server.advance(200);
        server.turns();
    }
    let is_open = |server: &Server, client: &Client| server.intent(*client) == Intent::Read;
    assert!(is_open(&server, &spared));
    assert!(!is_open(&server, &clients[0]) && is_open(&server, &clients[299]));
    let first_open = clients.iter().position(|client| is_open(&server, client));
    let first_open = first_open.expect("the last is");
    assert!(
        clients[first_open..]
            .iter()
            .all(|client| is_open(&server, client))
    );
    assert!(first_open > 100, "{first_open} are closed");
}
