//! What the holder of a `SlashCap` does with others' seals.

use sui_ledger::contract::{Cause, Config, MAX_REASON_BYTES, SlashCap};

use super::abort::{Abort, Code, ensure};
use super::machine::{ACTIVE, Machine, REVOKED, SLASHED, UNBONDING};
use super::rows::Rows;
use super::seals::is_live;

/// What one slash takes: rounded up, so that a stake can't be split into crumbs that lose nothing.
fn cut(config: &Config, stake: u64) -> u64 {
    let hundredths = u128::from(stake) * u128::from(config.slash_pct);
    u64::try_from(hundredths.div_ceil(100)).unwrap_or(u64::MAX)
}

impl<R: Rows> Machine<'_, R> {
    fn assert_slasher(&self, cap: &SlashCap, hash: &Vec<u8>, reason: &str) -> Result<(), Abort> {
        const HERE: &str = "assert_slasher";
        ensure(self.pool.slash_caps.contains(&cap.id), Code::SlashCap, HERE)?;
        ensure(reason.len() <= MAX_REASON_BYTES, Code::Reason, HERE)?;
        ensure(self.seal(hash).is_some(), Code::UnknownHash, HERE)
    }

    pub(super) fn slash(
        &mut self,
        cap: &SlashCap,
        hash: &Vec<u8>,
        reason: String,
    ) -> Result<(), Abort> {
        const HERE: &str = "slash";
        self.assert_version()?;
        self.assert_slasher(cap, hash, &reason)?;
        let now = self.context.now_ms;
        let config = self.pool.config;
        let mut record = self.record_of(hash, HERE)?;
        ensure(
            is_live(&record) || record.status == UNBONDING,
            Code::Status,
            HERE,
        )?;
        let last = record.last_slashed_at_ms;
        ensure(
            last == 0 || now >= last.saturating_add(config.slash_interval_ms),
            Code::SlashTooSoon,
            HERE,
        )?;
        let cut = cut(&config, record.stake);
        if record.status == ACTIVE {
            record.status = SLASHED;
            record.restore_at = record.stake;
        }
        record.stake = record.stake.saturating_sub(cut);
        record.slashed_total = record.slashed_total.saturating_add(cut);
        record.last_slashed_at_ms = now;
        self.pool.pooled = self.pool.pooled.saturating_sub(cut);
        self.pool.treasury = self.pool.treasury.saturating_add(cut);
        self.seal_changed(hash, record, Cause::Slash, reason);
        Ok(())
    }

    pub(super) fn revoke(
        &mut self,
        cap: &SlashCap,
        hash: &Vec<u8>,
        reason: String,
    ) -> Result<(), Abort> {
        const HERE: &str = "revoke";
        self.assert_version()?;
        self.assert_slasher(cap, hash, &reason)?;
        let mut record = self.record_of(hash, HERE)?;
        ensure(is_live(&record), Code::Status, HERE)?;
        record.status = REVOKED;
        record.restore_at = 0;
        self.seal_changed(hash, record, Cause::Revoke, reason);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::{Delays, genesis::config};

    #[test]
    fn a_cut_is_rounded_up_and_never_more_than_the_stake() {
        let config = config(Delays::default());
        assert_eq!(cut(&config, 0), 0);
        assert_eq!(cut(&config, 1), 1);
        assert_eq!(cut(&config, 10), 1);
        assert_eq!(cut(&config, 11), 2);
        assert_eq!(cut(&config, u64::MAX), u64::MAX / 10 + 1);
    }
}
