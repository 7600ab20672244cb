//! The methods of the Container Runtime Interface, as metrics name them.
//!
//! Shape:  a [`Method`] is one of the 41 that Kubernetes v1.36 knows, or none of them. The relay
//!         passes all alike; only labels and the guard ask which one it is.
//! Source: `k8s.io/cri-api` v0.36, `pkg/apis/runtime/v1/api.proto`.

/// What every path of the runtime service begins with.
const RUNTIME: &str = "/runtime.v1.RuntimeService/";
/// What every path of the image service begins with.
const IMAGE: &str = "/runtime.v1.ImageService/";
/// The label of a method that is none of ours to know.
const OTHER: &str = "other";

/// A method: its place in [`KNOWN`], or one past its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(usize);

/// Which of the two services has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Runtime,
    Image,
}

/// How a method answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// With one message.
    Unary,
    /// With many, and then it ends.
    Many,
    /// With many, for as long as somebody listens.
    Endless,
}

use Answer::{Endless, Many, Unary};
use Service::{Image, Runtime};

/// Sorted by name.
const KNOWN: [(&str, Service, Answer); 41] = [
    ("Attach", Runtime, Unary),
    ("CheckpointContainer", Runtime, Unary),
    ("ContainerStats", Runtime, Unary),
    ("ContainerStatus", Runtime, Unary),
    ("CreateContainer", Runtime, Unary),
    ("Exec", Runtime, Unary),
    ("ExecSync", Runtime, Unary),
    ("GetContainerEvents", Runtime, Endless),
    ("ImageFsInfo", Image, Unary),
    ("ImageStatus", Image, Unary),
    ("ListContainerStats", Runtime, Unary),
    ("ListContainers", Runtime, Unary),
    ("ListImages", Image, Unary),
    ("ListMetricDescriptors", Runtime, Unary),
    ("ListPodSandbox", Runtime, Unary),
    ("ListPodSandboxMetrics", Runtime, Unary),
    ("ListPodSandboxStats", Runtime, Unary),
    ("PodSandboxStats", Runtime, Unary),
    ("PodSandboxStatus", Runtime, Unary),
    ("PortForward", Runtime, Unary),
    ("PullImage", Image, Unary),
    ("RemoveContainer", Runtime, Unary),
    ("RemoveImage", Image, Unary),
    ("RemovePodSandbox", Runtime, Unary),
    ("ReopenContainerLog", Runtime, Unary),
    ("RunPodSandbox", Runtime, Unary),
    ("RuntimeConfig", Runtime, Unary),
    ("StartContainer", Runtime, Unary),
    ("Status", Runtime, Unary),
    ("StopContainer", Runtime, Unary),
    ("StopPodSandbox", Runtime, Unary),
    ("StreamContainerStats", Runtime, Many),
    ("StreamContainers", Runtime, Many),
    ("StreamImages", Image, Many),
    ("StreamPodSandboxMetrics", Runtime, Many),
    ("StreamPodSandboxStats", Runtime, Many),
    ("StreamPodSandboxes", Runtime, Many),
    ("UpdateContainerResources", Runtime, Unary),
    ("UpdatePodSandboxResources", Runtime, Unary),
    ("UpdateRuntimeConfig", Runtime, Unary),
    ("Version", Runtime, Unary),
];

impl Method {
    /// The method of a request's path.
    pub fn of(path: &str) -> Self {
        let (service, name) = match (path.strip_prefix(RUNTIME), path.strip_prefix(IMAGE)) {
            (Some(name), _) => (Runtime, name),
            (None, Some(name)) => (Image, name),
            (None, None) => return Self(KNOWN.len()),
        };
        let found = KNOWN.binary_search_by(|(known, _, _)| (*known).cmp(name));
        let found = found.ok().filter(|index| {
            KNOWN
                .get(*index)
                .is_some_and(|(_, known, _)| *known == service)
        });
        Self(found.unwrap_or(KNOWN.len()))
    }

    /// All of them, and `other` last.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=KNOWN.len()).map(Self)
    }

    /// Its place among [`all`](Self::all).
    pub fn index(self) -> usize {
        self.0
    }

    /// How many [`all`](Self::all) are.
    pub const COUNT: usize = KNOWN.len() + 1;

    /// Its name, or `other`.
    pub fn label(self) -> &'static str {
        KNOWN.get(self.0).map_or(OTHER, |(name, _, _)| name)
    }

    /// The request's path; none for `other`.
    pub fn path(self) -> Option<String> {
        KNOWN.get(self.0).map(|(name, service, _)| {
            let service = match service {
                Runtime => RUNTIME,
                Image => IMAGE,
            };
            format!("{service}{name}")
        })
    }

    /// Whether it starts a pod.
    pub fn starts_pod(self) -> bool {
        self.label() == "RunPodSandbox"
    }

    /// Whether one message answers it, so that its duration says something. That of a method which
    /// nobody knows does not.
    pub fn is_unary(self) -> bool {
        KNOWN
            .get(self.0)
            .is_some_and(|(_, _, answer)| *answer == Unary)
    }

    /// Whether it lasts for as long as somebody listens.
    pub fn is_endless(self) -> bool {
        KNOWN
            .get(self.0)
            .is_some_and(|(_, _, answer)| *answer == Endless)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_method_is_found_by_its_path() {
        assert!(KNOWN.is_sorted_by_key(|(name, _, _)| *name));
        let mut known = 0;
        for method in Method::all() {
            if let Some(path) = method.path() {
                assert_eq!(Method::of(&path), method, "{path}");
                known += 1;
            }
        }
        assert_eq!(known, 41);
        assert_eq!(Method::all().count(), Method::COUNT);
    }

    #[test]
    fn what_nobody_knows_is_other() {
        for path in [
            "",
            "/",
            "/runtime.v1.RuntimeService/",
            "/runtime.v1.RuntimeService/ListImages",
            "/runtime.v1.ImageService/RunPodSandbox",
            "/runtime.v1.RuntimeService/RunPodSandbox/",
            "/runtime.v1.RuntimeService/runpodsandbox",
            "/runtime.v1alpha2.RuntimeService/RunPodSandbox",
            "/grpc.health.v1.Health/Check",
        ] {
            assert_eq!(Method::of(path).label(), OTHER, "{path}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        let of = |name: &str| Method::of(&format!("{RUNTIME}{name}"));
        assert!(of("RunPodSandbox").starts_pod() && of("RunPodSandbox").is_unary());
        assert!(of("GetContainerEvents").is_endless() && !of("GetContainerEvents").is_unary());
        assert!(!of("StreamContainers").is_unary() && !of("StreamContainers").is_endless());
        assert!(!of("Whatever").is_unary());
        assert_eq!(
            Method::all().filter(|method| method.starts_pod()).count(),
            1
        );
        let streams = KNOWN
            .iter()
            .filter(|(_, _, answer)| *answer == Many)
            .count();
        assert_eq!(streams, 6);
    }

    proptest! {
        #[test]
        fn no_path_panics(path in ".{0,60}") {
            let _ = Method::of(&path).label();
        }
    }
}
