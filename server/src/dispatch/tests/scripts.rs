//! Scripts through the sans-I/O harness, on one core and on several.

#![cfg(test)]

use std::sync::atomic::Ordering;

use crate::dispatch::limits::SCRIPTS_ON_CORES_MAX;
use crate::dispatch::tests::testing::{Client, Server, key_on};

/// Sends a command of these words.
fn run(server: &mut Server, client: Client, words: &[&str]) -> String {
    server.send(client, &encode(words))
}

fn encode(words: &[&str]) -> Vec<u8> {
    crate::resp::encode_command(words.iter().map(|word| word.as_bytes()))
}

const GET: &str = "return redis.call('GET', KEYS[1])";

#[test]
fn a_script_runs_where_its_keys_live_whoever_asks() {
    for cores in [1, 2, 3] {
        let mut server = Server::new(cores);
        for core in 0..cores {
            let key = key_on(core, cores, "k");
            for from in 0..cores {
                let client = server.connect(from.into());
                let value = format!("{core}{from}");
                let set = "return redis.call('SET', KEYS[1], ARGV[1])";
                let reply = run(&mut server, client, &["EVAL", set, "1", &key, &value]);
                assert_eq!(reply, "+OK\r\n");
                let reply = run(&mut server, client, &["EVAL", GET, "1", &key]);
                assert_eq!(reply, format!("$2\r\n{value}\r\n"));
                assert_eq!(run(&mut server, client, &["GET", &key]), reply);
            }
        }
    }
}

#[test]
fn however_many_scripts_over_cores_come_together_each_is_answered() {
    let script = "return redis.call('GET', KEYS[1]) or redis.call('GET', KEYS[2])";
    for cores in [2, 3, 5] {
        for count in [1, SCRIPTS_ON_CORES_MAX, 2 * SCRIPTS_ON_CORES_MAX, 100] {
            let mut server = Server::new(cores);
            let clients: Vec<Client> = (0..4).map(|_| server.connect(0)).collect();
            // Keys of its own for each: none waits for another's locks.
            let eval = |of: usize, at: usize| {
                let key = |core: usize| {
                    key_on(
                        (core % usize::from(cores)) as u16,
                        cores,
                        &format!("{of}:{at}"),
                    )
                };
                encode(&["EVAL", script, "2", &key(at), &key(at + 1)])
            };
            // From now on they are known to keep to their keys, and follow one another without waiting.
            for at in 0..usize::from(cores) {
                assert_eq!(server.send(clients[0], &eval(0, at)), "$-1\r\n");
            }
            for (of, client) in clients.iter().enumerate() {
                let pipeline: Vec<u8> = (0..count).flat_map(|at| eval(of, at)).collect();
                server.receive(*client, &pipeline);
            }
            // No core takes a turn that has nothing to do: nothing else has those go on that wait.
            server.turns_alone(0);
            for client in &clients {
                let replies = server.take_output(*client);
                assert_eq!(String::from_utf8_lossy(&replies), "$-1\r\n".repeat(count));
            }
        }
    }
}

#[test]
fn a_script_run_on_one_core_is_known_to_the_others() {
    let mut server = Server::new(3);
    let clients: Vec<Client> = (0..3).map(|core| server.connect(core)).collect();
    let sha = "fd758d1589d044dd850a6f05d52f2eefd27f033f";
    let key = key_on(1, 3, "k");
    let unknown = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    let evalsha = ["EVALSHA", sha, "1", &key];
    assert_eq!(run(&mut server, clients[0], &evalsha), unknown);
    let script = "return redis.call('get',KEYS[1])";
    let loaded = run(&mut server, clients[2], &["SCRIPT", "LOAD", script]);
    assert_eq!(loaded, format!("$40\r\n{sha}\r\n"));
    for client in &clients {
        assert_eq!(run(&mut server, *client, &evalsha), "$-1\r\n");
        let upper = ["EVALSHA", &sha.to_uppercase(), "1", &key];
        assert_eq!(run(&mut server, *client, &upper), "$-1\r\n");
        let exists = ["SCRIPT", "EXISTS", sha, "nosuch"];
        assert_eq!(run(&mut server, *client, &exists), "*2\r\n:1\r\n:0\r\n");
    }
    assert_eq!(
        run(&mut server, clients[1], &["SCRIPT", "FLUSH"]),
        "+OK\r\n"
    );
    for client in &clients {
        assert_eq!(run(&mut server, *client, &evalsha), unknown);
    }
}

#[test]
fn a_script_reaches_keys_of_all_cores_declared_or_not() {
    for cores in [2, 3] {
        let mut server = Server::new(cores);
        let clients: Vec<Client> = (0..cores).map(|core| server.connect(core.into())).collect();
        let (a, b) = (key_on(0, cores, "a"), key_on(cores - 1, cores, "b"));
        for client in clients.iter().copied() {
            let both = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1]) \
                        return redis.call('MGET', KEYS[1], KEYS[2])";
            let reply = run(&mut server, client, &["EVAL", both, "2", &a, &b, "x"]);
            assert_eq!(reply, "*2\r\n$1\r\nx\r\n$1\r\nx\r\n");
            // None declared.
            let keyless = "redis.call('SET', ARGV[1], 'y') redis.call('RENAME', ARGV[1], ARGV[2]) \
                           return redis.call('GET', ARGV[2])";
            for _ in 0..2 {
                let reply = run(&mut server, client, &["EVAL", keyless, "0", &a, &b]);
                assert_eq!(reply, "$1\r\ny\r\n");
            }
            // One declared, the other reached after a write.
            let more = "redis.call('SET', KEYS[1], 'z') redis.call('APPEND', ARGV[1], 'z') \
                        return redis.call('EXISTS', KEYS[1], ARGV[1])";
            for _ in 0..2 {
                let reply = run(&mut server, client, &["EVAL", more, "1", &a, &b]);
                assert_eq!(reply, ":2\r\n");
            }
            let whole = "redis.call('SET', KEYS[1], 'z') return redis.call('DBSIZE')";
            let reply = run(&mut server, client, &["EVAL", whole, "1", &a]);
            assert_eq!(reply, ":2\r\n");
            let flush = "redis.call('FLUSHALL') return redis.call('DBSIZE')";
            assert_eq!(run(&mut server, client, &["EVAL", flush, "0"]), ":0\r\n");
            run(&mut server, client, &["SCRIPT", "FLUSH"]);
        }
        for client in clients {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn commands_of_every_kind_run_from_a_script() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    for (script, expected) in [
        ("return redis.call('PING')", "+PONG\r\n"),
        ("return redis.call('ECHO', 'x')", "$1\r\nx\r\n"),
        ("return redis.call('MSET', 'a', 1, 'b', 2)", "+OK\r\n"),
        (
            "return redis.call('MGET', 'a', 'b', 'c')",
            "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n",
        ),
        ("return redis.call('DBSIZE')", ":2\r\n"),
        ("return redis.call('RENAME', 'a', 'c')", "+OK\r\n"),
        ("return #redis.call('KEYS', '*')", ":2\r\n"),
        (
            "return redis.call('OBJECT', 'ENCODING', 'c')",
            "$3\r\nint\r\n",
        ),
        (
            "redis.call('SELECT', 1) return redis.call('DBSIZE')",
            ":0\r\n",
        ),
        ("return redis.call('DBSIZE')", ":2\r\n"),
        ("return redis.call('FLUSHALL')", "+OK\r\n"),
        (
            "return type(redis.call('INFO', 'memory'))",
            "$6\r\nstring\r\n",
        ),
        (
            "return redis.pcall('nosuch').err",
            "$42\r\nERR Unknown Redis command called from script\r\n",
        ),
        (
            "return redis.pcall('CONFIG', 'nosuch').err",
            "$42\r\nERR Unknown Redis command called from script\r\n",
        ),
        (
            "return redis.pcall('GET').err",
            "$55\r\nERR Wrong number of args calling Redis command from script\r\n",
        ),
        (
            "return redis.pcall('AUTH', 'x').err",
            "$45\r\nERR This Redis command is not allowed from script\r\n",
        ),
        (
            "return redis.pcall('EVAL', 'return 1', 0).err",
            "$45\r\nERR This Redis command is not allowed from script\r\n",
        ),
        (
            "return redis.pcall('INCR', 'a', 'b').err",
            "$55\r\nERR Wrong number of args calling Redis command from script\r\n",
        ),
    ] {
        let reply = run(&mut server, client, &["EVAL", script, "0"]);
        let body = |text: &str| text.split_once("\r\n").map(|(_, body)| body.to_owned());
        // Of errors' texts the length is none of this test's.
        if expected.contains("ERR") {
            assert_eq!(body(&reply), body(expected), "{script}");
        } else {
            assert_eq!(reply, expected, "{script}");
        }
    }
}

#[test]
fn numbers_of_keys_that_cannot_be_are_refused() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    for (number, expected) in [
        ("x", "-ERR value is not an integer or out of range\r\n"),
        ("-1", "-ERR Number of keys can't be negative\r\n"),
        (
            "3",
            "-ERR Number of keys can't be greater than number of args\r\n",
        ),
    ] {
        let reply = run(&mut server, client, &["EVAL", "return 1", number, "a", "b"]);
        assert_eq!(reply, expected);
    }
}

#[test]
fn read_only_scripts_do_not_write() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    let set = "return redis.call('SET', KEYS[1], 1)";
    let error = "-ERR Write commands are not allowed from read-only scripts. script: ";
    assert!(run(&mut server, client, &["EVAL_RO", set, "1", "k"]).starts_with(error));
    let declared = format!("#!lua flags=no-writes\n{set}");
    assert!(run(&mut server, client, &["EVAL", &declared, "1", "k"]).starts_with(error));
    assert_eq!(
        run(&mut server, client, &["EVAL_RO", GET, "1", "k"]),
        "$-1\r\n"
    );
    let writing = format!("#!lua\n{GET}");
    assert_eq!(
        run(&mut server, client, &["EVAL_RO", &writing, "1", "k"]),
        "-ERR Can not execute a script with write flag using *_ro command.\r\n"
    );
    assert_eq!(
        run(&mut server, client, &["EVAL", &writing, "1", "k"]),
        "$-1\r\n"
    );
}

#[test]
fn maxmemory_refuses_scripts_by_what_they_say_and_what_they_call() {
    let mut server = Server::configured(1, &[("maxmemory", "1")]);
    let client = server.connect(0);
    let oom = "-OOM command not allowed when used memory > 'maxmemory'.";
    let set = "redis.call('SET', KEYS[1], 1) return 1";
    for (script, is_refused) in [
        (set.to_owned(), true),
        (GET.to_owned(), false),
        ("#!lua\nreturn 1".to_owned(), true),
        (format!("#!lua flags=allow-oom\n{set}"), false),
        ("#!lua flags=no-writes\nreturn 1".to_owned(), false),
        ("redis.pcall('SET', KEYS[1], 1) return 1".to_owned(), false),
    ] {
        let reply = run(&mut server, client, &["EVAL", &script, "1", "k"]);
        assert_eq!(reply.starts_with(oom), is_refused, "{script}: {reply}");
    }
}

#[test]
fn a_pause_of_writers_lets_scripts_pass_that_do_not_write() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    let other = server.connect(0);
    run(&mut server, other, &["CLIENT", "PAUSE", "100000", "WRITE"]);
    let reads = "#!lua flags=no-writes\nreturn 1";
    assert_eq!(run(&mut server, client, &["EVAL", reads, "0"]), ":1\r\n");
    assert_eq!(
        run(&mut server, client, &["EVAL_RO", "return 2", "0"]),
        ":2\r\n"
    );
    assert_eq!(run(&mut server, client, &["EVAL", "return 3", "0"]), "");
    run(&mut server, other, &["CLIENT", "UNPAUSE"]);
    server.advance(1);
    assert_eq!(server.send(client, b""), ":3\r\n");
}

#[test]
fn monitors_see_the_script_then_its_commands() {
    for (cores, core) in [(1, 0), (2, 1)] {
        let mut server = Server::new(cores);
        let key = key_on(core, cores, "k");
        let monitor = server.connect(0);
        let client = server.connect(0);
        run(&mut server, monitor, &["MONITOR"]);
        run(&mut server, client, &["EVAL", GET, "1", &key]);
        let seen = String::from_utf8(server.take_output(monitor)).unwrap();
        let words: Vec<&str> = seen
            .lines()
            .map(|line| line.split_once(" [0 ").unwrap().1)
            .collect();
        let eval = format!("] \"EVAL\" \"{GET}\" \"1\" \"{key}\"");
        assert!(words[0].ends_with(&eval), "{seen}");
        assert_eq!(words[1], format!("lua] \"GET\" \"{key}\""), "{seen}");
    }
}

#[test]
fn the_slow_log_holds_the_script_and_its_commands() {
    let mut server = Server::configured(1, &[("slowlog-log-slower-than", "0")]);
    let client = server.connect(0);
    run(&mut server, client, &["EVAL", GET, "1", "k"]);
    let log = run(&mut server, client, &["SLOWLOG", "GET", "2"]);
    let (script, command) = (log.find("EVAL").unwrap(), log.find("$3\r\nGET").unwrap());
    assert!(script < command && log.contains("?:0"), "{log}");
}

#[test]
fn statistics_count_commands_errors_and_failures() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    let stats = |server: &mut Server, name: &str| {
        let info = run(server, client, &["INFO", "commandstats", "errorstats"]);
        let line = info.lines().find(|line| line.starts_with(name));
        line.unwrap_or_default().to_owned()
    };
    run(&mut server, client, &["EVAL", GET, "1", "k"]);
    assert!(stats(&mut server, "cmdstat_get:").contains("calls=1,"));
    assert!(stats(&mut server, "cmdstat_eval:").contains("calls=1,"));
    // An error caught is one of the command, not of the script.
    let caught = "redis.pcall('SELECT', 99) return 1";
    run(&mut server, client, &["EVAL", caught, "0"]);
    assert!(stats(&mut server, "cmdstat_select:").ends_with("failed_calls=1"));
    assert!(stats(&mut server, "cmdstat_eval:").ends_with("failed_calls=0"));
    assert_eq!(
        stats(&mut server, "errorstat_ERR:"),
        "errorstat_ERR:count=1"
    );
    // One that is not caught is counted once, but the script failed too.
    let uncaught = "return redis.call('SELECT', 99)";
    run(&mut server, client, &["EVAL", uncaught, "0"]);
    assert!(stats(&mut server, "cmdstat_eval:").ends_with("failed_calls=1"));
    assert_eq!(
        stats(&mut server, "errorstat_ERR:"),
        "errorstat_ERR:count=2"
    );
    // So is one that never ran.
    run(
        &mut server,
        client,
        &["EVAL", "return redis.pcall('AUTH', 'x')", "0"],
    );
    assert!(stats(&mut server, "cmdstat_auth:").ends_with("rejected_calls=1,failed_calls=0"));
    assert!(stats(&mut server, "cmdstat_eval:").ends_with("failed_calls=2"));
    run(&mut server, client, &["EVAL", "return {err='MINE x'}", "0"]);
    assert_eq!(
        stats(&mut server, "errorstat_MINE:"),
        "errorstat_MINE:count=1"
    );
}

#[test]
fn memory_and_scripts_are_counted() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let field = |server: &mut Server, name: &str| -> u64 {
        let info = run(server, client, &["INFO", "memory"]);
        let line = info.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].parse().unwrap()
    };
    assert_eq!(field(&mut server, "used_memory_lua:"), 0);
    for number in 0..10 {
        let script = format!("return {number}");
        run(&mut server, client, &["SCRIPT", "LOAD", &script]);
    }
    assert_eq!(field(&mut server, "number_of_cached_scripts:"), 10);
    let used = field(&mut server, "used_memory_lua:");
    assert!((10_000..200_000).contains(&used), "{used}");
    run(&mut server, client, &["SCRIPT", "FLUSH", "ASYNC"]);
    assert_eq!(field(&mut server, "number_of_cached_scripts:"), 0);
    assert_eq!(field(&mut server, "used_memory_lua:"), 0);
}

#[test]
fn a_script_answers_in_its_client_s_protocol_and_keeps_the_order_of_a_pipeline() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let (here, there) = (key_on(0, 2, "a"), key_on(1, 2, "b"));
    run(&mut server, client, &["HELLO", "3"]);
    let null = "return redis.call('GET', KEYS[1])";
    let pipeline = [
        encode(&["EVAL", null, "1", &there]),
        encode(&["PING"]),
        encode(&["EVAL", "redis.setresp(3) return true", "1", &there]),
        encode(&["EVAL", "return {double=1.5}", "1", &here]),
        encode(&["GET", &there]),
    ];
    assert_eq!(
        server.send(client, &pipeline.concat()),
        "_\r\n+PONG\r\n#t\r\n,1.5\r\n_\r\n"
    );
    let quiet = [
        encode(&["CLIENT", "REPLY", "OFF"]),
        encode(&[
            "EVAL",
            "return redis.call('SET', KEYS[1], 'x')",
            "1",
            &there,
        ]),
        encode(&["EVAL", "return 1", "0"]),
        encode(&["EVAL", "return 1", "1"]),
        encode(&["CLIENT", "REPLY", "ON"]),
        encode(&["GET", &there]),
    ];
    assert_eq!(server.send(client, &quiet.concat()), "+OK\r\n$1\r\nx\r\n");
}

#[test]
fn commands_that_are_not_for_scripts_run_once_debug_allows_them() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let list = "return type(redis.call('CLIENT', 'GETNAME'))";
    assert!(run(&mut server, client, &["EVAL", list, "0"]).starts_with("-ERR This Redis command"));
    let allow = |server: &mut Server, all| {
        let shared = &server.cores[0].state().shared;
        shared.scripts_may_call_all.store(all, Ordering::Relaxed);
    };
    allow(&mut server, true);
    assert!(run(&mut server, client, &["EVAL", list, "0"]).starts_with('$'));
    // A flush from within takes effect once the script is over.
    let flush = "redis.call('SCRIPT', 'FLUSH') return redis.call('PING')";
    assert_eq!(run(&mut server, client, &["EVAL", flush, "0"]), "+PONG\r\n");
    let nested = "return redis.call('EVAL', 'return 1', 0)";
    assert!(
        run(&mut server, client, &["EVAL", nested, "0"]).starts_with("-ERR This Redis command")
    );
    allow(&mut server, false);
    assert!(run(&mut server, client, &["EVAL", list, "0"]).starts_with("-ERR This Redis command"));
}

/// A script that runs until it is killed.
const ENDLESS: &str = "while true do end";
const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";
const KILLED: &str = "-ERR Script killed by user with SCRIPT KILL... script: ";

/// A server on which scripts are busy from the first millisecond on.
fn impatient(cores: u16) -> Server {
    Server::configured(cores, &[("busy-reply-threshold", "1")])
}

#[test]
fn a_busy_script_can_be_killed_by_anyone() {
    for cores in [1, 2] {
        for (script, key) in [
            (ENDLESS, None),
            (ENDLESS, Some(key_on(cores - 1, cores, "k"))),
            ("while true do pcall(redis.call, 'PING') end", None),
            (
                "while true do redis.call('GET', KEYS[1]) end",
                Some(key_on(cores - 1, cores, "k")),
            ),
        ] {
            let mut server = impatient(cores);
            // The key is on this core: elsewhere the script would never let the server come to rest.
            let client = server.connect(usize::from(cores) - 1);
            let others: Vec<Client> = (0..cores).map(|core| server.connect(core.into())).collect();
            let count = if key.is_some() { "1" } else { "0" };
            let mut eval = vec!["EVAL", script, count];
            eval.extend(key.as_deref());
            let pipeline = [encode(&eval), encode(&["PING"])].concat();
            assert_eq!(server.send(client, &pipeline), "", "{script}");
            for other in &others {
                for command in [
                    &["PING"][..],
                    &["DBSIZE"],
                    &["EVAL", "return 1", "0"],
                    &["CLIENT", "LIST"],
                ] {
                    assert_eq!(run(&mut server, *other, command), BUSY, "{script}");
                }
                assert_eq!(
                    run(&mut server, *other, &["HELLO", "9"]),
                    "-NOPROTO unsupported protocol version\r\n"
                );
            }
            let killer = others[usize::from(cores) - 1];
            assert_eq!(run(&mut server, killer, &["SCRIPT", "KILL"]), "+OK\r\n");
            let replies = server.send(client, b"");
            assert!(
                replies.starts_with(KILLED) && replies.ends_with("\r\n+PONG\r\n"),
                "{replies}"
            );
            assert_eq!(
                run(&mut server, killer, &["SCRIPT", "KILL"]),
                "-NOTBUSY No scripts in execution right now.\r\n"
            );
            assert_eq!(run(&mut server, killer, &["PING"]), "+PONG\r\n");
            for client in others.into_iter().chain([client]) {
                server.disconnect(client);
            }
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn a_script_on_several_cores_that_is_busy_can_be_killed_and_stops_what_concerns_its_cores() {
    let mut server = impatient(3);
    let keys = [0, 1].map(|core| key_on(core, 3, "k"));
    let elsewhere = key_on(2, 3, "k");
    let (client, other) = (server.connect(0), server.connect(2));
    let endless = "while true do redis.call('EXISTS', KEYS[1], KEYS[2]) end";
    server.receive(client, &encode(&["EVAL", endless, "2", &keys[0], &keys[1]]));
    server.some_turns(5);
    std::thread::sleep(std::time::Duration::from_millis(2));
    server.some_turns(5);
    let mut ask = |words: &[&str]| {
        server.receive(other, &encode(words));
        server.some_turns(10);
        String::from_utf8(server.take_output(other)).unwrap()
    };
    for key in &keys {
        assert_eq!(ask(&["GET", key]), BUSY);
    }
    assert_eq!(ask(&["PING"]), BUSY);
    assert_eq!(ask(&["SET", &elsewhere, "x"]), "+OK\r\n");
    assert_eq!(ask(&["SCRIPT", "KILL"]), "+OK\r\n");
    assert!(server.send(client, b"").starts_with(KILLED));
    assert_eq!(run(&mut server, other, &["GET", &keys[0]]), "$-1\r\n");
    server.disconnect(client);
    server.disconnect(other);
    server.assert_nothing_is_left();
}

#[test]
fn scripts_run_inside_exec_wherever_their_keys_are() {
    let mut server = Server::new(3);
    let (a, b, c) = (key_on(0, 3, "a"), key_on(1, 3, "b"), key_on(2, 3, "c"));
    let reader = server.connect(1);
    for core in 0..3 {
        let client = server.connect(core);
        let both =
            "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('APPEND', KEYS[2], ARGV[1])";
        let undeclared = "redis.call('APPEND', KEYS[1], 'u') return redis.call('MGET', ARGV[1], ARGV[2], KEYS[1])";
        let keyless = "return redis.call('DEL', ARGV[1], ARGV[2], ARGV[3])";
        for nested in [&[][..], &["SET", &a, "0"]] {
            let mut pipeline = encode(&["MULTI"]);
            if !nested.is_empty() {
                pipeline.extend(encode(nested));
            }
            pipeline.extend(encode(&["EVAL", both, "2", &a, &b, "x"]));
            // Twice: what the first had to ask for, the second has.
            for _ in 0..2 {
                pipeline.extend(encode(&["EVAL", undeclared, "1", &a, &b, &c]));
            }
            pipeline.extend(encode(&["GET", &a]));
            pipeline.extend(encode(&["EVAL", "return redis.call('SELECT', 99)", "0"]));
            pipeline.extend(encode(&["EXEC"]));
            let reply = server.send(client, &pipeline);
            let body = ":1\r\n*3\r\n$1\r\nx\r\n$-1\r\n$2\r\nxu\r\n*3\r\n$1\r\nx\r\n$-1\r\n$3\r\nxuu\r\n$3\r\nxuu\r\n-ERR DB index is out of range";
            assert!(reply.contains(body), "{reply}");
            assert_eq!(run(&mut server, reader, &["GET", &b]), "$1\r\nx\r\n");
            let reply = run(&mut server, client, &["EVAL", keyless, "0", &a, &b, &c]);
            assert_eq!(reply, ":2\r\n");
            run(&mut server, client, &["SCRIPT", "FLUSH"]);
        }
        server.disconnect(client);
    }
    server.disconnect(reader);
    server.assert_nothing_is_left();
}

#[test]
fn what_a_client_watches_a_script_on_several_cores_changes() {
    let mut server = Server::new(2);
    let (a, b) = (key_on(0, 2, "a"), key_on(1, 2, "b"));
    let (watcher, other) = (server.connect(0), server.connect(1));
    run(&mut server, watcher, &["WATCH", &b]);
    let set = "for i = 1, #KEYS do redis.call('SET', KEYS[i], 'x') end";
    run(&mut server, other, &["EVAL", set, "2", &a, &b]);
    run(&mut server, watcher, &["MULTI"]);
    run(&mut server, watcher, &["GET", &a]);
    assert_eq!(run(&mut server, watcher, &["EXEC"]), "*-1\r\n");
}

#[test]
fn a_core_serves_others_while_a_script_waits_for_another_core() {
    let mut server = Server::new(2);
    let (here, there, free) = (key_on(0, 2, "a"), key_on(1, 2, "b"), key_on(0, 2, "c"));
    let (client, other) = (server.connect(0), server.connect(0));
    let both = "redis.call('SET', KEYS[1], 'x') redis.call('SET', KEYS[2], 'x')";
    server.receive(client, &encode(&["EVAL", both, "2", &here, &there]));
    // The locks, then the first command on the other core, are under way.
    for _ in 0..2 {
        server.turn();
        server.ship();
        server.deliver_one(0, 1);
        server.turn();
        server.ship();
        server.deliver_one(1, 0);
    }
    let mut seen = Vec::new();
    for command in [
        encode(&["SET", &free, "y"]),
        encode(&["EVAL", "return redis.call('GET', KEYS[1])", "1", &free]),
        encode(&["GET", &here]),
    ] {
        server.receive(other, &command);
        server.turn();
        seen.extend(server.take_output(other));
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.starts_with("+OK\r\n$1\r\ny\r\n"), "{seen}");
    let rest = server.send(other, b"");
    assert_eq!(format!("{seen}{rest}"), "+OK\r\n$1\r\ny\r\n$1\r\nx\r\n");
    assert_eq!(server.send(client, b""), "$-1\r\n");
}

#[test]
fn a_script_that_has_written_cannot_be_killed_and_ends_by_itself() {
    let mut server = impatient(1);
    let (client, other) = (server.connect(0), server.connect(0));
    let script = "redis.call('SET', KEYS[1], 1) for i = 1, 1e7 do end redis.call('SET', KEYS[1], 2) return 'done'";
    let pipeline = [encode(&["EVAL", script, "1", "k"]), encode(&["GET", "k"])];
    assert_eq!(server.send(client, &pipeline.concat()), "");
    assert_eq!(run(&mut server, other, &["GET", "k"]), BUSY);
    let unkillable = run(&mut server, other, &["SCRIPT", "KILL"]);
    assert!(unkillable.starts_with("-UNKILLABLE Sorry"), "{unkillable}");
    let mut replies = String::new();
    while replies.is_empty() {
        replies = server.send(client, b"");
    }
    assert_eq!(replies, "$4\r\ndone\r\n$1\r\n2\r\n");
    assert_eq!(run(&mut server, other, &["GET", "k"]), "$1\r\n2\r\n");
}

#[test]
fn a_kill_comes_before_the_first_write_or_not_at_all() {
    let mut server = impatient(1);
    let (client, other) = (server.connect(0), server.connect(0));
    let script = "for i = 1, 1e6 do redis.pcall('GET', KEYS[1]) end redis.pcall('SET', KEYS[1], 1) while true do end";
    server.send(client, &encode(&["EVAL", script, "1", "k"]));
    assert_eq!(run(&mut server, other, &["SCRIPT", "KILL"]), "+OK\r\n");
    assert!(server.send(client, b"").starts_with(KILLED));
    assert_eq!(run(&mut server, other, &["GET", "k"]), "$-1\r\n");
}

#[test]
fn other_cores_go_on_with_keys_of_theirs() {
    let mut server = impatient(2);
    let (here, there) = (key_on(0, 2, "a"), key_on(1, 2, "b"));
    let client = server.connect(0);
    let others = [server.connect(0), server.connect(1)];
    server.send(client, &encode(&["EVAL", ENDLESS, "1", &here]));
    for other in others {
        assert_eq!(run(&mut server, other, &["SET", &there, "x"]), "+OK\r\n");
        assert_eq!(
            run(&mut server, other, &["EVAL", GET, "1", &there]),
            "$1\r\nx\r\n"
        );
        assert_eq!(run(&mut server, other, &["SET", &here, "x"]), BUSY);
        assert_eq!(run(&mut server, other, &["MGET", &there, &here]), BUSY);
        assert_eq!(run(&mut server, other, &["EVAL", GET, "1", &here]), BUSY);
    }
    run(&mut server, others[1], &["SCRIPT", "KILL"]);
    assert!(server.send(client, b"").starts_with(KILLED));
    assert_eq!(run(&mut server, others[1], &["GET", &here]), "$-1\r\n");
}

#[test]
fn what_was_on_its_way_to_a_core_that_became_busy_is_refused_or_waits() {
    let mut server = impatient(2);
    let here = key_on(0, 2, "a");
    let client = server.connect(0);
    let (one, two) = (server.connect(1), server.connect(1));
    // What came before the script began runs before it.
    server.receive(one, &encode(&["SET", &here, "x"]));
    server.receive(two, &encode(&["DBSIZE"]));
    server.ship_from(1);
    server.receive(client, &encode(&["EVAL", ENDLESS, "1", &here]));
    // Core 1 begins its next turn behind these, and does not know yet.
    server.receive(one, &encode(&["SET", &here, "y"]));
    server.receive(two, &encode(&["DBSIZE"]));
    server.ship_from(1);
    while server.deliver_one(1, 0) {}
    server.ship_from(0);
    while server.deliver_one(0, 1) {}
    assert_eq!(
        server.take_output(one),
        [b"+OK\r\n", BUSY.as_bytes()].concat()
    );
    assert_eq!(server.take_output(two), b":1\r\n");
    // The part of `DBSIZE` has a place, and cannot be refused: it waits.
    assert_eq!(server.send(two, b""), "");
    run(&mut server, one, &["SCRIPT", "KILL"]);
    assert!(server.send(client, b"").starts_with(KILLED));
    assert_eq!(server.send(two, b""), ":1\r\n");
    assert_eq!(run(&mut server, one, &["GET", &here]), "$1\r\nx\r\n");
}

#[test]
fn for_a_busy_script_no_time_goes_by_and_nothing_expires() {
    let mut server = impatient(1);
    let client = server.connect(0);
    run(&mut server, client, &["SET", "k", "v", "PX", "50"]);
    let script = "for i = 1, 1e7 do end return redis.call('PTTL', KEYS[1])";
    assert_eq!(
        server.send(client, &encode(&["EVAL", script, "1", "k"])),
        ""
    );
    server.advance(1000);
    let mut reply = String::new();
    while reply.is_empty() {
        reply = server.send(client, b"");
    }
    assert_eq!(reply, ":50\r\n");
    assert_eq!(run(&mut server, client, &["GET", "k"]), "$-1\r\n");
}

#[test]
fn the_client_of_a_busy_script_may_leave() {
    for core in [0, 1] {
        let mut server = impatient(2);
        let key = key_on(core, 2, "k");
        let (client, other) = (server.connect(0), server.connect(1));
        server.send(client, &encode(&["EVAL", ENDLESS, "1", &key]));
        server.disconnect(client);
        assert_eq!(run(&mut server, other, &["PING"]), BUSY);
        assert_eq!(run(&mut server, other, &["SCRIPT", "KILL"]), "+OK\r\n");
        assert_eq!(run(&mut server, other, &["PING"]), "+PONG\r\n");
        server.disconnect(other);
        server.assert_nothing_is_left();
    }
}

#[test]
fn a_server_may_end_while_a_script_keeps_it_busy() {
    let mut server = impatient(1);
    let client = server.connect(0);
    server.send(
        client,
        &encode(&["EVAL", "while true do pcall(redis.call, 'PING') end", "0"]),
    );
    let other = server.connect(0);
    assert_eq!(run(&mut server, other, &["SHUTDOWN", "NOSAVE"]), "");
    assert!(server.cores[0].state().shared.is_stopping());
}

#[test]
fn a_client_that_keeps_what_it_reads_is_told_of_the_keys_its_scripts_declare() {
    for cores in [1, 2, 3] {
        let mut server = Server::new(cores);
        let reader = server.connect(0);
        let writer = server.connect(usize::from(cores) - 1);
        let keys: Vec<String> = (0..cores).map(|core| key_on(core, cores, "k")).collect();
        let count = keys.len().to_string();
        server.send(reader, b"HELLO 3\r\nCLIENT TRACKING ON\r\n");
        let told = |key: &str| {
            format!(
                ">2\r\n$10\r\ninvalidate\r\n*1\r\n${}\r\n{key}\r\n",
                key.len()
            )
        };
        // The first script is not known yet, the second is; and one that reads nothing.
        for script in [GET, GET, "return redis.call('PING')"] {
            let mut words = vec!["EVAL", script, &count];
            words.extend(keys.iter().map(String::as_str));
            run(&mut server, reader, &words);
            for key in &keys {
                run(&mut server, writer, &["SET", key, "v"]);
                let heard = server.send(reader, b"");
                let expected = if script == GET {
                    told(key)
                } else {
                    String::new()
                };
                assert_eq!(heard, expected, "{cores} cores, {script}");
            }
        }
        // What a script writes, others are told of.
        run(&mut server, reader, &["GET", &keys[0]]);
        let mut words = vec!["EVAL", "return redis.call('SET', KEYS[1], 'w')", &count];
        words.extend(keys.iter().map(String::as_str));
        run(&mut server, writer, &words);
        assert_eq!(server.send(reader, b""), told(&keys[0]));
        server.disconnect(reader);
        server.disconnect(writer);
        server.assert_nothing_is_left();
    }
}
