//! As whom the server acts: a service account of its own, with the rights that its work needs.
//!
//! Shape:  [`documents`] is what must be there, [`ensure`] applies it with the operator's
//!         credentials, [`token`] asks for a token of the account. Nothing else is ever done with
//!         the operator's credentials.
//! Why:    admission policies know the server by its user name, and what the server can be made
//!         to do is bounded by this role instead of by `system:masters`.
//! Source: Kubernetes lets nobody give rights that he lacks; the operator's kubeconfig is in
//!         `system:masters`, so it may create this role.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ClusterResourceScope;
use kube::{Api, Client, Resource};
use seal::access::EXTENSION_NAMESPACE;
use seal::identity::SERVER_ACCOUNT;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

mod rights;

pub use rights::{CLUSTER_RIGHTS, NAMESPACE_RIGHTS, Right};

/// Who applies, for Kubernetes' field ownership.
pub const FIELD_MANAGER: &str = "k3s-daas";
/// The name of the role and of its binding, in the cluster and in the extension's namespace.
pub const ROLE: &str = "k3s-daas-server";
/// How long a token lives: Kubernetes gives none for less than ten minutes, and an hour is renewed
/// early enough to outlive an API server that is away for ten.
pub const TOKEN_LIFE: Duration = Duration::from_hours(1);

/// Why the server has no identity. The operator is to blame, or the API server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The API server did not take one of the objects.
    #[error("the API server did not apply {what}")]
    Apply {
        /// Which.
        what: &'static str,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server gave no token.
    #[error("the API server gave no token for the service account {SERVER_ACCOUNT}")]
    Token(#[source] Box<kube::Error>),
    /// It answered, and there was no token in the answer.
    #[error("the API server's answer to a TokenRequest holds no token")]
    EmptyToken,
}

/// A token and how long it lives from now on.
pub struct Token {
    /// The secret.
    pub secret: Zeroizing<String>,
    /// What the API server granted.
    pub life: Duration,
}

impl Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("secret", &"[redacted]")
            .field("life", &self.life)
            .finish()
    }
}

/// Everything that makes the identity, as it is applied, in this order.
pub fn documents() -> Vec<Value> {
    let subject = json!([{
        "kind": "ServiceAccount",
        "name": SERVER_ACCOUNT,
        "namespace": EXTENSION_NAMESPACE,
    }]);
    let rbac = "rbac.authorization.k8s.io";
    let reference = |kind| json!({ "apiGroup": rbac, "kind": kind, "name": ROLE });
    let rbac_version = format!("{rbac}/v1");
    vec![
        document("v1", "Namespace", EXTENSION_NAMESPACE, None, &[]),
        document(
            "v1",
            "ServiceAccount",
            SERVER_ACCOUNT,
            Some(EXTENSION_NAMESPACE),
            // Its token is asked for; no pod runs as it.
            &[("automountServiceAccountToken", json!(false))],
        ),
        document(
            &rbac_version,
            "ClusterRole",
            ROLE,
            None,
            &[("rules", rights::rules(CLUSTER_RIGHTS))],
        ),
        document(
            &rbac_version,
            "ClusterRoleBinding",
            ROLE,
            None,
            &[
                ("roleRef", reference("ClusterRole")),
                ("subjects", subject.clone()),
            ],
        ),
        document(
            &rbac_version,
            "Role",
            ROLE,
            Some(EXTENSION_NAMESPACE),
            &[("rules", rights::rules(NAMESPACE_RIGHTS))],
        ),
        document(
            &rbac_version,
            "RoleBinding",
            ROLE,
            Some(EXTENSION_NAMESPACE),
            &[("roleRef", reference("Role")), ("subjects", subject)],
        ),
    ]
}

fn document(
    api_version: &str,
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    fields: &[(&str, Value)],
) -> Value {
    let mut labels = Map::from_iter([entry("app.kubernetes.io/managed-by", FIELD_MANAGER)]);
    if kind == "Namespace" {
        labels.extend([entry("pod-security.kubernetes.io/enforce", "restricted")]);
    }
    let mut metadata = Map::from_iter([entry("name", name), entry("labels", labels)]);
    metadata.extend(namespace.map(|namespace| entry("namespace", namespace)));
    let mut document = Map::from_iter([
        entry("apiVersion", api_version),
        entry("kind", kind),
        entry("metadata", metadata),
    ]);
    document.extend(
        fields
            .iter()
            .map(|(field, value)| entry(field, value.clone())),
    );
    document.into()
}

fn entry(name: &str, value: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), value.into())
}

/// Applies the documents with the operator's credentials. Doing it again changes nothing.
pub async fn ensure(operator: &Client) -> Result<(), IdentityError> {
    for document in documents() {
        match document.get("kind").and_then(Value::as_str) {
            Some("Namespace") => cluster::<Namespace>(operator, "the namespace", &document).await,
            Some("ServiceAccount") => {
                inside::<ServiceAccount>(operator, "the service account", &document).await
            }
            Some("ClusterRole") => {
                cluster::<ClusterRole>(operator, "the cluster role", &document).await
            }
            Some("ClusterRoleBinding") => {
                cluster::<ClusterRoleBinding>(operator, "the cluster role's binding", &document)
                    .await
            }
            Some("Role") => inside::<Role>(operator, "the role", &document).await,
            _ => inside::<RoleBinding>(operator, "the role's binding", &document).await,
        }?;
    }
    Ok(())
}

async fn cluster<K>(
    client: &Client,
    what: &'static str,
    document: &Value,
) -> Result<(), IdentityError>
where
    K: Resource<Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    apply::<K>(Api::all(client.clone()), what, document).await
}

async fn inside<K>(
    client: &Client,
    what: &'static str,
    document: &Value,
) -> Result<(), IdentityError>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    let api = Api::namespaced(client.clone(), EXTENSION_NAMESPACE);
    apply::<K>(api, what, document).await
}

async fn apply<K>(api: Api<K>, what: &'static str, document: &Value) -> Result<(), IdentityError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let name = document.get("metadata").and_then(|meta| meta.get("name"));
    let name = name.and_then(Value::as_str).unwrap_or_default();
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(name, &params, &Patch::Apply(document))
        .await
        .map(drop)
        .map_err(|source| IdentityError::Apply {
            what,
            source: Box::new(source),
        })
}

/// A new token of the account, for the API server's own audience.
pub async fn token(operator: &Client) -> Result<Token, IdentityError> {
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(Vec::new()),
            expiration_seconds: i64::try_from(TOKEN_LIFE.as_secs()).ok(),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(operator.clone(), EXTENSION_NAMESPACE);
    let status = accounts
        .create_token_request(SERVER_ACCOUNT, &PostParams::default(), &request)
        .await
        .map_err(|source| IdentityError::Token(Box::new(source)))?
        .status
        .ok_or(IdentityError::EmptyToken)?;
    let secret = Zeroizing::new(status.token.unwrap_or_default());
    if secret.is_empty() {
        return Err(IdentityError::EmptyToken);
    }
    // An API server may grant less than was asked for. Its clock may be another than ours: more
    // than what was asked for it does not grant.
    let life = status.expiration_timestamp.map_or(TOKEN_LIFE, |until| {
        let left = until.0.duration_since(Timestamp::now());
        Duration::try_from(left).unwrap_or_default().min(TOKEN_LIFE)
    });
    Ok(Token { secret, life })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind<K: DeserializeOwned>(kind: &str) -> K {
        let document = documents().into_iter().find(|one| one["kind"] == kind);
        serde_json::from_value(document.unwrap()).unwrap()
    }

    #[test]
    fn the_documents_are_of_their_kinds_and_name_each_other() {
        let namespace: Namespace = of_kind("Namespace");
        let labels = namespace.metadata.labels.unwrap();
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "k3s-daas");
        let account: ServiceAccount = of_kind("ServiceAccount");
        let binding: ClusterRoleBinding = of_kind("ClusterRoleBinding");
        let role: ClusterRole = of_kind("ClusterRole");
        let subject = &binding.subjects.unwrap()[0];
        assert_eq!(Some(&subject.name), account.metadata.name.as_ref());
        assert_eq!(subject.namespace, account.metadata.namespace);
        assert_eq!(Some(binding.role_ref.name), role.metadata.name);
        let user = format!(
            "system:serviceaccount:{}:{}",
            subject.namespace.as_deref().unwrap(),
            subject.name
        );
        assert_eq!(user, seal::identity::SERVER_USER);
        let binding: RoleBinding = of_kind("RoleBinding");
        let role: Role = of_kind("Role");
        assert_eq!(Some(binding.role_ref.name), role.metadata.name);
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = Token {
            secret: Zeroizing::new("eyJ".to_owned()),
            life: TOKEN_LIFE,
        };
        assert!(!format!("{token:?}").contains("eyJ"));
    }
}
