//! `GET /api/v1/staking/status`: the caller's seals as the chain has them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures::{StreamExt, TryStreamExt, stream};
use seal::{CredentialHash, SealRecord, SealStatus, Thresholds, UnixMillis};
use serde::Serialize;
use sui_ledger::directory::SealDirectory;
use utoipa::ToSchema;

use super::caller::{Caller, look_up};
use super::problem::{Problem, ProblemBody};
use super::service::Api;
use super::workers::WorkerRegistry;

/// Seals shown of one owner.
const MAX_SEALS: usize = 64;
/// Of one caller's seals looked up at once.
const AT_ONCE: usize = 4;

/// The caller's seals.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StakingStatus {
    /// The owner's address.
    owner: String,
    /// The caller's seal first, then the owner's others that are not retired.
    seals: Vec<SealView>,
    /// Whether the owner has more seals than are shown.
    more: bool,
    /// What the seals shown hold together, MIST.
    total_stake_mist: u64,
    /// The least stakes of the tiers, MIST.
    thresholds: ThresholdsView,
    /// The time by which expiry was judged, ms since the epoch.
    now_ms: u64,
}

/// A seal as the chain has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Seal)]
pub(super) struct SealView {
    /// Whether it is the one that was presented.
    presented: bool,
    /// The id of its object.
    seal_id: String,
    /// SHA-256 of its join credential: its key on chain. No secret.
    credential_hash: String,
    /// `active`, `unbonding`, `slashed`, `revoked` or `retired`.
    status: &'static str,
    /// Whether it can be used now.
    usable: bool,
    /// Why it can't be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "expired")]
    reason: Option<&'static str>,
    /// What its stake is worth, where it can be used; before the operator's choice of who may be
    /// admin or super.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "viewer")]
    tier: Option<&'static str>,
    /// What is staked, MIST.
    stake_mist: u64,
    /// The same in SUI.
    #[schema(example = "0.5")]
    stake_sui: String,
    /// While slashed: the stake that restores it, MIST.
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_at_mist: Option<u64>,
    /// The machine that it may join.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    /// When it was minted or last rotated, ms since the epoch.
    issued_at_ms: u64,
    /// When it expires, ms since the epoch.
    expires_at_ms: u64,
    /// When an unbonding stake can be withdrawn, ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    unbonding_ends_at_ms: Option<u64>,
    /// All that slashes have taken, MIST.
    slashed_total_mist: u64,
    /// The last slash, ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_slashed_at_ms: Option<u64>,
    /// How often it was rotated.
    generation: u64,
    /// The pool's number of the change that made it what it is.
    seq: u64,
}

/// The least stakes of the tiers, MIST.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Thresholds)]
pub(super) struct ThresholdsView {
    viewer: u64,
    developer: u64,
    admin: u64,
    #[serde(rename = "super")]
    super_: u64,
}

/// Show the caller's seals
///
/// As the chain has them, at most 64.
#[utoipa::path(
    get,
    path = "/api/v1/staking/status",
    operation_id = "stakingStatus",
    tag = "access",
    security(("seal" = [])),
    responses(
        (status = 200, description = "The owner's seals", body = StakingStatus),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn staking_status<D, W>(
    State(api): State<Arc<Api<D, W>>>,
    caller: Caller,
) -> Result<Json<StakingStatus>, Problem>
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    let (directory, waiting) = (&*api.directory, &api.waiting);
    let hashes = look_up(waiting, directory.owner_seals(caller.owner())).await?;
    let others: Vec<CredentialHash> = hashes
        .iter()
        .copied()
        .filter(|hash| *hash != caller.hash)
        .collect();
    let more = others.len() >= MAX_SEALS;
    let found: Vec<(CredentialHash, Option<Arc<SealRecord>>)> =
        stream::iter(others.into_iter().take(MAX_SEALS - 1))
            .map(|hash| async move {
                let record = look_up(waiting, directory.seal(hash)).await?;
                Ok::<_, Problem>((hash, record))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
    let (now, thresholds) = (directory.now(), directory.thresholds());
    let presented = std::iter::once((caller.hash, Arc::clone(&caller.record)));
    // What was rotated away meanwhile is gone from the owner's list the next time.
    let others = found
        .into_iter()
        .filter_map(|(hash, record)| record.map(|record| (hash, record)))
        .filter(|(_, record)| record.owner == caller.owner());
    let seals: Vec<SealView> = presented
        .chain(others)
        .map(|(hash, record)| view(hash, &record, hash == caller.hash, now, &thresholds))
        .collect();
    Ok(Json(StakingStatus {
        owner: caller.owner().to_string(),
        total_stake_mist: seals
            .iter()
            .fold(0, |sum, seal| sum.saturating_add(seal.stake_mist)),
        seals,
        more,
        thresholds: ThresholdsView {
            viewer: thresholds.viewer.0,
            developer: thresholds.developer.0,
            admin: thresholds.admin.0,
            super_: thresholds.super_.0,
        },
        now_ms: now.0,
    }))
}

fn view(
    hash: CredentialHash,
    record: &SealRecord,
    presented: bool,
    now: UnixMillis,
    thresholds: &Thresholds,
) -> SealView {
    let usable = record.usable(now, thresholds);
    // On chain 0 stands for "none".
    let unless_none = |value: u64| (value != 0).then_some(value);
    SealView {
        presented,
        seal_id: record.seal_id.to_string(),
        credential_hash: hash.to_string(),
        status: record.status.label(),
        usable: usable.is_ok(),
        reason: usable.err().map(seal::Unusable::label),
        tier: usable.ok().map(seal::Tier::label),
        stake_mist: record.stake.0,
        stake_sui: record.stake.to_string(),
        restore_at_mist: unless_none(record.restore_at.0)
            .filter(|_| record.status == SealStatus::Slashed),
        node_id: record.node_id.as_ref().map(ToString::to_string),
        issued_at_ms: record.issued_at.0,
        expires_at_ms: record.expires_at.0,
        unbonding_ends_at_ms: unless_none(record.unbonding_ends_at.0),
        slashed_total_mist: record.slashed_total.0,
        last_slashed_at_ms: unless_none(record.last_slashed_at.0),
        generation: record.generation,
        seq: record.seq,
    }
}
