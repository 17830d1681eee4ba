//! What the models cannot say by themselves: orders by name alone, bytes, ordinals, memory given back.

use proptest::prelude::*;

use super::model::{SMALL, play, play_run};
use super::order::{Bound, Side};
use super::{BOUNDS, Bounds, SortedSet};
use crate::Direction;
use crate::KeyHasher;
use crate::nodes::{Heap, Owner};

fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 2 } else { count };
    }
    config
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_run_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play_run(&steps);
    }

    #[test]
    fn a_sorted_set_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play(&steps);
    }
}
