//! Where the program of a server is: named by `--program`, beside this executable, or on `PATH`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The places to look in.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    named: BTreeMap<String, PathBuf>,
    directories: Vec<PathBuf>,
}

impl Programs {
    /// Takes the `NAME=PATH` texts of `--program`.
    ///
    /// # Errors
    /// A text of another form, or a path that is no program: what was asked for by name must be there.
    pub(crate) fn new(named: &[String]) -> Result<Self, String> {
        let mut programs = Self::default();
        for text in named {
            let (name, path) = text
                .split_once('=')
                .filter(|(name, path)| !name.is_empty() && !path.is_empty())
                .ok_or_else(|| format!("--program takes NAME=PATH, not {text}"))?;
            let path = PathBuf::from(path);
            if !is_program(&path) {
                return Err(format!(
                    "--program {name}: {} is no program",
                    path.display()
                ));
            }
            programs.named.insert(name.to_owned(), absolute(path));
        }
        let here = std::env::current_exe().ok();
        programs
            .directories
            .extend(here.as_deref().and_then(Path::parent).map(Path::to_owned));
        let path = std::env::var_os("PATH").unwrap_or_default();
        programs.directories.extend(std::env::split_paths(&path));
        Ok(programs)
    }

    /// The program of the server called `server`, which its command calls `word`; `None` when there is none.
    pub(crate) fn find(&self, server: &str, word: &str) -> Option<PathBuf> {
        if let Some(path) = self.named.get(server).or_else(|| self.named.get(word)) {
            return Some(path.clone());
        }
        if word.contains('/') {
            return Some(PathBuf::from(word))
                .filter(|path| is_program(path))
                .map(absolute);
        }
        let candidates = self
            .directories
            .iter()
            .map(|directory| directory.join(word));
        candidates
            .filter(|path| is_program(path))
            .map(absolute)
            .next()
    }

    /// The names given by `--program` that are neither a server's nor a program's of `servers` (name and word).
    pub(crate) fn unused(&self, servers: &[(&str, &str)]) -> Vec<String> {
        let used = |name: &&String| {
            servers
                .iter()
                .any(|(server, word)| server == name || word == name)
        };
        self.named
            .keys()
            .filter(|name| !used(name))
            .cloned()
            .collect()
    }
}

/// A server runs in a directory of its own, so its program may not be named relative to this one.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn is_program(path: &Path) -> bool {
    let executable =
        |data: std::fs::Metadata| data.is_file() && data.permissions().mode() & 0o111 != 0;
    path.metadata().is_ok_and(executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_option_first_and_on_the_path_last() {
        let shell = Programs::new(&[]).unwrap().find("any", "sh").unwrap();
        assert!(shell.is_absolute());
        let this = std::env::current_exe().unwrap();
        let option = format!("sh={}", this.display());
        let programs = Programs::new(&[option]).unwrap();
        assert_eq!(programs.find("any", "sh"), Some(this.clone()));
        assert_eq!(programs.find("sh", "no-such-program"), Some(this.clone()));
        assert_eq!(programs.find("any", "no-such-program"), None);
        assert_eq!(
            programs.find("any", &this.display().to_string()),
            Some(this)
        );
        assert_eq!(programs.unused(&[("a", "b")]), ["sh"]);
    }

    #[test]
    fn an_option_that_names_no_program_is_refused() {
        for text in ["sh", "=x", "a=", "a=no/such/file"] {
            assert!(Programs::new(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
