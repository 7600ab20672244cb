//! Who is calling?
//!
//! Shape:  `Authorization: Bearer <seal token>`, once. From there it goes as with a TokenReview:
//!         hash, record of a fresh directory, usable or not.
//! Errors: 401 where the token is at fault, 503 where the chain's view is not to be had, and 429
//!         past the seal's limit, which counts every request that names a known seal.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use seal::{Address, CredentialHash, NodeClaim, NodeName, ObjectId, SealRecord, SealToken, Tier};
use sui_ledger::directory::{SealDirectory, Unavailable};
use tokio::sync::Semaphore;

use super::problem::{Problem, ProblemKind};
use super::service::Api;
use super::workers::WorkerRegistry;

/// Look-ups of this API that may wait for the chain at once. Few, since they share the chain with
/// the reviews, and anybody may come here with random tokens; what is cached needs no place.
pub(super) const MAX_WAITING: usize = 64;
/// When to ask again for what the chain can't say now.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// An authenticated holder of a seal.
#[derive(Debug)]
pub(super) struct Caller {
    /// The token that was presented.
    pub(super) token: SealToken,
    /// Its hash.
    pub(super) hash: CredentialHash,
    /// The seal's record.
    pub(super) record: Arc<SealRecord>,
    /// What the stake is worth, as TokenReviews count it.
    pub(super) tier: Tier,
    /// Whether the tier would be higher if the guards inside the API server were in place.
    pub(super) held: bool,
}

/// Where the log line of a call learns whose it was.
#[derive(Debug, Clone, Default)]
pub(super) struct CallerSlot(pub(super) Arc<OnceLock<ObjectId>>);

impl Caller {
    pub(super) fn owner(&self) -> Address {
        self.record.owner
    }
}

impl<D, W> FromRequestParts<Arc<Api<D, W>>> for Caller
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api<D, W>>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers);
        // No handler needs to see it.
        parts.headers.remove(header::AUTHORIZATION);
        let token = token?;
        let hash = token.credential_hash();
        let record = look_up(&api.waiting, api.directory.seal(hash))
            .await?
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::UnknownSeal,
                    "the chain knows no seal of this token",
                )
            })?;
        if let Some(slot) = parts.extensions.get::<CallerSlot>() {
            // Set once for each request, here.
            let _ = slot.0.set(record.seal_id);
        }
        api.limits.take(record.seal_id).map_err(|wait| {
            Problem::new(
                ProblemKind::RateLimited,
                "this seal has used up its requests of this minute",
            )
            .retry_after(wait)
        })?;
        // Read after the record: a look-up may take a while, and time only ends seals.
        let (now, thresholds) = (api.directory.now(), api.directory.thresholds());
        let tier = record.usable(now, &thresholds).map_err(|why| {
            Problem::new(
                ProblemKind::UnusableSeal,
                format!("the seal can't be used: {why}"),
            )
            .because(why.label())
        })?;
        let worth = api.settings().elevated.cap(tier, &record.owner);
        let tier = api.guards.cap(worth);
        Ok(Self {
            token,
            hash,
            record,
            tier,
            held: tier < worth,
        })
    }
}

/// The seal token of a request.
fn bearer(headers: &HeaderMap) -> Result<SealToken, Problem> {
    let refused = |detail| Problem::new(ProblemKind::NoCredential, detail);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => {
            return Err(refused(
                "the header Authorization: Bearer <seal token> is missing",
            ));
        }
        (Some(_), Some(_)) => return Err(refused("there is more than one Authorization header")),
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| SealToken::parse(token.trim_matches(' ')).ok())
        .ok_or_else(|| {
            refused("expected Authorization: Bearer and a seal token of 64 lowercase hex digits")
        })
}

/// Asks the directory: what is known at once is answered at once, the rest takes a place among
/// those that wait for the chain.
pub(super) async fn look_up<T>(
    waiting: &Semaphore,
    asking: impl Future<Output = Result<T, Unavailable>> + Send,
) -> Result<T, Problem> {
    let mut asking = pin!(asking);
    if let Poll::Ready(answer) = futures::poll!(asking.as_mut()) {
        return answer.map_err(unavailable);
    }
    let Ok(_place) = waiting.try_acquire() else {
        return Err(unavailable(Unavailable::Overloaded));
    };
    asking.await.map_err(unavailable)
}

fn unavailable(cause: Unavailable) -> Problem {
    Problem::new(ProblemKind::ChainUnavailable, cause.to_string())
        .because(cause.label())
        .retry_after(ASK_AGAIN)
}

/// The node that a body speaks of, which must be the one that the caller's seal holds on chain.
pub(super) async fn own_node<D: SealDirectory>(
    directory: &D,
    waiting: &Semaphore,
    caller: &Caller,
    node_id: &str,
) -> Result<NodeName, Problem> {
    let other = |detail| Problem::new(ProblemKind::OtherNode, detail);
    let name = match &caller.record.node_id {
        Some(name) if name.as_str() == node_id => name.clone(),
        Some(_) => return Err(other("node_id is not the node that the seal names")),
        None => return Err(other("the seal names no node")),
    };
    let claim = look_up(waiting, directory.claim(&name)).await?;
    let held = claim.is_some_and(|NodeClaim { hash, .. }| hash == caller.hash);
    if held {
        Ok(name)
    } else {
        Err(Problem::new(
            ProblemKind::NameNotHeld,
            "on chain, another seal or none holds the node's name",
        ))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const SEAL: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        bearer(&headers)
            .ok()
            .map(|token| token.reveal().to_string())
    }

    #[test]
    fn one_bearer_token_of_the_right_shape_is_read() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(read(&[&format!("{scheme} {SEAL}")]).as_deref(), Some(SEAL));
        }
        assert_eq!(read(&[&format!("Bearer   {SEAL} ")]).as_deref(), Some(SEAL));
    }

    #[test]
    fn nothing_else_is_a_token() {
        let good = format!("Bearer {SEAL}");
        for values in [
            &[][..],
            &[String::new()],
            &["Bearer".to_owned()],
            &["Bearer ".to_owned()],
            &[SEAL.to_owned()],
            &[format!("Bearer{SEAL}")],
            &[format!("Basic {SEAL}")],
            &[format!("Bearer {}", SEAL.to_uppercase())],
            &[format!("Bearer {SEAL}0")],
            &[format!("Bearer {SEAL} {SEAL}")],
            &[format!("Bearer {SEAL},{SEAL}")],
            &["Bearer xh5g4g.98bigncycpcjpj15".to_owned()],
            &[good.clone(), good.clone()],
        ] {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            assert_eq!(read(&values), None, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(value in proptest::collection::vec(0x20u8..0xff, 0..100)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value);
            let _ = bearer(&headers);
        }
    }
}
