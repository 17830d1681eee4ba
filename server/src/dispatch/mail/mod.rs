//! What cores send each other: the requests and answers of a turn as one batch, the lines that it goes by, and the bound on
//! what a session has yet to take of large answers.

pub(super) mod batch;
pub(super) mod copy_message;
pub(super) mod credit;
pub(super) mod lines;
pub(super) mod requests;
