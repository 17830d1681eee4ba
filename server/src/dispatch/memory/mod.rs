//! Memory of a core beside its shard: what it has leased under `maxmemory` and what it keeps ([`budget`]), buffers between two
//! uses ([`pool`]), the bound on what all clients hold ([`clients`]), what is done to make room ([`making`]), and quotas ([`quotas`]).
//!
//! Cores lease what they use from one pool, and room ahead, so that far from `maxmemory` no command is looked at: a run of
//! commands takes its share of the room in one subtraction. Near the limit the `MAXMEMORY` gate is up, and each command that Redis
//! refuses is weighed where its key lives. Whoever keeps something for later (a request, arguments, parts of a reply) says so with
//! `Budget::keep` and `Budget::let_go`; a command that may use more than a few times its arguments says so with `Flags::GROWS`.
//! See decision 0013, which also says how what travels between cores is bounded.

pub(super) mod budget;
pub(super) mod clients;
pub(super) mod making;
pub(super) mod pool;
pub(super) mod quotas;
