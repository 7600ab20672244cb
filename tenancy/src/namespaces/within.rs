//! A deadline for every call of the API server.

use std::future::Future;
use std::time::Duration;

use super::error::HomeError;

/// One call may take this long. The API server's own webhooks take 3 s at most.
const CALL: Duration = Duration::from_secs(15);

/// Waits for a call, but not for ever.
pub(super) async fn within<T>(
    what: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, HomeError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(HomeError::Api {
            what,
            source: Box::new(source),
        }),
        Err(_elapsed) => Err(HomeError::Late { what }),
    }
}
