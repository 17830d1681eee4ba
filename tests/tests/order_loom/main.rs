//! The order of transactions under loom: the sources of `server/src/order` as they are, every way in which two cores'
//! accesses may interleave, and every value that weak memory may show them.
//!
//! The scenes are small, since their number of executions explodes; what takes many cores and commands to go wrong is
//! the simulation's (`order_sim`). Bounded to three preemptions an execution; `LARDER_ORDER_PREEMPTIONS=6` is the long form.

#[path = "../order_sim/left_out.rs"]
#[allow(dead_code)]
mod left_out;
mod scenes;

/// What `server/src/order/sync.rs` is for the product.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
    pub(crate) type CachePadded<T> = Padded<T>;

    /// No padding: no cache is modelled.
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
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use left_out::{Rule, leave_out};

/// Runs all executions of `scene`, and says how many there were and what was found, if anything.
fn explore(scene: fn()) -> (usize, Option<String>) {
    let given = std::env::var("LARDER_ORDER_PREEMPTIONS").ok();
    let bound = given.map_or(3, |text| text.parse().expect("a number of preemptions"));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(bound);
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = {
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, Ordering::Relaxed);
            scene();
        }
    };
    let ended = catch_unwind(AssertUnwindSafe(|| model.check(counted)));
    let found = ended.err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_default()
    });
    (executions.load(Ordering::Relaxed), found)
}

fn holds(what: &str, scene: fn()) {
    let began = Instant::now();
    let (executions, found) = explore(scene);
    assert_eq!(found, None, "{what}");
    println!(
        "{what}: {executions} executions, {:.2} s",
        began.elapsed().as_secs_f64()
    );
}

fn notices(rule: Rule, scene: fn()) {
    let began = Instant::now();
    leave_out(Some(rule));
    let (executions, found) = explore(scene);
    leave_out(None);
    let how = found.unwrap_or_else(|| panic!("without {rule:?}: nothing found"));
    let how = how.lines().next().unwrap_or_default();
    let seconds = began.elapsed().as_secs_f64();
    println!("without {rule:?}: {executions} executions, {seconds:.2} s: {how}");
}

#[test]
fn two_cores_append_at_once_and_read_one_order() {
    holds("two coordinators", scenes::two_coordinators);
}

#[test]
fn parts_are_there_when_their_entry_is() {
    holds("parts and sleep", scenes::parts_for_one_about_to_sleep);
}

#[test]
fn a_slot_is_written_again_only_when_it_was_read() {
    holds("reuse of slots", scenes::a_ring_goes_round);
}

#[test]
fn who_holds_up_the_ring_asleep_is_woken() {
    holds("a laggard", scenes::a_sleeper_holds_up_the_ring);
}

#[test]
fn what_was_told_behind_a_transaction_is_run_behind_it() {
    holds("word of a transaction", scenes::word_of_a_transaction);
}

#[test]
fn rule_1_is_needed() {
    notices(Rule::CatchUpAfterTaking, scenes::word_of_a_transaction);
}

#[test]
fn rule_5_is_needed() {
    notices(Rule::ReuseBehindReaders, scenes::a_ring_goes_round);
    notices(Rule::IdleComeBy, scenes::a_sleeper_holds_up_the_ring);
}

#[test]
fn rule_6_is_needed_and_its_fence() {
    notices(Rule::LookBeforeSleep, scenes::parts_for_one_about_to_sleep);
    notices(Rule::FenceBeforeLook, scenes::parts_for_one_about_to_sleep);
}
