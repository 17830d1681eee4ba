//! Unit tests of commands: a shard, a configuration, and command lines that run on them.

#![cfg(test)]

use larder_engine::{
    Access, DbIndex, Event, Kept, KeyHasher, Noted, Shard, ShardOptions, UnixMillis,
};

use crate::command::{
    Args, Attempted, Command, CommandTable, FirstKey, Random, Run, ShardCall, Step, Steps, Turn,
    eviction_of, thresholds_of,
};
use crate::config::Config;
use crate::observe::Stats;
use crate::resp::parser::words;
use crate::resp::{ArgRange, ErrorReply, Protocol, Reply, errors};

/// One shard and what commands on it need.
pub(crate) struct Bench {
    pub(crate) shard: Shard,
    pub(crate) config: Config,
    pub(crate) stats: Stats,
    pub(crate) db: DbIndex,
    pub(crate) protocol: Protocol,
    random: Random,
    events: Vec<String>,
}

/// The command, or the subcommand, that arguments name.
fn command_of(args: &Args<'_>) -> &'static Command {
    let command = CommandTable::global().find(args.at(0)).unwrap();
    match (command.spec.run, args.get(1)) {
        (Run::Container, Some(name)) => command.subcommand(name).unwrap(),
        _ => command,
    }
}

impl Bench {
    /// An empty shard at a fixed time.
    pub(crate) fn new() -> Self {
        let config = Config::default();
        let mut shard = Shard::new(&ShardOptions {
            databases: config.databases,
            memory_ceiling_bytes: 1 << 30,
            hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
        })
        .unwrap();
        shard.set_now(UnixMillis(1_700_000_000_000));
        shard.journal().keep_notes(Kept {
            changes: true,
            events: true,
        });
        Self {
            shard,
            config,
            stats: Stats::new(CommandTable::global().count()),
            db: DbIndex(0),
            protocol: Protocol::Resp2,
            random: Random::new(1),
            events: Vec::new(),
        }
    }

    /// The shard's time.
    pub(crate) fn now(&self) -> i64 {
        self.shard.now().0
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, millis: i64) {
        self.shard.set_now(UnixMillis(self.now() + millis));
    }

    /// Events told so far, as `event key`, but for keys that came to be or were missed.
    pub(crate) fn events(&mut self) -> Vec<String> {
        let notes = self.shard.journal().take_notes();
        for note in notes.iter() {
            if let Noted::Event(event) = note.what
                && !matches!(event, Event::New | Event::Missed)
            {
                let key = String::from_utf8_lossy(note.key);
                self.events.push(format!("{} {key}", event.name()));
            }
        }
        self.events.clone()
    }

    /// Number of journal records so far.
    pub(crate) fn changes(&mut self) -> u64 {
        self.shard.journal().changes()
    }

    /// `OBJECT ENCODING` of a key that exists.
    pub(crate) fn encoding(&mut self, key: &str) -> &'static str {
        let key = self.shard.hasher().key(key.as_bytes());
        let entry = self.shard.get(self.db, key, Access::Peek).unwrap();
        entry.encoding().name()
    }

    /// The deadline of a key that exists.
    pub(crate) fn deadline(&mut self, key: &str) -> Option<i64> {
        let key = self.shard.hasher().key(key.as_bytes());
        let entry = self.shard.get(self.db, key, Access::Peek).unwrap();
        entry.expires_at().map(|at| at.0)
    }

    /// Runs a line, words quoted as for redis-cli; the reply in the form of [`printable`].
    pub(crate) fn run(&mut self, line: &str) -> String {
        let words = words::split(line.as_bytes()).unwrap();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        printable(&self.run_words(&words))
    }

    /// Runs a command; the reply as RESP.
    pub(crate) fn run_words(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        with_args(words, |args| {
            if let Err(error) = self.dispatch(args, &mut out) {
                out.clear();
                Reply::new(&mut out, self.protocol).error(&error);
            }
        });
        out
    }

    /// Runs a command in its steps, each of which `look` is shown what it has left; the reply in the form of [`printable`].
    pub(crate) fn run_in_steps(
        &mut self,
        line: &str,
        look: &mut dyn FnMut(&mut Shard, &dyn Steps),
    ) -> String {
        let words = words::split(line.as_bytes()).unwrap();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut out = Vec::new();
        with_args(&words, |args| {
            if let Err(error) = self.do_steps(args, &mut out, look) {
                out.clear();
                Reply::new(&mut out, self.protocol).error(&error);
            }
        });
        printable(&out)
    }

    fn do_steps(
        &mut self,
        args: Args<'_>,
        out: &mut Vec<u8>,
        look: &mut dyn FnMut(&mut Shard, &dyn Steps),
    ) -> Result<(), ErrorReply> {
        let begin = command_of(&args).steps.expect("it has steps");
        let Some(mut steps) = begin(&mut self.call(args, out))? else {
            return Ok(());
        };
        loop {
            let step = steps.next(&mut self.call(args, out))?;
            look(&mut self.shard, &*steps);
            match step {
                Step::More => {}
                Step::Done => return Ok(()),
                Step::Reply(pieces) => {
                    *out = pieces.concat();
                    return Ok(());
                }
            }
        }
    }

    /// As [`Self::run_in_steps`], with time that passes behind the first step.
    pub(crate) fn run_ending(&mut self, line: &str, millis: i64) -> String {
        let then = UnixMillis(self.now() + millis);
        self.run_in_steps(line, &mut |shard, _| shard.set_now(then))
    }

    fn call<'a>(&'a mut self, args: Args<'a>, out: &'a mut Vec<u8>) -> ShardCall<'a> {
        ShardCall {
            shard: &mut self.shard,
            db: self.db,
            args,
            reply: Reply::new(out, self.protocol),
            config: &self.config,
            stats: &mut self.stats,
            random: &mut self.random,
            access: Access::Touch,
            first_key: FirstKey::UNKNOWN,
        }
    }

    fn dispatch(&mut self, args: Args<'_>, out: &mut Vec<u8>) -> Result<(), ErrorReply> {
        let command = command_of(&args);
        if !command.spec.accepts(args.len()) {
            return Err(errors::wrong_arity(command.spec.name));
        }
        let mut call = self.call(args, out);
        match command.spec.run {
            Run::OnShard(run) | Run::FanOut { together: run, .. } => run(&mut call),
            Run::Blocking(blocking) => {
                if let Attempted::Wait(_) = (blocking.attempt)(&mut call, Turn::First)? {
                    (blocking.on_nothing)(&mut call.reply);
                }
                Ok(())
            }
            _ => panic!("{} does not run on a shard", command.spec.name),
        }
    }

    /// Runs lines and holds each reply against the expected one.
    pub(crate) fn check(&mut self, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            assert_eq!(self.run(line), *expected, "{line}");
        }
    }

    /// Changes the configuration as `CONFIG SET` does.
    pub(crate) fn configure(&mut self, directive: &str, value: &str) {
        let change = (directive.as_bytes(), value.as_bytes());
        self.config = self.config.with(&[change]).unwrap();
        self.shard
            .set_eviction(eviction_of(&self.config, 1).as_ref());
        self.shard.set_thresholds(thresholds_of(&self.config));
    }
}

/// Runs `run` with a command's words as its arguments.
fn with_args(words: &[&[u8]], run: impl FnOnce(Args<'_>)) {
    let mut input = Vec::new();
    let mut ranges = Vec::new();
    for word in words {
        let (start, len) = (input.len() as u32, word.len() as u32);
        ranges.push(ArgRange { start, len });
        input.extend_from_slice(word);
    }
    run(Args::new(&input, &ranges));
}

/// [`Bench::check`] on a bench of its own.
pub(crate) fn check(lines: &[(&str, &str)]) {
    Bench::new().check(lines);
}

/// A reply in a form that reads well in a test: statuses, errors and integers as they are, strings in double quotes,
/// `nil`, arrays (and in RESP3 maps and sets, by their elements) in brackets.
pub(crate) fn printable(resp: &[u8]) -> String {
    let mut rest = resp;
    let text = one(&mut rest);
    assert!(
        rest.is_empty(),
        "one reply, then {:?}",
        rest.escape_ascii().to_string()
    );
    text
}

fn one(rest: &mut &[u8]) -> String {
    let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
    let line = std::str::from_utf8(&rest[..end]).unwrap();
    *rest = &rest[end + 2..];
    let (sigil, value) = line.split_at(1);
    match sigil {
        "+" | "-" | ":" | "," | "(" | "#" => value.to_owned(),
        "_" => "nil".to_owned(),
        "$" | "*" if value == "-1" => "nil".to_owned(),
        "$" | "=" => {
            let len: usize = value.parse().unwrap();
            let text = format!("\"{}\"", rest[..len].escape_ascii());
            assert_eq!(&rest[len..len + 2], b"\r\n");
            *rest = &rest[len + 2..];
            text
        }
        "*" | "~" | ">" | "%" => {
            let count: usize = value.parse().unwrap();
            let count = if sigil == "%" { count * 2 } else { count };
            let elements: Vec<String> = (0..count).map(|_| one(rest)).collect();
            format!("[{}]", elements.join(", "))
        }
        _ => panic!("no RESP type begins with {sigil:?}"),
    }
}
