//! Volumes and their classes.

use serde_json::{Value, json};

use super::{MINE, Row, merged};
use crate::requests::{ACCOUNT, ADMIN, OPERATOR, SUPER, create, delete, merge};

pub(crate) fn volume(name: &str, more: &Value) -> Value {
    merged(
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "csi": {"driver": "d.example.com", "volumeHandle": "v-1", "volumeAttributes": {"size": "1"}}}}),
        &json!({"spec": more}),
    )
}

pub(crate) fn volumes() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-volumes");
    let all = "/api/v1/persistentvolumes";
    let with = |more: Value| create(all, volume("v", &more));
    let csi = |more: Value| with(json!({"csi": more}));
    let attribute = |key: &str, value: &str| csi(json!({"volumeAttributes": {key: value}}));
    let secret = json!({"name": "s", "namespace": "kube-system"});
    let claim = |namespace: &str| json!({"claimRef": {"namespace": namespace, "name": "c"}});
    let retain = json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}});
    let tenants = format!("{all}/claimed-by-tenant");
    let operators = format!("{all}/claimed-by-operator");
    vec![
        Row(ADMIN, "a driver's", with(json!({})), None),
        Row(
            ADMIN,
            "with options",
            with(json!({"mountOptions": ["noatime", "nfsvers=4.1"]})),
            None,
        ),
        Row(ADMIN, "for a tenant", with(claim(MINE)), None),
        Row(
            ADMIN,
            "a tenant's changed",
            merge(&tenants, retain.clone()),
            None,
        ),
        Row(ADMIN, "a tenant's deleted", delete(&tenants), None),
        Row(
            ADMIN,
            "a host path",
            with(json!({"csi": null, "hostPath": {"path": "/"}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a local disk",
            with(
                json!({"csi": null, "local": {"path": "/"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "a server",
            with(json!({"csi": null, "nfs": {"server": "s", "path": "/"}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret to publish",
            csi(json!({"nodePublishSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret to stage",
            csi(json!({"nodeStageSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret of the controller",
            csi(json!({"controllerPublishSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret to grow",
            csi(json!({"controllerExpandSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret to grow on the node",
            csi(json!({"nodeExpandSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a path as handle",
            csi(json!({"volumeHandle": "/etc"})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a way up as handle",
            csi(json!({"volumeHandle": "a/../../etc"})),
            GUARD,
        ),
        Row(
            ADMIN,
            "somebody's handle",
            csi(json!({"volumeHandle": "pvc-5d2a7c3e"})),
            GUARD,
        ),
        Row(ADMIN, "a path by key", attribute("subDir", "x"), GUARD),
        Row(ADMIN, "a path by value", attribute("where", "/etc"), GUARD),
        Row(
            ADMIN,
            "a way up by value",
            attribute("where", "a/../b"),
            GUARD,
        ),
        Row(
            ADMIN,
            "an option that is a file",
            with(json!({"mountOptions": ["credentials=/etc/shadow"]})),
            GUARD,
        ),
        Row(
            ADMIN,
            "an option added",
            merge(
                &tenants,
                json!({"spec": {"mountOptions": ["logdev=/dev/sda"]}}),
            ),
            GUARD,
        ),
        Row(ADMIN, "for the system", with(claim("kube-system")), GUARD),
        Row(
            ADMIN,
            "the operator's changed",
            merge(&operators, retain.clone()),
            GUARD,
        ),
        Row(
            ADMIN,
            "the operator's taken",
            merge(&operators, claim_patch(MINE)),
            GUARD,
        ),
        Row(
            ADMIN,
            "a tenant's given away",
            merge(&tenants, claim_patch("kube-system")),
            GUARD,
        ),
        Row(
            ADMIN,
            "the operator's freed",
            merge(&operators, json!({"spec": {"claimRef": null}})),
            GUARD,
        ),
        Row(ADMIN, "the operator's deleted", delete(&operators), GUARD),
        Row(
            ACCOUNT,
            "a host path",
            with(json!({"csi": null, "hostPath": {"path": "/"}})),
            GUARD,
        ),
        Row(
            SUPER,
            "a host path",
            with(json!({"csi": null, "hostPath": {"path": "/"}})),
            None,
        ),
        Row(
            OPERATOR,
            "a host path",
            with(json!({"csi": null, "hostPath": {"path": "/"}})),
            None,
        ),
    ]
}

pub(crate) fn claim_patch(namespace: &str) -> Value {
    json!({"spec": {"claimRef": {"namespace": namespace}}})
}

pub(crate) fn storage_classes() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-storage-classes");
    let class = |parameters: Value, options: Value| {
        create(
            "/apis/storage.k8s.io/v1/storageclasses",
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"},
                "provisioner": "rancher.io/local-path", "parameters": parameters, "mountOptions": options}),
        )
    };
    let with = |key: &str, value: &str| class(json!({key: value}), Value::Null);
    vec![
        Row(
            ADMIN,
            "nothing special",
            class(Value::Null, json!(["noatime"])),
            None,
        ),
        Row(ADMIN, "a disk type", with("type", "ssd"), None),
        Row(
            ADMIN,
            "a file system",
            with("csi.storage.k8s.io/fstype", "ext4"),
            None,
        ),
        Row(ADMIN, "a path pattern", with("pathPattern", "x"), GUARD),
        Row(ADMIN, "a node path", with("NodePath", "x"), GUARD),
        Row(ADMIN, "a folder", with("subDir", "x"), GUARD),
        Row(ADMIN, "a share", with("share", "x"), GUARD),
        Row(ADMIN, "a subvolume", with("subvolumeGroup", "x"), GUARD),
        Row(ADMIN, "an absolute value", with("where", "/etc"), GUARD),
        Row(ADMIN, "a way up", with("where", "a/../b"), GUARD),
        Row(
            ADMIN,
            "a Secret for staging",
            with("csi.storage.k8s.io/node-stage-secret-name", "s"),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret for provisioning",
            with(
                "csi.storage.k8s.io/provisioner-secret-namespace",
                "kube-system",
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret of old",
            with("adminSecretName", "s"),
            GUARD,
        ),
        Row(
            ADMIN,
            "an option that is a file",
            class(Value::Null, json!(["credentials=/etc/shadow"])),
            GUARD,
        ),
        Row(ACCOUNT, "a path pattern", with("pathPattern", "x"), GUARD),
        Row(SUPER, "a path pattern", with("pathPattern", "x"), None),
        Row(OPERATOR, "a path pattern", with("pathPattern", "x"), None),
    ]
}
