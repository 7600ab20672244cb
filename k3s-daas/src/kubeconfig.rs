//! Kubeconfigs for seal holders.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::SealToken;
use zeroize::Zeroizing;

use crate::failure::{Kind, OrFail, Outcome};
use crate::secrets::write_private;

/// What a kubeconfig says of the cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The API server's address.
    pub url: String,
    /// Its CA bundle; the machine's own authorities when not given.
    pub ca: Option<Vec<u8>>,
    /// The name its certificate must bear.
    pub tls_server_name: Option<String>,
}

impl Cluster {
    /// Reads the CA from a file.
    pub fn new(
        url: String,
        ca: Option<&PathBuf>,
        tls_server_name: Option<String>,
    ) -> Outcome<Self> {
        let read = |path: &PathBuf| {
            let doing = format!("can't read the cluster's CA from {}", path.display());
            std::fs::read(path).or_fail(Kind::Usage, doing)
        };
        Ok(Self {
            url,
            ca: ca.map(read).transpose()?,
            tls_server_name,
        })
    }
}

/// How the kubeconfig gets at the token.
#[derive(Debug)]
pub enum Credential<'a> {
    /// The kubeconfig holds it.
    Inline(&'a SealToken),
    /// The kubeconfig names the file, so that a refresh needs no new kubeconfig.
    File(&'a Path),
}

/// The text of a kubeconfig; secret when the token is inline.
pub fn render(
    cluster: &Cluster,
    credential: &Credential<'_>,
    namespace: &str,
) -> Outcome<Zeroizing<String>> {
    let name = "k3s-daas";
    let mut entry = serde_json::json!({ "server": cluster.url });
    if let (Some(ca), Some(entry)) = (&cluster.ca, entry.as_object_mut()) {
        entry.insert(
            "certificate-authority-data".into(),
            STANDARD.encode(ca).into(),
        );
    }
    if let (Some(name), Some(entry)) = (&cluster.tls_server_name, entry.as_object_mut()) {
        entry.insert("tls-server-name".into(), name.as_str().into());
    }
    let user = match credential {
        Credential::Inline(token) => serde_json::json!({ "token": token.reveal().as_str() }),
        Credential::File(path) => serde_json::json!({ "tokenFile": path }),
    };
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": name, "cluster": entry }],
        "users": [{ "name": "seal", "user": user }],
        "contexts": [{
            "name": name,
            "context": { "cluster": name, "user": "seal", "namespace": namespace },
        }],
        "current-context": name,
    });
    serde_yaml_ng::to_string(&config)
        .map(Zeroizing::new)
        .or_fail(Kind::Failed, "the kubeconfig can't be written")
}

/// Writes a kubeconfig, mode 0600.
pub fn write(
    path: &Path,
    cluster: &Cluster,
    credential: &Credential<'_>,
    namespace: &str,
) -> Outcome {
    let text = render(cluster, credential, namespace)?;
    let doing = format!("can't write {}", path.display());
    write_private(path, text.as_bytes()).or_fail(Kind::Failed, doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_that_kube_clients_read() {
        let cluster = Cluster {
            url: "https://127.0.0.1:6443".into(),
            ca: Some(b"pem".to_vec()),
            tls_server_name: Some("kubernetes".into()),
        };
        let token = SealToken::from_bytes([7; 32]);
        let text = render(&cluster, &Credential::Inline(&token), "seal-1").unwrap();
        let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        let entry = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(entry.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(entry.tls_server_name.as_deref(), Some("kubernetes"));
        assert_eq!(entry.certificate_authority_data.as_deref(), Some("cGVt"));
        assert!(text.contains(&"07".repeat(32)));
        assert_eq!(config.current_context.as_deref(), Some("k3s-daas"));
    }

    #[test]
    fn a_token_file_is_named_and_not_copied() {
        let cluster = Cluster {
            url: "https://a".into(),
            ca: None,
            tls_server_name: None,
        };
        let path = Path::new("/secrets/a.token");
        let text = render(&cluster, &Credential::File(path), "seal-1").unwrap();
        let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        let user = config.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.token_file.as_deref(), Some("/secrets/a.token"));
    }
}
