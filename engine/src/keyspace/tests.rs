//! The model, and what it cannot say.

use proptest::prelude::*;

use super::model::play;

fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 2 } else { count };
    }
    config
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_keyspace_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1500)) {
        play(&steps);
    }
}
