//! Programs that people run on Redis, end to end, on Larder and on redis-server, which shows that what is asked is
//! right: job queues of Python (huey, RQ) and of Node.js (Bull), a cache of a web framework (Flask-Caching), and a store of
//! sessions (connect-redis).

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use larder_tests::server::{Options, Server};
use larder_tests::{stock, tools};

/// Two cores are enough to have keys of one application on several.
const CORES: [usize; 1] = [2];

/// Runs a script of `clients/` on a server.
fn play(interpreter: &Path, script: &str, more: &[&str], server: &Server) {
    let mut command = Command::new(interpreter);
    let port = server.address().port().to_string();
    command
        .arg(stock::scripts_dir().join(script))
        .args(["127.0.0.1", &port])
        .args(more);
    let printed = stock::run(&mut command, "", server).unwrap();
    let output = printed.output;
    assert!(output.contains("all right"), "{script}: {output}");
}

fn on_redis(with: impl Fn(&Server)) {
    if let Some(path) = tools::find_or_skip("redis-server") {
        with(&Server::start(&Options::redis(path)).unwrap());
    }
}

fn on_larder(with: impl Fn(&Server)) {
    stock::on_every_shape(&CORES, Options::larder, |server, _| with(server)).unwrap();
}

/// Whether this server has the commands; says so if it has not.
fn has(server: &Server, commands: &[&str]) -> bool {
    let mut client = server.connect().unwrap();
    let mut knows = |name: &&&str| client.knows_command(name).unwrap();
    let lacks: Vec<_> = commands.iter().filter(|name| !knows(name)).collect();
    if !lacks.is_empty() {
        eprintln!("{} has no {lacks:?} yet", server.label());
    }
    lacks.is_empty()
}

#[test]
fn a_flask_application_caches() {
    if let Some(python) = stock::python_with_or_skip("flask_caching") {
        let play = |server: &Server| play(&python, "flask_cache.py", &[], server);
        on_redis(play);
        on_larder(play);
    }
}

#[test]
fn an_express_application_keeps_its_sessions() {
    if let Some(node) = stock::node_with_or_skip("connect-redis") {
        let play = |server: &Server| play(&node, "session_store.js", &[], server);
        on_redis(play);
        on_larder(play);
    }
}

#[test]
fn workers_of_huey_do_their_jobs() {
    if let Some(python) = stock::python_with_or_skip("huey") {
        let play = |server: &Server| play(&python, "huey_queue.py", &[], server);
        on_redis(play);
        on_larder(play);
    }
}

#[test]
fn workers_of_rq_do_their_jobs() {
    if let Some(python) = stock::python_with_or_skip("rq") {
        let play = |server: &Server| {
            if has(server, &["SADD", "ZADD", "XADD"]) {
                play(&python, "rq_queue.py", &[], server);
            }
        };
        on_redis(play);
        on_larder(play);
    }
}

#[test]
fn a_queue_of_bull_takes_jobs_and_its_workers_do_them() {
    if let Some(node) = stock::node_with_or_skip("bull") {
        let play = |server: &Server| {
            // Without them, what needs them is left out.
            let all: &[&str] = if has(server, &["SADD", "ZADD"]) {
                &["all"]
            } else {
                &[]
            };
            play(&node, "bull_queue.js", all, server);
        };
        on_redis(play);
        on_larder(play);
    }
}
