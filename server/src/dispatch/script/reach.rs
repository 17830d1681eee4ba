//! What a script may reach: whether one of its commands can run, and where.
//!
//! ```text
//!  it has locks of   and its command concerns       the command
//!  nothing           keys of this core, not locked  runs: nothing comes between the commands
//!  its keys          keys that it declared          runs, here or on the key's core, under these locks
//!  everything        anything                       the same
//!  any               anything else                  does not run: the script begins again, with locks of everything
//! ```
//! What the script wrote before it begins again is undone, on all cores (`dispatch::undos`). It is remembered, and locks
//! everything from the beginning the next time.
//!
//! **The bar.** A script without locks that has to wait locks its core as a whole until it is over. Excepted is what others
//! hold, or asked for before it began: it has not touched that, and if it comes to, it begins again.

use super::super::core::Core;
use super::super::input::Target;
use super::super::locks::{Kind, Mode, Scope};
use super::super::transaction::{LocksHeld, claims_of};
use super::super::waits::Waiter;
use super::nobody;
use crate::command::{Args, Command, FirstKey, Flags, Run};
use crate::routing::CoreId;
use crate::session::{LockId, SessionId, gate};
use larder_engine::Moment;

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

/// What keeps others from the keys of a script: its locks, or its bar.
#[derive(Debug, Default)]
pub(super) struct Hold {
    pub(super) covers: Covers,
    /// Its locks.
    pub(super) locks: LocksHeld,
    /// The moment at which it takes effect, if it has no locks.
    pub(super) moment: Moment,
    /// Keeps others out of its core while it waits without locks.
    pub(super) bar: Option<LockId>,
    /// Its locks are those of an `EXEC`, which keeps them.
    pub(super) is_in_exec: bool,
    /// It is one of those on several cores, of which a number may be under way.
    pub(super) is_counted: bool,
    /// The session as which it asks other cores.
    pub(super) messenger: Option<SessionId>,
    /// Of the commands to come, how many were counted before it began again.
    pub(super) repeats: u64,
    /// The hashes of the keys it declared, in order.
    declared: Vec<u64>,
    /// It keeps to these, as its text shows: found out when it asks for locks, or starts without.
    pub(super) keeps: bool,
}

impl Hold {
    /// Its lock on core `core`, if it has one.
    pub(super) fn lock_on(&self, core: CoreId) -> Option<LockId> {
        let held = || self.locks.iter().find(|(of, _)| *of == core);
        self.bar.or_else(|| held().map(|(_, lock)| *lock))
    }

    /// Whether it declared no keys: then it may come to reach any.
    pub(super) fn is_keyless(&self) -> bool {
        self.declared.is_empty()
    }

    /// Whether it may come to begin again.
    pub(super) fn may_begin_again(&self) -> bool {
        self.covers != Covers::Everything && !self.keeps
    }
}

/// How a command of a script can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// On this core, at once.
    Here,
    /// With the help of other cores.
    Elsewhere,
    /// Nowhere under the locks that the script has.
    Beyond,
}

impl Core {
    /// What a script begins with: no locks, its declared keys.
    pub(super) fn hold_of(&mut self, args: Args<'_>, command: &'static Command) -> Hold {
        let mut declared = std::mem::take(&mut self.scripts.declared);
        declared.clear();
        declared.extend(claims_of(&self.state, command, args).map(|(_, claim)| claim.hash));
        declared.sort_unstable();
        Hold {
            declared,
            moment: self.state.shard.journal().moment(),
            ..Hold::default()
        }
    }

    /// Owner and hash of the first key of a command of the script at work. Those it declared need not be looked for.
    pub(super) fn target_in_script(
        &self,
        command: Option<&'static Command>,
        args: Args<'_>,
    ) -> Target {
        let running = self.scripts.running.as_ref().expect("a script is at work");
        if let Some(command) = command
            && running.is_here
            && let Some(key) = args.get(command.first_key.into())
        {
            let hash = self.state.shard.hasher().hash(key);
            if command.first_key > 0 && running.hold.declared.contains(&hash) {
                return Target {
                    core: self.state.id,
                    first_key: FirstKey::new(command.first_key, hash),
                };
            }
        }
        self.target(command, args)
    }

    /// Keeps the memory of what a script declared for the next one.
    pub(super) fn keep_declared(&mut self, hold: &mut Hold) {
        const KEPT: usize = 1024;
        if hold.declared.capacity() <= KEPT {
            self.scripts.declared = std::mem::take(&mut hold.declared);
        }
    }

    /// How the script at work can run a command.
    pub(super) fn reach(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        target: Target,
    ) -> Reach {
        let flags = command.spec.flags;
        let is_whole = flags.has(Flags::WHOLE_KEYSPACE);
        let here = self.state.id;
        let covers = self.running().hold.covers;
        match command.spec.run {
            Run::OnSession(_) => Reach::Here,
            Run::OnShard(_) | Run::FanOut { .. } if !is_whole => {
                let owner = match command.spec.run {
                    Run::OnShard(_) => Some(target.core),
                    _ => self.common_core(command.spec, args),
                };
                match owner {
                    _ if !self.is_covered(command, args, owner) => Reach::Beyond,
                    Some(core) if core == here => Reach::Here,
                    _ => Reach::Elsewhere,
                }
            }
            _ if self.state.shared.cores() == 1 => Reach::Here,
            _ if !is_whole && !flags.has_any(Flags::WRITE.with(Flags::READONLY)) => {
                Reach::Elsewhere
            }
            _ if covers == Covers::Everything => Reach::Elsewhere,
            _ => Reach::Beyond,
        }
    }

    /// Whether the locks of the script at work cover a command on keys. `owner` owns all of these, if one core does.
    fn is_covered(&self, command: &'static Command, args: Args<'_>, owner: Option<CoreId>) -> bool {
        let running = self.scripts.running.as_ref().expect("a script is at work");
        let hold = &running.hold;
        match hold.covers {
            Covers::Everything => true,
            Covers::Keys => claims_of(&self.state, command, args)
                .all(|(_, claim)| hold.declared.binary_search(&claim.hash).is_ok()),
            Covers::Nothing if owner != Some(self.state.id) => false,
            Covers::Nothing => {
                // Nobody had the keys it declared when it began, or it waited for them and has them.
                let is_locked = self.state.gates & gate::LOCKS != 0;
                !is_locked || {
                    let others = claims_of(&self.state, command, args).map(|(_, claim)| claim);
                    let others =
                        others.filter(|claim| hold.declared.binary_search(&claim.hash).is_err());
                    let others = Scope::Keys(others.collect());
                    !self.locks.is_taken(&others, hold.bar)
                }
            }
        }
    }

    /// Keeps others out of this core while a script waits that has no locks.
    pub(super) fn bar(&mut self, mode: Mode) -> LockId {
        let bar = self.ask_here(Kind::Bar, Scope::Whole(mode), Waiter::Nobody);
        bar.expect("a bar waits for nobody")
    }

    /// The session as which a script asks other cores.
    pub(super) fn messenger(&mut self, hold: &mut Hold) -> SessionId {
        if let Some(messenger) = hold.messenger {
            return messenger;
        }
        let messenger = self.state.sessions.insert_messenger(|id| {
            let mut messenger = nobody(id);
            messenger.set_gate(gate::SCRIPT, true);
            messenger
        });
        self.begin_telling_of_script(messenger);
        hold.messenger = Some(messenger);
        messenger
    }
}
