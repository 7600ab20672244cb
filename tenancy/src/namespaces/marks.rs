//! What a Namespace says of itself: whose it is and where it is in its life.
//!
//! Errors: only the server may write these marks (the guards see to it), and yet they are read as
//!         if anybody could: what does not read strictly is not there.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use seal::{Address, Tier, UnixMillis, identity};

use super::FIELD_MANAGER;
use super::names;

/// Annotation: of which end the owner was warned and how often, `<expiry in ms>/<1 or 2>`.
pub(super) const ANNOTATION_WARNED: &str = "k3s-daas.io/warned";
/// Annotation for people: when the workloads are scaled away. Nothing is decided by it.
pub(super) const ANNOTATION_STOPS_AT: &str = "k3s-daas.io/stops-at";
/// Annotation for people: when the namespace is deleted. Nothing is decided by it.
pub(super) const ANNOTATION_DELETES_AT: &str = "k3s-daas.io/deletes-at";
/// Whose work an object is.
pub(super) const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// What Pod Security demands of a tenant's pods.
const POD_SECURITY: [(&str, &str); 6] = [
    ("pod-security.kubernetes.io/enforce", "restricted"),
    ("pod-security.kubernetes.io/enforce-version", "latest"),
    ("pod-security.kubernetes.io/audit", "restricted"),
    ("pod-security.kubernetes.io/audit-version", "latest"),
    ("pod-security.kubernetes.io/warn", "restricted"),
    ("pod-security.kubernetes.io/warn-version", "latest"),
];

/// Where a namespace is in its life. The next after the last is that it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum State {
    /// Its owner has a usable seal of developer or more.
    Active,
    /// Its owner has none: no new pods.
    Ended,
    /// Its workloads are scaled away.
    Stopped,
}

impl State {
    pub(super) const ALL: [Self; 3] = [Self::Active, Self::Ended, Self::Stopped];

    /// The value of the label.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Stopped => "stopped",
        }
    }
}

/// Whose a namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// A tenant's: annotation and name agree.
    Tenants(Address),
    /// It has a tenant's name or an owner's annotation, and the two don't agree.
    Unclear,
    /// No tenant's.
    Nobodys,
}

/// Of which expiry an owner was warned, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Warned {
    pub(super) expiry: UnixMillis,
    pub(super) times: u8,
}

/// Where it is in its life, as far as its marks tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    pub(super) state: Option<State>,
    pub(super) tier: Option<Tier>,
    /// None where it is absent or unreadable: then it ended now.
    pub(super) ended_at: Option<UnixMillis>,
    pub(super) warned: Option<Warned>,
}

/// Whose the namespace is, by its name and the annotation of its owner.
pub(super) fn whose(meta: &ObjectMeta) -> Whose {
    let name = meta.name.as_deref().unwrap_or_default();
    match annotation(meta, identity::ANNOTATION_OWNER) {
        Some(text) => match text.parse::<Address>() {
            // In full, as we write it: short forms name the same address and are not ours.
            Ok(owner) if owner.to_string() == text && names::fits(name, &owner) => {
                Whose::Tenants(owner)
            }
            _ => Whose::Unclear,
        },
        None if names::looks_ours(name) => Whose::Unclear,
        None => Whose::Nobodys,
    }
}

/// Reads the marks.
pub(super) fn read(meta: &ObjectMeta) -> Marks {
    let state = label(meta, identity::LABEL_STATE);
    Marks {
        state: state.and_then(|text| State::ALL.into_iter().find(|state| state.label() == text)),
        tier: label(meta, identity::LABEL_TIER).and_then(|text| text.parse().ok()),
        ended_at: annotation(meta, identity::ANNOTATION_ENDED_AT).and_then(millis),
        warned: annotation(meta, ANNOTATION_WARNED).and_then(warned),
    }
}

/// The labels that every namespace of a tenant has from its first moment.
pub(super) fn guarding_labels() -> BTreeMap<String, String> {
    let managed = (LABEL_MANAGED_BY, FIELD_MANAGER);
    let labels = POD_SECURITY.into_iter().chain([managed]);
    labels
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(super) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    Some(meta.annotations.as_ref()?.get(key)?.as_str())
}

pub(super) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    Some(meta.labels.as_ref()?.get(key)?.as_str())
}

/// Decimal digits only, without sign and leading zeros.
fn millis(text: &str) -> Option<UnixMillis> {
    let value: u64 = text.parse().ok()?;
    (value.to_string() == text).then_some(UnixMillis(value))
}

fn warned(text: &str) -> Option<Warned> {
    let (expiry, times) = text.split_once('/')?;
    let times = match times {
        "1" => 1,
        "2" => 2,
        _ => return None,
    };
    let expiry = millis(expiry)?;
    Some(Warned { expiry, times })
}

impl Warned {
    /// As the annotation has it.
    pub(super) fn text(self) -> String {
        format!("{}/{}", self.expiry.0, self.times)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(byte: u8) -> Address {
        Address::from_bytes([byte; 32])
    }

    fn meta(name: &str, annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> ObjectMeta {
        let map = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Some(pairs.collect())
        };
        ObjectMeta {
            name: Some(name.to_owned()),
            annotations: map(annotations),
            labels: map(labels),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_namespace_is_a_tenants_by_name_and_annotation_together() {
        let (mine, full) = ("seal-0101010101010101", owner(1).to_string());
        let annotated =
            |name, owner: &str| whose(&meta(name, &[("k3s-daas.io/owner", owner)], &[]));
        assert_eq!(annotated(mine, &full), Whose::Tenants(owner(1)));
        assert_eq!(
            annotated("seal-0101010101010101-x", &full),
            Whose::Tenants(owner(1))
        );
        assert_eq!(annotated("kube-system", &full), Whose::Unclear);
        assert_eq!(annotated(mine, &owner(2).to_string()), Whose::Unclear);
        assert_eq!(annotated(mine, &full.to_uppercase()), Whose::Unclear);
        assert_eq!(annotated(mine, "me"), Whose::Unclear);
        assert_eq!(annotated("a", "0x1"), Whose::Unclear);
        assert_eq!(whose(&meta(mine, &[], &[])), Whose::Unclear);
        assert_eq!(whose(&meta("team-a", &[], &[])), Whose::Nobodys);
    }

    #[test]
    fn marks_read_strictly() {
        let read_all = |ended: &str, warned: &str, state: &str, tier: &str| {
            read(&meta(
                "a",
                &[
                    ("k3s-daas.io/ended-at", ended),
                    ("k3s-daas.io/warned", warned),
                ],
                &[("k3s-daas.io/state", state), ("k3s-daas.io/tier", tier)],
            ))
        };
        let good = read_all("17", "99/2", "ended", "admin");
        assert_eq!(
            good,
            Marks {
                state: Some(State::Ended),
                tier: Some(Tier::Admin),
                ended_at: Some(UnixMillis(17)),
                warned: Some(Warned {
                    expiry: UnixMillis(99),
                    times: 2
                }),
            }
        );
        assert_eq!(good.warned.unwrap().text(), "99/2");
        for hostile in [
            "",
            "-1",
            "+1",
            "01",
            "1.0",
            " 1",
            "18446744073709551616",
            "x",
        ] {
            let warned = format!("{hostile}/1");
            assert_eq!(
                read_all(hostile, &warned, hostile, hostile),
                Marks::default(),
                "{hostile}"
            );
        }
        for warned in ["1/0", "1/3", "1", "1/1/1"] {
            assert_eq!(
                read_all("1", warned, "active", "super").warned,
                None,
                "{warned}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_mark_panics(a in ".{0,40}", b in "[0-9/]{0,30}") {
            let _ = read(&meta(&a, &[("k3s-daas.io/ended-at", &b), ("k3s-daas.io/warned", &b)], &[("k3s-daas.io/state", &a)]));
            let _ = whose(&meta(&a, &[("k3s-daas.io/owner", &b)], &[]));
        }
    }
}
