//! Definitions of the tier admin are its own: no other's group, no webhook.

use super::super::cel::{TENANTS_IN_WORDS, is_of_domains, tenants};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, UPDATE};

const RESERVED: [&str; 7] = [
    "helm.cattle.io",
    "k3s.cattle.io",
    "upgrade.cattle.io",
    "k3s.io",
    "k3s-daas.io",
    "k8s.io",
    "kubernetes.io",
];

pub(super) fn guard() -> Guard {
    Guard {
        name: "k3s-daas-crds",
        on: vec![On {
            group: "apiextensions.k8s.io",
            resources: &["customresourcedefinitions", "customresourcedefinitions/*"],
            operations: &[CREATE, UPDATE],
        }],
        whom: TENANTS_IN_WORDS,
        who: tenants(),
        refuses: "definitions with a conversion webhook; of the groups `helm.cattle.io`, \
                  `k3s.cattle.io`, `upgrade.cattle.io`, `k3s.io`, `k3s-daas.io`, `k8s.io`, \
                  `kubernetes.io` or below them",
        why: "a conversion webhook is called by the API server, from inside its network, with every \
              object of the kind; controllers with a cluster admin's rights act on these groups",
        variables: vec![],
        verdict: Verdict::Refuse(vec![
            Check::new(
                "object.spec.?conversion.?strategy.orValue(\"None\") == \"None\" \
                 && !has(object.spec.?conversion.orValue({}).webhook)",
                "a CustomResourceDefinition can't name a conversion webhook; use the strategy None",
            ),
            Check::new(
                format!("!{}", is_of_domains("object.spec.group", &RESERVED)),
                format!(
                    "the API groups {} and those below them are the system's; use a domain of your own",
                    RESERVED.join(", ")
                ),
            ),
        ]),
    }
}
