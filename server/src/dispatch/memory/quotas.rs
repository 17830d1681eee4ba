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
}

impl CoreQuotas {
    pub(in crate::dispatch) fn in_force(&self) -> &Arc<Quotas> {
        &self.in_force
    }

    /// These are in force from now on. Where prefixes have changed, all is counted anew, and nothing has been told.
    pub(in crate::dispatch) fn follow(&mut self, quotas: &Arc<Quotas>) {
        if !Arc::ptr_eq(self.in_force.prefixes(), quotas.prefixes()) {
            self.told = vec![0; quotas.prefixes().len()];
        }
        self.in_force = Arc::clone(quotas);
    }

    /// This core has so many bytes of a quota now.
    pub(in crate::dispatch) fn tell(&mut self, id: QuotaId, bytes: u64) {
        let had = std::mem::replace(&mut self.told[id.index()], bytes);
        self.in_force.get(id).tell_bytes(had, bytes);
    }

    /// Bytes that this core has of a quota, as it last told.
    pub(in crate::dispatch) fn told(&self, id: QuotaId) -> u64 {
        self.told[id.index()]
    }
}
