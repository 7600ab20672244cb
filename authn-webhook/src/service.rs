//! The webhook itself: a review in, a review out.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use seal::access::GuardState;
use seal::{ObjectId, Tier};
use sui_ledger::directory::SealDirectory;
use tokio::sync::Semaphore;
use webhook_server::{KubeStatus, ReviewJson};

use crate::answer::{Answer, to_token_review};
use crate::decide::{Holder, Refusal, Verdict, decide};
use crate::gather::{MAX_WAITING, gather};
use crate::home_namespace::{HomeNamespace, HomeNamespaces};
use crate::metrics::{AuthnMetrics, Timed};
use crate::policy::Policy;
use crate::screen::screen;
use crate::throttle::Throttle;
use crate::token_review::{Presented, TokenReview};

/// Where reviews are sent.
pub const PATH: &str = "/authenticate";

/// A review is answered by then, whatever a namespace takes: a look-up on the chain
/// takes at most 1.5 s, and the deadline of a review is 2 s.
const ANSWERED_BY: Duration = Duration::from_millis(1_800);

/// Answers TokenReviews.
#[derive(Debug)]
pub struct Authn<D, H> {
    directory: Arc<D>,
    /// Swapped as a whole, so that a review never waits for a change.
    policy: ArcSwap<Policy>,
    guards: GuardState,
    homes: HomeNamespaces<H>,
    metrics: AuthnMetrics,
    waiting: Semaphore,
    refusals: Throttle,
    outages: Throttle,
    held: Throttle,
}

impl<D: SealDirectory, H: HomeNamespace> Authn<D, H> {
    /// Answers by this directory and policy; makes namespaces with `home`. Nobody is above
    /// viewer before `guards` are in place.
    pub fn new(
        directory: Arc<D>,
        policy: Policy,
        guards: GuardState,
        home: H,
        metrics: AuthnMetrics,
    ) -> Self {
        Self {
            directory,
            policy: ArcSwap::from_pointee(policy),
            guards,
            homes: HomeNamespaces::new(home, metrics.clone()),
            metrics,
            waiting: Semaphore::new(MAX_WAITING),
            refusals: Throttle::new(),
            outages: Throttle::new(),
            held: Throttle::new(),
        }
    }

    /// Answers by this policy from the next decision on.
    pub fn replace_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// Answers one review.
    pub async fn review(&self, request: TokenReview) -> Answer {
        let mut timed = self.metrics.start();
        // The secret ends with this call; from here on there is only its hash.
        let screened = screen(&self.policy.load(), request.spec);
        let (verdict, audiences, seal) = match screened {
            Err(refusal) => (Verdict::Refuse(refusal), Vec::new(), None),
            Ok(screened) => {
                let gathered =
                    gather(&*self.directory, &self.waiting, &self.guards, screened.hash).await;
                let (verdict, seal) = match gathered {
                    Ok(facts) => {
                        let seal = facts.record.as_ref().map(|record| record.seal_id);
                        (decide(&self.policy.load(), facts), seal)
                    }
                    Err(cause) => (Verdict::Undecided(cause), None),
                };
                (verdict, screened.audiences, seal)
            }
        };
        timed.decided(&verdict);
        self.report(&verdict, seal, &timed);
        if let Verdict::Accept(holder) = &verdict {
            self.make_home(holder, &timed).await;
        }
        to_token_review(verdict, audiences)
    }

    async fn make_home(&self, holder: &Holder, timed: &Timed<'_>) {
        let (owner, tier) = (holder.record.owner, holder.tier);
        if tier >= Tier::Developer && !self.homes.is_there(&owner, tier) {
            let patience = ANSWERED_BY.saturating_sub(timed.elapsed());
            self.homes.ensure(owner, tier, patience).await;
        }
    }

    /// The one log line of a review. Ids are public on chain; a credential that is
    /// nobody's is not named at all.
    fn report(&self, verdict: &Verdict, seal: Option<ObjectId>, timed: &Timed<'_>) {
        let seal = seal.as_ref().map(tracing::field::display);
        match verdict {
            Verdict::Accept(holder) if holder.held => {
                if self.held.allows() {
                    tracing::warn!(
                        seal,
                        tier = holder.tier.label(),
                        outcome = "accepted",
                        reason = "held_at_viewer",
                        "the guards inside the API server are not in place yet: seals count as \
                         viewers"
                    );
                }
            }
            Verdict::Accept(holder) => tracing::debug!(
                seal,
                tier = holder.tier.label(),
                outcome = "accepted",
                elapsed_us = u64::try_from(timed.elapsed().as_micros()).unwrap_or(u64::MAX),
                "token review"
            ),
            Verdict::Refuse(refusal @ Refusal::Unusable(_)) => {
                if self.refusals.allows() {
                    tracing::info!(
                        seal,
                        outcome = "refused",
                        reason = refusal.label(),
                        "token review"
                    );
                }
            }
            Verdict::Refuse(refusal) => tracing::debug!(
                outcome = "refused",
                reason = refusal.label(),
                "token review"
            ),
            Verdict::Undecided(cause) => {
                if self.outages.allows() {
                    tracing::warn!(
                        outcome = "undecided",
                        reason = cause.label(),
                        cause = %cause,
                        "token review"
                    );
                }
            }
        }
    }
}

/// The route of TokenReviews.
pub fn router<D, H>(authn: Arc<Authn<D, H>>) -> Router
where
    D: SealDirectory,
    H: HomeNamespace,
{
    Router::new()
        .route(PATH, post(authenticate::<D, H>))
        .with_state(authn)
}

async fn authenticate<D, H>(
    State(authn): State<Arc<Authn<D, H>>>,
    ReviewJson(request): ReviewJson<TokenReview>,
) -> Result<Answer, KubeStatus>
where
    D: SealDirectory,
    H: HomeNamespace,
{
    // As the API server itself answers such a review.
    if matches!(request.spec.token, Presented::Nothing) {
        return Err(KubeStatus::bad_request("spec.token is required"));
    }
    Ok(authn.review(request).await)
}
