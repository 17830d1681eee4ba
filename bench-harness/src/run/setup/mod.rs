//! What happens on a connection before it is loaded: introduction, and the map of a cluster. Blocking, one question at a time.

mod cluster;
mod dialogue;
mod handshake;

pub use cluster::{Redirect, SlotMap, key_slot, parse_redirect};
pub use dialogue::{Dialogue, Value};
pub use handshake::{Introduction, connect, identify, subscribe};
