//! All files of one set of settings, and what each line of them is for.

use std::path::PathBuf;

use crate::arguments::{File, arguments, controller_manager_arguments};
use crate::settings::{RenderError, Settings};
use crate::{admission, audit, authorization, k3s_config, systemd, webhook_kubeconfig};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Where it goes, below the output folder.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// Its text.
    pub contents: String,
    /// What it is for.
    pub purpose: &'static str,
}

/// One setting of a rendered file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explained {
    /// The file, below the output folder.
    pub file: PathBuf,
    /// The flag or argument.
    pub setting: String,
    /// Its value.
    pub value: String,
    /// What it is for.
    pub why: &'static str,
}

/// Renders every file. They are right for `settings.output_dir` alone: they name each other.
pub fn render(settings: &Settings) -> Result<Vec<RenderedFile>, RenderError> {
    settings.validate()?;
    // Serialising maps, lists and texts of ours into a string has no way to fail; if it ever had,
    // no file is better than an empty one.
    let yaml = |file: File, result: Result<String, serde_yaml_ng::Error>| {
        result.map_err(|error| RenderError::Unprintable {
            setting: file.relative(),
            value: error.to_string(),
        })
    };
    let rendered = |file: File, mode, contents, purpose| RenderedFile {
        path: file.relative().into(),
        mode,
        contents,
        purpose,
    };
    let mut files = vec![
        rendered(
            File::K3sDropIn,
            0o644,
            k3s_config::render(settings),
            "K3s's configuration, beside the operator's own",
        ),
        rendered(
            File::AuthenticationKubeconfig,
            0o600,
            yaml(
                File::AuthenticationKubeconfig,
                webhook_kubeconfig::render(settings, &settings.authenticate_url),
            )?,
            "where the API server sends TokenReviews",
        ),
        rendered(
            File::AuthorizationKubeconfig,
            0o600,
            yaml(
                File::AuthorizationKubeconfig,
                webhook_kubeconfig::render(settings, &settings.authorize_url),
            )?,
            "where the API server sends SubjectAccessReviews",
        ),
        rendered(
            File::Authorization,
            0o644,
            yaml(File::Authorization, authorization::render(settings))?,
            "who is asked in which order, and what an outage means",
        ),
        rendered(
            File::Admission,
            0o644,
            yaml(File::Admission, admission::render(settings))?,
            "what pods may be where their namespace says nothing",
        ),
    ];
    if let Some(certificate) = &settings.client_certificate {
        files.push(rendered(
            File::AdmissionKubeconfig,
            0o600,
            yaml(
                File::AdmissionKubeconfig,
                webhook_kubeconfig::render_credentials(&settings.admit_url, certificate),
            )?,
            "what the API server shows the webhook that looks at Nodes",
        ));
    }
    if let Some(gate) = &settings.gate {
        files.push(rendered(
            File::AuditPolicy,
            0o644,
            yaml(File::AuditPolicy, audit::render())?,
            "what the API server tells the gate",
        ));
        files.push(rendered(
            File::AuditKubeconfig,
            0o600,
            yaml(
                File::AuditKubeconfig,
                webhook_kubeconfig::render(settings, &gate.audit_url),
            )?,
            "where the API server sends audit events",
        ));
    }
    if let Some(units) = &settings.systemd {
        files.push(rendered(
            File::Unit,
            0o644,
            systemd::service(units),
            "the webhooks' service; goes to /etc/systemd/system/",
        ));
        files.push(rendered(
            File::K3sUnitDropIn,
            0o644,
            systemd::k3s_drop_in(),
            "K3s's start after them; goes to /etc/systemd/system/k3s.service.d/",
        ));
    }
    Ok(files)
}

/// What K3s is told, line by line, and why.
pub fn explain(settings: &Settings) -> Result<Vec<Explained>, RenderError> {
    settings.validate()?;
    let file = PathBuf::from(File::K3sDropIn.relative());
    let arguments = arguments(settings).into_iter().map(|argument| Explained {
        file: file.clone(),
        setting: format!("kube-apiserver-arg {}", argument.name),
        value: argument.value,
        why: argument.why,
    });
    let controllers = controller_manager_arguments()
        .into_iter()
        .map(|argument| Explained {
            file: file.clone(),
            setting: format!("kube-controller-manager-arg {}", argument.name),
            value: argument.value,
            why: argument.why,
        });
    let flags = k3s_config::flags(settings)
        .into_iter()
        .map(|flag| Explained {
            file: file.clone(),
            setting: flag.name.to_owned(),
            value: flag.value.trim_matches('"').to_owned(),
            why: flag.why,
        });
    let names = k3s_config::tls_sans(settings);
    let names = names.into_iter().map(|name| Explained {
        file: file.clone(),
        setting: "tls-san".to_owned(),
        value: name,
        why: k3s_config::TLS_SANS_WHY,
    });
    let disabled = k3s_config::disabled(settings).map(|component| Explained {
        file: file.clone(),
        setting: "disable".to_owned(),
        value: component.label().to_owned(),
        why: "its pods would run on strangers' nodes",
    });
    Ok(arguments
        .chain(controllers)
        .chain(flags)
        .chain(names)
        .chain(disabled)
        .collect())
}
