//! Transactions of the chain itself: genesis, and what sets the Clock.

use std::sync::Arc;

use sui_sdk_types::{
    ChangedObject, ConsensusCommitPrologueV4, ConsensusDeterminedVersionAssignments, Digest,
    Ed25519PublicKey, Ed25519Signature, ExecutionStatus, GasCostSummary, MoveStruct, Object,
    ObjectData, SignedTransaction, SimpleSignature, Transaction, TransactionEffects,
    TransactionEffectsV2, TransactionKind, UserSignature,
};

use super::checkpoint::Checkpoint;
use super::effects::{Executed, change};
use super::genesis::{self, CLOCK};
use super::types;

/// The system transaction that sets the Clock.
pub(super) fn prologue(
    before: &Arc<Object>,
    latest: &Checkpoint,
    timestamp_ms: u64,
) -> Option<Executed> {
    let round = latest.summary.sequence_number + 1;
    let transaction = Transaction {
        kind: TransactionKind::ConsensusCommitPrologueV4(ConsensusCommitPrologueV4 {
            epoch: 0,
            round,
            sub_dag_index: None,
            commit_timestamp_ms: timestamp_ms,
            consensus_commit_digest: Digest::ZERO,
            consensus_determined_version_assignments:
                ConsensusDeterminedVersionAssignments::CanceledTransactionsV2 {
                    canceled_transactions: Vec::new(),
                },
            additional_state_digest: latest.digest,
        }),
        ..genesis::system_transaction()
    };
    let digest = transaction.digest();
    let version = before.version() + 1;
    let mut contents = CLOCK.into_inner().to_vec();
    contents.extend_from_slice(&timestamp_ms.to_le_bytes());
    let data = MoveStruct::new(types::clock(), false, version, contents)?;
    let after = Arc::new(Object::new(
        ObjectData::Struct(data),
        *before.owner(),
        digest,
        before.storage_rebate(),
    ));
    let effects = system_effects(
        digest,
        version,
        vec![change(CLOCK, Some(before), Some(&after))],
        vec![before.previous_transaction()],
    );
    let executed = system_executed(transaction, digest, effects, round, version)
        .with_objects(vec![Arc::clone(before)], vec![after]);
    Some(executed)
}

impl Executed {
    pub(super) fn with_objects(
        mut self,
        inputs: Vec<Arc<Object>>,
        outputs: Vec<Arc<Object>>,
    ) -> Self {
        self.inputs = inputs;
        self.outputs = outputs;
        self
    }
}

/// A transaction that nobody signed.
pub(super) fn system_executed(
    transaction: Transaction,
    digest: Digest,
    effects: TransactionEffects,
    checkpoint: u64,
    version: u64,
) -> Executed {
    // A real node answers with this signature of zeros too.
    let signature = UserSignature::Simple(SimpleSignature::Ed25519 {
        signature: Ed25519Signature::new([0; 64]),
        public_key: Ed25519PublicKey::new([0; 32]),
    });
    Executed {
        signed: SignedTransaction {
            transaction,
            signatures: vec![signature],
        },
        digest,
        effects,
        events: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        deleted: Vec::new(),
        version,
        balance_changes: Vec::new(),
        checkpoint,
    }
}

/// Effects that cost nothing.
pub(super) fn system_effects(
    digest: Digest,
    version: u64,
    changed_objects: Vec<ChangedObject>,
    dependencies: Vec<Digest>,
) -> TransactionEffects {
    TransactionEffects::V2(Box::new(TransactionEffectsV2 {
        status: ExecutionStatus::Success,
        epoch: 0,
        gas_used: GasCostSummary::new(0, 0, 0, 0),
        transaction_digest: digest,
        gas_object_index: None,
        events_digest: None,
        dependencies,
        lamport_version: version,
        changed_objects,
        unchanged_consensus_objects: Vec::new(),
        auxiliary_data_digest: None,
    }))
}
