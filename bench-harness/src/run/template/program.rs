//! From a parsed command to the bytes on the wire.
//!
//! A command is compiled once into a [`Program`]: stretches of bytes that never change, framing included, and the pieces between
//! them. Words whose length is known beforehand have their length header among the unchanging bytes; only the others are put
//! together in a scratch buffer first. Rendering a GET is two copies and a key, about 10 ns; nothing allocates once the
//! buffers have grown.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Command, Piece, Reads};
use crate::run::keyspace::{KeySpace, write_digits, write_number, write_padded};
use crate::run::protocol::Protocol;
use crate::run::rng::Rng;
use crate::run::size::SizeDistribution;
use crate::run::value::Values;

/// Digits of `__rand_int__`, as in redis-benchmark.
const KEY_NUMBER_DIGITS: usize = 12;

/// Digits of `__stamp__`.
pub(crate) const STAMP_DIGITS: usize = 20;

/// What commands are filled with.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The names of keys.
    pub keys: Arc<KeySpace>,
    /// The number of the last key there can be.
    pub last_key: u64,
    /// The contents of values.
    pub values: Arc<Values>,
    /// Their sizes.
    pub value_bytes: SizeDistribution,
    /// `__ttl__`: from, to.
    pub ttl_seconds: (u64, u64),
    /// How many fields `__field__` chooses from.
    pub fields: u64,
}

/// A command made ready for rendering.
#[derive(Clone, Debug)]
pub struct Program {
    /// The whole command, where its length never changes, and what is written over it.
    fixed: Option<(Vec<u8>, Vec<Patch>)>,
    steps: Vec<Step>,
    /// The bytes that never change, all steps' together.
    bytes: Vec<u8>,
    uses_value: bool,
    /// The index of the key that the command is routed by and whose value it carries.
    first_key: Option<usize>,
    /// The indices of all its keys, when they are more than one.
    pub(crate) more_keys: Vec<usize>,
    /// What its reply tells.
    pub(crate) reads: Reads,
    /// Whether its reply completes an operation: with `--groups-as-one` only that of a template's last command does.
    pub(crate) ends_operation: bool,
}

/// A place in a command that is written anew every time.
#[derive(Clone, Debug)]
enum Patch {
    /// The number of a key, with so many digits from here on.
    Digits {
        at: usize,
        digits: usize,
        key: usize,
    },
    /// The value, from here on.
    Value { at: usize, bytes: usize },
    /// When the command was due.
    Stamp { at: usize },
}

#[derive(Clone, Debug)]
enum Step {
    /// Unchanging bytes, from and to.
    Bytes(usize, usize),
    /// A piece without framing.
    Piece(Piece),
    /// A RESP word of unknown length.
    Word(Box<[Piece]>),
    /// A RESP word that is a value and nothing else.
    ValueWord,
    /// The header of a RESP command with a run of keys: how many words it has without, and how many keys the run may have.
    RunHeader { words: u64, min: u64, max: u64 },
    /// The keys of the run, from this one on.
    RunWords(usize),
}

impl Program {
    /// Compiles a command.
    ///
    /// # Errors
    /// One line, when the protocol cannot carry it.
    pub fn compile(
        command: &Command,
        protocol: Protocol,
        sources: &Sources,
    ) -> Result<Self, String> {
        let keys: Vec<usize> = command.keys().collect();
        let mut program = Self {
            fixed: None,
            steps: Vec::new(),
            bytes: Vec::new(),
            uses_value: command
                .pieces()
                .any(|piece| matches!(piece, Piece::Value | Piece::ValueBytes)),
            first_key: keys.first().copied(),
            more_keys: if keys.len() > 1 { keys } else { Vec::new() },
            reads: command.reads(protocol),
            ends_operation: true,
        };
        if protocol.is_resp() {
            program.compile_resp(command, sources);
        } else {
            program.compile_memcached(command)?;
        }
        program.fixed = program.fix(sources);
        Ok(program)
    }

    /// The index of the key that the command is routed by.
    #[must_use]
    pub fn first_key(&self) -> Option<usize> {
        self.first_key
    }

    /// The program as one stretch of bytes and places to write over, when all its pieces have fixed lengths.
    fn fix(&self, sources: &Sources) -> Option<(Vec<u8>, Vec<Patch>)> {
        let mut whole = Vec::new();
        let mut patches = Vec::new();
        for step in &self.steps {
            let at = whole.len();
            match step {
                Step::Bytes(from, to) => whole.extend_from_slice(&self.bytes[*from..*to]),
                Step::Piece(piece) => {
                    let bytes = sources.fixed_bytes(piece)?;
                    match piece {
                        Piece::Key(key) => {
                            // All but the digits of a key of fixed length is the same for all.
                            sources.keys.write(sources.last_key, &mut whole);
                            let digits = sources.keys.fixed_digits()?;
                            let at = at + bytes - digits;
                            let key = *key;
                            patches.push(Patch::Digits { at, digits, key });
                        }
                        Piece::Value => patches.push(Patch::Value { at, bytes }),
                        Piece::Stamp => patches.push(Patch::Stamp { at }),
                        _ => return None,
                    }
                    whole.resize(at + bytes, 0);
                }
                _ => return None,
            }
        }
        Some((whole, patches))
    }

    /// Whether it names consecutive keys.
    #[must_use]
    pub fn is_run(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::RunWords(_)))
    }

    fn compile_resp(&mut self, command: &Command, sources: &Sources) {
        let run = command.pieces().find_map(|piece| match piece {
            Piece::KeyRun { min, max, .. } => Some((*min, *max)),
            _ => None,
        });
        let words = command.words.len() as u64;
        match run {
            None => self.literal(format!("*{words}\r\n").as_bytes()),
            Some((min, max)) => self.steps.push(Step::RunHeader {
                words: words - 1,
                min,
                max,
            }),
        }
        for word in &command.words {
            let bytes: Option<usize> = word.iter().map(|piece| sources.fixed_bytes(piece)).sum();
            match (word.as_slice(), bytes) {
                ([Piece::KeyRun { draw, .. }], _) => self.steps.push(Step::RunWords(*draw)),
                (pieces, Some(bytes)) => {
                    self.literal(format!("${bytes}\r\n").as_bytes());
                    self.pieces(pieces);
                    self.literal(b"\r\n");
                }
                ([Piece::Value], None) => self.steps.push(Step::ValueWord),
                (pieces, None) => self.steps.push(Step::Word(pieces.into())),
            }
        }
    }

    fn compile_memcached(&mut self, command: &Command) -> Result<(), String> {
        let last = command.words.len() - 1;
        for (index, word) in command.words.iter().enumerate() {
            if word
                .iter()
                .any(|piece| matches!(piece, Piece::KeyRun { .. }))
            {
                return Err("memcached commands take no key run".to_owned());
            }
            if word.contains(&Piece::Value) && (index < last || word.len() > 1) {
                return Err("in memcached's protocols __value__ is the last word, alone".to_owned());
            }
            match (index, word.as_slice()) {
                (0, _) => {}
                (_, [Piece::Value]) => self.literal(b"\r\n"),
                _ => self.literal(b" "),
            }
            self.pieces(word);
        }
        self.literal(b"\r\n");
        Ok(())
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Literal(bytes) => self.literal(bytes),
                other => self.steps.push(Step::Piece(other.clone())),
            }
        }
    }

    /// Adds unchanging bytes, to the step before where that is of them too.
    fn literal(&mut self, bytes: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let to = self.bytes.len();
        match self.steps.last_mut() {
            Some(Step::Bytes(_, end)) => *end = to,
            _ => self.steps.push(Step::Bytes(from, to)),
        }
    }
}

impl Sources {
    /// How long a piece is, when it always is.
    fn fixed_bytes(&self, piece: &Piece) -> Option<usize> {
        match piece {
            Piece::Literal(bytes) => Some(bytes.len()),
            Piece::Key(_) => self.keys.fixed_bytes(self.last_key),
            Piece::Value => match &*self.keys {
                KeySpace::Numbered(_) => self.value_bytes.fixed(),
                KeySpace::Traced { .. } => None,
            },
            Piece::Stamp => Some(STAMP_DIGITS),
            _ => None,
        }
    }
}

/// Fills in programs, for one thread.
#[derive(Debug)]
pub struct Renderer {
    sources: Sources,
    rng: Rng,
    scratch: Vec<u8>,
    /// The length of the value of the command in hand.
    value_bytes: usize,
    /// What its content is derived from.
    value_hash: u64,
    /// The length of its run of keys.
    run: u64,
}

impl Renderer {
    /// A renderer with random numbers of its own.
    #[must_use]
    pub fn new(sources: Sources, rng: Rng) -> Self {
        Self {
            sources,
            rng,
            scratch: Vec::new(),
            value_bytes: 0,
            value_hash: 0,
            run: 0,
        }
    }

    /// What commands are filled with.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Appends a command. `keys` are its group's by index; `due_ns` is when it was due.
    #[inline]
    pub fn render(&mut self, program: &Program, keys: &[u64], due_ns: u64, out: &mut Vec<u8>) {
        if program.uses_value {
            self.choose_value(program.first_key.map(|key| keys[key]));
        }
        if let Some((whole, patches)) = &program.fixed {
            let start = out.len();
            out.extend_from_slice(whole);
            let command = &mut out[start..];
            for patch in patches {
                self.patch(patch, keys, due_ns, command);
            }
            return;
        }
        for step in &program.steps {
            match step {
                Step::Bytes(from, to) => out.extend_from_slice(&program.bytes[*from..*to]),
                Step::Piece(piece) => self.piece(piece, keys, due_ns, out),
                Step::ValueWord => {
                    header(b'$', self.value_bytes as u64, out);
                    self.sources
                        .values
                        .write(self.value_hash, self.value_bytes, out);
                    out.extend_from_slice(b"\r\n");
                }
                Step::Word(pieces) => {
                    let mut scratch = std::mem::take(&mut self.scratch);
                    scratch.clear();
                    for piece in pieces {
                        self.piece(piece, keys, due_ns, &mut scratch);
                    }
                    header(b'$', scratch.len() as u64, out);
                    out.extend_from_slice(&scratch);
                    out.extend_from_slice(b"\r\n");
                    self.scratch = scratch;
                }
                Step::RunHeader { words, min, max } => {
                    self.run = self.rng.between(*min, *max);
                    header(b'*', words + self.run, out);
                }
                Step::RunWords(first) => {
                    for key in keys[*first]..keys[*first] + self.run {
                        header(b'$', self.sources.keys.bytes(key) as u64, out);
                        self.sources.keys.write(key, out);
                        out.extend_from_slice(b"\r\n");
                    }
                }
            }
        }
    }

    #[inline]
    fn patch(&self, patch: &Patch, keys: &[u64], due_ns: u64, command: &mut [u8]) {
        match *patch {
            Patch::Digits { at, digits, key } => {
                write_digits(keys[key], &mut command[at..at + digits]);
            }
            Patch::Value { at, bytes } => {
                let values = &self.sources.values;
                values.write_over(self.value_hash, &mut command[at..at + bytes]);
            }
            Patch::Stamp { at } => write_digits(due_ns, &mut command[at..at + STAMP_DIGITS]),
        }
    }

    /// The value that the command carries: of its first key, or any when it has none.
    fn choose_value(&mut self, key: Option<u64>) {
        let Some(key) = key else {
            self.value_hash = self.rng.next_u64();
            self.value_bytes = self.sources.value_bytes.draw(&mut self.rng);
            return;
        };
        self.value_hash = self.sources.keys.hash(key);
        self.value_bytes = match &*self.sources.keys {
            KeySpace::Numbered(_) => self.sources.value_bytes.draw(&mut self.rng),
            // The same key has the same size every time, as it had where the trace was taken.
            KeySpace::Traced { .. } => self.sources.keys.value_bytes(key).unwrap_or_else(|| {
                let mut of_key = Rng::new(self.value_hash);
                self.sources.value_bytes.draw(&mut of_key)
            }),
        };
    }

    fn piece(&mut self, piece: &Piece, keys: &[u64], due_ns: u64, out: &mut Vec<u8>) {
        match piece {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            Piece::Key(key) => self.sources.keys.write(keys[*key], out),
            Piece::KeyNumber(key) => write_padded(keys[*key], KEY_NUMBER_DIGITS, out),
            Piece::Value => self
                .sources
                .values
                .write(self.value_hash, self.value_bytes, out),
            Piece::ValueBytes => write_number(self.value_bytes as u64, out),
            Piece::Field => {
                out.extend_from_slice(b"field:");
                write_number(self.rng.below(self.sources.fields), out);
            }
            Piece::Int { min, max } => write_number(self.rng.between(*min, *max), out),
            Piece::Ttl => {
                let (min, max) = self.sources.ttl_seconds;
                write_number(self.rng.between(min, max), out);
            }
            Piece::NowMs => write_number(unix_micros() / 1000, out),
            Piece::NowUs => write_number(unix_micros(), out),
            Piece::Stamp => write_padded(due_ns, STAMP_DIGITS, out),
            Piece::KeyRun { .. } => unreachable!("a run of keys is a word of its own"),
        }
    }
}

#[inline]
fn header(kind: u8, count: u64, out: &mut Vec<u8>) {
    out.push(kind);
    write_number(count, out);
    out.extend_from_slice(b"\r\n");
}

fn unix_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::template::Template;

    fn sources(value_bytes: &str) -> Sources {
        Sources {
            keys: Arc::new(KeySpace::numbered("key:", 1000, None, 0).unwrap()),
            last_key: 999,
            values: Arc::new(Values::new(0)),
            value_bytes: value_bytes.parse().unwrap(),
            ttl_seconds: (30, 30),
            fields: 1,
        }
    }

    /// All commands of a template, rendered with keys 7, 8, 9…
    fn render(text: &str, protocol: Protocol, value_bytes: &str) -> String {
        let template = Template::parse(text).unwrap();
        let sources = sources(value_bytes);
        let mut renderer = Renderer::new(sources.clone(), Rng::new(1));
        let keys: Vec<u64> = (7..).take(template.draws.len()).collect();
        let mut out = Vec::new();
        for command in &template.commands {
            let program = Program::compile(command, protocol, &sources).unwrap();
            renderer.render(&program, &keys, 5, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    fn value(key: u64, bytes: usize) -> String {
        let mut out = Vec::new();
        Values::new(0).write(key, bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_resp_command_is_framed_word_by_word() {
        assert_eq!(
            render("GET __key__", Protocol::Resp2, "3"),
            "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000007\r\n"
        );
        let value = value(7, 3);
        assert_eq!(
            render("SET __key__ __value__ EX __ttl__", Protocol::Resp3, "3"),
            format!(
                "*5\r\n$3\r\nSET\r\n$16\r\nkey:000000000007\r\n$3\r\n{value}\r\n$2\r\nEX\r\n$2\r\n30\r\n"
            )
        );
    }

    #[test]
    fn fixed_steps_are_joined_into_one_copy() {
        let command = &Template::parse("SET __key__ x NX GET").unwrap().commands[0];
        let program = Program::compile(command, Protocol::Resp2, &sources("3")).unwrap();
        assert_eq!(program.steps.len(), 3, "{:?}", program.steps);
        assert!(program.fixed.is_some());
    }

    #[test]
    fn a_command_of_fixed_length_is_the_same_by_patches_as_by_steps() {
        for (text, protocol) in [
            ("SET __key__ __value__", Protocol::Resp2),
            ("PUBLISH c __stamp____value__", Protocol::Resp3),
            ("MGET __key__ x__key__y", Protocol::Resp2),
            ("get __key__", Protocol::MemcachedText),
        ] {
            let template = Template::parse(text).unwrap();
            let sources = sources("100");
            let mut program = Program::compile(&template.commands[0], protocol, &sources).unwrap();
            assert!(program.fixed.is_some(), "{text}");
            let render = |program: &Program| {
                let mut renderer = Renderer::new(sources.clone(), Rng::new(1));
                let mut out = b"before".to_vec();
                // Without a key the value is any: the same one for equal generators.
                renderer.render(program, &[7, 998], 123, &mut out);
                out
            };
            let patched = render(&program);
            program.fixed = None;
            assert_eq!(patched, render(&program), "{text}");
        }
    }

    #[test]
    fn words_of_unknown_length_carry_their_own_header() {
        let out = render("SET a:__int:10-10__:b __value__", Protocol::Resp2, "20-29");
        let (head, tail) = out.split_at("*3\r\n$3\r\nSET\r\n$6\r\na:10:b\r\n$2".len());
        assert_eq!(head, "*3\r\n$3\r\nSET\r\n$6\r\na:10:b\r\n$2");
        let (digit, body) = tail.split_once("\r\n").unwrap();
        assert_eq!(body.len(), 20 + digit.parse::<usize>().unwrap() + 2);
    }

    #[test]
    fn a_key_run_counts_into_the_header() {
        assert_eq!(
            render("MGET __key_run:2-2__", Protocol::Resp2, "3"),
            "*3\r\n$4\r\nMGET\r\n$16\r\nkey:000000000007\r\n$16\r\nkey:000000000008\r\n"
        );
    }

    #[test]
    fn groups_stamps_fields_and_key_numbers_are_filled_in() {
        assert_eq!(
            render(
                "HSET h __field__ __stamp__ ; DEL __rand_int__",
                Protocol::Resp2,
                "3"
            ),
            "*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$7\r\nfield:0\r\n$20\r\n00000000000000000005\r\n\
             *2\r\n$3\r\nDEL\r\n$12\r\n000000000007\r\n"
        );
    }

    #[test]
    fn memcached_commands_are_lines_and_a_value_is_a_block() {
        let value = value(7, 3);
        assert_eq!(
            render(
                "set __key__ 0 __ttl__ __bytes__ __value__",
                Protocol::MemcachedText,
                "3"
            ),
            format!("set key:000000000007 0 30 3\r\n{value}\r\n")
        );
        assert_eq!(
            render("mg __key__ v", Protocol::MemcachedMeta, "3"),
            "mg key:000000000007 v\r\n"
        );
        for text in ["set __key__ __value__ x", "get __key_run:1-2__"] {
            let command = &Template::parse(text).unwrap().commands[0];
            let compiled = Program::compile(command, Protocol::MemcachedText, &sources("3"));
            assert!(compiled.is_err(), "{text}");
        }
    }

    #[test]
    fn the_values_of_a_trace_have_the_sizes_it_tells_and_stay_the_same() {
        let path = std::env::temp_dir().join(format!("larder-bench-trace-{}", std::process::id()));
        std::fs::write(&path, "a 5\nb\nb\n").unwrap();
        let trace = crate::run::trace::Trace::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut sources = sources("1-1000");
        sources.keys = Arc::new(KeySpace::traced("", Arc::new(trace)));
        let command = &Template::parse("SET __key__ __value__").unwrap().commands[0];
        let program = Program::compile(command, Protocol::Resp2, &sources).unwrap();
        let mut renderer = Renderer::new(sources, Rng::new(1));
        let mut render = |key| {
            let mut out = Vec::new();
            renderer.render(&program, &[key], 0, &mut out);
            out
        };
        assert!(render(0).starts_with(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\n"));
        assert_eq!(render(1), render(2));
    }
}
