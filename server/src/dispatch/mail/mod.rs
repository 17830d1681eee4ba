//! What cores send each other: the requests and answers of a turn as one batch ([`batch`]), filled in the [`outboxes`], sent by
//! the [`lines`], and run from the [`backlog`]; the bound on what a session has yet to take of large answers ([`credit`]).

pub(super) mod backlog;
pub(super) mod batch;
pub(super) mod copy_message;
pub(super) mod credit;
pub(super) mod lines;
pub(super) mod outboxes;
pub(super) mod requests;
