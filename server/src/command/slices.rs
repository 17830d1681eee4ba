//! Work of a command on a shard that may be long: it is done in slices, and others run in between.
//!
//! ```text
//!  the command finds little to do ──▶ it does that                                   reply
//!          or much ──▶ its keys are locked ──▶ slice, slice, … one a turn ──▶ locks given back, reply
//!                  └─▶ inside an `EXEC` or a script: all slices at once              reply
//! ```
//! What a slice has seen of a key another finds there still, but for what has reached its deadline: others may read what the command
//! reads, and neither read nor write what it writes.

use std::fmt::Debug;

use crate::command::ShardCall;
use crate::resp::ErrorReply;
use crate::resp::errors::CommandResult;

/// What a command has yet to do.
pub trait Slices: Debug {
    /// Does the next slice, in a call that is as the first one was.
    ///
    /// # Errors
    /// The command fails: what it was about to change is as it was.
    fn go_on(&mut self, call: &mut ShardCall<'_>) -> Result<Progress, ErrorReply>;
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Slices are left.
    Begun,
    /// It is done, and its reply is written.
    Done,
}

/// What the command at work leaves to be done later, if its caller waits for that.
#[derive(Debug, Default)]
pub struct Later {
    is_waited_for: bool,
    slices: Option<Box<dyn Slices>>,
}

impl Later {
    /// The command that runs next may leave slices: [`Self::take`] follows.
    pub fn wait(&mut self) {
        self.is_waited_for = true;
    }

    /// What the command has left, if it has. The next one may not.
    pub fn take(&mut self) -> Option<Box<dyn Slices>> {
        self.is_waited_for = false;
        self.slices.take()
    }
}

impl ShardCall<'_> {
    /// Leaves these slices to be done, or does them all if nobody waits for that. Whatever the command does next comes before them.
    ///
    /// # Errors
    /// As [`Slices::go_on`].
    pub fn do_in_slices(&mut self, mut slices: Box<dyn Slices>) -> CommandResult {
        if self.later.is_waited_for {
            self.later.slices = Some(slices);
            return Ok(());
        }
        while slices.go_on(self)? != Progress::Done {}
        Ok(())
    }
}
