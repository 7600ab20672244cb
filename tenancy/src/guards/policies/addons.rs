//! What K3s's own controllers act on with a cluster admin's rights is not tenants' to write.
//!
//! The authorizer denies these groups to seal users. Their service accounts are authorized by RBAC,
//! and a chart or an operator may have aggregated such rights into the ClusterRole `admin`.

use super::super::cel::{TENANTS_IN_WORDS, tenants};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, DELETE, UPDATE};

pub(super) fn guard() -> Guard {
    let on = |group| On {
        group,
        resources: &["*/*"],
        operations: &[CREATE, UPDATE, DELETE],
    };
    Guard {
        name: "k3s-daas-addons",
        on: vec![
            on("helm.cattle.io"),
            on("k3s.cattle.io"),
            on("upgrade.cattle.io"),
            on("k3s-daas.io"),
        ],
        whom: TENANTS_IN_WORDS,
        who: tenants(),
        refuses: "every write of the API groups `helm.cattle.io`, `k3s.cattle.io`, \
                  `upgrade.cattle.io` and `k3s-daas.io`",
        why: "a HelmChart becomes a cluster-admin service account within seconds; RBAC may give a \
              tenant's service account what the authorizer denies its owner",
        variables: vec![],
        verdict: Verdict::Refuse(vec![Check::new(
            "false",
            "objects of this API group are the operator's; install charts with helm",
        )]),
    }
}
