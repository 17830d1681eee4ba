//! Whole servers in this process, on both backends.
