//! A core's machines and the scripts they have compiled.
//!
//! A machine is made when the first script runs, one more for each script that runs while others wait for other cores, and
//! anew after the scripts were flushed. What was compiled is found by
//! the text (`EVAL`: one hash, one comparison) or by the SHA-1 (`EVALSHA`) without asking the other cores.
//!
//! Functions run in the same machines, in a world of their own. A library is loaded into a machine when a function of it is
//! first called there, and forgotten there when others have come ([`LibraryCache`]).

use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::sync::Arc;

use ahash::{AHasher, RandomState};
use larder_engine::KeyHasher;

use super::busy::Kind;
use super::cache::{Origin, Script, ScriptCache, Sha};
use super::flags::ScriptFlags;
use super::job::{Code, LoadOptions};
use super::libraries::{BAD_NAME, Header, Libraries, Library, LibraryCache, lua_of, name_of};
use super::limits::IDLE_MACHINES_MAX;
use super::vm::Vm;

/// Why a script cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoScript {
    /// No core knows it.
    Unknown,
    /// Its first line cannot be understood; Redis's text, without code word.
    BadFlags(Vec<u8>),
    /// It is no Lua; Lua's text.
    BadLua(Vec<u8>),
    /// There is no function of this name.
    UnknownFunction,
    /// The function's library did not load on this core; Redis's text, without code word.
    BadLibrary(Vec<u8>),
}

/// A script or function that can run.
#[derive(Clone, Debug)]
pub struct Callable {
    /// What a machine runs.
    pub code: Code,
    /// Its SHA-1, or the function's name.
    pub name: Rc<str>,
    /// What it says of itself.
    pub flags: ScriptFlags,
    /// Which of the two it is.
    pub kind: Kind,
    /// Whether it keeps to the keys it declares, as its text shows; none as long as nobody has looked.
    pub keeps: Rc<Cell<Option<bool>>>,
}

impl Callable {
    fn of_script(script: &Script) -> Self {
        Self {
            code: Code::Script(script.id),
            name: script.name().into(),
            flags: script.flags,
            kind: Kind::Script,
            keeps: Rc::default(),
        }
    }

    fn of_function(library: &Library, index: usize) -> Self {
        let function = &library.functions[index];
        Self {
            code: Code::Function {
                library: library.id,
                index,
            },
            name: function.name.as_str().into(),
            flags: function.flags,
            kind: Kind::Function,
            keeps: Rc::default(),
        }
    }
}

/// Hashes what no client chooses: numbers of ours, and hashes by a secret key.
type Unkeyed = BuildHasherDefault<AHasher>;

/// A script that a machine has compiled. To run it writes nothing that other cores read, as a count of references would be.
struct Compiled {
    script: Arc<Script>,
    callable: Callable,
}

/// The same of a library.
struct Loaded {
    library: Arc<Library>,
    functions: Vec<Callable>,
}

impl From<&Arc<Library>> for Loaded {
    fn from(library: &Arc<Library>) -> Self {
        let functions = (0..library.functions.len()).map(|at| Callable::of_function(library, at));
        Self {
            library: Arc::clone(library),
            functions: functions.collect(),
        }
    }
}

/// A machine and the scripts it has compiled.
pub struct Machine {
    vm: Vm,
    /// The cache's count of flushes when the machine was made.
    flushes: u64,
    /// The scripts the machine has compiled.
    compiled: HashMap<Sha, Rc<Compiled>, RandomState>,
    /// The same by the hash of their text, where no two share one.
    by_text: HashMap<u64, Rc<Compiled>, Unkeyed>,
    /// How many there may be before those are looked for that were forgotten.
    sweep_at: usize,
    /// The libraries the machine has loaded, by their numbers.
    libraries: HashMap<u64, Loaded, Unkeyed>,
    /// The version of the libraries of which these may be a part; none after one was loaded that may not come to be one.
    libraries_version: Option<u64>,
}

/// A core's scripts.
#[derive(Default)]
pub struct Engine {
    /// The machine in use.
    machine: Option<Machine>,
    /// Those that have done with scripts that had to wait.
    idle: Vec<Machine>,
    /// Bytes that Lua holds in machines whose scripts wait.
    parked_bytes: usize,
    seed: u64,
    /// The libraries as this core knows them, and their version.
    libraries: RefCell<(u64, Arc<Libraries>)>,
}

impl Engine {
    /// A core's scripts, none yet. Random numbers begin with `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// The machine.
    ///
    /// # Panics
    /// If no script was found with it yet.
    pub fn vm(&mut self) -> &mut Vm {
        &mut self.machine().vm
    }

    fn machine(&mut self) -> &mut Machine {
        let machine = self.machine.as_mut();
        machine.expect("a script was found before it runs")
    }

    /// Takes the machine away, in the midst of a script: the next script gets another one.
    ///
    /// # Panics
    /// If there is none.
    pub fn park(&mut self) -> Machine {
        let machine = self.machine.take().expect("a script is under way");
        self.parked_bytes += machine.vm.used_bytes();
        machine
    }

    /// Takes a machine back whose script goes on.
    pub fn unpark(&mut self, machine: Machine) {
        self.parked_bytes -= machine.vm.used_bytes();
        if let Some(other) = self.machine.replace(machine)
            && self.idle.len() < IDLE_MACHINES_MAX
        {
            self.idle.push(other);
        }
    }

    /// Whether a script is under way.
    pub fn is_running(&self) -> bool {
        self.machine
            .as_ref()
            .is_some_and(|machine| !machine.vm.is_idle())
    }

    /// Bytes that Lua holds, of machines that are no longer of use too.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        if self.machine.is_none() && self.idle.is_empty() {
            return self.parked_bytes;
        }
        let machines = self.machine.iter().chain(&self.idle);
        let bytes = machines.map(|machine| machine.vm.used_bytes());
        bytes.sum::<usize>() + self.parked_bytes
    }

    /// Rids idle machines of their garbage.
    pub fn collect(&mut self) {
        let machines = self.machine.iter_mut().chain(&mut self.idle);
        for machine in machines.filter(|machine| machine.vm.is_idle()) {
            machine.vm.collect();
        }
    }

    /// Bytes that Lua holds; a small heap is rid of its garbage first.
    pub fn used_bytes(&mut self, cache: &ScriptCache) -> usize {
        /// What is collected within a fraction of a millisecond.
        const SMALL_BYTES: usize = 1 << 20;
        self.forget_flushed(cache);
        if let Some(Machine { vm, .. }) = &mut self.machine
            && vm.is_idle()
            && vm.used_bytes() < SMALL_BYTES
        {
            vm.collect();
        }
        self.held_bytes()
    }

    /// Drops machines made before the scripts were flushed, unless one of their scripts still runs.
    #[inline]
    fn forget_flushed(&mut self, cache: &ScriptCache) {
        let flushes = cache.flushes();
        // What functions keep between calls is no part of what is flushed.
        let keep = self.machine.iter_mut().chain(&mut self.idle);
        keep.for_each(|machine| machine.forget_scripts_of(flushes));
        let is_stale = |machine: &Machine| machine.flushes != flushes && machine.vm.is_idle();
        if self.machine.as_ref().is_some_and(is_stale) {
            self.machine = None;
        }
        self.idle.retain(|machine| !is_stale(machine));
    }

    /// Sees to it that there is a machine.
    #[inline]
    fn ready(&mut self, cache: &ScriptCache) {
        self.forget_flushed(cache);
        if self.machine.is_none() {
            let seed = self.seed;
            let machine = self.idle.pop().unwrap_or_else(|| Machine {
                vm: Vm::new(seed).expect("there is address space for a stack"),
                flushes: cache.flushes(),
                compiled: HashMap::default(),
                by_text: HashMap::default(),
                sweep_at: 0,
                libraries: HashMap::default(),
                libraries_version: None,
            });
            self.machine = Some(machine);
        }
    }

    /// The script of this text, compiled.
    ///
    /// # Errors
    /// It is none.
    pub fn find_text(
        &mut self,
        cache: &ScriptCache,
        hasher: &KeyHasher,
        text: &[u8],
    ) -> Result<Callable, NoScript> {
        self.ready(cache);
        let hash = hasher.hash(text);
        if let Some(Compiled { script, callable }) =
            self.machine().by_text.get(&hash).map(|of| &**of)
            && *script.text == *text
            && !script.is_forgotten()
        {
            script.mark_run();
            return Ok(callable.clone());
        }
        let script = self.add(cache, text, Origin::Evaluated)?;
        let callable = Callable::of_script(&script);
        let compiled = Rc::new(Compiled {
            script,
            callable: callable.clone(),
        });
        self.machine().by_text.insert(hash, compiled);
        Ok(callable)
    }

    /// The script with this SHA-1, compiled.
    ///
    /// # Errors
    /// No core knows it.
    pub fn find_sha(&mut self, cache: &ScriptCache, sha: &Sha) -> Result<Callable, NoScript> {
        self.ready(cache);
        if let Some(Compiled { script, callable }) =
            self.machine().compiled.get(sha).map(|of| &**of)
            && !script.is_forgotten()
        {
            script.mark_run();
            return Ok(callable.clone());
        }
        let script = cache.find(sha).ok_or(NoScript::Unknown)?;
        script.mark_run();
        self.compile(&script)?;
        self.keep(&script);
        Ok(Callable::of_script(&script))
    }

    /// Takes a script into the cache that need not run, `SCRIPT LOAD`.
    ///
    /// # Errors
    /// It is none.
    pub fn load(&mut self, cache: &ScriptCache, text: &[u8]) -> Result<Arc<Script>, NoScript> {
        self.ready(cache);
        self.add(cache, text, Origin::Loaded)
    }

    /// A script that this core may not have compiled yet, and perhaps none has.
    #[cold]
    fn add(
        &mut self,
        cache: &ScriptCache,
        text: &[u8],
        origin: Origin,
    ) -> Result<Arc<Script>, NoScript> {
        let script = cache.make(text).map_err(NoScript::BadFlags)?;
        if let Some(present) = self.machine().compiled.get(&script.sha)
            && !present.script.is_forgotten()
        {
            return Ok(cache.insert(script, origin));
        }
        self.compile(&script)?;
        let own = script.id;
        let script = cache.insert(script, origin);
        if script.id != own {
            // Another core was first: it goes by that one's number.
            if self.vm().is_idle() {
                self.vm().forget(own);
            }
            self.compile(&script)?;
        }
        self.keep(&script);
        Ok(script)
    }

    fn compile(&mut self, script: &Script) -> Result<(), NoScript> {
        let vm = self.vm();
        let compiled = if vm.is_idle() {
            vm.compile(script.id, script.lua())
        } else {
            // The machine is in the midst of a script: this one is compiled when it is to run.
            let mut other = Vm::new(0).expect("there is address space for a stack");
            other.compile(script.id, script.lua())
        };
        compiled.map_err(NoScript::BadLua)
    }

    /// Remembers what was compiled, unless it was elsewhere.
    fn keep(&mut self, script: &Arc<Script>) {
        if !self.vm().is_idle() {
            return;
        }
        let machine = self.machine();
        let compiled = Compiled {
            script: Arc::clone(script),
            callable: Callable::of_script(script),
        };
        if let Some(old) = machine.compiled.insert(script.sha, Rc::new(compiled))
            && old.script.id != script.id
        {
            machine.vm.forget(old.script.id);
        }
        if machine.compiled.len() > machine.sweep_at {
            machine.sweep();
        }
    }
}

/// Functions.
impl Engine {
    /// The libraries as of now.
    pub fn libraries(&self, cache: &LibraryCache) -> Ref<'_, Libraries> {
        let version = cache.version();
        if self.libraries.borrow().0 != version {
            // What is newer than its version is taken again the next time.
            *self.libraries.borrow_mut() = (version, cache.current());
        }
        Ref::map(self.libraries.borrow(), |(_, libraries)| &**libraries)
    }

    /// The function of this name, its library loaded.
    ///
    /// # Errors
    /// There is none, or its library does not load.
    pub fn find_function(
        &mut self,
        scripts: &ScriptCache,
        cache: &LibraryCache,
        name: &[u8],
        options: &LoadOptions,
    ) -> Result<Callable, NoScript> {
        self.ready(scripts);
        drop(self.libraries(cache));
        let (version, known) = &*self.libraries.borrow();
        let (library, index) = known.find(name).ok_or(NoScript::UnknownFunction)?;
        let machine = self.machine.as_mut().expect("there is one now");
        if machine.libraries_version != Some(*version) {
            machine.forget_libraries_beside(known, *version);
        }
        if !machine.libraries.contains_key(&library.id) {
            machine.load(library, options)?;
        }
        Ok(machine.libraries[&library.id].functions[index].clone())
    }

    /// A library of this code, loaded here and known to nobody yet. `is_taken` says of a name whether it may not have it.
    ///
    /// # Errors
    /// Redis's text, without code word.
    pub fn make_library(
        &mut self,
        scripts: &ScriptCache,
        cache: &LibraryCache,
        code: &[u8],
        options: &LoadOptions,
        is_taken: impl FnOnce(&str) -> bool,
    ) -> Result<Arc<Library>, Vec<u8>> {
        let header = Header::parse(code)?;
        let name = name_of(&header.name).ok_or(BAD_NAME)?;
        if !header.engine.eq_ignore_ascii_case(b"lua") {
            return Err([b"Engine '", &*header.engine, b"' not found"].concat());
        }
        if is_taken(&name) {
            return Err(format!("Library '{name}' already exists").into_bytes());
        }
        self.ready(scripts);
        let id = cache.next_id();
        let machine = self.machine();
        let functions = if machine.vm.is_idle() {
            machine.vm.load_library(id, lua_of(code), options)?
        } else {
            // The machine is in the midst of a script: the library is loaded there when it is called.
            let mut other = Vm::new(0).expect("there is address space for a stack");
            other.load_library(id, lua_of(code), options)?
        };
        let library = Arc::new(Library {
            id,
            name,
            code: code.into(),
            functions,
        });
        if machine.vm.is_idle() {
            machine.libraries.insert(id, Loaded::from(&library));
            machine.libraries_version = None;
        }
        if library.functions.is_empty() {
            return Err(b"No functions registered".to_vec());
        }
        Ok(library)
    }
}

impl Machine {
    /// Forgets the scripts, if it has libraries that are to stay, after `flushes` flushes.
    fn forget_scripts_of(&mut self, flushes: u64) {
        if self.flushes == flushes || self.libraries.is_empty() || !self.vm.is_idle() {
            return;
        }
        for compiled in self.compiled.values() {
            self.vm.forget(compiled.script.id);
        }
        self.compiled.clear();
        self.by_text.clear();
        self.flushes = flushes;
    }

    /// Forgets the libraries that are not among those known.
    fn forget_libraries_beside(&mut self, known: &Libraries, version: u64) {
        let vm = &mut self.vm;
        self.libraries.retain(|id, loaded| {
            let stays = known.has(&loaded.library);
            if !stays {
                vm.forget_library(*id);
            }
            stays
        });
        self.libraries_version = Some(version);
    }

    /// Loads a library that has loaded on another core, or in another machine.
    #[cold]
    fn load(&mut self, library: &Arc<Library>, options: &LoadOptions) -> Result<(), NoScript> {
        let functions = self
            .vm
            .load_library(library.id, library.lua(), options)
            .map_err(NoScript::BadLibrary)?;
        if functions != library.functions {
            self.vm.forget_library(library.id);
            let text = "Library registers other functions than when it was loaded";
            return Err(NoScript::BadLibrary(text.into()));
        }
        self.libraries.insert(library.id, Loaded::from(library));
        Ok(())
    }

    /// Forgets here what was forgotten everywhere.
    fn sweep(&mut self) {
        const SWEEP_MIN: usize = 1000;
        let Self {
            vm,
            compiled,
            by_text,
            sweep_at,
            ..
        } = self;
        compiled.retain(|_, compiled| {
            let is_forgotten = compiled.script.is_forgotten();
            if is_forgotten {
                vm.forget(compiled.script.id);
            }
            !is_forgotten
        });
        by_text.retain(|_, compiled| !compiled.script.is_forgotten());
        *sweep_at = SWEEP_MIN.max(2 * compiled.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::cache::sha_of;

    #[test]
    fn a_script_run_on_one_core_is_known_to_all_until_it_is_flushed() {
        let cache = ScriptCache::default();
        let hasher = KeyHasher::with_seeds([1, 2, 3, 4]);
        let (mut one, mut other) = (Engine::new(1), Engine::new(2));
        let script = one.find_text(&cache, &hasher, b"return 1").unwrap();
        let again = one.find_text(&cache, &hasher, b"return 1").unwrap();
        assert_eq!(script.code, again.code);
        let sha = sha_of(script.name.as_bytes()).unwrap();
        let there = other.find_sha(&cache, &sha).unwrap();
        assert_eq!(script.code, there.code);
        assert!(other.used_bytes(&cache) > 0);
        cache.flush();
        assert_eq!(other.used_bytes(&cache), 0);
        let unknown = other.find_sha(&cache, &sha).unwrap_err();
        assert_eq!(unknown, NoScript::Unknown);
        let anew = one.find_text(&cache, &hasher, b"return 1").unwrap();
        assert_ne!(anew.code, script.code);
        assert!(other.find_sha(&cache, &sha).is_ok());
    }

    #[test]
    fn what_is_no_script_is_not_remembered() {
        let cache = ScriptCache::default();
        let mut engine = Engine::new(1);
        let error = engine.load(&cache, b"return (").unwrap_err();
        assert!(matches!(error, NoScript::BadLua(_)));
        let error = engine.load(&cache, b"#!x\n").unwrap_err();
        assert!(matches!(error, NoScript::BadFlags(_)));
        assert!(cache.is_empty());
        let sha = sha_of(&[b'0'; 40]).unwrap();
        let unknown = engine.find_sha(&cache, &sha).unwrap_err();
        assert_eq!(unknown, NoScript::Unknown);
    }

    fn options(limit_ms: u64) -> LoadOptions {
        LoadOptions {
            limit: std::time::Duration::from_millis(limit_ms),
            log_level: crate::config::LogLevel::Warning,
        }
    }

    fn add(engine: &mut Engine, cache: &LibraryCache, code: &str) -> Result<(), Vec<u8>> {
        let (scripts, code) = (ScriptCache::default(), code.as_bytes());
        let library = engine.make_library(&scripts, cache, code, &options(60_000), |_| false)?;
        cache.change(|libraries| {
            libraries.remove(&library.name);
            libraries.add(library)
        })
    }

    #[test]
    fn a_library_is_loaded_on_each_core_when_called_and_forgotten_when_replaced() {
        let (scripts, cache) = (ScriptCache::default(), LibraryCache::default());
        let (mut one, mut other) = (Engine::new(1), Engine::new(2));
        let code = "#!lua name=lib\nredis.register_function('f', function() end)";
        add(&mut one, &cache, code).unwrap();
        let find = |engine: &mut Engine, name: &[u8]| {
            let found = engine.find_function(&scripts, &cache, name, &options(60_000));
            found.map(|function| function.code)
        };
        let first = find(&mut one, b"F").unwrap();
        assert_eq!(find(&mut other, b"f").unwrap(), first);
        assert_eq!(
            find(&mut other, b"g").unwrap_err(),
            NoScript::UnknownFunction
        );
        add(&mut other, &cache, code).unwrap();
        assert_ne!(find(&mut one, b"f").unwrap(), first);
        assert_eq!(one.machine().libraries.len(), 1);
        find(&mut other, b"f").unwrap();
        assert_eq!(other.machine().libraries.len(), 1);
        assert_eq!(one.libraries(&cache).len(), 1);
    }

    #[test]
    fn a_library_that_loads_for_too_long_is_ended_and_the_machine_goes_on() {
        let (scripts, cache) = (ScriptCache::default(), LibraryCache::default());
        let mut engine = Engine::new(1);
        let endless = b"#!lua name=lib\nlocal a = 1 while true do a = a + 1 end";
        let error = engine.make_library(&scripts, &cache, endless, &options(5), |_| false);
        let expected = b"Error registering functions: ERR FUNCTION LOAD timeout";
        assert_eq!(error.unwrap_err(), expected);
        let code = "#!lua name=lib\nredis.register_function('f', function() end)";
        add(&mut engine, &cache, code).unwrap();
        let none = b"#!lua name=lib\nlocal x = 1";
        let error = engine.make_library(&scripts, &cache, none, &options(60_000), |_| true);
        assert_eq!(error.unwrap_err(), b"Library 'lib' already exists");
        let error = engine.make_library(&scripts, &cache, none, &options(60_000), |_| false);
        assert_eq!(error.unwrap_err(), b"No functions registered");
        let found = engine.find_function(&scripts, &cache, b"f", &options(60_000));
        assert!(found.is_ok() && engine.machine().libraries.len() == 1);
    }

    #[test]
    fn any_number_of_scripts_made_up_on_the_way_takes_bounded_memory() {
        let cache = ScriptCache::default();
        let hasher = KeyHasher::with_seeds([1, 2, 3, 4]);
        let mut engine = Engine::new(1);
        for number in 0..3000 {
            let text = format!("return {number}");
            engine.find_text(&cache, &hasher, text.as_bytes()).unwrap();
        }
        let machine = engine.machine();
        assert!(cache.len() <= 501 && machine.compiled.len() <= 1001);
        assert!(machine.by_text.len() <= 1001);
    }
}
