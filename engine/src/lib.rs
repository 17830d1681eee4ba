//! Larder storage engine.
