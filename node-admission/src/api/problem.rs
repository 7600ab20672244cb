//! What this API refuses, and how it says so.
//!
//! Shape:  `application/problem+json`, one of a closed set of types, as [`webhook_server::Problem`]
//!         has it.

pub(super) use webhook_server::ProblemBody;
use webhook_server::{StatusReason, problem_kinds};

/// A refusal.
pub(super) type Problem = webhook_server::Problem<ProblemKind>;

problem_kinds! {
    /// What went wrong. A closed set: the `type` of a problem.
    pub(super) enum ProblemKind (of = of, challenge = challenge) {
        /// The body is no JSON object of the right fields.
        MalformedBody = "malformed-body", BAD_REQUEST, "The body can't be read";
        /// A parameter of the query is unknown or out of bounds.
        MalformedQuery = "malformed-query", BAD_REQUEST, "The query can't be read";
        /// No usable `Authorization: Bearer` header.
        NoCredential = "no-credential", UNAUTHORIZED, "A seal token is needed";
        /// The chain knows nothing of the token.
        UnknownSeal = "unknown-seal", UNAUTHORIZED, "The seal is unknown";
        /// The chain knows the seal, and it can't be used; `reason` says why.
        UnusableSeal = "unusable-seal", UNAUTHORIZED, "The seal can't be used";
        /// The token in the body is not the one in the header.
        TokenMismatch = "token-mismatch", FORBIDDEN, "The tokens differ";
        /// The seal names another node, or none.
        OtherNode = "other-node", FORBIDDEN, "The node is not the seal's";
        /// Another seal holds the node's name on chain.
        NameNotHeld = "name-not-held", FORBIDDEN, "The seal does not hold the node's name";
        /// The name is the control plane's.
        NameReserved = "name-reserved", FORBIDDEN, "The name is reserved";
        /// There is nothing at this path.
        NotFound = "not-found", NOT_FOUND, "There is nothing here";
        /// The node was neither registered nor has it joined.
        NotRegistered = "not-registered", NOT_FOUND, "The node is not registered";
        /// The path answers other methods.
        MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not answered here";
        /// A node of this name is there that did not join with a seal of this owner.
        NameTaken = "name-taken", CONFLICT, "The name is taken";
        /// The body is larger than any good one.
        BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
        /// The body does not say that it is plain JSON.
        UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
        /// A field has the right form and a value that can't be; `errors` says which.
        InvalidValue = "invalid-value", UNPROCESSABLE_ENTITY, "A value is not valid";
        /// The seal has used up its requests.
        RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests with this seal";
        /// The server has too much to do.
        Busy = "busy", TOO_MANY_REQUESTS, "Too many requests in flight";
        /// Our fault.
        Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error";
        /// The chain's view is not to be had; `reason` says why. Not a no.
        ChainUnavailable = "chain-unavailable", SERVICE_UNAVAILABLE, "The chain can't be asked now";
        /// The API server does not answer.
        ClusterUnavailable = "cluster-unavailable", SERVICE_UNAVAILABLE, "The cluster can't be asked now";
        /// The deadline of the request passed.
        TimedOut = "timed-out", GATEWAY_TIMEOUT, "The request took too long";
    }
}

/// What the transport refuses.
fn of(reason: StatusReason) -> ProblemKind {
    match reason {
        StatusReason::BadRequest | StatusReason::Conflict => ProblemKind::MalformedBody,
        StatusReason::Invalid => ProblemKind::InvalidValue,
        StatusReason::Unauthorized | StatusReason::Forbidden => ProblemKind::NoCredential,
        StatusReason::NotFound => ProblemKind::NotFound,
        StatusReason::MethodNotAllowed => ProblemKind::MethodNotAllowed,
        StatusReason::RequestEntityTooLarge => ProblemKind::BodyTooLarge,
        StatusReason::UnsupportedMediaType => ProblemKind::UnsupportedMediaType,
        StatusReason::TooManyRequests => ProblemKind::Busy,
        StatusReason::InternalError => ProblemKind::Internal,
        StatusReason::ServiceUnavailable => ProblemKind::ClusterUnavailable,
        StatusReason::Timeout => ProblemKind::TimedOut,
    }
}

/// The header `WWW-Authenticate`.
fn challenge(kind: ProblemKind) -> Option<&'static str> {
    match kind {
        ProblemKind::NoCredential => Some("Bearer realm=\"k3s-daas\""),
        ProblemKind::UnknownSeal | ProblemKind::UnusableSeal => {
            Some("Bearer realm=\"k3s-daas\", error=\"invalid_token\"")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use webhook_server::ProblemType;

    use super::*;

    #[test]
    fn every_problem_has_a_type_of_its_own_and_refuses() {
        let labels: HashSet<_> = ProblemKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
            assert!(!kind.title().is_empty());
        }
    }
}
