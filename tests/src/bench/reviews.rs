//! The bodies that an API server sends for seal `n`.

use bytes::Bytes;
use serde_json::json;

use super::synthetic::{owner, seal_id, token};

/// A TokenReview of the API server proper, with any token.
pub fn token_review(token: &str) -> Bytes {
    let review = json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {},
        "spec": {"token": token, "audiences": ["https://kubernetes.default.svc.cluster.local", "k3s"]},
        "status": {"user": {}},
    });
    Bytes::from(review.to_string())
}

/// A SubjectAccessReview of seal `n` for pods in its own namespace.
pub fn access_review(n: u64) -> Bytes {
    let (token, owner) = (token(n), owner(n));
    let review = json!({
        "kind": "SubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {
            "resourceAttributes": {
                "namespace": seal::identity::home_namespace(&owner),
                "verb": "list", "version": "v1", "resource": "pods",
            },
            "user": seal::identity::user_name(&owner),
            "uid": seal_id(n).to_string(),
            "groups": ["seal:holders", "seal:tier:developer", "system:authenticated"],
            "extra": {
                "k3s-daas.io/seal": [seal_id(n).to_string()],
                "k3s-daas.io/credential-hash": [token.credential_hash().to_string()],
                "k3s-daas.io/tier": ["developer"],
                "k3s-daas.io/namespace": [seal::identity::home_namespace(&owner)],
                "k3s-daas.io/expires-at": ["1900000000000"],
            },
        },
        "status": {"allowed": false},
    });
    Bytes::from(review.to_string())
}
