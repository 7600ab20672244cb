//! The review as Kubernetes sends it, cut down to what a decision needs.
//!
//! Shape:  `SubjectAccessReview`, authorization.k8s.io/v1. Unknown fields are ignored,
//!         `null` counts as absent, as in Kubernetes's own decoder.
//! Errors: [`InvalidReview`]: the request is wrong and stays wrong (400).
//! Not here: whether any of it is true. See `claimed` and `decide`.

use std::fmt;
use std::marker::PhantomData;

use seal::access::{Attributes, ResourceAttributes};
use seal::identity;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use webhook_server::{Review, TypeMeta};

/// One review.
#[derive(Debug, Clone)]
pub struct SubjectAccessReview {
    api_version: String,
    kind: String,
    /// Who asks for what.
    pub spec: SubjectAccessReviewSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    api_version: String,
    kind: String,
    spec: Object<SubjectAccessReviewSpec>,
}

impl<'de> Deserialize<'de> for SubjectAccessReview {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(wire) = Object::<Wire>::deserialize(deserializer)?;
        Ok(Self {
            api_version: wire.api_version,
            kind: wire.kind,
            spec: wire.spec.0,
        })
    }
}

impl Review for SubjectAccessReview {
    const GROUP: &'static str = "authorization.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "SubjectAccessReview";
    const VERSION_HINT: &'static str =
        "set subjectAccessReviewVersion: v1 in the AuthorizationConfiguration";

    fn type_meta(&self) -> TypeMeta<'_> {
        TypeMeta {
            api_version: &self.api_version,
            kind: &self.kind,
        }
    }
}

/// Who asks for what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectAccessReviewSpec {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) user: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) uid: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) groups: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) extra: Extra,
    resource_attributes: Option<Object<ResourceSpec>>,
    non_resource_attributes: Option<Object<PathSpec>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ResourceSpec {
    #[serde(deserialize_with = "null_is_default")]
    verb: String,
    #[serde(deserialize_with = "null_is_default")]
    group: String,
    #[serde(deserialize_with = "null_is_default")]
    resource: String,
    #[serde(deserialize_with = "null_is_default")]
    subresource: String,
    #[serde(deserialize_with = "null_is_default")]
    namespace: String,
    #[serde(deserialize_with = "null_is_default")]
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PathSpec {
    #[serde(deserialize_with = "null_is_default")]
    verb: String,
    #[serde(deserialize_with = "null_is_default")]
    path: String,
}

/// A spec that no API server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidReview {
    /// Neither an object nor a path.
    #[error("the spec has neither resourceAttributes nor nonResourceAttributes")]
    NoAttributes,
    /// Both an object and a path.
    #[error("the spec has both resourceAttributes and nonResourceAttributes")]
    BothAttributes,
    /// Nobody asks.
    #[error("the spec names neither a user nor a group")]
    Nobody,
}

impl SubjectAccessReviewSpec {
    /// The request that is asked about.
    pub fn attributes(&self) -> Result<Attributes<'_>, InvalidReview> {
        match (&self.resource_attributes, &self.non_resource_attributes) {
            (Some(Object(resource)), None) => Ok(Attributes::Resource(ResourceAttributes {
                verb: &resource.verb,
                group: &resource.group,
                resource: &resource.resource,
                subresource: &resource.subresource,
                namespace: &resource.namespace,
                name: &resource.name,
            })),
            (None, Some(Object(path))) => Ok(Attributes::Path {
                verb: &path.verb,
                path: &path.path,
            }),
            (None, None) => Err(InvalidReview::NoAttributes),
            (Some(_), Some(_)) => Err(InvalidReview::BothAttributes),
        }
    }

    /// Refuses a spec in which nobody asks.
    pub(crate) fn verify_subject(&self) -> Result<(), InvalidReview> {
        if self.user.is_empty() && self.groups.is_empty() {
            Err(InvalidReview::Nobody)
        } else {
            Ok(())
        }
    }
}

/// The values of one key of the user's extra.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Value {
    /// The key is not there.
    #[default]
    Absent,
    /// Exactly one value.
    One(String),
    /// None, several, or the key twice.
    NotOne,
}

/// What we look at of the user's extra; the rest is skipped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extra {
    /// The seal's object id.
    pub(crate) seal: Value,
    /// The credential hash.
    pub(crate) hash: Value,
    /// True if another key of ours has not exactly one value.
    pub(crate) others_odd: bool,
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ExtraVisitor)
    }
}

struct ExtraVisitor;

impl<'de> Visitor<'de> for ExtraVisitor {
    type Value = Extra;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of lists of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extra, A::Error> {
        let mut extra = Extra::default();
        while let Some(key) = map.next_key::<String>()? {
            if !key.starts_with(OUR_PREFIX) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let values = map.next_value::<Option<Vec<String>>>()?.unwrap_or_default();
            match key.as_str() {
                identity::EXTRA_SEAL => extra.seal.add(values),
                identity::EXTRA_CREDENTIAL_HASH => extra.hash.add(values),
                _ => extra.others_odd |= values.len() != 1,
            }
        }
        Ok(extra)
    }
}

/// What all our keys begin with.
const OUR_PREFIX: &str = "k3s-daas.io/";

impl Value {
    fn add(&mut self, values: Vec<String>) {
        let mut values = values.into_iter();
        *self = match (&self, values.next(), values.next()) {
            (Self::Absent, Some(value), None) => Self::One(value),
            _ => Self::NotOne,
        };
    }
}

/// A JSON object. Derived readers would take a list of the fields' values as well,
/// which no Kubernetes decoder does.
#[derive(Debug, Clone)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(json: &str) -> Extra {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn keeps_the_keys_it_needs_and_skips_the_rest() {
        let extra = extra(
            r#"{"authentication.kubernetes.io/credential-id":["X"],"k3s-daas.io/seal":["s"],
                "k3s-daas.io/credential-hash":["h"],"k3s-daas.io/tier":["viewer"]}"#,
        );
        assert_eq!(extra.seal, Value::One("s".to_owned()));
        assert_eq!(extra.hash, Value::One("h".to_owned()));
        assert!(!extra.others_odd);
    }

    #[test]
    fn several_values_none_or_the_key_twice_are_not_one() {
        for json in [
            r#"{"k3s-daas.io/seal":["a","b"]}"#,
            r#"{"k3s-daas.io/seal":[]}"#,
            r#"{"k3s-daas.io/seal":null}"#,
            r#"{"k3s-daas.io/seal":["a"],"k3s-daas.io/seal":["a"]}"#,
        ] {
            assert_eq!(extra(json).seal, Value::NotOne, "{json}");
        }
        assert!(extra(r#"{"k3s-daas.io/tier":["a","b"]}"#).others_odd);
    }

    #[test]
    fn exactly_one_kind_of_attributes_is_asked_for() {
        let spec = |json: &str| serde_json::from_str::<SubjectAccessReviewSpec>(json).unwrap();
        let refused = |json: &str| spec(json).attributes().map(|_| ()).unwrap_err();
        assert_eq!(refused("{}"), InvalidReview::NoAttributes);
        assert_eq!(
            refused(r#"{"resourceAttributes":null}"#),
            InvalidReview::NoAttributes
        );
        assert_eq!(
            refused(r#"{"resourceAttributes":{},"nonResourceAttributes":{}}"#),
            InvalidReview::BothAttributes
        );
        assert_eq!(spec("{}").verify_subject(), Err(InvalidReview::Nobody));
        assert!(spec(r#"{"groups":["g"]}"#).verify_subject().is_ok());
    }
}
