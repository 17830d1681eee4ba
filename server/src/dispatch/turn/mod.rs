//! A turn of a core: the sessions that go on later in it, or in the next ([`run_queue`]).

pub(super) mod run_queue;
