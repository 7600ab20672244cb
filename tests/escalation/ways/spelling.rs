//! The same request in other words: what is judged must be what is done.

use seal::access::DenyReason::{NamespaceUnclear, ProtectedSecrets};

use super::{BELOW_SUPER, Tried};
use crate::attempt::Attempt;
use crate::stopper::{Stopper, denied};

ways! {
    "percent-encoded names and paths", BELOW_SUPER => encoded;
    "dots and doubled slashes in paths", BELOW_SUPER => dots;
    "other cases of letters", BELOW_SUPER => cases;
    "a resource as a subresource, a name with a slash", BELOW_SUPER => nested;
    "versions and groups of the past", BELOW_SUPER => versions;
    "wildcards as names", BELOW_SUPER => wildcards;
    "another method in a header", BELOW_SUPER => method_override;
}

/// However it is spelled, the treasure does not come out.
async fn kept(t: &Attempt<'_>, target: &str, expected: &[Stopper]) -> Tried {
    let answer = t.client().raw(target).await?;
    let stopper = match answer.status {
        // A redirection is no answer: following it is the plain request.
        301 | 302 | 307 | 308 => Stopper::Powerless,
        _ => Stopper::of(&answer),
    };
    let as_expected = expected.contains(&stopper) || stopper == Stopper::Powerless;
    t.stopped_by(stopper);
    t.proof(
        as_expected && !answer.text.contains("bXVjaA"),
        format!("no answer to another spelling holds a Secret{}", {
            if as_expected {
                String::new()
            } else {
                format!(" ({answer:?})")
            }
        }),
    );
    Ok(())
}

async fn encoded(t: &Attempt<'_>) -> Tried {
    for target in [
        "/api/v1/namespaces/kube%2Dsystem/secrets/treasure",
        "/api/v1/namespaces/kube-system/secret%73/treasure",
        "/api/v1/namespaces/kube-system/%73ecrets",
        "/api/v1/namespaces/kube-system/secrets/%74reasure",
        "/api/v1/%6eamespaces/kube-system/secrets",
        "/%61pi/v1/namespaces/kube-system/secrets",
        "/api/v1/namespaces/kube-system%2Fsecrets/treasure",
        "/api%2fv1%2fnamespaces%2fkube-system%2fsecrets",
        "/api/v1/namespaces/kube-system%00/secrets",
        "/api/v1/namespaces/kube-system%20/secrets",
        "/api/v1/namespaces/kube%252Dsystem/secrets",
    ] {
        kept(t, target, &refusals()).await?;
    }
    Ok(())
}

/// Which of them depends on how far the API server decodes: each is a no.
fn refusals() -> [Stopper; 8] {
    use seal::access::DenyReason::{BeyondTier, NotYours, ProtectedWrite};
    use seal::access::Silence::{NotGranted, Protected};
    [
        denied(ProtectedSecrets),
        denied(NamespaceUnclear),
        denied(NotYours),
        denied(ProtectedWrite),
        denied(BeyondTier),
        crate::stopper::silent(NotGranted),
        crate::stopper::silent(Protected),
        Stopper::NothingThere,
    ]
}

async fn dots(t: &Attempt<'_>) -> Tried {
    let home = t.home();
    for target in [
        format!("/api/v1/namespaces/{home}/../kube-system/secrets"),
        format!("/api/v1/namespaces/{home}/%2e%2e/kube-system/secrets"),
        format!("/api/v1/namespaces/{home}/..%2fkube-system/secrets"),
        format!("/api/v1/namespaces/{home}/secrets/../../kube-system/secrets/treasure"),
        "/api/v1/namespaces/kube-system/./secrets".to_owned(),
        "/api/v1/namespaces//kube-system/secrets".to_owned(),
        "//api/v1/namespaces/kube-system/secrets".to_owned(),
        "/api/v1/namespaces/kube-system/secrets/".to_owned(),
        "/api/v1/namespaces/kube-system/secrets//treasure".to_owned(),
        "/healthz/../api/v1/namespaces/kube-system/secrets".to_owned(),
        "/openapi/v3/../../api/v1/secrets".to_owned(),
        "/version/..//api/v1/secrets".to_owned(),
    ] {
        kept(t, &target, &refusals()).await?;
    }
    Ok(())
}

async fn cases(t: &Attempt<'_>) -> Tried {
    for target in [
        "/api/v1/namespaces/KUBE-SYSTEM/secrets",
        "/api/v1/namespaces/Kube-System/secrets/treasure",
        "/api/v1/namespaces/kube-system/Secrets",
        "/api/v1/Namespaces/kube-system/secrets",
        "/API/V1/namespaces/kube-system/secrets",
        "/api/V1/namespaces/kube-system/secrets",
        "/api/v1/namespaces/kube-system/secret",
    ] {
        kept(t, target, &refusals()).await?;
    }
    Ok(())
}

async fn nested(t: &Attempt<'_>) -> Tried {
    for target in [
        "/api/v1/namespaces/kube-system/secrets/treasure/status",
        "/api/v1/namespaces/kube-system/secrets/treasure/x/y",
        "/api/v1/namespaces/kube-system/pods/secrets/treasure",
        "/api/v1/namespaces/secrets/treasure",
        "/api/v1/namespaces/kube-system/namespaces/kube-system/secrets",
    ] {
        // In some of these the namespace is one named "secrets", which nobody has.
        kept(t, target, &refusals()).await?;
    }
    Ok(())
}

async fn versions(t: &Attempt<'_>) -> Tried {
    for target in [
        "/api/v1beta3/namespaces/kube-system/secrets",
        "/apis/v1/namespaces/kube-system/secrets",
        "/apis/core/v1/namespaces/kube-system/secrets",
        "/apis//v1/namespaces/kube-system/secrets",
        "/apis/extensions/v1beta1/namespaces/kube-system/deployments",
        "/apis/apps/v1beta1/namespaces/kube-system/deployments",
        "/apis/rbac.authorization.k8s.io/v1beta1/clusterrolebindings",
        "/api/v1/proxy/namespaces/kube-system/pods/coredns",
        "/api/v1/redirect/nodes/idle-worker",
        "/api/v1/watch/namespaces/kube-system/secrets",
    ] {
        // The tier admin may read there what is no Secret; there is nothing.
        kept(t, target, &refusals()).await?;
    }
    Ok(())
}

async fn wildcards(t: &Attempt<'_>) -> Tried {
    for target in [
        "/api/v1/namespaces/*/secrets",
        "/api/v1/namespaces/kube-system/*",
        "/api/v1/*/kube-system/secrets",
        "/api/v1/namespaces/kube-*/secrets",
        "/apis/*/v1/namespaces/kube-system/secrets",
        "/api/v1/namespaces/-/secrets",
    ] {
        let mut expected = refusals().to_vec();
        expected.push(denied(seal::access::DenyReason::AddonGroup));
        kept(t, target, &expected).await?;
    }
    Ok(())
}

async fn method_override(t: &Attempt<'_>) -> Tried {
    let path = "/api/v1/namespaces/kube-system/configmaps/treasure";
    let before = t.stage.operator.get(path).await?;
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        let client = t.client().header(name, "DELETE");
        let answer = client
            .get("/api/v1/namespaces/kube-system/secrets/treasure")
            .await?;
        t.stopped(&answer, &denied(ProtectedSecrets));
    }
    t.present("/api/v1/namespaces/kube-system/secrets/treasure")
        .await?;
    t.unchanged(&before, path).await
}
