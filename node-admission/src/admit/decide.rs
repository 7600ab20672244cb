//! Whether a Node may be written as a machine wants it.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use seal::identity::NODE_USER_PREFIX;

use super::book::Book;
use super::claims::{Claims, MOST};
use super::ip::{self, Unusable};
use super::review::{AdmissionReview, Change, Request};
use super::{AdmitMetrics, AdmitSettings};

/// As this user every machine's flannel writes, on any Node.
pub(super) const SHARED_USER: &str = "system:k3s-controller";

/// The webhook's state: settings, the book of all Nodes, and its counts.
#[derive(Debug)]
pub struct Admit {
    settings: ArcSwap<AdmitSettings>,
    pub(super) book: Mutex<Book>,
    pub(super) metrics: AdmitMetrics,
}

/// Why a Node may not be written so. A closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A machine does what this webhook is not asked about.
    #[error("of what machines do this webhook judges the creation and update of Nodes alone")]
    Unexpected,
    /// The watch of all Nodes has not told yet, or no more.
    #[error(
        "the addresses of other Nodes are not known at this moment; it is tried again by itself"
    )]
    Unknown,
    /// A kubelet writes another Node than its own.
    #[error("a machine writes its own Node only")]
    ForeignNode,
    /// The machine bears a name of the control plane.
    #[error("the name {0} is reserved for the control plane; stake for another --node-id")]
    ReservedNode(String),
    /// A host name or DNS name is one of the control plane or of another Node.
    #[error(
        "the host name {0} is that of the control plane or of another Node; give the machine \
         another one (hostnamectl) or none in --node-internal-dns and --node-external-dns"
    )]
    ForeignName(String),
    /// Neither an address nor a name.
    #[error("{0:?} is no address that a Node can have")]
    Nonsense(String),
    /// More than a machine has.
    #[error("a Node can have {MOST} addresses and names")]
    TooMany,
    /// Addresses that no machine is reached at.
    #[error("{0} is {what}; give the agent another --node-ip", what = .1.words())]
    Unreachable(IpAddr, Unreachable),
    /// An address within the cluster's own ranges.
    #[error("{0} lies in the cluster's own range {1}; give the agent another --node-ip")]
    ClusterRange(IpAddr, IpNet),
    /// An address of the control plane.
    #[error("{0} is an address of the control plane; give the agent another --node-ip")]
    ControlPlane(IpAddr),
    /// An address of another Node.
    #[error(
        "{0} is the address of the Node {1}; give the agent another --node-ip or \
         --node-external-ip. If that Node is gone for good, end its seal"
    )]
    Taken(IpAddr, String),
    /// Too many addresses were claimed within a minute.
    #[error("too many addresses were claimed within a minute; it is tried again by itself")]
    TooOften,
}

/// A class of addresses that no machine is reached at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable(Unusable);

impl Unreachable {
    const fn words(self) -> &'static str {
        self.0.words()
    }
}

impl Refusal {
    /// Every label, for metrics.
    pub(super) const LABELS: [&'static str; 12] = [
        "unexpected",
        "unknown",
        "foreign_node",
        "reserved_node",
        "foreign_name",
        "nonsense",
        "too_many",
        "unreachable",
        "cluster_range",
        "control_plane",
        "taken",
        "too_often",
    ];

    /// One word, for metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unexpected => "unexpected",
            Self::Unknown => "unknown",
            Self::ForeignNode => "foreign_node",
            Self::ReservedNode(_) => "reserved_node",
            Self::ForeignName(_) => "foreign_name",
            Self::Nonsense(_) => "nonsense",
            Self::TooMany => "too_many",
            Self::Unreachable(..) => "unreachable",
            Self::ClusterRange(..) => "cluster_range",
            Self::ControlPlane(_) => "control_plane",
            Self::Taken(..) => "taken",
            Self::TooOften => "too_often",
        }
    }
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer<'a> {
    /// A stranger's machine.
    Machine(&'a str),
    /// Any stranger's machine.
    SomeMachine,
    /// Whoever is trusted with Nodes: the control plane's own, controllers, the operator.
    Trusted,
}

impl Writer<'_> {
    fn of<'a>(user: &'a str, settings: &AdmitSettings) -> Writer<'a> {
        match user.strip_prefix(NODE_USER_PREFIX) {
            Some(name) if settings.control_plane_nodes.contains(name) => Writer::Trusted,
            Some(name) => Writer::Machine(name),
            None if user == SHARED_USER => Writer::SomeMachine,
            None => Writer::Trusted,
        }
    }
}

impl Admit {
    /// A webhook that knows no Node yet, and so refuses; [`Self::run`] teaches it.
    #[must_use]
    pub fn new(settings: AdmitSettings, metrics: AdmitMetrics) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            book: Mutex::default(),
            metrics,
        }
    }

    /// Takes new settings, for the next review.
    pub fn replace_settings(&self, settings: AdmitSettings) {
        self.settings.store(std::sync::Arc::new(settings));
    }

    /// True while all Nodes are known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.with_book(|book| book.is_known(Instant::now()))
    }

    pub(super) fn with_book<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        // Each change of the book is whole before anything in it can panic.
        work(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Judges one review. Of what machines claim it allows what no other Node has, and remembers
    /// that.
    pub fn review(&self, now: Instant, review: &AdmissionReview) -> Result<(), Refusal> {
        self.judge(now, &review.request)
    }

    /// Takes these for all Nodes that there are, for who knows them otherwise than by [`Self::run`].
    pub fn learn<'a>(&self, nodes: impl IntoIterator<Item = &'a Node>) {
        self.with_book(|book| {
            book.begin();
            for node in nodes {
                book.list(&node.name_any(), &Claims::of(node));
            }
            book.listed();
        });
    }

    pub(super) fn judge(&self, now: Instant, request: &Request) -> Result<(), Refusal> {
        let settings = self.settings.load();
        if Writer::of(request.user(), &settings) == Writer::Trusted {
            return Ok(());
        }
        let change = request.change().ok_or(Refusal::Unexpected)?;
        self.with_book(|book| decide(&settings, book, now, &change))
    }
}

/// Decides, and grants what it allows.
fn decide(
    settings: &AdmitSettings,
    book: &mut Book,
    now: Instant,
    change: &Change,
) -> Result<(), Refusal> {
    match Writer::of(&change.user, settings) {
        Writer::Trusted => return Ok(()),
        Writer::Machine(name) if name != change.name => return Err(Refusal::ForeignNode),
        Writer::Machine(_) if settings.reserves(&change.name) => {
            return Err(Refusal::ReservedNode(change.name.clone()));
        }
        Writer::Machine(_) | Writer::SomeMachine => {}
    }
    let claims = &change.claims;
    if let Some(nonsense) = &claims.nonsense {
        return Err(Refusal::Nonsense(nonsense.clone()));
    }
    if claims.len() > MOST {
        return Err(Refusal::TooMany);
    }
    if !book.is_known(now) {
        return Err(Refusal::Unknown);
    }
    for name in &claims.names {
        let own = *name == change.name;
        if !own && (settings.reserves(name) || book.is_node(name)) {
            return Err(Refusal::ForeignName(name.clone()));
        }
    }
    for &address in &claims.addresses {
        usable(settings, book, address)?;
        if let Some(holder) = book.other_holder(now, address, &change.name) {
            return Err(Refusal::Taken(address, holder.to_owned()));
        }
    }
    if change.dry_run {
        return Ok(());
    }
    book.reserve(now, &change.name, &claims.addresses)
        .map_err(|_| Refusal::TooOften)
}

fn usable(settings: &AdmitSettings, book: &Book, address: IpAddr) -> Result<(), Refusal> {
    if let Some(why) = ip::unusable(address) {
        return Err(Refusal::Unreachable(address, Unreachable(why)));
    }
    if let Some(range) = settings.range_of(address) {
        return Err(Refusal::ClusterRange(address, range));
    }
    if settings.control_plane_addresses.contains(&address) || book.is_server(address) {
        return Err(Refusal::ControlPlane(address));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
