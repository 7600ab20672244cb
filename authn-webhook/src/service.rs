//! The webhook itself: a review in, a review out.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use seal::access::GuardState;
use seal::{CredentialHash, ObjectId, Tier};
use sui_ledger::directory::SealDirectory;
use tokio::sync::Semaphore;
use webhook_server::{KubeStatus, ReviewJson};

use crate::answer::{Answer, to_token_review};
use crate::decide::{Holder, Refusal, Verdict, decide, decide_node};
use crate::gather::{MAX_NODES_WAITING, MAX_WAITING, gather, gather_node};
use crate::home_namespace::{HomeNamespace, HomeNamespaces};
use crate::metrics::{AuthnMetrics, Timed};
use crate::node_join::{NodeJoin, NodeJoinError};
use crate::policy::Policy;
use crate::screen::{Screened, screen};
use crate::throttle::Throttle;
use crate::token_review::{Presented, TokenReview};

/// Where reviews are sent.
pub const PATH: &str = "/authenticate";

/// A review is answered by then, whatever a namespace takes: a look-up on the chain
/// takes at most 1.5 s, and the deadline of a review is 2 s.
const ANSWERED_BY: Duration = Duration::from_millis(1_800);

/// Answers TokenReviews.
#[derive(Debug)]
pub struct Authn<D, H, N> {
    directory: Arc<D>,
    /// Swapped as a whole, so that a review never waits for a change.
    policy: ArcSwap<Policy>,
    guards: GuardState,
    homes: HomeNamespaces<H>,
    nodes: N,
    metrics: AuthnMetrics,
    waiting: Semaphore,
    nodes_waiting: Semaphore,
    refusals: Throttle,
    outages: Throttle,
    held: Throttle,
    joins: Throttle,
}

impl<D: SealDirectory, H: HomeNamespace, N: NodeJoin> Authn<D, H, N> {
    /// Answers by this directory and policy; makes namespaces with `home`, Nodes with `nodes`.
    /// Nobody is above viewer, and no machine joins, before `guards` are in place.
    pub fn new(
        directory: Arc<D>,
        policy: Policy,
        guards: GuardState,
        home: H,
        nodes: N,
        metrics: AuthnMetrics,
    ) -> Self {
        Self {
            directory,
            policy: ArcSwap::from_pointee(policy),
            guards,
            homes: HomeNamespaces::new(home, metrics.clone()),
            nodes,
            metrics,
            waiting: Semaphore::new(MAX_WAITING),
            nodes_waiting: Semaphore::new(MAX_NODES_WAITING),
            refusals: Throttle::new(),
            outages: Throttle::new(),
            held: Throttle::new(),
            joins: Throttle::new(),
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
            Ok(Screened::User { hash, audiences }) => {
                let (verdict, seal) = self.judge_user(hash).await;
                (verdict, audiences, seal)
            }
            Ok(Screened::Node { hash }) => {
                // Boxed: users' reviews should not carry its size.
                let (verdict, seal) = Box::pin(self.judge_node(hash, &timed)).await;
                (verdict, Vec::new(), seal)
            }
        };
        timed.decided(&verdict);
        self.report(&verdict, seal, &timed);
        if let Verdict::Accept(holder) = &verdict {
            self.make_home(holder, &timed).await;
        }
        to_token_review(verdict, audiences)
    }

    async fn judge_user(&self, hash: CredentialHash) -> (Verdict, Option<ObjectId>) {
        match gather(&*self.directory, &self.waiting, &self.guards, hash).await {
            Ok(facts) => {
                let seal = facts.record.as_ref().map(|record| record.seal_id);
                (decide(&self.policy.load(), facts), seal)
            }
            Err(cause) => (Verdict::Undecided(cause), None),
        }
    }

    /// A machine is authenticated once its Node is there.
    async fn judge_node(
        &self,
        hash: CredentialHash,
        timed: &Timed<'_>,
    ) -> (Verdict, Option<ObjectId>) {
        let patience = ANSWERED_BY.saturating_sub(timed.elapsed());
        let gathered = gather_node(
            &*self.directory,
            &self.nodes_waiting,
            &self.guards,
            hash,
            patience,
        )
        .await;
        let facts = match gathered {
            Ok(facts) => facts,
            Err(cause) => return (Verdict::Undecided(cause), None),
        };
        let seal = facts.seal.record.as_ref().map(|record| record.seal_id);
        let joiner = match decide_node(facts) {
            Verdict::Join(joiner) => joiner,
            other => return (other, seal),
        };
        let patience = ANSWERED_BY.saturating_sub(timed.elapsed());
        let admitting = self.nodes.admit(&joiner.name, joiner.hash, &joiner.record);
        let error: Option<NodeJoinError> = match tokio::time::timeout(patience, admitting).await {
            Ok(Ok(())) => return (Verdict::Join(joiner), seal),
            Ok(Err(error)) => Some(error),
            Err(_elapsed) => None,
        };
        let refusal = error
            .as_ref()
            .map_or(Refusal::NodeNotMade, NodeJoinError::refusal);
        if self.joins.allows() {
            tracing::warn!(
                node = %joiner.name,
                seal = %joiner.record.seal_id,
                reason = refusal.label(),
                error = error.as_ref().map(|error| error as &(dyn Error + 'static)),
                "a machine does not join"
            );
        }
        (Verdict::Refuse(refusal), seal)
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
            Verdict::Join(joiner) => tracing::debug!(
                seal,
                node = %joiner.name,
                outcome = "accepted",
                reason = "node",
                elapsed_us = u64::try_from(timed.elapsed().as_micros()).unwrap_or(u64::MAX),
                "token review"
            ),
            Verdict::Refuse(
                refusal @ (Refusal::Unusable(_)
                | Refusal::NoNode
                | Refusal::NotTheClaim
                | Refusal::NodesUnguarded),
            ) => {
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
pub fn router<D, H, N>(authn: Arc<Authn<D, H, N>>) -> Router
where
    D: SealDirectory,
    H: HomeNamespace,
    N: NodeJoin,
{
    Router::new()
        .route(PATH, post(authenticate::<D, H, N>))
        .with_state(authn)
}

async fn authenticate<D, H, N>(
    State(authn): State<Arc<Authn<D, H, N>>>,
    ReviewJson(request): ReviewJson<TokenReview>,
) -> Result<Answer, KubeStatus>
where
    D: SealDirectory,
    H: HomeNamespace,
    N: NodeJoin,
{
    // As the API server itself answers such a review.
    if matches!(request.spec.token, Presented::Nothing) {
        return Err(KubeStatus::bad_request("spec.token is required"));
    }
    Ok(authn.review(request).await)
}
