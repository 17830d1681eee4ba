//! `LARDER QUOTA` on whole servers, with clients of their own: one tenant does not evict another, a rate that is exceeded is refused and said to
//! be, and what is set is shown, counted and kept.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Instant;

use larder_tests::client::Client;
use larder_tests::resp::Reply;
use larder_tests::server::{CONFIG_FILE, IoBackend, Options, Server};

/// Runs `with` on a server of every shape.
fn on_every_shape(directives: &[(&str, &str)], with: impl Fn(&Server)) {
    for backend in IoBackend::under_test() {
        for cores in [1, 2] {
            let options = Options::larder(cores, backend).with_file("");
            let options = directives.iter().fold(options, |options, (name, value)| {
                options.directive(name, value)
            });
            with(&Server::start(&options).unwrap());
        }
    }
}

fn ok() -> Reply {
    Reply::Status(b"OK".to_vec())
}

/// Sets keys of a prefix, many commands at a time; the replies.
fn set_all(
    client: &mut Client,
    prefix: &str,
    keys: std::ops::Range<u32>,
    bytes: usize,
) -> Vec<Reply> {
    let value = "v".repeat(bytes);
    let mut replies = Vec::new();
    for from in keys.clone().step_by(100) {
        let some = from..keys.end.min(from + 100);
        for key in some.clone() {
            client
                .send(&["SET", &format!("{prefix}{key}"), &value])
                .unwrap();
        }
        replies.extend(some.map(|_| client.read().unwrap()));
    }
    replies
}

/// How many of so many keys of a prefix are there.
fn there(client: &mut Client, prefix: &str, keys: u32) -> i64 {
    let mut exists = vec!["EXISTS".to_owned()];
    exists.extend((0..keys).map(|key| format!("{prefix}{key}")));
    client.call(&exists).unwrap().integer().unwrap()
}

/// What `INFO quotas` says of a prefix.
fn figures(client: &mut Client, prefix: &str) -> HashMap<String, u64> {
    let text = client.run("INFO quotas").unwrap().to_text();
    let line = text
        .lines()
        .find(|line| line.contains(&format!("prefix=\"{prefix}\"")));
    let line = line.unwrap_or_else(|| panic!("no {prefix} in {text}"));
    let pairs = line.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect()
}

#[test]
fn one_tenant_does_not_evict_another() {
    let directives = [
        ("maxmemory", "16mb"),
        ("maxmemory-policy", "allkeys-adaptive"),
    ];
    on_every_shape(&directives, |server| {
        let (mut quiet, mut loud) = (server.connect().unwrap(), server.connect().unwrap());
        assert_eq!(quiet.run("LARDER QUOTA quiet: 1mb 0").unwrap(), ok());
        assert_eq!(quiet.run("LARDER QUOTA SET loud: BYTES 2mb").unwrap(), ok());
        let replies = set_all(&mut quiet, "quiet:", 0..500, 1000);
        assert!(replies.iter().all(|reply| *reply == ok()));
        // Ten times what it may have, and then others without a quota as much as fills the memory twice.
        let replies = set_all(&mut loud, "loud:", 0..20_000, 1000);
        assert!(replies.iter().all(|reply| *reply == ok()));
        let replies = set_all(&mut loud, "free:", 0..32_000, 1000);
        assert!(replies.iter().all(|reply| *reply == ok()));
        assert_eq!(there(&mut quiet, "quiet:", 500), 500, "{}", server.label());
        let of_loud = figures(&mut loud, "loud:");
        assert!(of_loud["used_bytes"] <= (2 << 20) + 65_536, "{of_loud:?}");
        assert!(of_loud["used_bytes"] > 1 << 20, "{of_loud:?}");
        assert!(of_loud["evicted_keys"] > 17_000, "{of_loud:?}");
        let of_quiet = figures(&mut quiet, "quiet:");
        assert_eq!((of_quiet["evicted_keys"], of_quiet["bytes"]), (0, 1 << 20));
    });
}

#[test]
fn without_a_policy_what_does_not_fit_a_quota_is_refused_and_nothing_else() {
    on_every_shape(&[], |server| {
        let mut client = server.connect().unwrap();
        assert_eq!(client.run("LARDER QUOTA t: 100kb 0").unwrap(), ok());
        let replies = set_all(&mut client, "t:", 0..500, 1000);
        let stored = replies.iter().filter(|reply| **reply == ok()).count();
        assert!((80..110).contains(&stored), "{stored}");
        let error = b"OOM command not allowed when used memory > quota of prefix 't:'.";
        let refused = |reply: &&Reply| matches!(reply, Reply::Error(text) if text == error);
        assert_eq!(replies.iter().filter(refused).count(), 500 - stored);
        let replies = set_all(&mut client, "other:", 0..500, 1000);
        assert!(replies.iter().all(|reply| *reply == ok()));
    });
}

#[test]
fn a_rate_that_is_exceeded_is_refused_whoever_asks() {
    on_every_shape(&[], |server| {
        let (mut one, mut other) = (server.connect().unwrap(), server.connect().unwrap());
        assert_eq!(one.run("LARDER QUOTA r: 0 50").unwrap(), ok());
        let error = b"QUOTA more than 50 commands a second on keys of prefix 'r:'";
        let (mut refused, begun) = (0, Instant::now());
        for number in 0..400 {
            let client = if number % 2 == 0 {
                &mut one
            } else {
                &mut other
            };
            match client.run(&format!("GET r:{number}")).unwrap() {
                Reply::Error(text) => {
                    assert_eq!(text, error);
                    refused += 1;
                }
                reply => assert_eq!(reply.bytes(), None),
            }
            assert_eq!(client.run(&format!("SET free:{number} 1")).unwrap(), ok());
        }
        // A second's commands at once, and those of the time that it took, whatever that was.
        let most = 50 + 50 * (begun.elapsed().as_secs() + 1);
        let told = figures(&mut one, "r:");
        assert!((50..=most).contains(&told["commands"]), "{told:?}");
        assert_eq!(told["refused_for_ops"], refused, "{told:?}");
        assert_eq!(told["commands"] + refused, 400, "{told:?}");
    });
}

#[test]
fn quotas_are_a_directive_that_is_shown_set_and_written_to_the_file() {
    on_every_shape(&[], |server| {
        let mut client = server.connect().unwrap();
        assert_eq!(client.run("LARDER QUOTA a: 1mb 10").unwrap(), ok());
        assert_eq!(client.run("LARDER QUOTA SET b: OPS 7").unwrap(), ok());
        let get = |client: &mut Client| client.run("CONFIG GET larder-quota").unwrap().lines();
        let shown = get(&mut client);
        assert!(
            shown
                .iter()
                .any(|line| line.contains("a: 1048576 10 b: 0 7")),
            "{shown:?}"
        );
        assert_eq!(client.run("CONFIG REWRITE").unwrap(), ok());
        let file = std::fs::read_to_string(server.directory().join(CONFIG_FILE)).unwrap();
        assert!(file.contains("larder-quota"), "{file}");
        // What is written starts a server with the same quotas.
        let lines = file.lines().filter(|line| line.starts_with("larder-quota"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let options = Options::larder(1, IoBackend::under_test()[0]).with_file(&text);
        let again = Server::start(&options).unwrap();
        assert_eq!(get(&mut again.connect().unwrap()), shown);
        assert_eq!(
            client.run("LARDER QUOTA DEL a:").unwrap().integer(),
            Some(1)
        );
        let set = client
            .call(&["CONFIG", "SET", "larder-quota", "c: 5mb 0"])
            .unwrap();
        assert_eq!(set, ok());
        let listed = client.run("LARDER QUOTA LIST").unwrap().lines().join(" ");
        assert!(listed.contains("c:") && !listed.contains("b:"), "{listed}");
    });
}
