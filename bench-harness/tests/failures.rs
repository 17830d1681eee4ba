//! How `larder-bench run` fails: one clear line and a status.
#![allow(clippy::unwrap_used)]

mod fake;

use std::net::TcpListener;
use std::time::Duration;

use fake::run::{failure, report_of, run};
use fake::{Fake, Faults, State};

fn faulty(faults: Faults) -> Fake {
    Fake::resp(State {
        faults,
        ..State::default()
    })
}

#[test]
fn a_target_that_is_not_there_is_named() {
    // Bound and dropped: nobody listens on it.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let line = failure(&["--server", &address]);
    assert!(
        line.starts_with(&format!("cannot connect to {address}: ")),
        "{line}"
    );
    let line = failure(&["--unix", "no-such.sock"]);
    assert!(
        line.starts_with("cannot connect to no-such.sock: "),
        "{line}"
    );
}

#[test]
fn a_refused_password_is_said_in_the_servers_words() {
    let locked = || {
        Fake::resp(State {
            password: Some("sesame"),
            ..State::default()
        })
    };
    let fake = locked();
    let line = failure(&["--server", &fake.address()]);
    assert!(line.contains("refuses to let us in: NOAUTH"), "{line}");
    for protocol in ["resp2", "resp3"] {
        let line = failure(&[
            "--server",
            &fake.address(),
            "--password",
            "wrong",
            "--protocol",
            protocol,
        ]);
        assert!(line.contains("refuses to let us in: WRONGPASS"), "{line}");
        let (ran, report) = report_of(
            &fake.address(),
            &[
                "--user",
                "default",
                "--password",
                "sesame",
                "--protocol",
                protocol,
                "--operations",
                "50",
            ],
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            !ran.stdout.contains("sesame"),
            "the password is not in the report"
        );
        assert_eq!(report.totals.operations, 50);
    }
    let fake = Fake::memcached(State {
        password: Some("sesame"),
        ..State::default()
    });
    let memcached = ["--server", &fake.address(), "--protocol", "memcached-text"];
    let line = failure(&memcached);
    assert!(
        line.contains("refuses to let us in: CLIENT_ERROR unauthenticated"),
        "{line}"
    );
    let line = failure(&[&memcached[..], &["--password", "wrong"]].concat());
    assert!(
        line.contains("refuses to let us in: CLIENT_ERROR authentication failure"),
        "{line}"
    );
    let right = ["--password", "sesame", "--operations", "50", "--quiet"];
    assert_eq!(run(&[&memcached[..], &right].concat()).code, 0);
}

#[test]
fn another_protocol_is_recognised() {
    let memcached = Fake::memcached(State::default());
    let line = failure(&["--server", &memcached.address()]);
    assert!(
        line.contains("does not speak resp2: to PING it answered \"ERROR"),
        "{line}"
    );
    let resp = Fake::resp(State::default());
    let line = failure(&["--server", &resp.address(), "--protocol", "memcached-text"]);
    assert!(
        line.contains("does not speak memcached-text: to version it answered \"-ERR"),
        "{line}"
    );
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_not_waited_for_forever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let line = failure(&["--server", &address]);
    assert!(line.contains("to PING: no answer in time"), "{line}");
}

#[test]
fn a_reply_that_does_not_parse_ends_the_run() {
    let fake = faulty(Faults {
        garbage_at: Some(500),
        ..Faults::default()
    });
    let line = failure(&[
        "--server",
        &fake.address(),
        "--operations",
        "100000",
        "--ratio",
        "0:1",
        "--quiet",
    ]);
    assert!(
        line.ends_with("sent a reply to GET that does not parse: \"?garbage\\r\\n\""),
        "{line}"
    );
}

#[test]
fn a_connection_lost_in_mid_run_ends_the_run() {
    let fake = faulty(Faults {
        close_at: Some(500),
        ..Faults::default()
    });
    let line = failure(&[
        "--server",
        &fake.address(),
        "--operations",
        "100000",
        "--quiet",
    ]);
    assert!(
        line.starts_with(&format!("lost a connection to {}", fake.address())),
        "{line}"
    );
}

#[test]
fn a_server_that_falls_silent_ends_the_run() {
    let fake = faulty(Faults {
        mute_from: Some(500),
        ..Faults::default()
    });
    let line = failure(&[
        "--server",
        &fake.address(),
        "--operations",
        "100000",
        "--timeout-seconds",
        "0.3",
        "--quiet",
    ]);
    assert!(line.contains("has not answered for"), "{line}");
}

#[test]
fn errors_are_counted_and_a_run_of_nothing_else_is_a_failure() {
    let fake = faulty(Faults {
        only_errors: true,
        ..Faults::default()
    });
    let arguments = ["--operations", "100"];
    let (ran, report) = report_of(&fake.address(), &arguments);
    assert_eq!(ran.code, 1);
    assert_eq!((report.totals.operations, report.totals.errors), (100, 100));
    assert!(
        ran.stderr
            .contains("every reply was an error: ERR ordered by the test"),
        "{}",
        ran.stderr
    );
    let line = failure(&["--server", &fake.address(), "--preload", "--quiet"]);
    assert!(
        line.contains("refuses to store a key beforehand: ERR ordered"),
        "{line}"
    );
}

#[test]
fn a_wrong_command_line_has_a_status_of_its_own() {
    for arguments in [
        &["--clients", "0"][..],
        &["--command", "GET __keys__"],
        &["--preset", "nothing"],
        &["--no-such-option"],
        &["--command", "SET __key__ __value__ EX __ttl__"],
        &["--replay", "no-such-file"],
        &["--key-bytes", "3"],
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn a_stall_shorter_than_the_limit_is_waited_out() {
    let fake = faulty(Faults {
        stall: Some((100, Duration::from_millis(300))),
        ..Faults::default()
    });
    let (ran, report) = report_of(&fake.address(), &["--operations", "500"]);
    assert_eq!((ran.code, report.totals.operations), (0, 500));
}
