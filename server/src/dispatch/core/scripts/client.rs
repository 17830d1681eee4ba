//! Whose the changes are that a script makes through its messenger: its client's. Who caches and does not want to hear of
//! its own changes (`NOLOOP`) does not hear of those of its scripts either, on whichever core they are.

use crate::dispatch::core::Core;
use crate::dispatch::mail::batch::Batch;
use crate::session::{Reader, SessionId};

impl Core {
    /// Whose the changes are that a session of this core makes.
    #[inline]
    pub(in crate::dispatch::core) fn changer(&self, session: SessionId) -> Reader {
        let client = session
            .is_messenger()
            .then(|| self.scripts.client_of(session));
        client
            .flatten()
            .unwrap_or_else(|| self.state.reader(session))
    }

    /// Says in a batch whose scripts' commands are in it.
    #[cold]
    pub(in crate::dispatch::core) fn name_clients(&self, batch: &mut Batch) {
        for at in 0..batch.requests.len() {
            let session = batch.requests[at].head.ticket.session();
            if session.is_messenger()
                && let Some(client) = self.scripts.client_of(session)
            {
                batch.name_client(session, client);
            }
        }
    }
}
