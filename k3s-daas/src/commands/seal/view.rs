//! A seal as it is shown.

use k8s_openapi::jiff::Timestamp;
use seal::{Address, CredentialHash, NodeName, ObjectId, SealRecord, SealStatus, Tier, UnixMillis};
use serde::Serialize;

use crate::chain::PoolView;
use crate::output;

/// A seal as it is shown. Amounts are in SUI (and MIST), times in RFC 3339.
#[derive(Debug, Clone, Serialize)]
pub struct SealView {
    /// Its key on chain.
    pub credential_hash: String,
    /// Its state on chain.
    pub status: SealStatus,
    /// Whether it opens anything now.
    pub usable: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What its stake is worth now.
    pub tier: Option<Tier>,
    /// SUI.
    pub stake: String,
    /// MIST.
    pub stake_mist: u64,
    /// SUI; what ends the slashed state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_at: Option<String>,
    /// Who staked.
    pub owner: Address,
    /// The owner's `SealToken`.
    pub seal_id: ObjectId,
    /// The machine it may join.
    pub node_id: Option<NodeName>,
    /// The owner's first namespace; none where the stake is below developer's.
    pub namespace: Option<String>,
    /// RFC 3339.
    pub issued_at: Option<String>,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// RFC 3339; when the stake can be withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unbonding_ends_at: Option<String>,
    /// SUI; what slashes took.
    pub slashed_total: String,
    /// How often it was refreshed.
    pub generation: u64,
}

/// RFC 3339 in UTC; none for 0, which stands for "none" on chain.
pub(in crate::commands) fn time(at: UnixMillis) -> Option<String> {
    if at.0 == 0 {
        return None;
    }
    let at = i64::try_from(at.0).ok()?;
    Timestamp::from_millisecond(at)
        .ok()
        .map(|at| at.to_string())
}

impl SealView {
    /// The record as it is shown at `now`.
    pub fn new(
        hash: &CredentialHash,
        record: &SealRecord,
        pool: &PoolView,
        now: UnixMillis,
    ) -> Self {
        let usable = record.usable(now, &pool.thresholds);
        let tier = pool.thresholds.tier(record.stake);
        let slashed = record.status == SealStatus::Slashed;
        Self {
            credential_hash: hash.to_string(),
            status: record.status,
            usable: usable.is_ok(),
            reason: usable.err().map(seal::Unusable::label),
            tier,
            stake: record.stake.to_string(),
            stake_mist: record.stake.0,
            restore_at: slashed.then(|| record.restore_at.to_string()),
            owner: record.owner,
            seal_id: record.seal_id,
            node_id: record.node_id.clone(),
            namespace: tier
                .filter(|tier| *tier > Tier::Viewer)
                .map(|_| seal::identity::home_namespace(&record.owner)),
            issued_at: time(record.issued_at),
            expires_at: time(record.expires_at),
            unbonding_ends_at: time(record.unbonding_ends_at),
            slashed_total: record.slashed_total.to_string(),
            generation: record.generation,
        }
    }

    fn state(&self) -> String {
        match self.reason {
            None => "active".to_owned(),
            Some(reason) if reason == self.status.label() => reason.to_owned(),
            Some(reason) => format!("{} ({reason})", self.status),
        }
    }

    fn tier_text(&self) -> String {
        self.tier
            .map_or_else(|| "none".to_owned(), |tier| tier.to_string())
    }

    /// Hash, state, tier, stake, expiry, node.
    pub fn row(&self) -> [String; 6] {
        [
            self.credential_hash.clone(),
            self.state(),
            self.tier_text(),
            format!("{} SUI", self.stake),
            self.expires_at.clone().unwrap_or_else(|| "-".to_owned()),
            self.node_id
                .as_ref()
                .map_or_else(|| "-".to_owned(), ToString::to_string),
        ]
    }

    /// As a list of facts.
    pub fn for_people(&self) -> String {
        self.facts_and([])
    }

    /// As a list of facts, with more of them at the end.
    pub fn facts_and<const N: usize>(&self, more: [(&str, String); N]) -> String {
        let optional = |text: &Option<String>| text.clone();
        let rows = [
            ("credential hash", Some(self.credential_hash.clone())),
            ("state", Some(self.state())),
            ("tier", Some(self.tier_text())),
            ("stake", Some(format!("{} SUI", self.stake))),
            (
                "restored at",
                self.restore_at.as_ref().map(|stake| format!("{stake} SUI")),
            ),
            ("owner", Some(self.owner.to_string())),
            ("seal", Some(self.seal_id.to_string())),
            ("node", self.node_id.as_ref().map(ToString::to_string)),
            ("namespace", optional(&self.namespace)),
            ("issued", optional(&self.issued_at)),
            ("expires", optional(&self.expires_at)),
            ("withdraw from", optional(&self.unbonding_ends_at)),
            (
                "slashed so far",
                Some(format!("{} SUI", self.slashed_total)),
            ),
            ("refreshed", Some(format!("{} times", self.generation))),
        ];
        let rows = rows
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        output::facts(rows.chain(more))
    }
}
