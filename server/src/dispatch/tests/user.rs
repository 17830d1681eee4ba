//! What travels to another core knows as whom it is done.

#![cfg(test)]

use crate::dispatch::mail::batch::{Batch, Request};
use crate::dispatch::mail::requests::Work;
use crate::dispatch::tests::testing::{Client, Server, key_on};
use crate::session::{SessionId, UserId};

/// The users of what runs something for a client, in a batch and the parts behind it.
fn users(batch: &Batch, found: &mut Vec<UserId>) {
    for request in batch.requests().iter().chain(batch.all_queued()) {
        let is_of_server = request.head.ticket.session() == SessionId::default();
        if runs_something(request) && !is_of_server {
            found.push(request.head.user);
        }
    }
    if let Some(parts) = batch.parts() {
        users(parts, found);
    }
}

fn runs_something(request: &Request) -> bool {
    !matches!(
        request.head.work,
        Work::Unlock | Work::Undo | Work::Wait(..)
    )
}

/// Sends `bytes`, and sees what goes to other cores for it. How much that was.
fn sent_as(server: &mut Server, client: Client, bytes: &str, user: UserId) -> usize {
    server.receive(client, bytes.as_bytes());
    let mut found = Vec::new();
    let cores = server.cores.len();
    for at in 0..40 * cores {
        // What it sends is still under way then.
        server.turn_of(at % cores);
        server.each_under_way(|batch| users(batch, &mut found));
    }
    assert!(
        found.iter().all(|found| *found == user),
        "{bytes}: {found:?}"
    );
    assert!(!server.take_output(client).is_empty(), "{bytes}");
    found.len()
}

#[test]
fn whatever_goes_to_another_core_knows_its_user() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let [here, there] = [0, 1].map(|core| key_on(core, 2, "k"));
    let set = "redis.call('set',KEYS[#KEYS],1)";
    let set_undeclared = "return redis.call('set',ARGV[1],ARGV[2])";
    for user in [UserId::DEFAULT, UserId::OTHER] {
        server.user_of(client, user);
        for line in [
            format!("SET {there} 1"),
            format!("MGET {here} {there}"),
            format!("MSET {here} 1 {there} 2"),
            format!("MULTI\r\nSET {there} 1\r\nGET {there}\r\nEXEC"),
            format!("MULTI\r\nSET {here} 1\r\nGET {there}\r\nEXEC"),
            format!("MULTI\r\nMSET {here} 1 {there} 2\r\nEXEC"),
            format!("COPY {here} {there} REPLACE"),
            format!("EVAL \"{set}\" 1 {there}"),
            format!("EVAL \"{set}\" 2 {here} {there}"),
            format!("EVAL \"{set_undeclared}\" 0 {there} 1"),
            format!("EVAL \"{set_undeclared}\" 1 {there} {here} 1"),
            "FLUSHALL".into(),
            "DBSIZE".into(),
        ] {
            let sent = sent_as(&mut server, client, &format!("{line}\r\n"), user);
            assert!(sent > 0, "{line}");
        }
    }
}
