//! Services, endpoints and policies: other people's traffic.

use seal::access::DenyReason::{BeyondTier, NotYours, ProtectedWrite};
use seal::access::Silence::NotGranted;
use serde_json::{Value, json};

use super::{BELOW_SUPER, SMALL, Tried, WORKERS};
use crate::attempt::Attempt;
use crate::stopper::{Stopper, denied, quota, silent};

ways! {
    "a Service with external IPs", WORKERS => external_ips;
    "a load balancer", WORKERS => load_balancer;
    "a node port", WORKERS => node_port;
    "a Service's status with somebody's address", WORKERS => service_status;
    "Endpoints that name a control-plane address", BELOW_SUPER => endpoints;
    "EndpointSlices that name a control-plane address", BELOW_SUPER => endpoint_slices;
    "a Service that is another name of the API server, by services/proxy", WORKERS => external_name;
    "a Service or Endpoints in kube-system or default", BELOW_SUPER => in_protected;
    "a network policy in somebody else's namespace", SMALL => policy_elsewhere;
    "Service addresses and ranges", BELOW_SUPER => addresses;
    "an ingress class of one's own", SMALL => ingress_class;
}

fn services(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/services")
}

fn service(spec: Value) -> Value {
    let mut service = json!({"spec": {"ports": [{"port": 443}]}});
    if let (Some(all), Value::Object(spec)) = (service["spec"].as_object_mut(), spec) {
        all.extend(spec);
    }
    service
}

async fn external_ips(t: &Attempt<'_>) -> Tried {
    let service = service(json!({"externalIPs": ["10.43.0.1"]}));
    t.create(
        &services(t.home()),
        service,
        Stopper::Plugin("DenyServiceExternalIPs"),
    )
    .await
}

async fn load_balancer(t: &Attempt<'_>) -> Tried {
    let service = service(json!({"type": "LoadBalancer", "loadBalancerIP": "10.0.0.1"}));
    t.create(&services(t.home()), service, quota("k3s-daas-quota"))
        .await
}

async fn node_port(t: &Attempt<'_>) -> Tried {
    let node_port = service(json!({"type": "NodePort"}));
    t.create(&services(t.home()), node_port, quota("k3s-daas-quota"))
        .await?;
    // Nor by the back door of a Service that was harmless at first.
    let path = services(t.home());
    let harmless = crate::attempt::with_name(service(json!({})), &t.name());
    t.works(&t.client().post(&path, &harmless).await?);
    let one = format!("{path}/{}", t.name());
    t.change(
        &one,
        json!({"spec": {"type": "NodePort"}}),
        quota("k3s-daas-quota"),
    )
    .await?;
    t.works(&t.client().delete(&one).await?);
    Ok(())
}

async fn service_status(t: &Attempt<'_>) -> Tried {
    let path = services(t.home());
    let harmless = crate::attempt::with_name(service(json!({})), &t.name());
    t.works(&t.client().post(&path, &harmless).await?);
    let one = format!("{path}/{}", t.name());
    let patch = json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.43.0.1"}]}}});
    t.patch(&format!("{one}/status"), patch, denied(BeyondTier))
        .await?;
    let after = t.stage.operator.get(&one).await?;
    t.proof(
        after.field("/status/loadBalancer/ingress").is_null(),
        "the Service has no such address",
    );
    t.works(&t.client().delete(&one).await?);
    Ok(())
}

async fn endpoints(t: &Attempt<'_>) -> Tried {
    let path = format!("/api/v1/namespaces/{}/endpoints", t.home());
    let object = json!({"subsets": [{
        "addresses": [{"ip": "10.43.0.1"}], "ports": [{"port": 443}],
    }]});
    t.create(&path, object, t.at_home(denied(BeyondTier))).await
}

async fn endpoint_slices(t: &Attempt<'_>) -> Tried {
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
        t.home()
    );
    let slice = json!({
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.43.0.1"]}],
        "ports": [{"port": 443}],
    });
    t.create(&path, slice, t.at_home(denied(BeyondTier))).await
}

async fn external_name(t: &Attempt<'_>) -> Tried {
    let path = services(t.home());
    let name = json!({
        "metadata": {"name": t.name()},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": 443}]},
    });
    let answer = t.client().post(&path, &name).await?;
    t.works(&answer);
    let one = format!("{path}/{}", t.name());
    for target in [
        format!("{path}/https:{}:443/proxy/api/v1/secrets", t.name()),
        format!("{path}/{}/proxy/", t.name()),
    ] {
        let answer = t.get(&target, Stopper::NothingThere).await?;
        t.proof(!answer.ok(), "nothing answers behind it");
    }
    t.works(&t.client().delete(&one).await?);
    Ok(())
}

async fn in_protected(t: &Attempt<'_>) -> Tried {
    for namespace in ["kube-system", "default"] {
        let expected = denied(ProtectedWrite);
        t.create(&services(namespace), service(json!({})), expected.clone())
            .await?;
        let path = format!("/api/v1/namespaces/{namespace}/endpoints");
        t.create(&path, json!({"subsets": []}), expected).await?;
    }
    let path = services("default");
    t.change(
        &format!("{path}/kubernetes"),
        json!({"spec": {"selector": {"a": "b"}}}),
        denied(ProtectedWrite),
    )
    .await
}

async fn policy_elsewhere(t: &Attempt<'_>) -> Tried {
    let path = format!(
        "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
        t.stage.victim.home
    );
    let open = json!({"spec": {"podSelector": {}, "ingress": [{}]}});
    t.create(&path, open, denied(NotYours)).await
}

async fn addresses(t: &Attempt<'_>) -> Tried {
    let range = json!({"spec": {"cidrs": ["10.99.0.0/16"]}});
    let path = "/apis/networking.k8s.io/v1/servicecidrs";
    t.create(path, range, silent(NotGranted)).await?;
    let path = "/apis/networking.k8s.io/v1/ipaddresses";
    t.delete(&format!("{path}/10.43.0.1"), silent(NotGranted))
        .await?;
    t.present(&format!("{path}/10.43.0.1")).await
}

async fn ingress_class(t: &Attempt<'_>) -> Tried {
    let class = json!({"spec": {"controller": "traefik.io/ingress-controller"}});
    let path = "/apis/networking.k8s.io/v1/ingressclasses";
    t.create(path, class, silent(NotGranted)).await
}
