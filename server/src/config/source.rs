//! Loading: files in the syntax of `redis.conf`, and arguments.
//!
//! A line is a directive and its words, quoted where need be; `#` begins a comment line. `include FILE` stands for the
//! file's lines; its last component may be a glob, which may match nothing.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Location};
use super::rename::Renames;
use super::table::DIRECTIVES;
use super::treatment::{self, REFUSED_LINES};
use super::value::{self, Saving};
use super::{Config, default_values, find, table};
use crate::glob::{self, Case};
use crate::resp::parser::words;

/// How deep files may include each other.
const MAX_INCLUDE_DEPTH: usize = 16;

/// Loads `file`, standard input if asked for, and `args`, in this order.
pub(super) fn load(file: Option<&Path>, args: &[String]) -> Result<Config, ConfigError> {
    let mut loader = Loader {
        values: default_values(),
        places: vec![None; DIRECTIVES.len()],
        renames: Renames::default(),
    };
    let (args, mut from_stdin) = without_stdin_mark(args);
    let file = file.filter(|file| {
        let is_stdin = *file == Path::new("-");
        from_stdin |= is_stdin;
        !is_stdin
    });
    let file = file.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    if let Some(file) = &file {
        loader.read_file(file, 0)?;
    }
    if from_stdin {
        let mut text = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut text);
        read.map_err(|error| refused(Location::Stdin(0), "", format!("cannot be read: {error}")))?;
        loader.read_lines(&text, &Location::Stdin, 0)?;
    }
    for words in directives_of(args)? {
        loader.apply(words, &Location::Argument, 0)?;
    }
    loader.refuse_what_is_not_obeyed()?;
    Ok(Config::of(loader.values, file, loader.renames))
}

struct Loader {
    values: Vec<String>,
    /// Where each directive was set last.
    places: Vec<Option<Location>>,
    renames: Renames,
}

impl Loader {
    fn read_file(&mut self, path: &Path, depth: usize) -> Result<(), ConfigError> {
        let text = std::fs::read(path).map_err(|error| {
            refused(
                Location::File(path.to_owned(), 0),
                "",
                format!("cannot be read: {error}"),
            )
        })?;
        self.read_lines(&text, &|line| Location::File(path.to_owned(), line), depth)
    }

    fn read_lines(
        &mut self,
        text: &[u8],
        location: &dyn Fn(usize) -> Location,
        depth: usize,
    ) -> Result<(), ConfigError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let location = location(index + 1);
            let words = words::split(line).map_err(|words::UnbalancedQuotes| {
                refused(location.clone(), "", "unbalanced quotes")
            })?;
            self.apply(to_text(words, &location)?, &location, depth)?;
        }
        Ok(())
    }

    /// Applies one directive: its name and its words.
    fn apply(
        &mut self,
        mut words: Vec<String>,
        location: &Location,
        depth: usize,
    ) -> Result<(), ConfigError> {
        if words.is_empty() {
            return Ok(());
        }
        let name = words.remove(0).to_ascii_lowercase();
        let refuse = |reason: &str| Err(refused(location.clone(), &name, reason));
        let Some(found) = find(&name) else {
            if name == "include" {
                let [pattern] = words.as_slice() else {
                    return refuse("wrong number of arguments");
                };
                return self.include(pattern, location, depth);
            }
            if name == "rename-command" {
                let Ok([from, to]) = <[String; 2]>::try_from(words) else {
                    return refuse("wrong number of arguments");
                };
                self.renames.push(from, to, location.clone());
                return Ok(());
            }
            if let Some((_, least, why)) = REFUSED_LINES.iter().find(|(known, ..)| *known == name) {
                if words.len() < *least {
                    return refuse("wrong number of arguments");
                }
                if name == "user" && treatment::is_unbound_default_user(&words) {
                    return Ok(());
                }
                return refuse(why);
            }
            if table::RETIRED.contains(&name.as_str()) && words.len() == 1 {
                return Ok(());
            }
            return refuse("there is no such directive");
        };
        let directive = found.directive();
        if let ([one], true) = (words.as_slice(), directive.kind.takes_words())
            && !one.is_empty()
        {
            let Ok(split) = words::split(one.as_bytes()) else {
                return refuse("unbalanced quotes");
            };
            words = to_text(split, location)?;
        }
        // The default of `save` is gone with its first line.
        let saving = match self.places[found.index] {
            Some(_) => Saving::Adds,
            None => Saving::Replaces,
        };
        let set = value::canonical(directive, &words, &self.values[found.index], saving)
            .map_err(|reason| refused(location.clone(), &name, reason))?;
        self.values[found.index] = set;
        self.places[found.index] = Some(location.clone());
        Ok(())
    }

    /// What protects and is not obeyed stops the start, once nothing behind it can take it back.
    fn refuse_what_is_not_obeyed(&self) -> Result<(), ConfigError> {
        let set = DIRECTIVES.iter().zip(&self.values).zip(&self.places);
        for ((directive, value), location) in set {
            if let (Some(why), Some(location)) = (
                treatment::refusal(directive.name, value, directive.default),
                location,
            ) {
                return Err(refused(location.clone(), directive.name, why));
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        pattern: &str,
        location: &Location,
        depth: usize,
    ) -> Result<(), ConfigError> {
        if depth >= MAX_INCLUDE_DEPTH {
            return Err(refused(
                location.clone(),
                "include",
                "files include each other too deep",
            ));
        }
        for file in included_files(Path::new(pattern)) {
            self.read_file(&file, depth + 1)?;
        }
        Ok(())
    }
}

/// The files a pattern names, in order. Without wildcards it is a file, there or not.
fn included_files(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().unwrap_or_default().as_encoded_bytes();
    if !name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
        return vec![pattern.to_owned()];
    }
    let parent = pattern
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(parent.unwrap_or(Path::new(".")))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| {
            let entry = entry.file_name();
            let entry = entry.as_encoded_bytes();
            let hidden = entry.starts_with(b".") && !name.starts_with(b".");
            !hidden && glob::matches(name, entry, Case::Sensitive)
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// Takes the `-` for standard input off either end of the arguments.
fn without_stdin_mark(args: &[String]) -> (&[String], bool) {
    match args {
        [first, rest @ ..] if first == "-" => (rest, true),
        [rest @ .., last] if last == "-" => (rest, true),
        _ => (args, false),
    }
}

/// Cuts arguments into directives: `--name` begins one, unless the one before has no word yet. `--save` may stand
/// without a word and then means none; `"--port 7000"` may be one argument.
fn directives_of(args: &[String]) -> Result<Vec<Vec<String>>, ConfigError> {
    let mut directives: Vec<Vec<String>> = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let expects_word = directives.last().is_some_and(|words| words.len() == 1);
        let Some(name) = arg.strip_prefix("--").filter(|_| !expects_word) else {
            match directives.last_mut() {
                Some(words) => words.push(arg.clone()),
                None => {
                    let reason =
                        format!("'{arg}' is neither a directive (--NAME VALUE) nor a value");
                    return Err(refused(Location::Argument, "", reason));
                }
            }
            continue;
        };
        let words = words::split(name.as_bytes()).map_err(|words::UnbalancedQuotes| {
            refused(Location::Argument, name, "unbalanced quotes")
        })?;
        let mut words = to_text(words, &Location::Argument)?;
        let is_save = matches!(words.as_slice(), [only] if only.eq_ignore_ascii_case("save"));
        if is_save
            && args
                .get(index + 1)
                .is_none_or(|next| next.starts_with("--"))
        {
            words.push(String::new());
        }
        if words.is_empty() {
            return Err(refused(
                Location::Argument,
                "",
                "'--' without the name of a directive",
            ));
        }
        directives.push(words);
    }
    Ok(directives)
}

fn to_text(words: Vec<Vec<u8>>, location: &Location) -> Result<Vec<String>, ConfigError> {
    let words: Result<Vec<String>, _> = words.into_iter().map(String::from_utf8).collect();
    words.map_err(|_| refused(location.clone(), "", "not UTF-8 text"))
}

pub(super) fn refused(
    location: Location,
    directive: &str,
    reason: impl Into<String>,
) -> ConfigError {
    ConfigError {
        location,
        directive: directive.to_owned(),
        reason: reason.into(),
    }
}
