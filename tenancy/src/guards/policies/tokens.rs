//! What a tier admin borrows from others' namespaces lasts an hour.
//!
//! The tier may make tokens of service accounts wherever nothing is protected. A token of somebody
//! else's account is authorized by *their* standing: made for a year, it outlives its maker's seal.

use seal::identity::{NAMESPACE_PREFIX, USER_PREFIX};

use super::super::cel::{below_super, text};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, UPDATE};

/// What Kubernetes gives where nothing is asked for.
const LONGEST_SECONDS: u32 = 3600;

pub(super) fn guard() -> Guard {
    // `seal:0x<64 hex digits>` owns `seal-<the first 16>` and `seal-<the first 16>-<suffix>`.
    let head = USER_PREFIX.len() + "0x".len();
    Guard {
        name: "k3s-daas-tokens",
        on: vec![
            On {
                group: "",
                resources: &["serviceaccounts/token"],
                operations: &[CREATE],
            },
            On {
                group: "",
                resources: &["secrets"],
                operations: &[CREATE, UPDATE],
            },
        ],
        whom: "seal users below super, outside their own namespaces",
        who: format!(
            "({}) && (request.resource.resource != \"secrets\" \
             || object.?type.orValue(\"\") == \"kubernetes.io/service-account-token\")",
            below_super()
        ),
        refuses: "service account tokens for longer than an hour; Secrets that hold a token for ever",
        why: "the tier admin may act as service accounts of others; what it takes must not outlive \
              its seal",
        variables: vec![
            ("place", "request.?namespace.orValue(\"\")".to_owned()),
            (
                "home",
                format!(
                    "request.userInfo.username.startsWith({}) \
                     && request.userInfo.username.size() >= {end} \
                     ? {} + request.userInfo.username.substring({head}, {end}) : \"\"",
                    text(&format!("{USER_PREFIX}0x")),
                    text(NAMESPACE_PREFIX),
                    end = head + 16,
                ),
            ),
            (
                "own",
                "variables.home != \"\" && (variables.place == variables.home \
                 || variables.place.startsWith(variables.home + \"-\"))"
                    .to_owned(),
            ),
        ],
        verdict: Verdict::Refuse(vec![
            Check::new(
                "variables.own || request.resource.resource != \"secrets\"",
                "a Secret with a token that never ends can only be made in your own namespaces; \
                 use kubectl create token",
            ),
            Check::new(
                format!(
                    "variables.own || request.resource.resource == \"secrets\" \
                     || object.?spec.?expirationSeconds.orValue(0) <= {LONGEST_SECONDS}"
                ),
                "tokens of service accounts outside your own namespaces last an hour at most; leave \
                 the duration out",
            ),
        ]),
    }
}
