//! The tier admin makes volumes that a driver confines, and leaves the system's alone.

use seal::identity::NAMESPACE_PREFIX;

use super::super::cel::{TENANTS_IN_WORDS, list, tenants, text};
use super::super::guard::{Check, Guard, On, Verdict};
use super::paths::{harmless, harmless_options};
use super::{CREATE, DELETE, UPDATE};

/// All of a volume's spec that chooses no source.
const SPEC: [&str; 10] = [
    "accessModes",
    "capacity",
    "claimRef",
    "csi",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];
/// All of a driver's source but references to Secrets.
const SOURCE: [&str; 5] = [
    "driver",
    "fsType",
    "readOnly",
    "volumeAttributes",
    "volumeHandle",
];

pub(super) fn guard() -> Guard {
    let claimed_by_tenant = |of: &str| {
        format!(
            "({of} == null || {of}.spec.?claimRef.?namespace.orValue({prefix}).startsWith({prefix}))",
            prefix = text(NAMESPACE_PREFIX)
        )
    };
    let made = format!("request.operation != {CREATE:?}");
    Guard {
        name: "k3s-daas-volumes",
        on: vec![On {
            group: "",
            resources: &["persistentvolumes", "persistentvolumes/*"],
            operations: &[CREATE, UPDATE, DELETE],
        }],
        whom: TENANTS_IN_WORDS,
        who: tenants(),
        refuses: "persistent volumes with another source than `csi`; with Secrets; with handles, \
                  attributes or mount options that are paths; with the handle of a provisioned \
                  volume (`pvc-`); made for, changed or deleted while claimed from a namespace that \
                  is not `seal-*`",
        why: "a `hostPath` or `local` volume is the node's disk; a driver is handed any Secret that \
              is named; a volume claimed anew is read by whoever claims it",
        variables: vec![
            ("spec", "dyn(object == null ? {} : object.spec)".to_owned()),
            ("csi", "dyn(variables.spec.?csi.orValue({}))".to_owned()),
            (
                "attributes",
                "variables.csi.?volumeAttributes.orValue({})".to_owned(),
            ),
            (
                "options",
                "variables.spec.?mountOptions.orValue([])".to_owned(),
            ),
        ],
        verdict: Verdict::Refuse(vec![
            // The source can't change later.
            Check::new(
                format!(
                    "{made} || (has(variables.spec.csi) && variables.spec.all(k, k in {}))",
                    list(SPEC)
                ),
                "a persistent volume must have the source csi and no other; for anything else claim \
                 a volume of a StorageClass",
            ),
            Check::new(
                format!("{made} || variables.csi.all(k, k in {})", list(SOURCE)),
                "a persistent volume can't name Secrets; claim a volume of a StorageClass",
            ),
            Check::new(
                format!(
                    "{made} || ({} && !variables.csi.?volumeHandle.orValue(\"\").startsWith(\"/\") \
                     && !variables.csi.?volumeHandle.orValue(\"\").contains(\"..\"))",
                    harmless("variables.attributes")
                ),
                "a persistent volume can't choose a path on its node or its server; claim a volume \
                 of a StorageClass",
            ),
            Check::new(
                format!("{made} || !variables.csi.?volumeHandle.orValue(\"\").contains(\"pvc-\")"),
                "this handle is that of a volume which a claim made; only its claim uses it",
            ),
            Check::new(
                format!(
                    "request.operation == {DELETE:?} || {}",
                    harmless_options("variables.options")
                ),
                "mount options of a persistent volume can't name files; leave those with a / out",
            ),
            Check::new(
                format!(
                    "{} && {}",
                    claimed_by_tenant("object"),
                    claimed_by_tenant("oldObject")
                ),
                "a persistent volume that is claimed from outside the seal-* namespaces is the \
                 operator's; leave it as it is",
            ),
        ]),
    }
}
