//! A turn of a core: the sessions that go on later in it, or in the next ([`run_queue`]), and how its time is shared among its
//! commands ([`timing`]).

pub(super) mod run_queue;
pub(super) mod timing;
