//! Hot keys: reads of much read keys of another core are answered from copies ([`copies`]), which that core offers
//! ([`offers`]). See decision 0011.

pub(super) mod copies;
pub(super) mod offers;
