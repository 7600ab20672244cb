//! The TokenReview that goes back.
//!
//! Shape:  `authentication.k8s.io/v1`, always HTTP 200. A yes has `user` and the met
//!         `audiences`; a no has a non-empty `error`, because the API server caches
//!         refusals without one as long as successes, and a freshly staked token must
//!         work at once. The request's `spec` is never sent back.
//! Source: Kubernetes API reference, TokenReview v1; `cached_token_authenticator.go`.
//!
//! What `error` says to the API server's log: everything about a seal has one text,
//! so that neither a log nor a client learns whether a hash is known, slashed or
//! expired. Mistakes in the use of a credential are named, since their shape gives
//! them away. An unavailable chain is named, since the operator must act.

use std::borrow::Cow;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use seal::NodeName;
use seal::identity::{self, HomeName};
use sui_ledger::directory::Unavailable;
use webhook_server::{KubeStatus, StatusReason};

use crate::decide::{Holder, Refusal, Verdict};

/// The review as it is answered.
#[derive(Debug)]
pub struct Answer(Said);

#[derive(Debug)]
enum Said {
    Yes {
        holder: Holder,
        /// The met ones.
        audiences: Vec<String>,
    },
    Node {
        name: NodeName,
    },
    No {
        error: Cow<'static, str>,
    },
}

/// Writes a verdict as a TokenReview. `audiences` are the met ones.
#[must_use]
pub fn to_token_review(verdict: Verdict, audiences: Vec<String>) -> Answer {
    let no = |error| Said::No { error };
    Answer(match verdict {
        Verdict::Accept(holder) => Said::Yes { holder, audiences },
        Verdict::Join(joiner) => Said::Node { name: joiner.name },
        Verdict::Refuse(refusal) => no(refusal_text(refusal).into()),
        Verdict::Undecided(cause) => no(undecided_text(cause).into()),
    })
}

/// What a refusal says outside.
#[must_use]
pub const fn refusal_text(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotACredential | Refusal::Unknown | Refusal::Unusable(_) => {
            "the credential is not accepted"
        }
        Refusal::OtherAudience => "seal tokens are not meant for these audiences",
        Refusal::SealTokenAtSupervisor => {
            "a seal token is not accepted here: nodes join with the join credential derived from it"
        }
        Refusal::JoinCredentialAtApi => {
            "a join credential is not accepted here: the API takes the seal token"
        }
        Refusal::NoNode => {
            "the seal of this join credential names no machine: stake for one with --node-id"
        }
        Refusal::NotTheClaim => "another seal holds the name of the machine that this one names",
        Refusal::NodesUnguarded => {
            "the guards inside the API server are not in place yet: until then no machine joins"
        }
        Refusal::NodeReserved => "the name of the machine is the control plane's",
        Refusal::NodeTaken => {
            "a node of this name is there that did not join with a seal of this owner"
        }
        Refusal::NodeNotMade => "the machine's Node could not be made yet: the agent tries again",
    }
}

fn undecided_text(cause: Unavailable) -> String {
    format!("seals can't be checked now: {cause}")
}

/// A yes has some 900 bytes: written without growing.
const ROOM: usize = 1_024;

const HEAD: &str = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","metadata":{},"spec":{},"status":{"#;

impl Answer {
    /// The body.
    ///
    /// Written piece by piece: every review ends here, and but for the audiences and a
    /// no's text there are only digits and names of ours, none of which needs escaping.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut body = Vec::with_capacity(ROOM);
        body.extend_from_slice(HEAD.as_bytes());
        match &self.0 {
            Said::No { error } => {
                body.extend_from_slice(br#""authenticated":false,"error":"#);
                serde_json::to_writer(&mut body, error)?;
            }
            // As K3s takes it: no audiences were asked for, and no uid names a machine.
            Said::Node { name } => {
                for piece in [
                    r#""authenticated":true,"user":{"username":""#,
                    identity::NODE_USER_PREFIX,
                    name.as_str(),
                    r#"","groups":[""#,
                    identity::GROUP_NODES,
                    r#""]}"#,
                ] {
                    body.extend_from_slice(piece.as_bytes());
                }
            }
            Said::Yes { holder, audiences } => {
                body.extend_from_slice(br#""authenticated":true,"audiences":"#);
                serde_json::to_writer(&mut body, audiences)?;
                body.extend_from_slice(br#","user":"#);
                write_user(&mut body, holder);
            }
        }
        body.extend_from_slice(b"}}");
        Ok(body)
    }
}

/// One extra: a list of one.
macro_rules! extra {
    ($body:expr, $key:expr, $($value:expr),+) => {
        $body.extend_from_slice($key.as_bytes());
        $body.extend_from_slice(br#"":[""#);
        $($body.extend_from_slice($value);)+
        $body.extend_from_slice(br#""]"#);
    };
}

fn write_user(body: &mut Vec<u8>, holder: &Holder) {
    let Holder {
        hash, record, tier, ..
    } = holder;
    let tier = tier.label().as_bytes();
    let owner = hex_digits(record.owner.as_bytes());
    let seal = hex_digits(record.seal_id.as_bytes());
    let expires_at = record.expires_at.to_string();

    body.extend_from_slice(br#"{"username":""#);
    body.extend_from_slice(identity::USER_PREFIX.as_bytes());
    body.extend_from_slice(b"0x");
    body.extend_from_slice(&owner);
    body.extend_from_slice(br#"","uid":"0x"#);
    body.extend_from_slice(&seal);
    body.extend_from_slice(br#"","groups":[""#);
    body.extend_from_slice(identity::GROUP_HOLDERS.as_bytes());
    body.extend_from_slice(br#"",""#);
    body.extend_from_slice(identity::GROUP_TIER_PREFIX.as_bytes());
    body.extend_from_slice(tier);
    body.extend_from_slice(br#""],"extra":{""#);
    extra!(body, identity::EXTRA_SEAL, b"0x", &seal);
    body.extend_from_slice(br#",""#);
    let hash = hex_digits(hash.as_bytes());
    extra!(body, identity::EXTRA_CREDENTIAL_HASH, &hash);
    body.extend_from_slice(br#",""#);
    extra!(body, identity::EXTRA_TIER, tier);
    body.extend_from_slice(br#",""#);
    let home = HomeName::of(&record.owner);
    extra!(body, identity::EXTRA_NAMESPACE, home.as_str().as_bytes());
    body.extend_from_slice(br#",""#);
    extra!(body, identity::EXTRA_EXPIRES_AT, expires_at.as_bytes());
    body.extend_from_slice(b"}}");
}

/// Lowercase hex digits, without the `0x`.
fn hex_digits(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |four: u8| DIGITS.get(usize::from(four)).copied().unwrap_or_default();
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    digits
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Ok(body) = self.to_json() else {
            // Texts and numbers alone: can't happen, and is no yes if it does.
            let message = "the answer can't be written";
            return KubeStatus::new(StatusReason::InternalError, message).into_response();
        };
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use k8s_openapi::api::authentication::v1::TokenReview;
    use seal::testing::active_record;
    use seal::{Address, CredentialHash, SealRecord, Tier, UnixMillis};

    use super::*;

    /// Through Kubernetes' own type, so that the shape is the API's and not ours.
    fn read(answer: &Answer) -> TokenReview {
        serde_json::from_slice(&answer.to_json().unwrap()).unwrap()
    }

    fn holder(tier: Tier) -> Holder {
        let owner: Address = "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f"
            .parse()
            .unwrap();
        Holder {
            hash: CredentialHash::from_bytes([0xab; 32]),
            record: Arc::new(SealRecord {
                owner,
                namespace_wish: Some("kube-system".to_owned()),
                expires_at: UnixMillis(1_790_000_000_123),
                ..active_record()
            }),
            tier,
            held: false,
        }
    }

    #[test]
    fn a_yes_names_the_user_as_published() {
        let answer = to_token_review(
            Verdict::Accept(holder(Tier::Developer)),
            vec!["k3s".to_owned()],
        );
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&answer.to_json().unwrap()).unwrap(),
            serde_json::json!({
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "metadata": {},
                "spec": {},
                "status": {
                    "authenticated": true,
                    "audiences": ["k3s"],
                    "user": {
                        "username": "seal:0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f",
                        "uid": format!("0x{}", "01".repeat(32)),
                        "groups": ["seal:holders", "seal:tier:developer"],
                        "extra": {
                            "k3s-daas.io/seal": [format!("0x{}", "01".repeat(32))],
                            "k3s-daas.io/credential-hash": ["ab".repeat(32)],
                            "k3s-daas.io/tier": ["developer"],
                            "k3s-daas.io/namespace": ["seal-29dfbf688abce7ab"],
                            "k3s-daas.io/expires-at": ["1790000000123"],
                        },
                    },
                },
            })
        );
        let read = read(&answer);
        let status = read.status.unwrap();
        assert_eq!(status.authenticated, Some(true));
        assert_eq!(status.user.unwrap().extra.unwrap().len(), 5);
    }

    #[test]
    fn a_machine_is_answered_as_its_node_and_as_nothing_else() {
        let Holder { hash, record, .. } = holder(Tier::Super);
        let joiner = crate::decide::Joiner {
            hash,
            name: "worker-001".parse().unwrap(),
            record,
        };
        let answer = to_token_review(Verdict::Join(joiner), Vec::new());
        let _ = read(&answer);
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&answer.to_json().unwrap()).unwrap()["status"],
            serde_json::json!({
                "authenticated": true,
                "user": {"username": "system:node:worker-001", "groups": ["system:nodes"]},
            })
        );
    }

    #[test]
    fn audiences_are_written_as_json_whatever_they_hold() {
        let odd = "a\"b\\c\n".to_owned();
        let answer = to_token_review(Verdict::Accept(holder(Tier::Super)), vec![odd.clone()]);
        assert_eq!(read(&answer).status.unwrap().audiences, Some(vec![odd]));
        assert!(
            answer.to_json().unwrap().capacity() <= ROOM,
            "it did not grow"
        );
    }

    #[test]
    fn every_no_has_an_error_and_nothing_of_a_user() {
        let refusals = Refusal::ALL.into_iter().map(Verdict::Refuse);
        let causes = Unavailable::ALL.into_iter().map(Verdict::Undecided);
        for verdict in refusals.chain(causes) {
            let status = read(&to_token_review(verdict.clone(), vec!["k3s".to_owned()]))
                .status
                .unwrap();
            assert_eq!(status.authenticated, Some(false));
            assert!(!status.error.unwrap().is_empty(), "{verdict:?}");
            assert!(
                status.user.is_none() && status.audiences.is_none(),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn nothing_about_a_seal_can_be_told_from_the_text() {
        let texts: BTreeSet<_> = Refusal::ALL
            .into_iter()
            .filter(|refusal| {
                matches!(
                    refusal,
                    Refusal::Unknown | Refusal::Unusable(_) | Refusal::NotACredential
                )
            })
            .map(refusal_text)
            .collect();
        assert_eq!(texts.len(), 1);
    }

    #[test]
    fn an_old_view_of_the_chain_says_so() {
        let text = undecided_text(Unavailable::Stale { for_ms: 17_340 });
        assert!(text.contains("stale") && text.contains("17.3 s"), "{text}");
    }
}
