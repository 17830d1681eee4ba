//! A connection that may be cut at any time: by its client, in the middle of a command, or by another's `CLIENT KILL`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::Outcome;
use crate::client::{Arrival, Client, REPLY_TIMEOUT};
use crate::resp::Reply;

/// The connection, made anew whenever it was cut.
#[derive(Debug)]
pub struct Fragile<'a> {
    address: SocketAddr,
    /// Its number, for those who kill.
    id: &'a AtomicI64,
    client: Client,
}

impl<'a> Fragile<'a> {
    /// Connects, and tells `id` its number.
    ///
    /// # Errors
    /// Nothing accepts the connection, or does not answer.
    pub fn connect(address: SocketAddr, id: &'a AtomicI64) -> Outcome<Self> {
        let mut client = Client::connect(address)?;
        let number = client.call(&["CLIENT", "ID"])?;
        id.store(
            number.integer().ok_or("CLIENT ID is no number")?,
            Ordering::Relaxed,
        );
        Ok(Self {
            address,
            id,
            client,
        })
    }

    /// Closes the connection, whatever is under way, and makes another.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_anew(&mut self) -> Outcome<()> {
        *self = Self::connect(self.address, self.id)?;
        Ok(())
    }

    /// Sends bytes. Where the connection is cut already, the first reply tells.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.client.send_raw(bytes));
    }

    /// Waits for one reply; none if the connection was cut.
    ///
    /// # Errors
    /// The server does not answer, or not in its protocol.
    pub fn reply(&mut self) -> Outcome<Option<Reply>> {
        match self.client.arrival(REPLY_TIMEOUT)? {
            Arrival::Reply(reply) => Ok(Some(reply)),
            Arrival::Closed => Ok(None),
            Arrival::Nothing => Err(format!("no reply within {REPLY_TIMEOUT:?}")),
        }
    }

    /// Waits for so many replies; none if the connection was cut before the last.
    ///
    /// # Errors
    /// As [`Self::reply`].
    pub fn replies(&mut self, count: usize) -> Outcome<Option<Vec<Reply>>> {
        let replies: Option<Outcome<Vec<Reply>>> =
            (0..count).map(|_| self.reply().transpose()).collect();
        replies.transpose()
    }

    /// Cuts the connection that tells its number in `victim`, unless it is this one. Says whether one was cut.
    ///
    /// # Errors
    /// As [`Self::reply`].
    pub fn kill(&mut self, victim: &AtomicI64) -> Outcome<Kill> {
        let id = victim.load(Ordering::Relaxed);
        if std::ptr::eq(victim, self.id) || id == 0 {
            return Ok(Kill::Nobody);
        }
        self.send(&crate::resp::encode(&[
            "CLIENT",
            "KILL",
            "ID",
            &id.to_string(),
        ]));
        match self.reply()? {
            Some(Reply::Integer(1)) => Ok(Kill::One),
            Some(Reply::Integer(0)) => Ok(Kill::Nobody),
            None => {
                self.connect_anew()?;
                Ok(Kill::Nobody)
            }
            Some(other) => Err(format!("CLIENT KILL: {:?}", other.lines())),
        }
    }
}

/// Whom `CLIENT KILL` hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// The victim.
    One,
    /// It was gone already, or nobody knows.
    Nobody,
}
