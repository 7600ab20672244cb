//! What makes a machine's kubelet call the CRI shim: two systemd units and a drop-in of K3s.
//!
//! Shape:  a socket unit that holds `cri.sock` from boot on, the worker's service behind it, and a
//!         drop-in that points kubelet there. Paths in [`RenderedFile::path`] are absolute here:
//!         the files lie in three places of a machine.
//! Why:    a K3s agent whose CRI socket is absent at its start ends at once. Held by systemd it is
//!         there before any process of ours: at boot, after a crash and during an upgrade callers
//!         wait in its queue.
//! Source: systemd.socket(5), systemd.service(5); K3s `pkg/configfilearg/parser.go` (`key+`
//!         appends to what other files say).

use std::path::{Path, PathBuf};

use crate::RenderedFile;
use crate::settings::{RenderError, absolute};
use crate::unit;

/// What a worker's files depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFiles {
    /// The `k3s-daas` binary, or [`WORKER_BINARY`], which is the worker alone.
    pub binary: PathBuf,
    /// The worker's configuration file.
    pub configuration: PathBuf,
    /// Where kubelet calls.
    pub cri_socket: PathBuf,
    /// What the worker keeps between starts.
    pub state_dir: PathBuf,
    /// K3s's folder of configuration.
    pub k3s_config_dir: PathBuf,
    /// Folders that it writes to besides these and [`RUN_FOLDER`].
    pub writes: Vec<PathBuf>,
    /// Whether kubelet's calls come through; else only the service is rendered.
    pub proxy: bool,
}

/// The program that is the worker and nothing else.
pub const WORKER_BINARY: &str = "k3s-daas-worker";
/// The units' names.
pub const SOCKET_UNIT: &str = "k3s-daas-cri.socket";
/// The service behind the socket.
pub const SERVICE_UNIT: &str = "k3s-daas-worker.service";
/// The drop-in's name in K3s's `config.yaml.d`.
pub(crate) const DROP_IN: &str = "50-k3s-daas-cri.yaml";
/// What the units are wanted by.
const SOCKET_STARTS_WITH: &str = "sockets.target";
const SERVICE_STARTS_WITH: &str = "multi-user.target";
/// Where administrators' units lie.
const UNITS: &str = "/etc/systemd/system";
/// Where unix sockets of ours lie, `worker.sock` too; below `/run`, as systemd wants it.
pub const RUN_FOLDER: &str = "/run/k3s-daas";

impl WorkerFiles {
    /// The socket's unit.
    pub fn socket_unit(&self) -> PathBuf {
        Path::new(UNITS).join(SOCKET_UNIT)
    }

    /// The service's unit.
    pub fn service_unit(&self) -> PathBuf {
        Path::new(UNITS).join(SERVICE_UNIT)
    }

    /// The drop-in that points kubelet at the shim.
    pub fn drop_in(&self) -> PathBuf {
        let folder = self.k3s_config_dir.join("config.yaml.d");
        folder.join(DROP_IN)
    }

    /// What makes systemd start the units at boot: each link, and the unit that it leads to.
    pub fn links(&self) -> Vec<(PathBuf, PathBuf)> {
        let link = |target: &str, unit: PathBuf| {
            let name = unit.file_name().unwrap_or_default();
            let wants = Path::new(UNITS).join(format!("{target}.wants"));
            (wants.join(name), unit)
        };
        let socket = link(SOCKET_STARTS_WITH, self.socket_unit());
        let service = link(SERVICE_STARTS_WITH, self.service_unit());
        if self.proxy {
            vec![socket, service]
        } else {
            vec![service]
        }
    }
}

/// Renders a worker's files, in the order in which they are installed: the drop-in comes last.
pub fn render_worker(files: &WorkerFiles) -> Result<Vec<RenderedFile>, RenderError> {
    for (setting, path) in [
        ("binary", &files.binary),
        ("configuration", &files.configuration),
        ("cri_socket", &files.cri_socket),
        ("state_dir", &files.state_dir),
        ("k3s_config_dir", &files.k3s_config_dir),
    ] {
        absolute(setting, path)?;
    }
    for path in &files.writes {
        absolute("writes", path)?;
    }
    let file = |path, contents, purpose| RenderedFile {
        path,
        mode: 0o644,
        contents,
        purpose,
    };
    let service = file(
        files.service_unit(),
        service(files),
        "the worker: proxy, guard, metrics, REST API",
    );
    if !files.proxy {
        return Ok(vec![service]);
    }
    Ok(vec![
        file(
            files.socket_unit(),
            socket(files),
            "holds kubelet's socket from boot on",
        ),
        service,
        file(
            files.drop_in(),
            drop_in(&files.cri_socket),
            "points kubelet at the shim",
        ),
    ])
}

fn socket(files: &WorkerFiles) -> String {
    format!(
        "# Where kubelet calls its container runtime. Held here, callers wait while the worker is down.
[Unit]
Description=K3s-DaaS: kubelet's container runtime socket
# A K3s agent whose socket is absent at its start ends at once.
Before=k3s-agent.service k3s.service

[Socket]
ListenStream={}
SocketMode=0600
DirectoryMode=0700
Backlog=4096
# A worker that is stopped, or that fails for good, leaves the socket and who waits at it.
RemoveOnStop=no
FlushPending=no
# A worker that ends at its start, again and again, would otherwise close the socket.
TriggerLimitIntervalSec=0
Service={SERVICE_UNIT}

[Install]
WantedBy={SOCKET_STARTS_WITH}
",
        unit::whole(&files.cri_socket)
    )
}

/// Never ordered after K3s's agent: kubelet waits for this one, and containerd, which that starts,
/// is dialled when it is needed.
fn service(files: &WorkerFiles) -> String {
    let WorkerFiles {
        binary,
        configuration,
        state_dir,
        k3s_config_dir,
        ..
    } = files;
    let alone = binary.file_name().is_some_and(|name| name == WORKER_BINARY);
    let command = if alone { "" } else { " worker" };
    let (binary, configuration) = (unit::word(binary), unit::argument(configuration));
    let run = RUN_FOLDER.trim_start_matches("/run/");
    let writes: Vec<String> = [state_dir, k3s_config_dir]
        .into_iter()
        .chain(&files.writes)
        .map(|folder| unit::if_there(folder))
        .collect();
    let writes = writes.join(" ");
    let socket = if files.proxy {
        format!("Requires={SOCKET_UNIT}\nAfter={SOCKET_UNIT}\n")
    } else {
        String::new()
    };
    format!(
        "# The worker's part of K3s-DaaS.
[Unit]
Description=K3s-DaaS worker
{socket}# Never give up: kubelet can't start a pod without it.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={binary}{command} --config {configuration}
Restart=always
RestartSec=200ms
# Calls under way have 30 s to end.
TimeoutStopSec=45s
KillMode=mixed
# As kubelet and containerd: the last to go when memory runs out, and bounded itself.
OOMScoreAdjust=-999
MemoryMax=512M
UMask=0077
LimitNOFILE=65536
# The process holds the seal token.
LimitCORE=0
NoNewPrivileges=yes
# Root's files and sockets, and the figures of other users' processes.
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE
ProtectSystem=strict
# Some versions of systemd leave it open when other settings below are on too.
ReadOnlyPaths=/run
# There before the service starts, also where no socket unit has made it; kubelet's socket stays in it.
RuntimeDirectory={run}
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
ReadWritePaths={writes}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy={SERVICE_STARTS_WITH}
"
    )
}

pub(crate) fn drop_in(cri_socket: &Path) -> String {
    let argument = format!("container-runtime-endpoint=unix://{}", cri_socket.display());
    let argument = serde_json::Value::from(argument);
    format!(
        "# Kubelet's calls go through the shim. K3s still starts its own containerd.\n\
         # The plus adds to the arguments of other files; without it theirs would be gone.\n\
         kubelet-arg+:\n  - {argument}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> WorkerFiles {
        WorkerFiles {
            binary: "/usr/local/bin/k3s-daas".into(),
            configuration: "/etc/k3s-daas/worker-config.yaml".into(),
            cri_socket: "/run/k3s-daas/cri.sock".into(),
            state_dir: "/var/lib/k3s-daas-worker".into(),
            k3s_config_dir: "/etc/rancher/k3s".into(),
            writes: Vec::new(),
            proxy: true,
        }
    }

    #[test]
    fn the_drop_in_comes_last_and_adds_one_argument() {
        let rendered = render_worker(&files()).unwrap();
        let last = rendered.last().unwrap();
        assert_eq!(last.path, files().drop_in());
        let value: serde_yaml_ng::Value = serde_yaml_ng::from_str(&last.contents).unwrap();
        let wanted = "container-runtime-endpoint=unix:///run/k3s-daas/cri.sock";
        assert_eq!(value["kubelet-arg+"][0], wanted);
        assert_eq!(value.as_mapping().unwrap().len(), 1);
    }

    #[test]
    fn the_service_waits_for_its_socket_and_never_for_the_agent() {
        let service = service(&files());
        let order: Vec<&str> = service
            .lines()
            .filter(|line| line.starts_with("After=") || line.starts_with("Requires="))
            .collect();
        assert_eq!(
            order,
            ["Requires=k3s-daas-cri.socket", "After=k3s-daas-cri.socket"]
        );
        let socket = socket(&files());
        assert!(
            socket.contains("Before=k3s-agent.service k3s.service\n"),
            "{socket}"
        );
        assert!(socket.contains("SocketMode=0600\n"));
    }

    #[test]
    fn the_worker_alone_is_told_no_command() {
        let line = |binary: &str| {
            let binary = binary.into();
            let service = service(&WorkerFiles { binary, ..files() });
            let line = service.lines().find(|line| line.starts_with("ExecStart="));
            line.unwrap_or_default().to_owned()
        };
        let config = "--config /etc/k3s-daas/worker-config.yaml";
        assert_eq!(
            line("/b/k3s-daas"),
            format!("ExecStart=/b/k3s-daas worker {config}")
        );
        assert_eq!(
            line("/b/k3s-daas-worker"),
            format!("ExecStart=/b/k3s-daas-worker {config}")
        );
    }

    #[test]
    fn the_service_writes_where_it_is_told_to_and_nowhere_else() {
        let service = service(&WorkerFiles {
            writes: vec!["/srv/seal tokens".into()],
            ..files()
        });
        let lines: Vec<&str> = service
            .lines()
            .filter(|line| line.contains("Paths="))
            .collect();
        assert_eq!(
            lines,
            [
                "ReadOnlyPaths=/run",
                "ReadWritePaths=-/var/lib/k3s-daas-worker -/etc/rancher/k3s \"-/srv/seal tokens\"",
            ]
        );
    }

    #[test]
    fn the_links_are_those_that_the_units_ask_for() {
        for file in render_worker(&files()).unwrap() {
            let wanted = file
                .contents
                .lines()
                .find_map(|line| line.strip_prefix("WantedBy="));
            let link = files().links().into_iter().find(|link| link.1 == file.path);
            let target = link.map(|(link, _)| link.parent().unwrap().to_owned());
            let wanted = wanted.map(|wanted| Path::new(UNITS).join(format!("{wanted}.wants")));
            assert_eq!(target, wanted, "{}", file.path.display());
        }
    }

    #[test]
    fn observing_takes_nothing_from_kubelet() {
        let observing = WorkerFiles {
            proxy: false,
            ..files()
        };
        let rendered = render_worker(&observing).unwrap();
        assert_eq!(rendered.len(), 1);
        assert!(!rendered[0].contents.contains(SOCKET_UNIT));
    }

    #[test]
    fn a_path_that_depends_on_where_one_stands_is_refused() {
        let relative = WorkerFiles {
            cri_socket: "cri.sock".into(),
            ..files()
        };
        assert!(matches!(
            render_worker(&relative),
            Err(RenderError::NotAbsolute { .. })
        ));
    }
}
