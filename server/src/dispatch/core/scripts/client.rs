//! A change that a script makes counts as its client's, also where the script's messenger has it made on another core. A client
//! with `NOLOOP` is not told of its own changes, and so not of those of its scripts.

use crate::dispatch::core::Core;
use crate::dispatch::mail::batch::Batch;
use crate::session::{Reader, SessionId};

impl Core {
    /// The client that the changes of a session of this core are made by: its own, or for a messenger its script's.
    #[inline]
    pub(in crate::dispatch::core) fn changer(&self, session: SessionId) -> Reader {
        let client = session
            .is_messenger()
            .then(|| self.scripts.client_of(session));
        client
            .flatten()
            .unwrap_or_else(|| self.state.reader(session))
    }

    /// Names the clients of the scripts whose commands are in a batch.
    #[cold]
    pub(in crate::dispatch::core) fn name_clients(&self, batch: &mut Batch) {
        for at in 0..batch.requests().len() {
            let session = batch.requests()[at].head.ticket.session();
            if session.is_messenger()
                && let Some(client) = self.scripts.client_of(session)
            {
                batch.name_client(session, client);
            }
        }
    }
}
