//! All tenants' namespaces of a cluster, as one process sees them.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use seal::{Address, Tier};
use sui_ledger::directory::{Change, Directory, SealDirectory};
use tokio::sync::{Semaphore, broadcast, watch};

use super::addresses;
use super::controller;
use super::error::HomeError;
use super::home::{self, Home};
use super::metrics::TenantMetrics;
use super::names;
use super::objects::{self, Objects};
use super::ranges;
use super::settings::NamespaceSettings;
use crate::leader;

/// Who holds it keeps the namespaces.
const LEASE: &str = "k3s-daas-tenancy";

/// Namespaces made at once: 200 first uses must leave the API server room for everybody else.
const MADE_AT_ONCE: usize = 16;

/// A seal directory that tells of changes.
pub trait TenantDirectory: SealDirectory {
    /// Everything that happens to seals from now on.
    fn changes(&self) -> broadcast::Receiver<Change>;
}

impl TenantDirectory for Directory {
    fn changes(&self) -> broadcast::Receiver<Change> {
        self.subscribe()
    }
}

/// Makes and keeps tenants' namespaces. Clones are handles of the same one.
#[derive(Debug)]
pub struct Tenants<D> {
    pub(super) shared: Arc<Shared<D>>,
}

impl<D> Clone for Tenants<D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared<D> {
    pub(super) directory: Arc<D>,
    pub(super) settings: ArcSwap<NamespaceSettings>,
    /// Told when the settings are replaced, or when addresses were found or went.
    pub(super) news: watch::Sender<u64>,
    /// Addresses of the API server and of nodes, in this order.
    pub(super) found: ArcSwap<Vec<IpAddr>>,
    pub(super) metrics: TenantMetrics,
    making: Semaphore,
}

impl<D: TenantDirectory> Tenants<D> {
    /// Starts nothing.
    #[must_use]
    pub fn new(directory: Arc<D>, settings: NamespaceSettings, metrics: TenantMetrics) -> Self {
        Self {
            shared: Arc::new(Shared {
                directory,
                settings: ArcSwap::from_pointee(settings),
                news: watch::Sender::new(0),
                found: ArcSwap::default(),
                metrics,
                making: Semaphore::new(MADE_AT_ONCE),
            }),
        }
    }

    /// Makes sure of an owner's first namespace, with all that belongs to it, and tells its name.
    ///
    /// For the first use, on any replica, while the owner waits. What is complete is left as it
    /// is: the controller keeps it.
    pub async fn ensure_home(
        &self,
        client: &kube::Client,
        owner: &Address,
        tier: Tier,
    ) -> Result<String, HomeError> {
        let name = names::name_of(owner, None);
        let tier = self.shared.settings.load().elevated.cap(tier, owner);
        let tier = objects::quota_tier(tier);
        let objects = self.shared.objects(&name, owner, tier, true);
        let home = Home {
            name: &name,
            owner,
            tier,
            objects: &objects,
        };
        // Never closed.
        let _place = self.shared.making.acquire().await;
        Box::pin(home::ensure(client, &home, &self.shared.metrics)).await?;
        Ok(name)
    }

    /// Keeps all namespaces for ever, while this process leads; stops when it is dropped.
    ///
    /// `identity` tells replicas apart: the name of the host or of the pod.
    pub async fn run(&self, client: kube::Client, identity: String) {
        let addresses = addresses::follow(&self.shared, client.clone());
        let keep = || controller::keep(self, &client, &identity);
        let leads = |leads| self.shared.metrics.leader(leads);
        let lead = leader::lead(&client, LEASE, &identity, leads, keep);
        tokio::join!(addresses, lead);
    }

    /// Replaces the settings; all namespaces are looked at again.
    pub fn replace_settings(&self, settings: NamespaceSettings) {
        self.shared.settings.store(Arc::new(settings));
        self.shared.tell();
    }

    /// Writes to the API server so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.shared.metrics.writes()
    }
}

impl<D> Shared<D> {
    /// What belongs in a namespace by the settings and the addresses of now.
    pub(super) fn objects(&self, name: &str, owner: &Address, tier: Tier, pods: bool) -> Objects {
        let settings = self.settings.load();
        let closed = ranges::closed(&settings.closed_ranges, &self.found.load());
        objects::objects(name, owner, &settings.quotas.of(tier), pods, &closed)
    }

    /// Everything is to be looked at again.
    pub(super) fn tell(&self) {
        self.news
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
