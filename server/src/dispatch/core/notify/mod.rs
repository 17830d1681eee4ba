//! What acts on changes: clients that keep what they read, keyspace notifications, messages.
//!
//! These act on sessions, which a mutation in the engine can neither call nor wait for. So the journal keeps **notes**, which key
//! changed and why, and the core acts on them behind each command, on the core where it ran: parts of transactions and the
//! commands of an `EXEC` are no exception ([`notes`]). Notes are kept only while somebody reads them (`CoreState::choose_notes`);
//! without, a change pays one test, and a command none, since a core's `NOTES` gate is down. Commands that block learn of written
//! keys by a list of their own (`larder_engine::AwaitedKeys`).
//!
//! Events reach subscribers in one order. Each is part of a *unit*, all that a command, an `EXEC` or a script did, and units are
//! numbered for each core with subscribers (`command/events.rs`). While somebody is subscribed to events, what runs on several
//! cores runs under locks, its session's core gathers its events and tells of them before the locks are given back
//! ([`telling`]), and a command of a pipeline waits for what was written before it on other cores. See decision 0020.
//!
//! What a client has read is remembered by the core that owns the key, in the step that reads it, and forgotten with the first
//! change (`session/readers.rs`); prefixes are known to all cores (`session/prefixes.rs`), and those that a key begins with are
//! found along the key, however many there are. A write of a key that concerns nobody allocates nothing, whatever else concerns
//! somebody. Word of a change travels like an answer, behind the answers of before, and a session's pushes keep the order of its
//! replies: it comes behind the reply that it outdates. It is under way when the writer has its reply, and need not have arrived.
//!
//! A client that hears of its own changes, or of their events, hears of them behind the reply they belong to and before the next:
//! behind a write on other cores its session goes on when the answer, and what came with it, is there
//! (`Core::has_yet_to_hear_of_itself`). So a pipeline of such writes costs it a round trip each. `FLUSHALL`, `FLUSHDB` and `SWAPDB`
//! are told to a core's clients when every core has said, behind what it answered before, that it has run its part.
//! `tests/tracking_model.rs` holds caches against the server on any interleaving.

pub(in crate::dispatch::core) mod notes;
pub(in crate::dispatch::core) mod publish;
pub(in crate::dispatch::core) mod telling;
