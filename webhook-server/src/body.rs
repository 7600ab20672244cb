//! Bodies within their limit.

use std::error::Error;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;

use crate::status::KubeStatus;

/// A body's announced length is over the limit.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// Makes sure that no more than `max` bytes of the body will ever be read.
///
/// A body of announced length needs no counting: HTTP frames it by that length.
pub(crate) fn limit(body: Body, max: usize) -> Result<Body, TooLarge> {
    let hint = body.size_hint();
    let max_u64 = u64::try_from(max).unwrap_or(u64::MAX);
    if hint.lower() > max_u64 {
        return Err(TooLarge);
    }
    match hint.upper() {
        Some(upper) if upper <= max_u64 => Ok(body),
        _ => Ok(Body::new(Limited::new(body, max))),
    }
}

/// Reads a whole body that [`limit`] has bounded.
pub(crate) async fn read(body: Body) -> Result<Bytes, KubeStatus> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if is_length_limit(&error) => Err(KubeStatus::new(
            crate::StatusReason::RequestEntityTooLarge,
            "the body is too large",
        )),
        Err(_) => Err(KubeStatus::bad_request("the body broke off")),
    }
}

fn is_length_limit(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn streamed(chunks: usize) -> Body {
        Body::from_stream(stream::iter(
            (0..chunks).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789"))),
        ))
    }

    #[tokio::test]
    async fn refuses_an_announced_length_over_the_limit_without_reading() {
        assert!(limit(Body::from(vec![0; 11]), 10).is_err());
        assert!(limit(Body::from(vec![0; 10]), 10).is_ok());
    }

    #[tokio::test]
    async fn refuses_a_streamed_body_once_it_is_over_the_limit() {
        let read_10 = read(limit(streamed(1), 10).unwrap()).await.unwrap();
        assert_eq!(read_10.len(), 10);
        let refused = read(limit(streamed(2), 10).unwrap()).await.unwrap_err();
        assert_eq!(refused.reason(), crate::StatusReason::RequestEntityTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_bad_request() {
        let broken = Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other("x"))]));
        let refused = read(limit(broken, 10).unwrap()).await.unwrap_err();
        assert_eq!(refused.reason(), crate::StatusReason::BadRequest);
    }
}
