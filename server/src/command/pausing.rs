//! What a core knows of `CLIENT PAUSE`.
//!
//! A pause begins at one place in the order of all transactions, and ends by the order's time or at another place: on all
//! cores it holds back the same commands. What was admitted before it may still be under way then; the client has its
//! `+OK` when that has run. For this every core *clears* the pause: it says, behind all that it has sent, that nothing
//! more comes that it admitted before.

use crate::command::CoreCall;
use crate::command::invalidate::fixed;
use crate::routing::CoreId;

/// The pauses of one core.
#[derive(Debug)]
pub struct Pausing {
    /// End of the pause of writing commands, in milliseconds since the Unix epoch.
    pub writes_until_ms: u64,
    /// End of the pause of all commands.
    pub all_until_ms: u64,
    /// The command that runs has begun one.
    pub has_begun: bool,
    /// Pauses whose place it has passed, and places at which it was asked to clear (behind an `EXEC` that pauses).
    pub begun: u64,
    /// How many of them each core has cleared.
    cleared: Box<[u64]>,
}

impl Pausing {
    /// None yet, on any of so many cores.
    pub fn new(cores: u16) -> Self {
        Self {
            writes_until_ms: 0,
            all_until_ms: 0,
            has_begun: false,
            begun: 0,
            cleared: vec![0; cores.into()].into(),
        }
    }

    /// Whether one has begun that is not known to be over.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.writes_until_ms | self.all_until_ms != 0
    }

    /// None is under way.
    pub fn end(&mut self) {
        (self.writes_until_ms, self.all_until_ms) = (0, 0);
    }

    /// Whether all cores have cleared the first `count` pauses.
    pub fn are_cleared(&self, count: u64) -> bool {
        self.cleared.iter().all(|cleared| *cleared >= count)
    }

    /// How many `core` has cleared.
    pub fn cleared_by(&self, core: CoreId) -> u64 {
        self.cleared[core.index()]
    }

    /// `core` has cleared the first `count`.
    pub fn clear(&mut self, core: CoreId, count: u64) {
        self.cleared[core.index()] = count;
    }
}

/// Arguments: a core; how many pauses it has cleared.
pub fn cleared_each(call: &mut CoreCall<'_>) {
    let core = CoreId(u16::from_le_bytes(fixed(call.args.at(0))));
    let count = u64::from_le_bytes(fixed(call.args.at(1)));
    call.core.pausing.clear(core, count);
}
