//! Events that tell an owner what happens to its namespace.
//!
//! Shape:  each is regarding the Namespace and stands in it, so that its owner can read it with
//!         `kubectl get events`. Its name follows from what it tells: told twice, it is one event.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use seal::Tier;

use super::FIELD_MANAGER;
use super::life::Deadlines;
use super::marks::Warned;
use super::metrics::{TenantMetrics, Thing};
use super::operator::rfc3339;
use super::within::within;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The last seal will expire.
    SealEnding(Warned),
    /// No seal of developer or more is left.
    SealEnded(Deadlines),
    /// The workloads are scaled away.
    WorkloadsStopped(Deadlines),
    /// A seal of developer or more is there again.
    SealBack(u64),
    /// The quota goes by another tier.
    QuotaChanged(Option<Tier>, Tier),
}

impl Told {
    const fn reason(&self) -> &'static str {
        match self {
            Self::SealEnding(_) => "SealEnding",
            Self::SealEnded(_) => "SealEnded",
            Self::WorkloadsStopped(_) => "WorkloadsStopped",
            Self::SealBack(..) => "SealBack",
            Self::QuotaChanged(..) => "QuotaChanged",
        }
    }

    const fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::SealEnding(_) | Self::SealEnded(_) | Self::WorkloadsStopped(_)
        )
    }

    /// What follows from the version of the Namespace that was looked at is told once for it,
    /// however often it is looked at before its change has come round.
    fn key(&self, version: &str) -> String {
        match self {
            Self::SealEnding(warned) => format!("ending-{}-{}", warned.expiry.0, warned.times),
            Self::SealEnded(_) => format!("ended-{version}"),
            Self::WorkloadsStopped(deadlines) => format!("stopped-{}", deadlines.ended_at.0),
            Self::SealBack(_) => format!("back-{version}"),
            Self::QuotaChanged(..) => format!("quota-{version}"),
        }
    }

    fn note(&self) -> String {
        match self {
            Self::SealEnding(warned) => format!(
                "The last seal of developer or more expires at {}. Refresh it to keep this \
                 namespace running.",
                rfc3339(warned.expiry)
            ),
            Self::SealEnded(deadlines) => format!(
                "No usable seal of developer or more is left since {}. No new pods start from now \
                 on; workloads are scaled to 0 at {}; the namespace and its volumes are deleted at \
                 {}. A new or renewed seal before that brings all back.",
                rfc3339(deadlines.ended_at),
                rfc3339(deadlines.stops_at),
                rfc3339(deadlines.deletes_at)
            ),
            Self::WorkloadsStopped(deadlines) => format!(
                "Workloads are scaled to 0 and pods deleted; replicas are remembered. The \
                 namespace and its volumes are deleted at {}. A new or renewed seal before that \
                 brings all back but bare pods.",
                rfc3339(deadlines.deletes_at)
            ),
            Self::SealBack(restored) => {
                format!(
                    "A seal of developer or more is usable again. Workloads restored: {restored}."
                )
            }
            Self::QuotaChanged(before, after) => format!(
                "The quota goes by tier {after} now{}. What runs beyond it keeps running; new \
                 objects are refused until use is below it.",
                before.map_or_else(String::new, |before| format!(", before by {before}"))
            ),
        }
    }
}

/// Tells it. A failure is logged and nothing more: no step of a life waits for its event.
pub(super) async fn tell(
    client: &kube::Client,
    identity: &str,
    namespace: &ObjectMeta,
    told: Told,
    metrics: &TenantMetrics,
) {
    let event = event(identity, namespace, &told, Timestamp::now());
    let name = namespace.name.as_deref().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(client.clone(), name);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match within("write an event", events.create(&params, &event)).await {
        Ok(_) => metrics.wrote(Thing::Event),
        // Told before.
        Err(error) if error.is_conflict() => {}
        Err(error) => tracing::warn!(
            namespace = name,
            reason = told.reason(),
            error = &error as &(dyn std::error::Error + 'static),
            "an event was not written"
        ),
    }
}

fn event(identity: &str, namespace: &ObjectMeta, told: &Told, now: Timestamp) -> Event {
    let name = namespace.name.clone().unwrap_or_default();
    let version = namespace.resource_version.as_deref().unwrap_or("0");
    let kind = if told.is_warning() {
        "Warning"
    } else {
        "Normal"
    };
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{}", told.key(version))),
            namespace: Some(name.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Tenancy".to_owned()),
        reason: Some(told.reason().to_owned()),
        note: Some(told.note()),
        type_: Some(kind.to_owned()),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some("k3s-daas.io/tenancy".to_owned()),
        // At most 128 bytes.
        reporting_instance: Some(identity.chars().filter(char::is_ascii).take(128).collect()),
        regarding: Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Namespace".to_owned()),
            name: Some(name.clone()),
            namespace: Some(name),
            uid: namespace.uid.clone(),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use seal::UnixMillis;

    use super::*;

    #[test]
    fn an_end_is_told_with_its_times() {
        let deadlines = Deadlines {
            ended_at: UnixMillis(0),
            stops_at: UnixMillis(600_000),
            deletes_at: UnixMillis(604_800_000),
        };
        let meta = ObjectMeta {
            name: Some("seal-0101010101010101".to_owned()),
            ..ObjectMeta::default()
        };
        let event = event(
            "me",
            &meta,
            &Told::SealEnded(deadlines),
            Timestamp::UNIX_EPOCH,
        );
        let note = event.note.unwrap();
        for time in [
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:10:00Z",
            "1970-01-08T00:00:00Z",
        ] {
            assert!(note.contains(time), "{note}");
        }
        assert_eq!(
            event.metadata.namespace.as_deref(),
            Some("seal-0101010101010101")
        );
        assert_eq!(event.regarding.unwrap().namespace, meta.name);
        assert_eq!(event.type_.as_deref(), Some("Warning"));
    }

    #[test]
    fn the_same_thing_told_twice_is_one_event() {
        let warned = |times| {
            Told::SealEnding(Warned {
                expiry: UnixMillis(5),
                times,
            })
        };
        assert_eq!(warned(1).key("7"), warned(1).key("8"));
        assert_ne!(warned(1).key("7"), warned(2).key("7"));
        assert_eq!(Told::SealBack(1).key("7"), Told::SealBack(2).key("7"));
        assert_ne!(Told::SealBack(1).key("7"), Told::SealBack(1).key("8"));
    }

    #[test]
    fn no_note_is_longer_than_kubernetes_takes() {
        let far = UnixMillis(u64::MAX);
        let deadlines = Deadlines {
            ended_at: far,
            stops_at: far,
            deletes_at: far,
        };
        for told in [
            Told::SealEnding(Warned {
                expiry: far,
                times: 2,
            }),
            Told::SealEnded(deadlines),
            Told::WorkloadsStopped(deadlines),
            Told::SealBack(u64::MAX),
            Told::QuotaChanged(Some(Tier::Developer), Tier::Developer),
        ] {
            assert!(told.note().len() < 1_024);
        }
    }
}
