//! How a command runs on a shard: what it needs to know, its arguments, who gets the reply.

pub(super) mod attempt;
pub(super) mod kept_args;
pub(super) mod on_shard;
pub(super) mod recipient;
