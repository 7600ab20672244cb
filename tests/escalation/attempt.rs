//! One way, tried by one tier: requests, what each was stopped by, and the proofs.
//!
//! Shape:  ways call methods of [`Attempt`]; each notes what it saw. A request that something else
//!         stopped than expected, or a proof that fails, is a failure of the way but does not end
//!         it, so that one run tells everything.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use seal::Tier;
use seal::access::DenyReason;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::stage::{Stage, Tenant};
use crate::stopper::{Stopper, denied};

/// How long the API server may take to hear of what was just made.
const SOON: Duration = Duration::from_secs(10);

/// What a way noted.
#[derive(Debug, Default)]
pub struct Notes {
    /// What stopped it; more than one where it has several steps.
    pub stopped: BTreeSet<Stopper>,
    /// What shows that the right was not gained.
    pub proofs: BTreeSet<String>,
    /// What was not as expected.
    pub failures: Vec<String>,
}

/// A way that a tier tries.
pub struct Attempt<'a> {
    pub stage: &'a Stage,
    pub tier: Tier,
    number: u32,
    notes: Mutex<Notes>,
}

impl<'a> Attempt<'a> {
    pub fn new(stage: &'a Stage, tier: Tier) -> Self {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        Self {
            stage,
            tier,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            notes: Mutex::default(),
        }
    }

    pub fn notes(self) -> Notes {
        self.notes.into_inner().unwrap_or_default()
    }

    fn note(&self, note: impl FnOnce(&mut Notes)) {
        if let Ok(mut notes) = self.notes.lock() {
            note(&mut notes);
        }
    }

    fn failure(&self, text: String) {
        self.note(|notes| notes.failures.push(text));
    }

    /// Who tries.
    pub fn me(&self) -> &'a Tenant {
        self.stage.tenant(self.tier)
    }

    /// With whose credential.
    pub fn client(&self) -> &'a Client {
        &self.me().client
    }

    /// Its own namespace; of a viewer, the one that it would have.
    pub fn home(&self) -> &'a str {
        &self.me().home
    }

    /// A name of its own for an object.
    pub fn name(&self) -> String {
        format!("way-{}", self.number)
    }

    /// What is expected in its own namespace: a viewer does not even have one.
    pub fn at_home(&self, expected: Stopper) -> Stopper {
        match self.tier {
            Tier::Viewer => denied(DenyReason::NotYours),
            _ => expected,
        }
    }

    /// `expected` below admin, else `admin`.
    pub fn by_tier(&self, expected: Stopper, admin: Stopper) -> Stopper {
        if self.tier >= Tier::Admin {
            admin
        } else {
            expected
        }
    }

    /// Judges an answer that must be a refusal by `expected`.
    pub fn stopped(&self, answer: &Answer, expected: &Stopper) {
        let stopper = Stopper::of(answer);
        if stopper != *expected {
            self.failure(format!(
                "{} was stopped by {stopper}, not by {expected}: {} {}",
                answer.asked,
                answer.status,
                answer.text.chars().take(400).collect::<String>()
            ));
        }
        self.note(|notes| {
            notes.stopped.insert(stopper);
        });
    }

    /// The same where two stand in the way and either may be asked first: both are noted.
    pub fn stopped_by_either(&self, answer: &Answer, either: [Stopper; 2]) {
        let [one, other] = either;
        let actual = Stopper::of(answer);
        self.stopped(answer, if actual == other { &other } else { &one });
        if actual == one || actual == other {
            self.stopped_by(one);
            self.stopped_by(other);
        }
    }

    /// Notes what stopped it where no answer says so.
    pub fn stopped_by(&self, stopper: Stopper) {
        self.note(|notes| {
            notes.stopped.insert(stopper);
        });
    }

    /// A harmless neighbour or a step on the way: must be granted.
    pub fn works(&self, answer: &Answer) -> bool {
        if !answer.ok() {
            self.failure(format!(
                "a harmless request was refused: {} {} {}",
                answer.asked, answer.status, answer.text
            ));
        }
        answer.ok()
    }

    /// A condition that proves something.
    pub fn proof(&self, holds: bool, what: impl Into<String>) {
        let what = what.into();
        if holds {
            self.note(|notes| {
                notes.proofs.insert(what);
            });
        } else {
            self.failure(format!("the proof fails: {what}"));
        }
    }

    /// GET as the tenant, to be stopped.
    pub async fn get(&self, path: &str, expected: Stopper) -> anyhow::Result<Answer> {
        let answer = self.client().get(path).await?;
        self.stopped(&answer, &expected);
        Ok(answer)
    }

    /// POST as the tenant, to be stopped.
    pub async fn post(&self, path: &str, body: Value, expected: Stopper) -> anyhow::Result<Answer> {
        let answer = self.client().post(path, &body).await?;
        self.stopped(&answer, &expected);
        Ok(answer)
    }

    /// PATCH as the tenant, to be stopped.
    pub async fn patch(
        &self,
        path: &str,
        body: Value,
        expected: Stopper,
    ) -> anyhow::Result<Answer> {
        let answer = self.client().patch(path, &body).await?;
        self.stopped(&answer, &expected);
        Ok(answer)
    }

    /// PUT as the tenant, to be stopped.
    pub async fn put(&self, path: &str, body: Value, expected: Stopper) -> anyhow::Result<Answer> {
        let answer = self.client().put(path, &body).await?;
        self.stopped(&answer, &expected);
        Ok(answer)
    }

    /// DELETE as the tenant, to be stopped.
    pub async fn delete(&self, path: &str, expected: Stopper) -> anyhow::Result<Answer> {
        let answer = self.client().delete(path).await?;
        self.stopped(&answer, &expected);
        Ok(answer)
    }

    /// POST of a named object to a collection, to be stopped; proof: the operator sees none.
    pub async fn create(
        &self,
        collection: &str,
        object: Value,
        expected: Stopper,
    ) -> anyhow::Result<()> {
        let named = object.pointer("/metadata/name").and_then(Value::as_str);
        let name = named.map_or_else(|| self.name(), str::to_owned);
        let object = with_name(object, &name);
        self.post(collection, object, expected).await?;
        self.absent(&format!("{collection}/{name}")).await
    }

    /// PATCH, to be stopped; proof: the operator sees the object as it was.
    pub async fn change(&self, path: &str, body: Value, expected: Stopper) -> anyhow::Result<()> {
        let before = self.stage.operator.get(path).await?;
        self.patch(path, body, expected).await?;
        self.unchanged(&before, path).await
    }

    /// DELETE, to be stopped; proof: the operator still sees the object.
    pub async fn remove(&self, path: &str, expected: Stopper) -> anyhow::Result<()> {
        self.delete(path, expected).await?;
        self.present(path).await
    }

    /// Proof: the operator sees no such thing.
    pub async fn absent(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.stage.operator.get(path).await?;
        self.proof(answer.status == 404, "no such object exists");
        Ok(())
    }

    /// Proof: the operator still sees it, and it is not ending.
    pub async fn present(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.stage.operator.get(path).await?;
        let stays = answer.ok() && answer.field("/metadata/deletionTimestamp").is_null();
        self.proof(stays, "the object is still there");
        Ok(())
    }

    /// Proof: the operator sees the same metadata and spec as before.
    pub async fn unchanged(&self, before: &Answer, path: &str) -> anyhow::Result<()> {
        let after = self.stage.operator.get(path).await?;
        let parts = [
            "/metadata/labels",
            "/metadata/annotations",
            "/metadata/ownerReferences",
            "/metadata/finalizers",
            "/spec",
            "/data",
            "/rules",
            "/roleRef",
            "/subjects",
            "/webhooks",
        ];
        let same = before.ok()
            && after.ok()
            && parts
                .iter()
                .all(|part| before.field(part) == after.field(part));
        let differing: Vec<_> = parts
            .iter()
            .filter(|part| before.field(part) != after.field(part))
            .map(|part| format!("{part}: {} to {}", before.field(part), after.field(part)))
            .collect();
        if !differing.is_empty() {
            self.failure(format!("{path} changed: {}", differing.join(", ")));
        }
        self.proof(same, "the object is unchanged");
        Ok(())
    }

    /// Proof: who holds the credential still may not do it, by its own access review. `what` is
    /// `verb resource.group/subresource`, as kubectl writes it; `namespace` may be empty.
    pub async fn cannot(
        &self,
        client: &Client,
        namespace: &str,
        what: &[&str],
    ) -> anyhow::Result<()> {
        for what in what {
            let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
            let (full, subresource) = rest.split_once('/').unwrap_or((rest, ""));
            let (resource, group) = full.split_once('.').unwrap_or((full, ""));
            let review = json!({"spec": {"resourceAttributes": {
                "verb": verb, "group": group, "resource": resource,
                "subresource": subresource, "namespace": namespace,
            }}});
            let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
            let answer = client.post(path, &review).await?;
            // Who is not let in at all can't ask either.
            let refused = matches!(answer.status, 401 | 403)
                || answer.field("/status/allowed") == &Value::Bool(false);
            self.proof(refused, format!("may still not `{what}`"));
        }
        Ok(())
    }

    /// Proof: a real request with the credential that was to be gained is refused.
    pub async fn refused(&self, client: &Client, path: &str) -> anyhow::Result<Stopper> {
        let answer = client.get(path).await?;
        let stopper = Stopper::of(&answer);
        let refused = matches!(answer.status, 401 | 403 | 404);
        self.proof(refused, format!("GET is still refused ({stopper})"));
        Ok(stopper)
    }

    /// Proof: the Secret of the operator in `kube-system` is still a secret.
    pub async fn treasure_is_safe(&self, client: &Client) -> anyhow::Result<()> {
        let path = format!(
            "/api/v1/namespaces/kube-system/secrets/{}",
            crate::stage::TREASURE
        );
        self.refused(client, &path).await.map(drop)
    }

    /// The same, bound to the ClusterRole `admin` there, as soon as RBAC knows.
    pub async fn bound_account(
        &self,
        owner: &Client,
        namespace: &str,
        spec: Value,
    ) -> anyhow::Result<Client> {
        let account = self.account(owner, namespace, &self.name(), spec).await?;
        let path =
            format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "metadata": {"name": self.name()},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"kind": "ServiceAccount", "name": self.name(), "namespace": namespace}],
        });
        self.works(&owner.post(&path, &binding).await?);
        let own = format!("/api/v1/namespaces/{namespace}/configmaps");
        self.works_soon(&account, &own).await?;
        Ok(account)
    }

    /// Reads something harmless, once the API server has heard of what allows it.
    pub async fn works_soon(&self, client: &Client, path: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        while !client.get(path).await?.ok() && began.elapsed() < SOON {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.works(&client.get(path).await?);
        Ok(())
    }

    /// As the tenant, a service account in a namespace with a token of its own.
    pub async fn account(
        &self,
        owner: &Client,
        namespace: &str,
        name: &str,
        spec: Value,
    ) -> anyhow::Result<Client> {
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let account = json!({"metadata": {"name": name}});
        self.works(&owner.post(&accounts, &account).await?);
        let path = format!("{accounts}/{name}/token");
        let token = owner.post(&path, &json!({ "spec": spec })).await?;
        self.works(&token);
        Ok(self
            .stage
            .anonymous
            .bearer(&token.text_at("/status/token")?))
    }
}

/// The object with a name.
pub fn with_name(mut object: Value, name: &str) -> Value {
    if let Some(fields) = object.as_object_mut() {
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("name".to_owned(), name.into());
        }
    }
    object
}
