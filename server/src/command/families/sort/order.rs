//! The order of elements by their weights.

use std::cmp::Ordering;

use super::options::{By, Options};
use super::texts::Texts;
use crate::resp::{ErrorReply, errors};

/// The numbers of the elements that are wanted, in their order. `weights`: what they are ordered by, if not by themselves.
///
/// # Errors
/// Numbers are compared, and a weight is none.
pub(super) fn order(
    elements: &Texts,
    weights: Option<&Texts>,
    options: &Options,
) -> Result<Vec<usize>, ErrorReply> {
    let mut order: Vec<usize> = (0..elements.len()).collect();
    if matches!(options.by, By::Nothing) {
        // No others were taken.
        return Ok(order);
    }
    let weighed = weights.unwrap_or(elements);
    let numbers: Vec<f64>;
    let weights = match options.is_alphabetic {
        true => Weights::Texts(weighed),
        false => {
            let all: Option<Vec<f64>> = weighed.iter().map(number).collect();
            numbers = all.ok_or(errors::SORT_WEIGHTS)?;
            Weights::Numbers(&numbers, elements)
        }
    };
    order.sort_by(|&one, &other| weights.compare((one, other), options.is_descending));
    let wanted = options.range(order.len());
    order.truncate(wanted.end);
    order.drain(..wanted.start);
    Ok(order)
}

/// What elements are ordered by.
pub(super) enum Weights<'a> {
    Texts(&'a Texts),
    /// Numbers, and the elements, which tell those apart whose numbers are equal.
    Numbers(&'a [f64], &'a Texts),
}

impl Weights<'_> {
    /// The order of two elements, by their numbers.
    pub(super) fn compare(&self, (one, other): (usize, usize), is_descending: bool) -> Ordering {
        let order = match self {
            Self::Texts(texts) => texts.get(one).cmp(&texts.get(other)),
            Self::Numbers(numbers, elements) => {
                let by_number = numbers[one].partial_cmp(&numbers[other]);
                let by_number = by_number.expect("a weight is a number");
                by_number.then_with(|| elements.get(one).cmp(&elements.get(other)))
            }
        };
        match is_descending {
            false => order,
            true => order.reverse(),
        }
    }
}

/// The number that a weight is: 0 if there is none, or it is empty.
pub(super) fn number(weight: Option<&[u8]>) -> Option<f64> {
    match weight {
        None | Some(b"") => Some(0.0),
        Some(weight) => {
            let number: f64 = std::str::from_utf8(weight).ok()?.parse().ok()?;
            (!number.is_nan()).then_some(number)
        }
    }
}
