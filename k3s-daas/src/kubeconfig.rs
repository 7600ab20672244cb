//! Kubeconfigs for seal holders, as files.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::failure::{Kind, OrFail, Outcome};
use crate::secrets::write_private;

use k3s_configs::access::default_server_name;
pub use k3s_configs::access::{API_SERVER_NAME, ClusterAccess as Cluster, Credential};

/// The CA bundle in a file.
pub fn read_ca(path: &Path) -> Outcome<Vec<u8>> {
    let doing = format!("can't read the cluster's CA from {}", path.display());
    std::fs::read(path).or_fail(Kind::Usage, doing)
}

/// The cluster, its CA read from a file.
pub fn cluster(
    url: String,
    ca: Option<&PathBuf>,
    tls_server_name: Option<String>,
) -> Outcome<Cluster> {
    let default = || default_server_name(&url).map(str::to_owned);
    Ok(Cluster {
        tls_server_name: tls_server_name.or_else(default),
        ca_pem: ca.map(|path| read_ca(path)).transpose()?,
        url,
    })
}

/// The text of a kubeconfig; secret when the token is in it.
pub fn render(
    cluster: &Cluster,
    credential: &Credential<'_>,
    namespace: &str,
) -> Outcome<Zeroizing<String>> {
    cluster
        .kubeconfig(credential, namespace)
        .or_fail(Kind::Failed, "there is no kubeconfig")
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
    use seal::SealToken;

    use super::*;

    #[test]
    fn is_one_that_kube_clients_read() {
        let cluster = Cluster {
            url: "https://127.0.0.1:6443".into(),
            ca_pem: Some(b"pem".to_vec()),
            tls_server_name: Some(API_SERVER_NAME.into()),
        };
        let token = SealToken::from_bytes([7; 32]);
        let text = render(&cluster, &Credential::Token(&token), "seal-1").unwrap();
        let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        let entry = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(entry.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(entry.tls_server_name.as_deref(), Some(API_SERVER_NAME));
        assert_eq!(entry.certificate_authority_data.as_deref(), Some("cGVt"));
        assert!(text.contains(&"07".repeat(32)));
        assert_eq!(config.current_context.as_deref(), Some("k3s-daas"));
    }
}
