//! Every bound of dispatch, by name.

/// Commands parsed ahead, hashed and prefetched together.
pub const RUN_COMMANDS: usize = 32;

/// A session that runs no command for now and holds more than this many unread bytes is not read from.
pub const QUERY_HIGH_WATER_BYTES: usize = 1 << 20;

/// How long the log does not say again that a client is held back: a slow one may be many times a second.
pub const SAY_AGAIN_MS: u64 = 10_000;

/// Clients that a core closes in a turn because all hold too much.
pub const CLOSED_AT_ONCE: usize = 64;

/// How long a core does not ask another again to close a client because all hold too much.
pub const ASK_AGAIN_MS: u64 = 10;

/// When clients have let go of so much, it is given back to the system, as the allocator alone would keep it: at once if it
/// is by clients that were closed because all hold too much, else once in so many milliseconds, for it is soon used again.
pub const FREED_BYTES: u64 = 64 << 20;
/// See [`FREED_BYTES`].
pub const GIVE_BACK_PERIOD_MS: u64 = 1000;

/// Output buffers kept for reuse by a core, the largest kept, and the bytes of all. A pipeline of a few values of some KiB
/// fills more than 64 KiB: allocated anew each time, such buffers cost as much as all else (their pages come fresh from
/// the system).
pub const POOLED_BUFFERS: usize = 256;
/// See [`POOLED_BUFFERS`].
pub const POOLED_BUFFER_MAX_BYTES: usize = 1 << 20;
/// See [`POOLED_BUFFERS`].
pub const POOLED_BYTES: usize = 32 << 20;
/// Of `maxmemory` all cores together keep at most this part in such buffers.
pub const POOLED_SHARE: u64 = 16;
/// But each this much: some short replies of an ordinary client.
pub const POOLED_MIN_BYTES: usize = 64 * 1024;

/// What a turn's last step of the expiry hand may cost besides what deadlines pay, in entries read: some five hundred
/// removals, in a tenth of a millisecond or two.
pub const EXPIRE_BUDGET_ENTRIES: u32 = 4096;

/// Milliseconds between two of a core's periodic duties.
pub const PERIOD_MS: u64 = 100;

/// Units of house-keeping a shard does in one turn.
pub const TEND_BUDGET: u32 = 256;

/// Most bytes of memory that are kept for the reply of the next attempt for a client that waits.
pub const KEPT_REPLY_BYTES: usize = 4 * 1024;

/// Arguments together longer than this make a constant-time command be timed by itself.
pub const TIMED_ARGS_BYTES: usize = 16 * 1024;

/// A batch that holds more bytes than this takes no further command and no further request's answer this turn: what is
/// left waits for the next one.
pub const BATCH_HIGH_WATER_BYTES: usize = 16 << 20;

/// A command in rounds that has asked this core alone for so many bytes goes on in the next turn; a round counts as so many beside those
/// of its questions and answers.
pub const ROUNDS_AT_ONCE_BYTES: usize = 64 << 10;
/// See [`ROUNDS_AT_ONCE_BYTES`].
pub const ROUND_WEIGHT_BYTES: usize = 16 << 10;

/// Bytes of arguments to which a step of a command that takes several turns is alike in the memory that it may use.
pub const STEP_LEASE_BYTES: usize = 32 << 10;

/// Argument ranges of the parsing loop that are kept for the next run.
pub const SCRATCH_RANGES: usize = 64 * 1024;

/// Bytes of events that a script on several cores may have gathered; beyond, they are told before it is over.
pub const EVENTS_OF_SCRIPT_MAX_BYTES: usize = 4 << 20;

/// Bytes of memory of what was queued for an `EXEC` that a core keeps for the next `MULTI`.
pub const MULTI_KEPT_BYTES: usize = 64 * 1024;

/// Emptied batches a core keeps for each other core.
pub const SPARE_BATCHES: usize = 6;

/// Scripts on several cores that a core has under way at a time, each with a machine of its own; others wait.
pub const SCRIPTS_ON_CORES_MAX: usize = 16;

/// The longest value that is copied.
pub const COPY_MAX_BYTES: usize = 16 * 1024;

/// Bytes of copies a core holds: some hundred of the longest.
pub const COPIES_MAX_BYTES: u64 = 4 << 20;

/// A copy that is read is fetched anew so often, which keeps the entry's access clock going.
pub const COPY_REFRESH_MS: u64 = 1000;

/// A run of plain commands may use so many times its bytes, and so many bytes besides (a node that is divided). The shortest
/// command that makes an entry takes 9 bytes, the entry about as many, but for what its node's block is rounded up by.
pub const RUN_GROWTH: usize = 4;
/// See [`RUN_GROWTH`].
pub const RUN_BASE_BYTES: usize = 4096;

/// A batch of so many bytes is counted while it is under way; of smaller ones there are no more than a queue holds.
pub const BATCH_WEIGHED_BYTES: usize = 64 * 1024;

/// A core that has so many bytes of counted batches to receive is sent no further one. With it comes at most a batch of each
/// core ([`BATCH_HIGH_WATER_BYTES`] and one message).
pub const MAIL_MAX_BYTES: u64 = 16 << 20;

/// While a core has so many bytes of another's requests that have yet to run, the other's sessions send it none. What
/// commands under way need is sent all the same.
pub const REQUESTS_UNDER_WAY_MAX_BYTES: i64 = 16 << 20;

/// So many bytes of requests that have run are told of at once; fewer with the next batch.
pub const ACKNOWLEDGED_BYTES: i64 = 1 << 20;

/// What a script that may begin again holds back in order to: its undo log on its own core, what it has sent to be written on
/// others, and what it has published. With more than that it begins again, with locks of everything and without a log.
pub const SCRIPT_HELD_MAX_BYTES: u64 = 64 << 20;

/// What is deleted and given back to the system piece by piece is not used memory up to so many bytes a core, and nobody is refused for that of
/// another core: one argument of the greatest length and the words beside it. What is beyond counts until it is given back.
pub const DYING_UNCOUNTED_MAX_BYTES: u64 = 513 << 20;

/// A core that is out of memory collects Lua's garbage if the heaps have grown by so much since it last did.
pub const LUA_GARBAGE_BYTES: usize = 256 * 1024;

/// Steps of making room in a turn of a core, evictions one each: a step takes some hundred nanoseconds, so that others wait for less
/// than a millisecond.
pub const ROOM_STEPS_PER_TURN: u32 = 1024;

/// What so many steps are that give idle memory back, of [`TEND_BUDGET`] units of house-keeping: some 50 µs.
pub const TIGHTENED_STEPS: u32 = 64;

/// How long what needs room waits while it is being made, without anybody's finding any, before it is refused.
pub const ROOM_PATIENCE_MS: u64 = 1000;

/// How long far too much may be held while entries go for it, before clients are closed that are owed much.
pub const IN_VAIN_MS: u64 = 100;

/// Memory is tight if less is free than so many times what all may hold too much while as much is idle.
pub const TIGHT_OVERDRAFTS: u64 = 4;

/// What a session may be owed more in a turn in which memory is tight: as much as all may hold too much while as much is idle, but so much at least.
pub const PART_MIN_BYTES: usize = 64 << 10;

/// Bytes of a batch for another core beyond which it gets no answers this turn, while all hold too much and entries are evicted for it.
pub const ANSWERS_SHORT_BYTES: usize = 64 << 10;

/// Steps of eviction at most before a command on keys with a quota.
pub const EVICTED_AT_ONCE: u32 = 4096;

/// Steps of eviction at the end of a turn, while no more than a part is too much that writes may go on with.
pub const EVICTED_AT_END: u32 = 256;

/// Draws of some entries of a quota, one after another, that find none which may go, before it is taken that there is none.
pub const DRAWN_IN_VAIN_MAX: u32 = 32;

/// Entries that come before a core tells the others, so that they lend it memory or borrow its own.
pub const TOLD_AFTER_ENTRIES: u64 = 64;

/// While other cores make room, all together may use more than there is by this part of it. Beyond, no write is accepted, and clients are
/// closed for what they are owed.
pub const OVERDRAFT_SHARE: u64 = 128;

/// The same under a small limit: what one turn of another core may need.
pub const OVERDRAFT_MIN_BYTES: u64 = 64 << 10;

/// The same under a small limit, if as much is idle on the other cores: they give it back in the turn that they are told to take.
pub const IDLE_ELSEWHERE_BYTES: u64 = 512 << 10;

/// A client that is owed less is not closed for that.
pub const OWED_MIN_BYTES: usize = 16 << 10;

/// Slices of giving idle memory back ([`TIGHTENED_STEPS`]) of which none gives anything back, before entries go for what has only to be given back.
pub const TIGHTENED_AT_ONCE: u32 = 8;

/// Bytes that a core beyond its budget gives others at once, at least.
pub const LENT_AT_ONCE_BYTES: u64 = 16 << 10;

/// Of what a core holds of guarded quotas it holds this part besides, before it gives others memory.
pub const GUARDED_BESIDES: u64 = 2;

/// Bytes evicted between two steps of giving back, where those do not suffice.
pub const EVICTED_BETWEEN_BYTES: u64 = 16 << 10;

/// Steps of house-keeping in a turn while dying memory is what exceeds `maxmemory`: a mebibyte each.
pub const DYING_STEPS: u32 = 8;

/// Room for the replies of an `EXEC` that is kept from one to the next.
pub const EXEC_REPLIES_KEPT_BYTES: usize = 64 * 1024;

/// Gathered replies of which a core keeps the memory of the parts for later ones, if they were so few and so small.
pub const GATHERS_KEPT: usize = 128;
/// See [`GATHERS_KEPT`].
pub const GATHER_PARTS_KEPT: usize = 16;
/// See [`GATHERS_KEPT`].
pub const GATHER_PART_KEPT_BYTES: usize = 1024;
/// Elements of such a reply of which is kept which part holds them; see [`GATHERS_KEPT`].
pub const GATHER_PLACES_KEPT: usize = 1024;
/// The longest gathered reply whose memory is kept for the next one.
pub const GATHER_REPLY_KEPT_BYTES: usize = 64 * 1024;
