//! The audit policy: what the gate needs to know who is on which connection, and little else.
//!
//! Shape:  events of the stage `ResponseStarted` alone, which the API server makes for requests
//!         that go on: watches, and sessions and streams into pods. No bodies.
//! Source: `audit.k8s.io/v1` Policy. The first rule that matches counts.

use serde::Serialize;

/// The control plane's own: its connections don't come through the gate.
const OWN_USERS: [&str; 8] = [
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:k3s-supervisor",
    "k3s-cloud-controller-manager",
    "system:cloud-controller-manager",
    "system:k3s-cloud-controller-manager",
    "system:serviceaccount:k3s-daas-system:server",
];
/// What goes on after it was answered, beside watches.
const STREAMS: [&str; 8] = [
    "pods/log",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/proxy",
    "services/proxy",
    "nodes/proxy",
    "nodes/log",
];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    api_version: &'static str,
    kind: &'static str,
    omit_stages: [&'static str; 3],
    omit_managed_fields: bool,
    rules: [Rule; 4],
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    level: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Resources>,
}

#[derive(Debug, Serialize)]
struct Resources {
    group: &'static str,
    resources: Vec<&'static str>,
}

pub(crate) fn render() -> Result<String, serde_yaml_ng::Error> {
    serde_yaml_ng::to_string(&Policy {
        api_version: "audit.k8s.io/v1",
        kind: "Policy",
        omit_stages: ["RequestReceived", "ResponseComplete", "Panic"],
        omit_managed_fields: true,
        rules: [
            Rule {
                level: "None",
                users: OWN_USERS.to_vec(),
                ..Rule::default()
            },
            Rule {
                level: "Metadata",
                verbs: vec!["watch"],
                ..Rule::default()
            },
            Rule {
                level: "Metadata",
                resources: vec![Resources {
                    group: "",
                    resources: STREAMS.to_vec(),
                }],
                ..Rule::default()
            },
            Rule {
                level: "None",
                ..Rule::default()
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use serde_yaml_ng::Value;

    use super::*;

    #[test]
    fn tells_of_what_goes_on_and_of_nothing_else() {
        let policy: Value = serde_yaml_ng::from_str(&render().unwrap()).unwrap();
        assert_eq!(policy["apiVersion"], "audit.k8s.io/v1");
        let rules = policy["rules"].as_sequence().unwrap();
        let levels: Vec<_> = rules
            .iter()
            .map(|rule| rule["level"].as_str().unwrap())
            .collect();
        assert_eq!(levels, ["None", "Metadata", "Metadata", "None"]);
        let own = rules[0]["users"].as_sequence().unwrap();
        // Whoever comes through the gate is told of: machines, and the controllers' accounts too,
        // whose names tenants may bear elsewhere.
        for user in [
            "system:node:",
            "seal:",
            "system:serviceaccount:kube-system:",
        ] {
            let told = own
                .iter()
                .all(|name| !name.as_str().unwrap().starts_with(user));
            assert!(told, "{user}");
        }
        assert_eq!(rules[1]["verbs"].as_sequence().unwrap().len(), 1);
        assert_eq!(rules[1]["verbs"][0], "watch");
        assert!(rules[1].get("resources").is_none(), "watches of anything");
        assert!(rules[2].get("verbs").is_none(), "by whatever verb");
        let streams = &rules[2]["resources"][0];
        assert_eq!(streams["group"], "");
        let streams = streams["resources"].as_sequence().unwrap();
        for stream in ["log", "exec", "attach", "portforward", "proxy"] {
            assert!(
                streams.contains(&Value::from(format!("pods/{stream}"))),
                "{stream}"
            );
        }
        for proxied in ["services/proxy", "nodes/proxy"] {
            assert!(streams.contains(&Value::from(proxied)), "{proxied}");
        }
        let last = rules[3].as_mapping().unwrap();
        assert_eq!(last.len(), 1, "all the rest");
        let stages = policy["omitStages"].as_sequence().unwrap();
        assert!(!stages.contains(&Value::from("ResponseStarted")));
    }
}
