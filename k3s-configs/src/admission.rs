//! The AdmissionConfiguration: what a pod may be where its namespace says nothing.

use serde::Serialize;

/// Pods that K3s itself deploys there need more than `baseline`; no tenant may write there.
const EXEMPT_NAMESPACES: [&str; 1] = ["kube-system"];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionConfiguration {
    api_version: &'static str,
    kind: &'static str,
    plugins: [Plugin; 1],
}

#[derive(Debug, Serialize)]
struct Plugin {
    name: &'static str,
    configuration: PodSecurityConfiguration,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PodSecurityConfiguration {
    api_version: &'static str,
    kind: &'static str,
    defaults: Defaults,
    exemptions: Exemptions,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Defaults {
    enforce: &'static str,
    enforce_version: &'static str,
    audit: &'static str,
    audit_version: &'static str,
    warn: &'static str,
    warn_version: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exemptions {
    usernames: [&'static str; 0],
    runtime_classes: [&'static str; 0],
    namespaces: [&'static str; 1],
}

pub(crate) fn render() -> Result<String, serde_yaml_ng::Error> {
    let body = serde_yaml_ng::to_string(&AdmissionConfiguration {
        api_version: "apiserver.config.k8s.io/v1",
        kind: "AdmissionConfiguration",
        plugins: [Plugin {
            name: "PodSecurity",
            configuration: PodSecurityConfiguration {
                api_version: "pod-security.admission.config.k8s.io/v1",
                kind: "PodSecurityConfiguration",
                defaults: Defaults {
                    enforce: "baseline",
                    enforce_version: "latest",
                    audit: "restricted",
                    audit_version: "latest",
                    warn: "restricted",
                    warn_version: "latest",
                },
                exemptions: Exemptions {
                    usernames: [],
                    runtime_classes: [],
                    namespaces: EXEMPT_NAMESPACES,
                },
            },
        }],
    })?;
    Ok(format!(
        "# What pods may be in namespaces that bear no Pod Security label. Tenants' namespaces\n\
         # bear one (restricted). Read at the API server's start.\n\
         {body}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_yaml_ng::Value;

    #[test]
    fn holds_unlabelled_namespaces_to_baseline_and_exempts_only_the_systems() {
        let text = super::render().unwrap();
        let value: Value = serde_yaml_ng::from_str(&text).unwrap();
        let security = &value["plugins"][0]["configuration"];
        assert_eq!(security["defaults"]["enforce"], "baseline");
        assert_eq!(
            security["exemptions"]["namespaces"],
            Value::from(vec!["kube-system"])
        );
        assert_eq!(security["exemptions"]["usernames"], Value::Sequence(vec![]));
    }
}
