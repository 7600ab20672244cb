//! What is known of each guard.

/// What is known of all guards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardStatus {
    /// Whether tenants are let in above viewer.
    pub in_place: bool,
    /// Each guard. Empty before the keeper's first round.
    pub guards: Vec<GuardReport>,
}

/// What is known of one guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardReport {
    /// Its name.
    pub name: &'static str,
    /// What it refuses.
    pub refuses: &'static str,
    /// Whether tenants above viewer wait for it.
    pub required: bool,
    /// Whether it is in force.
    pub standing: Standing,
    /// What the API server said, where it is not; else empty.
    pub said: String,
}

/// Whether a guard is in force, or why not. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Its probe was refused, by it.
    InForce,
    /// It was not looked at yet.
    Unknown,
    /// Policy or binding was missing or changed and could not be repaired yet.
    NotApplied,
    /// It was repaired a moment ago; the API server takes up to two seconds to notice.
    Settling,
    /// The API server still goes by its text of before a change of the settings.
    Renewing,
    /// Its probe was let through: the API server does not enforce it (yet).
    LetThrough,
    /// Its probe was refused by something else: the server's rights, or a missing namespace.
    RefusedOtherwise,
    /// The API server did not answer its probe; what was known stays.
    Unanswered,
    /// The API server does not know such policies; it carries on without.
    NotServed,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::InForce,
        Self::Unknown,
        Self::NotApplied,
        Self::Settling,
        Self::Renewing,
        Self::LetThrough,
        Self::RefusedOtherwise,
        Self::Unanswered,
        Self::NotServed,
    ];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Unknown => "unknown",
            Self::NotApplied => "not_applied",
            Self::Settling => "settling",
            Self::Renewing => "renewing",
            Self::LetThrough => "let_through",
            Self::RefusedOtherwise => "refused_otherwise",
            Self::Unanswered => "unanswered",
            Self::NotServed => "not_served",
        }
    }
}
