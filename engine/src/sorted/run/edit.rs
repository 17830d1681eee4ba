//! Writing runs: members that come, go, or get another score, where they are; and whole runs anew.
//!
//! A change that fits the scale, the codes and the room moves what is behind in each column. One that does not has the run written
//! anew ([`Draft`]), which finds the shortest scale and what codes share.

use std::ops::Range;

use super::{Body, DIFFER, Entry, HEAD_BYTES, Run, Shape, lying_bytes};
use crate::sorted::score::Scale;

/// About what a member takes beside its name.
const COLUMN_BYTES: usize = 6;

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a run without room is as it was"]
pub(crate) enum Written {
    Done,
    /// Nothing changed: the run would use so many bytes.
    Needs(usize),
}

/// Makes a run empty.
pub(crate) fn empty(run: &mut [u8], is_tagged: bool) {
    let shape = Shape {
        scale: Scale::EMPTY,
        is_tagged,
        count: 0,
        code: 0,
    };
    shape.write(run);
}

/// Writes a run as it is into other bytes, enough for it.
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    let run = Run::new(from);
    let (front, names) = (run.shape.front(), run.names_before(run.len()));
    to[..front].copy_from_slice(&from[..front]);
    let end = to.len();
    to[end - names..].copy_from_slice(&from[from.len() - names..]);
}

fn write_word(run: &mut [u8], place: usize, width: usize, word: u64) {
    run[place..place + width].copy_from_slice(&word.to_le_bytes()[..width]);
}

/// Adds a member before member `at`, or behind the last.
#[inline]
pub(crate) fn insert(run: &mut [u8], at: usize, entry: &Entry<'_>) -> Written {
    let reader = Run::new(run);
    let old = reader.shape;
    let lying = entry.body.bytes.len();
    let is_code_fit = old.has_codes() || old.code == entry.body.code;
    if old.count > 0
        && is_code_fit
        && let Some(word) = old.scale.encode(entry.score)
    {
        let names = reader.names_before(old.count);
        let needed = old.front() + names + old.column_bytes() + lying;
        if needed > run.len() {
            return Written::Needs(needed);
        }
        let before = reader.names_before(at);
        insert_columns(run, &old, at, (word, entry.tag, entry.body.code));
        let capacity = run.len();
        run.copy_within(
            capacity - names..capacity - before,
            capacity - names - lying,
        );
        let end = capacity - before;
        run[end - lying..end].copy_from_slice(entry.body.bytes);
        return Written::Done;
    }
    insert_anew(run, at, entry)
}

#[cold]
#[inline(never)]
fn insert_anew(run: &mut [u8], at: usize, entry: &Entry<'_>) -> Written {
    let image = run.to_vec();
    let mut draft = Draft::of(&Run::new(&image));
    draft.insert(at, *entry);
    draft.replace(run)
}

#[cold]
#[inline(never)]
fn shift_anew(run: &mut [u8], from: usize, to: usize, score: f64) -> Written {
    let image = run.to_vec();
    let mut draft = Draft::of(&Run::new(&image));
    let entry = draft.entries.remove(from);
    draft.insert(to, Entry { score, ..entry });
    draft.replace(run)
}

/// Makes room in each column, from the last on, and fills it.
#[inline(always)]
fn insert_columns(run: &mut [u8], old: &Shape, at: usize, (word, tag, code): (u64, u8, u8)) {
    let new = Shape {
        count: old.count + 1,
        ..*old
    };
    if old.has_codes() {
        let (from, to) = (old.codes_at(), new.codes_at());
        run.copy_within(from + at..from + old.count, to + at + 1);
        run.copy_within(from..from + at, to);
        run[to + at] = code;
    }
    if old.is_tagged {
        let (from, to) = (old.tags_at(), new.tags_at());
        run.copy_within(from + at..from + old.count, to + at + 1);
        run.copy_within(from..from + at, to);
        run[to + at] = tag;
    }
    let (scores, width) = (old.scores_at(), old.scale.width);
    let place = scores + at * width;
    run.copy_within(place..scores + old.count * width, place + width);
    write_word(run, place, width, word);
    new.write(run);
}

/// Takes members out.
pub(crate) fn remove(run: &mut [u8], range: Range<usize>) {
    let reader = Run::new(run);
    let old = reader.shape;
    let (before, behind) = (
        reader.names_before(range.start),
        reader.names_before(range.end),
    );
    let names = reader.names_before(old.count);
    let new = Shape {
        count: old.count - range.len(),
        ..old
    };
    let capacity = run.len();
    run.copy_within(
        capacity - names..capacity - behind,
        capacity - names + (behind - before),
    );
    let (scores, width) = (old.scores_at(), old.scale.width);
    run.copy_within(
        scores + range.end * width..scores + old.count * width,
        scores + range.start * width,
    );
    for (is_there, from, to) in [
        (old.is_tagged, old.tags_at(), new.tags_at()),
        (old.has_codes(), old.codes_at(), new.codes_at()),
    ] {
        if is_there {
            run.copy_within(from..from + range.start, to);
            run.copy_within(from + range.end..from + old.count, to + range.start);
        }
    }
    new.write(run);
}

/// Gives member `from` another score with which it is member `to`, counted without it.
pub(crate) fn shift(run: &mut [u8], from: usize, to: usize, score: f64) -> Written {
    let reader = Run::new(run);
    let shape = reader.shape;
    let Some(word) = shape.scale.encode(score) else {
        return shift_anew(run, from, to, score);
    };
    let (low, high) = (from.min(to), from.max(to));
    let (first, second, last) = (
        reader.names_before(low),
        reader.names_before(low + 1),
        reader.names_before(high),
    );
    let end = reader.names_before(high + 1);
    let (scores, width) = (shape.scores_at(), shape.scale.width);
    if low < high {
        let capacity = run.len();
        let names = &mut run[capacity - end..capacity - first];
        // Names lie downwards: the first of them is the last of the bytes.
        match from < to {
            true => names.rotate_right(second - first),
            false => names.rotate_left(end - last),
        }
        rotate(
            &mut run[scores + low * width..scores + (high + 1) * width],
            width,
            from < to,
        );
        if shape.is_tagged {
            let tags = shape.tags_at();
            rotate(&mut run[tags + low..=tags + high], 1, from < to);
        }
        if shape.has_codes() {
            let codes = shape.codes_at();
            rotate(&mut run[codes + low..=codes + high], 1, from < to);
        }
    }
    write_word(run, scores + to * width, width, word);
    Written::Done
}

/// The first of these becomes the last, or the last the first.
fn rotate(column: &mut [u8], width: usize, is_first_to_last: bool) {
    match is_first_to_last {
        true => column.rotate_left(width),
        false => column.rotate_right(width),
    }
}

/// A run that is to be made of some members of a draft.
pub(crate) struct Plan {
    /// Bytes that it uses.
    pub(crate) bytes: usize,
    range: Range<usize>,
    shape: Shape,
}

/// Members of which runs are to be made.
pub(crate) struct Draft<'a> {
    entries: Vec<Entry<'a>>,
    is_tagged: bool,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(is_tagged: bool) -> Self {
        Self {
            entries: Vec::new(),
            is_tagged,
        }
    }

    /// The members of a run.
    pub(crate) fn of(run: &Run<'a>) -> Self {
        Self {
            entries: run.entries(0..run.len()).collect(),
            is_tagged: run.shape.is_tagged,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn push(&mut self, entry: Entry<'a>) {
        self.entries.push(entry);
    }

    pub(crate) fn insert(&mut self, at: usize, entry: Entry<'a>) {
        self.entries.insert(at, entry);
    }

    pub(crate) fn extend(&mut self, entries: impl Iterator<Item = Entry<'a>>) {
        self.entries.extend(entries);
    }

    /// How a run of these is written.
    pub(crate) fn plan(&self, range: Range<usize>) -> Plan {
        let entries = &self.entries[range.clone()];
        let scores = entries.iter().map(|entry| entry.score);
        let code = match entries {
            [] => 0,
            [first, rest @ ..] => match rest.iter().all(|entry| entry.body.code == first.body.code)
            {
                true => first.body.code,
                false => DIFFER,
            },
        };
        let shape = Shape {
            scale: Scale::of(scores),
            is_tagged: self.is_tagged,
            count: entries.len(),
            code,
        };
        let names: usize = entries.iter().map(|entry| entry.body.bytes.len()).sum();
        Plan {
            bytes: shape.front() + names,
            range,
            shape,
        }
    }

    /// Where names of about as many bytes are before as behind; neither side is empty.
    pub(crate) fn half(&self) -> usize {
        let lying = |entry: &Entry<'_>| entry.body.bytes.len() + COLUMN_BYTES;
        let all: usize = self.entries.iter().map(lying).sum();
        let mut before = 0;
        let half = self.entries.iter().position(|entry| {
            before += lying(entry);
            2 * before >= all
        });
        half.map_or(1, |at| at + 1).clamp(1, self.len() - 1)
    }

    /// Makes `run`, of which nothing is kept, a run of all, if it has room.
    fn replace(&self, run: &mut [u8]) -> Written {
        let plan = self.plan(0..self.len());
        if plan.bytes > run.len() {
            return Written::Needs(plan.bytes);
        }
        self.write(&plan, run);
        Written::Done
    }

    /// Makes a run as planned in `run`.
    pub(crate) fn write(&self, plan: &Plan, run: &mut [u8]) {
        let shape = plan.shape;
        shape.write(run);
        let (mut scores, width) = (shape.scores_at(), shape.scale.width);
        let (mut tags, mut codes) = (shape.tags_at(), shape.codes_at());
        let mut end = run.len();
        for Entry { score, tag, body } in &self.entries[plan.range.clone()] {
            let word = shape.scale.encode(*score);
            let word = word.expect("the scale was made for these scores");
            write_word(run, scores, width, word);
            scores += width;
            if shape.is_tagged {
                run[tags] = *tag;
                tags += 1;
            }
            if shape.has_codes() {
                run[codes] = body.code;
                codes += 1;
            }
            run[end - body.bytes.len()..end].copy_from_slice(body.bytes);
            end -= body.bytes.len();
        }
    }
}

/// A run of the same members, none of whose zeros is negative.
pub(crate) fn without_negative_zeros(run: &[u8]) -> Vec<u8> {
    let mut draft = Draft::of(&Run::new(run));
    for entry in &mut draft.entries {
        // Minus zero and zero make zero.
        entry.score += 0.0;
    }
    let plan = draft.plan(0..draft.len());
    let mut written = vec![0; plan.bytes];
    draft.write(&plan, &mut written);
    written
}

/// Changes the reference that lies in the place of a name.
pub(crate) fn repoint(run: &mut [u8], at: usize, reference: &[u8]) {
    let reader = Run::new(run);
    let before = reader.names_before(at);
    let lying = lying_bytes(reader.code(at));
    let end = run.len() - before;
    run[end - lying..end].copy_from_slice(&reference[..lying]);
}

/// Bytes of a run of one member without tags.
pub(crate) fn bytes_alone(score: f64, name: &[u8]) -> usize {
    let scale = Scale::of([score].into_iter());
    debug_assert!(Body::inline(name).bytes.len() == name.len());
    HEAD_BYTES + scale.bytes(1) + name.len()
}
