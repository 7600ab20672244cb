//! Takes changed TLS files into use without touching open connections.
//!
//! The files are compared by content at an interval, since that works on every
//! file system, through symbolic links and with Kubernetes' mounted Secrets. While
//! a pair is half replaced it does not fit together: the old one stays in use and
//! the next look finds the new one whole. New handshakes use the new files;
//! connections that are open stay as they are until they end.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::MissedTickBehavior;

use crate::config::TlsFiles;
use crate::metrics::{ListenerMetrics, ReloadOutcome};
use crate::tls::{Contents, Fingerprint, TlsError};

/// The TLS configuration that handshakes use now.
#[derive(Debug, Clone)]
pub(crate) struct Current(Arc<ArcSwap<rustls::ServerConfig>>);

impl Current {
    pub(crate) fn load(&self) -> Arc<rustls::ServerConfig> {
        self.0.load_full()
    }
}

/// Looks for changed files.
#[derive(Debug)]
pub(crate) struct Reloader {
    files: TlsFiles,
    current: Current,
    in_use: Fingerprint,
    /// What was refused last, so that it is reported once and not at every look.
    refused: Option<Fingerprint>,
    unreadable: bool,
    metrics: ListenerMetrics,
}

impl Reloader {
    /// Reads the files for the first time.
    pub(crate) fn start(files: TlsFiles, metrics: ListenerMetrics) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let prepared = contents.prepare(&files)?;
        metrics.certificate_expiry.set(prepared.expires_at);
        Ok(Self {
            current: Current(Arc::new(ArcSwap::new(prepared.config))),
            in_use: contents.fingerprint(),
            files,
            refused: None,
            unreadable: false,
            metrics,
        })
    }

    pub(crate) fn current(&self) -> Current {
        self.current.clone()
    }

    /// Looks at the files at every interval, until dropped.
    pub(crate) async fn run(mut self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(same) => self = same,
                Err(_) => return,
            }
        }
    }

    pub(crate) fn look(&mut self) {
        let contents = match Contents::read(&self.files) {
            Ok(contents) => contents,
            Err(error) => {
                if !self.unreadable {
                    self.unreadable = true;
                    self.keep(&error);
                }
                return;
            }
        };
        self.unreadable = false;
        let found = contents.fingerprint();
        if found == self.in_use || Some(found) == self.refused {
            return;
        }
        match contents.prepare(&self.files) {
            Ok(prepared) => {
                self.current.0.store(prepared.config);
                self.in_use = found;
                self.refused = None;
                self.metrics.certificate_expiry.set(prepared.expires_at);
                self.metrics.reload(ReloadOutcome::Loaded);
                tracing::info!(
                    certificate = %self.files.certificate.display(),
                    expires_at = prepared.expires_at,
                    "tls files changed and are in use"
                );
            }
            Err(error) => {
                self.refused = Some(found);
                self.keep(&error);
            }
        }
    }

    fn keep(&self, error: &TlsError) {
        self.metrics.reload(ReloadOutcome::Kept);
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "tls files changed but can't be used: the old ones stay in use"
        );
    }
}
