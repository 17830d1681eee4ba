//! `CONFIG`: the configuration in force, read and changed by clients.

use crate::command::{
    Args, CommandSpec, CoreCall, Flags, Group, KeyAccess, Round, Rounds, Run, SessionCall,
};
use crate::config::ConfigSetError;
use crate::glob;
use crate::observe::Removed;
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "config",
    arity: -2,
    group: Group::Server,
    since: "2.0.0",
    summary: "A container for commands about the configuration.",
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "config|get",
        arity: -3,
        flags: Flags::OPERATOR,
        group: Group::Server,
        since: "2.0.0",
        syntax: "parameter [parameter ...]",
        summary: "Returns the values of directives.",
        complexity: "O(N) when N is the number of configuration parameters provided",
        run: Run::OnSession(get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "config|help",
        arity: 2,
        flags: Flags::ANYTIME,
        group: Group::Server,
        since: "5.0.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "config|resetstat",
        arity: 2,
        flags: Flags::OPERATOR,
        group: Group::Server,
        since: "2.0.0",
        summary: "Sets the counters that INFO shows to zero.",
        run: Run::EveryCore {
            each: reset_each,
            merge: reset_merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "config|rewrite",
        arity: 2,
        flags: Flags::OPERATOR,
        group: Group::Server,
        since: "2.8.0",
        summary: "Writes the configuration in force to the configuration file.",
        run: Run::OnSession(rewrite),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "config|set",
        arity: -4,
        flags: Flags::OPERATOR,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        group: Group::Server,
        since: "2.0.0",
        syntax: "parameter value [parameter value ...]",
        summary: "Changes directives while the server runs.",
        complexity: "O(N) when N is the number of configuration parameters provided",
        run: Run::RoundsOfAll {
            begin: begin_setting,
            reaches: |_| Some(KeyAccess::Write),
        },
        ..CommandSpec::BASE
    },
];

const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
    "HELP",
    "    Prints this help.",
];

fn get(call: &mut SessionCall<'_>) -> CommandResult {
    let mut shown: Vec<(Vec<u8>, String)> = Vec::new();
    for pattern in call.args.iter_from(2) {
        let is_name = glob::is_literal(pattern);
        for (name, value) in call.core.config.get(pattern) {
            // A directive asked for by its name is answered by the name as it was asked for.
            let name = if is_name { pattern } else { name.as_bytes() };
            if !shown
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
            {
                shown.push((name.to_vec(), value));
            }
        }
    }
    call.reply(|reply| {
        reply.map(shown.len());
        for (name, value) in &shown {
            reply.bulk(name);
            reply.text(value);
        }
    });
    Ok(())
}

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

fn reset_each(call: &mut CoreCall<'_>) {
    let removed = Removed::of(&call.core.shard);
    call.core.timing.count_so_far(&mut call.core.stats);
    call.core.stats.reset();
    call.core.stats.removed_before = removed;
    call.core.observed.slot_costs.reset();
    if call.core.id == CoreId(0) {
        call.core.shared.exceeded.reset();
    }
}

fn reset_merge(_: &Args<'_>, _: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply.ok();
    Ok(())
}

fn rewrite(call: &mut SessionCall<'_>) -> CommandResult {
    call.core
        .config
        .rewrite()
        .map_err(|error| ErrorReply::new(format!("ERR {error}")))?;
    call.reply(|reply| reply.ok());
    Ok(())
}

/// `CONFIG SET`: the session's core changes the configuration, and it is answered when all cores have it in force.
#[derive(Debug)]
struct Setting {
    /// The command's words.
    words: Vec<Vec<u8>>,
    cores: u16,
    step: SettingStep,
}

#[derive(Debug)]
enum SettingStep {
    Change,
    HaveFollowed,
    Reply,
}

fn begin_setting(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    if !args.len().is_multiple_of(2) {
        return Err(errors::SYNTAX);
    }
    Ok(Box::new(Setting {
        words: args.iter_from(0).map(<[u8]>::to_vec).collect(),
        cores: slots.cores(),
        step: SettingStep::Change,
    }))
}

impl Rounds for Setting {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            SettingStep::Change => {
                self.step = SettingStep::HaveFollowed;
                let words = std::mem::take(&mut self.words);
                Ok(Round::ask_all(self.cores, set_if_asking, &words))
            }
            SettingStep::HaveFollowed => {
                if let Some(refusal) = answers.iter().find(|answer| !answer.is_empty()) {
                    let refusal = String::from_utf8_lossy(refusal);
                    return Err(ErrorReply::new(format!("ERR {refusal}")));
                }
                self.step = SettingStep::Reply;
                // A core takes a changed configuration in before it runs what it is asked.
                Ok(Round::ask_all(self.cores, |_| {}, &[]))
            }
            SettingStep::Reply => {
                reply.ok();
                Ok(Round::Done)
            }
        }
    }

    fn held_bytes(&self) -> usize {
        self.words.iter().map(Vec::capacity).sum()
    }
}

/// Changes the configuration on the core of the session that asks. Answers why not.
fn set_if_asking(call: &mut CoreCall<'_>) {
    let Some(session) = &call.asking else {
        return;
    };
    let origin = session.peer.origin();
    let args = call.args;
    let changes: Vec<(&[u8], &[u8])> = (2..args.len())
        .step_by(2)
        .map(|at| (args.at(at), args.at(at + 1)))
        .collect();
    let shared = &call.core.shared;
    let changed = shared.update_config(|present| -> Result<_, ConfigSetError> {
        let next = present.with_from(origin, &changes)?;
        if next.maxclients > present.maxclients {
            next.check_maxclients(shared.clients_possible(next.maxclients))?;
        }
        Ok(next)
    });
    if let Err(refusal) = changed {
        call.out.extend_from_slice(refusal.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Origin;
    use crate::session::Peer;

    #[test]
    fn clients_on_this_host_are_local() {
        for (addr, unix, expected) in [
            ("127.0.0.1:5", false, Origin::Local),
            ("[::1]:5", false, Origin::Local),
            ("::1:5", false, Origin::Local),
            ("[::ffff:127.0.0.1]:5", false, Origin::Local),
            ("/run/larder.sock:0", true, Origin::Local),
            ("10.0.0.1:5", false, Origin::Remote),
            ("", false, Origin::Remote),
        ] {
            assert_eq!(
                Peer {
                    addr: addr.into(),
                    unix,
                    ..Peer::default()
                }
                .origin(),
                expected,
                "{addr}"
            );
        }
    }
}
