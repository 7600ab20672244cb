//! K3s's files, rendered from our configuration and written where they belong.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use authz_webhook::Isolation;
use k3s_configs::{
    AgentSettings, ClientCertificate, GateMode, PackagedComponent, Profile, RenderedFile, Settings,
    SystemdUnits,
};
use webhook_server::pki::DevPki;

use crate::config::keys::{K3sConfig, ServerConfig};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::secrets::{make_private_folder, write_private};
use crate::server::{DEFAULT_STATE, guard_settings, pki_folder};
use crate::tiers;

/// What the files depend on, out of the configuration.
pub fn settings(
    k3s: &K3sConfig,
    server: &ServerConfig,
    state_dir: Option<&Path>,
    configuration: &Path,
) -> Outcome<Settings> {
    let url = match &k3s.webhook_url {
        Some(url) => url.0.trim_end_matches('/').to_owned(),
        None if server.listen.ip().is_unspecified() => {
            return Err(Failure::message(
                Kind::Usage,
                format!(
                    "listen is {}, which is no address to connect to",
                    server.listen
                ),
            )
            .next("set webhook_url to where the API server reaches the webhooks"));
        }
        None => format!("https://{}", server.listen),
    };
    let client_certificate = match (&k3s.webhook_client_certificate, &k3s.webhook_client_key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        (None, None) => None,
        _ => {
            return Err(Failure::message(
                Kind::Usage,
                "webhook_client_certificate and webhook_client_key go together",
            ));
        }
    };
    let pki = pki_folder(state_dir.unwrap_or(Path::new(DEFAULT_STATE)));
    Ok(Settings {
        output_dir: k3s.k3s_dir.clone(),
        profile: k3s.profile,
        authenticate_url: format!("{url}/authenticate"),
        authorize_url: format!("{url}/authorize"),
        admit_url: crate::server::admit_url(server, server.admit_listen),
        webhook_ca: k3s.webhook_ca.clone().unwrap_or_else(|| pki.join("ca.crt")),
        webhook_server_name: k3s.webhook_server_name.clone(),
        client_certificate,
        audiences: server.audiences.0.clone(),
        token_cache_ttl: std::time::Duration::from_secs(k3s.token_cache_seconds),
        gate: gate(k3s, server)?,
        control_plane_nodes: server.control_plane_nodes.0.clone(),
        packaged_components: k3s.packaged_components.0.iter().map(|one| one.0).collect(),
        systemd: Some(SystemdUnits {
            configuration: configuration.to_owned(),
            user: k3s.service_user.clone(),
            ..Settings::default().systemd.unwrap_or(SystemdUnits {
                binary: "/usr/local/bin/k3s-daas".into(),
                configuration: configuration.to_owned(),
                user: k3s.service_user.clone(),
            })
        }),
        ..Settings::default()
    })
}

/// K3s behind the gate, where the server opens one.
fn gate(k3s: &K3sConfig, server: &ServerConfig) -> Outcome<Option<GateMode>> {
    let listen = &server.gate_listen.0;
    if listen.is_empty() {
        return Ok(None);
    }
    crate::server::validate_gate(server)?;
    let usage = |message: String, next: &str| Failure::message(Kind::Usage, message).next(next);
    let reachable = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_loopback();
    let mut addresses = listen.iter().map(SocketAddr::ip);
    let advertise = match k3s.advertise_address {
        Some(address) if !reachable(&address) => {
            return Err(usage(
                format!("advertise_address is {address}, where nobody else reaches the gate"),
                "set it to this machine's address as agents and pods reach it",
            ));
        }
        Some(address) => Some(address),
        None => {
            let found = addresses.clone().find(reachable);
            if let Some(any) = addresses.find(IpAddr::is_unspecified)
                && found.is_none()
            {
                return Err(usage(
                    format!("gate_listen is {any}, which is no address to tell agents and pods"),
                    "set advertise_address to where they reach the gate",
                ));
            }
            found
        }
    };
    let audit_url = match &k3s.audit_url {
        Some(url) => {
            let url = url.0.trim_end_matches('/').trim_end_matches("/audit");
            format!("{url}/audit")
        }
        None if server.audit_listen.ip().is_unspecified() => {
            return Err(usage(
                format!(
                    "audit_listen is {}, which is no address to connect to",
                    server.audit_listen
                ),
                "set audit_url to where the API server reaches it",
            ));
        }
        None => format!("https://{}/audit", server.audit_listen),
    };
    Ok(Some(GateMode {
        advertise,
        tls_sans: k3s.tls_san.0.clone(),
        audit_url,
    }))
}

/// What a control plane on this machine is told by `up`, behind the gate or without one.
pub fn settings_of_up(
    folder: &Path,
    pki: &DevPki,
    listen: SocketAddr,
    gate: Option<GateMode>,
) -> Settings {
    Settings {
        output_dir: folder.to_owned(),
        authenticate_url: format!("https://{listen}/authenticate"),
        authorize_url: format!("https://{listen}/authorize"),
        webhook_ca: pki.ca.clone(),
        client_certificate: Some(ClientCertificate {
            certificate: pki.client_certificate.clone(),
            key: pki.client_key.clone(),
        }),
        systemd: None,
        gate,
        ..Settings::default()
    }
}

/// The files.
pub fn files(settings: &Settings) -> Outcome<Vec<RenderedFile>> {
    k3s_configs::render(settings).or_fail(Kind::Usage, "K3s's files can't be rendered")
}

/// A worker's files.
pub fn agent_files(settings: &AgentSettings) -> Outcome<Vec<RenderedFile>> {
    k3s_configs::render_agent(settings)
        .or_fail(Kind::Usage, "the worker's file can't be rendered")
        .map_err(|failure| {
            failure.next("give --cluster-url: the cluster's address as the worker reaches it")
        })
}

/// A worker's file is the whole of K3s's configuration there: what somebody else wrote stays.
pub fn not_somebody_elses(path: &Path, file: &RenderedFile) -> Outcome {
    let mine = |text: &str| text.lines().next() == file.contents.lines().next();
    match std::fs::read_to_string(path) {
        Ok(text) if !mine(&text) => Err(Failure::message(
            Kind::Failed,
            format!(
                "{} is there, and was written by somebody else",
                path.display()
            ),
        )
        .next("move it away, or give another --to and add the three keys to it")),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(Failure::new(Kind::Failed, error)
                .context(format!("can't look at {}", path.display())))
        }
    }
}

/// K3s's components that are kept on and have no machine to run on: they live in kube-system, which
/// is bound to trusted nodes.
pub fn without_a_node(k3s: &K3sConfig, server: &ServerConfig) -> Vec<&'static str> {
    let free = server
        .worker_namespaces
        .0
        .iter()
        .any(|name| name == "kube-system");
    if free || !server.trusted_nodes.0.is_empty() {
        return Vec::new();
    }
    let mut kept: Vec<_> = k3s.packaged_components.0.iter().map(|one| one.0).collect();
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(PackagedComponent::label).collect()
}

/// What is wrong where K3s runs what the authorizer denies, or the other way round.
pub fn isolation_mismatch(profile: Profile, isolation: Isolation) -> Option<&'static str> {
    match (profile, isolation) {
        (Profile::Development, Isolation::Strict) => Some(
            "worker_isolation is strict and the profile leaves kube-proxy, flannel and K3s's network \
             policies on: they are refused on workers, which stay without services and pod network. \
             Render the production profile and bring a CNI, or set worker_isolation to open",
        ),
        (Profile::Production, Isolation::Open) => Some(
            "worker_isolation is open though the production profile needs no more than strict: \
             every past joiner can read nodes, pods and endpoints for a year",
        ),
        _ => None,
    }
}

/// What is wrong where agents and pods are told the gate's address with K3s's own port, which is
/// not the gate's.
pub fn port_mismatch(server: &ServerConfig) -> Option<String> {
    let mut doors = crate::server::doors(server).into_iter();
    let door = doors.find(|door| {
        !door.listen.ip().is_loopback() && door.listen.port() != door.upstream.port()
    })?;
    let (gate, k3s) = (door.listen, door.upstream.port());
    Some(format!(
        "the gate listens on {gate} and K3s on port {k3s}: agents and pods are told K3s's port. Give \
         both the same one, or set advertise-port: {} in K3s's own configuration",
        gate.port()
    ))
}

/// What stands beside K3s's files to be read: who may do what, and the guards that the server puts
/// inside the API server by itself.
pub fn for_review(server: &ServerConfig) -> Outcome<Vec<RenderedFile>> {
    let mut guards = String::from(
        "# The guards inside the API server. `k3s-daas server` applies and keeps them; this is for\n\
         # review, and for those who want to see a change before it comes.\n",
    );
    for document in tenancy::guards::documents(&guard_settings(server)) {
        let text = serde_yaml_ng::to_string(&document)
            .or_fail(Kind::Failed, "a guard can't be rendered")?;
        guards.push_str("---\n");
        guards.push_str(&text);
    }
    let file = |path: &str, contents, purpose| RenderedFile {
        path: path.into(),
        mode: 0o644,
        contents,
        purpose,
    };
    Ok(vec![
        file(
            "k3s-daas/tiers.md",
            tiers::document(server),
            "who may do what by this configuration, to be read",
        ),
        file(
            "k3s-daas/guards.yaml",
            guards,
            "the admission policies that the server keeps, to be read",
        ),
    ])
}

/// Writes the files below `folder`, each with its mode; gives their paths.
pub fn write(files: &[RenderedFile], folder: &Path) -> Outcome<Vec<PathBuf>> {
    files
        .iter()
        .map(|file| {
            let path = folder.join(&file.path);
            let doing = format!("can't write {}", path.display());
            write_one(&path, file).or_fail(Kind::Failed, doing)?;
            Ok(path)
        })
        .collect()
}

fn write_one(path: &Path, file: &RenderedFile) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    write_private(path, file.contents.as_bytes())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(file.mode))
}
