//! Single look-ups straight from the node, for people and for transactions.
//!
//! Not here: the answers that decisions rest on. They need the directory's rules; one read from a
//! lagging node proves nothing.

use seal::{Address, CredentialHash, NodeClaim, NodeName, ObjectId, SealRecord};

use crate::client::{Answer, LedgerClient, Object, ObjectRead};
use crate::contract::{
    Pool, decode_node_field, decode_owner_field, decode_pool, decode_seal_field,
};
use crate::error::{AnswerError, LedgerError};
use crate::ids::{node_field_id, owner_field_id, seal_field_id};
use crate::manifest::ContractIds;
use crate::tx::TxError;

/// The pool.
pub async fn read_pool(client: &LedgerClient, ids: &ContractIds) -> Result<Answer<Pool>, TxError> {
    let answer = client.get_object(&ids.pool).await?;
    Ok(Answer {
        head: answer.head,
        value: decode_pool(&answer.value.contents)?,
    })
}

/// The record under a credential hash; none if there is none.
pub async fn read_seal(
    client: &LedgerClient,
    ids: &ContractIds,
    hash: &CredentialHash,
) -> Result<Answer<Option<SealRecord>>, TxError> {
    let answer = read_row(client, seal_field_id(&ids.seals_table, hash)).await?;
    let record = answer
        .value
        .map(|row| decode_seal_field(&row.contents, hash))
        .transpose()?;
    Ok(Answer {
        head: answer.head,
        value: record,
    })
}

/// Who holds a node's name; none if it was never claimed.
pub async fn read_node(
    client: &LedgerClient,
    ids: &ContractIds,
    name: &NodeName,
) -> Result<Answer<Option<NodeClaim>>, TxError> {
    let answer = read_row(client, node_field_id(&ids.nodes_table, name)).await?;
    let claim = answer
        .value
        .map(|row| decode_node_field(&row.contents, name))
        .transpose()?;
    Ok(Answer {
        head: answer.head,
        value: claim,
    })
}

/// The hashes of an owner's seals that are not retired.
pub async fn read_owner(
    client: &LedgerClient,
    ids: &ContractIds,
    owner: &Address,
) -> Result<Answer<Vec<CredentialHash>>, TxError> {
    let answer = read_row(client, owner_field_id(&ids.owners_table, owner)).await?;
    let hashes = answer
        .value
        .map(|row| decode_owner_field(&row.contents, owner))
        .transpose()?;
    Ok(Answer {
        head: answer.head,
        value: hashes.unwrap_or_default(),
    })
}

/// A batch of one: unlike GetObject, its "absent" comes with headers.
async fn read_row(
    client: &LedgerClient,
    id: ObjectId,
) -> Result<Answer<Option<Object>>, LedgerError> {
    let answer = client.read_objects(&[id]).await?;
    let value = match answer.value.into_iter().next() {
        Some(ObjectRead::Found(object)) => Some(object),
        Some(ObjectRead::Absent) => None,
        Some(ObjectRead::Failed { code }) => {
            return Err(LedgerError::from_status(
                tonic::Status::new(code, "one object of a batch"),
                client.settings().read_deadline,
            ));
        }
        None => return Err(AnswerError::Count { want: 1, found: 0 }.into()),
    };
    Ok(Answer {
        head: answer.head,
        value,
    })
}
