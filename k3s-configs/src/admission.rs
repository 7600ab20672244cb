//! The AdmissionConfiguration: what a pod may be where its namespace says nothing, and what the API
//! server shows an admission webhook.

use std::path::PathBuf;

use serde::Serialize;

use crate::arguments::File;
use crate::settings::Settings;

/// Pods that K3s itself deploys there need more than `baseline`; no tenant may write there.
const EXEMPT_NAMESPACES: [&str; 1] = ["kube-system"];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionConfiguration {
    api_version: &'static str,
    kind: &'static str,
    plugins: Vec<Plugin>,
}

#[derive(Debug, Serialize)]
struct Plugin {
    name: &'static str,
    configuration: Configuration,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Configuration {
    PodSecurity(PodSecurityConfiguration),
    Webhooks(WebhookAdmissionConfiguration),
}

/// With whose credentials admission webhooks are asked; without it they are asked without any.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WebhookAdmissionConfiguration {
    api_version: &'static str,
    kind: &'static str,
    kube_config_file: PathBuf,
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

pub(crate) fn render(settings: &Settings) -> Result<String, serde_yaml_ng::Error> {
    let webhooks = settings.client_certificate.as_ref().map(|_| Plugin {
        name: "ValidatingAdmissionWebhook",
        configuration: Configuration::Webhooks(WebhookAdmissionConfiguration {
            api_version: "apiserver.config.k8s.io/v1",
            kind: "WebhookAdmissionConfiguration",
            kube_config_file: File::AdmissionKubeconfig.absolute(&settings.output_dir),
        }),
    });
    let body = serde_yaml_ng::to_string(&AdmissionConfiguration {
        api_version: "apiserver.config.k8s.io/v1",
        kind: "AdmissionConfiguration",
        plugins: std::iter::once(Plugin {
            name: "PodSecurity",
            configuration: Configuration::PodSecurity(PodSecurityConfiguration {
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
            }),
        })
        .chain(webhooks)
        .collect(),
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

    use super::*;
    use crate::settings::ClientCertificate;

    #[test]
    fn where_the_webhooks_want_a_certificate_it_is_shown_to_admission_too() {
        let settings = Settings {
            client_certificate: Some(ClientCertificate {
                certificate: "/tls/client.crt".into(),
                key: "/tls/client.key".into(),
            }),
            ..Settings::default()
        };
        let value: Value = serde_yaml_ng::from_str(&render(&settings).unwrap()).unwrap();
        let webhooks = &value["plugins"][1];
        assert_eq!(webhooks["name"], "ValidatingAdmissionWebhook");
        assert_eq!(
            webhooks["configuration"]["kubeConfigFile"],
            "/etc/rancher/k3s/k3s-daas/admission-webhook.kubeconfig"
        );
        let without = render(&Settings::default()).unwrap();
        assert!(!without.contains("ValidatingAdmissionWebhook"));
    }

    #[test]
    fn holds_unlabelled_namespaces_to_baseline_and_exempts_only_the_systems() {
        let text = super::render(&Settings::default()).unwrap();
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
