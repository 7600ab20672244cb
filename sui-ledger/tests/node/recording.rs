//! Reads the files of `testdata/sui-1.57`.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/sui-1.57")
}

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    /// Its path below the folder, without `.json`.
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// All files, in the order of their names.
pub(crate) fn all() -> Vec<Recording> {
    let mut names = Vec::new();
    for (prefix, path) in [
        ("", folder()),
        ("released-v2/", folder().join("released-v2")),
    ] {
        for entry in std::fs::read_dir(path).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(stem) = name.strip_suffix(".json") {
                names.push(format!("{prefix}{stem}"));
            }
        }
    }
    names.sort();
    names.iter().map(|name| load(name)).collect()
}

pub(crate) fn load(name: &str) -> Recording {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    Recording {
        name: name.to_owned(),
        value: serde_json::from_str(&text).unwrap(),
    }
}

impl Recording {
    /// `LedgerService/GetObject`, say; empty for measured facts.
    pub(crate) fn method(&self) -> &str {
        self.value["method"]
            .as_str()
            .and_then(|method| method.rsplit('/').next())
            .unwrap_or_default()
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.value["method"]
            .as_str()
            .is_some_and(|method| method.starts_with("/sui.rpc.v2."))
    }

    pub(crate) fn request(&self) -> Bytes {
        bytes(&self.value["request"]["base64"])
    }

    pub(crate) fn request_json(&self) -> &Value {
        &self.value["request"]["json"]
    }

    /// The answer's message, if the call succeeded.
    pub(crate) fn response(&self) -> Option<Bytes> {
        let response = self.value.get("response")?;
        Some(bytes(&response["base64"]))
    }

    pub(crate) fn response_json(&self) -> &Value {
        &self.value["response"]["json"]
    }

    /// The recorded headers that are Sui's.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let headers = if self.value.get("response").is_some() {
            &self.value["response"]["headers"]
        } else if self.value.get("error").is_some() {
            &self.value["error"]["metadata"]
        } else {
            &self.value["headers"]
        };
        sui_headers(headers)
    }

    pub(crate) fn frames(&self) -> Option<Vec<Bytes>> {
        let frames = self.value.get("frames")?.as_array()?;
        Some(frames.iter().map(|frame| bytes(&frame["base64"])).collect())
    }

    pub(crate) fn error(&self) -> Option<RecordedError> {
        self.value.get("error").map(RecordedError::read)
    }
}

pub(crate) struct RecordedError {
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) details: String,
}

impl RecordedError {
    pub(crate) fn read(error: &Value) -> Self {
        Self {
            code: i32::try_from(error["code"].as_i64().unwrap()).unwrap(),
            message: error["message"].as_str().unwrap().to_owned(),
            details: error["details_base64"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

pub(crate) fn sui_headers(headers: &Value) -> Vec<(String, String)> {
    headers
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("x-sui-"))
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

pub(crate) fn bytes(value: &Value) -> Bytes {
    STANDARD.decode(value.as_str().unwrap()).unwrap().into()
}
