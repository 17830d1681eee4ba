//! `SORT` over several cores, in rounds under locks.
//!
//! ```text
//!  the key's core                        its elements
//!  the cores of what BY names            a weight for each
//!  the session's core                    sorts
//!  the cores of what GET names           values
//!  the destination's core                stores
//! ```
//! Rounds that nothing is asked in are left out; where names of keys are many bytes, values are asked for in several. What is stored
//! travels in one request, and so is bounded as the texts of a command are.

use larder_engine::Access;

use super::options::{By, MayStore, Options};
use super::pattern::{Pattern, PatternedKey};
use super::texts::{self, Texts};
use super::{Place, order, store};
use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreRequest, Round, Rounds};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// Bytes of names of keys, or a name more, that are asked for in one round: what a request holds is bounded.
const NAMES_MAX_BYTES: usize = 64 << 20;

/// `SORT`.
pub(super) fn sort(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let options = Options::parse(args, MayStore::Yes)?;
    Ok(Box::new(Sort::new(args, slots, options)))
}

/// `SORT_RO`.
pub(super) fn sort_ro(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let options = Options::parse(args, MayStore::No)?;
    Ok(Box::new(Sort::new(args, slots, options)))
}

#[derive(Debug)]
struct Sort {
    /// The command's own arguments: the core of the key reads the options as well.
    args: Vec<Vec<u8>>,
    options: Options,
    /// Who has which key, while it runs.
    slots: SlotMap,
    step: Step,
    elements: Texts,
    /// The numbers of the elements that are wanted, in their order.
    order: Vec<usize>,
    /// What each `GET` names for each of these.
    values: Vec<Texts>,
    gathering: Gathering,
}

/// The values that a pattern names, while they are asked for: in rounds, since the names of keys can be long, and those of all
/// elements together may be more than a request holds.
#[derive(Debug, Default)]
struct Gathering {
    pattern: Option<PatternedKey>,
    /// The numbers of the elements.
    of: Vec<usize>,
    /// Which of these were asked for last.
    begun: usize,
    ended: usize,
    /// Who was asked: which of those each answer has.
    asked: Vec<Vec<usize>>,
    values: Texts,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Nothing,
    Elements,
    Weights,
    /// To what the `GET` of this number names.
    Values(usize),
    Store,
}

impl Sort {
    fn new(args: &Args<'_>, slots: &SlotMap, options: Options) -> Self {
        Self {
            args: args.iter_from(0).map(<[u8]>::to_vec).collect(),
            options,
            slots: slots.copied(),
            step: Step::Nothing,
            elements: Texts::default(),
            order: Vec::new(),
            values: Vec::new(),
            gathering: Gathering::default(),
        }
    }

    /// Begins to ask for what a pattern names for the elements of these numbers.
    fn begin_values(&mut self, pattern: PatternedKey, of: Vec<usize>) -> Round {
        self.gathering = Gathering {
            pattern: Some(pattern),
            of,
            ..Gathering::default()
        };
        self.ask_for_values()
    }

    /// Asks for the next values, of as many elements as there is room for in a round.
    fn ask_for_values(&mut self) -> Round {
        let gathering = &mut self.gathering;
        let pattern = gathering.pattern.as_ref();
        let pattern = pattern.expect("values are asked for");
        let mut requests: Vec<CoreRequest> = Vec::new();
        let mut bytes = 0;
        gathering.asked.clear();
        gathering.begun = gathering.ended;
        for &at in &gathering.of[gathering.begun..] {
            if bytes > NAMES_MAX_BYTES {
                break;
            }
            let mut key = Vec::new();
            let element = self.elements.get(at);
            pattern.name(element.unwrap_or_default(), &mut key);
            bytes += key.len();
            let core = self.slots.core_of(&key);
            let known = requests.iter().position(|request| request.core == core);
            let number = known.unwrap_or_else(|| {
                requests.push(request_of_values(core, pattern.field()));
                gathering.asked.push(Vec::new());
                requests.len() - 1
            });
            requests[number].args.push(key);
            gathering.asked[number].push(gathering.ended - gathering.begun);
            gathering.ended += 1;
        }
        Round::Ask(requests)
    }

    /// Takes the values that were asked for, in the order of their elements. Asks for the next, if there are more.
    fn take_values(&mut self, answers: &[&[u8]]) -> Result<Option<Round>, ErrorReply> {
        let answers: Result<Vec<Texts>, ErrorReply> =
            answers.iter().map(|answer| texts_of(answer)).collect();
        let (answers, others) = (answers?, self.gathered_bytes());
        let gathering = &mut self.gathering;
        let mut found = vec![None; gathering.ended - gathering.begun];
        for (answer, places) in answers.iter().zip(&gathering.asked) {
            for (value, &place) in answer.iter().zip(places) {
                found[place] = value;
            }
        }
        for value in found {
            gathering.values.push(value);
            gathering.values.check_beside(others)?;
        }
        let are_more = gathering.ended < gathering.of.len();
        Ok(are_more.then(|| self.ask_for_values()))
    }

    /// All the values that a pattern names.
    fn end_values(&mut self) -> Texts {
        std::mem::take(&mut self.gathering).values
    }

    /// Bytes of the elements, and of the values of the `GET`s so far.
    fn gathered_bytes(&self) -> usize {
        self.elements.bytes() + self.values.iter().map(Texts::bytes).sum::<usize>()
    }

    /// The weights are there.
    fn sort(&mut self, weights: Option<&Texts>) -> Result<(), ErrorReply> {
        self.order = order::order(&self.elements, weights, &self.options)?;
        Ok(())
    }

    /// Goes on with the `GET` of number `next`.
    fn get(&mut self, next: usize, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        for number in next..self.options.gets.len() {
            let mut values = Texts::default();
            match &self.options.gets[number] {
                Pattern::Key(pattern) if !self.order.is_empty() => {
                    self.step = Step::Values(number);
                    let (pattern, order) = (pattern.clone(), self.order.clone());
                    return Ok(self.begin_values(pattern, order));
                }
                Pattern::Element => {
                    let others = self.gathered_bytes();
                    for &at in &self.order {
                        values.push(self.elements.get(at));
                        values.check_beside(others)?;
                    }
                }
                Pattern::Nothing | Pattern::Key(_) => {
                    self.order.iter().for_each(|_| values.push(None));
                }
            }
            self.values.push(values);
        }
        self.end(reply)
    }

    /// What is answered or stored, in order.
    fn results(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let places = self.order.iter().enumerate();
        places.flat_map(|(place, &at)| {
            let itself = self.values.is_empty().then(|| self.elements.get(at));
            let values = self.values.iter().map(move |values| values.get(place));
            itself.into_iter().chain(values)
        })
    }

    fn count(&self) -> usize {
        self.order.len() * self.options.gets.len().max(1)
    }

    /// All is there: stores it, or replies.
    fn end(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        if let Some(at) = self.options.store {
            self.step = Step::Store;
            let key = self.args[at].clone();
            let core = self.slots.core_of(&key);
            let bytes = self.results().flatten().map(<[u8]>::len).sum();
            texts::check_bytes(bytes)?;
            let stored = self
                .results()
                .map(|value| value.unwrap_or_default().to_vec());
            let args = std::iter::once(key).chain(stored).collect();
            let run = store_part;
            return Ok(Round::Ask(vec![CoreRequest { core, run, args }]));
        }
        let mark = reply.mark();
        reply.array(self.count());
        for value in self.results() {
            match value {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            }
            reply.check_len(mark)?;
        }
        Ok(Round::Done)
    }
}

impl Rounds for Sort {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Nothing => {
                self.step = Step::Elements;
                Ok(Round::Ask(vec![CoreRequest {
                    core: self.slots.core_of(&self.args[1]),
                    run: elements_part,
                    args: self.args.clone(),
                }]))
            }
            Step::Elements => {
                self.elements = texts_of(answers[0])?;
                match &self.options.by {
                    By::Pattern(Pattern::Key(pattern)) if self.elements.len() > 0 => {
                        self.step = Step::Weights;
                        let all = (0..self.elements.len()).collect();
                        Ok(self.begin_values(pattern.clone(), all))
                    }
                    _ => {
                        self.sort(None)?;
                        self.get(0, reply)
                    }
                }
            }
            Step::Weights => {
                if let Some(round) = self.take_values(answers)? {
                    return Ok(round);
                }
                let weights = self.end_values();
                self.sort(Some(&weights))?;
                self.get(0, reply)
            }
            Step::Values(number) => {
                if let Some(round) = self.take_values(answers)? {
                    return Ok(round);
                }
                let values = self.end_values();
                self.values.push(values);
                self.get(number + 1, reply)
            }
            Step::Store => {
                Answer::of(answers[0])?;
                reply.count(self.count() as u64);
                Ok(Round::Done)
            }
        }
    }
}

fn texts_of(answer: &[u8]) -> Result<Texts, ErrorReply> {
    match Answer::of(answer)? {
        Answer::Yes(written) => Ok(Texts::read(written)),
        Answer::No => unreachable!("no such answer is given"),
    }
}

fn place<'a>(call: &'a mut CoreCall<'_>) -> Place<'a> {
    Place {
        shard: &mut call.core.shard,
        stats: &mut call.core.stats,
        db: call.db,
        access: Access::Touch,
    }
}

/// Answers the elements of the key that the arguments, which are the command's, name.
fn elements_part(call: &mut CoreCall<'_>) {
    let args = call.args;
    if let Some(reader) = call.reader {
        call.core.remember_key(args.at(1), reader);
    }
    let key = call.core.shard.hasher().key(args.at(1));
    let elements = Options::parse(&args, MayStore::Yes)
        .and_then(|options| place(call).elements(key, &options));
    match elements {
        Ok(elements) => Answer::yes(call.out, |out| elements.write(out)),
        Err(error) => Answer::failed(call.out, &error),
    }
}

/// A question for values, to which keys are added. With a field, they are hashes.
fn request_of_values(core: CoreId, field: Option<&[u8]>) -> CoreRequest {
    match field {
        None => CoreRequest {
            core,
            run: strings_part,
            args: Vec::new(),
        },
        Some(field) => CoreRequest {
            core,
            run: fields_part,
            args: vec![field.to_vec()],
        },
    }
}

/// Answers the strings at all arguments.
fn strings_part(call: &mut CoreCall<'_>) {
    values_part(call, None, 0);
}

/// Answers the fields, argument 0, of the hashes at the other arguments.
fn fields_part(call: &mut CoreCall<'_>) {
    let field = call.args.at(0);
    values_part(call, Some(field), 1);
}

fn values_part(call: &mut CoreCall<'_>, field: Option<&[u8]>, first: usize) {
    let keys = call.args.iter_from(first);
    let mut values = Texts::default();
    for key in keys {
        place(call).value(key, field, |value| values.push(value));
        if let Err(error) = values.check_beside(0) {
            return Answer::failed(call.out, &error);
        }
    }
    Answer::yes(call.out, |out| values.write(out));
}

/// Stores all arguments but the first, which is the key.
fn store_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let elements = call.args.iter_from(1);
    match store(&mut call.core.shard, call.db, key, elements) {
        Ok(()) => Answer::yes(call.out, |_| ()),
        Err(error) => Answer::failed(call.out, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{ArgRange, Protocol, errors};

    fn begun(words: &[&[u8]]) -> Box<Sort> {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for word in words {
            ranges.push(ArgRange {
                start: bytes.len() as u32,
                len: word.len() as u32,
            });
            bytes.extend_from_slice(word);
        }
        let args = Args::new(&bytes, &ranges);
        let options = Options::parse(&args, MayStore::Yes).unwrap();
        Box::new(Sort::new(&args, &SlotMap::even(2), options))
    }

    fn yes(texts: &Texts) -> Vec<u8> {
        let mut answer = Vec::new();
        Answer::yes(&mut answer, |out| texts.write(out));
        answer
    }

    /// Answers to these requests: each key's value is its last two bytes.
    fn tails(requests: &[CoreRequest]) -> Vec<Vec<u8>> {
        let answers = requests.iter().map(|request| {
            let mut texts = Texts::default();
            for key in &request.args {
                texts.push(Some(&key[key.len() - 2..]));
            }
            yes(&texts)
        });
        answers.collect()
    }

    #[test]
    fn names_of_many_bytes_are_asked_for_in_rounds_that_hold_them() {
        let pattern = [&vec![b'k'; 1 << 20][..], b"*"].concat();
        let mut sort = begun(&[b"SORT", b"l", b"ALPHA", b"BY", &pattern, b"GET", &pattern]);
        let mut elements = Texts::default();
        let names: Vec<String> = (10..99).rev().map(|number| number.to_string()).collect();
        names
            .iter()
            .for_each(|name| elements.push(Some(name.as_bytes())));
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let mut answers = vec![yes(&elements)];
        let mut rounds = 0;
        assert!(matches!(sort.next(&[], &mut reply), Ok(Round::Ask(_))));
        loop {
            let given: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
            let Round::Ask(requests) = sort.next(&given, &mut reply).unwrap() else {
                break;
            };
            let keys = requests.iter().flat_map(|request| &request.args);
            assert!(keys.map(Vec::len).sum::<usize>() <= NAMES_MAX_BYTES + 2 * pattern.len());
            answers = tails(&requests);
            rounds += 1;
        }
        assert_eq!(rounds, 4, "two for each pattern");
        let mut expected = Vec::new();
        let mut reply = Reply::new(&mut expected, Protocol::Resp2);
        reply.array(names.len());
        names
            .iter()
            .rev()
            .for_each(|name| reply.bulk(name.as_bytes()));
        assert_eq!(out, expected);
    }

    #[test]
    fn what_is_gathered_is_bounded_where_elements_are_asked_for_themselves_or_stored() {
        let part = vec![b'x'; 64 << 20];
        let mut words: Vec<&[u8]> = vec![b"SORT", b"l"];
        words.extend([&b"GET"[..], b"#"].repeat(8));
        for (words, order) in [
            (&words[..], vec![0]),
            (&[b"SORT", b"l", b"STORE", b"d"], vec![0; 9]),
        ] {
            let mut sort = begun(words);
            sort.elements.push(Some(&part));
            sort.order = order;
            let mut out = Vec::new();
            let ended = sort.get(0, &mut Reply::new(&mut out, Protocol::Resp2));
            assert_eq!(ended.err(), Some(errors::REPLY_TOO_LARGE));
        }
    }
}
