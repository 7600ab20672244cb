//! Requests of the tests, and what became of them.

use http::{Method, Request};
use kube::Client;
use serde_json::Value;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    pub(crate) name: &'static str,
    pub(crate) user: &'static str,
    pub(crate) groups: &'static [&'static str],
}

const OWNER: &str = "seal:0x1111111111111111111111111111111111111111111111111111111111111111";

pub(crate) const ADMIN: Who = Who {
    name: "a seal of tier admin",
    user: OWNER,
    groups: &["seal:holders", "seal:tier:admin", "system:authenticated"],
};
pub(crate) const DEVELOPER: Who = Who {
    name: "a seal of tier developer",
    user: OWNER,
    groups: &[
        "seal:holders",
        "seal:tier:developer",
        "system:authenticated",
    ],
};
pub(crate) const SUPER: Who = Who {
    name: "a seal of tier super",
    user: OWNER,
    groups: &["seal:holders", "seal:tier:super", "system:authenticated"],
};
pub(crate) const ACCOUNT: Who = Who {
    name: "a tenant's service account",
    user: "system:serviceaccount:seal-1111111111111111:robot",
    groups: &[
        "system:serviceaccounts",
        "system:serviceaccounts:seal-1111111111111111",
        "system:authenticated",
    ],
};
pub(crate) const OPERATOR: Who = Who {
    name: "an operator",
    user: "alice",
    groups: &["operators", "system:authenticated"],
};
pub(crate) const SERVER: Who = Who {
    name: "the server",
    user: "system:serviceaccount:k3s-daas-system:server",
    groups: &[
        "system:serviceaccounts",
        "system:serviceaccounts:k3s-daas-system",
        "system:authenticated",
    ],
};
pub(crate) const SUPERVISOR: Who = Who {
    name: "K3s's supervisor",
    user: "system:k3s-supervisor",
    groups: &["system:masters", "system:authenticated"],
};
pub(crate) const KUBELET: Who = Who {
    name: "a kubelet",
    user: "system:node:n1",
    groups: &["system:nodes", "system:authenticated"],
};

/// What is asked: a dry run unless it can't be one.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) content_type: &'static str,
    pub(crate) dry: bool,
}

pub(crate) fn create(path: &str, body: Value) -> Ask {
    Ask {
        method: Method::POST,
        path: path.to_owned(),
        body,
        content_type: "application/json",
        dry: true,
    }
}

pub(crate) fn merge(path: &str, body: Value) -> Ask {
    Ask {
        method: Method::PATCH,
        content_type: "application/merge-patch+json",
        ..create(path, body)
    }
}

pub(crate) fn delete(path: &str) -> Ask {
    Ask {
        method: Method::DELETE,
        // Options in the body hide those of the query.
        ..create(
            path,
            serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}),
        )
    }
}

/// The answer: the object, or the refusal's status code, reason and message.
#[derive(Debug)]
pub(crate) enum Answer {
    Yes(Value),
    No {
        code: u16,
        reason: String,
        message: String,
    },
}

impl Ask {
    pub(crate) async fn send(&self, client: &Client) -> Answer {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        let uri = if self.dry {
            format!("{}{mark}dryRun=All&fieldManager=test", self.path)
        } else {
            self.path.clone()
        };
        let request = Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .header("content-type", self.content_type)
            .body(serde_json::to_vec(&self.body).unwrap())
            .unwrap();
        match client.request::<Value>(request).await {
            Ok(object) => Answer::Yes(object),
            Err(kube::Error::Api(status)) => Answer::No {
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            Err(error) => panic!("{self:?}: {error}"),
        }
    }
}
