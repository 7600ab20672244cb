//! What has to be written on a Namespace so that it says what it should.
//!
//! Shape:  a JSON merge patch of the differences alone; none where there are none. It names the
//!         version that was looked at: who changed it meanwhile is not overwritten.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use seal::{Tier, identity};
use serde_json::{Map, Value, json};

use super::life::Deadlines;
use super::marks::{self, ANNOTATION_DELETES_AT, ANNOTATION_STOPS_AT, ANNOTATION_WARNED};
use super::marks::{State, Warned};
use super::operator::rfc3339;

/// What a Namespace should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Says {
    /// None: it is not complete yet.
    pub(super) state: Option<State>,
    pub(super) tier: Tier,
    pub(super) deadlines: Option<Deadlines>,
    /// None: what it says now.
    pub(super) warned: Option<Warned>,
}

/// What has to be written, if anything.
pub(super) fn patch(meta: &ObjectMeta, says: &Says) -> Option<Value> {
    let mut labels = Map::new();
    let mut annotations = Map::new();
    let mut label = |key: &str, value: &str| {
        if marks::label(meta, key) != Some(value) {
            labels.insert(key.to_owned(), value.into());
        }
    };
    for (key, value) in marks::guarding_labels() {
        label(&key, &value);
    }
    if let Some(state) = says.state {
        label(identity::LABEL_STATE, state.label());
        label(identity::LABEL_TIER, says.tier.label());
    }
    let mut annotate = |key: &str, value: Option<String>| {
        if marks::annotation(meta, key) != value.as_deref() {
            annotations.insert(key.to_owned(), value.map_or(Value::Null, Value::String));
        }
    };
    match (says.state, says.deadlines) {
        (Some(State::Active), _) => {
            for key in [
                identity::ANNOTATION_ENDED_AT,
                ANNOTATION_STOPS_AT,
                ANNOTATION_DELETES_AT,
            ] {
                annotate(key, None);
            }
            if let Some(warned) = says.warned {
                annotate(ANNOTATION_WARNED, Some(warned.text()));
            }
        }
        (Some(State::Ended | State::Stopped), Some(deadlines)) => {
            let ended_at = deadlines.ended_at.0.to_string();
            annotate(identity::ANNOTATION_ENDED_AT, Some(ended_at));
            annotate(ANNOTATION_STOPS_AT, Some(rfc3339(deadlines.stops_at)));
            annotate(ANNOTATION_DELETES_AT, Some(rfc3339(deadlines.deletes_at)));
            annotate(ANNOTATION_WARNED, None);
        }
        // Nothing is known: what it says of its end stays.
        (Some(State::Ended | State::Stopped) | None, _) => {}
    }
    if labels.is_empty() && annotations.is_empty() {
        return None;
    }
    Some(json!({ "metadata": {
        "resourceVersion": meta.resource_version,
        "labels": labels,
        "annotations": annotations,
    }}))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seal::{Address, UnixMillis};

    use super::*;
    use crate::namespaces::objects;

    fn fresh() -> ObjectMeta {
        objects::namespace("seal-0101010101010101", &Address::from_bytes([1; 32])).metadata
    }

    /// The patch as the API server takes it.
    fn apply(meta: &mut ObjectMeta, patch: &Value) {
        let into = |map: &mut Option<BTreeMap<String, String>>, changes: &Value| {
            let map = map.get_or_insert_default();
            for (key, value) in changes.as_object().unwrap() {
                match value.as_str() {
                    Some(value) => drop(map.insert(key.clone(), value.to_owned())),
                    None => drop(map.remove(key)),
                }
            }
        };
        into(&mut meta.labels, &patch["metadata"]["labels"]);
        into(&mut meta.annotations, &patch["metadata"]["annotations"]);
    }

    const ACTIVE: Says = Says {
        state: Some(State::Active),
        tier: Tier::Developer,
        deadlines: None,
        warned: None,
    };

    fn ended(state: State) -> Says {
        Says {
            state: Some(state),
            deadlines: Some(Deadlines {
                ended_at: UnixMillis(7),
                stops_at: UnixMillis(8_000),
                deletes_at: UnixMillis(9_000),
            }),
            ..ACTIVE
        }
    }

    #[test]
    fn what_is_said_is_not_said_again() {
        let mut meta = fresh();
        for says in [ACTIVE, ended(State::Ended), ended(State::Stopped), ACTIVE] {
            let first = patch(&meta, &says).unwrap();
            apply(&mut meta, &first);
            assert_eq!(patch(&meta, &says), None);
            assert_eq!(marks::read(&meta).state, says.state);
            let ended_at = says.deadlines.map(|deadlines| deadlines.ended_at);
            assert_eq!(marks::read(&meta).ended_at, ended_at);
        }
    }

    #[test]
    fn a_missing_guard_comes_back_before_there_is_a_state() {
        let mut meta = fresh();
        let waiting = Says {
            state: None,
            ..ACTIVE
        };
        assert_eq!(patch(&meta, &waiting), None);
        let labels = meta.labels.as_mut().unwrap();
        labels.insert(
            "pod-security.kubernetes.io/enforce".into(),
            "privileged".into(),
        );
        let repair = patch(&meta, &waiting).unwrap();
        assert_eq!(
            repair["metadata"]["labels"],
            json!({ "pod-security.kubernetes.io/enforce": "restricted" })
        );
    }

    #[test]
    fn what_is_not_known_stays_as_it_is_said() {
        let mut meta = fresh();
        let says = ended(State::Ended);
        let first = patch(&meta, &says).unwrap();
        apply(&mut meta, &first);
        let unknown = Says {
            deadlines: None,
            ..says
        };
        assert_eq!(patch(&meta, &unknown), None);
    }

    #[test]
    fn a_warning_is_remembered_until_the_end() {
        let mut meta = fresh();
        let warned = Some(Warned {
            expiry: UnixMillis(5),
            times: 1,
        });
        let first = patch(&meta, &Says { warned, ..ACTIVE }).unwrap();
        apply(&mut meta, &first);
        assert_eq!(
            patch(&meta, &ACTIVE),
            None,
            "and not forgotten while active"
        );
        assert_eq!(marks::read(&meta).warned, warned);
        let end = patch(&meta, &ended(State::Ended)).unwrap();
        apply(&mut meta, &end);
        assert_eq!(marks::read(&meta).warned, None);
    }
}
