//! The two webhooks behind one listener.

use std::sync::Arc;

use authn_webhook::Authn;
use authz_webhook::{App, NamespaceWatch};
use axum::Router;
use sui_ledger::directory::Directory;

use super::homes::Homes;
use super::joins::Joins;
use super::settings::Settings;

/// Who answers reviews. Clones answer by the same settings.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) authenticator: Arc<Authn<Directory, Homes, Joins>>,
    pub(super) authorizer: Arc<App<Directory, NamespaceWatch>>,
    pub(super) watch: Arc<NamespaceWatch>,
}

impl Answers {
    pub(super) fn router(&self) -> Router {
        authn_webhook::router(Arc::clone(&self.authenticator))
            .merge(authz_webhook::router(Arc::clone(&self.authorizer)))
    }

    /// Answers by these settings from the next decision on.
    pub(super) fn replace(&self, settings: &Settings) {
        self.authenticator.replace_policy(settings.authn.clone());
        self.watch.protect(settings.authz.policy.protected.clone());
        self.authorizer.replace_settings(settings.authz.clone());
    }
}
