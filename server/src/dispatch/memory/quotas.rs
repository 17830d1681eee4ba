//! The quotas in force on a core, and what it has told the others of its part.

use std::sync::Arc;

use larder_engine::QuotaId;

use crate::quota::Quotas;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct CoreQuotas {
    in_force: Arc<Quotas>,
    /// Bytes that this core has told it has of each.
    told: Vec<u64>,
    /// What it had of each when it last asked the others to evict.
    asked_at: Vec<Option<u64>>,
}

impl CoreQuotas {
    pub(in crate::dispatch) fn in_force(&self) -> &Arc<Quotas> {
        &self.in_force
    }

    /// These are in force from now on. Where prefixes have changed, all is counted anew, and nothing has been told.
    pub(in crate::dispatch) fn follow(&mut self, quotas: &Arc<Quotas>) {
        if !Arc::ptr_eq(self.in_force.prefixes(), quotas.prefixes()) {
            self.told = vec![0; quotas.prefixes().len()];
            self.asked_at = vec![None; quotas.prefixes().len()];
        }
        self.in_force = Arc::clone(quotas);
    }

    /// This core has so many bytes of a quota now.
    pub(in crate::dispatch) fn tell(&mut self, id: QuotaId, bytes: u64) {
        let had = std::mem::replace(&mut self.told[id.index()], bytes);
        self.in_force.get(id).tell_bytes(had, bytes);
    }

    /// The others are to be asked to evict of a quota: whether they have not been since this core last had something else of it.
    pub(in crate::dispatch) fn note_asked(&mut self, id: QuotaId) -> bool {
        let has = Some(self.told[id.index()]);
        std::mem::replace(&mut self.asked_at[id.index()], has) != has
    }

    /// Bytes that this core has of a quota, as it last told.
    pub(in crate::dispatch) fn told(&self, id: QuotaId) -> u64 {
        self.told[id.index()]
    }
}
