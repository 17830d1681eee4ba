//! Glob matching as Redis patterns do it.
