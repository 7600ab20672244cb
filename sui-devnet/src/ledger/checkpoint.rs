//! One checkpoint.

use std::sync::Arc;

use sui_sdk_types::{
    CheckpointContents, CheckpointSummary, CheckpointTransactionInfo, Digest, GasCostSummary,
};

use super::effects::Executed;

/// A sealed checkpoint with all that happened in it.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Number, time, totals.
    pub summary: CheckpointSummary,
    /// Digests of the transactions and their effects.
    pub contents: CheckpointContents,
    /// The summary's digest.
    pub digest: Digest,
    /// In the order they were executed.
    pub transactions: Vec<Arc<Executed>>,
}

/// Ends a checkpoint.
pub(super) fn seal(
    previous: Option<&CheckpointSummary>,
    timestamp_ms: u64,
    transactions: Vec<Arc<Executed>>,
) -> Checkpoint {
    let contents = CheckpointContents::new_v1(
        transactions
            .iter()
            .map(|executed| {
                CheckpointTransactionInfo::new(
                    executed.digest,
                    executed.effects.digest(),
                    executed.signed.signatures.clone(),
                )
            })
            .collect(),
    );
    let mut gas = previous.map_or_else(
        || GasCostSummary::new(0, 0, 0, 0),
        |previous| previous.epoch_rolling_gas_cost_summary.clone(),
    );
    for executed in &transactions {
        let used = executed.effects.gas_summary();
        gas.computation_cost = gas.computation_cost.saturating_add(used.computation_cost);
        gas.storage_cost = gas.storage_cost.saturating_add(used.storage_cost);
        gas.storage_rebate = gas.storage_rebate.saturating_add(used.storage_rebate);
        gas.non_refundable_storage_fee = gas
            .non_refundable_storage_fee
            .saturating_add(used.non_refundable_storage_fee);
    }
    let summary = CheckpointSummary {
        epoch: 0,
        sequence_number: previous.map_or(0, |previous| previous.sequence_number + 1),
        network_total_transactions: previous
            .map_or(0, |previous| previous.network_total_transactions)
            + transactions.len() as u64,
        content_digest: contents.digest(),
        previous_digest: previous.map(CheckpointSummary::digest),
        epoch_rolling_gas_cost_summary: gas,
        timestamp_ms,
        checkpoint_commitments: Vec::new(),
        end_of_epoch_data: None,
        // BCS of `CheckpointVersionSpecificData::V1 { randomness_rounds: [] }`.
        version_specific_data: vec![0, 0],
    };
    let digest = summary.digest();
    Checkpoint {
        summary,
        contents,
        digest,
        transactions,
    }
}
