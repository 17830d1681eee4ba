//! Lists.

mod packed;
#[cfg(any(test, feature = "model"))]
mod packed_model;
#[cfg(test)]
mod tests;
