//! What the holder of the `AdminCap` does: config, caps, names, pause, treasury, migration.

use seal::{Address, ObjectId};
use sui_ledger::contract::{Config, ConfigChangedBcs, NodeClaimBcs, PendingConfig, SlashCap};

use super::abort::{Abort, Code, ensure};
use super::context::{Event, Made};
use super::machine::Machine;
use super::names::{VOIDED, is_name};
use super::rows::Rows;
use super::seals::is_live;

/// The lists live inside the pool, which every call loads: they stay short.
const MAX_SLASH_CAPS: usize = 16;
const MAX_RESERVED_NAMES: usize = 64;

const DAY_MS: u64 = 86_400_000;

/// Bounds that no config can leave, whoever holds the `AdminCap`.
const MAX_SLASH_PCT: u64 = 20;
/// A million SUI.
const MAX_THRESHOLD: u64 = 1_000_000_000_000_000;
const MAX_SLASH_INTERVAL_MS: u64 = 30 * DAY_MS;
const MAX_CONFIG_DELAY_MS: u64 = 30 * DAY_MS;
const MIN_UNBONDING_MS: u64 = 60_000;
const MAX_UNBONDING_MS: u64 = 90 * DAY_MS;
const MIN_VALIDITY_MS: u64 = 60_000;
const MAX_VALIDITY_MS: u64 = 366 * DAY_MS;

/// Whether a config keeps within the bounds.
pub(super) fn is_allowed(config: &Config) -> bool {
    0 < config.viewer
        && config.viewer < config.developer
        && config.developer < config.admin
        && config.admin < config.super_
        && config.super_ <= MAX_THRESHOLD
        && (1..=MAX_SLASH_PCT).contains(&config.slash_pct)
        && config.slash_interval_ms <= MAX_SLASH_INTERVAL_MS
        && config.config_delay_ms <= MAX_CONFIG_DELAY_MS
        && (MIN_UNBONDING_MS..=MAX_UNBONDING_MS).contains(&config.unbonding_ms)
        && MIN_VALIDITY_MS <= config.validity_min_ms
        && config.validity_min_ms <= config.validity_default_ms
        && config.validity_default_ms <= config.validity_max_ms
        && config.validity_max_ms <= MAX_VALIDITY_MS
}

impl<R: Rows> Machine<'_, R> {
    pub(super) fn announce_config(&mut self, config: Config) -> Result<(), Abort> {
        self.assert_version()?;
        ensure(is_allowed(&config), Code::Config, "assert_config")?;
        let delay = self.pool.config.config_delay_ms;
        self.pool.pending = Some(PendingConfig {
            config,
            effective_at_ms: self.context.now_ms.saturating_add(delay),
        });
        Ok(())
    }

    pub(super) fn apply_config(&mut self) -> Result<(), Abort> {
        const HERE: &str = "apply_config";
        self.assert_version()?;
        let Some(pending) = self.pool.pending.take() else {
            return ensure(false, Code::NoPendingConfig, HERE);
        };
        ensure(
            self.context.now_ms >= pending.effective_at_ms,
            Code::ConfigNotDue,
            HERE,
        )?;
        self.pool.config = pending.config;
        let seq = self.next_seq();
        let event = ConfigChangedBcs {
            pool: self.pool.id,
            seq,
            config: pending.config,
        };
        self.outcome.events.push(Event::ConfigChanged(event));
        Ok(())
    }

    pub(super) fn add_slash_cap(&mut self, holder: Address) -> Result<(), Abort> {
        self.assert_version()?;
        ensure(
            self.pool.slash_caps.len() < MAX_SLASH_CAPS,
            Code::TooManyCaps,
            "add_slash_cap",
        )?;
        let id = self.context.fresh_id();
        self.pool.slash_caps.push(id);
        self.outcome
            .made
            .push((Made::SlashCap(SlashCap { id }), holder));
        Ok(())
    }

    pub(super) fn remove_slash_cap(&mut self, id: ObjectId) -> Result<(), Abort> {
        self.assert_version()?;
        let place = self.pool.slash_caps.iter().position(|cap| *cap == id);
        ensure(place.is_some(), Code::UnknownCap, "remove_slash_cap")?;
        self.pool.slash_caps.retain(|cap| *cap != id);
        Ok(())
    }

    pub(super) fn reserve_name(&mut self, name: String) -> Result<(), Abort> {
        const HERE: &str = "reserve_name";
        self.assert_version()?;
        ensure(is_name(&name), Code::NodeName, HERE)?;
        ensure(
            !self.pool.reserved.contains(&name),
            Code::NameReserved,
            HERE,
        )?;
        ensure(
            self.pool.reserved.len() < MAX_RESERVED_NAMES,
            Code::TooManyNames,
            HERE,
        )?;
        self.pool.reserved.push(name);
        Ok(())
    }

    pub(super) fn unreserve_name(&mut self, name: &String) -> Result<(), Abort> {
        self.assert_version()?;
        ensure(
            self.pool.reserved.contains(name),
            Code::UnknownName,
            "unreserve_name",
        )?;
        // A name stands in the list at most once.
        self.pool.reserved.retain(|other| other != name);
        Ok(())
    }

    pub(super) fn void_claim(&mut self, name: String) -> Result<(), Abort> {
        const HERE: &str = "void_claim";
        self.assert_version()?;
        let claim = self.claim(&name).filter(|claim| claim.owner != VOIDED);
        let Some(claim) = claim else {
            return ensure(false, Code::UnknownName, HERE);
        };
        let record = self.record_of(&claim.hash, HERE)?;
        ensure(!is_live(&record), Code::Status, HERE)?;
        let voided = NodeClaimBcs {
            owner: VOIDED,
            hash: claim.hash,
        };
        self.claim_node(name, voided);
        Ok(())
    }

    pub(super) fn set_paused(&mut self, paused: bool) -> Result<(), Abort> {
        self.assert_version()?;
        self.pool.paused = paused;
        Ok(())
    }

    pub(super) fn withdraw_treasury(
        &mut self,
        amount: u64,
        recipient: Address,
    ) -> Result<(), Abort> {
        const HERE: &str = "withdraw_treasury";
        self.assert_version()?;
        ensure(amount > 0, Code::ZeroAmount, HERE)?;
        ensure(amount <= self.pool.treasury, Code::Treasury, HERE)?;
        self.pool.treasury = self.pool.treasury.saturating_sub(amount);
        let id = self.context.fresh_id();
        self.outcome
            .made
            .push((Made::Coin { id, value: amount }, recipient));
        Ok(())
    }

    pub(super) fn migrate(&mut self) -> Result<(), Abort> {
        ensure(self.pool.version < super::VERSION, Code::Version, "migrate")?;
        self.pool.version = super::VERSION;
        Ok(())
    }
}
