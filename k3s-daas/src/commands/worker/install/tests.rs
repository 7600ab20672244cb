use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A systemctl that writes down what it is told, and the agent runs as `active` says.
struct Stage {
    folder: tempfile::TempDir,
    machine: Machine,
    files: WorkerFiles,
}

impl Stage {
    fn new(live: bool, agent: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = is-active ]; then echo {}; exit 3; fi\n\
             printf '%s' \"$*\" >>{1}\n[ -e {2} ] && printf ' (drop-in)' >>{1}\necho >>{1}\n",
            agent,
            at("told").display(),
            at("root/etc/rancher/k3s/config.yaml.d/50-k3s-daas-cri.yaml").display(),
        );
        std::fs::write(at("systemctl"), script).unwrap();
        std::fs::set_permissions(at("systemctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let machine = Machine {
            root: Some(at("root")),
            systemctl: live.then(|| at("systemctl")),
        };
        let files = WorkerFiles {
            binary: "/usr/local/bin/k3s-daas".into(),
            configuration: "/etc/k3s-daas/worker-config.yaml".into(),
            cri_socket: at("cri.sock"),
            state_dir: at("state"),
            k3s_config_dir: "/etc/rancher/k3s".into(),
            writes: vec![at("srv")],
            proxy: true,
        };
        Self {
            folder,
            machine,
            files,
        }
    }

    /// Listens as systemd does.
    fn hold(&self) -> std::os::unix::net::UnixListener {
        std::os::unix::net::UnixListener::bind(&self.files.cri_socket).unwrap()
    }

    fn told(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn args() -> InstallArgs {
    InstallArgs {
        place: Place {
            root: None,
            agent_unit: "k3s-agent.service".to_owned(),
            binary: None,
        },
        restart_agent: true,
    }
}

#[tokio::test]
async fn staged_files_come_and_go_and_systemd_is_left_alone() {
    let stage = Stage::new(false, "active");
    let done = installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap();
    let wrote = done
        .steps
        .iter()
        .filter(|step| step.starts_with("wrote"))
        .count();
    assert_eq!(wrote, 5, "{done:?}");
    for (link, unit) in stage.files.links() {
        assert_eq!(
            std::fs::read_link(stage.machine.place(&link)).unwrap(),
            unit
        );
    }
    let drop_in = stage.machine.place(&stage.files.drop_in());
    assert!(drop_in.starts_with(stage.folder.path().join("root")));
    assert!(
        std::fs::read_to_string(&drop_in)
            .unwrap()
            .contains("kubelet-arg+:")
    );
    let again = installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap();
    assert!(
        again.steps.iter().all(|step| !step.starts_with("wrote")),
        "{again:?}"
    );
    uninstalled(&stage.machine, &stage.files, "k3s-agent.service")
        .await
        .unwrap();
    assert!(!drop_in.exists());
    for (link, _) in stage.files.links() {
        assert!(!stage.machine.place(&link).is_symlink());
    }
    let last = uninstalled(&stage.machine, &stage.files, "k3s-agent.service")
        .await
        .unwrap();
    assert_eq!(last.steps, ["there was nothing to remove"]);
    assert!(stage.told().is_empty());
}

#[tokio::test]
async fn kubelet_is_sent_there_last_and_taken_away_first() {
    let stage = Stage::new(true, "inactive");
    let _held = stage.hold();
    let done = installed(&stage.machine, &stage.files, &args()).await;
    let told = stage.told();
    let gone = uninstalled(&stage.machine, &stage.files, "k3s-agent.service").await;
    done.unwrap();
    assert_eq!(
        told,
        [
            "daemon-reload",
            "stop k3s-daas-worker.service",
            "enable --now k3s-daas-cri.socket",
            "enable k3s-daas-worker.service",
            "restart k3s-daas-worker.service",
            "restart k3s-agent.service (drop-in)",
        ]
    );
    gone.unwrap();
    assert_eq!(
        stage.told()[told.len()..],
        [
            "disable --now k3s-daas-worker.service",
            "disable --now k3s-daas-cri.socket",
            "daemon-reload",
        ]
    );
}

#[tokio::test]
async fn an_agent_that_runs_or_tries_to_is_restarted_before_the_shim_goes() {
    for agent in ["active", "reloading", "activating"] {
        let stage = Stage::new(true, agent);
        let drop_in = stage.machine.place(&stage.files.drop_in());
        std::fs::create_dir_all(drop_in.parent().unwrap()).unwrap();
        std::fs::write(drop_in, "").unwrap();
        uninstalled(&stage.machine, &stage.files, "k3s-agent.service")
            .await
            .unwrap();
        assert_eq!(stage.told().first().unwrap(), "restart k3s-agent.service");
    }
}

#[tokio::test]
async fn a_socket_that_moves_is_restarted_and_one_that_stays_is_not() {
    let mut stage = Stage::new(true, "inactive");
    let restart = "restart k3s-daas-cri.socket";
    let mut held = None;
    for (socket, is_held, restarts) in [
        ("cri.sock", true, false),
        // The unit has changed.
        ("other.sock", true, true),
        ("other.sock", true, false),
        // It had changed before, and nobody came to the restart.
        ("other.sock", false, true),
    ] {
        stage.files.cri_socket = stage.folder.path().join(socket);
        drop(held.take());
        let _ = std::fs::remove_file(&stage.files.cri_socket);
        held = is_held.then(|| stage.hold());
        let before = stage.told().len();
        installed(&stage.machine, &stage.files, &args())
            .await
            .unwrap();
        let told = stage.told().split_off(before);
        let at = |line: &str| told.iter().position(|told| told.starts_with(line));
        assert_eq!(at(restart).is_some(), restarts, "{told:?}");
        assert!(
            at(restart) < at("restart k3s-daas-worker.service"),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn an_observing_worker_is_not_put_behind_kubelets_drop_in() {
    let mut stage = Stage::new(false, "active");
    installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap();
    stage.files.proxy = false;
    installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap_err();
    uninstalled(&stage.machine, &stage.files, "k3s-agent.service")
        .await
        .unwrap();
    installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap();
    assert!(!stage.machine.place(&stage.files.socket_unit()).exists());
}

#[tokio::test]
async fn what_the_service_writes_to_is_there_before_it_starts() {
    let stage = Stage::new(false, "active");
    installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap();
    let usual = [&stage.files.state_dir, &stage.files.k3s_config_dir];
    for folder in usual.into_iter().chain(&stage.files.writes) {
        assert!(stage.machine.place(folder).is_dir(), "{}", folder.display());
    }
}

#[tokio::test]
async fn a_drop_in_of_an_earlier_folder_goes_too() {
    let mut stage = Stage::new(false, "active");
    installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap();
    let before = stage.machine.place(&stage.files.drop_in());
    stage.files.k3s_config_dir = "/etc/other".into();
    uninstalled(&stage.machine, &stage.files, "k3s-agent.service")
        .await
        .unwrap();
    assert!(!before.exists());
}
