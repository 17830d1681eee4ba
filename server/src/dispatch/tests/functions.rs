//! Functions through the sans-I/O harness, on one core and on several.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};

/// Sends a command of these words.
fn run(server: &mut Server, client: Client, words: &[&str]) -> String {
    server.send(client, &encode(words))
}

fn encode(words: &[&str]) -> Vec<u8> {
    crate::resp::encode_command(words.iter().map(|word| word.as_bytes()))
}

/// Loads a library, which must go well.
fn load(server: &mut Server, client: Client, name: &str, lua: &str) {
    let code = format!("#!lua name={name}\n{lua}");
    let reply = run(server, client, &["FUNCTION", "LOAD", "REPLACE", &code]);
    assert_eq!(reply, format!("${}\r\n{name}\r\n", name.len()));
}

const LIB: &str = "
    redis.register_function('set', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
    redis.register_function('copy', function(keys)
        return redis.call('SET', keys[2], redis.call('GET', keys[1])) end)
    redis.register_function('reach', function(keys, args) return redis.call('SET', args[1], 'x') end)
    redis.register_function{function_name='get', flags={'no-writes'},
        callback=function(keys) return redis.call('GET', keys[1]) end}";

#[test]
fn a_library_loaded_on_one_core_is_known_to_all_and_runs_where_the_keys_live() {
    for cores in [1, 2, 3] {
        let mut server = Server::new(cores);
        let clients: Vec<Client> = (0..cores).map(|core| server.connect(core.into())).collect();
        load(&mut server, clients[0], "lib", LIB);
        let keys: Vec<String> = (0..cores).map(|core| key_on(core, cores, "k")).collect();
        for from in &clients {
            for key in &keys {
                // The second time it is known to keep to its keys, and is sent to them.
                for value in ["1", "2"] {
                    let set = ["FCALL", "SET", "1", key, value];
                    assert_eq!(run(&mut server, *from, &set), "+OK\r\n");
                    let get = ["FCALL_RO", "get", "1", key];
                    let expected = format!("$1\r\n{value}\r\n");
                    assert_eq!(run(&mut server, *from, &get), expected);
                }
            }
            let last = &keys[keys.len() - 1];
            run(&mut server, *from, &["SET", &keys[0], "here"]);
            let copy = ["FCALL", "copy", "2", &keys[0], last];
            assert_eq!(run(&mut server, *from, &copy), "+OK\r\n");
            assert_eq!(run(&mut server, *from, &["GET", last]), "$4\r\nhere\r\n");
            for times in 0..2 {
                let reach = ["FCALL", "reach", "1", &keys[0], last];
                assert_eq!(run(&mut server, *from, &reach), "+OK\r\n", "{times}");
            }
        }
        for client in clients {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn what_replaces_a_library_or_deletes_it_is_seen_by_all_cores() {
    let mut server = Server::new(3);
    let clients: Vec<Client> = (0..3).map(|core| server.connect(core)).collect();
    let answer =
        |text: &str| format!("redis.register_function('f', function() return '{text}' end)");
    let unknown = "-ERR Function not found\r\n";
    for (at, text) in ["one", "two", "six"].into_iter().enumerate() {
        load(&mut server, clients[at], "lib", &answer(text));
        for client in &clients {
            let reply = run(&mut server, *client, &["FCALL", "f", "0"]);
            assert_eq!(reply, format!("$3\r\n{text}\r\n"));
        }
    }
    let dump = run(&mut server, clients[1], &["FUNCTION", "DUMP"]);
    assert!(dump.contains("#!lua name=lib\n"), "{dump}");
    assert_eq!(
        run(&mut server, clients[2], &["FUNCTION", "DELETE", "lib"]),
        "+OK\r\n"
    );
    for client in &clients {
        assert_eq!(run(&mut server, *client, &["FCALL", "f", "0"]), unknown);
    }
    load(&mut server, clients[0], "other", &answer("new"));
    assert_eq!(
        run(&mut server, clients[1], &["FUNCTION", "FLUSH", "ASYNC"]),
        "+OK\r\n"
    );
    for client in &clients {
        assert_eq!(run(&mut server, *client, &["FCALL", "f", "0"]), unknown);
    }
}

#[test]
fn what_a_library_keeps_outlives_calls_and_flushed_scripts_until_it_is_replaced() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    let count = "local n = 0
        redis.register_function('count', function() n = n + 1 return n end)";
    load(&mut server, client, "lib", count);
    for expected in 1..6 {
        let reply = run(&mut server, client, &["FCALL", "count", "0"]);
        assert_eq!(reply, format!(":{expected}\r\n"));
        assert_eq!(
            run(&mut server, client, &["EVAL", "return n", "0"]).get(..4),
            Some("-ERR")
        );
        assert_eq!(run(&mut server, client, &["SCRIPT", "FLUSH"]), "+OK\r\n");
    }
    load(
        &mut server,
        client,
        "other",
        "redis.register_function('f', function() end)",
    );
    assert_eq!(run(&mut server, client, &["FCALL", "count", "0"]), ":6\r\n");
    load(&mut server, client, "lib", count);
    assert_eq!(run(&mut server, client, &["FCALL", "count", "0"]), ":1\r\n");
}

#[test]
fn a_busy_function_is_named_by_stats_and_ended_by_function_kill_alone() {
    const BUSY: &str = "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n";
    for cores in [1, 2] {
        let mut server = Server::configured(cores, &[("busy-reply-threshold", "1")]);
        let (client, other) = (server.connect(0), server.connect(usize::from(cores) - 1));
        let endless = "redis.register_function('endless', function() while true do end end)";
        load(&mut server, client, "lib", endless);
        let pipeline = [encode(&["FCALL", "endless", "0", "x"]), encode(&["PING"])].concat();
        assert_eq!(server.send(client, &pipeline), "");
        for command in [
            &["PING"][..],
            &["SCRIPT", "KILL"],
            &["FUNCTION", "LIST"],
            &["FCALL", "endless", "0"],
        ] {
            assert_eq!(run(&mut server, other, command), BUSY, "{command:?}");
        }
        let stats = run(&mut server, other, &["FUNCTION", "STATS"]);
        let begin = "*4\r\n$14\r\nrunning_script\r\n*6\r\n$4\r\nname\r\n$7\r\nendless\r\n$7\r\ncommand\r\n*4\r\n$5\r\nFCALL\r\n";
        assert!(stats.starts_with(begin), "{stats}");
        assert_eq!(run(&mut server, other, &["FUNCTION", "KILL"]), "+OK\r\n");
        let replies = server.send(client, b"");
        let killed = "-ERR Script killed by user with SCRIPT KILL... script: endless, on @user_function:2.\r\n+PONG\r\n";
        assert_eq!(replies, killed);
        let none = "-NOTBUSY No scripts in execution right now.\r\n";
        assert_eq!(run(&mut server, other, &["FUNCTION", "KILL"]), none);
        server.disconnect(client);
        server.disconnect(other);
        server.assert_nothing_is_left();
    }
}

#[test]
fn functions_run_inside_exec_and_their_flags_decide_while_writers_are_paused() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    load(&mut server, client, "lib", LIB);
    let keys = [0, 1].map(|core| key_on(core, 2, "k"));
    let words = [
        &["MULTI"][..],
        &["FCALL", "set", "1", &keys[0], "v"],
        &["FCALL", "copy", "2", &keys[0], &keys[1]],
        &["FCALL", "nosuch", "0"],
        &["FCALL", "get", "1", &keys[1]],
        &["EXEC"],
    ];
    let replies = server.send(client, &words.map(encode).concat());
    let end = "*4\r\n+OK\r\n+OK\r\n-ERR Function not found\r\n$1\r\nv\r\n";
    assert!(replies.ends_with(end), "{replies}");
    let other = server.connect(1);
    run(&mut server, other, &["CLIENT", "PAUSE", "100000", "WRITE"]);
    let get = ["FCALL", "get", "1", &keys[1]];
    assert_eq!(run(&mut server, client, &get), "$1\r\nv\r\n");
    let set = ["FCALL", "set", "1", &keys[1], "w"];
    assert_eq!(run(&mut server, client, &set), "");
    run(&mut server, other, &["CLIENT", "UNPAUSE"]);
    assert_eq!(server.send(client, b""), "+OK\r\n");
}
