//! `GET /api/v1/metrics`: what the machine uses, for whoever has its seal token.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use http::{HeaderMap, header};
use seal::SealToken;

use super::problem::{Problem, ProblemKind};
use super::service::Open;
use crate::stats::Summary;

/// The machine's figures; those that could not be read are absent.
pub(super) async fn usage(
    State(open): State<Arc<Open>>,
    _: Owner,
) -> Result<Json<Summary>, Problem> {
    let figures = (open.figures)();
    figures.map(Json).ok_or_else(|| {
        Problem::new(ProblemKind::NoFigures, "the machine was not looked at yet")
            .retry_after(std::time::Duration::from_secs(1))
    })
}

/// Somebody who has the machine's seal token.
pub(super) struct Owner;

impl FromRequestParts<Arc<Open>> for Owner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, open: &Arc<Open>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers);
        // No handler needs to see it.
        parts.headers.remove(header::AUTHORIZATION);
        let shown = token?.credential_hash();
        // Without a token of its own the machine knows nobody.
        let own = (open.own)().is_some_and(|own| own.ct_eq(&shown));
        if own {
            Ok(Self)
        } else {
            let detail = "the token is not that of this machine's seal";
            Err(Problem::new(ProblemKind::OtherSeal, detail))
        }
    }
}

/// The seal token of a request.
fn bearer(headers: &HeaderMap) -> Result<SealToken, Problem> {
    let refused = |detail| Problem::new(ProblemKind::NoCredential, detail);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused(
            "expected the header Authorization: Bearer <seal token>, once",
        ));
    };
    let value = value.to_str().ok();
    value
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| SealToken::parse(token.trim_matches(' ')).ok())
        .ok_or_else(|| {
            refused("expected Authorization: Bearer and a seal token of 64 lowercase hex digits")
        })
}
