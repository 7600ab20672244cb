//! Sets of the verbs that Kubernetes uses for objects.

/// A set of verbs. A verb that is not listed here is in no set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verbs(u8);

impl Verbs {
    pub(super) const NONE: Self = Self(0);
    pub(super) const GET: Self = Self(1);
    const LIST: Self = Self(1 << 1);
    const WATCH: Self = Self(1 << 2);
    pub(super) const CREATE: Self = Self(1 << 3);
    pub(super) const UPDATE: Self = Self(1 << 4);
    pub(super) const PATCH: Self = Self(1 << 5);
    pub(super) const DELETE: Self = Self(1 << 6);
    const DELETE_COLLECTION: Self = Self(1 << 7);
    /// `get`, `list`, `watch`.
    pub(super) const READ: Self = Self::GET.and(Self::LIST).and(Self::WATCH);
    /// All that change something.
    pub(super) const WRITE: Self = Self::CREATE
        .and(Self::UPDATE)
        .and(Self::PATCH)
        .and(Self::DELETE)
        .and(Self::DELETE_COLLECTION);
    pub(super) const ALL: Self = Self::READ.and(Self::WRITE);

    /// Both sets together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set of this one verb, spelled exactly; empty for every other text.
    pub(super) fn of(verb: &str) -> Self {
        match verb {
            "get" => Self::GET,
            "list" => Self::LIST,
            "watch" => Self::WATCH,
            "create" => Self::CREATE,
            "update" => Self::UPDATE,
            "patch" => Self::PATCH,
            "delete" => Self::DELETE,
            "deletecollection" => Self::DELETE_COLLECTION,
            _ => Self::NONE,
        }
    }

    /// True if `verb` is spelled exactly as one of this set.
    pub(super) fn has(self, verb: &str) -> bool {
        self.0 & Self::of(verb).0 != 0
    }
}

/// True for everything that is not exactly a reading verb: unknown verbs count as writes.
pub(super) fn is_write(verb: &str) -> bool {
    !Verbs::READ.has(verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_spellings_are_known() {
        for verb in ["get", "list", "watch"] {
            assert!(Verbs::READ.has(verb) && !is_write(verb));
        }
        for odd in ["", "*", "GET", "get ", "proxy", "use", "head"] {
            assert!(!Verbs::ALL.has(odd), "{odd}");
            assert!(is_write(odd), "{odd}");
        }
    }
}
