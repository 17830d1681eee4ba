//! Every bound of dispatch, by name.

/// Commands parsed ahead, hashed and prefetched together.
pub const RUN_COMMANDS: usize = 32;

/// A session that runs no command for now and holds more than this many unread bytes is not read from.
pub const QUERY_HIGH_WATER_BYTES: usize = 1 << 20;

/// How long the log does not say again that a client is held back: a slow one may be many times a second.
pub const SAY_AGAIN_MS: u64 = 10_000;

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

/// What a turn's last step of the expiry hand may cost besides what deadlines pay, in entries read: some five hundred
/// removals, in a tenth of a millisecond or two.
pub const EXPIRE_BUDGET_ENTRIES: u32 = 4096;

/// Milliseconds between two of a core's periodic duties.
pub const PERIOD_MS: u64 = 100;

/// Units of house-keeping a shard does in one turn.
pub const TEND_BUDGET: u32 = 256;

/// Arguments together longer than this make a constant-time command be timed by itself.
pub const TIMED_ARGS_BYTES: usize = 16 * 1024;

/// A batch that holds more bytes than this takes no further command and no further request's answer this turn: what is
/// left waits for the next one.
pub const BATCH_HIGH_WATER_BYTES: usize = 16 << 20;

/// Argument ranges of the parsing loop that are kept for the next run.
pub const SCRATCH_RANGES: usize = 64 * 1024;

/// Room for the name of a channel of keyspace events that is kept from one event to the next.
pub const EVENT_CHANNEL_KEPT_BYTES: usize = 4 * 1024;

/// Emptied batches a core keeps for each other core.
pub const SPARE_BATCHES: usize = 2;

/// Scripts on several cores that a core has under way at a time, each with a machine of its own; others wait.
pub const SCRIPTS_ON_CORES_MAX: usize = 64;
/// The longest value that is copied.
pub const COPY_MAX_BYTES: usize = 16 * 1024;

/// Bytes of copies a core holds: some hundred of the longest.
pub const COPIES_MAX_BYTES: u64 = 4 << 20;

/// A copy that is read is fetched anew so often, which keeps the entry's access clock going.
pub const COPY_REFRESH_MS: u64 = 1000;
