//! The order of transactions, simulated: the sources of `server/src/order` as they are, run by cores that shuttle
//! interleaves between any two accesses to shared memory. What happened is checked for strict serializability.
//!
//! Everything follows from a seed: how many cores and slots, which commands, who goes on when. A seed that fails fails
//! again. Each rule of the order (decision 0017) is left out in turn, and the simulation must notice.
//!
//! `LARDER_ORDER_SEEDS=60000 cargo test --release -p larder-tests --test order_sim` is the long form.

mod core;
mod history;
mod left_out;
mod world;

/// What `server/src/order/sync.rs` is for the product.
mod sync {
    pub(crate) use std::sync::atomic::Ordering;
    pub(crate) type CachePadded<T> = Padded<T>;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, fence};

    /// No padding: no cache is simulated.
    #[derive(Debug)]
    pub(crate) struct Padded<T>(T);

    impl<T> Padded<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(value)
        }
    }

    impl<T> std::ops::Deref for Padded<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}

/// What `server/src/order/rules.rs` is for the product.
mod rules {
    pub(crate) use crate::left_out::{Rule, keeps};
}

mod routing {
    pub(crate) use larder_server::routing::CoreId;
}

#[allow(dead_code, unreachable_pub)]
#[path = "../../../server/src/order/coordinator.rs"]
mod coordinator;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../server/src/order/follower.rs"]
mod follower;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../server/src/order/ring.rs"]
mod ring;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../server/src/order/sleepers.rs"]
mod sleepers;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../server/src/order/word.rs"]
mod word;

// As `server/src/order/mod.rs` has them, for the sources' links.
#[allow(unused_imports)]
use {coordinator::Coordinator, follower::Follower};

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use left_out::{Clock, Rule, leave_out, tell_time_by};
use world::Load;

/// Steps after which a run is taken to be stuck.
const STEPS_MAX: usize = 500_000;

/// Seeds of each load.
fn seeds() -> u64 {
    let given = std::env::var("LARDER_ORDER_SEEDS").ok();
    given.map_or(300, |text| text.parse().expect("a number of seeds"))
}

/// Runs the simulation of `seed`. Whether it found the order broken: a cycle, an entry missed, or all asleep with work to do.
fn is_broken(seed: u64, load: Load) -> Option<String> {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    let scheduler = RandomScheduler::new_from_seed(seed, 1);
    let runner = Runner::new(scheduler, config);
    let ended = catch_unwind(AssertUnwindSafe(|| runner.run(move || world::run(load))));
    let panic = ended.err()?;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Some(text.unwrap_or_default())
}

/// The first seed that finds the order broken.
///
/// # Panics
/// If none does.
fn first_that_notices(what: &str, load: Load) {
    let began = Instant::now();
    for seed in 0..20 * seeds() {
        if let Some(how) = is_broken(seed, load) {
            let how = how.lines().next().unwrap_or_default();
            let seconds = began.elapsed().as_secs_f64();
            println!("{what}: {} seeds, {seconds:.2} s: {how}", seed + 1);
            return;
        }
    }
    panic!("{what}: nobody noticed");
}

/// Time tells much of the order, so it stands still: these are found without.
fn notices(rule: Rule, load: Load) {
    tell_time_by(Clock::Stopped);
    leave_out(Some(rule));
    first_that_notices(&format!("without {rule:?}"), load);
    leave_out(None);
    tell_time_by(Clock::Order);
}

#[test]
fn what_cores_do_is_strictly_serializable_and_comes_to_its_end() {
    for load in [Load::EXACT, Load::GROUPED, Load::CROWDED] {
        let began = Instant::now();
        for seed in 0..seeds() {
            if let Some(how) = is_broken(seed, load) {
                panic!("seed {seed} of {load:?}: {how}");
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("{load:?}: {} seeds, {seconds:.1} s", seeds());
    }
}

#[test]
fn rule_1_catch_up_after_taking_a_batch() {
    notices(Rule::CatchUpAfterTaking, Load::EXACT);
}

#[test]
fn rule_2_the_coordinators_mail_before_its_parts() {
    notices(Rule::MailFirst, Load::EXACT);
}

#[test]
fn rule_2_in_groups_mail_from_behind_an_entry_stays_behind_it() {
    notices(Rule::MailBehindStaysBehind, Load::GROUPED);
}

#[test]
fn rule_3_a_session_waits_for_its_own_core() {
    notices(Rule::SessionsWait, Load::EXACT);
}

#[test]
fn rule_4_all_parts_or_none() {
    notices(Rule::AllOrNone, Load::CROWDED);
}

#[test]
fn rule_5_no_slot_is_used_again_before_it_was_read() {
    notices(Rule::ReuseBehindReaders, Load::CROWDED);
}

#[test]
fn rule_5_who_sleeps_far_behind_is_woken_to_come_by() {
    notices(Rule::IdleComeBy, Load::CROWDED);
}

#[test]
fn rule_6_look_again_before_sleeping_with_parts_in_hand() {
    notices(Rule::LookBeforeSleep, Load::EXACT);
}

#[test]
fn rule_13_time_is_an_entry_and_not_each_cores_own() {
    tell_time_by(Clock::OwnOfEachCore);
    first_that_notices("each core's own time", Load::EXACT);
    tell_time_by(Clock::Order);
}

#[test]
fn rule_13_a_shared_watermark_of_time_is_not_enough() {
    tell_time_by(Clock::Watermark);
    first_that_notices("a watermark of time", Load::EXACT);
    tell_time_by(Clock::Order);
}
