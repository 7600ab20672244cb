//! Whether somebody answers at a CRI socket.

use std::path::Path;
use std::time::Duration;

use k8s_cri::v1::VersionRequest;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;

use crate::stats::cri::dial;

/// Asks a socket for its runtime: its name and version, or why nobody says.
pub async fn version(socket: &Path, within: Duration) -> Result<String, String> {
    let mut runtime = RuntimeServiceClient::new(dial(socket));
    let answer = runtime.version(VersionRequest::default());
    match tokio::time::timeout(within, answer).await {
        Ok(Ok(answer)) => {
            let version = answer.into_inner();
            Ok(format!(
                "{} {}",
                version.runtime_name, version.runtime_version
            ))
        }
        Ok(Err(status)) => Err(status.message().to_owned()),
        Err(_) => Err(format!("no answer within {within:?}")),
    }
}
