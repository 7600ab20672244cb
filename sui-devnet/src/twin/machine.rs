//! One call at work: dispatch, and what all calls share.

use seal::{Address, ObjectId};
use sui_ledger::contract::{Cause, Pool, SealChangedBcs, SealRecordBcs, SealTokenBcs};

use super::abort::{Abort, Code, ensure};
use super::call::Call;
use super::context::{Context, Event, Outcome};
use super::rows::{self, Rows};

pub(super) const ACTIVE: u8 = 0;
pub(super) const UNBONDING: u8 = 1;
pub(super) const SLASHED: u8 = 2;
pub(super) const REVOKED: u8 = 3;
pub(super) const RETIRED: u8 = 4;

/// SHA-256.
const HASH_LENGTH: usize = 32;

pub(super) struct Machine<'a, R> {
    pub(super) pool: &'a mut Pool,
    pub(super) rows: &'a mut R,
    pub(super) context: &'a mut Context,
    pub(super) outcome: Outcome,
}

impl<'a, R: Rows> Machine<'a, R> {
    pub(super) fn new(pool: &'a mut Pool, rows: &'a mut R, context: &'a mut Context) -> Self {
        Self {
            pool,
            rows,
            context,
            outcome: Outcome::default(),
        }
    }

    pub(super) fn run(mut self, call: Call) -> Result<Outcome, Abort> {
        match call {
            Call::StakeAndMintSeal {
                coin,
                hash,
                node_id,
                namespace,
                validity_ms,
            } => self.stake_and_mint_seal(coin, hash, node_id, namespace, validity_ms),
            Call::Restake { token, coin } => self.restake(&token, coin),
            Call::RefreshSealToken {
                token,
                new_hash,
                validity_ms,
            } => self.refresh_seal_token(token, new_hash, validity_ms),
            Call::RequestUnstake { token } => self.request_unstake(&token),
            Call::Withdraw { token } => self.withdraw(&token),
            Call::Slash { cap, hash, reason } => self.slash(&cap, &hash, reason),
            Call::Revoke { cap, hash, reason } => self.revoke(&cap, &hash, reason),
            Call::AnnounceConfig { cap: _, config } => self.announce_config(config),
            Call::ApplyConfig { cap: _ } => self.apply_config(),
            Call::AddSlashCap { cap: _, holder } => self.add_slash_cap(holder),
            Call::RemoveSlashCap { cap: _, id } => self.remove_slash_cap(id),
            Call::ReserveName { cap: _, name } => self.reserve_name(name),
            Call::UnreserveName { cap: _, name } => self.unreserve_name(&name),
            Call::VoidClaim { cap: _, name } => self.void_claim(name),
            Call::SetPaused { cap: _, paused } => self.set_paused(paused),
            Call::WithdrawTreasury {
                cap: _,
                amount,
                recipient,
            } => self.withdraw_treasury(amount, recipient),
            Call::Migrate { cap: _ } => self.migrate(),
        }?;
        Ok(self.outcome)
    }

    pub(super) fn assert_version(&self) -> Result<(), Abort> {
        ensure(
            self.pool.version == super::VERSION,
            Code::Version,
            "assert_version",
        )
    }

    pub(super) fn assert_running(&self) -> Result<(), Abort> {
        self.assert_version()?;
        ensure(!self.pool.paused, Code::Paused, "assert_running")
    }

    pub(super) fn assert_token(&self, token: &SealTokenBcs) -> Result<(), Abort> {
        ensure(token.pool == self.pool.id, Code::WrongPool, "assert_token")
    }

    pub(super) fn assert_fresh_hash(&self, hash: &Vec<u8>) -> Result<(), Abort> {
        const HERE: &str = "assert_fresh_hash";
        ensure(hash.len() == HASH_LENGTH, Code::HashLength, HERE)?;
        ensure(self.seal(hash).is_none(), Code::HashSpent, HERE)
    }

    /// When a seal issued now is dead.
    pub(super) fn expiry(&self, validity_ms: u64) -> Result<u64, Abort> {
        let config = &self.pool.config;
        let validity_ms = if validity_ms == 0 {
            config.validity_default_ms
        } else {
            validity_ms
        };
        ensure(
            (config.validity_min_ms..=config.validity_max_ms).contains(&validity_ms),
            Code::Validity,
            "expiry",
        )?;
        Ok(self.context.now_ms.saturating_add(validity_ms))
    }

    pub(super) fn seal(&self, hash: &Vec<u8>) -> Option<SealRecordBcs> {
        rows::get(self.rows, &self.pool.seals, hash)
    }

    /// The record of a hash that a token or a check vouches for. The Move module would abort in
    /// `dynamic_field`; here the same can only come of a damaged store.
    pub(super) fn record_of(
        &self,
        hash: &Vec<u8>,
        function: &'static str,
    ) -> Result<SealRecordBcs, Abort> {
        self.seal(hash).ok_or(Abort {
            code: Code::UnknownHash,
            function,
        })
    }

    pub(super) fn put_seal(&mut self, hash: &[u8], record: SealRecordBcs) {
        rows::put(self.rows, &mut self.pool.seals, hash.to_vec(), record);
    }

    pub(super) fn held(&self, owner: Address) -> Option<Vec<Vec<u8>>> {
        rows::get(self.rows, &self.pool.owners, &rows::owner_key(owner))
    }

    pub(super) fn put_held(&mut self, owner: Address, held: Vec<Vec<u8>>) {
        rows::put(
            self.rows,
            &mut self.pool.owners,
            rows::owner_key(owner),
            held,
        );
    }

    pub(super) fn next_seq(&mut self) -> u64 {
        self.pool.seq += 1;
        self.pool.seq
    }

    /// Numbers the change that was made to a record, stores it and tells it.
    pub(super) fn seal_changed(
        &mut self,
        hash: &[u8],
        mut record: SealRecordBcs,
        cause: Cause,
        reason: String,
    ) {
        let seq = self.next_seq();
        record.seq = seq;
        self.put_seal(hash, record.clone());
        let pool: ObjectId = self.pool.id;
        self.outcome.events.push(Event::SealChanged(SealChangedBcs {
            pool,
            seq,
            cause: cause.to_chain(),
            reason,
            hash: hash.to_vec(),
            record,
        }));
    }
}

pub(super) fn retire(record: &mut SealRecordBcs) {
    record.status = RETIRED;
    record.stake = 0;
    record.restore_at = 0;
    record.unbonding_ends_at_ms = 0;
}
