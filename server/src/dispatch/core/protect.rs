//! Refuses `DEBUG` and `MODULE` to clients that the configuration keeps them from.

use crate::command::{CommandSpec, Flags};
use crate::config::Config;
use crate::resp::{ErrorReply, errors};
use crate::session::Session;

/// The refusal of a command that `enable-debug-command` or `enable-module-command` keeps from this client.
#[inline]
pub(super) fn refusal(
    config: &Config,
    session: &Session,
    spec: &CommandSpec,
) -> Option<ErrorReply> {
    if spec.flags.has(Flags::PROTECTED) {
        return refusal_of_protected(config, session, spec);
    }
    None
}

#[cold]
fn refusal_of_protected(
    config: &Config,
    session: &Session,
    spec: &CommandSpec,
) -> Option<ErrorReply> {
    let (allowed_to, error) = match spec.name {
        "debug" => (config.enable_debug_command, errors::DEBUG_NOT_ALLOWED),
        _ => (config.enable_module_command, errors::MODULE_NOT_ALLOWED),
    };
    (!allowed_to.allows(session.peer.origin())).then_some(error)
}
