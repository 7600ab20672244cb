//! Asking the API server whether a guard is in force.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use seal::access::EXTENSION_NAMESPACE;

use super::compose::{Composed, PROBED};
use super::guard::Verdict;
use super::live::{LiveError, within};

/// What a probe met. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// The guard refused (or marked) it, in the text that we applied.
    Refused,
    /// The guard refused it in another text than the one that is stored now.
    Older,
    /// Nothing did.
    LetThrough,
    /// Something else refused it, so that nothing is known of the guard.
    RefusedOtherwise,
    /// No answer, or none that tells anything.
    Unanswered,
}

impl Outcome {
    pub(super) const ALL: [Self; 5] = [
        Self::Refused,
        Self::Older,
        Self::LetThrough,
        Self::RefusedOtherwise,
        Self::Unanswered,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Older => "older",
            Self::LetThrough => "let_through",
            Self::RefusedOtherwise => "refused_otherwise",
            Self::Unanswered => "unanswered",
        }
    }
}

/// A dry run of the creation that this guard refuses, and the answer in words.
pub(super) async fn probe(client: &Client, composed: &Composed) -> (Outcome, String) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), EXTENSION_NAMESPACE);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(composed.probe()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let answer = within(maps.create(&dry, &map)).await;
    let outcome = judge(composed, &answer);
    let said = match answer {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    };
    (outcome, said)
}

fn judge(composed: &Composed, answer: &Result<ConfigMap, LiveError>) -> Outcome {
    match (&composed.guard.verdict, answer) {
        (Verdict::Refuse(_), Ok(_)) => Outcome::LetThrough,
        (Verdict::Mend(_), Ok(map)) => {
            let marks = map.metadata.annotations.as_ref();
            if marks.and_then(|marks| marks.get(PROBED)) == Some(&composed.fingerprint) {
                Outcome::Refused
            } else {
                Outcome::LetThrough
            }
        }
        (verdict, Err(LiveError::Refused(status))) => {
            let ours = format!("ValidatingAdmissionPolicy '{}'", composed.guard.name);
            let text = &status.message;
            match verdict {
                Verdict::Refuse(_) if text.contains(&composed.fingerprint) => Outcome::Refused,
                // The API server has not exchanged it yet.
                Verdict::Refuse(_) if text.contains(&ours) => Outcome::Older,
                Verdict::Refuse(_) | Verdict::Mend(_) => Outcome::RefusedOtherwise,
            }
        }
        (_, Err(LiveError::Unanswered(_) | LiveError::TimedOut)) => Outcome::Unanswered,
    }
}
