//! What a script's text shows of its keys, against the keys that its commands name when it runs.
//!
//! Of a text of which the server believes that it keeps to its keys, each run is watched: a command with a key that was not
//! declared, or one that concerns keys without naming them, is a fault. That would begin again without an undo log.

mod texts;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use larder_server::command::{Args, CommandTable, Flags, name_declared_keys_only};
use larder_server::config::LogLevel;
use larder_server::resp::{Protocol, Reply};
use larder_server::script::{
    Ask, Code, GoOn, LoadOptions, RunOptions, Step, Vm, calls_of_library, calls_of_script,
};

use crate::Outcome;
pub use texts::{Text, text_of};

/// What a script may hold.
const MEMORY_MAX_BYTES: usize = 16 << 20;
/// Times a script gives the machine back before it is killed.
const TICKS_MAX: usize = 20;
/// Commands of one run.
const COMMANDS_MAX: usize = 200;

/// The keys and arguments of the runs of a text.
const RUNS: [(&[&str], &[&str]); 3] = [
    (&["k1", "k2", "k3"], &["a1", "2"]),
    (&["k4"], &["k1", "1"]),
    (&[], &["k4"]),
];

/// What came of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It shows that it keeps to its keys.
    pub is_shown: bool,
    /// Keys that its commands named, all runs together.
    pub keys: usize,
}

/// A machine that runs texts and watches their commands.
pub struct Watcher {
    vm: Vm,
    next_id: u64,
}

impl Default for Watcher {
    fn default() -> Self {
        let vm = Vm::with_memory(1, MEMORY_MAX_BYTES).expect("there is memory for a stack");
        Self { vm, next_id: 0 }
    }
}

impl Watcher {
    /// Runs the text that `bytes` stand for, if it shows its keys.
    ///
    /// # Errors
    /// The text, and the command that named another key.
    pub fn check(&mut self, bytes: &[u8]) -> Outcome<Seen> {
        let text = text_of(bytes);
        self.check_text(&text)
            .map_err(|why| format!("{why}\n{}", text.code))
    }

    /// The same of a text that is there.
    ///
    /// # Errors
    /// The command that named another key.
    pub fn check_text(&mut self, text: &Text) -> Outcome<Seen> {
        let calls = match text.is_library {
            true => calls_of_library(text.code.as_bytes()),
            false => calls_of_script(text.code.as_bytes()),
        };
        let commands = CommandTable::global();
        let mut seen = Seen {
            is_shown: calls.is_some_and(|calls| name_declared_keys_only(commands, &calls)),
            keys: 0,
        };
        if !seen.is_shown {
            return Ok(seen);
        }
        self.next_id += 1;
        let (id, code) = (self.next_id, text.code.as_bytes().into());
        if !text.is_library {
            if self.vm.compile(id, code).is_err() {
                return Ok(seen);
            }
            let run = RUNS.iter().try_for_each(|(keys, args)| {
                seen.keys += self.run(Code::Script(id), keys, args)?;
                Ok(())
            });
            self.vm.forget(id);
            return run.map(|()| seen);
        }
        let options = LoadOptions {
            limit: Duration::from_secs(60),
            log_level: LogLevel::Warning,
        };
        let Ok(functions) = self.vm.load_library(id, code, &options) else {
            return Ok(seen);
        };
        let run = RUNS.iter().try_for_each(|(keys, args)| {
            for index in 0..functions.len() {
                let code = Code::Function { library: id, index };
                seen.keys += self.run(code, keys, args)?;
            }
            Ok(())
        });
        self.vm.forget_library(id);
        run.map(|()| seen)
    }

    /// Runs it once. How many keys its commands named.
    fn run(&mut self, code: Code, keys: &[&str], args: &[&str]) -> Outcome<usize> {
        let options = RunOptions {
            protocol: Protocol::Resp2,
            patience: Some(Duration::ZERO),
            log_level: LogLevel::Warning,
            began: Instant::now(),
        };
        {
            let mut words = self.vm.words();
            words.clear();
            for word in keys.iter().chain(args) {
                assert!(words.push(word.as_bytes()), "a few words fit");
            }
        }
        let declared: HashSet<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        let (mut ticks, mut commands, mut named) = (0, 0, 0);
        let mut fault = None;
        let mut step = self.vm.run(code, keys.len(), &"sha".into(), &options);
        loop {
            let may_go_on = fault.is_none() && ticks < TICKS_MAX && commands < COMMANDS_MAX;
            let go_on = if may_go_on { GoOn::On } else { GoOn::Die };
            match step {
                Step::Done => return fault.map_or(Ok(named), Err),
                Step::Tick => ticks += 1,
                Step::Call(ask) => {
                    commands += 1;
                    if ask == Ask::Command {
                        match self.keys_named(&declared) {
                            Ok(count) => named += count,
                            Err(why) => fault = Some(why),
                        }
                    }
                    let mut out = self.vm.reply();
                    out.clear();
                    let mut reply = Reply::new(&mut out, self.vm.protocol());
                    match ask {
                        Ask::Command => reply.bulk(b"reply"),
                        Ask::Permission => reply.integer(1),
                    }
                }
            }
            step = self.vm.resume(go_on);
        }
    }

    /// How many keys the command names that the machine asks for. Err: one of them was not declared.
    fn keys_named(&self, declared: &HashSet<&[u8]>) -> Outcome<usize> {
        let words = self.vm.words();
        let (bytes, ranges) = words.parts();
        let args = Args::new(bytes, ranges);
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        let Some(command) = CommandTable::global().find(args.at(0)) else {
            return Ok(0);
        };
        let subcommand = args.get(1).and_then(|name| command.subcommand(name));
        let spec = match command.subcommands.is_empty() {
            true => command.spec,
            false => match subcommand {
                Some(subcommand) => subcommand.spec,
                None => return Ok(0),
            },
        };
        let is_of_data = spec.flags.has_any(Flags::WRITE.with(Flags::READONLY));
        if !spec.accepts(args.len()) {
            return Ok(0);
        }
        if is_of_data && !spec.keys.are_any() {
            return Err(format!("a command that names no keys: {}", shown()));
        }
        let mut named = 0;
        for at in spec.keys.positions(&args) {
            named += 1;
            if !declared.contains(args.at(at)) {
                return Err(format!("a key that was not declared: {}", shown()));
            }
        }
        Ok(named)
    }
}
