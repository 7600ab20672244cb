//! Parameters by which a storage driver would be told a place, or a Secret.

use super::super::cel::text;

/// Parts of a key that name a place (`pathPattern`, `subDir`, `share`, `nodePath`) or a Secret whose
/// contents the driver is handed (`csi.storage.k8s.io/node-stage-secret-name`, `adminSecretName`).
const NAMING: &str = "path|dir|folder|root|pattern|subvol|share|export|mount|device|secret";

/// True for maps none of whose entries names a place or a Secret. An absent map is an empty one.
pub(super) fn harmless(map: &str) -> String {
    format!(
        "{map}.all(k, !k.lowerAscii().matches({}) && !{map}[k].startsWith(\"/\") \
         && !{map}[k].contains(\"..\"))",
        text(NAMING),
    )
}

/// True for mount options that name no file: `noatime` and `nfsvers=4.1` are harmless,
/// `credentials=/etc/...` and `logdev=/dev/...` are read on the node, as root.
pub(super) fn harmless_options(options: &str) -> String {
    format!("{options}.all(option, !option.contains(\"/\"))")
}
