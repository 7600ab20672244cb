//! What the operator decides about authentication.

use seal::ElevatedOwners;

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct Policy {
    /// For whom seal tokens are meant.
    pub audiences: Audiences,
    /// Who may hold admin and super.
    pub elevated: ElevatedOwners,
}

/// The audiences that a seal token is good for: those of the API server's flag
/// `api-audiences`. Never empty: then no token would ever be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audiences(Vec<String>);

/// A list of audiences with none on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list of audiences is empty: no seal token would ever be accepted")]
pub struct EmptyAudiences;

impl Audiences {
    /// These audiences; refuses an empty list.
    pub fn new(audiences: impl IntoIterator<Item = String>) -> Result<Self, EmptyAudiences> {
        let audiences: Vec<String> = audiences.into_iter().collect();
        if audiences.is_empty() {
            Err(EmptyAudiences)
        } else {
            Ok(Self(audiences))
        }
    }

    /// Those of `asked` that are ours, each once, in the order asked.
    #[must_use]
    pub fn meet(&self, asked: Vec<String>) -> Vec<String> {
        let mut met: Vec<String> = Vec::new();
        for audience in asked {
            if self.0.contains(&audience) && !met.contains(&audience) {
                met.push(audience);
            }
        }
        met
    }
}

impl Default for Audiences {
    /// What K3s sets for the cluster domain `cluster.local` (`pkg/daemons/control/server.go`).
    fn default() -> Self {
        Self(vec![
            "https://kubernetes.default.svc.cluster.local".to_owned(),
            "k3s".to_owned(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(audiences: &[&str]) -> Vec<String> {
        audiences.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn meets_what_both_name_each_once() {
        let ours = Audiences::default();
        assert_eq!(ours.meet(texts(&["k3s", "other", "k3s"])), ["k3s"]);
        assert_eq!(ours.meet(texts(&["K3S", "k3s ", ""])), Vec::<String>::new());
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert_eq!(Audiences::new([]), Err(EmptyAudiences));
    }
}
