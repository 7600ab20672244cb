//! Whether kubelet goes through the shim, by K3s's files: `config.yaml`, then `config.yaml.d/*.yaml`
//! by name.
//!
//! Source: K3s `pkg/configfilearg/parser.go`: a later file's key replaces an earlier one's, `key+`
//!         adds to it.

use std::path::{Path, PathBuf};

use k3s_configs::WorkerFiles;
use serde_yaml_ng::Value;

use super::super::Check;

const NAME: &str = "kubelet";
const INSTALL: &str = "`k3s-daas worker install`";

/// One file of K3s's.
struct File {
    path: PathBuf,
    value: Value,
}

/// What sends kubelet through the shim, or past it.
pub(in crate::commands) fn checks(files: &WorkerFiles) -> Vec<Check> {
    let found = match read(&files.k3s_config_dir) {
        Ok(found) => found,
        Err(why) => return vec![Check::fail(NAME, why, "mend the file: K3s reads it too")],
    };
    let wanted = format!(
        "container-runtime-endpoint=unix://{}",
        files.cri_socket.display()
    );
    let mut checks = vec![way(&found, &files.drop_in(), &wanted)];
    checks.extend(found.iter().flat_map(past));
    checks
}

/// All that K3s reads, in its order.
fn read(folder: &Path) -> Result<Vec<File>, String> {
    let mut paths = vec![folder.join("config.yaml")];
    let entries = std::fs::read_dir(folder.join("config.yaml.d"));
    let mut more: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "yaml" || end == "yml")
        })
        .collect();
    more.sort();
    paths.extend(more);
    let mut files = Vec::new();
    for path in paths {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let value = serde_yaml_ng::from_str(&text);
        let value = value.map_err(|error| format!("{}: {error}", path.display()))?;
        files.push(File { path, value });
    }
    Ok(files)
}

/// Where kubelet is sent in the end.
fn way(files: &[File], drop_in: &Path, wanted: &str) -> Check {
    let Some(place) = files.iter().position(|file| file.path == drop_in) else {
        let found = format!("{} is not there: it goes past the shim", drop_in.display());
        return Check::fail(NAME, found, INSTALL);
    };
    let (before, rest) = files.split_at(place);
    let Some((ours, after)) = rest.split_first() else {
        return Check::fail(NAME, "its files can't be told apart", INSTALL);
    };
    if !words(&ours.value, "kubelet-arg+")
        .iter()
        .any(|word| word == wanted)
    {
        let plain = ours.value.get("kubelet-arg").is_some();
        let found = if plain {
            "the drop-in says kubelet-arg without the plus: it takes your own arguments away"
        } else {
            "the drop-in does not name the shim's socket"
        };
        return Check::fail(NAME, found, INSTALL);
    }
    for file in before.iter().chain(after) {
        let path = file.path.display();
        let all = [
            words(&file.value, "kubelet-arg"),
            words(&file.value, "kubelet-arg+"),
        ]
        .concat();
        if all
            .iter()
            .any(|word| word.starts_with("container-runtime-endpoint="))
        {
            let found = format!("{path} sends it to another runtime");
            return Check::fail(NAME, found, format!("take that argument out of {path}"));
        }
    }
    if let Some(file) = after
        .iter()
        .find(|file| file.value.get("kubelet-arg").is_some())
    {
        let path = file.path.display();
        let found = format!("{path} comes later and takes the drop-in's argument away");
        return Check::fail(NAME, found, format!("write `kubelet-arg+` in {path}"));
    }
    Check::ok(
        NAME,
        format!("{} sends it through the shim", drop_in.display()),
    )
}

/// What takes images or pods past the shim.
fn past(file: &File) -> Vec<Check> {
    let path = file.path.display();
    let mut checks = Vec::new();
    if file.value.get("container-runtime-endpoint").is_some() {
        let found =
            format!("{path} sets container-runtime-endpoint: K3s starts no containerd then");
        let to_do = "point worker_containerd_socket at the runtime that is used instead";
        checks.push(Check::warn(NAME, found, to_do));
    }
    let all = [
        words(&file.value, "kubelet-arg"),
        words(&file.value, "kubelet-arg+"),
    ]
    .concat();
    let image = all
        .iter()
        .any(|word| word.starts_with("image-service-endpoint="));
    if image || file.value.get("image-service-endpoint").is_some() {
        let found = format!("{path} sets image-service-endpoint: images go past the shim");
        checks.push(Check::warn(
            NAME,
            found,
            "calls for images are not counted here",
        ));
    }
    let snapshotter = words(&file.value, "snapshotter");
    if let Some(other) = snapshotter
        .iter()
        .find(|name| *name != "overlayfs" && *name != "native")
    {
        let found =
            format!("{path} sets the snapshotter {other}, which may fetch images by itself");
        checks.push(Check::warn(
            NAME,
            found,
            "what it fetches is not counted here",
        ));
    }
    checks
}

/// The texts of a key: one, or a list.
fn words(value: &Value, key: &str) -> Vec<String> {
    match value.get(key) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Sequence(all)) => {
            let texts = all.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::State;
    use super::*;

    const OURS: &str =
        "kubelet-arg+:\n  - container-runtime-endpoint=unix:///run/k3s-daas/cri.sock\n";

    /// The worst state, and everything that was found.
    fn looked(files: &[(&str, &str)]) -> (State, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("config.yaml.d")).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let files = WorkerFiles {
            binary: "/b".into(),
            configuration: "/c".into(),
            cri_socket: "/run/k3s-daas/cri.sock".into(),
            state_dir: "/s".into(),
            k3s_config_dir: folder.path().to_owned(),
            writes: Vec::new(),
            proxy: true,
        };
        let checks = checks(&files);
        let found: Vec<String> = checks.iter().map(|check| check.found.clone()).collect();
        let has = |state| checks.iter().any(|check| check.state == state);
        let worst = if has(State::Fail) {
            State::Fail
        } else if has(State::Warn) {
            State::Warn
        } else {
            State::Ok
        };
        (worst, found.join("\n"))
    }

    #[test]
    fn every_way_past_the_shim_is_found() {
        let ours = ("config.yaml.d/50-k3s-daas-cri.yaml", OURS);
        let own = "kubelet-arg:\n  - max-pods=50\n";
        let wrong = OURS.replace("arg+", "arg");
        for (files, state, told) in [
            (vec![ours], State::Ok, "sends it through the shim"),
            (
                vec![("config.yaml", own), ours],
                State::Ok,
                "through the shim",
            ),
            (
                vec![("config.yaml", own)],
                State::Fail,
                "goes past the shim",
            ),
            (
                vec![(ours.0, wrong.as_str())],
                State::Fail,
                "without the plus",
            ),
            (vec![(ours.0, "{}")], State::Fail, "does not name"),
            (
                vec![ours, ("config.yaml.d/60.yaml", own)],
                State::Fail,
                "comes later",
            ),
            (
                vec![
                    ours,
                    (
                        "config.yaml.d/60.yaml",
                        "kubelet-arg+: container-runtime-endpoint=unix:///x",
                    ),
                ],
                State::Fail,
                "another runtime",
            ),
            (
                vec![ours, ("config.yaml", "container-runtime-endpoint: /x")],
                State::Warn,
                "no containerd",
            ),
            (
                vec![ours, ("config.yaml", "image-service-endpoint: /x")],
                State::Warn,
                "past the shim",
            ),
            (
                vec![ours, ("config.yaml", "snapshotter: stargz")],
                State::Warn,
                "stargz",
            ),
            (
                vec![ours, ("config.yaml", "snapshotter: overlayfs")],
                State::Ok,
                "through the shim",
            ),
            (
                vec![("config.yaml", ": :\n- [")],
                State::Fail,
                "config.yaml",
            ),
        ] {
            let (found, text) = looked(&files);
            assert_eq!(found, state, "{files:?}: {text}");
            assert!(text.contains(told), "{files:?}: {text}");
        }
    }
}
