//! The `larder-server` binary.
fn main() {}
