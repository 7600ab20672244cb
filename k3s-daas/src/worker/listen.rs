//! Listeners that kubelet's calls must not depend on.
//!
//! Why:    a pod in the machine's own network may take our port. A worker that ended for it would take
//!         the runtime from kubelet, which alone can end that pod.

use std::time::Duration;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use webhook_server::{ServerConfig, ServerMetrics, serve};

use crate::causes::in_one_line;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(2);

/// Serves as soon as the address is free and the certificate can be read. Ends with the shutdown.
pub(super) fn once_free(
    config: ServerConfig,
    router: Router,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
) -> AbortOnDropHandle<()> {
    let (name, address) = (config.name, config.listen);
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut told = false;
        loop {
            let (config, router) = (config.clone(), router.clone());
            match serve(config, router, &metrics, shutdown.clone()).await {
                Ok(serving) => {
                    // Drained by the shutdown, or gone with this task.
                    let _ = AbortOnDropHandle::new(serving.task).await;
                    return;
                }
                Err(error) if told => tracing::debug!(listener = name, %error, "not yet"),
                Err(error) => {
                    told = true;
                    tracing::error!(
                        listener = name,
                        %address,
                        error = %in_one_line(&error),
                        "does not listen, and tries again; kubelet is served all the same"
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use webhook_server::{Limits, Transport};

    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_waited_for() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ServerConfig {
            name: "test",
            listen: taken.local_addr().unwrap(),
            transport: Transport::Plain,
            limits: Limits::default(),
        };
        let (address, shutdown) = (config.listen, CancellationToken::new());
        let metrics = ServerMetrics::register(&mut Registry::default());
        let serving = once_free(config, Router::new(), metrics, shutdown.clone());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!serving.is_finished());
        drop(taken);
        let ask = async {
            loop {
                let asked = asked_at(address).await;
                if asked.starts_with("HTTP/1.1 404") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ask)
            .await
            .unwrap();
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(30), serving)
            .await
            .unwrap()
            .unwrap();
    }

    /// An answer's first bytes; none where nobody listens.
    async fn asked_at(address: std::net::SocketAddr) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let ask = async {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            stream
                .write_all(b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n")
                .await?;
            let mut first = vec![0; 64];
            let read = stream.read(&mut first).await?;
            first.truncate(read);
            std::io::Result::Ok(first)
        };
        String::from_utf8_lossy(&ask.await.unwrap_or_default()).into_owned()
    }
}
