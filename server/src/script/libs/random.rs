//! `math.random` and `math.randomseed`: the same numbers for the same seed on every machine, which are those Redis gives
//! (the 48-bit linear congruential generator of POSIX, `lrand48`).

use std::cell::Cell;
use std::rc::Rc;

use mlua::Value;

use super::{Arguments, Outcome, Registrar};
use crate::script::exchange::{Exchange, Phase, Raised};

/// POSIX's multiplier and increment, and the low bits of a seeded state.
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const SEEDED: u64 = 0x330E;
const MASK: u64 = (1 << 48) - 1;

/// The generator.
struct Random(Cell<u64>);

impl Random {
    fn seed(&self, seed: i32) {
        self.0.set(u64::from(seed as u32) << 16 | SEEDED);
    }

    /// A number from 0 up to 2^31.
    fn next(&self) -> u32 {
        let state = self
            .0
            .get()
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(INCREMENT)
            & MASK;
        self.0.set(state);
        (state >> 17) as u32
    }

    /// A number from 0 up to 1.
    fn fraction(&self) -> f64 {
        const MAX: u32 = i32::MAX as u32;
        f64::from(self.next() % MAX) / f64::from(MAX)
    }
}

pub(super) fn register(to: &Registrar<'_>) -> mlua::Result<()> {
    let random = Rc::new(Random(Cell::new(to.exchange.seed & MASK)));
    let exchange = Rc::clone(to.exchange);
    let shared = Rc::clone(&random);
    to.one("random", move |args| {
        check_running(&exchange, "random")?;
        draw(args, shared.fraction())
    })?;
    let exchange = Rc::clone(to.exchange);
    to.none("randomseed", move |args| {
        check_running(&exchange, "randomseed")?;
        random.seed(args.integer32(1)?);
        Ok(())
    })
}

fn check_running(exchange: &Exchange, name: &str) -> Result<(), Raised> {
    if exchange.phase.get() == Phase::Running {
        return Ok(());
    }
    Err(Raised::message(format!(
        "math.{name} can only be called inside a script invocation"
    )))
}

fn draw(args: &Arguments<'_>, fraction: f64) -> Outcome {
    let value = match args.len() {
        0 => fraction,
        1 => {
            let most = args.integer32(1)?;
            if most < 1 {
                return Err(args.bad(1, "interval is empty"));
            }
            (fraction * f64::from(most)).floor() + 1.0
        }
        2 => {
            let (least, most) = (args.integer32(1)?, args.integer32(2)?);
            if least > most {
                return Err(args.bad(2, "interval is empty"));
            }
            let width = most.wrapping_sub(least).wrapping_add(1);
            (fraction * f64::from(width)).floor() + f64::from(least)
        }
        _ => return Err(Raised::message("wrong number of arguments")),
    };
    Ok(Value::Number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_numbers_of_lrand48() {
        let random = Random(Cell::new(0));
        random.seed(1);
        let drawn: Vec<u32> = (0..3).map(|_| random.next()).collect();
        assert_eq!(drawn, [89_400_484, 976_015_093, 1_792_756_325]);
    }
}
