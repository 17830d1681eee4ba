//! Why a run ends before its time: each is one line.

use std::{fmt, io};

use super::protocol::Protocol;

/// The failure of a run.
#[derive(Debug)]
pub enum RunError {
    /// The command line asks for what cannot be.
    Usage(String),
    /// There is no connection to be had.
    Connect {
        /// Of the server.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// The server wants no part of this user.
    AuthRefused {
        /// Of the server.
        address: String,
        /// What it said.
        answer: String,
    },
    /// The server speaks something else.
    WrongProtocol {
        /// Of the server.
        address: String,
        /// What was expected of it.
        protocol: Protocol,
        /// What it was asked.
        asked: String,
        /// What it said.
        answer: String,
    },
    /// The server refuses a command that the run cannot do without.
    Rejected {
        /// Of the server.
        address: String,
        /// What it was asked.
        asked: String,
        /// What it said.
        answer: String,
    },
    /// A reply that does not parse, in mid-run.
    Malformed {
        /// Of the server.
        address: String,
        /// The command that it should have answered.
        command: String,
        /// What came.
        excerpt: String,
    },
    /// More replies than commands.
    Unasked {
        /// Of the server.
        address: String,
    },
    /// A connection ended in mid-run.
    Lost {
        /// Of the server.
        address: String,
        /// Replies owed on that connection.
        owed: usize,
        /// What the system says; none when the server closed it in good order.
        error: Option<io::Error>,
    },
    /// Nothing is heard any more.
    Silent {
        /// Of the server.
        address: String,
        /// Since when.
        seconds: f64,
        /// Replies owed.
        owed: usize,
    },
    /// Replies with values that are not their keys'.
    Verification {
        /// How many.
        failures: u64,
        /// The key of the first.
        key: String,
    },
    /// Not one reply was good.
    OnlyErrors {
        /// The first.
        answer: String,
    },
    /// Messages that subscribers never got.
    Undelivered {
        /// How many.
        messages: u64,
    },
    /// The system refuses something else.
    System {
        /// What was tried.
        action: String,
        /// What the system says.
        error: io::Error,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(line) => f.write_str(line),
            Self::Connect { address, error } => write!(f, "cannot connect to {address}: {error}"),
            Self::AuthRefused { address, answer } => {
                write!(f, "{address} refuses to let us in: {answer}")
            }
            Self::WrongProtocol {
                address,
                protocol,
                asked,
                answer,
            } => write!(
                f,
                "{address} does not speak {protocol}: to {asked} it answered {answer}"
            ),
            Self::Rejected {
                address,
                asked,
                answer,
            } => write!(f, "{address} refuses {asked}: {answer}"),
            Self::Malformed {
                address,
                command,
                excerpt,
            } => write!(
                f,
                "{address} sent a reply to {command} that does not parse: \"{excerpt}\""
            ),
            Self::Unasked { address } => write!(f, "{address} sent more replies than it was owed"),
            Self::Lost {
                address,
                owed,
                error,
            } => {
                write!(f, "lost a connection to {address} with {owed} replies owed")?;
                match error {
                    Some(error) => write!(f, ": {error}"),
                    None => write!(f, ": the server closed it"),
                }
            }
            Self::Silent {
                address,
                seconds,
                owed,
            } => write!(
                f,
                "{address} has not answered for {seconds:.1} s and owes {owed} replies"
            ),
            Self::Verification { failures, key } => write!(
                f,
                "{failures} replies carried a value that is not their key's; the first was for {key}"
            ),
            Self::OnlyErrors { answer } => write!(f, "every reply was an error: {answer}"),
            Self::Undelivered { messages } => {
                write!(f, "{messages} published messages were never delivered")
            }
            Self::System { action, error } => write!(f, "{action}: {error}"),
        }
    }
}

impl std::error::Error for RunError {}
