//! `SORT` over several cores, in rounds under locks.
//!
//! ```text
//!  the key's core                        its elements
//!  the cores of what BY names            a weight for each
//!  the session's core                    sorts
//!  the cores of what GET names           values
//!  the destination's core                stores
//! ```
//! Rounds that nothing is asked in are left out. Values are asked for in several, of some names each, and what is done with many elements
//! between two rounds is done over several turns. The elements are answered in one step, and what is stored travels in one request, and so
//! is bounded as the texts of a command are.

use larder_engine::Access;

use super::options::{By, MayStore, Options};
use super::order::{Weights, number};
use super::pattern::{Pattern, PatternedKey};
use super::texts::{self, Texts};
use super::{Place, store};
use crate::command::families::merge::Sorting;
use crate::command::families::pieces::Pieces;
use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreRequest, Round, Rounds};
use crate::resp::{ErrorReply, Protocol, Reply, errors};
use crate::routing::{CoreId, SlotMap};

/// Bytes of names of keys, or a name more, that are asked for in one round.
const NAMES_MAX_BYTES: usize = 32 << 10;

/// Elements whose numbers are read, or that are shown, in one turn; bytes of the latter, about.
const TURN_ELEMENTS: usize = 4096;
const TURN_BYTES: usize = 256 << 10;

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
    /// What they are ordered by, if not by themselves, and the numbers of that.
    weights: Option<Texts>,
    weight_numbers: Vec<f64>,
    /// The numbers of the elements that are wanted, in their order.
    order: Vec<usize>,
    /// What each `GET` names for each of these.
    got: Vec<Got>,
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

/// What a `GET` names for each element.
#[derive(Debug)]
enum Got {
    Elements,
    Nothing,
    Values(Texts),
}

/// What the answers at hand are to, or what goes on in a later turn.
#[derive(Debug)]
enum Step {
    Nothing,
    Elements,
    Weights,
    /// The numbers of the weights are read.
    Numbers,
    Sort(Sorting),
    /// To what the `GET` of this number names.
    Values(usize),
    /// The results from this one on are shown.
    Show(usize, Pieces),
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
            weights: None,
            weight_numbers: Vec::new(),
            order: Vec::new(),
            got: Vec::new(),
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

    /// Bytes of the elements, and of what the `GET`s so far have named.
    fn gathered_bytes(&self) -> usize {
        let got = self.got.iter().map(|got| match got {
            Got::Elements => self.elements.bytes(),
            Got::Nothing => 0,
            Got::Values(values) => values.bytes(),
        });
        self.elements.bytes() + got.sum::<usize>()
    }

    /// The weights are there.
    fn begin_sort(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let len = self.elements.len();
        self.step = match () {
            () if matches!(self.options.by, By::Nothing) => {
                // No others were taken.
                self.order = (0..len).collect();
                return self.get(0, reply);
            }
            () if self.options.is_alphabetic => Step::Sort(Sorting::new(len)),
            () => Step::Numbers,
        };
        self.sort(reply)
    }

    /// Goes on to sort; with what comes then, once all are sorted.
    fn sort(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let weighed = self.weights.as_ref().unwrap_or(&self.elements);
        if let Step::Numbers = self.step {
            let begun = self.weight_numbers.len();
            for at in (begun..weighed.len()).take(TURN_ELEMENTS) {
                let number = number(weighed.get(at)).ok_or(errors::SORT_WEIGHTS)?;
                self.weight_numbers.push(number);
            }
            if self.weight_numbers.len() < weighed.len() {
                return Ok(Round::GoOn);
            }
            self.step = Step::Sort(Sorting::new(weighed.len()));
        }
        let weights = match self.options.is_alphabetic {
            true => Weights::Texts(weighed),
            false => Weights::Numbers(&self.weight_numbers, &self.elements),
        };
        let Step::Sort(sorting) = &mut self.step else {
            unreachable!("numbers are read, and then sorted");
        };
        let is_descending = self.options.is_descending;
        if !sorting.step(|one, other| weights.compare((one, other), is_descending)) {
            return Ok(Round::GoOn);
        }
        let sorting = std::mem::replace(sorting, Sorting::new(0));
        self.order = sorting.into_order();
        let wanted = self.options.range(self.order.len());
        self.order.truncate(wanted.end);
        self.order.drain(..wanted.start);
        (self.weights, self.weight_numbers) = (None, Vec::new());
        self.get(0, reply)
    }

    /// Goes on with the `GET` of number `next`.
    fn get(&mut self, next: usize, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        for number in next..self.options.gets.len() {
            let got = match &self.options.gets[number] {
                Pattern::Key(pattern) if !self.order.is_empty() => {
                    self.step = Step::Values(number);
                    let (pattern, order) = (pattern.clone(), self.order.clone());
                    return Ok(self.begin_values(pattern, order));
                }
                Pattern::Element => Got::Elements,
                Pattern::Nothing | Pattern::Key(_) => Got::Nothing,
            };
            self.got.push(got);
            texts::check_bytes(self.gathered_bytes())?;
        }
        self.end(reply.protocol())
    }

    /// How many results there are: what is answered or stored.
    fn count(&self) -> usize {
        self.order.len() * self.options.gets.len().max(1)
    }

    /// The result of this number, in their order.
    fn result(&self, number: usize) -> Option<&[u8]> {
        let each = self.got.len().max(1);
        let place = number / each;
        match self.got.get(number % each) {
            None | Some(Got::Elements) => self.elements.get(self.order[place]),
            Some(Got::Nothing) => None,
            Some(Got::Values(values)) => values.get(place),
        }
    }

    fn results(&self) -> impl Iterator<Item = Option<&[u8]>> {
        (0..self.count()).map(|number| self.result(number))
    }

    /// All is there: stores it, or replies.
    fn end(&mut self, protocol: Protocol) -> Result<Round, ErrorReply> {
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
        self.show(0, Pieces::default(), protocol)
    }

    /// Shows results, from the one of number `next` on, beside those that are shown.
    fn show(
        &mut self,
        mut next: usize,
        mut shown: Pieces,
        protocol: Protocol,
    ) -> Result<Round, ErrorReply> {
        let (count, most_bytes) = (self.count(), shown.bytes() + TURN_BYTES);
        let end = count.min(next + TURN_ELEMENTS);
        while next < end && shown.bytes() < most_bytes {
            let value = self.result(next);
            shown.add(protocol, |reply| match value {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            })?;
            next += 1;
        }
        if next < count {
            self.step = Step::Show(next, shown);
            return Ok(Round::GoOn);
        }
        let pieces = shown.into_reply(protocol, |reply| reply.array(count));
        Ok(Round::Reply(pieces))
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
                    _ => self.begin_sort(reply),
                }
            }
            Step::Weights => {
                if let Some(round) = self.take_values(answers)? {
                    return Ok(round);
                }
                self.weights = Some(self.end_values());
                self.begin_sort(reply)
            }
            Step::Numbers | Step::Sort(_) => self.sort(reply),
            Step::Values(number) => {
                if let Some(round) = self.take_values(answers)? {
                    return Ok(round);
                }
                let values = self.end_values();
                self.got.push(Got::Values(values));
                self.get(number + 1, reply)
            }
            Step::Show(next, ref mut shown) => {
                let shown = std::mem::take(shown);
                self.show(next, shown, reply.protocol())
            }
            Step::Store => {
                Answer::of(answers[0])?;
                reply.count(self.count() as u64);
                Ok(Round::Done)
            }
        }
    }

    fn held_bytes(&self) -> usize {
        let got = self.got.iter().map(|got| match got {
            Got::Values(values) => values.held_bytes(),
            Got::Elements | Got::Nothing => 0,
        });
        let sorted = match &self.step {
            Step::Sort(sorting) => sorting.held_bytes(),
            Step::Show(_, shown) => shown.held_bytes(),
            _ => 0,
        };
        let weights = self.weights.as_ref().map_or(0, Texts::held_bytes);
        let numbers = size_of_val(&self.weight_numbers[..]);
        let orders = size_of_val(&self.order[..]) + size_of_val(&self.gathering.of[..]);
        let values = self.gathering.values.held_bytes();
        self.elements.held_bytes()
            + got.sum::<usize>()
            + sorted
            + weights
            + numbers
            + orders
            + values
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
        let pattern = [&vec![b'k'; 1 << 10][..], b"*"].concat();
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
        let out = loop {
            let given: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
            let requests = match sort.next(&given, &mut reply).unwrap() {
                Round::Ask(requests) => requests,
                Round::Reply(pieces) => break pieces.concat(),
                other => panic!("{other:?}"),
            };
            let keys = requests.iter().flat_map(|request| &request.args);
            assert!(keys.map(Vec::len).sum::<usize>() <= NAMES_MAX_BYTES + 2 * pattern.len());
            answers = tails(&requests);
            rounds += 1;
        };
        assert_eq!(rounds, 6, "three for each pattern");
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
