//! Two replies to one command: whether they differ in what the command promises.

use std::ops::Range;

use super::step::{Command, Promise};
use crate::resp::Reply;

/// Moments of this range, in milliseconds since 1970, were given as such and do not depend on when a command came; no
/// episode comes upon one of them from a time of its own.
const GIVEN_MS: Range<i64> = 4_000_000_000_000..4_500_000_000_000;

/// A difference: the command in question, and the two replies to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Different<'a> {
    /// The command; within a transaction or a script, the one whose reply differs.
    pub command: &'a Command,
    /// What the reference answered.
    pub reference: &'a Reply,
    /// What the subject answered.
    pub subject: &'a Reply,
}

/// All differences between two replies; `drift_ms` is how far apart two servers may have taken a command.
pub(super) fn differences<'a>(
    command: &'a Command,
    reference: &'a Reply,
    subject: &'a Reply,
    drift_ms: i64,
    found: &mut Vec<Different<'a>>,
) {
    if reference == subject {
        return;
    }
    if let (Promise::Each(parts), Reply::Array(ours), Reply::Array(theirs)) =
        (&command.promise, reference, subject)
        && ours.len() == theirs.len()
        && ours.len() == parts.len()
    {
        for (part, (ours, theirs)) in parts.iter().zip(ours.iter().zip(theirs)) {
            differences(part, ours, theirs, drift_ms, found);
        }
        return;
    }
    if let Promise::Of(inner) = &command.promise {
        return differences(inner, reference, subject, drift_ms, found);
    }
    if !are_alike(&command.promise, reference, subject, drift_ms) {
        found.push(Different {
            command,
            reference,
            subject,
        });
    }
}

fn are_alike(promise: &Promise, reference: &Reply, subject: &Reply, drift_ms: i64) -> bool {
    match promise {
        Promise::Exact | Promise::Each(_) | Promise::Of(_) => reference == subject,
        Promise::Members => match (reference, subject) {
            (Reply::Array(ours), Reply::Array(theirs)) | (Reply::Set(ours), Reply::Set(theirs)) => {
                sorted(ours) == sorted(theirs)
            }
            _ => reference == subject,
        },
        Promise::Pairs => match (reference, subject) {
            (Reply::Map(ours), Reply::Map(theirs)) => in_order(ours) == in_order(theirs),
            (Reply::Array(ours), Reply::Array(theirs)) => {
                match (flat_pairs(ours), flat_pairs(theirs)) {
                    (Some(ours), Some(theirs)) => in_order(&ours) == in_order(&theirs),
                    _ => sorted(ours) == sorted(theirs),
                }
            }
            _ => reference == subject,
        },
        Promise::Deadline { unit_ms } => match (reference, subject) {
            (Reply::Array(ours), Reply::Array(theirs)) => {
                ours.len() == theirs.len()
                    && ours
                        .iter()
                        .zip(theirs)
                        .all(|(ours, theirs)| are_alike(promise, ours, theirs, drift_ms))
            }
            (&Reply::Integer(ours), &Reply::Integer(theirs)) => {
                are_close(ours, theirs, *unit_ms, drift_ms)
            }
            _ => reference == subject,
        },
        Promise::Timeless => timeless(reference) == timeless(subject),
        Promise::Kind => {
            let is_error = |reply: &Reply| matches!(reply, Reply::Error(_));
            !is_error(reference)
                && !is_error(subject)
                && std::mem::discriminant(reference) == std::mem::discriminant(subject)
        }
    }
}

/// Fields of `XINFO` with times, with the size of trees, and those that a payload of Larder does not carry, which is one of Redis 7.0.
const UNTOLD: [&[u8]; 8] = [
    b"idle",
    b"inactive",
    b"seen-time",
    b"active-time",
    b"radix-tree-keys",
    b"radix-tree-nodes",
    b"idmp-duration",
    b"idmp-maxsize",
];

/// A reply of `XPENDING` or `XINFO` without its times; what is told by name is in the order of the names, as maps of scripts have none.
fn timeless(reply: &Reply) -> Reply {
    let without = |number: &Reply| match number {
        Reply::Integer(_) => Reply::Null,
        other => other.clone(),
    };
    let told = |pairs: &[(Reply, Reply)]| -> Vec<(Reply, Reply)> {
        let pairs = pairs.iter().map(|(name, value)| {
            let is_told = name.bytes().is_none_or(|name| !UNTOLD.contains(&name));
            let value = if is_told {
                timeless(value)
            } else {
                Reply::Null
            };
            (name.clone(), value)
        });
        let pairs: Vec<_> = pairs.collect();
        in_order(&pairs).into_iter().cloned().collect()
    };
    match reply {
        Reply::Map(pairs) => Reply::Map(told(pairs)),
        // Who has an entry, since when, and how often it was delivered; of a consumer, without its name.
        Reply::Array(items) => match &items[..] {
            [
                id,
                owner,
                time @ Reply::Integer(_),
                times @ Reply::Integer(_),
            ] => Reply::Array(vec![
                id.clone(),
                owner.clone(),
                without(time),
                times.clone(),
            ]),
            [id, time @ Reply::Integer(_), times @ Reply::Integer(_)] => {
                Reply::Array(vec![id.clone(), without(time), times.clone()])
            }
            items if items.len().is_multiple_of(2) && items.iter().step_by(2).all(is_bulk) => {
                let pairs: Vec<_> = items.chunks_exact(2).collect();
                let pairs = pairs.iter().map(|pair| (pair[0].clone(), pair[1].clone()));
                let pairs = told(&pairs.collect::<Vec<_>>());
                Reply::Array(
                    pairs
                        .into_iter()
                        .flat_map(|(name, value)| [name, value])
                        .collect(),
                )
            }
            items => Reply::Array(items.iter().map(timeless).collect()),
        },
        other => other.clone(),
    }
}

fn is_bulk(reply: &Reply) -> bool {
    reply.bytes().is_some()
}

fn are_close(ours: i64, theirs: i64, unit_ms: i64, drift_ms: i64) -> bool {
    if ours == theirs {
        return true;
    }
    if ours <= 0 || theirs <= 0 || GIVEN_MS.contains(&ours.saturating_mul(unit_ms)) {
        return false;
    }
    // A unit more, since each rounds by itself.
    ours.abs_diff(theirs) as i64 <= drift_ms / unit_ms + 1
}

/// The replies put in order by how they are shown.
#[must_use]
pub(super) fn sorted(replies: &[Reply]) -> Vec<&Reply> {
    let mut replies: Vec<&Reply> = replies.iter().collect();
    replies.sort_by_cached_key(|reply| reply.lines());
    replies
}

fn in_order(pairs: &[(Reply, Reply)]) -> Vec<&(Reply, Reply)> {
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort_by_cached_key(|(name, value)| (name.lines(), value.lines()));
    pairs
}

/// The pairs of a reply of pairs, whichever way they are written: a map, a flat array, or an array of arrays of two.
#[must_use]
pub(super) fn pairs_of(reply: &Reply) -> Option<Vec<(Reply, Reply)>> {
    match reply {
        Reply::Map(pairs) => Some(pairs.clone()),
        Reply::Array(items) => flat_pairs(items).or_else(|| {
            items
                .iter()
                .map(|item| match item {
                    Reply::Array(two) => match &two[..] {
                        [name, value] => Some((name.clone(), value.clone())),
                        _ => None,
                    },
                    _ => None,
                })
                .collect()
        }),
        _ => None,
    }
}

fn flat_pairs(items: &[Reply]) -> Option<Vec<(Reply, Reply)>> {
    let is_flat = items.iter().all(|item| item.bytes().is_some());
    (is_flat && items.len().is_multiple_of(2)).then(|| {
        items
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulks(all: &[&str]) -> Vec<Reply> {
        all.iter()
            .map(|text| Reply::Bulk(text.as_bytes().to_vec()))
            .collect()
    }

    fn differ(promise: Promise, ours: &Reply, theirs: &Reply) -> bool {
        let command = Command::of(&["X"]).promise(promise);
        let mut found = Vec::new();
        differences(&command, ours, theirs, 10, &mut found);
        !found.is_empty()
    }

    #[test]
    fn what_has_no_order_is_compared_without_it() {
        let [ab, ba, aa] =
            [["a", "b"], ["b", "a"], ["a", "a"]].map(|all| Reply::Array(bulks(&all)));
        assert!(differ(Promise::Exact, &ab, &ba));
        assert!(!differ(Promise::Members, &ab, &ba));
        assert!(differ(Promise::Members, &ab, &aa));
        assert!(differ(Promise::Pairs, &ab, &ba), "a field is not its value");
        let [one, other, third] = [
            ["a", "1", "b", "2"],
            ["b", "2", "a", "1"],
            ["a", "2", "b", "1"],
        ]
        .map(|all| Reply::Array(bulks(&all)));
        assert!(!differ(Promise::Pairs, &one, &other));
        assert!(differ(Promise::Pairs, &one, &third));
    }

    #[test]
    fn what_is_left_of_a_deadline_may_be_less_by_the_time_that_passed() {
        let unit = Promise::Deadline { unit_ms: 1 };
        let differ =
            |ours, theirs| differ(unit.clone(), &Reply::Integer(ours), &Reply::Integer(theirs));
        assert!(!differ(1000, 1011));
        assert!(differ(1000, 1012));
        assert!(differ(-1, 1), "none is not one");
        assert!(differ(-1, -2));
        let given = GIVEN_MS.start + 5;
        assert!(differ(given, given + 1), "a given deadline is exact");
    }

    #[test]
    fn each_reply_of_a_transaction_has_its_own_promise() {
        let parts = ["SMEMBERS", "GET"].map(|name| Command::of(&[name]));
        let parts = vec![parts[0].clone().promise(Promise::Members), parts[1].clone()];
        let exec = Command::of(&["EXEC"]).promise(Promise::Each(parts));
        let reply = |all: &[&str], one: &str| {
            Reply::Array(vec![Reply::Array(bulks(all)), bulks(&[one]).remove(0)])
        };
        let [ours, same, other] = [
            reply(&["a", "b"], "x"),
            reply(&["b", "a"], "x"),
            reply(&["b", "a"], "y"),
        ];
        let mut found = Vec::new();
        differences(&exec, &ours, &same, 0, &mut found);
        assert_eq!(found, []);
        differences(&exec, &ours, &other, 0, &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].command.name(), "GET");
    }

    #[test]
    fn an_error_is_never_like_something_else() {
        let error = Reply::Error(b"ERR no".to_vec());
        assert!(differ(Promise::Kind, &error, &Reply::Integer(1)));
        assert!(differ(
            Promise::Members,
            &error,
            &Reply::Error(b"ERR yes".to_vec())
        ));
    }
}
