//! A script that waits.

use std::sync::Arc;
use std::time::Instant;

use super::hold::Hold;
use super::running::{Asker, Caller, Needs, Running};
use crate::command::{Args, Clock, Command};
use crate::dispatch::mail::requests::LocksHeld;
use crate::script::{BusyScript, Machine, Words};

/// A script that waits, with all it needs to begin or to go on: values that are taken apart when it does.
pub(in crate::dispatch) struct Parked {
    pub(in crate::dispatch) owner: Asker,
    /// The command that runs it.
    pub(in crate::dispatch) words: Words,
    pub(in crate::dispatch) command: &'static Command,
    pub(in crate::dispatch) caller: Caller,
    /// The time as the script sees it throughout.
    pub(in crate::dispatch) clock: Clock,
    pub(in crate::dispatch) state: State,
}

/// How far a script that waits has come.
pub(in crate::dispatch) enum State {
    /// It has yet to begin.
    New(Hold, Needs),
    /// It has begun, and is suspended in its machine.
    Begun(Box<Running>, Machine),
}

impl State {
    /// What it needs to go on.
    pub(in crate::dispatch) fn needs(&self) -> Needs {
        match self {
            Self::New(_, needs) => *needs,
            Self::Begun(running, _) => running.needs(),
        }
    }

    /// What it holds.
    pub(in crate::dispatch) fn hold(&self) -> &Hold {
        match self {
            Self::New(hold, _) => hold,
            Self::Begun(running, _) => running.hold(),
        }
    }

    /// It has the locks that it asked for, and may begin.
    ///
    /// # Panics
    /// It has begun: it asked for them before.
    pub(super) fn grant(&mut self, locks: LocksHeld) {
        let Self::New(hold, needs) = self else {
            unreachable!("a script asks for locks before it begins")
        };
        hold.grant(locks);
        *needs = Needs::Granted;
    }

    /// The script, if it has begun.
    pub(in crate::dispatch) fn begun(&mut self) -> Option<&mut Running> {
        match self {
            Self::New(..) => None,
            Self::Begun(running, _) => Some(running),
        }
    }
}

/// Copies the words of the command that runs a script.
pub(in crate::dispatch) fn keep_words(args: Args<'_>) -> Words {
    let mut words = Words::with_room(args.len(), args.span_bytes());
    for arg in args.iter_from(0) {
        let fits = words.push(arg);
        assert!(fits, "arguments are addressed by 32 bits all along");
    }
    words
}

/// What is left of a script that had to wait: values.
pub(in crate::dispatch) struct Ended {
    pub(in crate::dispatch) hold: Hold,
    pub(in crate::dispatch) busy: Option<Arc<BusyScript>>,
    pub(in crate::dispatch) began: Instant,
}
