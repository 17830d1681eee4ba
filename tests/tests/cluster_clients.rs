//! Cluster clients against Larder whose cores are nodes (`core-endpoints yes`), with 2 and 4 cores on both I/O backends:
//! the PyPI `redis`, the npm `ioredis`, redis-cli, redis-benchmark and larder-bench.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use larder_tests::client::Client;
use larder_tests::server::{Options, Server};
use larder_tests::{programs, stock, tools};

const CORES: [usize; 2] = [2, 4];

/// Runs `with` on a server of every shape, and its number of cores.
fn on_every_shape(with: impl Fn(&Server, usize)) {
    let options = |cores, backend| Options::larder(cores, backend).with_core_endpoints();
    stock::on_every_shape(&CORES, options, with).unwrap();
}

/// Runs a program to its end, giving all it printed.
fn run(command: &mut Command, server: &Server) -> String {
    let printed = stock::run(command, "", server).unwrap();
    printed.output + &printed.errors
}

/// Commands that a core got for keys of another, over all cores.
fn hops(server: &Server) -> u64 {
    let mut client = server.connect().unwrap();
    let info = client.run("INFO stats").unwrap();
    let text = String::from_utf8_lossy(info.bytes().unwrap()).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("larder_hops:"));
    line.unwrap_or_else(|| panic!("no hops in {text}"))
        .trim()
        .parse()
        .unwrap()
}

/// Every command since there were `before` hops went straight to the core of its key.
fn assert_straight(server: &Server, cores: usize, before: u64) {
    // To answer INFO, a core asks the others: here twice, and a load generator asks once.
    let asked = 3 * (cores as u64 - 1);
    let more = hops(server) - before;
    assert!(more <= asked, "{}: {more} hops", server.label());
}

/// The arguments by which a client script finds the server.
fn place(server: &Server, cores: usize) -> [String; 3] {
    let port = server.address().port().to_string();
    ["127.0.0.1".into(), port, cores.to_string()]
}

#[test]
fn redis_py_finds_a_cluster() {
    let Some(python) = stock::redis_py_or_skip() else {
        return;
    };
    on_every_shape(|server, cores| {
        let script = stock::scripts_dir().join("redis_py_cluster.py");
        let mut command = Command::new(&python);
        let text = run(command.arg(script).args(place(server, cores)), server);
        assert!(text.contains("all right"), "{text}");
    });
}

#[test]
fn ioredis_finds_a_cluster() {
    let Some(node) = stock::ioredis_or_skip() else {
        return;
    };
    on_every_shape(|server, cores| {
        let script = stock::scripts_dir().join("ioredis_cluster.js");
        let mut command = Command::new(&node);
        let text = run(command.arg(script).args(place(server, cores)), server);
        assert!(text.contains("all right"), "{text}");
    });
}

#[test]
fn redis_cli_finds_a_cluster() {
    if tools::find_or_skip("redis-cli").is_none() {
        return;
    }
    on_every_shape(|server, cores| {
        let port = usize::from(server.address().port());
        for port in port..=port + cores {
            let cli = |args: &[&str]| {
                let mut command = Command::new("redis-cli");
                command.args(["-c", "-p", &port.to_string()]).args(args);
                run(&mut command, server)
            };
            assert_eq!(cli(&["SET", "k", "hello"]), "OK\n");
            assert_eq!(cli(&["MSET", "a", "1", "b", "2", "c", "3"]), "OK\n");
            assert_eq!(cli(&["MGET", "a", "b", "c"]), "1\n2\n3\n");
            assert_eq!(cli(&["CLUSTER", "KEYSLOT", "foo"]), "12182\n");
            assert_eq!(
                cli(&["CLUSTER", "NODES"])
                    .lines()
                    .filter(|line| line.contains("connected"))
                    .count(),
                cores
            );
        }
        // Its cluster manager understands what it is told.
        let mut command = Command::new("redis-cli");
        command.args([
            "--cluster",
            "call",
            &format!("127.0.0.1:{}", port + 1),
            "DBSIZE",
        ]);
        let text = run(&mut command, server);
        assert_eq!(text.matches("127.0.0.1:").count(), cores, "{text}");
        let sizes = text
            .lines()
            .filter_map(|line| line.rsplit(": ").next()?.parse::<u64>().ok());
        assert_eq!(sizes.sum::<u64>(), 4, "{text}");
    });
}

#[test]
fn redis_benchmark_finds_a_cluster() {
    if tools::find_or_skip("redis-benchmark").is_none() {
        return;
    }
    on_every_shape(|server, cores| {
        let before = hops(server);
        let mut command = Command::new("redis-benchmark");
        // From a node: this program sends the commands of the node that it asks to where it asked.
        let port = (server.address().port() + 1).to_string();
        command.args([
            "--cluster",
            "-p",
            &port,
            "-n",
            "10000",
            "-c",
            "20",
            "-P",
            "8",
        ]);
        command.args(["-r", "1000", "-t", "set,get,incr"]);
        let text = run(&mut command, server);
        assert!(
            text.contains(&format!("Cluster has {cores} master nodes")),
            "{text}"
        );
        for test in ["SET", "GET", "INCR"] {
            assert!(text.contains(&format!("====== {test} ======")), "{text}");
        }
        assert_straight(server, cores, before);
    });
}

#[test]
fn larder_bench_finds_a_cluster() {
    let bench = programs::larder_bench().unwrap();
    on_every_shape(|server, cores| {
        let before = hops(server);
        let mut command = Command::new(&bench);
        let port = server.address().port();
        command.args(["run", "--server", &format!("127.0.0.1:{port}"), "--cluster"]);
        command.args([
            "--preload",
            "--verify",
            "--keys",
            "2000",
            "--operations",
            "20000",
        ]);
        command.args(["--clients", "8", "--pipeline", "4", "--threads", "1"]);
        let text = run(&mut command, server);
        assert!(text.contains("20,000 operations"), "{text}");
        assert_straight(server, cores, before);
        let mut client = server.connect().unwrap();
        assert_eq!(
            client.run("DBSIZE").unwrap().integer(),
            Some(2000),
            "{text}"
        );
    });
}

/// What `LARDER REBALANCE STATUS` says.
fn rebalance_status(client: &mut Client) -> String {
    let reply = client.run("LARDER REBALANCE STATUS").unwrap();
    reply.lines().join(" ")
}

/// Waits until no slot is to move.
fn wait_for_rebalance(client: &mut Client) -> String {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let status = rebalance_status(client);
        if !status.contains("\"moving\"") {
            return status;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn slots_move_under_load_and_no_client_sees_an_error() {
    let bench = programs::larder_bench().unwrap();
    on_every_shape(|server, cores| {
        let port = server.address().port();
        let load = |seed: &str| {
            let mut command = Command::new(&bench);
            command.args(["run", "--server", &format!("127.0.0.1:{port}"), "--cluster"]);
            command.args([
                "--preload",
                "--verify",
                "--keys",
                "3000",
                "--operations",
                "60000",
            ]);
            command.args([
                "--clients",
                "8",
                "--pipeline",
                "4",
                "--threads",
                "1",
                "--seed",
                seed,
            ]);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let running = load("1");
        let mut client = server.connect().unwrap();
        let orders = ["MOVE 0-3000 1", "MOVE 100-500 16000-16383 0", "EVEN", ""];
        for order in orders.iter().cycle().take(8) {
            let reply = client.run(&format!("LARDER REBALANCE {order}")).unwrap();
            assert_eq!(reply.lines().join(" "), "+OK", "{order}");
            let status = wait_for_rebalance(&mut client);
            assert!(status.contains("\"idle\""), "{order}: {status}");
        }
        let output = running.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}, {cores} cores:\n{text}",
            server.label()
        );
        assert!(text.contains("60,000 operations"), "{text}");
        assert_eq!(
            client.run("DBSIZE").unwrap().integer(),
            Some(3000),
            "{text}"
        );
    });
}
