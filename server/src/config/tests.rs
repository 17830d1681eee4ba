//! Tests of loading, reading, changing and writing back a configuration.

use std::fs;
use std::path::PathBuf;

use larder_engine::QuotaId;
use larder_engine::evict::{PolicyName, Scope};

use super::*;

fn args(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| word.replace("''", ""))
        .collect()
}

fn from_args(line: &str) -> Result<Config, String> {
    Config::load(None, &args(line)).map_err(|error| error.to_string())
}

fn from_text(name: &str, text: &str) -> Result<Config, String> {
    let file = scratch(name);
    fs::write(&file, text).unwrap();
    Config::load(Some(&file), &[])
        .map_err(|error| error.to_string().replace(file.to_str().unwrap(), "FILE"))
}

/// A file of this test process.
fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("larder-config-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

fn get(config: &Config, name: &str) -> String {
    let mut found = config.get(name.as_bytes());
    assert_eq!(found.len(), 1, "{name}");
    found.remove(0).1
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Config, String> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    config.with(&pairs).map_err(|error| error.to_string())
}

#[test]
fn every_default_is_a_value_of_its_directive_and_names_are_unique() {
    let mut names = std::collections::HashSet::new();
    for directive in DIRECTIVES {
        assert!(names.insert(directive.name), "{}", directive.name);
        assert!(
            directive.alias.is_none_or(|alias| names.insert(alias)),
            "{}",
            directive.name
        );
        if matches!(directive.kind, Kind::Directory | Kind::ReplicaOf) {
            continue;
        }
        let words: Vec<String> = if directive.kind.takes_words() {
            directive.default.split(' ').map(str::to_owned).collect()
        } else {
            vec![directive.default.to_owned()]
        };
        let shown = value::canonical(directive, &words, directive.default, Saving::Replaces);
        assert_eq!(
            shown.as_deref(),
            Ok(directive.default),
            "{}",
            directive.name
        );
    }
}

#[test]
fn the_defaults_are_those_of_redis() {
    let config = Config::default();
    assert_eq!(
        (config.port, config.databases, config.maxclients),
        (6379, 16, 10_000)
    );
    assert_eq!(config.bind.len(), 2);
    assert!(!config.bind[1].required);
    assert_eq!(config.proto_max_bulk_bytes, 512 << 20);
    assert_eq!(config.client_output_buffer_limit.pubsub.soft_seconds, 60);
    assert_eq!(
        config.client_output_buffer_limit.replica.hard_bytes,
        256 << 20
    );
    assert_eq!(config.slowlog.least, 10_000);
    assert_eq!(config.latency_tracking_info_percentiles, [50.0, 99.0, 99.9]);
    assert_eq!(config.cores, Cores::Auto);
    assert_eq!(config.unixsocketperm, None);
    assert!(config.notify_keyspace_events.is_off());
    assert!(config.startup_warnings().is_empty());
}

#[test]
fn the_example_configuration_is_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/larder.conf");
    let config = Config::load(Some(Path::new(file)), &[]).unwrap();
    let policy = MaxmemoryPolicy::Evicts(Scope::AllKeys, PolicyName::Adaptive);
    assert_eq!(config.maxmemory_policy, policy);
    assert_eq!(config.maxmemory_bytes, 4 << 30);
    assert!(config.startup_warnings().is_empty());
    // What it says that is on by default is so.
    for directive in ["miss-ratio-curve", "maxclients", "slowlog-log-slower-than"] {
        let default = Config::default().get(directive.as_bytes());
        assert_eq!(config.get(directive.as_bytes()), default);
    }
}

#[test]
fn prefixes_are_words_and_not_too_many() {
    let with = |text: &str| {
        let changes = [(&b"hit-ratio-prefixes"[..], text.as_bytes())];
        let config = Config::default().with(&changes);
        config.map(|config| config.get(b"hit-ratio-prefixes")[0].1.clone())
    };
    assert_eq!(with("user:  app: user:").unwrap(), "user: app:");
    assert_eq!(with("").unwrap(), "");
    let many: Vec<String> = (0..65).map(|nth| format!("p{nth}:")).collect();
    assert!(with(&many.join(" ")).is_err());
    assert!(with(&many[1..].join(" ")).is_ok());
    assert!(with(&"x".repeat(129)).is_err());
}

#[test]
fn a_file_is_read_with_quotes_comments_aliases_and_several_lines_of_one_directive() {
    let config = from_text(
        "whole.conf",
        "# comment\n\nPORT 7000\r\nrequirepass \"a \\x41 b\"\nmaxmemory 2gb\n  hash-max-ziplist-entries 7\nsave 900 1\n\
         save 60 100\nclient-output-buffer-limit replica 1mb 0 9\nnotify-keyspace-events KEA\nlogfile ''\n\
         unixsocketperm 700\nlist-max-ziplist-entries 3\nbind 127.0.0.1 -::1",
    )
    .unwrap();
    assert_eq!(config.port, 7000);
    assert_eq!(config.requirepass.as_deref(), Some("a A b"));
    assert_eq!(config.maxmemory_bytes, 2 << 30);
    assert_eq!(get(&config, "hash-max-listpack-entries"), "7");
    assert_eq!(get(&config, "save"), "900 1 60 100");
    assert_eq!(config.save.len(), 2);
    assert_eq!(
        config.client_output_buffer_limit.replica.hard_bytes,
        1 << 20
    );
    assert!(config.notify_keyspace_events.has('g') && !config.notify_keyspace_events.has('m'));
    assert_eq!(config.unixsocketperm, Some(0o700));
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_line() {
    let cases = [
        (
            "port 1\n\nfoo bar\n",
            "FILE:3: 'foo': there is no such directive",
        ),
        ("port\n", "FILE:1: 'port': wrong number of arguments"),
        ("port 1 2\n", "FILE:1: 'port': wrong number of arguments"),
        (
            "maxmemory 12zb\n",
            "FILE:1: 'maxmemory': argument must be a memory value",
        ),
        ("requirepass \"x\n", "FILE:1: unbalanced quotes"),
        (
            "port 70000\n",
            "FILE:1: 'port': argument must be between 0 and 65535 inclusive",
        ),
        ("user\n", "FILE:1: 'user': wrong number of arguments"),
    ];
    for (text, expected) in cases {
        assert_eq!(
            from_text("wrong.conf", text).err().as_deref(),
            Some(expected)
        );
    }
    let missing = Config::load(Some(Path::new("/no/such/file")), &[])
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("/no/such/file: cannot be read: "),
        "{missing}"
    );
}

#[test]
fn arguments_come_on_top_of_the_file_and_the_later_one_wins() {
    let file = scratch("base.conf");
    fs::write(&file, "port 7000\ntimeout 5\nsave 900 1\n").unwrap();
    let line =
        args("--port 7001 --port 7002 --save 60 1 --client-output-buffer-limit normal 1k 2k 3");
    let config = Config::load(Some(&file), &line).unwrap();
    assert_eq!((config.port, config.timeout_secs), (7002, 5));
    assert_eq!(get(&config, "save"), "900 1 60 1");
    assert_eq!(config.client_output_buffer_limit.normal.soft_bytes, 2000);
}

#[test]
fn arguments_are_taken_as_redis_server_takes_them() {
    assert_eq!(get(&from_args("--save '' --port 7").unwrap(), "save"), "");
    assert_eq!(get(&from_args("--save --port 7").unwrap(), "port"), "7");
    assert_eq!(get(&from_args("--port 7 --save").unwrap(), "save"), "");
    assert_eq!(
        get(
            &from_args("--requirepass --foo --port 7").unwrap(),
            "requirepass"
        ),
        "--foo"
    );
    let one = Config::load(None, &["--port 7000".into(), "--save 60 1".into()]).unwrap();
    assert_eq!((one.port, one.save.len()), (7000, 1));
    let quoted = Config::load(None, &["--bind".into(), "127.0.0.1 ::1".into()]).unwrap();
    assert_eq!(quoted.bind.len(), 2);
}

#[test]
fn what_is_wrong_in_an_argument_is_said_with_its_name() {
    let cases = [
        (
            "--foo bar",
            "command line: '--foo': there is no such directive",
        ),
        (
            "--port",
            "command line: '--port': wrong number of arguments",
        ),
        (
            "--port x",
            "command line: '--port': argument couldn't be parsed into an integer",
        ),
        (
            "x --port 1",
            "command line: 'x' is neither a directive (--NAME VALUE) nor a value",
        ),
        ("--", "command line: '--' without the name of a directive"),
    ];
    for (line, expected) in cases {
        assert_eq!(from_args(line).err().as_deref(), Some(expected), "{line}");
    }
}

#[test]
fn files_include_others_but_not_without_end() {
    let (first, second) = (scratch("inc-first.conf"), scratch("inc-second.conf"));
    fs::write(&second, "timeout 9\nport x\n").unwrap();
    fs::write(&first, format!("include \"{}\"\n", second.display())).unwrap();
    let error = Config::load(Some(&first), &[]).unwrap_err().to_string();
    assert!(error.contains("inc-second.conf:2: 'port'"), "{error}");

    fs::write(&second, "timeout 9\n").unwrap();
    let pattern = scratch("inc-s*.conf");
    fs::write(
        &first,
        format!("include {}\ninclude /no/such/*.conf\n", pattern.display()),
    )
    .unwrap();
    assert_eq!(Config::load(Some(&first), &[]).unwrap().timeout_secs, 9);

    let endless = scratch("endless.conf");
    fs::write(&endless, format!("include {}\n", endless.display())).unwrap();
    let error = Config::load(Some(&endless), &[]).unwrap_err().to_string();
    assert!(
        error.ends_with("'include': files include each other too deep"),
        "{error}"
    );
}

#[test]
fn directives_are_found_by_name_alias_and_pattern() {
    let config = Config::default();
    assert_eq!(config.get(b"MaxMemory"), [("maxmemory", "0".to_owned())]);
    assert_eq!(
        config.get(b"slave-priority"),
        [("slave-priority", "100".to_owned())]
    );
    assert!(config.get(b"nothing").is_empty());
    let names: Vec<_> = config
        .get(b"*-max-ZIPLIST-*")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(
        names.contains(&"hash-max-ziplist-entries") && names.len() == 5,
        "{names:?}"
    );
    assert!(config.get(b"*").len() > 190);
    assert!(
        config.get(b"rdb-key-*").is_empty(),
        "hidden ones are found by their name alone"
    );
    assert_eq!(config.get(b"rdb-key-save-delay").len(), 1);
}

#[test]
fn what_config_get_shows_config_set_takes() {
    let config = Config::default();
    for (name, value) in config.get(b"*") {
        let found = find(name).unwrap();
        if !matches!(found.directive().change, Change::Never | Change::Protected)
            && name != "slaveof"
        {
            assert!(set(&config, &[(name, &value)]).is_ok(), "{name} {value:?}");
        }
    }
}

#[test]
fn a_change_is_made_whole_or_not_at_all() {
    let config = Config::default();
    let changed = set(
        &config,
        &[("maxmemory", "1mb"), ("maxmemory-policy", "ALLKEYS-lru")],
    )
    .unwrap();
    assert_eq!(changed.maxmemory_bytes, 1 << 20);
    assert_eq!(
        changed.maxmemory_policy,
        MaxmemoryPolicy::Evicts(Scope::AllKeys, PolicyName::Lru)
    );
    assert_eq!(config.maxmemory_bytes, 0);
    let changed = set(
        &config,
        &[("save", "10 1 20 2"), ("slowlog-log-slower-than", "-1")],
    )
    .unwrap();
    assert_eq!((changed.save.len(), changed.slowlog.least), (2, -1));
    assert_eq!(set(&changed, &[("save", "")]).unwrap().save, []);
}

#[test]
fn a_refused_change_is_answered_as_redis_answers() {
    let failed = "CONFIG SET failed (possibly related to argument";
    let cases: &[(&[(&str, &str)], String)] = &[
        (
            &[("x", "1")],
            "Unknown option or number of arguments for CONFIG SET - 'x'".into(),
        ),
        (
            &[("maxmemory", "foo")],
            format!("{failed} 'maxmemory') - argument must be a memory value"),
        ),
        (
            &[("databases", "3")],
            format!("{failed} 'databases') - can't set immutable config"),
        ),
        (
            &[("dir", "/tmp")],
            format!("{failed} 'dir') - can't set protected config"),
        ),
        (
            &[("timeout", "1"), ("TIMEOUT", "2")],
            format!("{failed} 'TIMEOUT') - duplicate parameter"),
        ),
        (
            &[("list-max-ziplist-size", "abc")],
            format!(
                "{failed} 'list-max-ziplist-size') - argument couldn't be parsed into an integer"
            ),
        ),
        (
            &[("maxmemory-policy", "x")],
            format!(
                "{failed} 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, \
                 volatile-random, volatile-ttl, volatile-lrm, allkeys-lru, allkeys-lfu, allkeys-random, allkeys-lrm, noeviction, \
                 allkeys-fifo, volatile-fifo, allkeys-sieve, volatile-sieve, allkeys-s3fifo, volatile-s3fifo, allkeys-gdsf, \
                 volatile-gdsf, allkeys-adaptive, volatile-adaptive"
            ),
        ),
        (
            &[("cores", "99")],
            format!("{failed} 'cores') - can't be changed while the server runs"),
        ),
    ];
    for (pairs, expected) in cases {
        assert_eq!(
            set(&Config::default(), pairs).err().as_ref(),
            Some(expected),
            "{pairs:?}"
        );
    }
}

#[test]
fn protected_directives_follow_enable_protected_configs() {
    let local = from_args("--enable-protected-configs local").unwrap();
    let change: &[(&[u8], &[u8])] = &[(b"dbfilename", b"other.rdb")];
    assert!(local.with_from(Origin::Local, change).is_ok());
    assert!(local.with_from(Origin::Remote, change).is_err());
    assert!(
        from_args("--enable-protected-configs yes")
            .unwrap()
            .with(change)
            .is_ok()
    );
}

#[test]
fn rewriting_keeps_comments_and_order_and_appends_what_is_new() {
    let file = scratch("rewrite.conf");
    let old = "# my server\nport 7000\n\nsave 900 1\nsave 60 100\n# limits\nhash-max-ziplist-entries 7\nnonsense 3\n\n\n\
               maxmemory 1gb\nmaxmemory 2gb\nrename-command DEBUG \"\"\n";
    fs::write(&file, old.replace("nonsense 3\n", "")).unwrap();
    let config = Config::load(Some(&file), &[]).unwrap();
    let config = set(
        &config,
        &[
            ("save", "30 3"),
            ("maxmemory", "3mb"),
            ("timeout", "5"),
            ("requirepass", "a \"b\""),
        ],
    )
    .unwrap();
    fs::write(&file, old).unwrap();
    config.rewrite().unwrap();
    let dir = std::env::current_dir().unwrap();
    let expected = format!(
        "# my server\nport 7000\n\nsave 30 3\n\n# limits\nhash-max-listpack-entries 7\n# ??? nonsense 3\n\n\
         maxmemory 3mb\n\nrename-command DEBUG \"\"\n# Generated by CONFIG REWRITE\ntimeout 5\ndir \"{}\"\n\
         requirepass \"a \\\"b\\\"\"\n",
        dir.display()
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);

    let again = Config::load(Some(&file), &[]).unwrap();
    assert_eq!(again.requirepass.as_deref(), Some("a \"b\""));
    again.rewrite().unwrap();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        expected,
        "a second time changes nothing"
    );
}

#[test]
fn a_rewritten_configuration_loads_as_it_was() {
    let file = scratch("round.conf");
    fs::write(&file, "").unwrap();
    let line = args(
        "--save 60 1 90 2 --bind 10.0.0.1 -::1 --maxmemory-clients 5% --notify-keyspace-events KEAmn \
         --client-output-buffer-limit replica 1mb 5 6 --shutdown-on-sigint nosave now --unixsocketperm 770 \
         --latency-tracking-info-percentiles 10 99.5 --proc-title-template x --hz 77",
    );
    let config = Config::load(Some(&file), &line).unwrap();
    config.rewrite().unwrap();
    assert_eq!(
        Config::load(Some(&file), &[]).unwrap().values,
        config.values
    );
    let none = set(
        &config,
        &[("save", ""), ("latency-tracking-info-percentiles", "")],
    )
    .unwrap();
    none.rewrite().unwrap();
    assert_eq!(Config::load(Some(&file), &[]).unwrap().values, none.values);
}

#[test]
fn each_quota_has_a_line_and_rewriting_keeps_them() {
    let file = scratch("quotas.conf");
    let old = "# tenants\nlarder-quota b: 1mb 0\nlarder-quota \"with blank\" 0 5\nport 7000\n";
    fs::write(&file, old).unwrap();
    let config = Config::load(Some(&file), &[]).unwrap();
    let value = "b: 1048576 0 \"with blank\" 0 5";
    assert_eq!(
        config.get(b"larder-quota"),
        [("larder-quota", value.to_owned())]
    );
    config.quotas().get(QuotaId(0)).tell_bytes(0, 77);
    let config = set(
        &config,
        &[("larder-quota", "a: 1kb 7 b: 2mb 0"), ("timeout", "5")],
    )
    .unwrap();
    assert_eq!(
        config.quotas().get(QuotaId(1)).used_bytes(),
        0,
        "other keys may be its own"
    );
    config.quotas().get(QuotaId(1)).tell_bytes(0, 88);
    let config = set(&config, &[("timeout", "6")]).unwrap();
    assert_eq!(config.quotas().get(QuotaId(1)).used_bytes(), 88);
    config.rewrite().unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let begins = "# tenants\nlarder-quota a: 1024 7\nlarder-quota b: 2097152 0\nport 7000\n";
    assert!(text.starts_with(begins), "{text}");
    let again = Config::load(Some(&file), &[]).unwrap();
    assert_eq!(again.larder_quota, config.larder_quota);
    let none = set(&again, &[("larder-quota", "")]).unwrap();
    none.rewrite().unwrap();
    assert!(!fs::read_to_string(&file).unwrap().contains("larder-quota"));
}

#[test]
fn without_a_file_there_is_nothing_to_rewrite() {
    let error = Config::default().rewrite().unwrap_err();
    assert_eq!(
        error.to_string(),
        "The server is running without a config file"
    );
}

#[test]
fn what_is_asked_for_and_not_done_is_said() {
    let text = "appendfsync always\nio-threads 4\n";
    let config = from_text("asks.conf", text).unwrap();
    let mut said = config.startup_warnings();
    said.sort();
    assert_eq!(
        said,
        [
            "appendfsync always: has no effect: there is no append log yet",
            "io-threads 4: has no effect: every core does its own I/O, see cores",
        ]
    );
}

#[test]
fn secrets_are_known_as_such() {
    assert!(is_sensitive(b"RequirePass") && is_sensitive(b"masterauth"));
    assert!(!is_sensitive(b"port") && !is_sensitive(b"\xff"));
}

#[test]
fn the_least_and_the_greatest_value_of_every_directive_fit_its_setting() {
    for directive in DIRECTIVES {
        let ends = match directive.kind {
            Kind::Integer { min, max } => [min.to_string(), max.to_string()],
            Kind::Memory { min, max } => [min.to_string(), max.to_string()],
            Kind::Octal { max } => ["0".to_owned(), format!("{max:o}")],
            _ => continue,
        };
        for end in ends {
            if treatment::refusal(directive.name, &end, directive.default).is_some() {
                continue;
            }
            let words = [format!("--{}", directive.name), end];
            let config = Config::load(None, &words).map_err(|error| error.to_string());
            assert_eq!(
                config.map(|config| get(&config, directive.name)),
                Ok(words[1].clone()),
                "{words:?}"
            );
        }
    }
}
