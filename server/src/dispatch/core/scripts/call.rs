//! The commands of a script. Each is checked against what the script may do. On this core it runs as a command of a session
//! that stands in for the client; that session's output is what the script reads. On other cores it runs as a command of the
//! script's messenger.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::command::{Args, Command, Flags, Run};
use crate::dispatch::core::Core;
use crate::dispatch::core::input::Target;
use crate::dispatch::core::resolve::{Unresolved, resolve};
use crate::dispatch::core::run::is_timed_apart;
use crate::dispatch::notify::publication::Publication;
use crate::dispatch::run::on_shard::{CallOptions, access_of, run_on_shard};
use crate::dispatch::scripts::hold::Reach;
use crate::dispatch::scripts::parked::keep_words;
use crate::dispatch::scripts::running::Needs;
use crate::observe::CommandId;
use crate::resp::{ErrorReply, Reply, errors};
use crate::script::Ask;
use crate::session::{Executing, Holds, Session, SessionId, gate};

impl Core {
    /// Runs the command that the script asks for, and gives the machine its reply. `Some`: it cannot be answered now, and this is
    /// what the script needs first. The buffers are the machine's, and go back to it.
    pub(super) fn answer_script(&mut self, ask: Ask) -> Option<Needs> {
        let vm = self.state.scripts.vm();
        let protocol = vm.protocol();
        let words = std::mem::take(&mut *vm.words());
        let mut out = std::mem::take(&mut *vm.reply());
        out.clear();
        let mut client = self.running().take_client();
        client.protocol = protocol;
        let (bytes, ranges) = words.parts();
        let args = Args::new(bytes, ranges);
        let result = match ask {
            Ask::Command => match self.running().begin_command() {
                false => self.run_for_script(&mut client, args, &mut out),
                true => self.repeat_for_script(&mut client, args, &mut out),
            },
            Ask::Permission => match resolve(self.state.commands.find(args.at(0)), args) {
                Err(Unresolved::Command | Unresolved::Subcommand) => {
                    Err(errors::SCRIPT_INVALID_COMMAND)
                }
                _ => {
                    // There is one user, who may do anything.
                    Reply::new(&mut out, protocol).integer(1);
                    Ok(None)
                }
            },
        };
        let waits = result.unwrap_or_else(|error| {
            Reply::new(&mut out, protocol).error(&error);
            None
        });
        self.running().return_client(client);
        let vm = self.state.scripts.vm();
        *vm.words() = words;
        *vm.reply() = out;
        waits
    }

    /// As [`Self::run_for_script`], of a script that has begun again, and had run this command before: it counts once.
    #[cold]
    #[inline(never)]
    fn repeat_for_script(
        &mut self,
        client: &mut Session,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Needs>, ErrorReply> {
        let resolved = resolve(self.state.commands.find(args.at(0)), args);
        let command = resolved.map_or_else(Unresolved::refused, Some);
        let before = self.begin_uncounted(command.map(|command| command.id));
        let result = self.run_for_script(client, args, out);
        self.running().hold_mut().end_repeat();
        self.end_uncounted(before);
        result
    }

    /// Runs a command of the script under way. Some: it cannot yet, or its reply comes later.
    ///
    /// # Errors
    /// It may not run. What it answers itself, errors included, is in `out`.
    fn run_for_script(
        &mut self,
        client: &mut Session,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Needs>, ErrorReply> {
        let found = self.state.commands.find(args.at(0));
        let command = match resolve(found, args) {
            Ok(command) => command,
            Err(Unresolved::Command | Unresolved::Subcommand) => {
                self.count_error(&errors::SCRIPT_UNKNOWN_COMMAND);
                return Err(errors::SCRIPT_UNKNOWN_COMMAND);
            }
            Err(Unresolved::Arity(command)) => {
                return Err(self.reject_for_script(command.id, errors::SCRIPT_WRONG_ARITY));
            }
        };
        let target = self.target_in_script(found, args);
        if let Err(error) = self.admit_for_script(command) {
            return Err(self.reject_for_script(command.id, error));
        }
        let reach = self.reach(command, args, target);
        if reach == Reach::Beyond || self.running().holds_too_much(0) {
            return Ok(Some(Needs::Everything));
        }
        if let Err(error) = self.running().note_touched(command.spec.flags) {
            return Err(self.reject_for_script(command.id, error));
        }
        if self.state.gates & gate::WATCHED_BY_MONITOR != 0 {
            let before = self.state.monitor_lines.len();
            self.show_to_monitors(client, args, command.spec);
            self.keep_shown(before);
        }
        // What it publishes comes behind what it did, if somebody may hear both.
        let is_held = matches!(command.spec.run, Run::SomeCores { topic, .. }
            if self.is_told_among_events(topic));
        if reach == Reach::Elsewhere || is_held {
            return Ok(self.send_for_script(client, args, command, target, out));
        }
        if command.spec.flags.has(Flags::WRITE) && self.scripts.is_undoable() {
            let here = self.state.id;
            let lock = self.running().hold().lock_on(here);
            self.open_undo(lock);
            let undo_bytes = self.state.shard.undo_bytes();
            if self.running().holds_too_much(undo_bytes) {
                return Ok(Some(Needs::Everything));
            }
        }
        self.state.stats.commands += 1;
        let is_sampled = !is_timed_apart(command, args, self.state.gates);
        let is_timed = !is_sampled || self.state.timing.in_script(command.id);
        let began = is_timed.then(Instant::now);
        match command.spec.run {
            Run::OnShard(run) | Run::FanOut { together: run, .. } => {
                let options = CallOptions {
                    db: client.db,
                    protocol: client.protocol,
                    access: access_of(client),
                    first_key: target.first_key,
                };
                let start = out.len();
                run_on_shard(&mut self.state, out, args, command, run, options);
                if !self.running().hold().is_repeating() {
                    self.observe_reply(client, args, command.spec, out.len() - start);
                }
            }
            _ => {
                let owner = Some(self.state.id);
                let before = self.state.monitor_lines.len();
                self.start(client, args, command, target, owner, false);
                // Some are shown behind what they do.
                self.keep_shown(before);
                assert!(client.blocked.is_none(), "no command waits inside a script");
                take_output(client, out);
            }
        }
        let Some(began) = began else {
            return Ok(None);
        };
        let took = began.elapsed();
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if is_sampled {
            self.state.timing.timed_in_script(command.id, nanos);
        }
        self.state.stats.ran(command.id, 1, nanos);
        let running = self.running();
        running.ran_until(began + took);
        if !running.hold().is_repeating() {
            self.observe_slow(client, args, command.spec, nanos);
        }
        Ok(None)
    }

    /// Keeps the monitors' lines from `before` on until the script is over, if it may begin again.
    fn keep_shown(&mut self, before: usize) {
        let running = self.scripts.at_work_mut();
        running.keep_shown(&mut self.state.monitor_lines, before);
    }

    /// Runs a command that concerns other cores, under the script's locks. Some: the reply comes later.
    fn send_for_script(
        &mut self,
        client: &Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
        out: &mut Vec<u8>,
    ) -> Option<Needs> {
        let mut hold = std::mem::take(self.running().hold_mut());
        let id = self.messenger(&mut hold);
        let (locks, counted_before) = (hold.locks().clone(), hold.is_repeating());
        let running = self.running();
        *running.hold_mut() = hold;
        let (by, is_undoable) = (running.start().reads.by, running.start().is_undoable);
        if self.tells_of(id) {
            self.gather_for_script(id, by, is_undoable);
        }
        let messenger = self.state.sessions.take_out(id);
        let mut messenger = messenger.expect("a script's messenger stays as long as the script");
        messenger.db = client.db;
        messenger.protocol = client.protocol;
        messenger.user = client.user;
        messenger.set_gate(gate::NO_TOUCH, client.gates & gate::NO_TOUCH != 0);
        messenger.executing = (!locks.is_empty()).then(|| {
            Box::new(Executing {
                locks,
                time: self.state.clock.unix,
                holds: Holds::Keys,
                counted_before,
                clears: None,
                rest: None,
                pushes: Vec::new(),
            })
        });
        match command.spec.run {
            Run::SomeCores {
                which,
                count,
                merge,
                ..
            } => {
                // The message goes out when the script is over: it may begin again, and whom it will reach may be its own client,
                // whose session is at work.
                self.count_call(&mut messenger, command);
                self.state.timing.ran(command.id);
                let ask = (count, merge);
                self.ask_some_cores(&mut messenger, args, command, which, ask, false);
                let publication = Publication::of(command, keep_words(args));
                let publication = publication.expect("it is one");
                self.budget.keep(publication.bytes());
                let publications = self.running().publish(publication);
                if !publications.is_empty() {
                    self.publish_for_script(None, publications);
                }
            }
            _ => {
                if command.spec.flags.has(Flags::WRITE) {
                    self.running().note_written_elsewhere(args.span_bytes());
                }
                let gates = messenger.gates | self.state.gates;
                self.run(&mut messenger, args, command, target, gates);
            }
        }
        let is_answered = messenger.output.outstanding() == 0;
        self.state.sessions.put_back(messenger);
        if is_answered {
            self.take_reply(id, out);
            return None;
        }
        Some(Needs::Answer)
    }

    /// Takes the reply to a command that concerned other cores.
    pub(super) fn take_reply(&mut self, messenger: SessionId, out: &mut Vec<u8>) {
        let session = self.state.sessions.take_out(messenger);
        let mut session = session.expect("a script's messenger stays as long as the script");
        out.clear();
        take_output(&mut session, out);
        self.give_credits(&mut session);
        self.state.sessions.put_back(session);
        self.running().ran_until(Instant::now());
    }

    fn reject_for_script(&mut self, command: CommandId, error: ErrorReply) -> ErrorReply {
        self.count_error(&error);
        self.state.stats.by_command[command.index()].rejected += 1;
        error
    }

    /// Whether the script under way may run a command.
    fn admit_for_script(&mut self, command: &'static Command) -> Result<(), ErrorReply> {
        let flags = command.spec.flags;
        let may_call_all = &self.state.shared.scripts_may_call_all;
        if flags.has(Flags::NOSCRIPT) && !may_call_all.load(Ordering::Relaxed)
            || matches!(command.spec.run, Run::Script(_))
        {
            return Err(errors::NOT_FROM_SCRIPT);
        }
        self.running().admit(flags)
    }
}

/// Takes all that is written to a session.
fn take_output(session: &mut Session, out: &mut Vec<u8>) {
    while !session.output.unsent().is_empty() {
        let len = session.output.unsent().len();
        out.extend_from_slice(session.output.unsent());
        session.output.advance(len);
    }
}
