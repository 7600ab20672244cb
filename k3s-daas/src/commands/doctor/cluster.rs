//! Whether K3s is told to ask the webhooks.
//!
//! Source: K3s reads `config.yaml` and then `config.yaml.d/*.yaml` beside it; a key with `+`
//!         appended adds to a list.

use std::path::{Path, PathBuf};

use super::Check;

/// The arguments of kube-apiserver that make it ask.
const NEEDED: [&str; 2] = [
    "authentication-token-webhook-config-file",
    "authorization-config",
];

/// K3s turns it on by itself.
const BOOTSTRAP_TOKENS: &str = "enable-bootstrap-token-auth";

/// Those that make it tell the gate who is connected.
const NEEDED_BY_GATE: [&str; 2] = ["audit-policy-file", "audit-webhook-config-file"];

/// Looks at K3s's configuration, if K3s runs on this machine.
pub(super) fn checks(config: &Path, behind_gate: bool) -> Vec<Check> {
    const NAME: &str = "k3s";
    const RENDER: &str =
        "`k3s-daas config render` writes the files; see its output for where they go";
    let files = files(config);
    if files.is_empty() {
        let found = format!(
            "there is no {}, so no K3s server was looked at",
            config.display()
        );
        return vec![Check::warn(
            NAME,
            found,
            "on the server's machine, give --k3s-config",
        )];
    }
    let mut arguments = Vec::new();
    for file in &files {
        match read(file) {
            Ok(found) => arguments.extend(found),
            Err(error) => {
                let found = format!("{} can't be read: {error}", file.display());
                return vec![Check::fail(NAME, found, "correct the file or its mode")];
            }
        }
    }
    let value = |name: &str| value_of(&arguments, name);
    let of_gate = NEEDED_BY_GATE.iter().filter(|_| behind_gate);
    let mut checks: Vec<Check> = NEEDED
        .iter()
        .chain(of_gate)
        .map(|name| match value(name) {
            None => Check::fail(NAME, format!("kube-apiserver-arg lacks {name}"), RENDER),
            Some(path) if !Path::new(path).is_file() => Check::fail(
                NAME,
                format!("{name} names {path}, which is not there"),
                RENDER,
            ),
            Some(path) => Check::ok(NAME, format!("{name} is {path}")),
        })
        .collect();
    checks.push(match value(BOOTSTRAP_TOKENS) {
        Some("false") => Check::ok(NAME, format!("{BOOTSTRAP_TOKENS} is false")),
        _ => Check::fail(
            NAME,
            format!("{BOOTSTRAP_TOKENS} is not false: bootstrap tokens join without stake"),
            RENDER,
        ),
    });
    checks
}

/// The value of an argument of kube-apiserver, where K3s's configuration gives one.
pub(super) fn argument(config: &Path, name: &str) -> Option<String> {
    let files = files(config);
    let arguments: Vec<String> = files
        .iter()
        .filter_map(|file| read(file).ok())
        .flatten()
        .collect();
    value_of(&arguments, name).map(ToOwned::to_owned)
}

fn value_of<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let of = |argument: &'a String| argument.strip_prefix(name)?.strip_prefix('=');
    arguments.iter().find_map(of)
}

fn files(config: &Path) -> Vec<PathBuf> {
    let mut folder = config.as_os_str().to_owned();
    folder.push(".d");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|found| found == "yaml" || found == "yml")
        })
        .collect();
    files.sort();
    files.insert(0, config.to_owned());
    files.retain(|path| path.is_file());
    files
}

fn read(file: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let values: serde_json::Map<String, serde_json::Value> =
        serde_yaml_ng::from_str(&text).map_err(|error| error.to_string())?;
    Ok(values
        .iter()
        .filter(|(name, _)| name.trim_end_matches('+') == "kube-apiserver-arg")
        .flat_map(|(_, value)| match value {
            serde_json::Value::Array(items) => items.clone(),
            value => vec![value.clone()],
        })
        .filter_map(|value| {
            value
                .as_str()
                .map(|text| text.trim_start_matches('-').to_owned())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn finds_arguments_in_the_file_and_in_its_drop_ins() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yaml");
        let webhook = folder.path().join("authn.yaml");
        std::fs::write(&webhook, "").unwrap();
        let states = |config: &Path| -> Vec<State> {
            checks(config, false)
                .iter()
                .map(|check| check.state)
                .collect()
        };
        assert_eq!(states(&config), [State::Warn]);
        std::fs::write(&config, "token: x\n").unwrap();
        assert_eq!(states(&config), [State::Fail; 3]);
        std::fs::create_dir(folder.path().join("config.yaml.d")).unwrap();
        let text = format!(
            "kube-apiserver-arg+:\n- authentication-token-webhook-config-file={}\n- authorization-config=/nowhere\n- enable-bootstrap-token-auth=false\n",
            webhook.display()
        );
        std::fs::write(folder.path().join("config.yaml.d/k3s-daas.yaml"), text).unwrap();
        assert_eq!(states(&config), [State::Ok, State::Fail, State::Ok]);
        let behind_gate = checks(&config, true);
        let lacking = behind_gate
            .iter()
            .filter(|check| check.found.contains("lacks audit-"));
        assert_eq!(lacking.count(), 2, "{behind_gate:?}");
        assert_eq!(argument(&config, "min-request-timeout"), None);
        assert_eq!(
            argument(&config, "enable-bootstrap-token-auth").as_deref(),
            Some("false")
        );
    }
}
