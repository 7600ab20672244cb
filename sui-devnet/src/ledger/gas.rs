//! What a transaction costs.
//!
//! Units:  MIST. Storage costs 7,600 MIST a byte; when an object is changed or deleted 99 % of
//!         what it had cost come back. Computation is a constant.
//! Source: Sui's protocol config; every figure of the recorded answers comes out the same.

use sui_sdk_types::{Address, GasCostSummary};

use super::coin;
use super::session::Session;

/// MIST a byte.
pub(super) const STORAGE_PRICE: u64 = 7_600;
/// In ten thousandths.
const REBATE_RATE: u128 = 9_900;

/// What the objects in work and the computation cost.
pub(super) fn price(session: &Session<'_>, computation: u64) -> GasCostSummary {
    let mut cost = 0u64;
    let mut rebate = 0u64;
    for object in session.objects.values().filter(|object| object.writable) {
        if let Some(before) = &object.before {
            rebate = rebate.saturating_add(before.storage_rebate());
        }
        if !object.deleted {
            cost = cost.saturating_add(object.metered_size().saturating_mul(STORAGE_PRICE));
        }
    }
    let back = (u128::from(rebate) * REBATE_RATE + 5_000) / 10_000;
    let back = u64::try_from(back).unwrap_or(u64::MAX);
    GasCostSummary::new(computation, cost, back, rebate.saturating_sub(back))
}

/// What is paid in the end. Less than nothing, when much storage was given back.
pub(super) fn net(gas: &GasCostSummary) -> i128 {
    i128::from(gas.computation_cost) + i128::from(gas.storage_cost) - i128::from(gas.storage_rebate)
}

pub(super) fn pay(session: &mut Session<'_>, gas_id: Address, held: u64, gas: &GasCostSummary) {
    if let Some(object) = session.get_mut(&gas_id) {
        let left = i128::from(coin::value(&object.contents)) + i128::from(held) - net(gas);
        let left = u64::try_from(left.max(0)).unwrap_or(u64::MAX);
        object.contents = coin::contents(gas_id, left);
    }
}
