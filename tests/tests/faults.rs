//! That a server which panics, or ends as no process should, is noticed by every test that started it: faults planted on
//! purpose.

#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Duration;

use larder_tests::server::{IoBackend, Options, Server, fault_in};

fn server() -> Server {
    let backend = *IoBackend::under_test().first().unwrap();
    Server::start(&Options::larder(2, backend)).unwrap()
}

#[test]
fn a_panic_of_a_core_fails_the_test_that_started_the_server() {
    let server = server();
    // Whether an answer comes before the end is all the same.
    drop(server.connect().unwrap().call(&["DEBUG", "PANIC"]));
    let fault = server.stop().unwrap_err();
    assert!(
        fault.contains("its log says") && fault.contains("panicked at"),
        "{fault}"
    );
}

#[test]
fn a_panic_that_the_server_survives_is_noticed_too() {
    let log = "larder-server: ready\nthread 'larder-0' (12) panicked at server/src/script/x.rs:1:2:\nwhy\n";
    assert!(fault_in(log).unwrap().contains("panicked at"));
    assert_eq!(fault_in("larder-server: ready\nno one panicked\n"), None);
}

#[test]
fn an_end_by_a_signal_the_test_did_not_send_is_noticed() {
    let mut server = server();
    let killed = Command::new("kill")
        .args(["-s", "KILL", &server.pid().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    server.wait_for_exit(Duration::from_secs(20)).unwrap();
    let fault = server.stop().unwrap_err();
    assert!(fault.contains("it ended with"), "{fault}");
}

#[test]
fn a_server_that_ends_as_told_is_no_finding() {
    for signal in [None, Some("TERM"), Some("KILL")] {
        let server = server();
        if let Some(signal) = signal {
            server.signal(signal).unwrap();
        }
        server.stop().unwrap();
    }
}
