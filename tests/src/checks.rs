//! Checks of whole servers: one check for Larder on several cores, and for redis-server, which shows what is right.

use crate::Outcome;
use crate::server::{IoBackend, Options, Server};
use crate::tools;

/// Checks servers of two and of four cores on each backend, all of them before it fails.
///
/// # Panics
/// A server does not start, or the check finds something on one.
pub fn on_larder(check: impl Fn(&Server, u16) -> Outcome<()>) {
    let mut faults = Vec::new();
    for backend in IoBackend::under_test() {
        for cores in [2, 4] {
            let started = Server::start(&Options::larder(cores.into(), backend));
            let server = started.unwrap_or_else(|why| panic!("{why}"));
            let fault = check(&server, cores).err();
            faults.extend(fault.map(|fault| format!("{}: {fault}", server.label())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Checks redis-server, if it is installed, as a server of one core. What one thread does one after the other is right: a
/// failure on it is the check's own.
///
/// # Panics
/// It does not start, or the check finds something; in CI, when it is missing.
pub fn on_redis(check: impl Fn(&Server, u16) -> Outcome<()>) {
    if let Some(program) = tools::find_or_skip("redis-server") {
        let started = Server::start(&Options::redis(program));
        let server = started.unwrap_or_else(|why| panic!("{why}"));
        check(&server, 1).unwrap_or_else(|fault| panic!("{}: {fault}", server.label()));
    }
}
