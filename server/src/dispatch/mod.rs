//! From received bytes to commands, to the core that owns their keys, and back in order.
