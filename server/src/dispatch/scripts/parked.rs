//! A script that waits.

use std::sync::Arc;
use std::time::Instant;

use super::hold::Hold;
use super::running::{Asker, Caller, Needs, Running};
use crate::command::{Args, Clock, Command};
use crate::script::{BusyScript, Machine, Words};

/// A script that waits, with all it needs to begin or to go on.
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
    pub(in crate::dispatch) fn needs(&mut self) -> &mut Needs {
        match self {
            Self::New(_, waits) => waits,
            Self::Begun(running, _) => &mut running.needs,
        }
    }

    /// What it holds.
    pub(in crate::dispatch) fn hold(&mut self) -> &mut Hold {
        match self {
            Self::New(hold, _) => hold,
            Self::Begun(running, _) => &mut running.hold,
        }
    }
}

pub(in crate::dispatch) fn keep_words(args: Args<'_>) -> Words {
    let mut words = Words::with_room(args.len(), args.span_bytes());
    for arg in args.iter_from(0) {
        let fits = words.push(arg);
        assert!(fits, "arguments are addressed by 32 bits all along");
    }
    words
}

/// What is left of a script that had to wait.
pub(in crate::dispatch) struct Ended {
    pub(in crate::dispatch) hold: Hold,
    pub(in crate::dispatch) busy: Option<Arc<BusyScript>>,
    pub(in crate::dispatch) began: Instant,
}

impl From<Box<Running>> for Ended {
    fn from(running: Box<Running>) -> Self {
        let Running {
            hold, busy, began, ..
        } = *running;
        Self { hold, busy, began }
    }
}
