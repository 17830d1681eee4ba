//! Whether the commands that a script's text shows (`script::declared`) reach the keys that it declares, and no others.

use super::{BeginSearch, CommandTable, FindKeys, Flags, KeyFlags};
use crate::script::{Arg, Call};

/// Whether none of these commands can name a key that their script does not declare.
pub fn name_declared_keys_only(commands: &CommandTable, calls: &[Call<'_>]) -> bool {
    calls
        .iter()
        .all(|call| names_declared_keys_only(commands, call))
}

fn names_declared_keys_only(commands: &CommandTable, call: &Call<'_>) -> bool {
    let Some(command) = commands.find(call.name) else {
        // It fails.
        return true;
    };
    let (spec, flags) = (command.spec, command.spec.flags);
    if !command.subcommands.is_empty()
        || flags.has(Flags::WHOLE_KEYSPACE)
        || !spec.keys.are_any() && flags.has_any(Flags::WRITE.with(Flags::READONLY))
    {
        return false;
    }
    let of_keys = spec.keys.specs().iter().filter(|spec| spec.is_of_keys());
    of_keys.into_iter().all(|spec| {
        let (
            BeginSearch::Index(first),
            FindKeys::Range {
                last,
                step,
                limit: 0,
            },
        ) = (spec.begin_search(), spec.find_keys())
        else {
            return false;
        };
        let (first, step) = (usize::from(first), usize::from(step));
        let end = match usize::try_from(last) {
            Ok(last) => first + last + 1,
            // Where the last key stands is known only if the number of arguments is.
            Err(_) if call.args.last() == Some(&Arg::Any) => return false,
            Err(_) => (call.args.len() + 2).saturating_sub(usize::from(last.unsigned_abs())),
        };
        spec.tells_places()
            && !spec.flags().has(KeyFlags::INCOMPLETE)
            && (first..end)
                .step_by(step)
                .all(|at| match call.args.get(at - 1) {
                    Some(Arg::Key) => true,
                    Some(Arg::Text(_) | Arg::One | Arg::Any) => false,
                    // It fails for want of arguments, unless the last one becomes several.
                    None => call.args.last() != Some(&Arg::Any),
                })
    })
}
