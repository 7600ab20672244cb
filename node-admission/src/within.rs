//! A deadline for every call of the API server.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::join::JoinError;

/// One call may take this long. The API server's own webhooks take 3 s at most.
const CALL: Duration = Duration::from_secs(5);

/// Waits for a call, but not for ever.
pub(crate) async fn within<T>(
    what: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, JoinError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(JoinError::Api {
            what,
            source: Arc::new(source),
        }),
        Err(_elapsed) => Err(JoinError::Late { what }),
    }
}
