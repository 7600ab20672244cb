//! The kubeconfig-shaped files that tell the API server where a webhook is, whom to believe, and
//! what to show.

use std::path::Path;

use serde::Serialize;

use crate::settings::{ClientCertificate, Settings};

const CLUSTER: &str = "k3s-daas";
const USER: &str = "kube-apiserver";

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    clusters: [Named<ClusterEntry<'a>>; 1],
    users: [Named<UserEntry<'a>>; 1],
    contexts: [Named<ContextEntry>; 1],
    current_context: &'static str,
}

#[derive(Debug, Serialize)]
struct Named<T> {
    name: &'static str,
    #[serde(flatten)]
    entry: T,
}

#[derive(Debug, Serialize)]
struct ClusterEntry<'a> {
    cluster: Cluster<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: &'a str,
    certificate_authority: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct UserEntry<'a> {
    user: User<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<&'a Path>,
}

#[derive(Debug, Serialize)]
struct ContextEntry {
    context: Context,
}

#[derive(Debug, Serialize)]
struct Context {
    cluster: &'static str,
    user: &'static str,
}

pub(crate) fn render(settings: &Settings, url: &str) -> Result<String, serde_yaml_ng::Error> {
    let certificate = settings.client_certificate.as_ref();
    serde_yaml_ng::to_string(&Kubeconfig {
        api_version: "v1",
        kind: "Config",
        clusters: [Named {
            name: CLUSTER,
            entry: ClusterEntry {
                cluster: Cluster {
                    server: url,
                    certificate_authority: &settings.webhook_ca,
                    tls_server_name: settings.webhook_server_name.as_deref(),
                },
            },
        }],
        users: [Named {
            name: USER,
            entry: UserEntry {
                user: User {
                    client_certificate: certificate.map(|pair| pair.certificate.as_path()),
                    client_key: certificate.map(|pair| pair.key.as_path()),
                },
            },
        }],
        contexts: [Named {
            name: CLUSTER,
            entry: ContextEntry {
                context: Context {
                    cluster: CLUSTER,
                    user: USER,
                },
            },
        }],
        current_context: CLUSTER,
    })
}

#[derive(Debug, Serialize)]
struct Credentials<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    users: [Credential<'a>; 1],
}

#[derive(Debug, Serialize)]
struct Credential<'a> {
    /// The webhook's host and port: that is how the API server finds it.
    name: &'a str,
    user: User<'a>,
}

/// What admission webhooks are shown: where they are and whom to believe stands in their
/// configuration, inside the API server.
pub(crate) fn render_credentials(
    url: &str,
    certificate: &ClientCertificate,
) -> Result<String, serde_yaml_ng::Error> {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    serde_yaml_ng::to_string(&Credentials {
        api_version: "v1",
        kind: "Config",
        users: [Credential {
            name: rest.split('/').next().unwrap_or(rest),
            user: User {
                client_certificate: Some(&certificate.certificate),
                client_key: Some(&certificate.key),
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use serde_yaml_ng::Value;

    use super::*;

    fn parsed(settings: &Settings) -> Value {
        serde_yaml_ng::from_str(&render(settings, &settings.authorize_url).unwrap()).unwrap()
    }

    #[test]
    fn believes_our_ca_alone_and_names_the_current_context() {
        let value = parsed(&Settings::default());
        let cluster = &value["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], "https://127.0.0.1:9443/authorize");
        assert_eq!(
            cluster["certificate-authority"],
            "/etc/k3s-daas/tls/webhook-ca.crt"
        );
        assert!(cluster.get("insecure-skip-tls-verify").is_none());
        assert!(cluster.get("tls-server-name").is_none());
        assert_eq!(value["current-context"], value["contexts"][0]["name"]);
        assert_eq!(
            value["contexts"][0]["context"]["cluster"],
            value["clusters"][0]["name"]
        );
        assert_eq!(
            value["contexts"][0]["context"]["user"],
            value["users"][0]["name"]
        );
    }

    #[test]
    fn an_admission_webhook_is_known_by_its_host_and_port() {
        let certificate = ClientCertificate {
            certificate: "/tls/client.crt".into(),
            key: "/tls/client.key".into(),
        };
        let text = render_credentials("https://127.0.0.1:9444/admit", &certificate).unwrap();
        let value: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(value["users"][0]["name"], "127.0.0.1:9444");
        assert_eq!(value["users"][0]["user"]["client-key"], "/tls/client.key");
    }

    #[test]
    fn shows_the_client_certificate_where_there_is_one() {
        let settings = Settings {
            client_certificate: Some(ClientCertificate {
                certificate: "/tls/client.crt".into(),
                key: "/tls/client.key".into(),
            }),
            webhook_server_name: Some("webhooks.example.org".to_owned()),
            ..Settings::default()
        };
        let value = parsed(&settings);
        let user = &value["users"][0]["user"];
        assert_eq!(user["client-certificate"], "/tls/client.crt");
        assert_eq!(user["client-key"], "/tls/client.key");
        assert_eq!(
            value["clusters"][0]["cluster"]["tls-server-name"],
            "webhooks.example.org"
        );
        let none = parsed(&Settings::default());
        assert!(none["users"][0]["user"].get("client-certificate").is_none());
    }
}
