//! Support code of the whole-server tests.
