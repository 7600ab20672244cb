//! A worker without a contract stakes nothing.

use cri_shim::api::{StakeOrder, Staked, Staking, Unstaked, WorkError};

/// No contract is configured.
#[derive(Debug)]
pub(super) struct NoContract;

fn refused() -> WorkError {
    let text = "no contract is configured: set staking_contract in the section sui";
    WorkError::NotSetUp(text.to_owned())
}

impl Staking for NoContract {
    async fn stake(&self, _order: StakeOrder) -> Result<Staked, WorkError> {
        Err(refused())
    }

    async fn unstake(&self) -> Result<Unstaked, WorkError> {
        Err(refused())
    }
}
