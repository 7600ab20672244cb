//! A record for tests, so that each of them writes down only what it is about.
//!
//! Shape: with the feature `testing`, which only `[dev-dependencies]` may ask for.

use crate::{Address, Mist, ObjectId, SealRecord, SealStatus, UnixMillis};

/// A usable record of the tier developer: owner `02…02`, seal `01…01`, 2 SUI, dead from 1,000 ms on,
/// for no machine and never slashed.
/// Others differ from it by what their test is about: `SealRecord { status, ..active_record() }`.
#[must_use]
pub const fn active_record() -> SealRecord {
    SealRecord {
        seq: 1,
        seal_id: ObjectId::from_bytes([1; 32]),
        owner: Address::from_bytes([2; 32]),
        stake: Mist(2 * Mist::PER_SUI),
        restore_at: Mist(0),
        node_id: None,
        namespace_wish: None,
        issued_at: UnixMillis(0),
        expires_at: UnixMillis(1_000),
        unbonding_ends_at: UnixMillis(0),
        status: SealStatus::Active,
        slashed_total: Mist(0),
        last_slashed_at: UnixMillis(0),
        generation: 0,
    }
}
