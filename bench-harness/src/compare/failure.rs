//! Why a comparison ends early, and with which exit status.

use std::process::ExitCode;

/// The reason a comparison has no result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The scenario or the command line asks for what cannot be: exit status 2.
    Usage(String),
    /// A server, the load or the machine did not do its part: exit status 1.
    Failed(String),
    /// The user asked to stop: exit status 130, as after ctrl-C.
    Interrupted,
}

impl Failure {
    /// Says it on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                eprintln!("larder-bench: {text}");
                ExitCode::from(2)
            }
            Self::Failed(text) => {
                eprintln!("larder-bench: {text}");
                ExitCode::from(1)
            }
            Self::Interrupted => {
                eprintln!(
                    "larder-bench: interrupted; every server was stopped, nothing was written"
                );
                ExitCode::from(130)
            }
        }
    }
}
