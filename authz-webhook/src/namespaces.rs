//! Whose namespace it is.

mod follow;
mod marks;
mod watch;

use seal::access::NamespaceView;

pub use watch::NamespaceWatch;

/// Tells what is known of a namespace, at once and without I/O.
pub trait NamespaceOwners: Send + Sync + 'static {
    /// What is known of the namespace of this name; [`NamespaceView::UNKNOWN`] or
    /// `Ownership::Unknown` for one that was not heard of.
    fn view(&self, name: &str) -> NamespaceView;
}
