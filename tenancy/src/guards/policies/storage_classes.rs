//! Storage classes of the tier admin choose no place and no Secret.

use super::super::cel::{TENANTS_IN_WORDS, tenants};
use super::super::guard::{Check, Guard, On, Verdict};
use super::paths::{harmless, harmless_options};
use super::{CREATE, UPDATE};

pub(super) fn guard() -> Guard {
    Guard {
        name: "k3s-daas-storage-classes",
        on: vec![On {
            group: "storage.k8s.io",
            resources: &["storageclasses"],
            operations: &[CREATE, UPDATE],
        }],
        whom: TENANTS_IN_WORDS,
        who: tenants(),
        refuses: "storage classes with parameters whose key speaks of a path, folder, share, mount, \
                  device or Secret, or whose value begins with `/` or contains `..`; mount options \
                  with a `/`",
        why: "K3s's own provisioner makes a `hostPath` volume from `pathPattern` and `nodePath`; a \
              driver is handed any Secret of any namespace that a class names",
        variables: vec![
            ("parameters", "object.?parameters.orValue({})".to_owned()),
            ("options", "object.?mountOptions.orValue([])".to_owned()),
        ],
        verdict: Verdict::Refuse(vec![
            Check::new(
                harmless("variables.parameters"),
                "parameters of a StorageClass can't choose paths, folders, devices or Secrets; ask \
                 the operator for a class that does",
            ),
            Check::new(
                harmless_options("variables.options"),
                "mount options of a StorageClass can't name files; leave those with a / out",
            ),
        ]),
    }
}
