//! On which core a script runs.
//!
//! With all its keys on one core it runs there, whoever asks; without keys, where its client is. With keys on several, it runs
//! on its client's core, under locks of these, and its commands go where their keys are; so it does under locks of
//! everything if it is known to reach beyond the keys it declares (`script::known`).
//!
//! That it keeps to these only its text can show (`script::declared`): then what its session sends next need not wait.

use crate::command::{Args, Command, CoreState, Flags, Invoke, Run, name_declared_keys_only};
use crate::dispatch::locks::Mode;
use crate::resp::{ErrorReply, errors};
use crate::routing::CoreId;
use crate::script::{Call, Habit, calls_of_library, calls_of_script, sha_of};

/// Where the number of a script's keys stands among the arguments.
pub(in crate::dispatch) const NUMBER_OF_KEYS: usize = 2;

/// Where a script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Placement {
    /// On this core alone.
    OneCore(CoreId),
    /// Under locks of several cores, or of all, from here.
    Cores,
}

/// The number of keys a script or function is called with.
///
/// # Errors
/// It is none that fits; or there is no such function, which Redis says before.
pub(in crate::dispatch) fn number_of_keys(
    state: &CoreState,
    args: Args<'_>,
    command: &Command,
) -> Result<usize, ErrorReply> {
    let mut number = args.integer(NUMBER_OF_KEYS);
    if let Run::Script(Invoke::Function) = command.spec.run {
        let libraries = state.scripts.libraries(&state.shared.libraries);
        libraries.find(args.at(1)).ok_or(errors::NO_FUNCTION)?;
        number = number.map_err(|_| errors::BAD_NUMBER_OF_KEYS);
    }
    let number = number?;
    if number > args.len() as i64 - (NUMBER_OF_KEYS as i64 + 1) {
        return Err(errors::TOO_MANY_KEYS);
    }
    usize::try_from(number).map_err(|_| errors::NEGATIVE_KEYS)
}

/// The hash of the first key that a script declares, to bring its entry near. None: it is no script, or declares none.
#[inline]
pub(in crate::dispatch) fn hash_of_first_key(
    state: &CoreState,
    command: &Command,
    args: Args<'_>,
) -> Option<u64> {
    let Run::Script(_) = command.spec.run else {
        return None;
    };
    let key = args.get(NUMBER_OF_KEYS + 1)?;
    (args.at(NUMBER_OF_KEYS) != b"0").then(|| state.shard.hasher().hash(key))
}

/// The hash by which the script that a command names is remembered (`script::known`).
pub(in crate::dispatch) fn hash_of_name(
    state: &CoreState,
    args: Args<'_>,
    command: &Command,
) -> u64 {
    let hasher = &state.shared.hasher;
    match command.spec.run {
        Run::Script(Invoke::Sha) => hasher.hash(&args.at(1).to_ascii_lowercase()),
        Run::Script(Invoke::Function) => {
            // What was seen of a function is forgotten with its library.
            let libraries = state.scripts.libraries(&state.shared.libraries);
            match libraries.find(args.at(1)) {
                Some((library, index)) => {
                    let mut name = [0; 16];
                    name[..8].copy_from_slice(&library.id.to_le_bytes());
                    name[8..].copy_from_slice(&(index as u64).to_le_bytes());
                    hasher.hash(&name)
                }
                None => hasher.hash(args.at(1)),
            }
        }
        _ => hasher.hash(args.at(1)),
    }
}

fn habit_of(state: &CoreState, args: Args<'_>, command: &Command) -> Option<Habit> {
    let hash = hash_of_name(state, args, command);
    state.shared.known_scripts.habit(hash)
}

/// Whether the script that a command names was seen to reach keys it did not declare.
pub(in crate::dispatch) fn is_undeclared(
    state: &CoreState,
    args: Args<'_>,
    command: &Command,
) -> bool {
    state.shared.known_scripts.any_undeclared()
        && habit_of(state, args, command) == Some(Habit::Undeclared)
}

/// Whether the script that a command names keeps to the keys it declares, as its text shows.
pub(in crate::dispatch) fn keeps_to_its_keys(
    state: &CoreState,
    args: Args<'_>,
    command: &Command,
) -> bool {
    let hash = hash_of_name(state, args, command);
    let known = &state.shared.known_scripts;
    let habit = known.habit(hash).or_else(|| {
        let habit = habit_by_text(state, args, command)?;
        known.note(hash, habit);
        Some(habit)
    });
    habit == Some(Habit::Declared)
}

/// What the text of a script shows of its keys. None: there is no such script.
#[cold]
fn habit_by_text(state: &CoreState, args: Args<'_>, command: &Command) -> Option<Habit> {
    let keep_to_keys = |calls: Option<Vec<Call<'_>>>| {
        calls.is_some_and(|calls| name_declared_keys_only(state.commands, &calls))
    };
    let keeps = match command.spec.run {
        Run::Script(Invoke::Text) => keep_to_keys(calls_of_script(args.at(1))),
        Run::Script(Invoke::Sha) => {
            let sha = sha_of(args.at(1))?;
            let script = state.shared.scripts.find(&sha)?;
            keep_to_keys(calls_of_script(&script.text))
        }
        Run::Script(Invoke::Function) => {
            let libraries = state.scripts.libraries(&state.shared.libraries);
            let (library, _) = libraries.find(args.at(1))?;
            keep_to_keys(calls_of_library(&library.code))
        }
        _ => unreachable!("only scripts are run as such"),
    };
    Some(match keeps {
        true => Habit::Declared,
        false => Habit::Unknown,
    })
}

/// The mode in which a script locks everything from the beginning; `None` if it does not.
pub(in crate::dispatch) fn claim_on_all(
    state: &CoreState,
    command: &Command,
    args: Args<'_>,
) -> Option<Mode> {
    is_undeclared(state, args, command).then(|| mode_of_all(command))
}

/// The mode in which a script locks everything when it does.
pub(in crate::dispatch) fn mode_of_all(command: &Command) -> Mode {
    if command.spec.flags.has(Flags::READONLY) {
        Mode::Shared
    } else {
        Mode::Exclusive
    }
}
