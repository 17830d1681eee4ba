//! `LARDER QUOTA`: limits on the memory of keys of a prefix, and on the rate of commands on them ([`crate::quota`]).
//!
//! It reads and changes the directive `larder-quota`, so what it sets is what `CONFIG GET` shows and `CONFIG REWRITE` keeps.

use larder_engine::parse_canonical_i64;

use crate::command::{Args, CommandSpec, Flags, Group, Run, SessionCall};
use crate::config::{Config, ConfigSetError, QuotaSetting, quota_bytes, quotas_text};
use crate::quota::Quota;
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// `LARDER QUOTA`.
pub(super) const SPEC: CommandSpec = CommandSpec {
    name: "larder|quota",
    arity: -3,
    flags: Flags::OPERATOR.with(Flags::WHOLE_KEYSPACE),
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    group: Group::Server,
    since: super::LARDER_ITSELF,
    syntax: "<prefix bytes ops | SET prefix [BYTES bytes] [OPS ops] | GET prefix | DEL prefix [prefix ...] | LIST>",
    summary: "Limits the memory of keys of a prefix, and the rate of commands on them.",
    complexity: "O(N) where N is the number of quotas",
    run: Run::OnSession(quota),
    ..CommandSpec::BASE
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked<'a> {
    /// Another limit, or the one there is.
    Set {
        prefix: &'a str,
        bytes: Option<u64>,
        ops: Option<u64>,
    },
    Get(&'a str),
    Del(Vec<&'a str>),
    List,
}

fn parse<'a>(args: &Args<'a>) -> Result<Asked<'a>, ErrorReply> {
    match args.len() {
        3 if args.is(2, "LIST") => Ok(Asked::List),
        4 if args.is(2, "GET") => Ok(Asked::Get(prefix(args.at(3))?)),
        4.. if args.is(2, "DEL") => {
            let prefixes: Result<_, _> = args.iter_from(3).map(prefix).collect();
            Ok(Asked::Del(prefixes?))
        }
        4.. if args.is(2, "SET") => parse_set(args),
        5 => Ok(Asked::Set {
            prefix: prefix(args.at(2))?,
            bytes: Some(bytes(args.at(3))?),
            ops: Some(ops(args.at(4))?),
        }),
        _ => Err(errors::SYNTAX),
    }
}

fn parse_set<'a>(args: &Args<'a>) -> Result<Asked<'a>, ErrorReply> {
    let (mut new_bytes, mut new_ops) = (None, None);
    let mut at = 4;
    while at < args.len() {
        let value = args.get(at + 1).ok_or(errors::SYNTAX)?;
        if args.is(at, "BYTES") && new_bytes.is_none() {
            new_bytes = Some(bytes(value)?);
        } else if args.is(at, "OPS") && new_ops.is_none() {
            new_ops = Some(ops(value)?);
        } else {
            return Err(errors::SYNTAX);
        }
        at += 2;
    }
    if new_bytes.is_none() && new_ops.is_none() {
        return Err(errors::SYNTAX);
    }
    Ok(Asked::Set {
        prefix: prefix(args.at(3))?,
        bytes: new_bytes,
        ops: new_ops,
    })
}

fn prefix(text: &[u8]) -> Result<&str, ErrorReply> {
    std::str::from_utf8(text).map_err(|_| errors::QUOTA_PREFIX_NO_TEXT)
}

fn bytes(text: &[u8]) -> Result<u64, ErrorReply> {
    quota_bytes(text).ok_or(errors::QUOTA_BAD_BYTES)
}

fn ops(text: &[u8]) -> Result<u64, ErrorReply> {
    let number = parse_canonical_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
    u64::try_from(number).map_err(|_| errors::NOT_AN_INTEGER)
}

fn quota(call: &mut SessionCall<'_>) -> CommandResult {
    match parse(&call.args)? {
        Asked::Set { prefix, bytes, ops } => {
            change(call, |quotas| {
                let known = quotas.iter().position(|quota| quota.prefix == prefix);
                let known = known.map(|at| quotas.swap_remove(at));
                let limits = known.map_or((0, 0), |known| (known.bytes, known.ops));
                let (bytes, ops) = (bytes.unwrap_or(limits.0), ops.unwrap_or(limits.1));
                quotas.push(QuotaSetting::new(prefix, bytes, ops)?);
                Ok(())
            })?;
            call.reply(|reply| reply.ok());
        }
        Asked::Del(prefixes) => {
            let gone = |quota: &QuotaSetting| prefixes.contains(&&*quota.prefix);
            let quotas = &call.core.config.larder_quota;
            let count = quotas.iter().filter(|quota| gone(quota)).count();
            change(call, |quotas| {
                quotas.retain(|quota| !gone(quota));
                Ok(())
            })?;
            call.reply(|reply| reply.count(count as u64));
        }
        Asked::Get(prefix) => {
            let quotas = call.core.config.quotas().clone();
            let now = call.core.clock.unix;
            let mut known = quotas.iter().map(|(_, quota)| quota);
            match known.find(|quota| *quota.prefix == *prefix) {
                Some(quota) => call.reply(|reply| show(quota, now, reply)),
                None => call.reply(|reply| reply.null()),
            }
        }
        Asked::List => {
            let quotas = call.core.config.quotas().clone();
            let now = call.core.clock.unix;
            call.reply(|reply| {
                reply.array(quotas.prefixes().len());
                quotas.iter().for_each(|(_, quota)| show(quota, now, reply));
            });
        }
    }
    Ok(())
}

fn show(quota: &Quota, now: larder_engine::UnixMillis, reply: &mut Reply<'_>) {
    let figures = quota.figures(now);
    reply.map(1 + figures.len());
    reply.text("prefix");
    reply.bulk(quota.prefix.as_bytes());
    for (name, value) in figures {
        reply.text(name);
        reply.count(value);
    }
}

/// Has `change` change the quotas, for all cores.
fn change(
    call: &mut SessionCall<'_>,
    change: impl Fn(&mut Vec<QuotaSetting>) -> Result<(), String>,
) -> CommandResult {
    let refused = |reason: String| ErrorReply::new(format!("ERR {reason}"));
    let next = |present: &Config| {
        let mut quotas = present.larder_quota.clone();
        change(&mut quotas).map_err(refused)?;
        let text = quotas_text(&quotas);
        let next = present.with(&[(b"larder-quota", text.as_bytes())]);
        next.map_err(|error| match error {
            ConfigSetError::Refused { reason, .. } => refused(reason),
            other => refused(other.to_string()),
        })
    };
    call.core.shared.update_config(next)?;
    // In force for the next command of this turn. The other cores see it with their next turn, which is now.
    call.core.config = call.core.shared.config();
    call.core.tell_others(|_| {}, &[]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;

    fn asked<T>(command: &[&str], look: impl FnOnce(Result<Asked<'_>, ErrorReply>) -> T) -> T {
        let (bytes, ranges) = words(command);
        look(parse(&Args::new(&bytes, &ranges)))
    }

    #[test]
    fn a_quota_is_set_by_three_words_or_by_name() {
        let set = |bytes, ops| {
            Ok(Asked::Set {
                prefix: "a:",
                bytes,
                ops,
            })
        };
        asked(&["larder", "quota", "a:", "1mb", "7"], |asked| {
            assert_eq!(asked, set(Some(1 << 20), Some(7)));
        });
        asked(&["larder", "quota", "set", "a:", "ops", "7"], |asked| {
            assert_eq!(asked, set(None, Some(7)));
        });
        asked(
            &["larder", "quota", "SET", "a:", "BYTES", "0", "OPS", "7"],
            |asked| {
                assert_eq!(asked, set(Some(0), Some(7)));
            },
        );
        asked(&["larder", "quota", "del", "a:", "b:"], |asked| {
            assert_eq!(asked, Ok(Asked::Del(vec!["a:", "b:"])));
        });
        asked(&["larder", "quota", "list"], |asked| {
            assert_eq!(asked, Ok(Asked::List))
        });
        for wrong in [
            &["larder", "quota", "a:"][..],
            &["larder", "quota", "a:", "1"],
            &["larder", "quota", "set", "a:"],
            &["larder", "quota", "set", "a:", "bytes"],
            &["larder", "quota", "set", "a:", "bytes", "1", "bytes", "2"],
            &["larder", "quota", "a:", "x", "1"],
            &["larder", "quota", "a:", "1", "-1"],
            &["larder", "quota", "a:", "1", "1", "1"],
        ] {
            asked(wrong, |asked| assert!(asked.is_err(), "{wrong:?}"));
        }
    }
}
