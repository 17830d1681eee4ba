//! What clients are told unasked, before it is told: the events of what is under way ([`telling`]), and the messages of a
//! script that has yet to end ([`publication`]). How it is told: `core/notify`. See decision 0020 for the order of events.

pub(super) mod publication;
pub(super) mod telling;
