//! What a command locks, and on which cores.

use crate::command::{Args, Command, CoreState, Flags, KeyAccess, Run};
use crate::dispatch::locks::{Claim, Mode, Scope};
use crate::dispatch::mail::requests::Work;
use crate::routing::CoreId;

/// The scope that `add` makes for each of so many cores. Cores of which it locks nothing are left out.
pub(in crate::dispatch) fn scopes_of(
    cores: u16,
    add: impl FnOnce(&mut [(CoreId, Scope)]),
) -> Vec<(CoreId, Scope)> {
    let cores = 0..cores;
    let mut scopes: Vec<(CoreId, Scope)> =
        cores.map(|core| (CoreId(core), Scope::NOTHING)).collect();
    add(&mut scopes);
    scopes.retain(|(_, scope)| !scope.is_nothing());
    scopes
}

/// Adds what a command locks on each core.
pub(in crate::dispatch) fn scope_of(
    state: &CoreState,
    command: &Command,
    args: Args<'_>,
    scopes: &mut [(CoreId, Scope)],
) {
    if command.spec.flags.has(Flags::WHOLE_KEYSPACE) {
        let mode = mode_of(whole_access(command));
        scopes
            .iter_mut()
            .for_each(|(_, scope)| scope.add_whole(mode));
    }
    let reached = match command.spec.run {
        Run::RoundsOfAll { reaches, .. } => reaches(&args),
        _ => None,
    };
    for access in command.spec.keys.unnamed(&args).into_iter().chain(reached) {
        let mode = mode_of(access);
        let scopes = scopes.iter_mut();
        scopes.for_each(|(_, scope)| scope.add_whole(mode));
    }
    if let Run::Script(_) = command.spec.run
        && let Some(mode) = crate::dispatch::scripts::placement::claim_on_all(state, command, args)
    {
        scopes
            .iter_mut()
            .for_each(|(_, scope)| scope.add_whole(mode));
    }
    for (key, claim) in claims_of(state, command, args) {
        let core = state.shared.slots.core_of(key);
        scopes[core.index()].1.add(claim);
    }
}

/// A command's keys, and how each is to be locked.
pub(in crate::dispatch) fn claims_of<'a>(
    state: &CoreState,
    command: &Command,
    args: Args<'a>,
) -> impl Iterator<Item = (&'a [u8], Claim)> {
    let keys = command.spec.keys.in_args(&args);
    keys.map(move |found| {
        let key = args.at(found.at);
        let claim = Claim {
            hash: state.shard.hasher().hash(key),
            mode: mode_of(found.access()),
        };
        (key, claim)
    })
}

pub(in crate::dispatch) fn mode_of(access: KeyAccess) -> Mode {
    match access {
        KeyAccess::Read => Mode::Shared,
        KeyAccess::Write => Mode::Exclusive,
    }
}

/// Whether it changes the keyspace as a whole.
pub(in crate::dispatch) fn is_change_of_all(work: Work) -> bool {
    matches!(work, Work::Each(command) if whole_access(command) == KeyAccess::Write)
}

/// What a command on the keyspace as a whole does with it.
pub(in crate::dispatch) fn whole_access(command: &Command) -> KeyAccess {
    // What all cores share is changed alone.
    if command.spec.flags.has(Flags::WRITE) || matches!(command.spec.run, Run::OnSession(_)) {
        KeyAccess::Write
    } else {
        KeyAccess::Read
    }
}
