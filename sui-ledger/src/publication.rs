//! Finds the contract by its package alone.
//!
//! Shape:  a package names the transaction that published it, whose effects name the shared pool,
//!         whose contents name the tables. A package that is an upgrade says in its table of types
//!         which package its `Pool` comes from; that one's publication is read.
//! Errors: a full node forgets old transactions: then only the contract file helps.
//! Trust:  the node's word. Whoever can lie here can lie about every seal too.

use seal::ObjectId;
use sui_sdk_types::StructTag;

use crate::chain_id::ChainId;
use crate::client::{Executed, LedgerClient, MAX_BATCH, Object, Owner};
use crate::contract::{Pool, decode_pool};
use crate::error::LedgerError;
use crate::ids::ContractType;
use crate::manifest::{CapIds, ContractIds};
use crate::tx::{PublishError, TxError};

/// The contract of a package, original or upgraded. Calls go to the package given. Who holds the
/// operator's caps is not looked for.
pub async fn locate(
    client: &LedgerClient,
    package: &ObjectId,
    endpoint: &str,
) -> Result<ContractIds, TxError> {
    let chain_id = client.service_info().await?.value.chain;
    let mut found = read_package(client, package).await?;
    let original = found.pool_from.unwrap_or(*package);
    if original != *package {
        found = read_package(client, &original).await?;
    }
    let published = found.published.ok_or(PublishError::NoPackage {
        id: original,
        found: "an object without a publication",
    })?;
    let executed = match client.get_transaction(&published).await {
        Ok(answer) => answer.value,
        Err(LedgerError::NotFound(_)) => {
            return Err(PublishError::Forgotten { digest: published }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let made = Made::read(client, &executed, &original).await?;
    made.ids(*package, endpoint, chain_id)
}

async fn read_package(
    client: &LedgerClient,
    id: &ObjectId,
) -> Result<crate::client::Package, TxError> {
    let found = match client.get_package(id).await {
        Ok(answer) => answer.value,
        Err(LedgerError::NotFound(_)) => {
            let found = "nothing";
            return Err(PublishError::NoPackage { id: *id, found }.into());
        }
        Err(error) => return Err(error.into()),
    };
    found.ok_or_else(|| {
        let found = "an object that is no package";
        PublishError::NoPackage { id: *id, found }.into()
    })
}

/// What a publication made, packages aside.
pub(crate) struct Made {
    package: ObjectId,
    objects: Vec<Object>,
}

impl Made {
    /// Reads the objects that a publication of this package made. The transaction must be visible.
    pub(crate) async fn read(
        client: &LedgerClient,
        executed: &Executed,
        package: &ObjectId,
    ) -> Result<Self, TxError> {
        let others: Vec<ObjectId> = executed
            .created()
            .filter(|created| !created.package)
            .map(|created| created.id)
            .collect();
        // A publication of ours makes a handful.
        if others.len() > MAX_BATCH {
            let found = others.len();
            return Err(PublishError::TooMany { found }.into());
        }
        let reads = client.read_objects(&others).await?.value;
        let found = reads.iter().filter_map(|read| read.found());
        let objects = found.cloned().collect();
        Ok(Self {
            package: *package,
            objects,
        })
    }

    /// The first object of this type.
    pub(crate) fn of_type(&self, tag: &StructTag) -> Option<&Object> {
        self.objects.iter().find(|object| {
            let found = object.object_type.parse::<StructTag>();
            found.is_ok_and(|found| found == *tag)
        })
    }

    /// The contract's ids, without the caps.
    pub(crate) fn ids(
        &self,
        latest_package: ObjectId,
        endpoint: &str,
        chain_id: ChainId,
    ) -> Result<ContractIds, TxError> {
        let missing = |what| PublishError::Missing { what };
        let pool = self.of_type(&ContractType::Pool.tag(&self.package));
        let pool = pool.ok_or(missing("Pool"))?;
        let Owner::Shared { initial_version } = pool.owner else {
            return Err(missing("shared Pool").into());
        };
        let tables: Pool = decode_pool(&pool.contents)?;
        Ok(ContractIds {
            endpoint: endpoint.to_owned(),
            chain_id,
            original_package: self.package,
            latest_package,
            pool: pool.id,
            pool_initial_version: initial_version,
            seals_table: tables.seals.id,
            nodes_table: tables.nodes.id,
            owners_table: tables.owners.id,
            caps: CapIds::default(),
        })
    }
}
