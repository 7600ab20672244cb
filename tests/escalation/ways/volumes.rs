//! Volumes as a way to the node's files or to others' data.

use seal::access::DenyReason::{NotYours, VolumePlumbing};
use seal::access::Silence::NotGranted;
use serde_json::{Value, json};

use super::{BELOW_SUPER, SMALL, Tried, WORKERS};
use crate::attempt::Attempt;
use crate::stage::NODE;
use crate::stopper::{Stopper, denied, silent};

ways! {
    "a persistent volume of one's own", SMALL => volume;
    "a storage class of one's own", SMALL => class;
    "attaching a volume to a node", BELOW_SUPER => attachment;
    "CSI drivers, nodes and capacities", BELOW_SUPER => csi;
    "a claim in somebody else's namespace", SMALL => claim_elsewhere;
    "a claim filled from somebody else's", WORKERS => data_source;
}

pub fn persistent_volume(source: Value) -> Value {
    let mut volume = json!({"spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "storageClassName": "none",
    }});
    if let (Some(spec), Value::Object(source)) = (volume["spec"].as_object_mut(), source) {
        spec.extend(source);
    }
    volume
}

async fn volume(t: &Attempt<'_>) -> Tried {
    let volume = persistent_volume(json!({"hostPath": {"path": "/"}}));
    t.create("/api/v1/persistentvolumes", volume, silent(NotGranted))
        .await
}

async fn class(t: &Attempt<'_>) -> Tried {
    let class = json!({"provisioner": "rancher.io/local-path", "parameters": {"nodePath": "/"}});
    t.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        class,
        silent(NotGranted),
    )
    .await
}

async fn attachment(t: &Attempt<'_>) -> Tried {
    let attachment = json!({"spec": {
        "attacher": "x", "nodeName": NODE, "source": {"persistentVolumeName": "x"},
    }});
    let path = "/apis/storage.k8s.io/v1/volumeattachments";
    t.create(path, attachment, denied(VolumePlumbing)).await
}

async fn csi(t: &Attempt<'_>) -> Tried {
    for (kinds, object) in [
        (
            "csidrivers",
            json!({"spec": {"tokenRequests": [{"audience": ""}], "requiresRepublish": true}}),
        ),
        (
            "csinodes",
            json!({"spec": {"drivers": [{"name": "x", "nodeID": "x"}]}}),
        ),
    ] {
        let path = format!("/apis/storage.k8s.io/v1/{kinds}");
        t.create(&path, object, denied(VolumePlumbing)).await?;
    }
    Ok(())
}

async fn claim_elsewhere(t: &Attempt<'_>) -> Tried {
    let victim = t.stage.victim.home.as_str();
    let path = format!("/api/v1/namespaces/{victim}/persistentvolumeclaims");
    let claim = json!({"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}},
    }});
    t.create(&path, claim, denied(NotYours)).await
}

/// The field that names a namespace is an alpha feature: dropped where it is off.
async fn data_source(t: &Attempt<'_>) -> Tried {
    let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", t.home());
    let claim = json!({
        "metadata": {"name": t.name()},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}},
            "storageClassName": "none",
            "dataSourceRef": {
                "kind": "PersistentVolumeClaim", "name": "theirs",
                "namespace": t.stage.victim.home,
            },
        },
    });
    let answer = t.client().post(&path, &claim).await?;
    t.works(&answer);
    t.stopped_by(Stopper::Powerless);
    let one = format!("{path}/{}", t.name());
    let made = t.stage.operator.get(&one).await?;
    t.proof(
        made.field("/spec/dataSourceRef/namespace").is_null(),
        "the claim names nobody else's namespace",
    );
    t.works(&t.client().delete(&one).await?);
    Ok(())
}
