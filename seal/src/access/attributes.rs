//! What Kubernetes says of one request.
//!
//! Source: authorization.k8s.io/v1, `ResourceAttributes` and `NonResourceAttributes`.
//!         The version is left out: nothing is decided by it (`kubectl auth can-i`
//!         sends `*`), and so are the selectors, which only narrow a request.

/// One request, borrowed from the review it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes<'a> {
    /// A request for an object or a list of them.
    Resource(ResourceAttributes<'a>),
    /// A request for a path that is no object, such as `/version`.
    Path {
        /// The HTTP method in lower case.
        verb: &'a str,
        /// The path without its query.
        path: &'a str,
    },
}

/// A request for an object or a list of them; absent parts are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceAttributes<'a> {
    /// `get`, `list`, `create` and so on.
    pub verb: &'a str,
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The kind in its plural form.
    pub resource: &'a str,
    /// Such as `log` or `status`.
    pub subresource: &'a str,
    /// The namespace; empty for cluster-scoped kinds and for "all namespaces".
    pub namespace: &'a str,
    /// The object's name; empty for lists and most creations.
    pub name: &'a str,
}

impl<'a> Attributes<'a> {
    /// The namespace that this request is about, if any: the one to look the owner up for.
    #[must_use]
    pub fn namespace(&self) -> Option<&'a str> {
        match self {
            Self::Resource(request) => request.subject_namespace(),
            Self::Path { .. } => None,
        }
    }
}

impl<'a> ResourceAttributes<'a> {
    /// True for requests for Namespace objects and their subresources.
    #[must_use]
    pub fn is_namespace_object(&self) -> bool {
        self.group.is_empty() && self.resource == "namespaces"
    }

    /// Kubernetes repeats the name of a Namespace object in `namespace`; other
    /// callers may not.
    fn subject_namespace(&self) -> Option<&'a str> {
        let named = if self.namespace.is_empty() && self.is_namespace_object() {
            self.name
        } else {
            self.namespace
        };
        // A list or watch that names one Namespace by field selector stays a list.
        let lists = self.namespace.is_empty() && matches!(self.verb, "list" | "watch");
        (!named.is_empty() && !lists).then_some(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verb: &str, resource: &str, namespace: &str, name: &str) -> Option<String> {
        Attributes::Resource(ResourceAttributes {
            verb,
            resource,
            namespace,
            name,
            ..ResourceAttributes::default()
        })
        .namespace()
        .map(str::to_owned)
    }

    #[test]
    fn a_namespace_object_is_about_itself() {
        assert_eq!(of("get", "namespaces", "a", "a"), Some("a".to_owned()));
        assert_eq!(of("delete", "namespaces", "", "a"), Some("a".to_owned()));
        assert_eq!(of("create", "namespaces", "", ""), None);
        assert_eq!(of("watch", "namespaces", "", "a"), None);
        assert_eq!(of("get", "nodes", "", "a"), None);
        assert_eq!(of("get", "pods", "a", "p"), Some("a".to_owned()));
    }
}
