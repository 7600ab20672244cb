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
use seal::identity;
use serde::ser::{Serialize, SerializeMap, Serializer};
use sui_ledger::directory::Unavailable;
use webhook_server::{KubeStatus, StatusReason};

use crate::decide::{Holder, Refusal, Verdict};

/// The review as it is answered.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    api_version: &'static str,
    kind: &'static str,
    metadata: Empty,
    spec: Empty,
    status: Status,
}

#[derive(Debug, serde::Serialize)]
struct Empty {}

#[derive(Debug, serde::Serialize)]
struct Status {
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audiences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'static, str>>,
}

#[derive(Debug, serde::Serialize)]
struct User {
    username: String,
    uid: String,
    groups: [String; 2],
    extra: Extra,
}

#[derive(Debug)]
struct Extra {
    holder: Holder,
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Holder {
            hash, record, tier, ..
        } = &self.holder;
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry(identity::EXTRA_SEAL, &[record.seal_id])?;
        map.serialize_entry(identity::EXTRA_CREDENTIAL_HASH, &[hash])?;
        map.serialize_entry(identity::EXTRA_TIER, &[tier])?;
        map.serialize_entry(
            identity::EXTRA_NAMESPACE,
            &[identity::home_namespace(&record.owner)],
        )?;
        map.serialize_entry(identity::EXTRA_EXPIRES_AT, &[record.expires_at.to_string()])?;
        map.end()
    }
}

/// Writes a verdict as a TokenReview. `audiences` are the met ones.
#[must_use]
pub fn to_token_review(verdict: Verdict, audiences: Vec<String>) -> Answer {
    let status = match verdict {
        Verdict::Accept(holder) => Status {
            authenticated: true,
            user: Some(to_user(holder)),
            audiences,
            error: None,
        },
        Verdict::Refuse(refusal) => refused(refusal_text(refusal).into()),
        Verdict::Undecided(cause) => refused(undecided_text(cause).into()),
    };
    Answer {
        api_version: "authentication.k8s.io/v1",
        kind: "TokenReview",
        metadata: Empty {},
        spec: Empty {},
        status,
    }
}

fn to_user(holder: Holder) -> User {
    User {
        username: identity::user_name(&holder.record.owner),
        uid: holder.record.seal_id.to_string(),
        groups: [
            identity::GROUP_HOLDERS.to_owned(),
            identity::tier_group(holder.tier),
        ],
        extra: Extra { holder },
    }
}

fn refused(error: Cow<'static, str>) -> Status {
    Status {
        authenticated: false,
        user: None,
        audiences: Vec::new(),
        error: Some(error),
    }
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
        Refusal::NodesCannotJoinYet => "nodes can't join yet",
    }
}

fn undecided_text(cause: Unavailable) -> String {
    format!("seals can't be checked now: {cause}")
}

/// A yes has some 900 bytes: written without growing.
const ROOM: usize = 1_024;

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut body = Vec::with_capacity(ROOM);
        if serde_json::to_writer(&mut body, &self).is_err() {
            // Texts and numbers alone: can't happen, and is no yes if it does.
            let message = "the answer can't be written";
            return KubeStatus::new(StatusReason::InternalError, message).into_response();
        }
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use k8s_openapi::api::authentication::v1::TokenReview;
    use seal::{Address, CredentialHash, Mist, ObjectId, SealRecord, SealStatus, Tier, UnixMillis};

    use super::*;

    /// Through Kubernetes' own type, so that the shape is the API's and not ours.
    fn read(answer: &Answer) -> TokenReview {
        serde_json::from_slice(&serde_json::to_vec(answer).unwrap()).unwrap()
    }

    fn holder(tier: Tier) -> Holder {
        let owner: Address = "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f"
            .parse()
            .unwrap();
        Holder {
            hash: CredentialHash::from_bytes([0xab; 32]),
            record: Arc::new(SealRecord {
                seq: 1,
                seal_id: ObjectId::from_bytes([1; 32]),
                owner,
                stake: Mist(2_000_000_000),
                restore_at: Mist(0),
                node_id: None,
                namespace_wish: Some("kube-system".to_owned()),
                issued_at: UnixMillis(0),
                expires_at: UnixMillis(1_790_000_000_123),
                unbonding_ends_at: UnixMillis(0),
                status: SealStatus::Active,
                slashed_total: Mist(0),
                last_slashed_at: UnixMillis(0),
                generation: 0,
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
            serde_json::to_value(&answer).unwrap(),
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
