//! The rules that make the order right, named where the code keeps them. The product keeps all of them, at no cost; a
//! model can leave one out to show that it would notice.

/// A rule of the order; the numbers are those of decision 0017.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// 1: catch up after taking a batch, before running it.
    CatchUpAfterTaking,
    /// 2: at an entry, first run the coordinator's mail up to its parts.
    MailFirst,
    /// 2: mail that was sent behind an entry runs behind it.
    MailBehindStaysBehind,
    /// 3: what a session sends behind a transaction waits until its own core has passed the entry.
    SessionsWait,
    /// 4: all parts of an entry are shipped, or none.
    AllOrNone,
    /// 4: what comes behind parts that are not published yet runs without them.
    AnswersFlow,
    /// 5: a slot is used again when all cores have passed it.
    ReuseBehindReaders,
    /// 5: a core that sleeps half a ring behind is woken.
    IdleComeBy,
    /// 6: look at the ring again before sleeping with parts in hand.
    LookBeforeSleep,
    /// 6: announce the sleep, and append, before a fence; look behind it.
    FenceBeforeLook,
    /// 13: time advances by entries.
    TimeInOrder,
}

/// Whether `rule` is kept. Models bring their own.
#[inline]
pub(super) const fn keeps(_rule: Rule) -> bool {
    true
}
