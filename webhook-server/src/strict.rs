//! Bodies of a REST API, read strictly.
//!
//! Shape:  one JSON object with exactly the known fields, each once. An array in an object's
//!         place, which serde would take field by field, is refused.
//! Errors: 415, 413 and 400. What serde says of a body may quote it, so only the place is told.

use std::fmt;
use std::marker::PhantomData;

use axum::extract::Request;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::review::{read_json, wipe};
use crate::status::KubeStatus;

/// Reads a whole body; its bytes are zeroised where nothing else holds them.
pub async fn read_strict<T: DeserializeOwned>(request: Request) -> Result<T, KubeStatus> {
    let bytes = read_json(request).await?;
    let parsed = parse_strict(&bytes);
    wipe(bytes);
    parsed
}

/// Parses a body.
pub fn parse_strict<T: DeserializeOwned>(body: &[u8]) -> Result<T, KubeStatus> {
    serde_json::from_slice::<Object<T>>(body)
        .map(|object| object.0)
        .map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => {
                    "a field is missing, unknown, there twice or of the wrong type"
                }
                _ => "the body is not JSON",
            };
            let place = (error.line(), error.column());
            KubeStatus::bad_request(format!("{what} (line {}, column {})", place.0, place.1))
        })
}

/// An object, and no array that could pass for one.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        token: String,
        inner: Object<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        number: u32,
    }

    const GOOD: &str = r#"{"token":"secret","inner":{"number":7}}"#;

    #[test]
    fn takes_exactly_the_known_fields() {
        let sample: Sample = parse_strict(GOOD.as_bytes()).unwrap();
        assert_eq!(
            (sample.token.as_str(), sample.inner.0.number),
            ("secret", 7)
        );
    }

    #[test]
    fn refuses_everything_else_without_quoting_it() {
        for body in [
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            r#"["secret",{"number":7}]"#.to_owned(),
            r#"{"token":"secret","inner":[7]}"#.to_owned(),
            r#"{"token":"secret"}"#.to_owned(),
            r#"{"token":"secret","inner":{}}"#.to_owned(),
            GOOD.replace("number", "secret"),
            GOOD.replace('7', "-7"),
            GOOD.replace('7', "7.5"),
            GOOD.replace('7', "\"secret\""),
            GOOD.replace("\"secret\"", "7"),
            GOOD.replace("{\"token", "{\"secret\":1,\"token"),
            GOOD.replace("\"inner", "\"token\":\"secret\",\"inner"),
            format!("{GOOD}{GOOD}"),
            format!("{GOOD} secret"),
            "{".repeat(100_000),
            format!("{{\"token\":{}", "[".repeat(100_000)),
        ] {
            let problem = parse_strict::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.reason(), crate::StatusReason::BadRequest);
            let shown = format!("{problem:?}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_strict::<Sample>(&body);
        }

        #[test]
        fn no_problem_repeats_a_token(token in "[a-z0-9]{64}", cut in 0usize..110) {
            let body = GOOD.replace("secret", &token);
            let body = body.get(..cut).unwrap_or(&body);
            if let Err(problem) = parse_strict::<Sample>(body.as_bytes()) {
                let shown = format!("{problem:?}");
                prop_assert!(!shown.contains(&token), "{}", shown);
            }
        }
    }
}
