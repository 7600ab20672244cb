//! Reads the seal from a full node.

use seal::CredentialHash;
use sui_ledger::client::LedgerClient;
use sui_ledger::manifest::ContractIds;
use sui_ledger::reads::{read_pool, read_seal};

use super::{SealReader, Seen};

/// Two objects a look: the pool, for what stake is worth, and the record.
#[derive(Debug)]
pub struct ChainReader {
    client: LedgerClient,
    ids: ContractIds,
}

impl ChainReader {
    /// By this client.
    pub fn new(client: LedgerClient, ids: ContractIds) -> Self {
        Self { client, ids }
    }
}

impl SealReader for ChainReader {
    async fn read(&self, hash: CredentialHash) -> Result<Seen, String> {
        let pool = read_pool(&self.client, &self.ids);
        let pool = pool.await.map_err(|error| error.to_string())?;
        let record = read_seal(&self.client, &self.ids, &hash);
        let record = record.await.map_err(|error| error.to_string())?;
        Ok(Seen {
            record: record.value,
            thresholds: pool.value.config.thresholds(),
        })
    }
}
