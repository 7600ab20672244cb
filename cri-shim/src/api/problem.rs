//! What the worker's API refuses, and how it says so.

use std::time::Duration;

use webhook_server::{StatusReason, problem_kinds};

use super::orders::WorkError;

/// A refusal.
pub(super) type Problem = webhook_server::Problem<ProblemKind>;

/// When to ask again for what can't be had now.
const ASK_AGAIN: Duration = Duration::from_secs(5);

problem_kinds! {
    /// What went wrong. A closed set: the `type` of a problem.
    pub(super) enum ProblemKind (of = of, challenge = challenge) {
        /// The body is no JSON object of the right fields.
        MalformedBody = "malformed-body", BAD_REQUEST, "The body can't be read";
        /// No usable `Authorization: Bearer` header.
        NoCredential = "no-credential", UNAUTHORIZED, "A seal token is needed";
        /// The token is not the machine's own seal's.
        OtherSeal = "other-seal", UNAUTHORIZED, "The token is not this machine's";
        /// The body speaks of another node than this machine's.
        OtherNode = "other-node", FORBIDDEN, "The node is not this machine's";
        /// The wallet is not the address of the worker's key.
        OtherWallet = "other-wallet", FORBIDDEN, "The wallet is not the worker's";
        /// There is nothing at this path.
        NotFound = "not-found", NOT_FOUND, "There is nothing here";
        /// The path answers other methods.
        MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not answered here";
        /// The configuration lacks what the order needs.
        NotSetUp = "not-set-up", CONFLICT, "The worker is not set up for this";
        /// The machine has no seal token.
        NotStaked = "not-staked", CONFLICT, "The machine has no seal";
        /// The machine's seal can't be used; `reason` says why.
        SealEnded = "seal-ended", CONFLICT, "The machine's seal can't be used";
        /// The contract said no; nothing was changed.
        ContractRefused = "contract-refused", CONFLICT, "The contract refused";
        /// The worker's key has not enough coins; nothing was changed.
        NotEnough = "not-enough-coins", CONFLICT, "The worker's key has not enough coins";
        /// The cluster said no.
        ClusterRefused = "cluster-refused", CONFLICT, "The cluster refused";
        /// A file that somebody else wrote stands where one of ours should.
        FileInTheWay = "file-in-the-way", CONFLICT, "A file is in the way";
        /// The body is larger than any good one.
        BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
        /// The body does not say that it is plain JSON.
        UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
        /// A field has the right form and a value that can't be; `errors` says which.
        InvalidValue = "invalid-value", UNPROCESSABLE_ENTITY, "A value is not valid";
        /// The worker has too much to do.
        Busy = "busy", TOO_MANY_REQUESTS, "Too many requests in flight";
        /// Something on this machine is wrong.
        Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error";
        /// What answers is not the cluster that it should be.
        ClusterUntrusted = "cluster-untrusted", BAD_GATEWAY, "The cluster is not the one that it should be";
        /// The machine was not looked at yet.
        NoFigures = "no-figures", SERVICE_UNAVAILABLE, "There are no figures yet";
        /// The chain can't be asked now; nothing was changed.
        ChainUnavailable = "chain-unavailable", SERVICE_UNAVAILABLE, "The chain can't be asked now";
        /// A transaction was sent, and what became of it is not known yet.
        OutcomeUnknown = "outcome-unknown", SERVICE_UNAVAILABLE, "A transaction's outcome is not known yet";
        /// The cluster does not answer.
        ClusterUnavailable = "cluster-unavailable", SERVICE_UNAVAILABLE, "The cluster can't be asked now";
        /// The deadline of the request passed; an order that was begun goes on.
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
        StatusReason::ServiceUnavailable => ProblemKind::ChainUnavailable,
        StatusReason::Timeout => ProblemKind::TimedOut,
    }
}

/// The header `WWW-Authenticate`.
fn challenge(kind: ProblemKind) -> Option<&'static str> {
    match kind {
        ProblemKind::NoCredential => Some("Bearer realm=\"k3s-daas\""),
        ProblemKind::OtherSeal => Some("Bearer realm=\"k3s-daas\", error=\"invalid_token\""),
        _ => None,
    }
}

/// An order's failure as the API tells it.
pub(super) fn refused(error: &WorkError) -> Problem {
    let detail = error.to_string();
    let (kind, again) = match error {
        WorkError::SealEnded { reason, .. } => {
            return Problem::new(ProblemKind::SealEnded, detail).because(reason);
        }
        WorkError::NotSetUp(_) => (ProblemKind::NotSetUp, false),
        WorkError::OtherWallet => (ProblemKind::OtherWallet, false),
        WorkError::NotStaked => (ProblemKind::NotStaked, false),
        WorkError::ContractRefused(_) => (ProblemKind::ContractRefused, false),
        WorkError::NotEnough(_) => (ProblemKind::NotEnough, false),
        WorkError::ChainUnavailable(_) => (ProblemKind::ChainUnavailable, true),
        WorkError::OutcomeUnknown(_) => (ProblemKind::OutcomeUnknown, true),
        WorkError::ClusterRefused(_) => (ProblemKind::ClusterRefused, false),
        WorkError::ClusterUntrusted(_) => (ProblemKind::ClusterUntrusted, false),
        WorkError::ClusterUnavailable(_) => (ProblemKind::ClusterUnavailable, true),
        WorkError::FileInTheWay(_) => (ProblemKind::FileInTheWay, false),
        WorkError::Failed(_) => (ProblemKind::Internal, false),
    };
    let problem = Problem::new(kind, detail);
    if again {
        problem.retry_after(ASK_AGAIN)
    } else {
        problem
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
        }
    }
}
