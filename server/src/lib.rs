//! Larder server library.
