//! What clients are told unasked: changed keys, events, messages.

pub(in crate::dispatch::core) mod notes;
pub(in crate::dispatch::core) mod publish;
pub(in crate::dispatch::core) mod telling;
