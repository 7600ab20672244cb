//! A review as the API server sends it: no more of it than is judged.
//!
//! Source: Kubernetes `admission.k8s.io/v1`. Unknown fields are ignored, missing ones accepted.

use std::collections::BTreeMap;

use serde::Deserialize;
use webhook_server::{Review, TypeMeta};

use super::claims::Claims;

/// The longest uid that is sent back.
const LONGEST_UID: usize = 128;

/// An AdmissionReview of a Node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionReview {
    api_version: String,
    kind: String,
    pub(super) request: Request,
}

impl Review for AdmissionReview {
    const GROUP: &'static str = "admission.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "AdmissionReview";
    const VERSION_HINT: &'static str = "set admissionReviewVersions: [v1]";

    fn type_meta(&self) -> TypeMeta<'_> {
        TypeMeta {
            api_version: &self.api_version,
            kind: &self.kind,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) uid: String,
    resource: Resource,
    sub_resource: Option<String>,
    #[serde(default)]
    name: String,
    operation: String,
    user_info: UserInfo,
    object: Option<NodeFacts>,
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    resource: String,
}

#[derive(Debug, Deserialize)]
struct UserInfo {
    #[serde(default)]
    username: String,
}

#[derive(Debug, Deserialize)]
struct NodeFacts {
    metadata: Option<Metadata>,
    status: Option<Status>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct Status {
    addresses: Option<Vec<Address>>,
}

#[derive(Debug, Deserialize)]
struct Address {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    address: String,
}

/// A Node that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) user: String,
    /// The Node.
    pub(super) name: String,
    pub(super) claims: Claims,
    pub(super) dry_run: bool,
}

impl Request {
    /// True for a uid that may be sent back.
    pub(super) fn is_answerable(&self) -> bool {
        !self.uid.is_empty() && self.uid.len() <= LONGEST_UID
    }

    pub(super) fn user(&self) -> &str {
        &self.user_info.username
    }

    /// What is about to be written; `None` where that is no Node: nothing that the configuration
    /// asks about.
    pub(super) fn change(&self) -> Option<Change> {
        let of_nodes = self.resource.group.is_empty()
            && self.resource.resource == "nodes"
            && matches!(self.sub_resource.as_deref(), None | Some("" | "status"));
        if !of_nodes || !matches!(self.operation.as_str(), "CREATE" | "UPDATE") {
            return None;
        }
        let object = self.object.as_ref()?;
        let metadata = object.metadata.as_ref()?;
        let name = metadata.name.as_deref()?;
        // A create may leave it out here.
        if name.is_empty() || (!self.name.is_empty() && self.name != name) {
            return None;
        }
        let addresses = object.status.iter().flat_map(|status| &status.addresses);
        let marks = metadata
            .annotations
            .iter()
            .chain(&metadata.labels)
            .flatten();
        Some(Change {
            user: self.user_info.username.clone(),
            name: name.to_owned(),
            claims: Claims::gather(
                addresses
                    .flatten()
                    .map(|one| (one.kind.as_str(), one.address.as_str())),
                marks.map(|(key, value)| (key.as_str(), value.as_str())),
            ),
            dry_run: self.dry_run.unwrap_or(false),
        })
    }
}
