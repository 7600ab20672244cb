//! What owners do with their seals.

use sui_ledger::contract::{Cause, NodeClaimBcs, SealRecordBcs, SealTokenBcs};

use super::abort::{Abort, Code, ensure};
use super::context::Made;
use super::machine::{ACTIVE, Machine, RETIRED, SLASHED, UNBONDING, retire};
use super::rows::Rows;

/// The list lives in an object that every mint loads: it stays short.
const MAX_SEALS_PER_OWNER: usize = 16;

impl<R: Rows> Machine<'_, R> {
    pub(super) fn stake_and_mint_seal(
        &mut self,
        stake: u64,
        hash: Vec<u8>,
        node_id: Option<String>,
        namespace: Option<String>,
        validity_ms: u64,
    ) -> Result<(), Abort> {
        const HERE: &str = "stake_and_mint_seal";
        self.assert_running()?;
        self.assert_fresh_hash(&hash)?;
        ensure(stake >= self.pool.config.viewer, Code::StakeTooLow, HERE)?;
        let expires_at_ms = self.expiry(validity_ms)?;
        Self::assert_namespace(namespace.as_deref())?;
        let owner = self.context.sender;
        if let Some(name) = &node_id {
            self.assert_node_free(name, owner)?;
        }
        let mut held = self.held(owner).unwrap_or_default();
        ensure(held.len() < MAX_SEALS_PER_OWNER, Code::TooManySeals, HERE)?;
        held.push(hash.clone());
        self.put_held(owner, held);

        let token = SealTokenBcs {
            id: self.context.fresh_id(),
            pool: self.pool.id,
            hash: hash.clone(),
        };
        self.pool.pooled = self.pool.pooled.saturating_add(stake);
        let record = SealRecordBcs {
            seq: 0,
            seal_id: token.id,
            owner,
            stake,
            restore_at: 0,
            node_id: node_id.clone(),
            namespace,
            issued_at_ms: self.context.now_ms,
            expires_at_ms,
            unbonding_ends_at_ms: 0,
            status: ACTIVE,
            slashed_total: 0,
            last_slashed_at_ms: 0,
            generation: 0,
            ext: Vec::new(),
        };
        self.seal_changed(&hash, record, Cause::Mint, String::new());
        if let Some(name) = node_id {
            self.claim_node(name, NodeClaimBcs { owner, hash });
        }
        self.outcome.made.push((Made::Token(token), owner));
        Ok(())
    }

    pub(super) fn restake(&mut self, token: &SealTokenBcs, amount: u64) -> Result<(), Abort> {
        const HERE: &str = "restake";
        self.assert_running()?;
        self.assert_token(token)?;
        ensure(amount > 0, Code::ZeroAmount, HERE)?;
        let mut record = self.record_of(&token.hash, HERE)?;
        ensure(is_live(&record), Code::Status, HERE)?;
        record.stake = record.stake.saturating_add(amount);
        if record.status == SLASHED && record.stake >= record.restore_at {
            record.status = ACTIVE;
            record.restore_at = 0;
        }
        self.pool.pooled = self.pool.pooled.saturating_add(amount);
        self.seal_changed(&token.hash, record, Cause::Restake, String::new());
        Ok(())
    }

    pub(super) fn refresh_seal_token(
        &mut self,
        mut token: SealTokenBcs,
        new_hash: Vec<u8>,
        validity_ms: u64,
    ) -> Result<(), Abort> {
        const HERE: &str = "refresh_seal_token";
        self.assert_running()?;
        self.assert_token(&token)?;
        let mut old = self.record_of(&token.hash, HERE)?;
        ensure(is_live(&old), Code::Status, HERE)?;
        self.assert_fresh_hash(&new_hash)?;
        let mut record = old.clone();
        record.expires_at_ms = self.expiry(validity_ms)?;
        record.issued_at_ms = self.context.now_ms;
        record.generation += 1;
        let owner = record.owner;
        let node_id = record.node_id.clone();

        retire(&mut old);
        let old_hash = std::mem::replace(&mut token.hash, new_hash.clone());
        let mut held = self.held(owner).unwrap_or_default();
        for hash in &mut held {
            if *hash == old_hash {
                hash.clone_from(&new_hash);
            }
        }
        self.put_held(owner, held);

        self.seal_changed(&new_hash, record, Cause::RefreshNew, String::new());
        self.seal_changed(&old_hash, old, Cause::RefreshOld, String::new());
        if let Some(name) = node_id {
            let claim = NodeClaimBcs {
                owner,
                hash: new_hash,
            };
            self.claim_node(name, claim);
        }
        self.outcome.token = Some(token);
        Ok(())
    }

    pub(super) fn request_unstake(&mut self, token: &SealTokenBcs) -> Result<(), Abort> {
        const HERE: &str = "request_unstake";
        self.assert_version()?;
        self.assert_token(token)?;
        let mut record = self.record_of(&token.hash, HERE)?;
        ensure(
            record.status != UNBONDING && record.status != RETIRED,
            Code::Status,
            HERE,
        )?;
        record.status = UNBONDING;
        record.restore_at = 0;
        record.unbonding_ends_at_ms = self
            .context
            .now_ms
            .saturating_add(self.pool.config.unbonding_ms);
        self.seal_changed(&token.hash, record, Cause::Unstake, String::new());
        Ok(())
    }

    pub(super) fn withdraw(&mut self, token: &SealTokenBcs) -> Result<(), Abort> {
        const HERE: &str = "withdraw";
        self.assert_version()?;
        self.assert_token(token)?;
        let mut record = self.record_of(&token.hash, HERE)?;
        ensure(record.status == UNBONDING, Code::Status, HERE)?;
        ensure(
            self.context.now_ms >= record.unbonding_ends_at_ms,
            Code::StillUnbonding,
            HERE,
        )?;
        let (owner, stake) = (record.owner, record.stake);
        retire(&mut record);
        let mut held = self.held(owner).unwrap_or_default();
        held.retain(|hash| *hash != token.hash);
        self.put_held(owner, held);
        self.pool.pooled = self.pool.pooled.saturating_sub(stake);
        let id = self.context.fresh_id();
        self.seal_changed(&token.hash, record, Cause::Withdraw, String::new());
        self.outcome
            .made
            .push((Made::Coin { id, value: stake }, owner));
        Ok(())
    }
}

/// Active or slashed: the seal can still be what it was.
pub(super) fn is_live(record: &SealRecordBcs) -> bool {
    record.status == ACTIVE || record.status == SLASHED
}
