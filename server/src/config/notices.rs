//! What the configuration asks for and Larder does not do: said at start, one line a directive, so that nobody relies on
//! it. A feature that comes takes its line away here.

/// When a value asks for something.
enum Asks {
    /// When it is this.
    If(&'static str),
    /// When it is anything but this.
    Unless(&'static str),
}

use Asks::{If, Unless};

/// Directives, the values that ask for something Larder does not do, and what happens instead.
const NOT_DONE: &[(&str, Asks, &str)] = &[
    (
        "appendonly",
        If("yes"),
        "there is no append log yet: data is lost when the server ends",
    ),
    (
        "save",
        Unless(""),
        "there are no snapshots yet: data is lost when the server ends",
    ),
    (
        "replicaof",
        Unless(""),
        "there is no replication yet: this server starts empty and takes writes",
    ),
    (
        "min-replicas-to-write",
        Unless("0"),
        "there is no replication yet: writes are taken without replicas",
    ),
    (
        "cluster-enabled",
        If("yes"),
        "there is no cluster of servers yet: this server holds every slot (core-endpoints makes its cores nodes)",
    ),
    (
        "cluster-announce-port",
        Unless("0"),
        "has no effect: cluster clients are told the ports that the cores listen on",
    ),
    (
        "cluster-announce-hostname",
        Unless(""),
        "has no effect: cluster clients are told cluster-announce-ip, or the address they connected to",
    ),
    (
        "maxmemory-policy",
        Unless("noeviction"),
        "there is no eviction yet: at maxmemory writes are refused",
    ),
    (
        "io-threads",
        Unless("1"),
        "has no effect: every core does its own I/O, see cores",
    ),
    (
        "tls-port",
        Unless("0"),
        "there is no TLS yet: nothing listens on that port",
    ),
    (
        "aclfile",
        Unless(""),
        "there are no ACLs yet: only requirepass protects the server",
    ),
    (
        "daemonize",
        If("yes"),
        "the server stays in the foreground; let a service manager start it",
    ),
    (
        "supervised",
        Unless("no"),
        "the service manager is not notified",
    ),
    ("syslog-enabled", If("yes"), "nothing is written to syslog"),
    (
        "activedefrag",
        If("yes"),
        "has no effect: memory is compacted without it",
    ),
    (
        "bind-source-addr",
        Unless(""),
        "has no effect: the server connects to no other",
    ),
    ("socket-mark-id", Unless("0"), "has no effect"),
    ("server_cpulist", Unless(""), "has no effect: see cores"),
];

/// Lines read and of no effect, and what happens instead.
const IGNORED: &[(&str, &str)] = &[
    (
        "user",
        "there are no ACLs yet: the user is not created and only requirepass protects the server",
    ),
    (
        "rename-command",
        "commands keep their names: the command stays available",
    ),
    ("loadmodule", "there are no modules: it is not loaded"),
];

/// The lines for a configuration whose values are `text`'s and which had lines of the directives `ignored`.
pub(super) fn notices<'a>(ignored: &[&str], text: &dyn Fn(&'static str) -> &'a str) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, asks, instead) in NOT_DONE {
        let value = text(name);
        let asked = match asks {
            If(trigger) => value == *trigger,
            Unless(harmless) => value != *harmless,
        };
        if asked {
            lines.push(format!("{name} {value}: {instead}"));
        }
    }
    for (name, instead) in IGNORED {
        if ignored.contains(name) {
            lines.push(format!("{name}: {instead}"));
        }
    }
    lines
}
