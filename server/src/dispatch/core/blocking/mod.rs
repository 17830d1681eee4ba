//! Drives commands that block ([`crate::dispatch::blocking`]): attempts on one core, in rounds over several, the queues of keys,
//! `CLIENT UNBLOCK`.

pub(in crate::dispatch::core) mod attempts;
pub(in crate::dispatch::core) mod queues;
pub(in crate::dispatch::core) mod rounds;
pub(in crate::dispatch::core) mod unblocks;
