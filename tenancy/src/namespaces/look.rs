//! One look at one namespace: what is it, what should it be, and the step between.
//!
//! Order:  guards before anything that starts pods, and the label that tells of a step after all
//!         that belongs to it; but an end is written first, since its time counts from there.
//!         Broken off anywhere, the next look does the same step again.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use seal::UnixMillis;

use super::FIELD_MANAGER;
use super::error::HomeError;
use super::events::{self, Told};
use super::life::{self, Next, Step, Times};
use super::marks::{self, State, Whose};
use super::metrics::Thing;
use super::operator;
use super::owned::{Keeper, Owned};
use super::owner;
use super::patch::{self, Says};
use super::tenants::{Shared, TenantDirectory};
use super::within::within;
use super::workloads;

/// A pass over the workloads left something: it changed meanwhile, or its pods take their time.
const NEXT_PASS: Duration = Duration::from_secs(2);
/// From then on pods of Jobs are not waited for any longer.
const LATE_AFTER: u64 = 60_000;

/// Whoever made a namespace completes it; only what is older was left unfinished.
const BEING_MADE: Duration = Duration::from_millis(1_500);

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// Look again after this.
    Again(Duration),
    /// It has a tenant's name or mark and is no tenant's.
    Foreign,
    /// It is being deleted, or never was a tenant's.
    Gone,
}

/// All that a look needs.
pub(super) struct Look<'a, D> {
    pub(super) shared: &'a Shared<D>,
    pub(super) client: &'a kube::Client,
    pub(super) identity: &'a str,
    pub(super) owned: &'a Owned,
}

impl<D: TenantDirectory> Look<'_, D> {
    /// Looks, and takes the next step.
    pub(super) async fn at(&self, meta: &ObjectMeta) -> Result<Looked, HomeError> {
        let owner = match marks::whose(meta) {
            Whose::Tenants(owner) => owner,
            Whose::Unclear => return Ok(Looked::Foreign),
            Whose::Nobodys => return Ok(Looked::Gone),
        };
        if meta.deletion_timestamp.is_some() {
            return Ok(Looked::Gone);
        }
        let name = meta.name.as_deref().unwrap_or_default();
        if is_being_made(meta, self.shared.directory.now()) {
            return Ok(Looked::Again(BEING_MADE));
        }
        let settings = self.shared.settings.load_full();
        let times = Times {
            grace: settings.grace,
            retention: settings.retention,
            warn_before: settings.warn_before,
        };
        let directory = self.shared.directory.as_ref();
        let standing = owner::owner_standing(directory, &settings.elevated, &owner).await;
        let now = directory.now();
        let next = life::next(&marks::read(meta), &standing, now, &times);
        let objects = self.shared.objects(name, &owner, next.tier, next.pods);
        let keeper = Keeper {
            client: self.client,
            owned: self.owned,
            metrics: &self.shared.metrics,
        };
        match next.step {
            Step::End => {
                // Before the patch: broken off between, it is told twice rather than never.
                self.tell_deadlines(meta, &next, Told::SealEnded).await;
                self.say(meta, Some(State::Ended), &next).await?;
                self.took("ended", name);
                keeper.keep(name, &objects).await?;
            }
            Step::Wait => {
                keeper.keep(name, &objects).await?;
                self.say(meta, None, &next).await?;
            }
            Step::Keep(state) => {
                keeper.keep(name, &objects).await?;
                self.warn(meta, &next).await;
                self.say(meta, Some(state), &next).await?;
            }
            Step::ChangeTier => {
                keeper.keep(name, &objects).await?;
                self.warn(meta, &next).await;
                let before = marks::read(meta).tier;
                let told = Told::QuotaChanged(before, next.tier);
                self.tell(meta, told).await;
                self.say(meta, Some(State::Active), &next).await?;
                self.took("tier", name);
            }
            Step::Activate { back } => {
                keeper.keep(name, &objects).await?;
                if back && !self.restore(meta, name, now).await? {
                    return Ok(Looked::Again(NEXT_PASS));
                }
                self.warn(meta, &next).await;
                self.say(meta, Some(State::Active), &next).await?;
                self.took(if back { "back" } else { "made" }, name);
            }
            Step::Stop => {
                keeper.keep(name, &objects).await?;
                if !self.stop(meta, name, &next, now).await? {
                    return Ok(Looked::Again(NEXT_PASS));
                }
                self.say(meta, Some(State::Stopped), &next).await?;
                self.took("stopped", name);
            }
            Step::Delete => {
                let namespaces: Api<Namespace> = Api::all(self.client.clone());
                match operator::delete(&namespaces, meta).await {
                    Ok(()) => self.shared.metrics.wrote(Thing::Namespace),
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error),
                }
                self.took("deleted", name);
                return Ok(Looked::Gone);
            }
        }
        Ok(Looked::Again(next.look_again))
    }

    fn took(&self, step: &'static str, namespace: &str) {
        self.shared.metrics.step(step);
        tracing::info!(
            namespace,
            step,
            "a step in the life of a tenant's namespace"
        );
    }

    /// True when nothing is left to restore.
    async fn restore(
        &self,
        meta: &ObjectMeta,
        name: &str,
        now: UnixMillis,
    ) -> Result<bool, HomeError> {
        let pass = workloads::restore(self.client, name, now, &self.shared.metrics).await?;
        if pass.again {
            return Ok(false);
        }
        self.tell(meta, Told::SealBack(pass.changed)).await;
        Ok(true)
    }

    /// True when nothing runs any more that was not told to end.
    async fn stop(
        &self,
        meta: &ObjectMeta,
        name: &str,
        next: &Next,
        now: UnixMillis,
    ) -> Result<bool, HomeError> {
        let stops_at = next.deadlines.map_or(now, |deadlines| deadlines.stops_at);
        let late = now.0 >= stops_at.0.saturating_add(LATE_AFTER);
        let pass = workloads::stop(self.client, name, late, &self.shared.metrics).await?;
        if pass.again {
            return Ok(false);
        }
        self.tell_deadlines(meta, next, Told::WorkloadsStopped)
            .await;
        Ok(true)
    }

    async fn warn(&self, meta: &ObjectMeta, next: &Next) {
        if let Some(warned) = next.warn {
            self.tell(meta, Told::SealEnding(warned)).await;
        }
    }

    async fn tell_deadlines(
        &self,
        meta: &ObjectMeta,
        next: &Next,
        told: impl Fn(life::Deadlines) -> Told,
    ) {
        if let Some(deadlines) = next.deadlines {
            self.tell(meta, told(deadlines)).await;
        }
    }

    async fn tell(&self, meta: &ObjectMeta, told: Told) {
        events::tell(self.client, self.identity, meta, told, &self.shared.metrics).await;
    }

    /// Writes on the Namespace what it does not say yet.
    async fn say(
        &self,
        meta: &ObjectMeta,
        state: Option<State>,
        next: &Next,
    ) -> Result<(), HomeError> {
        let says = Says {
            state,
            tier: next.tier,
            deadlines: next.deadlines,
            warned: next.warn,
        };
        let Some(patch) = patch::patch(meta, &says) else {
            return Ok(());
        };
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let name = meta.name.as_deref().unwrap_or_default();
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        within("mark a namespace", namespaces.patch(name, &params, &patch)).await?;
        self.shared.metrics.wrote(Thing::Namespace);
        Ok(())
    }
}

/// Without a state, and made a moment ago. A time of making that is yet to come counts for nothing.
fn is_being_made(meta: &ObjectMeta, now: UnixMillis) -> bool {
    let made = meta.creation_timestamp.as_ref();
    let made = made.and_then(|made| u64::try_from(made.0.as_millisecond()).ok());
    let age = made.and_then(|made| now.0.checked_sub(made));
    marks::read(meta).state.is_none()
        && age.is_some_and(|age| Duration::from_millis(age) < BEING_MADE)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use seal::Address;

    use super::*;
    use crate::namespaces::objects;

    #[test]
    fn a_namespace_is_left_to_its_maker_for_a_moment_and_no_longer() {
        let owner = Address::from_bytes([1; 32]);
        let mut meta = objects::namespace("seal-0101010101010101", &owner).metadata;
        let at = |meta: &ObjectMeta, now| is_being_made(meta, UnixMillis(now));
        assert!(!at(&meta, 0), "nobody knows when it was made");
        meta.creation_timestamp = Some(Time(Timestamp::from_second(10).unwrap()));
        assert!(at(&meta, 10_000) && at(&meta, 11_499));
        assert!(!at(&meta, 11_500));
        assert!(!at(&meta, 9_999), "made in the future");
        let state = ("k3s-daas.io/state".to_owned(), "active".to_owned());
        meta.labels.as_mut().unwrap().extend([state]);
        assert!(!at(&meta, 10_000));
    }
}
