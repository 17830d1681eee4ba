//! The command line: `larder-server [FILE] [--DIRECTIVE VALUE …]`, or `larder-server check FILE…`.
//!
//! Directives are not options of their own: whatever begins at the first `--DIRECTIVE` goes to
//! [`crate::config::Config::load`] as it stands, so that every directive of the table can be given.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A server.
    Serve(Invocation),
    /// Whether these files can be loaded.
    Check(Vec<PathBuf>),
}

/// How a server is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The configuration file; `-` is standard input.
    pub file: Option<PathBuf>,
    /// The directives, as `Config::load` takes them.
    pub directives: Vec<String>,
}

const ABOUT: &str = "Larder, a thread-per-core cache that speaks Redis's protocol.";

const AFTER_HELP: &str = "\
FILE is in the syntax of redis.conf; every directive of it can be given as
--DIRECTIVE VALUE too. What comes later wins.

larder-server check FILE... runs no server: it reads RDB files to their ends,
says what is in each, or where and why it is damaged, and exits with 1 if one
is. A configuration file of that name is ./check.

Larder's own directives:
  --cores auto|N|LIST
      On which CPUs to run, one thread each: on all the process may use (auto),
      on this many (4), or on a list (0-3,6) [default: auto]
  --core-pinning auto|yes|no
      Whether each thread keeps to its CPU; auto: if there are enough
      [default: auto]
  --core-endpoints yes|no
      Each core also listens on a port of its own, behind PORT, and presents
      itself as a node of a cluster, so that cluster clients send a command
      straight to the core that owns the key [default: no]
  --hot-key-copies yes|no
      Cores keep copies of the most read keys of others and answer reads from
      them, as long as the keys do not change [default: no]
  --io-backend auto|io_uring|epoll
      How sockets are served; auto: by io_uring where the kernel allows it
      [default: auto]

Common directives, as Redis has them:
  --port PORT            TCP port; 0: none [default: 6379]
  --bind ADDRESS...      Addresses to listen on [default: 127.0.0.1 -::1]
  --unixsocket PATH      A unix socket to listen on
  --unixsocketperm MODE  Its permissions, in octal
  --protected-mode yes|no
      Without a password, take clients from this host only [default: yes]
  --requirepass PASSWORD
      The password clients have to give
  --databases N          Databases for SELECT [default: 16]
  --maxclients N         Most connections [default: 10000]
  --timeout SECONDS      Close clients idle this long; 0: never [default: 0]
  --maxmemory BYTES      Bound of memory (100mb, 4gb); 0: none [default: 0]
  --client-query-buffer-limit BYTES
      Most bytes of commands a client may have pending [default: 1gb]
  --client-output-buffer-limit CLASS HARD SOFT SECONDS
      Most bytes of replies that a client of this class (normal, replica,
      pubsub) may leave unread
  --proto-max-bulk-len BYTES
      Longest argument and longest string [default: 512mb]
  --slowlog-log-slower-than MICROSECONDS
      Commands from this long on go to SLOWLOG; -1: none [default: 10000]
  --dir PATH             Working directory
  --loglevel debug|verbose|notice|warning
      How much is logged [default: notice]
  --logfile PATH         Where to; empty: standard output

Examples:
  larder-server                         on 127.0.0.1:6379, one thread per CPU
  larder-server /etc/larder.conf --port 7000
  larder-server --cores 2 --maxmemory 4gb --save ''
  larder-server - < larder.conf

CONFIG GET * on a running server shows every directive. README.md and docs/ say
more.";

/// Reads the process's command line. `--help`, `--version` and what cannot be read (exit code 1) end the process.
pub fn parse() -> Request {
    match parse_from(std::env::args_os()) {
        Ok(request) => request,
        Err(error) => {
            // Where nothing can be printed, the exit code still speaks.
            let _ = error.print();
            std::process::exit(i32::from(error.use_stderr()))
        }
    }
}

/// Reads a command line whose first word is the program's name.
///
/// # Errors
/// A request for help or the version, or what is wrong; each prints itself.
pub fn parse_from(words: impl IntoIterator<Item = OsString>) -> Result<Request, clap::Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    match words.get(1) {
        Some(word) if word == CHECK => files_to_check(&words[2..]).map(Request::Check),
        _ => server_from(words).map(Request::Serve),
    }
}

/// The first word of a command line that has files checked.
const CHECK: &str = "check";

fn files_to_check(words: &[OsString]) -> Result<Vec<PathBuf>, clap::Error> {
    let files = words.iter().map(PathBuf::from).collect::<Vec<_>>();
    match files.is_empty() {
        true => Err(command().error(
            clap::error::ErrorKind::MissingRequiredArgument,
            "check needs the files to be checked\n",
        )),
        false => Ok(files),
    }
}

fn server_from(words: Vec<OsString>) -> Result<Invocation, clap::Error> {
    let mut words: Vec<String> = words
        .into_iter()
        .map(OsString::into_string)
        .collect::<Result<_, _>>()
        .map_err(|word| {
            let text = format!("an argument is not UTF-8 text: {}\n", word.display());
            command().error(clap::error::ErrorKind::InvalidUtf8, text)
        })?;
    let rest = words.split_off(words.len().min(1));
    let file = rest
        .first()
        .filter(|first| *first == "-" || !first.starts_with('-'));
    let directives = &rest[usize::from(file.is_some())..];
    // As with redis-server, only a first argument is an option: behind it, words may be values of directives.
    if file.is_none()
        && directives
            .first()
            .is_some_and(|first| !first.starts_with("--") || is_option(first))
    {
        words.extend(directives.iter().take(1).cloned());
        command().try_get_matches_from(&words)?;
    }
    Ok(Invocation {
        file: file.map(PathBuf::from),
        directives: directives.to_vec(),
    })
}

fn is_option(word: &str) -> bool {
    matches!(word, "--help" | "--version")
}

fn command() -> Command {
    Command::new("larder-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .override_usage(
            "larder-server [FILE | -] [--DIRECTIVE VALUE...]...\n       larder-server check FILE...",
        )
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .help("Configuration file in the syntax of redis.conf; '-' reads standard input"),
        )
        .arg(
            Arg::new("directives")
                .value_name("--DIRECTIVE VALUE...")
                .help("Directives on top of the file's, as redis-server takes them")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true),
        )
        .disable_version_flag(true)
        .arg(
            Arg::new("version")
                .short('v')
                .short_alias('V')
                .long("version")
                .action(ArgAction::Version)
                .help("Print the version"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    fn parse(line: &[&str]) -> Result<Request, ErrorKind> {
        let words = std::iter::once("larder-server").chain(line.iter().copied());
        parse_from(words.map(OsString::from)).map_err(|error| error.kind())
    }

    fn invocation(file: Option<&str>, directives: &[&str]) -> Result<Request, ErrorKind> {
        Ok(Request::Serve(Invocation {
            file: file.map(PathBuf::from),
            directives: directives.iter().map(|word| (*word).to_owned()).collect(),
        }))
    }

    #[test]
    fn files_are_checked_where_the_first_word_says_so() {
        let files = ["--a.rdb", "b.rdb"].map(PathBuf::from).to_vec();
        assert_eq!(
            parse(&["check", "--a.rdb", "b.rdb"]),
            Ok(Request::Check(files))
        );
        assert_eq!(parse(&["check"]), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(parse(&["./check"]), invocation(Some("./check"), &[]));
        let directives = ["--dir", "check"];
        assert_eq!(parse(&directives), invocation(None, &directives));
    }

    #[test]
    fn file_and_directives_may_both_be_missing() {
        assert_eq!(parse(&[]), invocation(None, &[]));
        assert_eq!(parse(&["a.conf"]), invocation(Some("a.conf"), &[]));
        assert_eq!(parse(&["--port", "7"]), invocation(None, &["--port", "7"]));
        assert_eq!(
            parse(&["-", "--port", "7"]),
            invocation(Some("-"), &["--port", "7"])
        );
    }

    #[test]
    fn directives_pass_as_they_stand() {
        let line = [
            "a.conf",
            "--save",
            "60",
            "1",
            "--requirepass",
            "--help",
            "--save",
            "",
            "--foo",
        ];
        assert_eq!(parse(&line), invocation(Some("a.conf"), &line[1..]));
    }

    #[test]
    fn help_and_version_are_asked_for_first() {
        for (word, kind) in [
            ("--help", ErrorKind::DisplayHelp),
            ("-h", ErrorKind::DisplayHelp),
            ("--version", ErrorKind::DisplayVersion),
            ("-v", ErrorKind::DisplayVersion),
            ("-x", ErrorKind::UnknownArgument),
        ] {
            assert_eq!(parse(&[word]), Err(kind), "{word}");
        }
    }

    #[test]
    fn the_help_names_the_directives_that_are_larders_own() {
        let help = command().render_long_help().to_string();
        for name in [
            "--cores",
            "--core-endpoints",
            "--hot-key-copies",
            "--core-pinning",
            "--io-backend",
            "--port",
            "FILE",
        ] {
            assert!(help.contains(name), "{name}");
        }
        command().debug_assert();
    }
}
