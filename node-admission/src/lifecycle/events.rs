//! Events that tell an operator what happens to its node.
//!
//! Shape:  each is regarding the Node and stands in namespace `default`, where `kubectl describe
//!         node` looks. Its name follows from what it tells: told twice, it is one event.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use seal::{NodeName, UnixMillis};

use super::metrics::{LifeMetrics, Thing};
use super::warning::Warned;
use crate::records::{LIFE_MANAGER, rfc3339};
use crate::within::within;

const NAMESPACE: &str = "default";

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The seal will expire.
    SealEnding(Warned),
    /// Pods are moved away until then.
    Draining {
        /// Why, in one word.
        why: &'static str,
        /// When it is cut.
        until: UnixMillis,
    },
    /// It has no place in the cluster any more.
    Cut {
        /// Why, in one word.
        why: &'static str,
    },
    /// Its seal is usable again.
    SealBack,
}

impl Told {
    const fn reason(&self) -> &'static str {
        match self {
            Self::SealEnding(_) => "SealEnding",
            Self::Draining { .. } => "SealEndedDraining",
            Self::Cut { .. } => "SealEndedCut",
            Self::SealBack => "SealBack",
        }
    }

    /// A record that ended and one that is usable again have other numbers.
    fn key(&self, seq: u64) -> String {
        match self {
            Self::SealEnding(warned) => format!("ending-{}-{}", warned.expiry.0, warned.times),
            Self::Draining { .. } => format!("draining-{seq}"),
            Self::Cut { why } => format!("cut-{seq}-{}", why.replace('_', "-")),
            Self::SealBack => format!("back-{seq}"),
        }
    }

    fn note(&self) -> String {
        let time = |at: UnixMillis| rfc3339(at).unwrap_or_else(|| format!("{} ms", at.0));
        match self {
            Self::SealEnding(warned) => format!(
                "The node's seal expires at {}. Refresh it to keep the node: without it, its pods \
                 are moved away and the node leaves the cluster.",
                time(warned.expiry)
            ),
            Self::Draining { why, until } => format!(
                "The node's seal has ended ({why}). Its pods are moved away; the node is cut off \
                 when none is left, at {} at the latest. A seal that is usable again before that \
                 keeps it.",
                time(*until)
            ),
            Self::Cut { why } => format!(
                "The node's seal has ended ({why}). It is cut off: its Node and its pods are \
                 deleted. A seal that is usable again brings it back."
            ),
            Self::SealBack => "The node's seal is usable again.".to_owned(),
        }
    }
}

/// What an event is about.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) name: NodeName,
    /// The pool's number of the seal's record; 0 where there is none.
    pub(super) seq: u64,
}

/// Tells it. A failure is logged and nothing more: no step of a life waits for its event.
pub(super) async fn tell(
    client: &kube::Client,
    identity: &str,
    about: &About,
    told: Told,
    metrics: &LifeMetrics,
) {
    let event = event(identity, about, &told, Timestamp::now());
    let events: Api<Event> = Api::namespaced(client.clone(), NAMESPACE);
    let params = PostParams {
        field_manager: Some(LIFE_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match within("write an event", events.create(&params, &event)).await {
        Ok(_) => metrics.wrote(Thing::Event),
        // Told before.
        Err(error) if error.is_conflict() => {}
        Err(error) => tracing::warn!(
            node = %about.name,
            reason = told.reason(),
            error = &error as &(dyn std::error::Error + 'static),
            "an event was not written"
        ),
    }
}

fn event(identity: &str, about: &About, told: &Told, now: Timestamp) -> Event {
    let kind = if *told == Told::SealBack {
        "Normal"
    } else {
        "Warning"
    };
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", about.name, told.key(about.seq))),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        action: Some("NodeAdmission".to_owned()),
        reason: Some(told.reason().to_owned()),
        note: Some(told.note()),
        type_: Some(kind.to_owned()),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some("k3s-daas.io/node-admission".to_owned()),
        // At most 128 bytes.
        reporting_instance: Some(identity.chars().filter(char::is_ascii).take(128).collect()),
        regarding: Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(about.name.to_string()),
            // As kubelet does: `kubectl describe node` looks for events of the Node's name and of the
            // uid that it has now, and a Node that is made again has another one.
            uid: Some(about.name.to_string()),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: UnixMillis = UnixMillis(u64::MAX);

    fn about() -> About {
        About {
            name: "worker-001".parse().unwrap(),
            seq: u64::MAX,
        }
    }

    fn all() -> [Told; 4] {
        [
            Told::SealEnding(Warned {
                expiry: FAR,
                times: 2,
            }),
            Told::Draining {
                why: "claimed_by_another_owner",
                until: FAR,
            },
            Told::Cut {
                why: "claimed_by_another_owner",
            },
            Told::SealBack,
        ]
    }

    #[test]
    fn events_are_about_the_node_where_people_look_for_them() {
        for told in all() {
            let event = event("me", &about(), &told, Timestamp::UNIX_EPOCH);
            assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
            let regarding = event.regarding.unwrap();
            assert_eq!(regarding.kind.as_deref(), Some("Node"));
            assert_eq!(regarding.name.as_deref(), Some("worker-001"));
            assert_eq!(regarding.uid.as_deref(), Some("worker-001"));
            assert!(event.note.unwrap().len() < 1_024, "{told:?}");
            // A name of Kubernetes: 253 characters, of which the node's has up to 63.
            assert!(event.metadata.name.unwrap().len() < 180, "{told:?}");
        }
    }

    #[test]
    fn the_same_thing_told_twice_is_one_event() {
        let draining = |until| Told::Draining {
            why: "expired",
            until: UnixMillis(until),
        };
        // Decided again a moment later, for the same record.
        assert_eq!(draining(5).key(7), draining(6).key(7));
        assert_ne!(draining(5).key(7), draining(5).key(8));
        assert_ne!(Told::SealBack.key(7), Told::SealBack.key(8));
    }
}
