//! Programs that people run on Redis, end to end, on Larder and on redis-server, which shows that what is asked is
//! right: job queues of Python (huey, RQ, Dramatiq, Celery) and of Node.js (Bull, BullMQ), caches of web frameworks
//! (Flask-Caching, Django), a store of sessions (connect-redis), limits of rates (rate-limiter-flexible), leaderboards, and
//! sites of several processes whose browsers hear of each other (Django Channels, Socket.IO).

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use larder_tests::server::{Options, Server};
use larder_tests::{stock, tools};

/// Two cores are enough to have keys of one application on several.
const CORES: [usize; 1] = [2];

/// Runs a script of `clients/` on a server.
fn play(interpreter: &Path, script: &str, server: &Server) {
    let mut command = Command::new(interpreter);
    let port = server.address().port().to_string();
    command
        .arg(stock::scripts_dir().join(script))
        .args(["127.0.0.1", &port]);
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

/// Plays a script that needs this Python module.
fn python(module: &str, script: &str) {
    if let Some(python) = stock::python_with_or_skip(module) {
        on_redis(|server| play(&python, script, server));
        on_larder(|server| play(&python, script, server));
    }
}

/// Plays a script that needs this npm package.
fn node(package: &str, script: &str) {
    if let Some(node) = stock::node_with_or_skip(package) {
        on_redis(|server| play(&node, script, server));
        on_larder(|server| play(&node, script, server));
    }
}

#[test]
fn a_flask_application_caches() {
    python("flask_caching", "flask_cache.py");
}

#[test]
fn a_django_application_caches_and_keeps_its_sessions() {
    python("django", "django_cache.py");
}

#[test]
fn an_express_application_keeps_its_sessions() {
    node("connect-redis", "session_store.js");
}

#[test]
fn calls_are_limited_to_so_many() {
    node("rate-limiter-flexible", "rate_limiter.js");
}

#[test]
fn a_game_has_leaderboards() {
    python("redis", "leaderboard.py");
}

#[test]
fn processes_of_django_channels_reach_each_others_browsers() {
    python("channels_redis", "channels_chat.py");
}

#[test]
fn servers_of_socket_io_reach_each_others_browsers() {
    node("@socket.io/redis-streams-adapter", "socket_io_servers.js");
}

#[test]
fn workers_of_huey_do_their_jobs() {
    python("huey", "huey_queue.py");
}

#[test]
fn workers_of_rq_do_their_jobs() {
    python("rq", "rq_queue.py");
}

#[test]
fn workers_of_dramatiq_run_their_actors() {
    python("dramatiq", "dramatiq_queue.py");
}

#[test]
fn a_worker_of_celery_does_its_tasks() {
    python("celery", "celery_tasks.py");
}

#[test]
fn a_queue_of_bull_takes_jobs_and_its_workers_do_them() {
    node("bull", "bull_queue.js");
}

#[test]
fn a_queue_of_bullmq_takes_jobs_and_its_workers_do_them() {
    node("bullmq", "bullmq_queue.js");
}
