//! The libraries of functions, as all cores know them.
//!
//! [`Libraries`] never changes: whoever adds or deletes one makes another, which takes the place of the old one as a whole
//! and has a new version ([`LibraryCache`]). A core compares versions, one relaxed reading of a word, and otherwise looks into
//! the [`Libraries`] it knows. The code of a library is run in a core's machine when one of its functions is first called
//! there ([`super::Engine`]).
//!
//! A change costs O(libraries + functions): they are loaded far less often than called.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::flags::ScriptFlags;
use crate::resp::parser::words::split;

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it is for, if its library says so.
    pub description: Option<Vec<u8>>,
    /// What it says of itself.
    pub flags: ScriptFlags,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its number, never used again.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its code, first line included.
    pub code: Arc<[u8]>,
    /// Its functions, as it registered them.
    pub functions: Vec<Function>,
}

impl Library {
    /// The Lua in it; line numbers are those of the code.
    pub(super) fn lua(&self) -> Arc<[u8]> {
        lua_of(&self.code)
    }
}

/// What follows the first line, the end of that line included.
pub(super) fn lua_of(code: &[u8]) -> Arc<[u8]> {
    let end = code.iter().position(|&byte| byte == b'\n');
    code[end.unwrap_or(code.len())..].into()
}

/// What the first line of a library says, `#!lua name=mylib`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) engine: Vec<u8>,
    pub(super) name: Vec<u8>,
}

impl Header {
    /// Reads it.
    ///
    /// # Errors
    /// Redis's text, without code word.
    pub(super) fn parse(code: &[u8]) -> Result<Self, Vec<u8>> {
        const INVALID: &[u8] = b"Invalid library metadata";
        if !code.starts_with(b"#!") {
            return Err(b"Missing library metadata".to_vec());
        }
        let end = code.iter().position(|byte| matches!(byte, b'\n' | 0));
        let end = end.filter(|&end| code[end] == b'\n').ok_or(INVALID)?;
        let words = split(&code[..end]).unwrap_or_default();
        let (engine, options) = words.split_first().ok_or(INVALID)?;
        let mut name = None;
        for option in options {
            let is_name = option.len() >= 5 && option[..5].eq_ignore_ascii_case(b"name=");
            if !is_name {
                return Err([b"Invalid metadata value given: ", &option[..]].concat());
            }
            if name.is_some() {
                let text = "Invalid metadata value, name argument was given multiple times";
                return Err(text.into());
            }
            name = Some(option[5..].to_vec());
        }
        Ok(Self {
            engine: engine.get(2..).unwrap_or_default().to_vec(),
            name: name.ok_or("Library name was not given")?,
        })
    }
}

/// The text for a library or a function whose name is none.
pub(super) const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// The name of a library or a function, if it can be one.
pub(super) fn name_of(text: &[u8]) -> Option<String> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_name = !text.is_empty() && text.iter().all(is_letter);
    is_name.then(|| String::from_utf8_lossy(text).into_owned())
}

/// Libraries by their names, and their functions by theirs, in letters of any case.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    by_name: BTreeMap<String, Arc<Library>>,
    /// A function's library and its place there, by its name in small letters.
    functions: HashMap<String, (Arc<Library>, usize)>,
}

impl Libraries {
    /// The library and place of a function.
    pub fn find(&self, name: &[u8]) -> Option<(&Arc<Library>, usize)> {
        let name = std::str::from_utf8(name).ok()?;
        let found = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.functions.get(&name.to_ascii_lowercase())
        } else {
            self.functions.get(name)
        };
        found.map(|(library, index)| (library, *index))
    }

    /// A function.
    pub fn function(&self, name: &[u8]) -> Option<&Function> {
        let (library, index) = self.find(name)?;
        Some(&library.functions[index])
    }

    /// The library of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Library>> {
        self.by_name.get(name)
    }

    /// All libraries, by their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// Number of libraries.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Number of functions.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// Bytes of the libraries' code and of what is known about them.
    pub fn used_bytes(&self) -> usize {
        let functions = self.functions.keys();
        let names = functions.map(|name| 2 * name.len() + size_of::<Function>());
        let code = self.iter().map(|library| library.code.len());
        code.sum::<usize>() + names.sum::<usize>() + self.len() * size_of::<Library>()
    }

    /// Whether the library of this number is among them.
    pub(super) fn has(&self, library: &Library) -> bool {
        self.get(&library.name)
            .is_some_and(|present| present.id == library.id)
    }

    /// Takes a library in.
    ///
    /// # Errors
    /// It has a function that another library has too: Redis's text, without code word.
    pub fn add(&mut self, library: Arc<Library>) -> Result<(), Vec<u8>> {
        if let Some(function) = library
            .functions
            .iter()
            .find(|function| self.find(function.name.as_bytes()).is_some())
        {
            return Err(format!("Function {} already exists", function.name).into_bytes());
        }
        for (index, function) in library.functions.iter().enumerate() {
            // Of two that differ in the case of letters, calls reach the first.
            self.functions
                .entry(function.name.to_ascii_lowercase())
                .or_insert_with(|| (Arc::clone(&library), index));
        }
        self.by_name.insert(library.name.clone(), library);
        Ok(())
    }

    /// Takes a library out. False: there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(library) = self.by_name.remove(name) else {
            return false;
        };
        self.functions
            .retain(|_, (other, _)| !Arc::ptr_eq(other, &library));
        true
    }

    /// Takes all of `other`'s libraries in.
    ///
    /// # Errors
    /// A library is there already and is not to be replaced, or a function is: Redis's text, without code word.
    pub fn join(&mut self, other: &Self, replace: bool) -> Result<(), Vec<u8>> {
        for library in other.iter() {
            if self.get(&library.name).is_some() && !replace {
                return Err(format!("Library {} already exists", library.name).into_bytes());
            }
            self.remove(&library.name);
        }
        other
            .iter()
            .try_for_each(|library| self.add(Arc::clone(library)))
    }
}

/// The libraries all cores know.
#[derive(Debug, Default)]
pub struct LibraryCache {
    current: RwLock<Arc<Libraries>>,
    /// Held by who makes the next ones.
    changing: Mutex<()>,
    version: AtomicU64,
    next_id: AtomicU64,
}

impl LibraryCache {
    /// The libraries as of now.
    pub fn current(&self) -> Arc<Libraries> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts the changes.
    #[inline]
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A number for a library to be.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Changes the libraries, unless `change` fails: then all stays as it is.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn change<E>(&self, change: impl FnOnce(&mut Libraries) -> Result<(), E>) -> Result<(), E> {
        let changing = self.changing.lock();
        let _changing = changing.unwrap_or_else(PoisonError::into_inner);
        let mut libraries = Libraries::clone(&self.current());
        change(&mut libraries)?;
        let current = self.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Arc::new(libraries);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(id: u64, name: &str, functions: &[&str]) -> Arc<Library> {
        let function = |name: &&str| Function {
            name: (*name).to_owned(),
            description: None,
            flags: ScriptFlags::default(),
        };
        Arc::new(Library {
            id,
            name: name.to_owned(),
            code: (*b"#!lua name=x\nreturn 1").into(),
            functions: functions.iter().map(function).collect(),
        })
    }

    #[test]
    fn a_first_line_names_the_engine_and_the_library() {
        let header = Header::parse(b"#!lua NAME=mylib \nreturn").unwrap();
        assert_eq!(
            (&*header.engine, &*header.name),
            (&b"lua"[..], &b"mylib"[..])
        );
        for (code, error) in [
            ("return 1", "Missing library metadata"),
            ("#!lua name=x", "Invalid library metadata"),
            ("#!lua name=\"x\n", "Invalid library metadata"),
            ("#!lua name=x\0\n", "Invalid library metadata"),
            ("#!lua\n", "Library name was not given"),
            ("#!lua foo=bar\n", "Invalid metadata value given: foo=bar"),
            (
                "#!lua name=a name=b\n",
                "Invalid metadata value, name argument was given multiple times",
            ),
        ] {
            let found = Header::parse(code.as_bytes()).unwrap_err();
            assert_eq!(String::from_utf8(found).unwrap(), error, "{code}");
        }
    }

    #[test]
    fn functions_are_found_in_any_case_and_leave_with_their_library() {
        let mut libraries = Libraries::default();
        libraries
            .add(library(1, "a", &["First", "second"]))
            .unwrap();
        let error = libraries.add(library(2, "b", &["third", "FIRST"]));
        assert_eq!(error.unwrap_err(), b"Function FIRST already exists");
        assert!(libraries.get("b").is_none() && libraries.function(b"third").is_none());
        assert_eq!(libraries.function(b"fIRST").unwrap().name, "First");
        assert_eq!((libraries.len(), libraries.functions()), (1, 2));
        assert!(libraries.used_bytes() > 0);
        assert!(libraries.remove("a") && !libraries.remove("a"));
        assert!(libraries.is_empty() && libraries.function(b"first").is_none());
        assert_eq!(libraries.used_bytes(), 0);
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let cache = LibraryCache::default();
        cache
            .change(|all| all.add(library(1, "a", &["f"])))
            .unwrap();
        let version = cache.version();
        let mut others = Libraries::default();
        others.add(library(2, "a", &["g"])).unwrap();
        others.add(library(3, "b", &["h"])).unwrap();
        let error = cache.change(|all| all.join(&others, false)).unwrap_err();
        assert_eq!(error, b"Library a already exists");
        assert_eq!((cache.version(), cache.current().len()), (version, 1));
        cache.change(|all| all.join(&others, true)).unwrap();
        let current = cache.current();
        assert!(current.function(b"f").is_none() && current.function(b"h").is_some());
        assert_eq!(current.get("a").unwrap().id, 2);
        let mut clash = Libraries::default();
        clash.add(library(4, "c", &["G"])).unwrap();
        let error = cache.change(|all| all.join(&clash, true)).unwrap_err();
        assert_eq!(error, b"Function G already exists");
    }
}
