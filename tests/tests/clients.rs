//! Real clients against Larder with 1, 2 and 4 cores on both I/O backends: the PyPI `redis`, the npm `ioredis`,
//! redis-cli and redis-benchmark, over TCP and over a unix socket. Cluster clients are in `cluster_clients`.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use larder_tests::server::{Options, Server};
use larder_tests::{stock, tools};

const SOCKET: &str = "larder.sock";

/// Runs `with` on a server of every shape.
fn on_every_shape(with: impl Fn(&Server)) {
    let options = |cores, backend| Options::larder(cores, backend).directive("unixsocket", SOCKET);
    stock::on_every_shape(&[1, 2, 4], options, |server, _| with(server)).unwrap();
}

/// Runs a program to its end, giving what it printed.
fn run(command: &mut Command, input: &str, server: &Server) -> String {
    stock::run(command, input, server).unwrap().output
}

/// The arguments by which a client script finds the server.
fn place(server: &Server) -> [String; 3] {
    let socket = server.directory().join(SOCKET);
    [
        "127.0.0.1".into(),
        server.address().port().to_string(),
        socket.to_string_lossy().into_owned(),
    ]
}

fn redis_cli(server: &Server) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.address().port().to_string()]);
    command
}

#[test]
fn redis_py_is_served() {
    let Some(python) = stock::redis_py_or_skip() else {
        return;
    };
    on_every_shape(|server| {
        let script = stock::scripts_dir().join("redis_py.py");
        let text = run(
            Command::new(&python).arg(script).args(place(server)),
            "",
            server,
        );
        assert!(text.contains("all right"), "{text}");
    });
}

#[test]
fn ioredis_is_served() {
    let Some(node) = stock::ioredis_or_skip() else {
        return;
    };
    on_every_shape(|server| {
        let script = stock::scripts_dir().join("ioredis.js");
        let text = run(
            Command::new(&node).arg(script).args(place(server)),
            "",
            server,
        );
        assert!(text.contains("all right"), "{text}");
    });
}

#[test]
fn redis_cli_is_served() {
    if tools::find_or_skip("redis-cli").is_none() {
        return;
    }
    on_every_shape(|server| {
        let cli = |args: &[&str]| run(redis_cli(server).args(args), "", server);
        assert_eq!(cli(&["SET", "k", "hello"]), "OK\n");
        assert_eq!(cli(&["GET", "k"]), "hello\n");
        assert_eq!(cli(&["-3", "GET", "k"]), "hello\n");
        assert_eq!(cli(&["-n", "5", "GET", "k"]), "\n");
        assert_eq!(cli(&["--scan"]), "k\n");
        let socket = server.directory().join(SOCKET);
        assert_eq!(
            cli(&["-s", &socket.to_string_lossy(), "GET", "k"]),
            "hello\n"
        );
        assert!(cli(&["INFO", "server"]).contains("redis_version:"));
        assert!(cli(&["--bigkeys"]).contains("has 5 bytes"));
        // a whole session, and mass insertion
        assert_eq!(
            run(&mut redis_cli(server), "SET a 1\nINCR a\nGET a\n", server),
            "OK\n2\n2\n"
        );
        let inserts: String = (0..5000).map(|i| format!("SET mass:{i} {i}\r\n")).collect();
        let text = run(redis_cli(server).arg("--pipe"), &inserts, server);
        assert!(text.contains("errors: 0, replies: 5000"), "{text}");
        assert_eq!(cli(&["GET", "mass:4999"]), "4999\n");
        assert_eq!(cli(&["DBSIZE"]), "5002\n");
    });
}

#[test]
fn redis_benchmark_is_served() {
    if tools::find_or_skip("redis-benchmark").is_none() {
        return;
    }
    on_every_shape(|server| {
        for pipeline in ["1", "64"] {
            let mut command = Command::new("redis-benchmark");
            command.args([
                "-p",
                &server.address().port().to_string(),
                "-P",
                pipeline,
                "-n",
                "10000",
                "-c",
                "50",
            ]);
            command.args([
                "-r",
                "1000",
                "-d",
                "100",
                "--csv",
                "-t",
                "ping_inline,ping_mbulk,set,get,incr,mset",
            ]);
            let text = run(&mut command, "", server);
            for test in [
                "PING_INLINE",
                "PING_MBULK",
                "SET",
                "GET",
                "INCR",
                "MSET (10 keys)",
            ] {
                assert!(
                    text.contains(&format!("\"{test}\"")),
                    "no figure for {test}:\n{text}"
                );
            }
        }
        let mut client = server.connect().unwrap();
        let size = client.run("DBSIZE").unwrap().integer().unwrap();
        assert!(
            (1800..=2001).contains(&size),
            "{size} keys after writing two thousand different ones"
        );
    });
}
