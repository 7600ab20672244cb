//! One configuration: every value is a key of one file, a flag and an environment variable.
//!
//! Shape:  the key `max_staleness_seconds` is the flag `--max-staleness-seconds` and the variable
//!         `K3S_DAAS_MAX_STALENESS_SECONDS`. The file is YAML; a list is a YAML list there and
//!         comma-separated elsewhere. A key `a_b` may stand there as `b` in a section `a`.
//! Order:  flag, then environment, then file, then default.
//! Errors: an unknown key, a value that does not parse. Each names the key, where it came from
//!         and what would be right. A typo that goes unnoticed would be a default nobody chose.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind, OrFail, Outcome};

pub mod keys;
mod values;

pub use values::{FromText, KubeName, List, Seconds, Setting, Url, owners_text};

/// What the variables begin with.
pub const ENV_PREFIX: &str = "K3S_DAAS_";
/// Where the file is looked for when nobody says.
pub const DEFAULT_FILE: &str = "/etc/k3s-daas/config.yaml";
/// Where a worker's file is looked for.
pub const WORKER_FILE: &str = "/etc/k3s-daas/worker-config.yaml";
/// Other names of variables, taken where ours is not there.
const ALIASES: [(&str, &str); 3] = [
    ("SUI_RPC_URL", "SUI_RPC_ENDPOINT"),
    ("STAKING_CONTRACT", "SUI_STAKING_CONTRACT"),
    ("MASTER_ENDPOINT", "K3S_MASTER_ENDPOINT"),
];
/// Variables with our prefix that are no keys: the file's place, the build cache of the tests, the
/// log filter, and the switch that rewrites the generated documents.
const OTHER_VARIABLES: [&str; 7] = [
    "CONFIG",
    "CACHE",
    "LOG",
    "WRITE_DOCS",
    "CONTROL_PLANE",
    "CONTAINERD",
    "IMAGES",
];

/// One key: its name, what it means, its default.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it stands in the file.
    pub name: &'static str,
    /// What it means, in lines.
    pub help: &'static [&'static str],
    /// What holds when nobody says anything else.
    pub default: Option<&'static str>,
    /// Says whether a text is a value of this key.
    pub check: fn(Option<&str>) -> Result<(), String>,
}

impl Key {
    /// `--max-staleness-seconds`
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// `K3S_DAAS_MAX_STALENESS_SECONDS`
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.to_uppercase())
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The command line.
    Flag,
    /// The environment.
    Env,
    /// The file.
    File,
    /// Nobody said anything.
    Default,
    /// Nobody said anything, and there is no default.
    Unset,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Env => "env",
            Self::File => "file",
            Self::Default => "default",
            Self::Unset => "unset",
        })
    }
}

/// What stands in the file and in the environment, read once at the start.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Where the file is (or would be).
    pub path: PathBuf,
    /// Whether it was there.
    pub file_found: bool,
    /// Whether somebody named it: then it must be there.
    named: bool,
    file: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
}

impl Sources {
    /// Reads the file and keeps our variables. `path` is what `--config` says, `default` where the
    /// file is when nobody says.
    ///
    /// A file that was named must exist; the default one may be missing.
    pub fn read(
        path: Option<&Path>,
        default: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Outcome<Self> {
        let variables = env;
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        let mut aliases = BTreeMap::new();
        for (name, value) in variables {
            if let Some(name) = name.strip_prefix(ENV_PREFIX) {
                env.insert(name.to_owned(), value);
            } else if let Some((_, ours)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
                aliases.insert((*ours).to_owned(), value);
            }
        }
        for (name, value) in aliases {
            env.entry(name).or_insert(value);
        }
        let named = path
            .map(Path::to_owned)
            .or_else(|| env.get("CONFIG").map(PathBuf::from));
        let (path, named) = match named {
            Some(path) => (path, true),
            None => (default.into(), false),
        };
        Self::read_file(path, named, env)
    }

    /// Reads the file again, where it was. The environment is that of the start.
    pub fn read_again(&self) -> Outcome<Self> {
        Self::read_file(self.path.clone(), self.named, self.env.clone())
    }

    fn read_file(path: PathBuf, named: bool, env: BTreeMap<String, String>) -> Outcome<Self> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => None,
            Err(error) => {
                return Err(Failure::new(Kind::Usage, error)
                    .context(format!("can't read the configuration {}", path.display()))
                    .next("check the path given by --config or K3S_DAAS_CONFIG"));
            }
        };
        let file = match &text {
            Some(text) => parse_file(text)
                .map_err(|failure| failure.context(format!("in {}", path.display())))?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            path,
            file_found: text.is_some(),
            named,
            file,
            env,
        })
    }

    /// The value of a key and where it came from.
    pub fn find<'a>(&'a self, key: &Key, flag: Option<&'a str>) -> (Option<&'a str>, Source) {
        if let Some(value) = flag {
            return (Some(value), Source::Flag);
        }
        if let Some(value) = self.env.get(&key.name.to_uppercase()) {
            return (Some(value), Source::Env);
        }
        if let Some(value) = self.file.get(key.name) {
            return (Some(value), Source::File);
        }
        match key.default {
            Some(value) => (Some(value), Source::Default),
            None => (None, Source::Unset),
        }
    }

    /// The typed value of a key.
    pub fn value<T: Setting>(&self, key: &Key, flag: Option<&str>) -> Outcome<T> {
        let (text, source) = self.find(key, flag);
        T::from_setting(text).map_err(|fix| self.wrong(key, source, text, &fix))
    }

    /// The failure for a key whose value is wrong or missing.
    pub fn wrong(&self, key: &Key, source: Source, text: Option<&str>, fix: &str) -> Failure {
        let place = match source {
            Source::Flag => format!("the flag {}", key.flag()),
            Source::Env => format!("the variable {}", key.variable()),
            Source::File => format!("the key {} in {}", key.name, self.path.display()),
            Source::Default | Source::Unset => format!("the key {}", key.name),
        };
        let message = match text {
            Some(text) => format!("{place} has the value {text:?}: {fix}"),
            None => format!("{place} has no value: {fix}"),
        };
        Failure::message(Kind::Usage, message).next(format!(
            "set {} in {}, the flag {} or the variable {}",
            key.name,
            self.path.display(),
            key.flag(),
            key.variable()
        ))
    }

    /// Variables with our prefix that mean nothing.
    pub fn unknown_variables(&self) -> Vec<String> {
        let known = |name: &str| {
            OTHER_VARIABLES.contains(&name) || keys::all().any(|k| k.name.to_uppercase() == name)
        };
        self.env
            .keys()
            .filter(|name| !known(name))
            .map(|name| format!("{ENV_PREFIX}{name}"))
            .collect()
    }
}

/// Reads YAML, sections opened. A list becomes comma-separated, so that one parser serves all three
/// places.
fn parse_file(text: &str) -> Outcome<BTreeMap<String, String>> {
    let values: Option<BTreeMap<String, serde_yaml_ng::Value>> = serde_yaml_ng::from_str(text)
        .or_fail(Kind::Usage, "the configuration is no YAML mapping")?;
    let mut opened = BTreeMap::new();
    for (name, value) in values.unwrap_or_default() {
        for (name, value) in open(name, value)? {
            if opened.insert(name.clone(), value).is_some() {
                let text = format!("the key {name} stands in a section and outside of it");
                return Err(Failure::message(Kind::Usage, text).next("take one of the two away"));
            }
        }
    }
    opened
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let Some(key) = keys::all().find(|key| key.name == name) else {
                return Err(unknown(&name));
            };
            let text = flat(&value).ok_or_else(|| {
                Failure::message(
                    Kind::Usage,
                    format!("the key {name} is not one value or a list"),
                )
                .next(format!(
                    "see `k3s-daas config show` for the form of {}",
                    key.name
                ))
            })?;
            Ok((name, text))
        })
        .collect()
}

/// The keys of a section, or the one key.
fn open(name: String, value: serde_yaml_ng::Value) -> Outcome<Vec<(String, serde_yaml_ng::Value)>> {
    let serde_yaml_ng::Value::Mapping(section) = value else {
        return Ok(vec![(name, value)]);
    };
    let keys = section.into_iter().map(|(key, value)| match key {
        serde_yaml_ng::Value::String(key) => Ok((format!("{name}_{key}"), value)),
        _ => Err(Failure::message(
            Kind::Usage,
            format!("in the section {name} there is a key that is no word"),
        )),
    });
    keys.collect()
}

fn flat(value: &serde_yaml_ng::Value) -> Option<String> {
    use serde_yaml_ng::Value;
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Sequence(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| match item {
                    Value::Sequence(_) => None,
                    item => flat(item),
                })
                .collect();
            items.map(|items| items.join(","))
        }
        Value::Null | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

fn unknown(name: &str) -> Failure {
    let failure = Failure::message(Kind::Usage, format!("there is no key {name}"));
    let nearest = keys::all()
        .map(|key| (far(name, key.name), key.name))
        .min()
        .filter(|(far, key)| *far <= 3 || same_section(name, key));
    match nearest {
        // A worker's keys stand in sections.
        Some((_, nearest)) if keys::is_sectioned(nearest) => {
            let (section, key) = nearest.split_once('_').unwrap_or(("", nearest));
            failure.next(format!(
                "did you mean {key} in the section {section} ({nearest})?"
            ))
        }
        Some((_, nearest)) => failure.next(format!("did you mean {nearest}?")),
        None => failure.next("`k3s-daas config show` lists all keys"),
    }
}

/// How far a name is from a key's. A part of the key's own name is near: `rpc` for `rpc_endpoint`, or
/// a key that stands outside of its section. Other sections' keys are far.
fn far(name: &str, key: &str) -> usize {
    let part = |name: &str, key: &str| {
        let mut words = key.split('_');
        words.any(|word| word == name) || key.starts_with(&format!("{name}_"))
    };
    if let (Some((section, name)), Some((of, key))) = (name.split_once('_'), key.split_once('_'))
        && section == of
    {
        return if part(name, key) {
            1
        } else {
            distance(name, key)
        };
    }
    let ends = key
        .strip_suffix(name)
        .is_some_and(|rest| rest.ends_with('_'));
    if ends { 1 } else { distance(name, key) }
}

/// Whether both are of one section of a worker's file, of which there are few keys.
fn same_section(name: &str, key: &str) -> bool {
    let section = |name: &str| name.split_once('_').map(|(section, _)| section.to_owned());
    keys::is_sectioned(key) && section(name) == section(key)
}

/// Levenshtein distance, for suggestions.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        if let Some(first) = row.first_mut() {
            *first = last;
        }
        for (slot, right) in row.iter_mut().skip(1).zip(b.chars()) {
            let changed = diagonal + usize::from(left != right);
            diagonal = *slot;
            last = changed.min(last + 1).min(diagonal + 1);
            *slot = last;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
