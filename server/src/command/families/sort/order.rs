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
    if options.is_alphabetic {
        sort(&mut order, options, |one, other| {
            weighed.get(one).cmp(&weighed.get(other))
        });
    } else {
        let numbers: Option<Vec<f64>> = weighed.iter().map(number).collect();
        let numbers = numbers.ok_or(errors::SORT_WEIGHTS)?;
        sort(&mut order, options, |one, other| {
            let by_number = numbers[one].partial_cmp(&numbers[other]);
            let by_number = by_number.expect("a weight is a number");
            by_number.then_with(|| elements.get(one).cmp(&elements.get(other)))
        });
    }
    let wanted = options.range(order.len());
    order.truncate(wanted.end);
    order.drain(..wanted.start);
    Ok(order)
}

fn sort(order: &mut [usize], options: &Options, compare: impl Fn(usize, usize) -> Ordering) {
    order.sort_by(|&one, &other| match options.is_descending {
        false => compare(one, other),
        true => compare(other, one),
    });
}

/// The number that a weight is: 0 if there is none, or it is empty.
fn number(weight: Option<&[u8]>) -> Option<f64> {
    match weight {
        None | Some(b"") => Some(0.0),
        Some(weight) => {
            let number: f64 = std::str::from_utf8(weight).ok()?.parse().ok()?;
            (!number.is_nan()).then_some(number)
        }
    }
}
