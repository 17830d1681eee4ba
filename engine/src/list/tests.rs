//! What the models cannot say by themselves: bounds, memory given back, that nothing moves at the ends.

use proptest::prelude::*;

use super::model::play;
use super::packed_model::play_packed;

fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 2 } else { count };
    }
    config
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_run_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play_packed(&steps);
    }

    #[test]
    fn a_list_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play(&steps);
    }
}
