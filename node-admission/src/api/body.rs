//! Bodies, read strictly.
//!
//! Shape:  one JSON object with exactly the known fields, each once.
//! Errors: 415, 413 and 400 as problems, none of which quotes the body.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
pub(super) use webhook_server::Object;

use super::problem::Problem;

/// A whole body.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let read = webhook_server::read_strict(request).await;
        read.map(Self).map_err(Problem::from)
    }
}

/// Parses a body.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    webhook_server::parse_strict(body).map_err(Problem::from)
}
