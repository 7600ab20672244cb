//! The rules of the house that a machine can check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

/// Files that git tracks, or would track, whose name ends with `ending`.
fn files(ending: &str) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    String::from_utf8(output.stdout)
        .expect("paths are UTF-8")
        .lines()
        .filter(|path| path.ends_with(ending))
        .map(|path| root().join(path))
        .filter(|path| path.exists())
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All crates that `package` is built from, itself left out.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--package", package, "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let forbidden: [(&str, &[&str]); 8] = [
        (
            "seal",
            &[
                "tokio",
                "kube",
                "tonic",
                "reqwest",
                "axum",
                "tracing",
                "sui-ledger",
                "webhook-server",
            ],
        ),
        ("webhook-server", &["seal", "sui-ledger", "kube", "tonic"]),
        (
            "sui-ledger",
            &["kube", "webhook-server", "sui-devnet", "k3s-configs"],
        ),
        (
            "authn-webhook",
            &["authz-webhook", "sui-devnet", "k3s-configs"],
        ),
        (
            "authz-webhook",
            &["authn-webhook", "sui-devnet", "k3s-configs"],
        ),
        (
            "api-gate",
            &[
                "kube",
                "k3s-configs",
                "authn-webhook",
                "authz-webhook",
                "node-admission",
                "sui-devnet",
                "tenancy",
            ],
        ),
        (
            "cri-shim",
            &[
                "kube",
                "api-gate",
                "authn-webhook",
                "authz-webhook",
                "node-admission",
                "sui-devnet",
                "tenancy",
            ],
        ),
        (
            "sui-devnet",
            &["authn-webhook", "authz-webhook", "webhook-server", "kube"],
        ),
    ];
    for (package, never) in forbidden {
        let all = dependencies(package);
        for name in never {
            assert!(!all.contains(*name), "{package} must not depend on {name}");
        }
    }
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str().to_string_lossy().starts_with("tests"))
}

#[test]
fn one_idea_a_file() {
    let too_long: Vec<String> = files(".rs")
        .into_iter()
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, path)| *lines > 600 && !is_test(path))
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(too_long.is_empty(), "split these: {too_long:#?}");
}

#[test]
fn nothing_is_left_to_do() {
    // Spelled apart, so that this file does not find itself.
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    for path in files(".rs") {
        let text = read(&path);
        for mark in marks {
            assert!(!text.contains(mark), "{}: {mark}", path.display());
        }
    }
}

#[test]
fn the_changelog_keeps_its_form() {
    let text = read(&root().join("CHANGELOG.md"));
    assert!(text.starts_with("# Changelog\n"));
    assert!(text.contains("\n## [Unreleased]\n"));
    let allowed = [
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    ];
    for heading in text.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(allowed.contains(&heading), "unknown heading {heading}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for path in files(".md") {
        let text = read(&path);
        let here = path.parent().expect("a file has a folder");
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or_default();
            // Patterns and addresses are no links to files.
            if file.is_empty() || file.contains("://") || file.contains([' ', '{', '[', '|']) {
                continue;
            }
            assert!(
                here.join(file).exists(),
                "{} links to {file}",
                path.display()
            );
        }
    }
}
