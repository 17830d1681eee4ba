//! Keys by the core that owns them.

use larder_server::routing::SlotMap;

/// A key of this core, as long as no slot has moved.
///
/// # Panics
/// When there is no such core.
#[must_use]
pub fn key_on(core: u16, cores: u16, prefix: &str) -> String {
    assert!(core < cores, "there are {cores} cores, no core {core}");
    let map = SlotMap::even(cores);
    let mut keys = (0..).map(|number: u32| format!("{prefix}:{number}"));
    let found = keys.find(|key| map.core_of(key.as_bytes()).0 == core);
    found.expect("every core owns slots")
}

/// So many keys, whose owners go round all cores from the first on.
#[must_use]
pub fn keys_round(cores: u16, count: usize, prefix: &str) -> Vec<String> {
    (0..count)
        .zip((0..cores).cycle())
        .map(|(number, core)| key_on(core, cores, &format!("{prefix}:{number}")))
        .collect()
}
