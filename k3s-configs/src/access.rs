//! How people and machines reach the cluster: kubeconfigs of seal holders, tokens of K3s agents.
//!
//! Shape:  [`ClusterAccess`] says where the API server is and by what it is known; from it follow
//!         a kubeconfig and the hash that an agent's token begins with.
//! Errors: none of them ever holds a token.
//! Source: Kubernetes `v1.Config`; K3s `pkg/clientaccess/token.go` (`parseToken`).

use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::{JoinCredential, SealToken};
use zeroize::Zeroizing;

mod ca;

pub use ca::{CaError, CaHash};

/// A name that the API server's certificate bears and that no node can have, since it has dots.
///
/// K3s signs the certificates of kubelets with the same CA as its own, for whatever address a
/// joiner names. Who checked an address alone could be answered by a stranger's machine.
pub const API_SERVER_NAME: &str = "kubernetes.default.svc";

/// The name to demand of a server at `url` when nobody chose one: none where its host is a DNS name
/// with a dot inside, which no node's certificate can bear.
#[must_use]
pub fn default_server_name(url: &str) -> Option<&'static str> {
    let host = host(url);
    let last = host.rsplit('.').next().unwrap_or_default();
    let unmistakable = host.contains('.')
        && !host.starts_with('[')
        && host.parse::<IpAddr>().is_err()
        // A last label of digits makes an address of it for some clients; an empty one a name
        // without a dot.
        && last.bytes().any(|byte| byte.is_ascii_alphabetic());
    (!unmistakable).then_some(API_SERVER_NAME)
}

/// The host of an address, without scheme, user, port and path.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    if host.starts_with('[') {
        return host;
    }
    host.split(':').next().unwrap_or(host)
}

/// The name of the cluster and of the context in our kubeconfigs.
const NAME: &str = "k3s-daas";

/// Why there is no kubeconfig.
#[derive(Debug, thiserror::Error)]
#[error("the kubeconfig can't be written as YAML")]
pub struct AccessError(#[source] serde_yaml_ng::Error);

/// Where the API server is, and by what it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterAccess {
    /// The API server's address.
    pub url: String,
    /// Its CA bundle, PEM; the machine's own authorities when not given.
    pub ca_pem: Option<Vec<u8>>,
    /// The name its certificate must bear, where that is not the address's host.
    pub tls_server_name: Option<String>,
}

/// How the kubeconfig gets at the token.
#[derive(Debug)]
pub enum Credential<'a> {
    /// The kubeconfig holds it.
    Token(&'a SealToken),
    /// The kubeconfig names its file, so that a refresh needs no new kubeconfig.
    File(&'a Path),
}

impl ClusterAccess {
    /// The text of a kubeconfig; secret when it holds the token.
    pub fn kubeconfig(
        &self,
        credential: &Credential<'_>,
        namespace: &str,
    ) -> Result<Zeroizing<String>, AccessError> {
        let mut cluster = serde_json::json!({ "server": self.url });
        if let (Some(ca), Some(cluster)) = (&self.ca_pem, cluster.as_object_mut()) {
            let ca = STANDARD.encode(ca);
            cluster.insert("certificate-authority-data".into(), ca.into());
        }
        if let (Some(name), Some(cluster)) = (&self.tls_server_name, cluster.as_object_mut()) {
            cluster.insert("tls-server-name".into(), name.as_str().into());
        }
        let user = match credential {
            Credential::Token(token) => serde_json::json!({ "token": token.reveal().as_str() }),
            Credential::File(path) => serde_json::json!({ "tokenFile": path }),
        };
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": NAME, "cluster": cluster }],
            "users": [{ "name": "seal", "user": user }],
            "contexts": [{
                "name": NAME,
                "context": { "cluster": NAME, "user": "seal", "namespace": namespace },
            }],
            "current-context": NAME,
        });
        serde_yaml_ng::to_string(&config)
            .map(Zeroizing::new)
            .map_err(AccessError)
    }

    /// The hash of its CA, as agents pin it now; nothing where there is no CA.
    pub fn ca_hash(&self) -> Option<Result<CaHash, CaError>> {
        let bundle = self.ca_pem.as_deref()?;
        Some(CaHash::of_bundle(bundle, SystemTime::now()))
    }
}

/// What a stock agent takes as its token: `K10<CA hash>::<join credential>`, without a newline.
///
/// The agent pins the CA by the hash, and shows the credential as a bearer token.
pub fn join_token(ca: &CaHash, credential: &JoinCredential) -> Zeroizing<String> {
    Zeroizing::new(format!("K10{ca}::{}", credential.reveal().as_str()))
}

#[cfg(test)]
mod tests {
    use serde_yaml_ng::Value;

    use super::*;

    fn parsed(access: &ClusterAccess, credential: &Credential<'_>) -> Value {
        let text = access.kubeconfig(credential, "seal-1").unwrap();
        serde_yaml_ng::from_str(&text).unwrap()
    }

    #[test]
    fn the_context_leads_to_the_cluster_its_ca_its_name_and_the_token() {
        let access = ClusterAccess {
            url: "https://127.0.0.1:6443".into(),
            ca_pem: Some(b"pem".to_vec()),
            tls_server_name: Some(API_SERVER_NAME.into()),
        };
        let token = SealToken::from_bytes([7; 32]);
        let value = parsed(&access, &Credential::Token(&token));
        let cluster = &value["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], "https://127.0.0.1:6443");
        assert_eq!(cluster["tls-server-name"], "kubernetes.default.svc");
        assert_eq!(cluster["certificate-authority-data"], "cGVt");
        assert_eq!(value["users"][0]["user"]["token"], "07".repeat(32));
        let context = &value["contexts"][0]["context"];
        assert_eq!(context["namespace"], "seal-1");
        assert_eq!(context["cluster"], value["clusters"][0]["name"]);
        assert_eq!(context["user"], value["users"][0]["name"]);
        assert_eq!(value["current-context"], value["contexts"][0]["name"]);
    }

    #[test]
    fn only_a_host_that_no_node_can_be_goes_without_a_name() {
        for (url, name) in [
            ("https://k3s.example.org:6443", None),
            ("https://user@k3s.example.org/path", None),
            ("https://example.org", None),
            ("https://10.0.0.1:6443", Some(API_SERVER_NAME)),
            ("https://127.1:6443", Some(API_SERVER_NAME)),
            ("https://[fd00::1]:6443", Some(API_SERVER_NAME)),
            ("https://[::ffff:10.0.0.1]:6443", Some(API_SERVER_NAME)),
            ("https://localhost:6443", Some(API_SERVER_NAME)),
            ("https://master:6443", Some(API_SERVER_NAME)),
            ("https://master.:6443", Some(API_SERVER_NAME)),
            ("https://master/a.b", Some(API_SERVER_NAME)),
            ("https://a.b@master", Some(API_SERVER_NAME)),
            ("", Some(API_SERVER_NAME)),
        ] {
            assert_eq!(default_server_name(url), name, "{url}");
        }
        assert!(API_SERVER_NAME.parse::<seal::NodeName>().is_err());
    }

    #[test]
    fn a_token_file_is_named_and_not_copied() {
        let access = ClusterAccess {
            url: "https://a".into(),
            ca_pem: None,
            tls_server_name: None,
        };
        let value = parsed(&access, &Credential::File(Path::new("/secrets/a.token")));
        assert_eq!(value["users"][0]["user"]["tokenFile"], "/secrets/a.token");
        assert!(value["users"][0]["user"].get("token").is_none());
        let cluster = &value["clusters"][0]["cluster"];
        assert!(cluster.get("certificate-authority-data").is_none());
        assert!(cluster.get("tls-server-name").is_none());
        assert!(access.ca_hash().is_none());
    }

    #[test]
    fn an_agents_token_pins_the_ca_and_has_the_form_that_k3s_sends_as_a_bearer() {
        let hash = CaHash::parse(&"ab".repeat(32)).unwrap();
        let join = SealToken::from_bytes([0; 32]).join_credential();
        let token = join_token(&hash, &join);
        let expected = format!("K10{}::kttzp4.v3u4vjuklklsf889", "ab".repeat(32));
        assert_eq!(*token, expected);
    }
}
