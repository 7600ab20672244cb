//! One object as a node answers it.

use bytes::Bytes;
use seal::{Address, Mist, ObjectId};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::get_object_result::Result as GetResult;
use sui_rpc::proto::sui::rpc::v2::owner::OwnerKind;
use sui_sdk_types::{Digest, ObjectReference};
use tonic::Code;

use super::parse;
use crate::contract::MODULE;
use crate::error::AnswerError;
use crate::ids;

/// The name of the pool's type.
const POOL: &str = "Pool";
/// The read mask of every object read.
pub(super) const READ_MASK: [&str; 6] = [
    "object_id",
    "version",
    "digest",
    "owner",
    "object_type",
    "contents",
];

/// The read mask of a package. A node gives `package` as a whole, with the bytecode, whichever of
/// its fields are asked for.
pub(super) const PACKAGE_MASK: [&str; 4] = [
    "object_id",
    "object_type",
    "previous_transaction",
    "package",
];

/// Who may use an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// One account.
    Address(Address),
    /// Another object: a row of a table belongs to the table's id.
    Object(ObjectId),
    /// Everybody.
    Shared {
        /// The version at which it became shared; transactions name it.
        initial_version: u64,
    },
    /// Nobody changes it any more.
    Immutable,
    /// A kind this version does not know.
    Unknown,
}

/// An object at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Digest,
    /// Who may use it.
    pub owner: Owner,
    /// Its type as the node writes it; `package` for a package.
    pub object_type: String,
    /// BCS of the Move value; empty for a package.
    pub contents: Bytes,
}

/// What became of one id in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectRead {
    /// It is there.
    Found(Object),
    /// It is not there: removed and never existing look the same.
    Absent,
    /// The node could not say. Neither there nor absent.
    Failed {
        /// The node's code for this entry.
        code: Code,
    },
}

impl ObjectRead {
    /// The object if it is there.
    #[must_use]
    pub const fn found(&self) -> Option<&Object> {
        match self {
            Self::Found(object) => Some(object),
            Self::Absent | Self::Failed { .. } => None,
        }
    }

    /// Reads one entry of a batch; an entry about another id is an error.
    pub(super) fn read(
        result: proto::GetObjectResult,
        asked: &ObjectId,
    ) -> Result<Self, AnswerError> {
        match result.result {
            Some(GetResult::Object(object)) => {
                let object = Object::read(object)?;
                if object.id == *asked {
                    Ok(Self::Found(object))
                } else {
                    Err(AnswerError::Unasked)
                }
            }
            Some(GetResult::Error(status)) => Ok(match Code::from(status.code) {
                Code::NotFound => Self::Absent,
                code => Self::Failed { code },
            }),
            _ => Err(AnswerError::Field {
                field: "objects.result",
            }),
        }
    }
}

impl Object {
    /// What a transaction needs to name an owned object.
    #[must_use]
    pub fn reference(&self) -> ObjectReference {
        ObjectReference::new(ids::to_sui(self.id.as_bytes()), self.version, self.digest)
    }

    pub(super) fn read(object: proto::Object) -> Result<Self, AnswerError> {
        let field = |field| AnswerError::Field { field };
        Ok(Self {
            id: parse::object_id(object.object_id.as_deref(), "object_id")?,
            version: object.version.ok_or(field("version"))?,
            digest: parse::digest(object.digest.as_deref(), "digest")?,
            owner: object
                .owner
                .as_ref()
                .map_or(Err(field("owner")), Owner::read)?,
            object_type: object.object_type.ok_or(field("object_type"))?,
            contents: object
                .contents
                .and_then(|contents| contents.value)
                .unwrap_or_default(),
        })
    }
}

impl Owner {
    pub(super) fn read(owner: &proto::Owner) -> Result<Self, AnswerError> {
        let kind = owner.kind.and_then(|kind| OwnerKind::try_from(kind).ok());
        Ok(match kind {
            Some(OwnerKind::Address) => {
                Self::Address(parse::address(owner.address.as_deref(), "owner.address")?)
            }
            Some(OwnerKind::Object) => {
                Self::Object(parse::object_id(owner.address.as_deref(), "owner.address")?)
            }
            Some(OwnerKind::Shared) => Self::Shared {
                initial_version: owner.version.ok_or(AnswerError::Field {
                    field: "owner.version",
                })?,
            },
            Some(OwnerKind::Immutable) => Self::Immutable,
            _ => Self::Unknown,
        })
    }
}

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// The transaction that published it.
    pub published: Option<Digest>,
    /// The package that first had the contract's `Pool`: its own id, or that of a package which
    /// this one is an upgrade of. None where the package has no such type.
    pub pool_from: Option<ObjectId>,
}

impl Package {
    /// None where the object is no package.
    pub(super) fn read(
        object: proto::Object,
        asked: &ObjectId,
    ) -> Result<Option<Self>, AnswerError> {
        if parse::object_id(object.object_id.as_deref(), "object_id")? != *asked {
            return Err(AnswerError::Unasked);
        }
        if object.object_type.as_deref() != Some("package") {
            return Ok(None);
        }
        let types = object.package.map(|package| package.type_origins);
        let pool = types.into_iter().flatten().find(|origin| {
            origin.module_name.as_deref() == Some(MODULE)
                && origin.datatype_name.as_deref() == Some(POOL)
        });
        let digest = object.previous_transaction.as_deref();
        Ok(Some(Self {
            published: digest
                .map(|digest| parse::digest(Some(digest), "previous_transaction"))
                .transpose()?,
            pool_from: pool
                .map(|pool| parse::object_id(pool.package_id.as_deref(), "package.type_origins"))
                .transpose()?,
        }))
    }
}

/// A SUI coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// What a transaction needs to name it.
    pub reference: ObjectReference,
    /// What it is worth.
    pub balance: Mist,
}

impl Coin {
    pub(super) fn read(object: &proto::Object) -> Result<Self, AnswerError> {
        let id = parse::object_id(object.object_id.as_deref(), "object_id")?;
        Ok(Self {
            reference: ObjectReference::new(
                ids::to_sui(id.as_bytes()),
                object
                    .version
                    .ok_or(AnswerError::Field { field: "version" })?,
                parse::digest(object.digest.as_deref(), "digest")?,
            ),
            balance: Mist(
                object
                    .balance
                    .ok_or(AnswerError::Field { field: "balance" })?,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0x00000000000000000000000000000000000000000000000000000000000000aa";
    const SECOND: &str = "0x00000000000000000000000000000000000000000000000000000000000000bb";

    fn upgraded() -> proto::Object {
        let origin = |module: &str, datatype: &str, package: &str| {
            let mut origin = proto::TypeOrigin::default();
            origin.module_name = Some(module.to_owned());
            origin.datatype_name = Some(datatype.to_owned());
            origin.package_id = Some(package.to_owned());
            origin
        };
        let mut package = proto::Package::default();
        package.type_origins = vec![
            origin(MODULE, "Added", SECOND),
            origin("other", POOL, SECOND),
            origin(MODULE, POOL, FIRST),
        ];
        let mut object = proto::Object::default();
        object.object_id = Some(SECOND.to_owned());
        object.object_type = Some("package".to_owned());
        object.package = Some(package);
        object
    }

    #[test]
    fn an_upgrade_names_the_package_that_its_pool_is_from() {
        let asked: ObjectId = SECOND.parse().unwrap();
        let found = Package::read(upgraded(), &asked).unwrap().unwrap();
        assert_eq!(found.pool_from, Some(FIRST.parse().unwrap()));
        assert_eq!(found.published, None);
        let other: ObjectId = FIRST.parse().unwrap();
        let refused = Package::read(upgraded(), &other);
        assert!(matches!(refused, Err(AnswerError::Unasked)), "{refused:?}");
        let mut bad = upgraded();
        bad.previous_transaction = Some("no digest".to_owned());
        Package::read(bad, &asked).unwrap_err();
    }
}
