//! A message that a script publishes.

use crate::command::{Command, CoreFn, Run};
use crate::script::Words;
use crate::shared::CoreGauges;
use crate::topics::Topic;

/// A message that is published once the script is over that publishes it: values.
pub(in crate::dispatch) struct Publication {
    pub(in crate::dispatch) which: fn(&CoreGauges) -> bool,
    pub(in crate::dispatch) topic: Topic,
    pub(in crate::dispatch) each: CoreFn,
    /// The command.
    pub(in crate::dispatch) words: Words,
}

impl Publication {
    /// What `command` publishes, if it does.
    pub(in crate::dispatch) fn of(command: &Command, words: Words) -> Option<Self> {
        let Run::SomeCores {
            which, topic, each, ..
        } = command.spec.run
        else {
            return None;
        };
        Some(Self {
            which,
            topic,
            each,
            words,
        })
    }

    /// Bytes of memory.
    pub(in crate::dispatch) fn bytes(&self) -> usize {
        self.words.bytes()
    }
}
