//! The part of a TokenReview that we read.
//!
//! Shape:  `authentication.k8s.io/v1`, `spec.token` and `spec.audiences`. A stub
//!         `status`, `metadata.creationTimestamp: null` and unknown fields are ignored.
//! Source: Kubernetes API reference, TokenReview v1.
//!
//! The token's text is looked at where it stands in the body and never copied: what
//! remains of it is a [`Presented`], whose secrets are zeroised when dropped.

use std::fmt;

use seal::{JoinCredential, SealToken};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use webhook_server::{Review, TypeMeta};

/// A request.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenReview {
    api_version: String,
    kind: String,
    /// What is asked.
    #[serde(deserialize_with = "object")]
    pub spec: TokenReviewSpec,
}

/// What is asked.
#[derive(Debug, serde::Deserialize)]
pub struct TokenReviewSpec {
    /// The credential.
    #[serde(default)]
    pub token: Presented,
    /// For whom it must be good; the K3s supervisor names nobody.
    #[serde(default)]
    pub audiences: Option<Vec<String>>,
}

/// Reads a JSON object. The derived reader would take a list of the fields' values as
/// well, which no Kubernetes decoder does.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TokenReviewSpec, D::Error> {
    struct Spec;

    impl<'de> Visitor<'de> for Spec {
        type Value = TokenReviewSpec;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TokenReviewSpec, A::Error> {
            TokenReviewSpec::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Spec)
}

impl Review for TokenReview {
    const GROUP: &'static str = "authentication.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "TokenReview";
    const VERSION_HINT: &'static str =
        "set authentication-token-webhook-version=v1 for the API server";

    fn type_meta(&self) -> TypeMeta<'_> {
        TypeMeta {
            api_version: &self.api_version,
            kind: &self.kind,
        }
    }
}

/// What was presented, by its shape alone.
#[derive(Debug, Default)]
pub enum Presented {
    /// No token, or an empty one.
    #[default]
    Nothing,
    /// Of a seal token's shape.
    Seal(SealToken),
    /// Of a join credential's shape.
    Join(JoinCredential),
    /// Somebody else's: a service account's with a bad signature, for instance.
    Other,
}

impl Presented {
    /// Tells by the shape what a text is.
    #[must_use]
    pub fn classify(text: &str) -> Self {
        if text.is_empty() {
            Self::Nothing
        } else if let Ok(token) = SealToken::parse(text) {
            Self::Seal(token)
        } else if let Ok(credential) = JoinCredential::parse(text) {
            Self::Join(credential)
        } else {
            Self::Other
        }
    }
}

impl<'de> Deserialize<'de> for Presented {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Presented;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }

            fn visit_str<E>(self, text: &str) -> Result<Presented, E> {
                Ok(Presented::classify(text))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use webhook_server::parse_review;

    use super::*;

    const SEAL: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const JOIN: &str = "xh5g4g.98bigncycpcjpj15";

    #[test]
    fn shapes_do_not_overlap() {
        assert!(matches!(Presented::classify(SEAL), Presented::Seal(_)));
        assert!(matches!(Presented::classify(JOIN), Presented::Join(_)));
        assert!(matches!(Presented::classify(""), Presented::Nothing));
        for other in [
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrM3MifQ.c2lnbmF0dXJl",
            &SEAL.to_uppercase(),
            &format!("{SEAL}\n"),
            &format!("Bearer {SEAL}"),
            &format!("K10abc::{JOIN}"),
            " ",
        ] {
            assert!(
                matches!(Presented::classify(other), Presented::Other),
                "{other}"
            );
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let body = format!(
            r#"{{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{{"token":"{SEAL}"}}}}"#
        );
        let review: TokenReview = parse_review(body.as_bytes()).unwrap();
        assert!(!format!("{review:?}").contains(&SEAL[..8]));
    }

    #[test]
    fn the_older_version_is_refused_with_the_flag_to_set() {
        let body = r#"{"apiVersion":"authentication.k8s.io/v1beta1","kind":"TokenReview","spec":{"token":"a"}}"#;
        let refusal = parse_review::<TokenReview>(body.as_bytes()).unwrap_err();
        assert!(
            refusal
                .message()
                .contains("authentication-token-webhook-version=v1"),
            "{}",
            refusal.message()
        );
    }

    proptest! {
        #[test]
        fn a_token_reads_the_same_however_its_json_is_escaped(bytes: [u8; 32]) {
            let token = SealToken::from_bytes(bytes);
            let text = token.reveal();
            let escaped = text.bytes().fold(String::new(), |text, byte| text + &format!("\\u{byte:04x}"));
            for spelled in [text.as_str(), escaped.as_str()] {
                let presented: Presented = serde_json::from_str(&format!("\"{spelled}\"")).unwrap();
                match presented {
                    Presented::Seal(read) => prop_assert_eq!(read.credential_hash(), token.credential_hash()),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,100}") {
            let _ = Presented::classify(&text);
        }
    }
}
