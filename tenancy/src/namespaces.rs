//! Tenants' namespaces.
