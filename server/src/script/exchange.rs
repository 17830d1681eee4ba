//! What a virtual machine and the core that drives it hand each other across the switch of stacks: a script's arguments,
//! its commands, their replies, and word of how it went. Both sides are one thread and never at work at the same time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::raw::Exit;
use super::words::Words;
use crate::config::LogLevel;
use crate::resp::Protocol;

/// What a virtual machine is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of a script's.
    #[default]
    Idle,
    /// A script or function runs.
    Running,
    /// A library of functions loads.
    Loading,
}

/// Why a script had to end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Killed {
    /// `SCRIPT KILL` or `FUNCTION KILL`.
    ByUser,
    /// A library took too long to load.
    LoadTimeout,
}

impl Killed {
    /// The script's error, without its code word.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::ByUser => "Script killed by user with SCRIPT KILL...",
            Self::LoadTimeout => "FUNCTION LOAD timeout",
        }
    }
}

/// How a function called by a script fails; the sandbox raises it.
#[derive(Debug)]
pub(super) enum Raised {
    /// A text, to which the place of the call is added.
    Message(Vec<u8>),
    /// An argument does not fit; the text says why.
    Argument {
        /// Its number, from one.
        number: usize,
        /// The function.
        name: &'static str,
        /// Why.
        text: String,
    },
    /// A table whose field `err` is this text.
    Object {
        /// The error reply's line, code word first.
        text: Vec<u8>,
        /// Whether the statistics have it already.
        is_counted: bool,
    },
    /// Lua itself failed, for lack of memory.
    Lua(mlua::Error),
}

impl Raised {
    /// A text, to which the place of the call is added.
    pub(super) fn message(text: impl Into<Vec<u8>>) -> Self {
        Self::Message(text.into())
    }

    /// A table whose field `err` is an `ERR` with this text.
    pub(super) fn object(text: &str) -> Self {
        Self::Object {
            text: format!("ERR {text}").into_bytes(),
            is_counted: false,
        }
    }
}

impl From<mlua::Error> for Raised {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

/// An error in a script's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyError {
    /// Its code word.
    pub code: Box<[u8]>,
    /// Whether the statistics have it already: it is that of a command the script called.
    pub is_counted: bool,
}

/// The state shared by both sides.
pub(super) struct Exchange {
    /// A script's keys and arguments on their way in, a command's arguments on their way out.
    pub(super) words: RefCell<Words>,
    /// A command's reply on its way in, a script's on its way out.
    pub(super) reply: RefCell<Vec<u8>>,
    /// The errors in the script's reply.
    pub(super) errors: RefCell<Vec<ReplyError>>,
    /// The protocol in which the script wants replies (`redis.setresp`).
    pub(super) protocol: Cell<Protocol>,
    /// What the function that answered `FAIL` failed with.
    pub(super) raised: RefCell<Option<Raised>>,
    pub(super) phase: Cell<Phase>,
    pub(super) killed: Cell<Option<Killed>>,
    /// When the script began.
    pub(super) began: Cell<Instant>,
    /// After how long it gives the core back from time to time; of a library that loads, after how long it ends.
    pub(super) patience: Cell<Option<Duration>>,
    /// Bytes Lua holds, as of when the script last gave the core back.
    pub(super) used_bytes: Cell<usize>,
    /// What the script is called in errors: its SHA-1, or the function's name.
    pub(super) script: RefCell<Rc<str>>,
    /// From which level on what it logs is shown.
    pub(super) log_level: Cell<LogLevel>,
    /// How the machine is left while it works.
    pub(super) exit: Exit,
    /// The script has changed how garbage is collected.
    pub(super) collector_changed: Cell<bool>,
    /// What memory a script may hold.
    pub(super) memory_max_bytes: usize,
    /// What random numbers begin with.
    pub(super) seed: u64,
}

impl Exchange {
    pub(super) fn new(memory_max_bytes: usize, seed: u64) -> Self {
        Self {
            words: RefCell::default(),
            reply: RefCell::default(),
            errors: RefCell::default(),
            protocol: Cell::default(),
            raised: RefCell::default(),
            phase: Cell::default(),
            killed: Cell::default(),
            began: Cell::new(Instant::now()),
            patience: Cell::default(),
            used_bytes: Cell::default(),
            script: RefCell::new(Rc::from("")),
            log_level: Cell::new(LogLevel::Notice),
            exit: Exit::default(),
            collector_changed: Cell::default(),
            memory_max_bytes,
            seed,
        }
    }

    /// Whether the script has run for so long that others should have a turn.
    pub(super) fn is_overdue(&self) -> bool {
        self.patience
            .get()
            .is_some_and(|patience| self.began.get().elapsed() >= patience)
    }
}
