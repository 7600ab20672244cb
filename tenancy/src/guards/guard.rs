//! What a guard is, before it becomes an admission policy.

/// One guard: a rule of the API server that tenants meet.
#[derive(Debug, Clone)]
pub struct Guard {
    /// `k3s-daas-<thing>`: the name of policy and binding, and the label in metrics.
    pub name: &'static str,
    /// On what requests.
    pub on: Vec<On>,
    /// Whom it concerns, in words.
    pub whom: &'static str,
    /// Whom it concerns, as a CEL expression over the request.
    pub who: String,
    /// What is refused, in words.
    pub refuses: &'static str,
    /// Which way up it closes, in words.
    pub why: &'static str,
    /// Named expressions that the verdict uses; a later one may use an earlier one.
    pub variables: Vec<(&'static str, String)>,
    /// What becomes of a request.
    pub verdict: Verdict,
}

/// Requests of one API group.
#[derive(Debug, Clone)]
pub struct On {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// Kinds in their plural form, with subresources.
    pub resources: &'static [&'static str],
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT`.
    pub operations: &'static [&'static str],
}

/// What a guard does with a request that concerns it.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Refuses it unless all checks hold.
    Refuse(Vec<Check>),
    /// Changes the object by the JSON patches that this CEL expression gives. Nothing is refused
    /// by it, and nothing depends on it: what it would have changed is refused elsewhere.
    Mend(String),
}

/// A condition that must hold, and what the tenant is told where it does not.
#[derive(Debug, Clone)]
pub struct Check {
    /// A CEL expression that is true for what may pass.
    pub expression: String,
    /// What the tenant is told: what is refused, and what to do instead.
    pub message: String,
}

impl Guard {
    /// Whether tenants above viewer wait for it.
    #[must_use]
    pub fn required(&self) -> bool {
        match self.verdict {
            Verdict::Refuse(_) => true,
            Verdict::Mend(_) => false,
        }
    }
}

impl Check {
    pub(super) fn new(expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            message: message.into(),
        }
    }
}
