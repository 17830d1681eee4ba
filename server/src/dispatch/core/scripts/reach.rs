//! What a script may reach: whether one of its commands can run, and where.
//!
//! ```text
//!  it has locks of   and its command concerns       the command
//!  nothing           keys of this core, not locked  runs: nothing comes between the commands
//!  nothing, but it   keys that it declared          runs
//!  waited for them
//!  its keys          keys that it declared          runs, here or on the key's core, under these locks
//!  everything        anything                       the same
//!  any               anything else                  does not run: the script begins again, with locks of everything
//! ```
//! A script that waited for locks of its keys has a place among those who wait for them, before all that came since; of other keys,
//! what came since may have run. So it reaches no others from there.
//!
//! What the script wrote before it begins again is undone, on all cores (`dispatch::transactions::undos`). It is remembered, and locks
//! everything from the beginning the next time.
//!
//! **The bar.** A script without locks that has to wait locks its core as a whole until it is over. Excepted is what others
//! hold, or asked for before it began: it has not touched that, and if it comes to, it begins again.

use crate::command::{Args, Command, FirstKey, Flags, Run};
use crate::dispatch::core::Core;
use crate::dispatch::core::input::Target;
use crate::dispatch::locks::{Claim, Kind, Mode, Scope};
use crate::dispatch::scripts::hold::{Covers, Hold, Reach};
use crate::dispatch::scripts::running::nobody;
use crate::dispatch::transactions::claimant::Claimant;
use crate::dispatch::transactions::scopes::claims_of;
use crate::routing::CoreId;
use crate::session::{LockId, SessionId, gate};

impl Core {
    /// What a script begins with: no locks, its declared keys.
    pub(super) fn hold_of(&mut self, args: Args<'_>, command: &'static Command) -> Hold {
        let mut declared = self.scripts.take_declared();
        declared.extend(claims_of(&self.state, command, args).map(|(_, claim)| claim.hash));
        let moment = self.state.shard.journal().moment();
        let has_waited = self.scripts.has_waited() && self.state.shared.cores() > 1;
        Hold::without_locks(declared, moment, has_waited)
    }

    /// Owner and hash of the first key of a command of the script at work. Those it declared need not be looked for.
    pub(super) fn target_in_script(
        &self,
        command: Option<&'static Command>,
        args: Args<'_>,
    ) -> Target {
        let running = self.scripts.at_work();
        if let Some(command) = command
            && running.is_here()
            && let Some(key) = args.get(command.first_key.into())
        {
            let hash = self.state.shard.hasher().hash(key);
            if command.first_key > 0 && running.hold().has_declared(hash) {
                return Target {
                    core: self.state.id,
                    first_key: FirstKey::new(command.first_key, hash),
                };
            }
        }
        self.target(command, args)
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
        let covers = self.scripts.at_work().hold().covers();
        match command.spec.run {
            Run::OnSession(_) => Reach::Here,
            Run::OnShard(_) | Run::FanOut { .. } | Run::Blocking(_) if !is_whole => {
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
        let hold = self.scripts.at_work().hold();
        let is_declared = |claim: &Claim| hold.has_declared(claim.hash);
        let are_declared = || {
            let mut claims = claims_of(&self.state, command, args);
            claims.all(|(_, claim)| is_declared(&claim))
        };
        match hold.covers() {
            Covers::Everything => true,
            _ if owner.is_none() && command.spec.keys.unnamed(&args).is_some() => false,
            Covers::Keys => are_declared(),
            Covers::Nothing if owner != Some(self.state.id) => false,
            // It began when nobody had anything that it may come to.
            Covers::Nothing if self.state.shared.cores() == 1 => true,
            // While it waited for its keys, others came to theirs that are due behind it.
            Covers::Nothing if hold.has_waited() => are_declared(),
            Covers::Nothing => {
                // Nobody had the keys it declared when it began.
                let is_locked = self.state.gates & gate::LOCKS != 0;
                !is_locked || {
                    let others = claims_of(&self.state, command, args).map(|(_, claim)| claim);
                    let others = others.filter(|claim| !is_declared(claim));
                    let others = Scope::Keys(others.collect());
                    !self.locks.is_taken(&others, hold.bar())
                }
            }
        }
    }

    /// Keeps others out of this core while a script waits that has no locks.
    pub(super) fn bar(&mut self, mode: Mode) -> LockId {
        let bar = self.ask_here(Kind::Bar, Scope::Whole(mode), Claimant::Nobody);
        bar.expect("a bar waits for nobody")
    }

    /// The session as which a script asks other cores.
    pub(super) fn messenger(&mut self, hold: &mut Hold) -> SessionId {
        if let Some(messenger) = hold.messenger() {
            return messenger;
        }
        let messenger = self.state.sessions.insert_messenger(|id| {
            let mut messenger = nobody(id);
            messenger.set_gate(gate::SCRIPT, true);
            messenger
        });
        self.begin_telling_of_script(messenger);
        hold.ask_as(messenger);
        messenger
    }
}
