use std::collections::HashMap;
use std::sync::Arc;

use seal::testing::active_record;
use seal::{CredentialHash, Mist, NodeClaim, NodeName, SealRecord, SealStatus, Thresholds};
use sui_ledger::directory::{End, Unavailable};

use super::*;

/// A chain as one owner's seals stand on it.
#[derive(Default)]
struct Chain {
    owners: HashMap<Address, Result<Vec<CredentialHash>, Unavailable>>,
    seals: HashMap<CredentialHash, Result<Arc<SealRecord>, Unavailable>>,
    now: u64,
}

impl SealDirectory for Chain {
    async fn seal(&self, hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        self.seals.get(&hash).cloned().transpose()
    }
    async fn claim(&self, _name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        Ok(None)
    }
    async fn owner_seals(&self, owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        let found = self.owners.get(&owner).cloned();
        found.unwrap_or(Ok(Vec::new())).map(Arc::from)
    }
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now)
    }
    fn thresholds(&self) -> Thresholds {
        Thresholds::default()
    }
    fn last_known_end(&self, _hash: &CredentialHash) -> Option<End> {
        None
    }
}

fn owner() -> Address {
    Address::from_bytes([1; 32])
}

fn record(sui: u64, expires_at: u64) -> SealRecord {
    SealRecord {
        owner: owner(),
        stake: Mist(sui * Mist::PER_SUI),
        expires_at: UnixMillis(expires_at),
        ..active_record()
    }
}

fn chain(seals: Vec<Result<SealRecord, Unavailable>>) -> Chain {
    let mut chain = Chain::default();
    let mut hashes = Vec::new();
    for (number, seal) in seals.into_iter().enumerate() {
        let hash = CredentialHash::from_bytes([u8::try_from(number).unwrap(); 32]);
        hashes.push(hash);
        chain.seals.insert(hash, seal.map(Arc::new));
    }
    chain.owners.insert(owner(), Ok(hashes));
    chain
}

async fn standing(chain: &Chain) -> OwnerStanding {
    owner_standing(chain, &ElevatedOwners::Any, &owner()).await
}

const UNREADABLE: Result<SealRecord, Unavailable> = Err(Unavailable::ReadFailed);

#[tokio::test]
async fn the_best_usable_seal_counts_and_the_last_expiry() {
    let chain = chain(vec![
        Ok(record(2, 900)),
        Ok(record(5, 500)),
        Ok(record(1, 9_000)),
    ]);
    assert_eq!(
        standing(&chain).await,
        OwnerStanding::Usable(Usable {
            tier: Tier::Admin,
            until: UnixMillis(900),
            next: UnixMillis(500),
            complete: true,
        })
    );
}

#[tokio::test]
async fn seals_that_give_no_namespace_are_none() {
    let expired = record(10, 100);
    let slashed = SealRecord {
        status: SealStatus::Slashed,
        ..record(10, 900)
    };
    let others = SealRecord {
        owner: Address::from_bytes([9; 32]),
        ..record(10, 900)
    };
    for seal in [expired, slashed, others, record(1, 900)] {
        let mut chain = chain(vec![Ok(seal)]);
        chain.now = 100;
        assert_eq!(standing(&chain).await, OwnerStanding::None);
    }
    assert_eq!(standing(&Chain::default()).await, OwnerStanding::None);
}

#[tokio::test]
async fn what_cant_be_read_is_not_an_end() {
    let mut unreadable = Chain::default();
    unreadable
        .owners
        .insert(owner(), Err(Unavailable::Starting));
    assert_eq!(standing(&unreadable).await, OwnerStanding::Unknown);
    assert_eq!(
        standing(&chain(vec![UNREADABLE])).await,
        OwnerStanding::Unknown
    );
    let viewer = chain(vec![Ok(record(1, 900)), UNREADABLE]);
    assert_eq!(standing(&viewer).await, OwnerStanding::Unknown);
    let mut absent = chain(vec![Ok(record(2, 900))]);
    absent.seals.clear();
    assert_eq!(standing(&absent).await, OwnerStanding::Unknown);
}

#[tokio::test]
async fn one_readable_developer_is_enough() {
    let chain = chain(vec![UNREADABLE, Ok(record(2, 900))]);
    let OwnerStanding::Usable(usable) = standing(&chain).await else {
        panic!("not usable");
    };
    assert_eq!((usable.tier, usable.complete), (Tier::Developer, false));
}

#[tokio::test]
async fn others_than_the_elevated_are_developers() {
    let chain = chain(vec![Ok(record(10, 900))]);
    let standing = owner_standing(&chain, &ElevatedOwners::None, &owner()).await;
    let OwnerStanding::Usable(usable) = standing else {
        panic!("not usable");
    };
    assert_eq!(usable.tier, Tier::Developer);
}
