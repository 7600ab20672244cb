//! What a seal's user claims about itself, read strictly.

use seal::identity::USER_PREFIX;
use seal::{Address, CredentialHash, ObjectId, SealRecord};

use crate::review::{SubjectAccessReviewSpec, Value};
use crate::verdict::Refusal;

/// A seal as the review names it. The record decides whether it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClaimedSeal {
    owner: Address,
    seal_id: ObjectId,
    /// Empty in reviews by aggregated API servers.
    uid: Option<ObjectId>,
    pub(crate) hash: CredentialHash,
}

impl ClaimedSeal {
    /// Reads user, uid and extra; one value in each extra, each in its one written form.
    pub(crate) fn read(spec: &SubjectAccessReviewSpec) -> Result<Self, Refusal> {
        let (seal, hash) = match (&spec.extra.seal, &spec.extra.hash) {
            (Value::One(seal), Value::One(hash)) => (seal, hash),
            (Value::Absent, Value::Absent) => return Err(Refusal::ExtraMissing),
            _ => return Err(Refusal::ExtraMalformed),
        };
        if spec.extra.others_odd {
            return Err(Refusal::ExtraMalformed);
        }
        let owner = spec.user.strip_prefix(USER_PREFIX).and_then(exact_id);
        let uid = match spec.uid.as_str() {
            "" => None,
            uid => Some(exact_id(uid).ok_or(Refusal::OtherUid)?),
        };
        Ok(Self {
            owner: Address::from_bytes(owner.ok_or(Refusal::OtherOwner)?),
            seal_id: ObjectId::from_bytes(exact_id(seal).ok_or(Refusal::ExtraMalformed)?),
            uid: uid.map(ObjectId::from_bytes),
            hash: CredentialHash::from_bytes(exact_hex(hash).ok_or(Refusal::ExtraMalformed)?),
        })
    }

    /// Refuses a claim that the record of its hash does not bear out.
    pub(crate) fn verify(&self, record: &SealRecord) -> Result<(), Refusal> {
        if self.owner != record.owner {
            return Err(Refusal::OtherOwner);
        }
        if self.seal_id != record.seal_id {
            return Err(Refusal::OtherSeal);
        }
        if self.uid.is_some_and(|uid| uid != record.seal_id) {
            return Err(Refusal::OtherUid);
        }
        Ok(())
    }
}

/// `0x` and 64 lowercase hex digits: the one form in which we name ids to Kubernetes.
fn exact_id(text: &str) -> Option<[u8; 32]> {
    exact_hex(text.strip_prefix("0x")?)
}

fn exact_hex(digits: &str) -> Option<[u8; 32]> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let mut bytes = [0; 32];
    (digits.bytes().all(lower) && hex::decode_to_slice(digits, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_written_form() {
        let digits = "0123456789abcdef".repeat(4);
        assert!(exact_id(&format!("0x{digits}")).is_some());
        for bad in [
            digits.clone(),
            format!("0x{}", digits.to_uppercase()),
            format!("0X{digits}"),
            format!("0x{digits}0"),
            format!("0x{}", &digits[1..]),
            format!("0x{digits} "),
            "0x6".to_owned(),
            String::new(),
        ] {
            assert!(exact_id(&bad).is_none(), "{bad}");
        }
    }
}
