//! Support code of the whole-server tests.
//!
//! Most tests of this package see servers from outside only: they start a process, speak RESP over a socket and look
//! at what comes back, so that one library drives Larder and redis-server alike. [`inprocess`] links against Larder's own
//! code, to drive the cores without sockets, under a clock it sets; [`placed`] and [`transfer`], to know its slots.
//!
//! * [`server`] starts a process on a free port and ends it again.
//! * [`checks`] holds one check against Larder on several cores, and against redis-server.
//! * [`client`] speaks RESP2 and RESP3, on [`resp`] for the bytes and [`quoting`] for the text forms.
//! * [`differential`] compares Larder's replies to random commands with a redis-server's.
//! * [`dialogue`] reads, replays and blesses the golden dialogues under `cases/`.
//! * [`history`] plays concurrent clients, records what they saw and checks that it is strictly serializable.
//! * [`hyperloglogs`] are strings of arbitrary bytes that commands take for HyperLogLogs, or refuse.
//! * [`ranges`] has commands take ranges whose ends are arbitrary bytes.
//! * [`stirred`] drives cores without sockets, one at a time a step of its turn, with mail that takes its time;
//!   [`history::simulated`] plays the same clients there, and a seed gives the same history again.
//! * [`transfer`] has clients move money between accounts, and count it; both use [`fragile`] connections.
//! * [`model`] is a naive keyspace, and dialogues made of arbitrary bytes to compare it with Larder.
//! * [`payloads`] are values as `DUMP` gives them: those of other servers, read by Larder's code, and the other way round.
//! * [`rdb_files`] reads files of RDB format, those of other servers among them, in pieces of any size.
//! * [`placed`] finds keys by the core that owns them, [`clock`] is the time of day as servers have it.
//! * [`stock`] runs the clients people already have.
//! * Two tests include sources of the server and run them in models: `order_sim` (shuttle) and `order_loom` check the order
//!   of transactions, `server/src/order`.
//! * [`programs`] are those of this workspace that tests run, [`tools`] finds the external programs some tests need.

pub mod checks;
pub mod client;
pub mod clock;
pub mod declared;
pub mod dialogue;
pub mod differential;
pub mod fragile;
pub mod history;
pub mod hyperloglogs;
pub mod inprocess;
pub mod model;
pub mod payloads;
pub mod placed;
pub mod programs;
pub mod quoting;
pub mod random;
pub mod ranges;
pub mod rdb_files;
pub mod resp;
pub mod scratch;
pub mod server;
pub mod stirred;
pub mod stock;
pub mod tools;
pub mod transfer;

/// What support code returns when it cannot go on: a sentence for the person reading the test's output.
pub type Outcome<T> = Result<T, String>;
