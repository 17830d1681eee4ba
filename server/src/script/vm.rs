//! A virtual machine: Lua on a stack of its own, which a script leaves whenever it wants something of the core.
//!
//! ```text
//!  core                               the machine's stack
//!  eval ───────────────────────────▶  run a script … redis.call
//!  Step::Call ◀─────────────────────  (suspended, with the command's arguments in the exchange)
//!  resume(reply) ──────────────────▶  … go on … 100,000 instructions, and the time is over
//!  Step::Tick ◀─────────────────────  (suspended in a hook)
//!  resume(go on, or die) ──────────▶  … return
//!  Step::Done ◀─────────────────────  (suspended, waiting for the next job; the reply in the exchange)
//! ```
//!
//! The switch of stacks costs some ten nanoseconds. One script runs at a time. All Lua happens inside: outside, nothing but
//! the exchange is touched.

use std::cell::{Cell, Ref, RefMut};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use mlua::{Lua, LuaOptions, LuaString, StdLib, Value};

use super::bytecode::keep_callers;
use super::convert::{Names, ReplyWriter};
use super::exchange::{Exchange, Killed, Phase, ReplyError};
use super::job::{Code, Job, LoadOptions, RunOptions};
use super::libraries::Function;
use super::libs::{Ask, TICK, callers, fail, open, take_error};
use super::limits::{CHUNK_MAX_BYTES, GARBAGE_MAX_BYTES, MEMORY_MAX_BYTES, STACK_BYTES};
use super::raw::{Ended, run};
use super::sandbox::{Sandbox, load};
use super::watch::{go_on, watch};
use super::words::Words;
use crate::resp::Protocol;

/// Why a machine gives the core back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The script asks for something, with the arguments in [`Vm::words`]; the answer is to stand in [`Vm::reply`].
    Call(Ask),
    /// The script has run for longer than others should wait.
    Tick,
    /// It is over; its reply stands in [`Vm::reply`].
    Done,
}

/// How a script is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// With the answer it asked for, or just so.
    On,
    /// Not at all: it fails as one killed by the user.
    Die,
}

/// What the core hands a machine on resuming it.
enum Resume {
    Job(Job),
    GoOn(GoOn),
    Quit,
}

/// A virtual machine.
pub struct Vm {
    /// Absent only while the machine is being dropped.
    coroutine: Option<Coroutine<Resume, Step, (), DefaultStack>>,
    exchange: Rc<Exchange>,
    /// What a job left besides a reply.
    outcome: Rc<Outcome>,
}

/// What a job left besides a reply.
#[derive(Default)]
struct Outcome {
    /// Why it failed.
    error: Cell<Option<Vec<u8>>>,
    /// The functions that a library registered.
    functions: Cell<Vec<Function>>,
    client: Cell<Protocol>,
    keys: Cell<usize>,
}

impl Vm {
    /// A machine whose random numbers begin with `seed`.
    ///
    /// # Errors
    /// No memory for its stack.
    pub fn new(seed: u64) -> io::Result<Self> {
        Self::with_memory(seed, MEMORY_MAX_BYTES)
    }

    /// The same with another bound of the memory that scripts may hold.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_memory(seed: u64, memory_max_bytes: usize) -> io::Result<Self> {
        let exchange = Rc::new(Exchange::new(memory_max_bytes, seed));
        let outcome = Rc::new(Outcome::default());
        let stack = DefaultStack::new(STACK_BYTES)?;
        let inside = (Rc::clone(&exchange), Rc::clone(&outcome));
        let coroutine = Coroutine::with_stack(stack, move |yielder, first| {
            Machine::run(yielder, first, &inside.0, &inside.1);
        });
        Ok(Self {
            coroutine: Some(coroutine),
            exchange,
            outcome,
        })
    }

    fn resume_with(&mut self, resume: Resume) -> Option<Step> {
        let coroutine = self.coroutine.as_mut().expect("it is there until the drop");
        match coroutine.resume(resume) {
            CoroutineResult::Yield(step) => Some(step),
            CoroutineResult::Return(()) => None,
        }
    }

    fn job(&mut self, job: Job) -> Step {
        assert!(self.is_idle(), "a machine runs one script at a time");
        self.resume_with(Resume::Job(job))
            .expect("a machine ends only when told to")
    }

    fn result(&self) -> Result<(), Vec<u8>> {
        match self.outcome.error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether no script is under way.
    pub fn is_idle(&self) -> bool {
        self.exchange.phase.get() == Phase::Idle
    }

    /// Compiles the script `id`.
    ///
    /// # Errors
    /// Lua's text, if it is no script.
    pub fn compile(&mut self, id: u64, text: Arc<[u8]>) -> Result<(), Vec<u8>> {
        check_len(text.len())?;
        self.job(Job::Compile { id, text });
        self.result()
    }

    /// Forgets the script `id`.
    pub fn forget(&mut self, id: u64) {
        self.job(Job::Forget { id });
    }

    /// Collects all garbage.
    pub fn collect(&mut self) {
        self.job(Job::Collect);
    }

    /// Loads a library's Lua as the library `id`: its functions.
    ///
    /// # Errors
    /// Redis's text, without code word.
    pub fn load_library(
        &mut self,
        id: u64,
        text: Arc<[u8]>,
        options: &LoadOptions,
    ) -> Result<Vec<Function>, Vec<u8>> {
        check_len(text.len())?;
        self.exchange.log_level.set(options.log_level);
        self.exchange.patience.set(Some(options.limit));
        self.exchange.began.set(Instant::now());
        self.exchange.killed.set(None);
        self.job(Job::LoadLibrary { id, text });
        self.result()?;
        Ok(self.outcome.functions.take())
    }

    /// Forgets the library `id`.
    pub fn forget_library(&mut self, id: u64) {
        self.job(Job::ForgetLibrary { id });
    }

    /// Runs the compiled script `id`, as [`Self::run`] does.
    pub fn eval(&mut self, id: u64, keys: usize, name: &Rc<str>, options: &RunOptions) -> Step {
        self.run(Code::Script(id), keys, name, options)
    }

    /// Runs a script or function with the keys and arguments in [`Self::words`], of which the first `keys` are keys.
    /// Errors call it by `name`.
    pub fn run(&mut self, code: Code, keys: usize, name: &Rc<str>, options: &RunOptions) -> Step {
        self.prepare(name, options);
        self.job(Job::Run { code, keys })
    }

    fn prepare(&self, name: &Rc<str>, options: &RunOptions) {
        *self.exchange.script.borrow_mut() = Rc::clone(name);
        self.exchange.protocol.set(Protocol::Resp2);
        self.exchange.patience.set(options.patience);
        self.exchange.began.set(options.began);
        self.exchange.log_level.set(options.log_level);
        self.exchange.killed.set(None);
        self.outcome.client.set(options.protocol);
    }

    /// Lets a suspended script go on.
    pub fn resume(&mut self, how: GoOn) -> Step {
        self.resume_with(Resume::GoOn(how))
            .expect("a machine ends only when told to")
    }

    /// The keys and arguments of a script to run, or the arguments of a command it calls.
    pub fn words(&self) -> RefMut<'_, Words> {
        self.exchange.words.borrow_mut()
    }

    /// Where the reply to a command goes, and where that of a script stands.
    pub fn reply(&self) -> RefMut<'_, Vec<u8>> {
        self.exchange.reply.borrow_mut()
    }

    /// The errors in the reply of the script that is over.
    pub fn reply_errors(&self) -> Ref<'_, Vec<ReplyError>> {
        self.exchange.errors.borrow()
    }

    /// The protocol in which the script wants replies.
    pub fn protocol(&self) -> Protocol {
        self.exchange.protocol.get()
    }

    /// Whether at `now` the script has run for longer than others should wait.
    pub fn is_overdue_at(&self, now: Instant) -> bool {
        let patience = self.exchange.patience.get();
        patience.is_some_and(|patience| now.saturating_duration_since(self.began()) >= patience)
    }

    /// When the script began.
    pub fn began(&self) -> Instant {
        self.exchange.began.get()
    }

    /// Bytes that Lua holds.
    pub fn used_bytes(&self) -> usize {
        self.exchange.used_bytes.get()
    }
}

/// Whether Lua may be given a text of so many bytes to compile.
pub(super) fn check_len(bytes: usize) -> Result<(), Vec<u8>> {
    if bytes > CHUNK_MAX_BYTES {
        return Err((*b"chunk is too long").into());
    }
    Ok(())
}

impl Drop for Vm {
    fn drop(&mut self) {
        if !self.is_idle() {
            // A script is suspended, as the process ends: what it might do while it is unwound is anyone's guess.
            std::mem::forget(self.coroutine.take());
            return;
        }
        let is_waiting =
            |coroutine: &Coroutine<_, _, _, _>| coroutine.started() && !coroutine.done();
        if self.coroutine.as_ref().is_some_and(is_waiting) {
            self.resume_with(Resume::Quit);
        }
    }
}

/// The machine's side of the switch.
struct Machine<'a> {
    lua: &'a Lua,
    yielder: &'a Yielder<Resume, Step>,
    exchange: &'a Rc<Exchange>,
    outcome: &'a Outcome,
    names: &'a Names,
    sandbox: Sandbox,
}

impl Machine<'_> {
    /// Works off one job after the other until told to quit.
    fn run(
        yielder: &Yielder<Resume, Step>,
        first: Resume,
        exchange: &Rc<Exchange>,
        outcome: &Outcome,
    ) {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::new()).expect("these libraries are safe");
        let names = Names::new(&lua).map(Rc::new);
        let names = names.expect("there is memory for a few names");
        let machine = Machine {
            lua: &lua,
            yielder,
            exchange,
            outcome,
            names: &names,
            sandbox: furnish(&lua, exchange, &names).expect("the sandbox is sound"),
        };
        let leave = |step| machine.suspend(step);
        exchange.exit.open(&leave, || machine.work(first));
    }

    /// Gives the core back, and takes it again.
    fn suspend(&self, step: Step) {
        self.exchange.used_bytes.set(self.lua.used_memory());
        match self.yielder.suspend(step) {
            Resume::GoOn(GoOn::On) => {}
            Resume::GoOn(GoOn::Die) => self.exchange.killed.set(Some(Killed::ByUser)),
            Resume::Job(_) | Resume::Quit => unreachable!("a script is suspended"),
        }
    }

    fn work(&self, first: Resume) {
        let mut next = first;
        loop {
            match next {
                Resume::Job(job) => {
                    self.begin(job);
                    self.exchange.used_bytes.set(self.lua.used_memory());
                }
                Resume::GoOn(_) => unreachable!("no script is suspended"),
                Resume::Quit => return,
            }
            next = self.yielder.suspend(Step::Done);
        }
    }

    fn begin(&self, job: Job) {
        match job {
            Job::Compile { id, text } => {
                let error = self.sandbox.compile(self.lua, id, &text);
                self.outcome.error.set(error.expect(SOUND));
            }
            Job::Forget { id } => self.sandbox.forget(id).expect(SOUND),
            Job::Collect => self.lua.gc_collect().expect("scripts have no finalizers"),
            Job::LoadLibrary { id, text } => self.load_library(id, &text),
            Job::ForgetLibrary { id } => self.sandbox.forget_library(id).expect(SOUND),
            Job::Run { code, keys } => {
                self.outcome.keys.set(keys);
                self.run_script(code);
            }
        }
    }

    /// Runs a library's code, and leaves what came of it in the outcome.
    fn load_library(&self, id: u64, text: &[u8]) {
        let exchange = self.exchange;
        exchange.phase.set(Phase::Loading);
        self.lua
            .set_memory_limit(exchange.memory_max_bytes)
            .expect("the machine has its own allocator");
        let loaded = self.sandbox.load_library(self.lua, id, text);
        self.lua
            .set_memory_limit(0)
            .expect("the machine has its own allocator");
        if exchange.killed.get().is_some() {
            watch(self.lua, exchange);
        }
        exchange.phase.set(Phase::Idle);
        let failure = |error: &mlua::Error| match exchange.killed.get() {
            Some(killed) => killed.text().to_owned(),
            None => one_line(root_cause(error)),
        };
        match loaded {
            Ok(Ok(functions)) => self.outcome.functions.set(functions),
            Ok(Err(text)) => self.outcome.error.set(Some(text)),
            Err(error) => {
                let text = format!("Error registering functions: ERR {}", failure(&error));
                self.outcome.error.set(Some(text.into_bytes()));
            }
        }
    }

    /// Runs a script, and leaves its reply in the exchange.
    fn run_script(&self, code: Code) {
        let exchange = self.exchange;
        exchange.phase.set(Phase::Running);
        self.sandbox.prepare_for(code).expect(SOUND);
        let how = (self.outcome.keys.get(), self.outcome.client.get());
        let ended = run(self.lua, &self.sandbox, code, exchange, how);
        if exchange.killed.get().is_some() {
            watch(self.lua, exchange);
        }
        if exchange.collector_changed.take() {
            self.sandbox.reset_collector().expect(SOUND);
        }
        let errors = match ended {
            Ok(Ended::Replied) => Vec::new(),
            other => self.reply_with(other),
        };
        *exchange.errors.borrow_mut() = errors;
        exchange.phase.set(Phase::Idle);
        if self.lua.used_memory() > GARBAGE_MAX_BYTES.min(exchange.memory_max_bytes / 4) {
            self.lua.gc_collect().expect("scripts have no finalizers");
        }
    }

    /// Makes the reply of a script that ended with another value than a string or a number. The errors in it.
    fn reply_with(&self, ended: mlua::Result<Ended>) -> Vec<ReplyError> {
        let exchange = self.exchange;
        let mut reply = exchange.reply.borrow_mut();
        reply.clear();
        let writer = ReplyWriter::new(
            self.names,
            &self.sandbox.flatten,
            (self.outcome.client.get(), exchange.protocol.get()),
        );
        let failed = |error: mlua::Error, reply: &mut Vec<u8>| {
            let text = match exchange.killed.get() {
                Some(killed) => killed.text().to_owned(),
                None => one_line(root_cause(&error)),
            };
            reply.clear();
            reply.extend_from_slice(format!("-ERR {text}\r\n").as_bytes());
            vec![ReplyError {
                code: (*b"ERR").into(),
                is_counted: false,
            }]
        };
        let value = ended.and_then(|ended| match ended {
            Ended::Replied => unreachable!("that is one"),
            Ended::Value(value) => Ok(value),
            Ended::Error(Value::Table(error)) => self.failure(Value::Table(error)),
            Ended::Error(_) if let Some(killed) = exchange.killed.get() => {
                Err(mlua::Error::runtime(killed.text()))
            }
            Ended::Error(other) => self.failure(other),
        });
        value
            .and_then(|value| writer.write(value, &mut reply))
            .unwrap_or_else(|error| failed(error, &mut reply))
    }

    /// The reply of a script that failed: the error, and where.
    fn failure(&self, error: Value) -> mlua::Result<Value> {
        let Value::Table(error) = error else {
            // The handler itself failed.
            let text = match &error {
                Value::String(text) => text.to_string_lossy(),
                _ => "execution failure".to_owned(),
            };
            let text: String = text.chars().take(100).collect();
            let text = format!(
                "ERR Error running script {}, {text}",
                self.exchange.script.borrow()
            );
            return self
                .names
                .error(self.lua, text.as_bytes(), false)
                .map(Value::Table);
        };
        let field = |name: &str| error.raw_get::<Value>(name);
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            Value::Integer(number) => Some(number.to_string().into_bytes()),
            Value::Number(number) => Some(super::number::lua_text(*number).into_bytes()),
            _ => None,
        };
        let mut message = text(&field("err")?).unwrap_or_else(|| b"ERR unknown error".to_vec());
        if let (Some(source), Some(line)) = (text(&field("source")?), text(&field("line")?)) {
            let script = self.exchange.script.borrow();
            let place = [
                b" script: ",
                script.as_bytes(),
                b", on ",
                &source,
                b":",
                &line,
                b".",
            ];
            message.extend(place.concat());
        }
        let is_counted = matches!(field("ignore_error_stats_update")?, Value::Boolean(true));
        self.names
            .error(self.lua, &message, is_counted)
            .map(Value::Table)
    }
}

const SOUND: &str = "memory is bounded while scripts run only";

fn one_line(error: &mlua::Error) -> String {
    error.to_string().replace(['\r', '\n'], " ")
}

/// Builds the world of the scripts.
fn furnish(lua: &Lua, exchange: &Rc<Exchange>, names: &Rc<Names>) -> mlua::Result<Sandbox> {
    let raw = &lua.create_table()?;
    raw.raw_set("FAIL", fail())?;
    raw.raw_set("take_error", take_error(lua, exchange)?)?;
    raw.raw_set(
        "locate",
        lua.create_function(|lua, ()| super::sandbox::locate(lua))?,
    )?;
    raw.raw_set(
        "name_of_level",
        lua.create_function(|lua, level: usize| {
            let name =
                |debug: &mlua::debug::Debug<'_>| debug.names().name.map(|name| name.into_owned());
            Ok(lua.inspect_stack(level, name).flatten())
        })?,
    )?;
    let shared = Rc::clone(exchange);
    let describe = lua.create_function(move |lua, error: Value| describe(lua, &error, &shared))?;
    raw.raw_set("describe", describe)?;
    callers(lua, raw, exchange, names)?;
    let shared = Rc::clone(exchange);
    let tick = lua.create_function(move |lua, ()| {
        shared.exit.leave(Step::Tick);
        go_on(lua, &shared)
    })?;
    lua.set_named_registry_value(TICK, tick)?;
    let shared = Rc::clone(exchange);
    let note_collector = lua.create_function(move |_, ()| {
        shared.collector_changed.set(true);
        Ok(())
    })?;
    raw.raw_set("note_collector", note_collector)?;
    watch(lua, exchange);
    let keep_callers = lua.create_function(|lua, chunk: LuaString| {
        let mut bytes = chunk.as_bytes().to_vec();
        Ok(match keep_callers(&mut bytes) {
            Some(found) => (Some(lua.create_string(&bytes)?), found.sets_globals),
            None => (None, true),
        })
    })?;
    raw.raw_set("keep_callers", keep_callers)?;
    let shared = Rc::clone(exchange);
    let open = lua.create_function(move |lua, library: String| open(lua, &shared, &library))?;
    raw.raw_set("open", open)?;
    load(lua, raw)
}

/// What Lua is to make of an error that is none of Lua's: its text, and whether the script is to end. Any other value is
/// left as it is.
fn describe(lua: &Lua, error: &Value, exchange: &Exchange) -> mlua::Result<(Value, bool)> {
    let Value::Error(error) = error else {
        return Ok((error.clone(), false));
    };
    if let Some(killed) = exchange.killed.get() {
        let text = lua.create_string(killed.text())?;
        return Ok((Value::String(text), true));
    }
    let text = match root_cause(error) {
        mlua::Error::MemoryError(_) => lua.create_string("not enough memory")?,
        other => lua.create_string(one_line(other))?,
    };
    Ok((Value::String(text), false))
}

fn root_cause(error: &mlua::Error) -> &mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. } => root_cause(cause),
        other => other,
    }
}
