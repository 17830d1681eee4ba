//! What a payload of `RESTORE` holds, summed up and gathered some bytes at a time. It is given the payload each time.

use larder_engine::Shard;

use crate::persist::values::{Budget, Gathered, Gathering, Ungathered};
use crate::rdb::{self, Checksum, Input, Sum};
use crate::resp::ErrorReply;
use crate::resp::errors;

/// Bytes of which a step takes the checksum: a tenth of a millisecond.
pub(super) const SUM_BYTES: usize = 256 << 10;

/// A payload that is being looked at.
#[derive(Debug)]
pub(super) enum Restoring {
    /// So many bytes have been summed up.
    Summing(Sum, usize),
    /// Its type is to be looked at.
    Opening,
    /// Its value is being gathered.
    Gathering(Gathering),
    /// There is nothing left to do.
    Over,
}

impl Restoring {
    /// Begins with a payload.
    pub(super) fn new(checksum: Checksum) -> Self {
        match checksum {
            Checksum::Checked => Self::Summing(Sum::default(), 0),
            Checksum::Skipped => Self::Opening,
        }
    }

    /// Goes on. What the payload holds, if that is all.
    ///
    /// # Errors
    /// It is damaged, of a type that there is not, or memory is out. Nothing has changed then.
    pub(super) fn go_on<'a>(
        &mut self,
        shard: &mut Shard,
        payload: &'a [u8],
        budget: Budget,
    ) -> Result<Option<Gathered<'a>>, ErrorReply> {
        let (version, mut body) = rdb::open(payload).map_err(|_| errors::BAD_PAYLOAD)?;
        if let Self::Summing(sum, at) = self {
            let summed = rdb::summed(payload);
            let sum_bytes = match budget.is_limited() {
                true => SUM_BYTES,
                false => usize::MAX,
            };
            let to = summed.len().min(at.saturating_add(sum_bytes));
            sum.add(&summed[*at..to]);
            *at = to;
            if to < summed.len() {
                return Ok(None);
            }
            if !std::mem::take(sum).fits(payload) {
                return Err(errors::BAD_PAYLOAD);
            }
            *self = Self::Opening;
            if payload.len() > SUM_BYTES && budget.is_limited() {
                return Ok(None);
            }
        }
        let kind = body.byte().map_err(|_| errors::BAD_DATA_FORMAT)?;
        if let Self::Opening = self {
            *self = Self::Gathering(Gathering::new(kind, version));
        }
        self.gather(shard, body, budget)
    }

    fn gather<'a>(
        &mut self,
        shard: &mut Shard,
        body: Input<'a>,
        budget: Budget,
    ) -> Result<Option<Gathered<'a>>, ErrorReply> {
        let Self::Gathering(gathering) = self else {
            unreachable!("it is open")
        };
        gathering.go_on(shard, body, budget).map_err(|why| {
            if let Self::Gathering(gathering) = std::mem::replace(self, Self::Over) {
                gathering.discard(shard);
            }
            match why {
                Ungathered::Fault(_) => errors::BAD_DATA_FORMAT,
                Ungathered::Store(error) => error.into(),
            }
        })
    }

    /// The memory that it takes, what is gathered apart.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Gathering(gathering) => gathering.held_bytes(),
            _ => 0,
        }
    }
}

/// What a payload holds, gathered at once.
///
/// # Errors
/// As [`Restoring::go_on`].
pub(in crate::command::families) fn value_of<'a>(
    shard: &mut Shard,
    payload: &'a [u8],
    checksum: Checksum,
) -> Result<Gathered<'a>, ErrorReply> {
    let gathered = Restoring::new(checksum).go_on(shard, payload, Budget::ALL)?;
    Ok(gathered.expect("there was no bound"))
}
