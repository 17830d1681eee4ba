//! `SCAN` and `HSCAN` as what they promise: every element that is there from the start to the end of a scan is met,
//! and nothing that never was. Cursors, and how many elements a reply has, are each server's own.

use std::collections::BTreeSet;

use super::compare;
use super::play::{Difference, Play};
use super::step::{Command, Session, line_of};
use crate::Outcome;
use crate::resp::Reply;

/// A scan that has not ended by so many replies goes on for ever.
const MAX_REPLIES: usize = 20_000;

/// The words before and behind the cursor.
type Around<'a> = (&'a [Vec<u8>], &'a [Vec<u8>]);

/// Elements of a scan, each as the lines it is shown by.
type Elements = BTreeSet<Vec<String>>;

enum Met {
    /// To the end.
    All(Elements),
    /// The first reply was an error.
    Refused(Reply),
}

/// A scan while nothing else happens: all servers meet the same.
pub(super) fn at_rest(
    play: &mut Play<'_>,
    session: Session,
    around: Around<'_>,
    has_pairs: bool,
) -> Outcome<Option<Difference>> {
    let mut first: Option<Met> = None;
    let line = format!("{} <cursor> {}", line_of(around.0), line_of(around.1));
    for target in 0..play.targets.len() {
        let met = match scan(play, target, session, around, has_pairs, |_, _| Ok(()))? {
            Ok(met) => met,
            Err(why) => return Ok(play.fault(target, "SCAN", &format!("{line}: {why}"))),
        };
        match (&first, met) {
            (None, met) => first = Some(met),
            (Some(Met::Refused(ours)), Met::Refused(theirs)) if *ours == theirs => {}
            (Some(Met::All(ours)), Met::All(theirs)) if *ours == theirs => {}
            (Some(ours), theirs) => {
                let what = format!(
                    "{line}: the reference {}, this {}",
                    told(ours, &theirs),
                    told(&theirs, ours)
                );
                return Ok(play.fault(target, "SCAN", &what));
            }
        }
    }
    Ok(None)
}

/// A scan during which commands come, all of them by its end, on each server by itself.
pub(super) fn amid(
    play: &mut Play<'_>,
    session: Session,
    around: Around<'_>,
    all: &Command,
    between: &[Command],
) -> Outcome<Option<Difference>> {
    let line = format!("{} <cursor> {}", line_of(around.0), line_of(around.1));
    let mut answers = Vec::new();
    for target in 0..play.targets.len() {
        let mut replies = Vec::new();
        let mut always = there(play, target, session, all)?;
        let mut ever = always.clone();
        let mut rest = between.iter();
        let mut one = |play: &mut Play<'_>, command: &Command| -> Outcome<()> {
            let sent = std::slice::from_ref(&command.words);
            play.targets[target].send(session, sent)?;
            replies.push(play.targets[target].read(session)?);
            let now = there(play, target, session, all)?;
            always.retain(|element| now.contains(element));
            ever.extend(now);
            Ok(())
        };
        let met = scan(play, target, session, around, false, |play, _| {
            rest.next().map_or(Ok(()), |command| one(play, command))
        })?;
        for command in rest {
            let sent = std::slice::from_ref(&command.words);
            play.targets[target].send(session, sent)?;
            replies.push(play.targets[target].read(session)?);
        }
        answers.push(replies);
        let fault = match met {
            Err(why) => Some(why),
            Ok(Met::Refused(_)) => None,
            Ok(Met::All(met)) => {
                let missed = always.difference(&met).next();
                let invented = met.difference(&ever).next();
                missed
                    .map(|element| format!("{element:?} was there all the time and is not met"))
                    .or(invented.map(|element| format!("{element:?} was never there and is met")))
            }
        };
        if let Some(why) = fault {
            return Ok(play.fault(target, "SCAN", &format!("{line}: {why}")));
        }
    }
    Ok(play.compare(between, &answers))
}

/// What is there, as a scan would meet it.
fn there(play: &mut Play<'_>, target: usize, session: Session, all: &Command) -> Outcome<Elements> {
    let target = &mut play.targets[target];
    target.send(session, std::slice::from_ref(&all.words))?;
    Ok(match target.read(session)? {
        Reply::Array(items) | Reply::Set(items) => items.iter().map(Reply::lines).collect(),
        _ => Elements::new(),
    })
}

/// Scans one target; behind each reply but the last `meanwhile` is called.
fn scan(
    play: &mut Play<'_>,
    target: usize,
    session: Session,
    (before, after): Around<'_>,
    has_pairs: bool,
    mut meanwhile: impl FnMut(&mut Play<'_>, usize) -> Outcome<()>,
) -> Outcome<Result<Met, String>> {
    let mut met = Elements::new();
    let mut cursor = b"0".to_vec();
    for number in 0..MAX_REPLIES {
        let words = [before, std::slice::from_ref(&cursor), after].concat();
        play.targets[target].send(session, &[words])?;
        let reply = play.targets[target].read(session)?;
        let next = match &reply {
            Reply::Error(_) if number == 0 => return Ok(Ok(Met::Refused(reply))),
            Reply::Array(parts) => match &parts[..] {
                [Reply::Bulk(next), elements @ Reply::Array(items)] => {
                    let pairs = has_pairs.then(|| compare::pairs_of(elements));
                    match pairs {
                        Some(None) => return Ok(Err("its elements are no pairs".into())),
                        Some(Some(pairs)) => met.extend(pairs.iter().map(|(name, value)| {
                            [name.lines(), value_lines(before, value)].concat()
                        })),
                        None => met.extend(items.iter().map(Reply::lines)),
                    }
                    next.clone()
                }
                _ => return Ok(Err(format!("not a reply to it: {:?}", reply.lines()))),
            },
            _ => return Ok(Err(format!("not a reply to it: {:?}", reply.lines()))),
        };
        if next == b"0" {
            return Ok(Ok(Met::All(met)));
        }
        cursor = next;
        meanwhile(play, number)?;
    }
    Ok(Err(format!("it has not ended after {MAX_REPLIES} replies")))
}

/// A value as it is compared: a score, which has another text before 7.2, as the number that it is, and −0 as 0.
fn value_lines(before: &[Vec<u8>], value: &Reply) -> Vec<String> {
    let is_score = before[0].eq_ignore_ascii_case(b"ZSCAN");
    let text = value.bytes().filter(|_| is_score);
    let score = text.and_then(|text| std::str::from_utf8(text).ok()?.parse::<f64>().ok());
    match score {
        Some(score) => vec![(score + 0.0).to_string()],
        None => value.lines(),
    }
}

fn told(one: &Met, other: &Met) -> String {
    match (one, other) {
        (Met::Refused(reply), _) => format!("answers {}", reply.lines().join(" ")),
        (Met::All(ours), Met::All(theirs)) => {
            let more: Vec<_> = ours.difference(theirs).take(5).collect();
            format!("meets {} elements, alone these: {more:?}", ours.len())
        }
        (Met::All(ours), Met::Refused(_)) => format!("meets {} elements", ours.len()),
    }
}
