//! The scripts that keep a core busy, as all cores see them: who asks to end one need not ask the core it runs on, which
//! answers little meanwhile.
//!
//! A script enters when it has run for `busy-reply-threshold` and leaves when it is over. It may be ended unless it has
//! written; which of a kill and a first write comes first is decided by one atomic word.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::routing::CoreId;

/// What runs a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `EVAL` and its kin.
    Script,
    /// `FCALL`.
    Function,
}

/// A script that keeps its core busy.
#[derive(Clone, Debug)]
pub struct BusyScript {
    /// Its SHA-1, or the function's name.
    pub name: String,
    /// The command that runs it.
    pub command: Vec<Box<[u8]>>,
    /// When it began.
    pub began: Instant,
}

/// What came of an attempt to end a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// It will end.
    Done,
    /// It has written.
    Unkillable,
    /// There is none.
    NotBusy,
    /// There is one of the other kind.
    Other(Kind),
}

const BUSY: u8 = 1 << 0;
const FUNCTION: u8 = 1 << 1;
const WROTE: u8 = 1 << 2;
const KILLED: u8 = 1 << 3;

#[derive(Debug, Default)]
struct OfCore {
    state: AtomicU8,
    script: Mutex<Option<BusyScript>>,
}

impl OfCore {
    fn script(&self) -> MutexGuard<'_, Option<BusyScript>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kind(&self) -> Option<Kind> {
        kind_of(self.state.load(Ordering::Acquire))
    }
}

fn kind_of(state: u8) -> Option<Kind> {
    match state {
        state if state & BUSY == 0 => None,
        state if state & FUNCTION == 0 => Some(Kind::Script),
        _ => Some(Kind::Function),
    }
}

/// The busy scripts of all cores.
#[derive(Debug)]
pub struct BusyScripts {
    count: AtomicU32,
    cores: Box<[OfCore]>,
}

impl BusyScripts {
    /// None yet, of `cores` cores.
    pub fn new(cores: u16) -> Self {
        Self {
            count: AtomicU32::new(0),
            cores: (0..cores).map(|_| OfCore::default()).collect(),
        }
    }

    /// Whether some core is busy.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// What keeps `core` busy.
    pub fn on(&self, core: CoreId) -> Option<Kind> {
        self.cores[core.index()].kind()
    }

    /// What keeps some core busy.
    pub fn on_any(&self) -> Option<Kind> {
        self.cores.iter().find_map(OfCore::kind)
    }

    /// The script that keeps some core busy, the first there is.
    pub fn first(&self) -> Option<(Kind, BusyScript)> {
        self.cores
            .iter()
            .find_map(|core| Some((core.kind()?, core.script().clone()?)))
    }

    /// A script of `core` has run for too long.
    pub fn enter(&self, core: CoreId, kind: Kind, wrote: bool, script: BusyScript) {
        let own = &self.cores[core.index()];
        *own.script() = Some(script);
        let kind = if kind == Kind::Function { FUNCTION } else { 0 };
        let wrote = if wrote { WROTE } else { 0 };
        own.state.store(BUSY | kind | wrote, Ordering::Release);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// The script of `core` is over.
    pub fn leave(&self, core: CoreId) {
        let own = &self.cores[core.index()];
        own.state.store(0, Ordering::Release);
        *own.script() = None;
        self.count.fetch_sub(1, Ordering::Release);
    }

    /// Whether the script of `core` is to end.
    pub fn is_killed(&self, core: CoreId) -> bool {
        self.cores[core.index()].state.load(Ordering::Acquire) & KILLED != 0
    }

    /// The busy script of `core` is about to write. False: it was killed before.
    pub fn may_write(&self, core: CoreId) -> bool {
        let before = self.cores[core.index()]
            .state
            .fetch_or(WROTE, Ordering::AcqRel);
        before & KILLED == 0
    }

    /// Ends the busy scripts of a kind on all cores.
    pub fn kill(&self, kind: Kind) -> Kill {
        let outcomes: Vec<Kill> = self.cores.iter().map(|core| kill(core, kind)).collect();
        let is = |kill: &Kill| outcomes.contains(kill);
        let other = outcomes.iter().find(|kill| matches!(kill, Kill::Other(_)));
        match other {
            _ if is(&Kill::Done) => Kill::Done,
            _ if is(&Kill::Unkillable) => Kill::Unkillable,
            Some(other) => *other,
            None => Kill::NotBusy,
        }
    }
}

fn kill(core: &OfCore, kind: Kind) -> Kill {
    let killed = core
        .state
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (kind_of(state) == Some(kind) && state & WROTE == 0).then_some(state | KILLED)
        });
    match killed {
        Ok(_) => Kill::Done,
        // As in Redis, that it has written is said before of which kind it is.
        Err(state) if state & WROTE != 0 && state & BUSY != 0 => Kill::Unkillable,
        Err(state) => kind_of(state).map_or(Kill::NotBusy, Kill::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script() -> BusyScript {
        BusyScript {
            name: "f".to_owned(),
            command: vec![(*b"fcall").into()],
            began: Instant::now(),
        }
    }

    #[test]
    fn a_script_is_killed_unless_it_has_written() {
        let busy = BusyScripts::new(2);
        assert_eq!(busy.kill(Kind::Script), Kill::NotBusy);
        busy.enter(CoreId(1), Kind::Script, false, script());
        assert!(busy.any() && busy.on(CoreId(0)).is_none());
        assert_eq!(busy.on_any(), Some(Kind::Script));
        assert_eq!(busy.kill(Kind::Function), Kill::Other(Kind::Script));
        assert!(!busy.is_killed(CoreId(1)));
        assert_eq!(busy.kill(Kind::Script), Kill::Done);
        assert!(busy.is_killed(CoreId(1)) && !busy.may_write(CoreId(1)));
        busy.leave(CoreId(1));
        assert!(!busy.any() && busy.first().is_none() && !busy.is_killed(CoreId(1)));
        busy.enter(CoreId(0), Kind::Function, false, script());
        assert!(busy.may_write(CoreId(0)));
        assert_eq!(busy.kill(Kind::Function), Kill::Unkillable);
        assert_eq!(busy.first().unwrap().1.name, "f");
    }
}
