//! Reads a pod's request, of which the original bytes go on.

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use k8s_cri::v1::RunPodSandboxRequest;
use prost::Message as _;

/// What gRPC of Go takes from kubelet, and so containerd.
pub(crate) const MOST_BYTES: usize = 16 << 20;
/// What goes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Why a body was not read.
pub(crate) enum Unread {
    /// It has more than [`MOST_BYTES`].
    TooLarge,
    /// Its caller gave up.
    Gone(hyper::Error),
}

/// A body, whole.
pub(crate) async fn whole(body: Incoming) -> Result<Bytes, Unread> {
    let mut body = Limited::new(body, MOST_BYTES + PREFIX);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(gone) => Unread::Gone(*gone),
            Err(other) => {
                debug_assert!(other.is::<LengthLimitError>());
                Unread::TooLarge
            }
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        // A pod's request is one frame, nearly always.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Why a request can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Neither kubelet nor crictl compresses.
    #[error("it is compressed")]
    Compressed,
    /// More or less than one message.
    #[error("it is not one message")]
    NotOne,
    /// No such message.
    #[error("it is no request for a pod")]
    Nonsense,
}

/// The namespace of the pod that a gRPC body with a `RunPodSandboxRequest` asks for.
pub fn namespace_of(body: &Bytes) -> Result<String, Unreadable> {
    let mut rest = body.clone();
    if rest.len() < PREFIX {
        return Err(Unreadable::NotOne);
    }
    let compressed = rest.get_u8() != 0;
    let length = usize::try_from(rest.get_u32()).unwrap_or(usize::MAX);
    if compressed {
        return Err(Unreadable::Compressed);
    }
    if length != rest.len() {
        return Err(Unreadable::NotOne);
    }
    let request = RunPodSandboxRequest::decode(rest).map_err(|_| Unreadable::Nonsense)?;
    let metadata = request.config.and_then(|config| config.metadata);
    metadata
        .map(|metadata| metadata.namespace)
        .ok_or(Unreadable::Nonsense)
}

#[cfg(test)]
mod tests {
    use k8s_cri::v1::{PodSandboxConfig, PodSandboxMetadata};
    use proptest::prelude::*;

    use super::*;

    fn framed(message: &[u8]) -> Bytes {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0][..], &length, message].concat().into()
    }

    fn request(namespace: &str) -> Vec<u8> {
        let metadata = PodSandboxMetadata {
            name: "web".to_owned(),
            namespace: namespace.to_owned(),
            ..PodSandboxMetadata::default()
        };
        let config = PodSandboxConfig {
            metadata: Some(metadata),
            ..PodSandboxConfig::default()
        };
        let request = RunPodSandboxRequest {
            config: Some(config),
            ..RunPodSandboxRequest::default()
        };
        request.encode_to_vec()
    }

    #[test]
    fn the_namespace_is_found_though_later_fields_are_not_known() {
        let mut message = request("team-a");
        assert_eq!(namespace_of(&framed(&message)).unwrap(), "team-a");
        // Field 500, two bytes.
        message.extend([0xa2, 0x1f, 2, 7, 7]);
        assert_eq!(namespace_of(&framed(&message)).unwrap(), "team-a");
    }

    #[test]
    fn what_is_no_request_is_told() {
        let good = request("a");
        let mut compressed = framed(&good).to_vec();
        compressed[0] = 1;
        let mut short = framed(&good).to_vec();
        short.pop();
        for (body, why) in [
            (Vec::new(), Unreadable::NotOne),
            (compressed, Unreadable::Compressed),
            (short, Unreadable::NotOne),
            (framed(&[]).to_vec(), Unreadable::Nonsense),
            (framed(&[0xff; 9]).to_vec(), Unreadable::Nonsense),
        ] {
            assert_eq!(namespace_of(&body.into()), Err(why));
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = namespace_of(&Bytes::from(body.clone()));
            let _ = namespace_of(&framed(&body));
        }
    }
}
