use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A systemctl that writes down what it is told, and the agent runs as `active` says.
struct Stage {
    folder: tempfile::TempDir,
    machine: Machine,
    files: WorkerFiles,
}

impl Stage {
    fn new(live: bool, agent_runs: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = is-active ]; then exit {}; fi\n\
             printf '%s' \"$*\" >>{1}\n[ -e {2} ] && printf ' (drop-in)' >>{1}\necho >>{1}\n",
            i32::from(!agent_runs),
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
            proxy: true,
        };
        Self {
            folder,
            machine,
            files,
        }
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
    let stage = Stage::new(false, true);
    let done = installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap();
    let wrote = done
        .steps
        .iter()
        .filter(|step| step.starts_with("wrote"))
        .count();
    assert_eq!(wrote, 3, "{done:?}");
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
    let last = uninstalled(&stage.machine, &stage.files, "k3s-agent.service")
        .await
        .unwrap();
    assert_eq!(last.steps, ["there was nothing to remove"]);
    assert!(stage.told().is_empty());
}

#[tokio::test]
async fn kubelet_is_sent_there_last_and_taken_away_first() {
    let stage = Stage::new(true, false);
    let done = installed(&stage.machine, &stage.files, &args()).await;
    let told = stage.told();
    let gone = uninstalled(&stage.machine, &stage.files, "k3s-agent.service").await;
    done.unwrap();
    assert_eq!(
        told,
        [
            "daemon-reload",
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
async fn a_running_agent_is_restarted_before_the_shim_goes() {
    let stage = Stage::new(true, true);
    let drop_in = stage.machine.place(&stage.files.drop_in());
    std::fs::create_dir_all(drop_in.parent().unwrap()).unwrap();
    std::fs::write(drop_in, "").unwrap();
    uninstalled(&stage.machine, &stage.files, "k3s-agent.service")
        .await
        .unwrap();
    assert_eq!(stage.told().first().unwrap(), "restart k3s-agent.service");
}

#[tokio::test]
async fn an_observing_worker_is_not_put_behind_kubelets_drop_in() {
    let mut stage = Stage::new(false, true);
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
    let stage = Stage::new(false, true);
    installed(&stage.machine, &stage.files, &args())
        .await
        .unwrap();
    for folder in [&stage.files.state_dir, &stage.files.k3s_config_dir] {
        assert!(stage.machine.place(folder).is_dir(), "{}", folder.display());
    }
}

#[tokio::test]
async fn a_drop_in_of_an_earlier_folder_goes_too() {
    let mut stage = Stage::new(false, true);
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

#[test]
fn the_workers_own_program_is_taken_where_it_lies_beside_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let this = folder.path().join("k3s-daas");
    assert_eq!(beside(this.clone()), this);
    let own = folder.path().join(WORKER_BINARY);
    std::fs::write(&own, "").unwrap();
    assert_eq!(beside(this), own);
}
