//! Keeps commands out of the statistics that a script runs once more because it has begun again: they counted the first time.

use crate::dispatch::core::Core;
use crate::dispatch::mail::requests::Work;
use crate::observe::{CommandId, CommandStats, Counted, ErrorCounts, Lookups};

/// What the statistics said before.
pub(in crate::dispatch::core) struct Before {
    durations_were_off: bool,
    commands: u64,
    lookups: Lookups,
    error_replies: u64,
    errors: ErrorCounts,
    of_command: Option<(CommandId, CommandStats, Counted)>,
}

impl Core {
    /// What happens from here on, a command `id` if it is one, counts for nothing until [`Self::end_uncounted`].
    #[cold]
    pub(in crate::dispatch::core) fn begin_uncounted(&mut self, id: Option<CommandId>) -> Before {
        let stats = &mut self.state.stats;
        Before {
            durations_were_off: std::mem::replace(&mut stats.durations_are_off, true),
            commands: stats.commands,
            lookups: stats.lookups.clone(),
            error_replies: stats.error_replies,
            errors: std::mem::take(&mut stats.errors),
            of_command: id.map(|id| {
                (
                    id,
                    stats.by_command[id.index()],
                    self.state.timing.counted(id),
                )
            }),
        }
    }

    /// All counts are again what they were.
    #[cold]
    pub(in crate::dispatch::core) fn end_uncounted(&mut self, before: Before) {
        let stats = &mut self.state.stats;
        stats.durations_are_off = before.durations_were_off;
        stats.commands = before.commands;
        stats.lookups = before.lookups;
        (stats.error_replies, stats.errors) = (before.error_replies, before.errors);
        if let Some((id, counted, calls)) = before.of_command {
            stats.by_command[id.index()] = counted;
            self.state.timing.set_back(id, calls);
        }
    }
}

/// The command that a request is about.
pub(in crate::dispatch::core) fn command_of(work: Work) -> Option<CommandId> {
    match work {
        Work::Command(command) | Work::Each(command) => Some(command.id),
        _ => None,
    }
}
