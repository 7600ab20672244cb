//! One process at a time does what only one may do.
//!
//! Shape:  a Lease in `k3s-daas-system`. Who holds it does the work; the work is dropped at the
//!         first doubt: a failed renewal, or none seen for so long that the lease nearly lapses.
//!         So it has stopped before anybody else begins.
//! Source: `kube-lease-manager` renews the lease but tells a failed renewal late or not at all
//!         (its own channel stays `true` while it backs off): renewals are seen on the wire here.

use std::future::Future;
use std::time::Duration;

use kube::client::Body;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseParams};
use seal::access::EXTENSION_NAMESPACE;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the field managers of the leases' holders begin with.
const FIELD_MANAGER: &str = "k3s-daas-lease";
/// Without renewal for so long, another process begins.
const DURATION_SECONDS: u64 = 15;
/// It is renewed so long before it lapses.
const GRACE_SECONDS: u64 = 5;
/// Work stops so long after the last renewal: 2 s before the lease lapses.
const VALID: Duration = Duration::from_secs(DURATION_SECONDS - 2);
/// A call for the lease may take this long.
const CALL: Duration = Duration::from_secs(2);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Does the work while this process holds the lease `name`, for ever.
///
/// `identity` tells replicas apart. `on_leader` is told whenever this process begins or ceases to
/// lead, also when the whole is dropped.
pub async fn lead<W: Future<Output = ()>>(
    client: &kube::Client,
    name: &str,
    identity: &str,
    on_leader: impl Fn(bool),
    work: impl Fn() -> W,
) {
    let _off = Off(&on_leader);
    loop {
        let (client, renewals) = watched(client.clone());
        match manager(client, name, identity).await {
            Ok(manager) => {
                let lease = Lease {
                    name,
                    manager: &manager,
                    on_leader: &on_leader,
                };
                lease.term(renewals, &work).await;
            }
            Err(error) => tracing::warn!(
                lease = name,
                error = &error as &(dyn std::error::Error + 'static),
                "the lease can't be had yet"
            ),
        }
        on_leader(false);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Not the leader when the whole is dropped.
struct Off<'a, F: Fn(bool)>(&'a F);

impl<F: Fn(bool)> Drop for Off<'_, F> {
    fn drop(&mut self) {
        (self.0)(false);
    }
}

async fn manager(
    client: kube::Client,
    name: &str,
    identity: &str,
) -> Result<LeaseManager, kube_lease_manager::LeaseManagerError> {
    // A field manager is at most 128 bytes of printable text.
    let field_manager: String = format!("{FIELD_MANAGER}-{identity}")
        .chars()
        .filter(char::is_ascii_graphic)
        .take(128)
        .collect();
    let params = LeaseParams::new(identity, DURATION_SECONDS, GRACE_SECONDS);
    LeaseManagerBuilder::new(client, name)
        .with_namespace(EXTENSION_NAMESPACE)
        .with_parameters(params.with_field_manager(field_manager))
        .build()
        .await
}

struct Lease<'a, F> {
    name: &'a str,
    manager: &'a LeaseManager,
    on_leader: &'a F,
}

impl<F: Fn(bool)> Lease<'_, F> {
    /// Waits for the lease, works while it is held, and returns when it is lost or in doubt.
    async fn term<W: Future<Output = ()>>(
        &self,
        renewals: watch::Receiver<Instant>,
        work: &impl Fn() -> W,
    ) {
        loop {
            match self.manager.changed().await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        lease = self.name,
                        error = &error as &(dyn std::error::Error + 'static),
                        "the lease can't be read or taken"
                    );
                    return;
                }
            }
        }
        tracing::info!(lease = self.name, "this process leads");
        (self.on_leader)(true);
        tokio::select! {
            _lost = self.manager.changed() => {}
            () = lapse(renewals, VALID) => {}
            () = work() => {}
        }
        tracing::warn!(lease = self.name, "this process no longer leads");
    }
}

/// Returns when the last renewal is so long ago that the lease nearly lapses.
async fn lapse(mut renewals: watch::Receiver<Instant>, valid: Duration) {
    loop {
        let end = *renewals.borrow_and_update() + valid;
        tokio::select! {
            () = tokio::time::sleep_until(end) => return,
            renewed = renewals.changed() => {
                if renewed.is_err() {
                    return;
                }
            }
        }
    }
}

/// The client with a deadline on each call, and when the last successful write was begun.
fn watched(client: kube::Client) -> (kube::Client, watch::Receiver<Instant>) {
    let (renewed, renewals) = watch::channel(Instant::now());
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, renewed) = (client.clone(), renewed.clone());
        async move {
            let begun = Instant::now();
            let writes = request.method() == http::Method::PATCH;
            let response = tokio::time::timeout(CALL, client.send(request)).await??;
            if writes && response.status().is_success() {
                renewed.send_replace(begun);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(response)
        }
    });
    (kube::Client::new(service, EXTENSION_NAMESPACE), renewals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_renewal_work_ends_before_the_lease_does() {
        assert!(VALID < Duration::from_secs(DURATION_SECONDS));
        assert!(VALID > Duration::from_secs(DURATION_SECONDS - GRACE_SECONDS) + CALL);
        let valid = Duration::from_millis(200);
        let (renewed, renewals) = watch::channel(Instant::now());
        let lapsed = tokio::spawn(lapse(renewals, valid));
        tokio::time::sleep(valid / 2).await;
        let last = Instant::now();
        renewed.send_replace(last);
        lapsed.await.unwrap();
        assert!(last.elapsed() >= valid);
    }
}
