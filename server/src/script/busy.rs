//! The scripts that keep cores busy, as all cores see them: who asks to end one need not ask the core it runs on.
//!
//! A script enters when it has run for `busy-reply-threshold` and leaves when it is over. It may be ended unless it has
//! written; which of a kill and a first write comes first is decided by one atomic word.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// A script that keeps cores busy.
#[derive(Debug)]
pub struct BusyScript {
    /// What runs it.
    pub kind: Kind,
    /// Its SHA-1, or the function's name.
    pub name: String,
    /// The command that runs it.
    pub command: Vec<Box<[u8]>>,
    /// When it began.
    pub began: Instant,
    /// The cores whose keys it may have in its hands.
    pub cores: Vec<CoreId>,
    is_everywhere: AtomicBool,
    state: AtomicU8,
}

const WROTE: u8 = 1 << 0;
const KILLED: u8 = 1 << 1;

impl BusyScript {
    /// A script that began at `began` and concerns `cores`.
    pub fn new(
        kind: Kind,
        name: String,
        command: Vec<Box<[u8]>>,
        began: Instant,
        cores: Vec<CoreId>,
    ) -> Self {
        Self {
            kind,
            name,
            command,
            began,
            cores,
            is_everywhere: AtomicBool::new(false),
            state: AtomicU8::new(0),
        }
    }

    /// The script is about to write. False: it was killed before.
    pub fn may_write(&self) -> bool {
        self.state.fetch_or(WROTE, Ordering::AcqRel) & KILLED == 0
    }

    /// Whether it is to end.
    pub fn is_killed(&self) -> bool {
        self.state.load(Ordering::Acquire) & KILLED != 0
    }

    /// It concerns all cores from now on.
    pub fn concerns_all(&self) {
        self.is_everywhere.store(true, Ordering::Release);
    }

    fn concerns(&self, core: CoreId) -> bool {
        self.is_everywhere.load(Ordering::Acquire) || self.cores.contains(&core)
    }

    fn kill(&self, kind: Kind) -> Kill {
        let killed = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                (self.kind == kind && state & WROTE == 0).then_some(state | KILLED)
            });
        match killed {
            Ok(_) => Kill::Done,
            // As in Redis, that it has written is said before of which kind it is.
            Err(state) if state & WROTE != 0 => Kill::Unkillable,
            Err(_) => Kill::Other(self.kind),
        }
    }
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

/// The busy scripts of all cores.
#[derive(Debug, Default)]
pub struct BusyScripts {
    count: AtomicU32,
    scripts: Mutex<Vec<Arc<BusyScript>>>,
}

impl BusyScripts {
    fn scripts(&self) -> MutexGuard<'_, Vec<Arc<BusyScript>>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is one.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// What keeps `core` busy.
    pub fn on(&self, core: CoreId) -> Option<Kind> {
        let scripts = self.scripts();
        let script = scripts.iter().find(|script| script.concerns(core))?;
        Some(script.kind)
    }

    /// What keeps some core busy.
    pub fn on_any(&self) -> Option<Kind> {
        self.first().map(|script| script.kind)
    }

    /// The script that keeps some core busy, the first there is.
    pub fn first(&self) -> Option<Arc<BusyScript>> {
        self.scripts().first().cloned()
    }

    /// A script has run for too long.
    pub fn enter(&self, script: BusyScript) -> Arc<BusyScript> {
        let script = Arc::new(script);
        self.scripts().push(Arc::clone(&script));
        self.count.fetch_add(1, Ordering::Release);
        script
    }

    /// A script that was busy is over.
    pub fn leave(&self, script: &Arc<BusyScript>) {
        self.scripts().retain(|other| !Arc::ptr_eq(other, script));
        self.count.fetch_sub(1, Ordering::Release);
    }

    /// Ends the busy scripts of a kind.
    pub fn kill(&self, kind: Kind) -> Kill {
        let scripts = self.scripts();
        let outcomes: Vec<Kill> = scripts.iter().map(|script| script.kill(kind)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn script(kind: Kind, core: u16) -> BusyScript {
        let command = vec![(*b"fcall").into()];
        BusyScript::new(
            kind,
            "f".to_owned(),
            command,
            Instant::now(),
            vec![CoreId(core)],
        )
    }

    #[test]
    fn a_script_is_killed_unless_it_has_written() {
        let busy = BusyScripts::default();
        assert_eq!(busy.kill(Kind::Script), Kill::NotBusy);
        let own = busy.enter(script(Kind::Script, 1));
        assert!(busy.any() && busy.on(CoreId(0)).is_none());
        assert_eq!(busy.on(CoreId(1)), Some(Kind::Script));
        assert_eq!(busy.on_any(), Some(Kind::Script));
        assert_eq!(busy.kill(Kind::Function), Kill::Other(Kind::Script));
        assert!(!own.is_killed());
        assert_eq!(busy.kill(Kind::Script), Kill::Done);
        assert!(own.is_killed() && !own.may_write());
        busy.leave(&own);
        assert!(!busy.any() && busy.first().is_none());
        let own = busy.enter(script(Kind::Function, 0));
        assert!(own.may_write());
        assert_eq!(busy.kill(Kind::Function), Kill::Unkillable);
        assert_eq!(busy.first().unwrap().name, "f");
    }

    #[test]
    fn several_scripts_may_be_busy_and_each_concerns_its_cores() {
        let busy = BusyScripts::default();
        let one = busy.enter(script(Kind::Script, 0));
        let other = busy.enter(script(Kind::Function, 1));
        assert_eq!(busy.on(CoreId(1)), Some(Kind::Function));
        assert_eq!(busy.on(CoreId(2)), None);
        other.concerns_all();
        assert_eq!(busy.on(CoreId(2)), Some(Kind::Function));
        assert_eq!(busy.kill(Kind::Script), Kill::Done);
        assert!(one.is_killed() && !other.is_killed());
        busy.leave(&one);
        assert_eq!(busy.on(CoreId(0)), Some(Kind::Function));
    }
}
