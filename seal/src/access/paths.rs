//! Paths that are no objects and open to every seal.
//!
//! Source: Kubernetes 1.36, ClusterRoles `system:discovery` and `system:public-info-viewer`.

/// True for a `get` of discovery, version, health or OpenAPI.
///
/// Every part is plain text: a path with empty, dotted, encoded or wildcard
/// parts is none that Kubernetes serves under these names.
pub(super) fn is_open(verb: &str, path: &str) -> bool {
    if verb != "get" {
        return false;
    }
    // The one path with a slash at its end that Kubernetes itself lists.
    if path == "/version/" {
        return true;
    }
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let mut parts = path.split('/');
    let root = parts.next().unwrap_or_default();
    let rest = match root {
        "version" => 0..=0,
        // `/api/<version>`, `/apis/<group>/<version>`: what lies deeper is an object.
        "api" => 0..=1,
        "apis" => 0..=2,
        "healthz" | "livez" | "readyz" | "openapi" => 0..=MAX_DEPTH,
        _ => return false,
    };
    let mut depth = 0;
    for part in parts {
        depth += 1;
        if depth > MAX_DEPTH || !is_plain(part) {
            return false;
        }
    }
    rest.contains(&depth)
}

/// `/openapi/v3/apis/<group>/<version>` has four parts below its root.
const MAX_DEPTH: usize = 6;

fn is_plain(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    part.bytes().all(allowed) && part.starts_with(|first: char| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_paths_and_no_other() {
        for open in [
            "/version",
            "/version/",
            "/api",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/metrics.k8s.io/v1beta1",
            "/healthz",
            "/livez/ping",
            "/readyz/poststarthook/start-apiextensions-informers",
            "/openapi/v2",
            "/openapi/v3/apis/admissionregistration.k8s.io/v1",
        ] {
            assert!(is_open("get", open), "{open}");
            for verb in ["post", "put", "delete", "GET", "*", ""] {
                assert!(!is_open(verb, open), "{verb} {open}");
            }
        }
        for closed in [
            "",
            "/",
            "version",
            "/metrics",
            "/metrics/slis",
            "/logs",
            "/debug/pprof",
            "/flagz",
            "/api/",
            "/healthz/",
            "/version//",
            "/version/x",
            "/versions",
            "/api/*",
            "/api/../metrics",
            "/api/..",
            "//api",
            "/api//v1",
            "/api/v1/secrets",
            "/apis/a/b/c",
            "/API",
            "/healthz/%2e%2e/metrics",
            "/healthz/..",
            "/openapi/v3?x",
            "/*",
        ] {
            assert!(!is_open("get", closed), "{closed}");
        }
    }
}
