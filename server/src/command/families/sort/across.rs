//! `SORT` over several cores, in rounds under locks.
//!
//! ```text
//!  the key's core                        its elements
//!  the cores of what BY names            a weight for each
//!  the session's core                    sorts
//!  the cores of what GET names           values
//!  the destination's core                stores
//! ```
//! Rounds that nothing is asked in are left out.

use larder_engine::Access;

use super::options::{By, MayStore, Options};
use super::pattern::{Pattern, PatternedKey};
use super::texts::Texts;
use super::{Place, order, store};
use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreRequest, Round, Rounds};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// `SORT`.
pub(super) fn sort(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let options = Options::parse(args, MayStore::Yes)?;
    Ok(Sort::boxed(args, slots, options))
}

/// `SORT_RO`.
pub(super) fn sort_ro(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let options = Options::parse(args, MayStore::No)?;
    Ok(Sort::boxed(args, slots, options))
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
    /// Who was asked for values: which of them each answer has.
    asked: Vec<Vec<usize>>,
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
    fn boxed(args: &Args<'_>, slots: &SlotMap, options: Options) -> Box<dyn Rounds> {
        Box::new(Self {
            args: args.iter_from(0).map(<[u8]>::to_vec).collect(),
            options,
            slots: slots.copied(),
            step: Step::Nothing,
            elements: Texts::default(),
            order: Vec::new(),
            values: Vec::new(),
            asked: Vec::new(),
        })
    }

    /// Asks for what a pattern names for the elements of these numbers.
    fn ask_for_values(&mut self, pattern: &PatternedKey, of: &[usize]) -> Round {
        let mut requests: Vec<CoreRequest> = Vec::new();
        self.asked.clear();
        for (place, &at) in of.iter().enumerate() {
            let mut key = Vec::new();
            let element = self.elements.get(at);
            pattern.name(element.unwrap_or_default(), &mut key);
            let core = self.slots.core_of(&key);
            let known = requests.iter().position(|request| request.core == core);
            let number = known.unwrap_or_else(|| {
                requests.push(request_of_values(core, pattern.field()));
                self.asked.push(Vec::new());
                requests.len() - 1
            });
            requests[number].args.push(key);
            self.asked[number].push(place);
        }
        Round::Ask(requests)
    }

    /// The values that were asked for, `count` of them, in the order of their elements.
    fn values_of(&self, answers: &[&[u8]], count: usize) -> Result<Texts, ErrorReply> {
        let answers: Result<Vec<Texts>, ErrorReply> =
            answers.iter().map(|answer| texts_of(answer)).collect();
        let answers = answers?;
        let mut found = vec![None; count];
        for (answer, places) in answers.iter().zip(&self.asked) {
            for (value, &place) in answer.iter().zip(places) {
                found[place] = value;
            }
        }
        let mut values = Texts::default();
        let before: usize = self.values.iter().map(Texts::bytes).sum();
        for value in found {
            values.push(value);
            values.check_beside(self.elements.bytes() + before)?;
        }
        Ok(values)
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
                    return Ok(self.ask_for_values(&pattern, &order));
                }
                Pattern::Element => {
                    let elements = self.order.iter().map(|&at| self.elements.get(at));
                    elements.for_each(|element| values.push(element));
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
                        let pattern = pattern.clone();
                        let all: Vec<usize> = (0..self.elements.len()).collect();
                        Ok(self.ask_for_values(&pattern, &all))
                    }
                    _ => {
                        self.sort(None)?;
                        self.get(0, reply)
                    }
                }
            }
            Step::Weights => {
                let weights = self.values_of(answers, self.elements.len())?;
                self.sort(Some(&weights))?;
                self.get(0, reply)
            }
            Step::Values(number) => {
                let values = self.values_of(answers, self.order.len())?;
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
