//! Hot keys: plain reads of much read keys of another core are answered from copies ([`copies`]), which that core offers
//! ([`offers`]).
//!
//! Every core samples the keys it works on (`observe/hotkeys.rs`); `LARDER HOTKEYS` and `INFO hotkeys` tell of the most used. With
//! `hot-key-copies yes` a core offers the most read ones. A copy is right as long as the key's version word is unchanged
//! (`engine/src/copied.rs`). The word is advanced with every journal record of the key, with every request for an exclusive lock
//! on it, and with every part that waits for locks on it; and a copy is read only while its owner has passed every transaction that
//! the reading core has. A path that changes keys or moves them between cores and has none of these must do so itself. See
//! decision 0011.

pub(super) mod copies;
pub(super) mod offers;
