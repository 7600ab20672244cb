//! What can be refused without asking anybody.
//!
//! Other people's tokens arrive here too, whenever the API server's own
//! authenticators reject them. They must cost no look-up and leave no trace.

use seal::CredentialHash;

use crate::decide::Refusal;
use crate::policy::Policy;
use crate::token_review::{Presented, TokenReviewSpec};

/// A credential of the right shape on the right side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screened {
    /// A seal token at the API server.
    User {
        /// Under which the chain would know it.
        hash: CredentialHash,
        /// The audiences that both sides name. Never empty.
        audiences: Vec<String>,
    },
    /// A join credential at the supervisor.
    Node {
        /// Under which the chain would know it.
        hash: CredentialHash,
    },
}

/// Takes the secret out of a review and keeps its hash alone.
pub fn screen(policy: &Policy, spec: TokenReviewSpec) -> Result<Screened, Refusal> {
    // An empty list is what other JSON writers make of no list.
    let asked = spec.audiences.filter(|asked| !asked.is_empty());
    match (spec.token, asked) {
        (Presented::Nothing | Presented::Other, _) => Err(Refusal::NotACredential),
        (Presented::Join(_), Some(_)) => Err(Refusal::JoinCredentialAtApi),
        (Presented::Join(credential), None) => Ok(Screened::Node {
            hash: credential.credential_hash(),
        }),
        (Presented::Seal(_), None) => Err(Refusal::SealTokenAtSupervisor),
        (Presented::Seal(token), Some(asked)) => {
            let audiences = policy.audiences.meet(asked);
            if audiences.is_empty() {
                return Err(Refusal::OtherAudience);
            }
            Ok(Screened::User {
                hash: token.credential_hash(),
                audiences,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use seal::ElevatedOwners;

    use super::*;

    const SEAL: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const JOIN: &str = "xh5g4g.98bigncycpcjpj15";
    const HASH: &str = "a0059ad2a65d3c11ea4140fee3e7f0edd58653c361217eb3c94116f56c3c242d";

    fn screened(token: &str, audiences: Option<&[&str]>) -> Result<Screened, Refusal> {
        let policy = Policy {
            audiences: crate::Audiences::default(),
            elevated: ElevatedOwners::None,
        };
        let spec = TokenReviewSpec {
            token: Presented::classify(token),
            audiences: audiences.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect()),
        };
        screen(&policy, spec)
    }

    #[test]
    fn a_seal_token_for_our_audience_goes_on_by_its_hash() {
        let expected = Screened::User {
            hash: CredentialHash::parse(HASH).unwrap(),
            audiences: vec!["k3s".to_owned()],
        };
        assert_eq!(screened(SEAL, Some(&["other", "k3s"])), Ok(expected));
    }

    #[test]
    fn a_join_credential_at_the_supervisor_goes_on_by_the_same_hash() {
        let expected = Screened::Node {
            hash: CredentialHash::parse(HASH).unwrap(),
        };
        assert_eq!(screened(JOIN, None), Ok(expected.clone()));
        assert_eq!(screened(JOIN, Some(&[])), Ok(expected));
    }

    #[test]
    fn each_credential_is_refused_on_the_other_side() {
        assert_eq!(screened(SEAL, None), Err(Refusal::SealTokenAtSupervisor));
        assert_eq!(
            screened(SEAL, Some(&[])),
            Err(Refusal::SealTokenAtSupervisor)
        );
        assert_eq!(
            screened(SEAL, Some(&["other"])),
            Err(Refusal::OtherAudience)
        );
        assert_eq!(
            screened(JOIN, Some(&["k3s"])),
            Err(Refusal::JoinCredentialAtApi)
        );
        assert_eq!(
            screened(JOIN, Some(&["other"])),
            Err(Refusal::JoinCredentialAtApi)
        );
    }

    #[test]
    fn what_is_nobodys_credential_is_refused_on_both_sides() {
        for token in ["", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", &SEAL.to_uppercase()] {
            for audiences in [None, Some(["k3s"].as_slice()), Some(&["other"])] {
                assert_eq!(screened(token, audiences), Err(Refusal::NotACredential));
            }
        }
    }
}
