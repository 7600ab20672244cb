//! `policy explain`: what a tier may do, offline, by the webhook's own decision.

use std::collections::BTreeSet;

use seal::access::{Bound, Decision, NamespaceView, Ownership, Place, Policy, Tenancy, decide};
use seal::{Address, ElevatedOwners, Tier};
use serde::{Deserialize, Serialize};

use crate::review::{InvalidReview, Object, SubjectAccessReviewSpec};

/// Whose answers are asked for.
#[derive(Debug, Clone)]
pub struct ExplainOptions {
    /// The tier to answer for, as it is after the choice of elevated owners.
    pub tier: Tier,
    /// Namespaces of the one who asks.
    pub own_namespaces: BTreeSet<String>,
    /// Namespaces of somebody else. Every other namespace that is not protected has no owner.
    pub owned_namespaces: BTreeSet<String>,
    /// The operator's choices: tenancy, protected namespaces, groups of custom resources.
    pub policy: Policy,
}

impl ExplainOptions {
    /// Options for a tier with nothing else configured.
    #[must_use]
    pub fn new(tier: Tier) -> Self {
        Self {
            tier,
            own_namespaces: BTreeSet::new(),
            owned_namespaces: BTreeSet::new(),
            // The tier is given: nobody is capped here.
            policy: Policy::new(ElevatedOwners::Any),
        }
    }

    /// The same with this tenancy.
    #[must_use]
    pub fn tenancy(mut self, tenancy: Tenancy) -> Self {
        self.policy.tenancy = tenancy;
        self
    }

    /// Refuses a namespace that is said to be both one's own and somebody else's.
    pub fn verify(&self) -> Result<(), ExplainError> {
        match self
            .own_namespaces
            .intersection(&self.owned_namespaces)
            .next()
        {
            Some(name) => Err(ExplainError::BothOwned { name: name.clone() }),
            None => Ok(()),
        }
    }

    fn place(&self, namespace: Option<&str>) -> Place {
        let Some(name) = namespace else {
            return Place::Cluster;
        };
        // Any two addresses will do: only their equality counts.
        let (me, other) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
        let ownership = if self.own_namespaces.contains(name) {
            Ownership::Owned(me)
        } else if self.owned_namespaces.contains(name) {
            Ownership::Owned(other)
        } else {
            Ownership::Unowned
        };
        let view = NamespaceView {
            ownership,
            bound: Bound::No,
        };
        Place::Namespace(self.policy.standing(name, &view, &me))
    }
}

/// The answer to one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExplainAnswer {
    /// What the webhook would answer.
    pub decision: Answer,
    /// Why, for people.
    pub reason: &'static str,
}

/// The three answers as `policy explain` writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Yes.
    Allow,
    /// No, whatever RBAC says.
    Deny,
    /// RBAC decides.
    NoOpinion,
}

impl Answer {
    /// The name in outputs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::NoOpinion => "no-opinion",
        }
    }
}

/// A line that can't be answered. The caller's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// Not a JSON object of the right form.
    #[error("the line is no SubjectAccessReview spec")]
    NotASpec(#[source] serde_json::Error),
    /// A spec that no API server sends.
    #[error("the line is no SubjectAccessReview spec")]
    Invalid(#[source] InvalidReview),
    /// The same namespace as one's own and as somebody else's.
    #[error("namespace {name} can't be both one's own and somebody else's")]
    BothOwned {
        /// The namespace.
        name: String,
    },
}

#[derive(Deserialize)]
struct Whole {
    spec: Object<SubjectAccessReviewSpec>,
}

/// Answers one line: the spec of a SubjectAccessReview, or a whole one.
///
/// The spec's user, groups and extra are taken as valid for the tier of the options.
pub fn explain(line: &str, options: &ExplainOptions) -> Result<ExplainAnswer, ExplainError> {
    options.verify()?;
    let Object(spec) = match serde_json::from_str::<Object<Whole>>(line) {
        Ok(Object(whole)) => whole.spec,
        Err(_) => serde_json::from_str(line).map_err(ExplainError::NotASpec)?,
    };
    let request = spec.attributes().map_err(ExplainError::Invalid)?;
    let place = options.place(request.namespace());
    let decision = decide(&options.policy, options.tier, place, &request);
    Ok(ExplainAnswer {
        decision: match decision {
            Decision::Allow(_) => Answer::Allow,
            Decision::Deny(_) => Answer::Deny,
            Decision::NoOpinion(_) => Answer::NoOpinion,
        },
        reason: decision.text(),
    })
}
