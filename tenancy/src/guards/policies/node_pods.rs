//! Machines make no pods.
//!
//! A kubelet shows its static pods to the API server as mirror pods, in any namespace it likes:
//! Kubernetes wants of them that they are bound to its own Node and use no account and no Secret, and
//! nothing else. A stranger's machine could so put a pod with the right labels behind the Services of
//! somebody else's namespace, and fill its quota.
//!
//! Source: Kubernetes' admission plugin NodeRestriction (`admitPodCreate`). K3s's agents have no
//!         static pods of their own.

use super::super::GuardSettings;
use super::super::cel::machines;
use super::super::guard::{Check, Guard, On, Verdict};
use super::CREATE;

pub(super) fn guard(settings: &GuardSettings) -> Guard {
    Guard {
        name: "k3s-daas-node-pods",
        on: vec![On {
            group: "",
            resources: &["pods"],
            operations: &[CREATE],
        }],
        whom: "kubelets but those of control-plane nodes, and the users that all machines share",
        who: machines(&settings.control_plane_nodes),
        refuses: "making pods: mirrors of static pods, too",
        why: "a mirror pod may stand in any namespace, with the labels that its Services look for: \
              their traffic would go to a stranger's machine",
        variables: vec![],
        verdict: Verdict::Refuse(vec![Check::new(
            "false",
            "machines run the pods that the cluster gives them and make none: no static pods here",
        )]),
    }
}
