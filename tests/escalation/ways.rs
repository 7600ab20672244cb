//! The ways, by area.

use futures::future::BoxFuture;
use seal::Tier;

use crate::attempt::Attempt;

/// How a way ends: an error means that it could not be tried.
pub type Tried = anyhow::Result<()>;

/// One way to more rights.
pub struct Way {
    /// What is tried, for people; its key in the document.
    pub name: &'static str,
    /// Who tries.
    pub tiers: &'static [Tier],
    /// The script.
    pub run: for<'a, 'b> fn(&'a Attempt<'b>) -> BoxFuture<'a, Tried>,
}

/// Everybody who could gain anything.
pub const BELOW_SUPER: &[Tier] = &[Tier::Viewer, Tier::Developer, Tier::Admin];
/// Those who have a namespace to work in.
pub const WORKERS: &[Tier] = &[Tier::Developer, Tier::Admin];
/// Those who have nothing outside their own namespaces.
pub const SMALL: &[Tier] = &[Tier::Viewer, Tier::Developer];
/// The developer alone.
pub const DEVELOPER: &[Tier] = &[Tier::Developer];
/// The admin alone.
pub const ADMIN: &[Tier] = &[Tier::Admin];
/// Who has a machine in the cluster: the least stake is enough.
pub const MACHINE: &[Tier] = &[Tier::Viewer];
/// Who may do everything but what nobody may.
pub const SUPER: &[Tier] = &[Tier::Super];

macro_rules! ways {
    ($($name:literal, $tiers:ident => $run:ident;)+) => {
        /// The ways of this area.
        pub const WAYS: &[crate::ways::Way] = &[$(
            crate::ways::Way { name: $name, tiers: $tiers, run: |t| Box::pin($run(t)) }
        ),+];
    };
}

mod accounts;
mod addons;
mod admission;
mod ended;
mod guarded;
mod identity;
mod machines;
mod marks;
mod namespaces;
mod network;
mod network_guarded;
mod nodes;
mod ours;
mod pods;
mod protected;
mod roles;
mod spelling;
mod volumes;

const AREAS: &[(&str, &[Way])] = &[
    ("Add-ons", addons::WAYS),
    ("Roles and impersonation", roles::WAYS),
    ("Service accounts", accounts::WAYS),
    ("Pods", pods::WAYS),
    ("Namespaces and quotas", namespaces::WAYS),
    ("Marks of namespaces", marks::WAYS),
    ("Protected namespaces and Secrets", protected::WAYS),
    ("Nodes", nodes::WAYS),
    ("Machines of strangers", machines::WAYS),
    ("Volumes", volumes::WAYS),
    ("Network", network::WAYS),
    ("The walls of a namespace", network_guarded::WAYS),
    ("Kinds that the tier admin keeps", guarded::WAYS),
    (
        "Admission, certificates, other cluster objects",
        admission::WAYS,
    ),
    ("Credentials and headers", identity::WAYS),
    ("Spellings of a request", spelling::WAYS),
    ("What is left after the end", ended::WAYS),
    ("The extension itself", ours::WAYS),
];

/// All of them, with their areas.
pub fn all() -> impl Iterator<Item = (&'static str, &'static Way)> {
    AREAS
        .iter()
        .flat_map(|(area, ways)| ways.iter().map(move |way| (*area, way)))
}
