//! The state machine: open a checkpoint, execute, seal it.
//!
//! Shape:  the first thing in a checkpoint sets the Clock, as a consensus commit does; then come
//!         the users' transactions. Everything written carries the number of the checkpoint it
//!         belongs to, which readers see once it is sealed.
//! Units:  ms since the epoch; checkpoint timestamps never go back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sui_ledger::ids::to_sui;
use sui_sdk_types::{
    Address, CheckpointContents, CheckpointSummary, Digest, Object, SignedTransaction,
};

use super::checkpoint::{Checkpoint, seal};
use super::checks::{GasRule, check};
use super::effects::{self, Chain, Executed, change};
use super::genesis::{self, CLOCK, ContractIds, GENESIS_VERSION, GenesisConfig};
use super::program::CommandOutcome;
use super::rejection::Rejection;
use super::session::View;
use super::store::Store;
use super::{coin, system};

/// A state between two checkpoints, to be stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    genesis: GenesisConfig,
    summary: CheckpointSummary,
    contents: CheckpointContents,
    objects: Vec<Object>,
}

/// The chain.
#[derive(Debug)]
pub struct Ledger {
    genesis: GenesisConfig,
    ids: ContractIds,
    genesis_transaction: Digest,
    faucet_coin: Address,
    store: Store,
    checkpoints: VecDeque<Arc<Checkpoint>>,
    by_digest: HashMap<Digest, u64>,
    transactions: HashMap<Digest, Arc<Executed>>,
    /// The checkpoint in work: its time and what it has so far.
    open: Option<(u64, Vec<Arc<Executed>>)>,
    /// How many sealed checkpoints are kept for readers.
    retained: usize,
    lowest: u64,
}

impl Ledger {
    /// Makes the chain that follows from a genesis.
    #[must_use]
    pub fn genesis(config: GenesisConfig, retained: usize) -> Self {
        let made = genesis::make(&config);
        let outputs: Vec<Arc<Object>> = made.objects.into_iter().map(Arc::new).collect();
        let effects = system::system_effects(
            made.digest,
            GENESIS_VERSION,
            outputs
                .iter()
                .map(|object| change(object.object_id(), None, Some(object)))
                .collect(),
            Vec::new(),
        );
        let executed =
            system::system_executed(made.transaction, made.digest, effects, 0, GENESIS_VERSION)
                .with_objects(Vec::new(), outputs.clone());
        let checkpoint = seal(None, config.timestamp_ms, vec![Arc::new(executed)]);
        let mut ids = made.ids;
        ids.chain = checkpoint.digest.to_base58();
        ids.chain_id = hex::encode(checkpoint.digest.inner().get(..4).unwrap_or_default());
        let mut ledger = Self {
            genesis: config,
            ids,
            genesis_transaction: made.digest,
            faucet_coin: made.faucet_coin,
            store: Store::default(),
            checkpoints: VecDeque::new(),
            by_digest: HashMap::new(),
            transactions: HashMap::new(),
            open: None,
            retained: retained.max(2),
            lowest: 0,
        };
        for object in outputs {
            ledger.store.write(object, 0);
        }
        ledger.keep(Arc::new(checkpoint));
        ledger
    }

    /// Takes up a stored state. What was before it can't be read any more.
    #[must_use]
    pub fn restore(snapshot: Snapshot, retained: usize) -> Self {
        let mut ledger = Self::genesis(snapshot.genesis, retained);
        let number = snapshot.summary.sequence_number;
        if number == 0 {
            return ledger;
        }
        ledger.store = Store::default();
        for object in snapshot.objects {
            ledger.store.write(Arc::new(object), number);
        }
        ledger.checkpoints.clear();
        ledger.by_digest.clear();
        ledger.transactions.clear();
        let digest = snapshot.summary.digest();
        ledger.keep(Arc::new(Checkpoint {
            summary: snapshot.summary,
            contents: snapshot.contents,
            digest,
            transactions: Vec::new(),
        }));
        // Its transactions are not known any more.
        ledger.lowest = number + 1;
        ledger
    }

    /// The state to be stored; `None` while a checkpoint is open.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        if self.open.is_some() {
            return None;
        }
        let latest = self.latest();
        Some(Snapshot {
            genesis: self.genesis,
            summary: latest.summary.clone(),
            contents: latest.contents.clone(),
            objects: self
                .store
                .heads()
                .map(|object| Object::clone(object))
                .collect(),
        })
    }

    /// What the chain began with.
    #[must_use]
    pub fn genesis_config(&self) -> &GenesisConfig {
        &self.genesis
    }

    /// Where the contract is.
    #[must_use]
    pub fn ids(&self) -> &ContractIds {
        &self.ids
    }

    /// The coin that the faucet pays from.
    #[must_use]
    pub fn faucet_coin(&self) -> Option<&Arc<Object>> {
        self.store.head(&self.faucet_coin)
    }

    /// All objects.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The newest sealed checkpoint.
    #[must_use]
    pub fn latest(&self) -> &Arc<Checkpoint> {
        #[expect(
            clippy::expect_used,
            reason = "genesis puts one in, and one always stays"
        )]
        self.checkpoints.back().expect("there is a checkpoint")
    }

    /// The newest sealed checkpoint's number.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.latest().summary.sequence_number
    }

    /// The oldest checkpoint that can be read whole.
    #[must_use]
    pub fn lowest(&self) -> u64 {
        self.lowest
    }

    /// A sealed checkpoint.
    #[must_use]
    pub fn checkpoint(&self, number: u64) -> Option<&Arc<Checkpoint>> {
        let first = self.checkpoints.front()?.summary.sequence_number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.checkpoints.get(index)
    }

    /// A sealed checkpoint by its digest.
    #[must_use]
    pub fn checkpoint_by_digest(&self, digest: &Digest) -> Option<&Arc<Checkpoint>> {
        self.checkpoint(*self.by_digest.get(digest)?)
    }

    /// A transaction, if it is part of a checkpoint up to this one.
    #[must_use]
    pub fn transaction(&self, digest: &Digest, checkpoint: u64) -> Option<&Arc<Executed>> {
        self.transactions
            .get(digest)
            .filter(|executed| executed.checkpoint <= checkpoint)
    }

    /// A transaction, visible or not.
    #[must_use]
    pub fn executed(&self, digest: &Digest) -> Option<&Arc<Executed>> {
        self.transaction(digest, u64::MAX)
    }

    /// Whether a checkpoint is in work.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Begins the next checkpoint, unless one is in work, and sets the Clock.
    pub fn open(&mut self, now_ms: u64) {
        if self.open.is_some() {
            return;
        }
        let timestamp_ms = now_ms.max(self.latest().summary.timestamp_ms);
        let prologue = self
            .store
            .head(&CLOCK)
            .and_then(|clock| system::prologue(clock, self.latest(), timestamp_ms));
        self.open = Some((timestamp_ms, Vec::new()));
        if let Some(prologue) = prologue {
            self.apply(&Arc::new(prologue));
        }
    }

    /// Executes a transaction as part of the open checkpoint, which it opens if need be. One that
    /// was executed before has the effects it had.
    pub fn execute(
        &mut self,
        signed: &SignedTransaction,
        now_ms: u64,
    ) -> Result<Arc<Executed>, Rejection> {
        let digest = signed.transaction.digest();
        if let Some(executed) = self.executed(&digest) {
            return Ok(Arc::clone(executed));
        }
        let view = View {
            store: &self.store,
            checkpoint: None,
        };
        let rule = GasRule::Checked;
        let chain_digest = self.chain_digest();
        // Checked before the checkpoint opens: a refused transaction leaves no trace.
        check(signed, view, &self.ids.package, chain_digest, rule)?;
        self.open(now_ms);
        let view = View {
            store: &self.store,
            checkpoint: None,
        };
        let checked = check(signed, view, &self.ids.package, chain_digest, rule)?;
        let chain = self.chain(self.height() + 1, None);
        let run = effects::run(signed, digest, &checked, view, chain, rule);
        let executed = Arc::new(run.executed);
        self.apply(&executed);
        Ok(executed)
    }

    /// What a transaction would do to the state of a checkpoint. Nothing is written.
    pub fn simulate(
        &self,
        signed: &SignedTransaction,
        checkpoint: u64,
        checks: bool,
    ) -> Result<(Executed, Vec<CommandOutcome>), Rejection> {
        let view = View {
            store: &self.store,
            checkpoint: Some(checkpoint),
        };
        let rule = if checks {
            GasRule::Checked
        } else {
            GasRule::Free
        };
        let checked = check(signed, view, &self.ids.package, self.chain_digest(), rule)?;
        let chain = self.chain(checkpoint, Some(checkpoint));
        let digest = signed.transaction.digest();
        let run = effects::run(signed, digest, &checked, view, chain, rule);
        Ok((run.executed, run.outcomes))
    }

    /// Ends the open checkpoint; from now on readers see it.
    pub fn seal(&mut self, now_ms: u64) -> Arc<Checkpoint> {
        self.open(now_ms);
        let (timestamp_ms, transactions) = self.open.take().unwrap_or_default();
        let checkpoint = Arc::new(seal(
            Some(&self.latest().summary),
            timestamp_ms,
            transactions,
        ));
        self.keep(Arc::clone(&checkpoint));
        self.prune();
        checkpoint
    }

    fn chain_digest(&self) -> Digest {
        Digest::from_base58(&self.ids.chain).unwrap_or(Digest::ZERO)
    }

    fn chain(&self, checkpoint: u64, at: Option<u64>) -> Chain {
        let clock = match at {
            None => self.store.head(&CLOCK),
            Some(at) => self.store.at(&CLOCK, at),
        };
        Chain {
            package: self.ids.package,
            package_transaction: self.genesis_transaction,
            checkpoint,
            now_ms: clock
                .and_then(|clock| clock.as_struct())
                .map_or(0, |clock| coin::value(clock.contents())),
        }
    }

    fn apply(&mut self, executed: &Arc<Executed>) {
        for object in &executed.outputs {
            self.store.write(Arc::clone(object), executed.checkpoint);
        }
        for id in &executed.deleted {
            self.store
                .remove(*id, executed.version, executed.checkpoint);
        }
        self.transactions
            .insert(executed.digest, Arc::clone(executed));
        if let Some((_, transactions)) = &mut self.open {
            transactions.push(Arc::clone(executed));
        }
    }

    fn keep(&mut self, checkpoint: Arc<Checkpoint>) {
        self.by_digest
            .insert(checkpoint.digest, checkpoint.summary.sequence_number);
        for executed in &checkpoint.transactions {
            self.transactions
                .insert(executed.digest, Arc::clone(executed));
        }
        self.checkpoints.push_back(checkpoint);
    }

    fn prune(&mut self) {
        while self.checkpoints.len() > self.retained {
            let Some(old) = self.checkpoints.pop_front() else {
                break;
            };
            self.by_digest.remove(&old.digest);
            for executed in &old.transactions {
                self.transactions.remove(&executed.digest);
            }
            self.lowest = self.lowest.max(old.summary.sequence_number + 1);
        }
        self.store.prune(self.lowest);
    }

    /// The address of the package, as the SDK has it.
    #[must_use]
    pub fn package(&self) -> Address {
        to_sui(self.ids.package.as_bytes())
    }
}
