//! Replies made of parts that several cores answer.

pub(super) mod parts;
