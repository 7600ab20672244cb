//! The rendered examples in `rendered/` are what the templates give.
//!
//! `UPDATE_RENDERED=1 cargo test -p k3s-configs --test golden` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use k3s_configs::{
    AgentSettings, ClientCertificate, GateMode, Profile, RenderedFile, Settings, WorkerFiles,
    explain, render, render_agent, render_worker,
};

fn examples() -> [(&'static str, Settings); 2] {
    [
        ("development", Settings::default()),
        (
            "production",
            Settings {
                profile: Profile::Production,
                client_certificate: Some(ClientCertificate {
                    certificate: "/etc/k3s-daas/tls/kube-apiserver.crt".into(),
                    key: "/etc/k3s-daas/tls/kube-apiserver.key".into(),
                }),
                control_plane_nodes: vec!["server-1".to_owned()],
                gate: Some(GateMode {
                    advertise: Some([203, 0, 113, 7].into()),
                    ..GateMode::default()
                }),
                ..Settings::default()
            },
        ),
    ]
}

fn folder(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("rendered")
        .join(example)
}

fn all_files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

fn write_anew(folder: &Path, files: &[RenderedFile]) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    for file in files {
        let path = folder.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.contents).unwrap();
    }
}

#[test]
fn the_committed_examples_are_what_the_templates_give() {
    for (name, settings) in examples() {
        let (folder, files) = (folder(name), render(&settings).unwrap());
        if std::env::var_os("UPDATE_RENDERED").is_some() {
            write_anew(&folder, &files);
        }
        let paths: BTreeSet<_> = files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(all_files(&folder), paths, "{name}");
        for file in files {
            let committed = fs::read_to_string(folder.join(&file.path)).unwrap();
            assert_eq!(committed, file.contents, "{name}: {}", file.path.display());
        }
    }
}

#[test]
fn the_committed_worker_is_what_the_template_gives() {
    let files = render_agent(&AgentSettings {
        server: "https://cluster.example.org:6443".to_owned(),
        token_file: "/etc/rancher/k3s/k3s-daas.token".into(),
        node_name: "worker-001".parse().unwrap(),
    })
    .unwrap();
    let folder = folder("worker");
    if std::env::var_os("UPDATE_RENDERED").is_some() {
        write_anew(&folder, &files);
    }
    let paths: BTreeSet<_> = files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(all_files(&folder), paths);
    for file in files {
        let committed = fs::read_to_string(folder.join(&file.path)).unwrap();
        assert_eq!(committed, file.contents);
    }
}

#[test]
fn the_committed_shim_is_what_the_templates_give() {
    let files = render_worker(&WorkerFiles {
        binary: "/usr/local/bin/k3s-daas".into(),
        configuration: "/etc/k3s-daas/worker-config.yaml".into(),
        cri_socket: "/run/k3s-daas/cri.sock".into(),
        state_dir: "/var/lib/k3s-daas-worker".into(),
        k3s_config_dir: "/etc/rancher/k3s".into(),
        writes: Vec::new(),
        proxy: true,
    });
    // Their places on a machine, below the folder.
    let files: Vec<RenderedFile> = files
        .unwrap()
        .into_iter()
        .map(|file| RenderedFile {
            path: file.path.strip_prefix("/").unwrap().to_owned(),
            ..file
        })
        .collect();
    let folder = folder("shim");
    if std::env::var_os("UPDATE_RENDERED").is_some() {
        write_anew(&folder, &files);
    }
    let paths: BTreeSet<_> = files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(all_files(&folder), paths);
    for file in files {
        let committed = fs::read_to_string(folder.join(&file.path)).unwrap();
        assert_eq!(committed, file.contents);
    }
}

#[test]
fn every_file_that_a_file_names_is_rendered() {
    for (name, settings) in examples() {
        let files = render(&settings).unwrap();
        let ours = format!("{}/k3s-daas/", settings.output_dir.display());
        let known: BTreeSet<_> = files
            .iter()
            .map(|file| settings.output_dir.join(&file.path))
            .collect();
        let mut named = 0;
        for file in &files {
            for (at, _) in file.contents.match_indices(&ours) {
                let path: String = file.contents[at..]
                    .chars()
                    .take_while(|c| !c.is_whitespace() && *c != '"')
                    .collect();
                assert!(known.contains(Path::new(&path)), "{name}: {path}");
                named += 1;
            }
        }
        // Three arguments, three authorizers, where there is one who the API server is, and for the
        // gate the policy and the webhook of events.
        let gate = if settings.gate.is_some() { 2 } else { 0 };
        let expected = 6 + gate + usize::from(settings.client_certificate.is_some());
        assert_eq!(named, expected, "{name}");
    }
}

#[test]
fn nothing_lies_outside_the_output_folder_and_kubeconfigs_are_private() {
    for (_, settings) in examples() {
        for file in render(&settings).unwrap() {
            assert!(file.path.is_relative());
            assert!(!file.path.components().any(|part| part.as_os_str() == ".."));
            let private = file.path.extension().is_some_and(|end| end == "kubeconfig");
            assert_eq!(
                file.mode,
                if private { 0o600 } else { 0o644 },
                "{}",
                file.path.display()
            );
            assert!(!file.purpose.is_empty());
        }
    }
}

#[test]
fn renders_no_units_where_none_are_wanted() {
    let files = render(&Settings {
        systemd: None,
        ..Settings::default()
    })
    .unwrap();
    assert!(!files.iter().any(|file| file.path.starts_with("systemd")));
}

#[test]
fn refuses_settings_that_do_not_validate() {
    let settings = Settings {
        output_dir: "here".into(),
        ..Settings::default()
    };
    assert!(render(&settings).is_err());
    assert!(explain(&settings).is_err());
}

#[test]
fn explains_every_line_that_k3s_is_told() {
    for (name, settings) in examples() {
        let files = render(&settings).unwrap();
        let told = files[0].contents.lines().filter(|line| {
            line.starts_with("  - ") || (line.contains(": ") && !line.starts_with(['#', ' ']))
        });
        let explained = explain(&settings).unwrap();
        assert_eq!(explained.len(), told.count(), "{name}");
        assert!(explained.iter().all(|line| !line.why.is_empty()));
    }
}
