//! The commands of a script: admitted by what the script may do, run as those of a stand-in for a client, whose output is
//! the script's input.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::super::core::Core;
use super::super::execute::{Place, access_of, run_on_shard};
use super::super::input::Target;
use crate::command::{Args, Command, Flags, Run};
use crate::observe::CommandId;
use crate::resp::{ErrorReply, Reply, errors};
use crate::script::Ask;
use crate::session::{Session, gate};

impl Core {
    /// Answers what the script asks for. The buffers are the machine's, and go back to it.
    pub(super) fn answer_script(&mut self, ask: Ask) {
        let vm = self.state.scripts.vm();
        let protocol = vm.protocol();
        let words = std::mem::take(&mut *vm.words());
        let mut out = std::mem::take(&mut *vm.reply());
        out.clear();
        let client = self.scripts.client.take();
        let mut client = client.expect("no other command of a script is at work");
        client.protocol = protocol;
        let (bytes, ranges) = words.parts();
        let args = Args::new(bytes, ranges);
        let result = match ask {
            Ask::Command => self.run_for_script(&mut client, args, &mut out),
            Ask::Permission => match resolve(self.state.commands.find(args.at(0)), args) {
                Err(Unresolved::Unknown) => Err(errors::SCRIPT_INVALID_COMMAND),
                _ => {
                    // There is one user, who may do anything.
                    Reply::new(&mut out, protocol).integer(1);
                    Ok(())
                }
            },
        };
        if let Err(error) = result {
            Reply::new(&mut out, protocol).error(&error);
        }
        self.scripts.client = Some(client);
        let vm = self.state.scripts.vm();
        *vm.words() = words;
        *vm.reply() = out;
    }

    /// Runs a command of the script under way.
    ///
    /// # Errors
    /// It may not run. What it answers itself, errors included, is in `out`.
    fn run_for_script(
        &mut self,
        client: &mut Session,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorReply> {
        let command = match resolve(self.state.commands.find(args.at(0)), args) {
            Ok(command) => command,
            Err(Unresolved::Unknown) => {
                self.count_error(&errors::SCRIPT_UNKNOWN_COMMAND);
                return Err(errors::SCRIPT_UNKNOWN_COMMAND);
            }
            Err(Unresolved::Arity(command)) => {
                return Err(self.reject_for_script(command, errors::SCRIPT_WRONG_ARITY));
            }
        };
        let target = self.target(self.state.commands.find(args.at(0)), args);
        if let Err(error) = self.admit_for_script(command, args, target) {
            return Err(self.reject_for_script(command.id, error));
        }
        self.state.stats.commands += 1;
        if self.state.gates & gate::WATCHED_BY_MONITOR != 0 {
            self.show_to_monitors(client, args, command.spec);
        }
        let began = Instant::now();
        match command.spec.run {
            Run::OnShard(run) | Run::FanOut { together: run, .. } => {
                let place = Place {
                    db: client.db,
                    protocol: client.protocol,
                    access: access_of(client),
                    first_key: target.first_key,
                };
                run_on_shard(&mut self.state, out, args, command, run, place);
            }
            _ => {
                let owner = Some(self.state.id);
                self.start(client, args, command, target, owner, false);
                let len = client.output.unsent().len();
                out.extend_from_slice(client.output.unsent());
                client.output.advance(len);
            }
        }
        let took = began.elapsed();
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.state.stats.ran(command.id, 1, nanos);
        let running = self.scripts.running.as_mut().expect("a script asks");
        running.last = began + took;
        self.observe_slow(client, args, command.spec, nanos / 1000);
        Ok(())
    }

    fn reject_for_script(&mut self, command: CommandId, error: ErrorReply) -> ErrorReply {
        self.count_error(&error);
        self.state.stats.by_command[command.index()].rejected += 1;
        error
    }

    /// Whether the script under way may run a command, and can here.
    fn admit_for_script(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        target: Target,
    ) -> Result<(), ErrorReply> {
        let flags = command.spec.flags;
        let may_call_all = &self.state.shared.scripts_may_call_all;
        if flags.has(Flags::NOSCRIPT) && !may_call_all.load(Ordering::Relaxed)
            || matches!(command.spec.run, Run::Script(_))
        {
            return Err(errors::NOT_FROM_SCRIPT);
        }
        let running = self.scripts.running.as_mut();
        let running = running.expect("a script asks");
        if !running.may_write && flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE)) {
            return Err(errors::SCRIPT_IS_READ_ONLY);
        }
        // Once it has written, a script is not stopped halfway.
        if running.is_out_of_memory && !running.wrote && flags.has(Flags::DENYOOM) {
            return Err(errors::OUT_OF_MEMORY);
        }
        if flags.has(Flags::WRITE) && !running.wrote {
            running.wrote = true;
            if running.suspended.is_some() && !self.state.shared.busy.may_write(self.state.id) {
                // It was killed before it could write, and is told so instead of this.
                return Err(errors::UNKILLABLE);
            }
        }
        let is_here = match command.spec.run {
            Run::OnShard(_) => target.core == self.state.id,
            Run::FanOut { .. } => self.common_core(command.spec, args) == Some(self.state.id),
            Run::OnSession(_) => true,
            _ => self.state.shared.cores() == 1,
        };
        if is_here {
            Ok(())
        } else {
            Err(errors::SCRIPT_KEY_ELSEWHERE)
        }
    }
}

/// Why a script's command is none.
enum Unresolved {
    Unknown,
    Arity(CommandId),
}

/// The command a script calls, subcommand and arity settled.
fn resolve(
    command: Option<&'static Command>,
    args: Args<'_>,
) -> Result<&'static Command, Unresolved> {
    let command = command.ok_or(Unresolved::Unknown)?;
    let command = match args.get(1) {
        Some(name) if !command.subcommands.is_empty() => {
            command.subcommand(name).ok_or(Unresolved::Unknown)?
        }
        _ => command,
    };
    if command.spec.accepts(args.len()) {
        Ok(command)
    } else {
        Err(Unresolved::Arity(command.id))
    }
}
