//! K3s's drop-in, `config.yaml.d/50-k3s-daas.yaml`.
//!
//! Shape:  a YAML map of K3s's long flags. A key with `+` adds to the operator's own list instead
//!         of wiping it. Every text is quoted as JSON, which YAML includes.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::arguments::{Argument, arguments, controller_manager_arguments};
use crate::settings::{PackagedComponent, Profile, Settings};

/// What the certificate's names are for.
pub(crate) const TLS_SANS_WHY: &str =
    "whoever comes through the gate finds its name in the certificate";

/// A switch or a value of K3s's own.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    /// As YAML.
    pub(crate) value: Cow<'static, str>,
    pub(crate) why: &'static str,
}

/// K3s's flags beside the API server's arguments.
pub(crate) fn flags(settings: &Settings) -> Vec<Flag> {
    let mut flags = vec![Flag {
        name: "disable-helm-controller",
        value: "true".into(),
        why: "whoever may write a HelmChart would be cluster-admin",
    }];
    match settings.profile {
        Profile::Development => {}
        Profile::Production => flags.extend([
            Flag {
                name: "disable-agent",
                value: "true".into(),
                why: "no pods beside the control plane",
            },
            Flag {
                name: "disable-kube-proxy",
                value: "true".into(),
                why: "strict worker isolation: every node would share its identity, for a year",
            },
            Flag {
                name: "flannel-backend",
                value: "\"none\"".into(),
                why: "strict worker isolation: a CNI with per-pod service accounts does its work",
            },
            Flag {
                name: "disable-network-policy",
                value: "true".into(),
                why: "strict worker isolation: likewise",
            },
            Flag {
                name: "secrets-encryption",
                value: "true".into(),
                why: "Secrets are encrypted at rest",
            },
        ]),
    }
    if let Some(gate) = &settings.gate {
        flags.push(Flag {
            name: "bind-address",
            value: "\"127.0.0.1\"".into(),
            why: "only the gate is reachable: it ends connections when their seal ends",
        });
        if let Some(advertise) = gate.advertise {
            flags.push(Flag {
                name: "advertise-address",
                value: quoted(&advertise.to_string()).into(),
                why: "agents and pods come through the gate",
            });
        }
    }
    flags
}

/// More names of the API server's certificate.
pub(crate) fn tls_sans(settings: &Settings) -> Vec<String> {
    let Some(gate) = &settings.gate else {
        return Vec::new();
    };
    let advertise = gate.advertise.map(|address| address.to_string());
    let mut names: Vec<String> = advertise.into_iter().collect();
    for name in &gate.tls_sans {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Those of K3s's components that are off.
pub(crate) fn disabled(settings: &Settings) -> impl Iterator<Item = PackagedComponent> {
    PackagedComponent::ALL
        .into_iter()
        .filter(|component| !settings.packaged_components.contains(component))
}

pub(crate) fn render(settings: &Settings) -> String {
    let mut text = format!(
        "# K3s, profile {}. K3s reads it from <its configuration file>.d/, by default\n\
         # /etc/rancher/k3s/config.yaml.d/, at its start.\n\n\
         kube-apiserver-arg+:\n",
        settings.profile.label()
    );
    list(&mut text, &arguments(settings));
    line(&mut text, "\nkube-controller-manager-arg+:");
    list(&mut text, &controller_manager_arguments());
    for flag in flags(settings) {
        line(
            &mut text,
            &format!("\n# {}\n{}: {}", flag.why, flag.name, flag.value),
        );
    }
    let names = tls_sans(settings);
    if !names.is_empty() {
        line(&mut text, &format!("\n# {TLS_SANS_WHY}\ntls-san+:"));
        for name in names {
            line(&mut text, &format!("  - {}", quoted(&name)));
        }
    }
    let disabled: Vec<_> = disabled(settings).collect();
    if !disabled.is_empty() {
        line(
            &mut text,
            "\n# Pods on strangers' nodes; turn on what you can run on nodes of your own.\ndisable+:",
        );
        for component in disabled {
            line(&mut text, &format!("  - {}", quoted(component.label())));
        }
    }
    text
}

/// The items, each after what it is for.
fn list(text: &mut String, arguments: &[Argument]) {
    let mut said = "";
    for argument in arguments {
        if argument.why != said {
            line(text, &format!("  # {}", argument.why));
            said = argument.why;
        }
        line(text, &format!("  - {}", quoted(&argument.item())));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "{line}");
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_yaml_ng::Value;

    use super::*;

    fn parsed(settings: &Settings) -> Value {
        serde_yaml_ng::from_str(&render(settings)).unwrap()
    }

    fn texts(value: &Value) -> Vec<&str> {
        value
            .as_sequence()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect()
    }

    #[test]
    fn adds_to_the_operators_lists_and_does_not_wipe_them() {
        let value = parsed(&Settings::default());
        assert!(value.get("kube-apiserver-arg").is_none());
        assert!(value.get("disable").is_none());
        let items: Vec<_> = arguments(&Settings::default())
            .iter()
            .map(crate::Argument::item)
            .collect();
        assert_eq!(texts(&value["kube-apiserver-arg+"]), items);
    }

    #[test]
    fn packaged_components_are_off_unless_asked_for() {
        let all = [
            "coredns",
            "local-storage",
            "metrics-server",
            "servicelb",
            "traefik",
        ];
        assert_eq!(texts(&parsed(&Settings::default())["disable+"]), all);
        let settings = Settings {
            packaged_components: [PackagedComponent::CoreDns].into(),
            ..Settings::default()
        };
        assert_eq!(texts(&parsed(&settings)["disable+"]), all[1..]);
    }

    #[test]
    fn the_helm_controller_is_off_in_every_profile() {
        for profile in [Profile::Development, Profile::Production] {
            let value = parsed(&Settings {
                profile,
                ..Settings::default()
            });
            assert_eq!(value["disable-helm-controller"], Value::Bool(true));
        }
    }

    #[test]
    fn production_turns_off_what_shares_identities_among_nodes() {
        let production = parsed(&Settings {
            profile: Profile::Production,
            ..Settings::default()
        });
        assert_eq!(production["disable-kube-proxy"], Value::Bool(true));
        assert_eq!(production["disable-network-policy"], Value::Bool(true));
        assert_eq!(production["flannel-backend"], "none");
        assert_eq!(production["secrets-encryption"], Value::Bool(true));
        assert!(
            parsed(&Settings::default())
                .get("disable-kube-proxy")
                .is_none()
        );
    }

    #[test]
    fn behind_the_gate_k3s_listens_on_loopback_and_names_the_gate() {
        let gate = crate::GateMode {
            advertise: Some("203.0.113.7".parse().unwrap()),
            tls_sans: vec!["api.example.com".to_owned()],
            ..crate::GateMode::default()
        };
        let value = parsed(&Settings {
            gate: Some(gate),
            ..Settings::default()
        });
        assert_eq!(value["bind-address"], "127.0.0.1");
        assert_eq!(value["advertise-address"], "203.0.113.7");
        assert_eq!(
            texts(&value["tls-san+"]),
            ["203.0.113.7", "api.example.com"]
        );
        assert!(parsed(&Settings::default()).get("bind-address").is_none());
    }

    #[test]
    fn quotes_paths_that_yaml_would_read_otherwise() {
        let settings = Settings {
            output_dir: "/a b: #c\"".into(),
            ..Settings::default()
        };
        let value = parsed(&settings);
        assert!(
            texts(&value["kube-apiserver-arg+"])
                .contains(&"authorization-config=/a b: #c\"/k3s-daas/authorization.yaml")
        );
    }
}
