//! Tenants run nothing in namespaces that the operator made privileged, and nothing at the
//! system's priority.

use super::super::cel::{TENANTS_IN_WORDS, tenants};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CONNECT, CREATE, UPDATE};

pub(super) fn guard() -> Guard {
    let operations = &[CREATE, UPDATE];
    Guard {
        name: "k3s-daas-workloads",
        on: vec![
            On {
                group: "",
                resources: &[
                    "pods",
                    "pods/ephemeralcontainers",
                    "pods/resize",
                    "replicationcontrollers",
                    "podtemplates",
                ],
                operations,
            },
            On {
                group: "",
                resources: &["pods/exec", "pods/attach"],
                operations: &[CONNECT],
            },
            On {
                group: "apps",
                resources: &["deployments", "replicasets", "statefulsets", "daemonsets"],
                operations,
            },
            On {
                group: "batch",
                resources: &["jobs", "cronjobs"],
                operations,
            },
        ],
        whom: TENANTS_IN_WORDS,
        who: tenants(),
        refuses: "pods and workloads, exec and attach in namespaces that enforce Pod Security \
                  `privileged`; pods and workloads of the priority classes `system-*`, anywhere",
        why: "a privileged pod is root on its node: a namespace that the operator opened for a \
              driver must not open it to the tier admin. A pod of a system class displaces the \
              control plane's own",
        variables: vec![(
            "pod",
            // Of a pod, a template, a cron job; of the rest there is nothing to see.
            "object.?spec.?jobTemplate.?spec.?template.?spec\
             .or(object.?spec.?template.?spec).or(object.?template.?spec).or(object.?spec)\
             .orValue({})"
                .to_owned(),
        )],
        verdict: Verdict::Refuse(vec![
            Check::new(
                "namespaceObject.metadata.?labels[?\"pod-security.kubernetes.io/enforce\"]\
                 .orValue(\"\") != \"privileged\"",
                "this namespace is open to privileged pods, so only the operator and the tier super \
                 run workloads in it; use another namespace",
            ),
            Check::new(
                "!variables.pod.?priorityClassName.orValue(\"\").startsWith(\"system-\")",
                "the priority classes system-* are for the system's own pods; leave the class out \
                 or use another",
            ),
        ]),
    }
}
