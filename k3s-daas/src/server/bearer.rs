//! The server's token: in memory, where it can be replaced while a client is in use.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderValue;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// The token that counts now. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Bearer {
    token: Arc<RwLock<Zeroizing<String>>>,
    refused: Arc<Notify>,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer([redacted])")
    }
}

impl Bearer {
    pub(super) fn new(token: Zeroizing<String>) -> Self {
        let bearer = Self::default();
        bearer.replace(token);
        bearer
    }

    /// From now on requests carry this one; the old one is wiped.
    pub(super) fn replace(&self, token: Zeroizing<String>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Says that the API server answered 401.
    pub(super) fn was_refused(&self) {
        self.refused.notify_one();
    }

    /// Waits until a request was answered with 401.
    pub(super) async fn refused(&self) {
        self.refused.notified().await;
    }

    /// As the value of `Authorization`.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        let text = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_token_is_sent_and_none_is_shown() {
        let bearer = Bearer::new(Zeroizing::new("old".to_owned()));
        let shared = bearer.clone();
        shared.replace(Zeroizing::new("new".to_owned()));
        let header = bearer.header().unwrap();
        assert_eq!(header, "Bearer new");
        assert!(!format!("{header:?} {bearer:?}").contains("new"));
        // A refusal before anybody waits is not lost.
        shared.was_refused();
        bearer.refused().await;
    }
}
