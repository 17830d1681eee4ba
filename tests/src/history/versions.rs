//! The order of each key's versions, recovered from what was read and from the replies to appends.
//!
//! ```text
//!  epoch 0, if nothing was written at first      ""  t1  t1t2
//!  epoch 1, since it was replaced by t3          t3  t3t4  t3t4t5
//!  epoch 2, since it was deleted                 ""  t6
//! ```
//! A value's first token says its epoch, its length its place there. The longest value of an epoch that anybody read has
//! all earlier ones as its beginnings; appends that nobody read come where their replies say.

use std::collections::{BTreeMap, HashMap};

use super::{Action, Anomaly, Fate, Key, Operation, TOKEN_BYTES, Token, Value, Violation};

/// What is known of all keys.
#[derive(Debug)]
pub struct Recovered {
    /// The keys that somebody touched.
    pub keys: Vec<KeyVersions>,
    /// Of each operation, whether it happened.
    pub happened: Vec<bool>,
}

/// A key's versions, from first to last.
#[derive(Debug)]
pub struct KeyVersions {
    /// Which key.
    pub key: Key,
    /// The versions.
    pub versions: Vec<Version>,
}

/// A value that a key had for a while.
#[derive(Debug)]
pub struct Version {
    /// The operation that made it; none for a key's first state.
    pub writer: Option<usize>,
    /// The token it ends with.
    pub token: Option<Token>,
    /// The operations that read it.
    pub readers: Vec<usize>,
}

/// Where a token comes from.
struct Author {
    operation: usize,
    key: Key,
    is_append: bool,
}

/// A place in a key's life: so many tokens in this epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    epoch: usize,
    length: usize,
}

/// Of an epoch, which token of whom stands at which place.
type Places = BTreeMap<usize, (Token, usize)>;

/// All that happened to one key.
struct Book<'a> {
    key: Key,
    /// In the order of operations, and of an operation's actions.
    events: Vec<(usize, &'a Action)>,
    /// The operations that replaced or deleted it, with the token they wrote; each begins an epoch.
    replacements: Vec<(usize, Option<Token>)>,
    /// Of each event that is a read: where; none if that is not known.
    places: Vec<Option<Place>>,
    /// The longest value read of each epoch, and who read it.
    longest: Vec<Option<(usize, &'a Value)>>,
}

/// Recovers the versions of all keys.
///
/// # Errors
/// What was read or replied has no order that explains it.
///
/// # Panics
/// When the history cannot be checked.
pub fn recover(history: &[Operation]) -> Result<Recovered, Box<Violation>> {
    let mut authors = HashMap::new();
    let mut books: BTreeMap<Key, Book<'_>> = BTreeMap::new();
    for (at, operation) in history.iter().enumerate() {
        for action in &operation.actions {
            let key = action.key();
            if let Some(token) = action.token() {
                let author = Author {
                    operation: at,
                    key,
                    is_append: matches!(action, Action::Append { .. }),
                };
                let before = authors.insert(token, author);
                assert!(before.is_none(), "token {token} is written twice");
            }
            if operation.fate != Fate::DidNot {
                let book = books.entry(key).or_insert_with(|| Book::new(key));
                book.events.push((at, action));
            }
        }
    }
    let mut happened: Vec<bool> = history
        .iter()
        .map(|operation| operation.fate == Fate::Happened)
        .collect();
    for book in books.values_mut() {
        book.note_replacements(history);
        book.place_reads(history, &authors)?;
        book.note_observed(history, &authors, &mut happened)?;
    }
    let mut keys = Vec::with_capacity(books.len());
    for book in books.values() {
        keys.push(book.versions(history, &authors, &happened)?);
    }
    Ok(Recovered { keys, happened })
}

impl<'a> Book<'a> {
    fn new(key: Key) -> Self {
        Self {
            key,
            events: Vec::new(),
            replacements: Vec::new(),
            places: Vec::new(),
            longest: Vec::new(),
        }
    }

    fn note_replacements(&mut self, history: &[Operation]) {
        for &(at, action) in &self.events {
            match action {
                Action::Write { token, .. } => self.replacements.push((at, Some(*token))),
                Action::Delete { .. } => self.replacements.push((at, None)),
                Action::Read { .. } | Action::Copy { .. } | Action::Append { .. } => {}
            }
        }
        self.replacements
            .sort_by_key(|(at, _)| history[*at].invoked_ns);
        for pair in self.replacements.windows(2) {
            let (before, after) = (&history[pair[0].0], &history[pair[1].0]);
            assert!(
                before.completed_ns < after.invoked_ns,
                "replacements of {} overlap:\n{before}\n{after}",
                self.key
            );
            assert!(pair[0].1.is_some(), "{} lives on after its end", self.key);
        }
        let deleted_first = matches!(self.replacements.first(), Some((_, None)));
        assert!(!deleted_first, "{} was deleted but not written", self.key);
        self.longest = vec![None; self.replacements.len() + 1];
    }

    /// The epoch behind the deletion.
    fn deleted_epoch(&self) -> Option<usize> {
        let (_, token) = self.replacements.last()?;
        token.is_none().then_some(self.replacements.len())
    }

    /// Finds the place of each value read; values of one epoch must continue each other.
    fn place_reads(
        &mut self,
        history: &[Operation],
        authors: &HashMap<Token, Author>,
    ) -> Result<(), Box<Violation>> {
        for event in 0..self.events.len() {
            let (at, action) = self.events[event];
            let Action::Read { value, .. } = action else {
                self.places.push(None);
                continue;
            };
            let epoch = if value.length() == 0 && self.is_deleted_later(event) {
                Some(0)
            } else {
                self.epoch_of(history, authors, at, value)?
            };
            let Some(epoch) = epoch else {
                self.places.push(None);
                continue;
            };
            let length = value.length();
            self.places.push(Some(Place { epoch, length }));
            let longest = &mut self.longest[epoch];
            let Some((reader, other)) = *longest else {
                *longest = Some((at, value));
                continue;
            };
            let (short, long) = if other.0.len() < value.0.len() {
                *longest = Some((at, value));
                (other, value)
            } else {
                (value, other)
            };
            if !long.0.starts_with(&short.0) {
                return Err(Violation::new(
                    Anomaly::IncompatibleOrders,
                    history,
                    &[reader, at],
                    &format!("these values of {} do not continue each other", self.key),
                ));
            }
        }
        Ok(())
    }

    /// Whether the operation of this event deletes the key in a later one.
    fn is_deleted_later(&self, event: usize) -> bool {
        let (at, _) = self.events[event];
        let mut own = self.events[event..].iter().take_while(|(of, _)| *of == at);
        own.any(|(_, action)| matches!(action, Action::Delete { .. }))
    }

    /// In which epoch this value was read; none if it may have been several.
    fn epoch_of(
        &self,
        history: &[Operation],
        authors: &HashMap<Token, Author>,
        reader: usize,
        value: &Value,
    ) -> Result<Option<usize>, Box<Violation>> {
        if value.length() > 0 {
            let author = value.token(0).and_then(|token| authors.get(&token));
            let Some(author) = author.filter(|author| author.key == self.key) else {
                return Err(self.garbage(history, reader, value, 0));
            };
            if author.is_append {
                return Ok(Some(self.deleted_epoch().unwrap_or(0)));
            }
            let mut replacements = self.replacements.iter();
            return match replacements.position(|(at, _)| *at == author.operation) {
                Some(index) => Ok(Some(index + 1)),
                None => Err(self.aborted(history, reader, author.operation)),
            };
        }
        let Some(deleted) = self.deleted_epoch() else {
            return Ok(Some(0));
        };
        let read = &history[reader];
        let (deletion, _) = self.replacements[deleted - 1];
        let (creation, _) = self.replacements[0];
        let may_be_deleted = read.completed_ns > history[deletion].invoked_ns;
        let may_be_first = read.invoked_ns < history[creation].completed_ns;
        Ok(match (may_be_first, may_be_deleted) {
            (_, false) => Some(0),
            (false, true) => Some(deleted),
            (true, true) => None,
        })
    }

    /// Notes which operations happened, as somebody saw; nobody may see one that did not.
    fn note_observed(
        &self,
        history: &[Operation],
        authors: &HashMap<Token, Author>,
        happened: &mut [bool],
    ) -> Result<(), Box<Violation>> {
        for (epoch, longest) in self.longest.iter().enumerate() {
            let Some((reader, value)) = *longest else {
                continue;
            };
            if epoch > 0 {
                happened[self.replacements[epoch - 1].0] = true;
            }
            let mut seen = HashMap::new();
            for place in 0..value.length() {
                let token = value.token(place);
                let author = token.and_then(|token| authors.get(&token));
                let (Some(token), Some(author)) = (token, author) else {
                    return Err(self.garbage(history, reader, value, place));
                };
                let starts = place == 0 && !author.is_append;
                if author.key != self.key || seen.insert(token, place).is_some() {
                    return Err(self.garbage(history, reader, value, place));
                }
                if history[author.operation].fate == Fate::DidNot {
                    return Err(self.aborted(history, reader, author.operation));
                }
                if !starts && !author.is_append {
                    return Err(self.garbage(history, reader, value, place));
                }
                happened[author.operation] = true;
            }
        }
        Ok(())
    }

    fn garbage(
        &self,
        history: &[Operation],
        reader: usize,
        value: &Value,
        place: usize,
    ) -> Box<Violation> {
        let bytes = value.0.chunks(TOKEN_BYTES).nth(place).unwrap_or_default();
        let token = String::from_utf8_lossy(bytes);
        let sentence = format!(
            "place {place} of {}'s value has {token:?}, which nobody wrote there",
            self.key
        );
        Violation::new(Anomaly::Garbage, history, &[reader], &sentence)
    }

    fn aborted(&self, history: &[Operation], reader: usize, writer: usize) -> Box<Violation> {
        let sentence = format!("A read from {} what B would have written", self.key);
        let operations = [reader, writer];
        Violation::new(Anomaly::AbortedRead, history, &operations, &sentence)
    }

    /// The key's versions, in order.
    fn versions(
        &self,
        history: &[Operation],
        authors: &HashMap<Token, Author>,
        happened: &[bool],
    ) -> Result<KeyVersions, Box<Violation>> {
        let tokens = self.places_of_tokens(history, authors, happened)?;
        let mut versions = Vec::new();
        let mut index_of = HashMap::new();
        for (epoch, tokens) in tokens.iter().enumerate() {
            let start = epoch.checked_sub(1).map(|before| self.replacements[before]);
            let is_empty_at_start = start.is_none_or(|(_, token)| token.is_none());
            if start.is_some_and(|(at, _)| !happened[at]) {
                continue;
            }
            if is_empty_at_start {
                index_of.insert((epoch, 0), versions.len());
                versions.push(Version::new(start.map(|(at, _)| at), None));
            }
            for (&place, &(token, writer)) in tokens {
                index_of.insert((epoch, place + 1), versions.len());
                versions.push(Version::new(Some(writer), Some(token)));
            }
        }
        let mut by_token = HashMap::new();
        for (index, version) in versions.iter().enumerate() {
            by_token.extend(version.token.map(|token| (token, index)));
        }
        // An operation's actions stand together, so this is its own last write.
        let mut written: Option<(usize, usize)> = None;
        for (&(at, action), place) in self.events.iter().zip(&self.places) {
            if let Some(index) = action.token().and_then(|token| by_token.get(&token)) {
                written = Some((at, *index));
            }
            let Some(place) = place else { continue };
            let index = index_of[&(place.epoch, place.length)];
            if written.is_some_and(|(writer, own)| writer == at && own > index) {
                let sentence = format!("A has written {}, and reads an older value", self.key);
                let anomaly = Anomaly::OwnWriteUnseen;
                return Err(Violation::new(anomaly, history, &[at], &sentence));
            }
            let readers = &mut versions[index].readers;
            if readers.last() != Some(&at) {
                readers.push(at);
            }
        }
        self.no_intermediate_reads(history, &versions)?;
        Ok(KeyVersions {
            key: self.key,
            versions,
        })
    }

    /// Nobody else sees a version that its writer has gone on to replace.
    fn no_intermediate_reads(
        &self,
        history: &[Operation],
        versions: &[Version],
    ) -> Result<(), Box<Violation>> {
        let mut last_of = HashMap::new();
        for (index, version) in versions.iter().enumerate() {
            last_of.insert(version.writer, index);
        }
        for (index, version) in versions.iter().enumerate() {
            let Some(writer) = version.writer else {
                continue;
            };
            let other = version.readers.iter().find(|reader| **reader != writer);
            let (Some(&reader), true) = (other, last_of[&version.writer] > index) else {
                continue;
            };
            let sentence = format!("A saw {} between two writes of B", self.key);
            let anomaly = Anomaly::IntermediateRead;
            return Err(Violation::new(
                anomaly,
                history,
                &[reader, writer],
                &sentence,
            ));
        }
        Ok(())
    }

    /// Of each epoch, which token of whom stands at which place.
    fn places_of_tokens(
        &self,
        history: &[Operation],
        authors: &HashMap<Token, Author>,
        happened: &[bool],
    ) -> Result<Vec<Places>, Box<Violation>> {
        let mut epochs = vec![Places::new(); self.longest.len()];
        let mut seen = HashMap::new();
        for (epoch, longest) in self.longest.iter().enumerate() {
            let start = epoch.checked_sub(1).map(|before| self.replacements[before]);
            if let Some((at, Some(token))) = start {
                epochs[epoch].insert(0, (token, at));
            }
            let Some((_, value)) = longest else { continue };
            for place in 0..value.length() {
                let token = value.token(place).expect("they have been looked at");
                epochs[epoch].insert(place, (token, authors[&token].operation));
                seen.insert(token, place);
            }
        }
        let mut unplaced = vec![Vec::new(); epochs.len()];
        for &(at, action) in &self.events {
            let &Action::Append { token, length, .. } = action else {
                continue;
            };
            let place = length.and_then(|length| length.checked_sub(1));
            if let Some(&stands) = seen.get(&token) {
                if place.is_some_and(|place| place != stands) {
                    let sentence = format!("A's {token} stands at place {stands} of {}", self.key);
                    let anomaly = Anomaly::IncompatibleOrders;
                    return Err(Violation::new(anomaly, history, &[at], &sentence));
                }
                continue;
            }
            let Some(epoch) = self.only_epoch(history, happened, at) else {
                continue;
            };
            let Some(place) = place else {
                if happened[at] {
                    unplaced[epoch].push((token, at));
                }
                continue;
            };
            if let Some((other, writer)) = epochs[epoch].insert(place, (token, at)) {
                let sentence = format!(
                    "A's {token} is to stand at place {place} of {}, where {other} of B stands",
                    self.key
                );
                let anomaly = Anomaly::IncompatibleOrders;
                return Err(Violation::new(anomaly, history, &[at, writer], &sentence));
            }
        }
        // One without a reply that happened, as was seen elsewhere, comes last if there is no other place for it.
        for (tokens, unplaced) in epochs.iter_mut().zip(unplaced) {
            let end = tokens.last_key_value().map_or(0, |(place, _)| place + 1);
            if let ([last], true) = (&unplaced[..], tokens.len() == end) {
                tokens.insert(end, *last);
            }
        }
        Ok(epochs)
    }

    /// The epoch in which an operation was, if by time it can have been in one only.
    fn only_epoch(&self, history: &[Operation], happened: &[bool], at: usize) -> Option<usize> {
        let operation = &history[at];
        let mut possible = (0..=self.replacements.len()).filter(|&epoch| {
            let start = epoch
                .checked_sub(1)
                .map(|before| self.replacements[before].0);
            let has_begun =
                start.is_none_or(|start| history[start].invoked_ns < operation.completed_ns);
            // One that may never have happened ends no epoch.
            let end = self.replacements.get(epoch).map(|(end, _)| *end);
            let has_ended = end.is_some_and(|end| {
                happened[end] && history[end].completed_ns <= operation.invoked_ns
            });
            has_begun && !has_ended
        });
        let first = possible.next()?;
        possible.next().is_none().then_some(first)
    }
}

impl Version {
    fn new(writer: Option<usize>, token: Option<Token>) -> Self {
        Self {
            writer,
            token,
            readers: Vec::new(),
        }
    }
}
