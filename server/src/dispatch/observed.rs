//! What is told about commands as they run: the slow log, the latency monitor, monitors.

use super::core::Core;
use crate::command::{Args, CommandSpec};
use crate::session::Session;

impl Core {
    /// A command was timed by itself.
    pub(super) fn observe_slow(
        &mut self,
        session: &Session,
        args: Args<'_>,
        spec: &CommandSpec,
        micros: u64,
    ) {
        let _ = (session, args, spec, micros);
    }

    /// A command is about to run, and some core has a monitor.
    pub(super) fn show_to_monitors(&mut self, session: &Session, args: Args<'_>) {
        let _ = (session, args);
    }
}
