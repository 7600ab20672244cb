//! Strangers on one cluster: tenants' namespaces from first use to release, and the guards inside
//! the API server that keep tenants in their tier.
//!
//! Shape:  [`guards`] writes admission policies and keeps them in place; [`namespaces`] makes the
//!         namespaces of owners, keeps them guarded, and ends them when their owner's seals end.
//!         Both run for ever on a client of the API server, and are told anew what they need
//!         when the configuration changes. [`leader`] sees to it that one replica at a time does
//!         what only one may do; [`pace`] says when a controller looks again.

pub mod guards;
pub mod leader;
pub mod namespaces;
pub mod pace;
