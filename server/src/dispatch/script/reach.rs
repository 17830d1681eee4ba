//! What a script may reach: whether a command of its can run, where, and which locks it lacks.
//!
//! ```text
//!  holds        reaches                        and then
//!  nothing      its own core                   runs: nothing comes in between (unless somebody has the key)
//!  keys         what it declared               runs, here or on the key's core, under these locks
//!  everything   anything                       the same
//!  else                                        asks for everything:
//!    nothing seen or changed yet               in its turn, as any transaction; what it holds it gives back
//!    else                                      before all others, keeping what it holds; one at a time in the server
//! ```
//! A script that reaches more than it declared is remembered, and locks everything from the beginning the next time.
//!
//! **The bar.** A script without locks that has to wait locks its whole core, but for what others have: it has not touched
//! that, and asks for everything when it comes to.

use std::sync::atomic::Ordering;

use super::super::core::Core;
use super::super::input::Target;
use super::super::locks::{Asked, Mode, Order, Scope};
use super::super::transaction::{LocksHeld, claims_of};
use super::super::waits::Waiter;
use super::{Running, nobody};
use crate::command::{Args, Command, Flags, Run};
use crate::resp::{ErrorReply, errors};
use crate::routing::CoreId;
use crate::session::{LockId, SessionId, gate};

/// What the locks of a script cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Covers {
    /// It has none.
    #[default]
    Nothing,
    /// The keys it declared.
    Keys,
    /// Every key of every core.
    Everything,
}

/// What a script has of the keyspace.
#[derive(Debug, Default)]
pub(super) struct Hold {
    pub(super) covers: Covers,
    /// Its locks. Of those of one core, the later ones come first, and are given back first.
    pub(super) locks: LocksHeld,
    /// Keeps others out of its core while it waits without locks.
    pub(super) bar: Option<LockId>,
    /// Its locks are those of an `EXEC`, which keeps what it adds.
    pub(super) is_in_exec: bool,
    /// It is one of those on several cores, of which a number may be under way.
    pub(super) is_counted: bool,
    /// The session as which it asks other cores.
    pub(super) messenger: Option<SessionId>,
    /// The hashes of the keys it declared, in order.
    declared: Vec<u64>,
}

impl Hold {
    /// Whether it declared no keys: then it may come to reach any.
    pub(super) fn is_keyless(&self) -> bool {
        self.declared.is_empty()
    }

    /// All its locks.
    pub(super) fn all(&self, own: CoreId) -> LocksHeld {
        let bar = self.bar.map(|bar| (own, bar));
        self.locks.iter().copied().chain(bar).collect()
    }
}

/// How a command of a script can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// On this core, at once.
    Here,
    /// With the help of other cores.
    Elsewhere,
    /// With locks of everything.
    Locks,
}

impl Running {
    /// How it locks what it asks for.
    pub(super) fn mode(&self) -> Mode {
        // What an `EXEC` has is not asked for twice.
        if self.may_write || self.hold.is_in_exec {
            Mode::Exclusive
        } else {
            Mode::Shared
        }
    }

    /// Whether it could not begin anew, as it were: then it waits before all others.
    pub(super) fn is_irrevocable(&self) -> bool {
        self.touched || self.hold.is_in_exec || self.hold.bar.is_some()
    }
}

impl Core {
    /// What a script begins with: no locks, its declared keys.
    pub(super) fn hold_of(&self, args: Args<'_>, command: &'static Command) -> Hold {
        let mut declared: Vec<u64> = claims_of(&self.state, command, args)
            .map(|(_, claim)| claim.hash)
            .collect();
        declared.sort_unstable();
        Hold {
            declared,
            ..Hold::default()
        }
    }

    /// How the script at work can run a command.
    ///
    /// # Errors
    /// It cannot: another script waits for what this one has, so that it must not wait for what others have.
    pub(super) fn reach(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        target: Target,
    ) -> Result<Reach, ErrorReply> {
        let flags = command.spec.flags;
        let is_whole = flags.has(Flags::WHOLE_KEYSPACE);
        let here = self.state.id;
        let covers = self.running().hold.covers;
        let reach = match command.spec.run {
            Run::OnSession(_) => Reach::Here,
            Run::OnShard(_) | Run::FanOut { .. } if !is_whole => {
                let owner = match command.spec.run {
                    Run::OnShard(_) => Some(target.core),
                    _ => self.common_core(command.spec, args),
                };
                match owner {
                    _ if !self.is_covered(command, args, owner) => Reach::Locks,
                    Some(core) if core == here => Reach::Here,
                    _ => Reach::Elsewhere,
                }
            }
            _ if self.state.shared.cores() == 1 => Reach::Here,
            _ if !is_whole && !flags.has_any(Flags::WRITE.with(Flags::READONLY)) => {
                Reach::Elsewhere
            }
            _ if covers == Covers::Everything => Reach::Elsewhere,
            _ => Reach::Locks,
        };
        if reach == Reach::Locks && self.running().is_irrevocable() {
            let waits = &self.state.shared.script_waits_for_all;
            if waits.swap(true, Ordering::AcqRel) {
                return Err(errors::SCRIPT_KEYS_UNDECLARED);
            }
        }
        Ok(reach)
    }

    /// Whether what the script at work has suffices for a command on keys, all of which `owner` owns if one core does.
    fn is_covered(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        owner: Option<CoreId>,
    ) -> bool {
        let running = self.scripts.running.as_ref().expect("a script is at work");
        let hold = &running.hold;
        let has = |scope: &Scope| match scope {
            Scope::Keys(claims) => {
                let mut hashes = claims.iter().map(|claim| claim.hash);
                hashes.all(|hash| hold.declared.binary_search(&hash).is_ok())
            }
            Scope::Whole(_) => false,
        };
        match hold.covers {
            Covers::Everything => true,
            Covers::Keys => has(&self.scope_here(command, args)),
            Covers::Nothing if owner != Some(self.state.id) => false,
            Covers::Nothing => {
                // Without declared keys it is none that is likely to find all it reaches on one core.
                let may_reach = self.state.shared.cores() == 1 || !hold.is_keyless();
                let is_locked = self.state.gates & gate::LOCKS != 0;
                if may_reach && !is_locked {
                    return true;
                }
                let scope = self.scope_here(command, args);
                has(&scope) || may_reach && !self.locks.is_held(&scope, hold.bar)
            }
        }
    }

    /// Keeps others out of this core while a script waits that has no locks.
    pub(super) fn bar(&mut self, mode: Mode) -> LockId {
        let asked = self.locks.ask(Order::Bar, Scope::Whole(mode), Waiter::Bar);
        self.set_gate(gate::LOCKS, true);
        match asked {
            Asked::Granted(lock) => lock,
            Asked::Waits(lock, wounded) => {
                let wounded = wounded.into_iter().map(|(lock, by)| (by, lock));
                self.wounded.extend(wounded);
                lock
            }
        }
    }

    /// The session as which a script asks other cores.
    pub(super) fn messenger(&mut self, hold: &mut Hold) -> SessionId {
        let sessions = &mut self.state.sessions;
        *hold.messenger.get_or_insert_with(|| {
            sessions.insert_messenger(|id| {
                let mut messenger = nobody(id);
                messenger.set_gate(gate::SCRIPT, true);
                messenger
            })
        })
    }
}
