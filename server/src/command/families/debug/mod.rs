//! `DEBUG`: what test suites use. Off unless `enable-debug-command` allows it (`dispatch/core/protect.rs`).

mod digest;
mod reload;

use std::time::Duration;

use larder_engine::{Access, Encoding, parse_canonical_i64};

use crate::command::families::dump::serialized_bytes;
use crate::command::{
    Args, CommandSpec, CoreCall, CoreFn, CoreRequest, Flags, Group, KeyAccess, Round, Rounds, Run,
};
use crate::glob::{self, Case};
use crate::log;
use crate::rdb::Checksum;
use crate::resp::{ErrorReply, Reply, errors};
use crate::routing::{CoreId, SlotMap};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "debug",
    arity: -2,
    flags: Flags::OPERATOR.with(Flags::PROTECTED),
    group: Group::Server,
    summary: "Helps test suites and debugging.",
    complexity: "Depends on subcommand",
    run: Run::RoundsOfAll { begin, reaches },
    syntax: "<SLEEP seconds|SET-ACTIVE-EXPIRE <0|1>|RELOAD [MERGE] [NOFLUSH]|DIGEST|DIGEST-VALUE key [key ...]|OBJECT key|LISTPACK key|QUICKLIST key|SET-SKIP-CHECKSUM-VALIDATION <0|1>|PROTOCOL type|STRINGMATCH-LEN length pattern|CHANGE-REPL-ID|ERROR message|LOG message|QUICKLIST-PACKED-THRESHOLD size|PAUSE-CRON <0|1>|REPLYBUFFER <PEAK-RESET-TIME <time|NEVER|RESET>|RESIZING <0|1>>|HELP>",
    ..CommandSpec::BASE
}];

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANGE-REPL-ID",
    "    Accepted; there is no replication whose id could change.",
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate Redis errors.",
    "LISTPACK <key>",
    "    Show low level info about the listpack encoding of <key>, in the log.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "PAUSE-CRON <0|1>",
    "    Stop what is done in the background ten times a second.",
    "PANIC",
    "    Crash the server simulating a panic.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "QUICKLIST <key>",
    "    Show low level info about the quicklist encoding of <key>, in the log.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted; which elements lie by themselves does not follow from it.",
    "RELOAD [MERGE] [NOFLUSH]",
    "    Write every entry in the form of DUMP and read it back.",
    "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|time>|RESIZING <0|1>",
    "    Accepted; a connection keeps no buffer that would change its size.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not",
    "    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the",
    "    default.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Enables or disables checksum checks for RESTORE payloads.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
    "STRINGMATCH-LEN <length> <pattern>",
    "    Match a text of <length> letters `a` against <pattern>.",
    "HELP",
    "    Prints this help.",
];

/// What is to be done.
#[derive(Debug)]
enum Task {
    /// Answers what this writes.
    Reply(fn(&[Vec<u8>], &mut Reply<'_>) -> Result<(), ErrorReply>),
    /// Asks all cores, and answers `OK`.
    EveryCore(CoreFn),
    /// Asks the core that owns the key at argument 2; its answer is the reply, a status or an error.
    KeysCore(CoreFn),
    /// Asks for the digest of each key.
    DigestValues,
    /// Asks every core for the digest of its keys.
    Digest,
    /// Asks every core to make its entries anew, those in the list from there on.
    Reload(Vec<(CoreId, reload::At)>),
}

#[derive(Debug)]
struct Debug {
    words: Vec<Vec<u8>>,
    task: Task,
    cores: u16,
    /// The cores of arguments 2 and those behind, were these keys.
    owners: Vec<CoreId>,
    has_asked: bool,
}

/// `RELOAD` and `DIGEST` see the keyspace as it is at one moment.
fn reaches(args: &Args<'_>) -> Option<KeyAccess> {
    match () {
        () if args.is(1, "reload") => Some(KeyAccess::Write),
        () if args.is(1, "digest") => Some(KeyAccess::Read),
        () => None,
    }
}

fn begin(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let is = |word: &str, len: usize| args.is(1, word) && args.len() == len;
    let task = if is("help", 2) {
        Task::Reply(|_, reply| {
            reply.help(HELP);
            Ok(())
        })
    } else if is("sleep", 3) {
        Task::EveryCore(sleep)
    } else if is("set-active-expire", 3) {
        Task::EveryCore(set_active_expire)
    } else if is("pause-cron", 3) {
        Task::EveryCore(pause_periods)
    } else if is("set-skip-checksum-validation", 3) {
        Task::EveryCore(set_checksums)
    } else if is("set-disable-deny-scripts", 3) {
        Task::EveryCore(let_scripts_call_all)
    } else if is("object", 3) {
        Task::KeysCore(describe_entry)
    } else if is("listpack", 3) {
        Task::KeysCore(log_listpack)
    } else if is("quicklist", 3) || is("quicklist", 4) {
        Task::KeysCore(log_quicklist)
    } else if is("digest", 2) {
        Task::Digest
    } else if args.is(1, "digest-value") {
        Task::DigestValues
    } else if args.is(1, "reload") {
        reload::check(args)?;
        let cores = (0..slots.cores()).map(CoreId);
        Task::Reload(cores.map(|core| (core, reload::At::default())).collect())
    } else if is("panic", 2) {
        Task::Reply(|_, _| panic!("DEBUG PANIC asked for it"))
    } else if is("protocol", 3) {
        Task::Reply(protocol)
    } else if is("stringmatch-len", 4) {
        Task::Reply(string_match)
    } else if is("error", 3) {
        Task::Reply(|words, _| Err(ErrorReply::new(words[2].as_slice())))
    } else if is("log", 3) {
        Task::Reply(|words, reply| {
            log::warn(format_args!(
                "DEBUG LOG: {}",
                String::from_utf8_lossy(&words[2])
            ));
            reply.ok();
            Ok(())
        })
    } else if is("change-repl-id", 2) || is("quicklist-packed-threshold", 3) || is("replybuffer", 4)
    {
        Task::Reply(|_, reply| {
            reply.ok();
            Ok(())
        })
    } else if args.is(1, "loadaof") || args.is(1, "restart") {
        Task::Reply(|_, _| Err(errors::NO_RELOAD))
    } else {
        return Err(errors::subcommand_syntax(args.at(0), args.at(1)));
    };
    Ok(Box::new(Debug {
        words: args.iter_from(0).map(<[u8]>::to_vec).collect(),
        task,
        cores: slots.cores(),
        owners: args.iter_from(2).map(|key| slots.core_of(key)).collect(),
        has_asked: false,
    }))
}

impl Debug {
    fn ask(&self, core: CoreId, run: CoreFn) -> CoreRequest {
        CoreRequest {
            core,
            run,
            args: self.words.clone(),
        }
    }

    fn ask_all(&self, run: CoreFn) -> Round {
        Round::ask_all(self.cores, run, &self.words)
    }

    fn act(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        self.has_asked = true;
        Ok(match &self.task {
            Task::EveryCore(run) => self.ask_all(*run),
            Task::KeysCore(run) => Round::Ask(vec![self.ask(self.owners[0], *run)]),
            Task::Digest => self.ask_all(digest::digest_of_core),
            Task::DigestValues if self.owners.is_empty() => {
                reply.array(0);
                Round::Done
            }
            Task::DigestValues => {
                let keys = self.owners.iter().zip(&self.words[2..]);
                let requests = keys.map(|(&core, key)| digest::request_of_value(core, key));
                Round::Ask(requests.collect())
            }
            Task::Reload(places) => {
                let requests = places.iter().map(|&(core, at)| reload::request(core, at));
                Round::Ask(requests.collect())
            }
            Task::Reply(write) => {
                write(&self.words, reply)?;
                Round::Done
            }
        })
    }

    /// The cores that have not come to their end go on.
    fn reload_on(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let Task::Reload(places) = &mut self.task else {
            unreachable!("asked for nothing else")
        };
        let mut left = Vec::new();
        for (&(core, _), answer) in places.iter().zip(answers) {
            left.extend(reload::next_of(answer)?.map(|at| (core, at)));
        }
        *places = left;
        if places.is_empty() {
            reply.ok();
            return Ok(Round::Done);
        }
        self.act(reply)
    }
}

impl Rounds for Debug {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        if !self.has_asked {
            return self.act(reply);
        }
        match &self.task {
            Task::KeysCore(_) => match answers[0] {
                [] => return Err(errors::NO_SUCH_KEY),
                [b'-', error @ ..] => return Err(ErrorReply::new(error)),
                status => reply.status(&String::from_utf8_lossy(status)),
            },
            Task::Digest => reply.status(&digest::digest_of_all(answers).hex()),
            Task::DigestValues => {
                reply.array(answers.len());
                for answer in answers {
                    reply.status(&digest::Digest::of(answer).hex());
                }
            }
            Task::Reload(_) => return self.reload_on(answers, reply),
            Task::Reply(_) | Task::EveryCore(_) => reply.ok(),
        }
        Ok(Round::Done)
    }
}

/// Puts the core to sleep. The core that was asked sleeps before its request to the others leaves.
fn sleep(call: &mut CoreCall<'_>) {
    let seconds = std::str::from_utf8(call.args.at(2))
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    // As in Redis, what is no number is zero.
    if let Ok(duration) = Duration::try_from_secs_f64(seconds.unwrap_or(0.0)) {
        std::thread::sleep(duration);
    }
}

fn pause_periods(call: &mut CoreCall<'_>) {
    call.core.periods_pause = call.args.at(2) != b"0";
}

fn set_active_expire(call: &mut CoreCall<'_>) {
    call.core.active_expire = call.args.at(2) != b"0";
}

/// Each core sets what all share, and has it at once.
fn set_checksums(call: &mut CoreCall<'_>) {
    let is = match call.args.at(2) {
        b"0" => Checksum::Checked,
        _ => Checksum::Skipped,
    };
    let core = &mut *call.core;
    let set = core.shared.update_config(|config| {
        Ok::<_, std::convert::Infallible>(config.clone().with_payload_checksums(is))
    });
    match set {
        Ok(()) => core.config = core.shared.config(),
        Err(never) => match never {},
    }
}

/// All cores set what they share.
fn let_scripts_call_all(call: &mut CoreCall<'_>) {
    let may_call_all = call.args.at(2) != b"0";
    let shared = &call.core.shared;
    shared
        .scripts_may_call_all
        .store(may_call_all, std::sync::atomic::Ordering::Relaxed);
}

fn describe_entry(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(2));
    let now = shard.now();
    if let Some(entry) = shard.get(call.db, key, Access::Peek) {
        let text = format!(
            "Value at:0x0 refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
            entry.encoding().name(),
            serialized_bytes(&entry),
            entry.access().0,
            entry.access().idle_secs(now),
        );
        call.out.extend_from_slice(text.as_bytes());
    }
}

fn log_listpack(call: &mut CoreCall<'_>) {
    let is_one = |encoding| matches!(encoding, Encoding::ListPack | Encoding::ListPackEx);
    log_structure(call, "Listpack", is_one, &errors::NOT_A_LISTPACK);
}

fn log_quicklist(call: &mut CoreCall<'_>) {
    let is_one = |encoding| encoding == Encoding::QuickList;
    log_structure(call, "Quicklist", is_one, &errors::NOT_A_QUICKLIST);
}

/// Writes to the log how the value at the key at argument 2 is stored, if it is of an encoding; else answers the error.
fn log_structure(
    call: &mut CoreCall<'_>,
    name: &str,
    is_one: impl Fn(Encoding) -> bool,
    error: &ErrorReply,
) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(2));
    let Some(entry) = shard.get(call.db, key, Access::Peek) else {
        return;
    };
    if !is_one(entry.encoding()) {
        call.out.push(b'-');
        call.out.extend_from_slice(error.text());
        return;
    }
    log::warn(format_args!(
        "DEBUG {name} of '{}': {} elements, {} bytes of value, {} bytes in memory, {}",
        call.args.at(2).escape_ascii(),
        entry.elements(),
        entry.value_bytes(),
        entry.memory_bytes(),
        if entry.is_whole() {
            "packed"
        } else {
            "in nodes"
        },
    ));
    let answer = format!("{name} structure printed on stdout");
    call.out.extend_from_slice(answer.as_bytes());
}

/// A value of each type of the protocol, as Redis answers it.
fn protocol(words: &[Vec<u8>], reply: &mut Reply<'_>) -> Result<(), ErrorReply> {
    let is_resp3 = reply.is_resp3();
    match words[2].to_ascii_lowercase().as_slice() {
        b"string" => reply.text("Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double_text("3.141"),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                reply.raw(b"|1\r\n");
                reply.text("key-popularity");
                reply.array(2);
                reply.text("key:123");
                reply.integer(90);
            }
            reply.text("Some real reply following the attribute");
        }
        b"push" => {
            if !is_resp3 {
                return Err(errors::NOT_IN_RESP2);
            }
            reply.push(2);
            reply.text("server-cpu-usage");
            reply.integer(42);
            reply.text("Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => return Err(errors::BAD_PROTOCOL_TYPE),
    }
    Ok(())
}

fn string_match(words: &[Vec<u8>], reply: &mut Reply<'_>) -> Result<(), ErrorReply> {
    /// Longer texts tell no more.
    const LENGTH_MAX: i64 = 1 << 20;
    let length = parse_canonical_i64(&words[2])
        .ok_or(errors::NOT_AN_INTEGER)?
        .clamp(0, LENGTH_MAX);
    let text = vec![b'a'; usize::try_from(length).unwrap_or(0)];
    reply.integer(glob::matches(&words[3], &text, Case::Sensitive).into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;
    use crate::resp::Protocol;

    /// Plays the rounds of a command; every core answers `answer` whenever it is asked.
    fn played(command: &[&str], protocol: Protocol, answer: &[u8]) -> Result<String, ErrorReply> {
        let (bytes, ranges) = words(command);
        let mut rounds = begin(&Args::new(&bytes, &ranges), &SlotMap::even(2))?;
        let mut out = Vec::new();
        let mut asked = 0;
        loop {
            let answers = vec![answer; asked];
            match rounds.next(&answers, &mut Reply::new(&mut out, protocol))? {
                Round::Ask(requests) => asked = requests.len(),
                Round::Done => return Ok(String::from_utf8(out).unwrap()),
                Round::Wait(_) | Round::Hand(..) | Round::GoOn | Round::Reply(_) => {
                    unreachable!("it neither blocks nor hands over, nor is it long")
                }
            }
        }
    }

    #[test]
    fn a_value_of_every_type_is_answered() {
        for (kind, resp2, resp3) in [
            ("double", "$5\r\n3.141\r\n", ",3.141\r\n"),
            (
                "map",
                "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n",
                "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n",
            ),
            (
                "verbatim",
                "$25\r\nThis is a verbatim\nstring\r\n",
                "=29\r\ntxt:This is a verbatim\nstring\r\n",
            ),
            ("TRUE", ":1\r\n", "#t\r\n"),
        ] {
            assert_eq!(
                played(&["debug", "protocol", kind], Protocol::Resp2, b"1").unwrap(),
                resp2
            );
            assert_eq!(
                played(&["debug", "protocol", kind], Protocol::Resp3, b"1").unwrap(),
                resp3
            );
        }
        assert_eq!(
            played(&["debug", "protocol", "push"], Protocol::Resp2, b"1"),
            Err(errors::NOT_IN_RESP2)
        );
        assert_eq!(
            played(&["debug", "protocol", "x"], Protocol::Resp2, b"1"),
            Err(errors::BAD_PROTOCOL_TYPE)
        );
    }

    #[test]
    fn a_subcommand_that_there_is_not_is_refused() {
        for command in [
            &["debug", "bogus"][..],
            &["debug", "sleep"],
            &["debug", "object", "a", "b"],
        ] {
            assert!(played(command, Protocol::Resp2, b"1").is_err());
        }
        assert_eq!(
            played(&["debug", "reload", "nosave"], Protocol::Resp2, b"1"),
            Err(errors::NO_RELOAD)
        );
        assert_eq!(
            played(&["debug", "reload", "noflush"], Protocol::Resp2, b"1"),
            Err(errors::CANNOT_RELOAD)
        );
        assert_eq!(
            played(&["debug", "reload", "x"], Protocol::Resp2, b"1"),
            Err(errors::BAD_RELOAD_OPTION)
        );
        assert_eq!(
            played(&["debug", "error", "OOPS no"], Protocol::Resp2, b"1"),
            Err(ErrorReply::new("OOPS no"))
        );
        assert_eq!(
            played(
                &["debug", "stringmatch-len", "3", "a*a"],
                Protocol::Resp2,
                b"1"
            )
            .unwrap(),
            ":1\r\n"
        );
    }
}
