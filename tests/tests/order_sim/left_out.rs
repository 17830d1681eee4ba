//! Which rule a simulation leaves out. All cores of one are of one thread, so the choice is the thread's.

use std::cell::Cell;

pub(crate) use larder_server::order::Rule;

/// Where cores have their time from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// From ticks in the order, as the product does.
    Order,
    /// The same, but it is the same time always: what is found is found by the order of accesses alone.
    Stopped,
    /// Each core reads a clock when its turn begins.
    OwnOfEachCore,
    /// The latest of the core's own clock, the entry's time and a shared watermark of times that were judged by.
    Watermark,
}

thread_local! {
    static LEFT_OUT: Cell<Option<Rule>> = const { Cell::new(None) };
    static CLOCK: Cell<Clock> = const { Cell::new(Clock::Order) };
}

/// Leaves out `rule` from now on.
pub(crate) fn leave_out(rule: Option<Rule>) {
    LEFT_OUT.set(rule);
}

/// Whether `rule` is kept.
pub(crate) fn keeps(rule: Rule) -> bool {
    if rule == Rule::TimeInOrder {
        return matches!(clock(), Clock::Order | Clock::Stopped);
    }
    LEFT_OUT.get() != Some(rule)
}

/// Has cores tell time by `clock`.
pub(crate) fn tell_time_by(clock: Clock) {
    CLOCK.set(clock);
}

/// What cores tell time by.
pub(crate) fn clock() -> Clock {
    CLOCK.get()
}
