//! One look at one node: what is it, what should it be, and the step between.
//!
//! Order:  the state on the SealedNode first, since the authorizer goes by it when the chain can't
//!         be asked: `Cut` before anything is taken away, `Draining` with the end of its grace
//!         before the first eviction, `Active` before the Node is opened or made. Then the Node,
//!         then its pods, then what the SealedNode shows of them. Broken off anywhere, the next
//!         look does the same again.
//! Errors: what somebody else wrote meanwhile is read anew, and decided anew.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::reflector::{ObjectRef, Store};
use seal::{Address, NodeName, UnixMillis};

use super::chain::{self, Chain, Held};
use super::controller::Holds;
use super::events::{self, About, Told};
use super::life::{self, Facts, LOOK_AGAIN, Next, Seen, Step};
use super::machine;
use super::marks::{self, Door, Says};
use super::metrics::{LifeMetrics, Taken, Thing};
use super::pods::{Places, Pods};
use super::status::{self, Shown};
use super::warning::{self, ANNOTATION_WARNED, Warned};
use crate::join::{self, JoinError, Whose, node_args};
use crate::nodes::{NodeDirectory, Shared};
use crate::records::LIFE_MANAGER;
use crate::sealed_node::{AgentTaint, NodeState, SealedNode, SealedNodeStatus};
use crate::settings::NodeSettings;
use crate::within::within;

/// How often a look is begun anew because somebody else wrote meanwhile.
const TRIES: u32 = 5;
/// Pods of a node that is cut are looked for again.
const PODS_LEFT: Duration = Duration::from_secs(1);
/// A Node that is going is looked for again.
const NODE_GOING: Duration = Duration::from_millis(500);

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// Look again after this.
    Again(Duration),
    /// Pods are left to move: look again soon, and before this is over.
    Draining(Duration),
    /// There is nothing to look at.
    Nothing,
}

/// All that a look needs.
pub(super) struct Look<'a, D: NodeDirectory> {
    pub(super) shared: &'a Shared<D>,
    pub(super) client: &'a kube::Client,
    pub(super) identity: &'a str,
    pub(super) nodes: &'a Store<Node>,
    pub(super) places: &'a Places,
    pub(super) holds: &'a Holds<D>,
}

/// One node, as it was read.
struct One {
    name: NodeName,
    owner: Address,
    sealed: SealedNode,
    node: Option<Node>,
    chain: Chain,
    next: Next,
    now: UnixMillis,
    settings: Arc<NodeSettings>,
}

impl One {
    fn status(&self) -> SealedNodeStatus {
        self.sealed.status.clone().unwrap_or_default()
    }

    fn seen(&self) -> Seen {
        let Some(node) = &self.node else {
            return Seen::Absent;
        };
        match join::whose(&node.metadata) {
            Whose::Owners(owner) if owner == self.owner => {
                if node.metadata.deletion_timestamp.is_some() {
                    Seen::Going
                } else {
                    Seen::Ours
                }
            }
            Whose::Owners(_) | Whose::Others => Seen::Foreign,
        }
    }

    fn held(&self) -> Option<&Held> {
        match &self.chain {
            Chain::Usable(held) | Chain::Ended(_, Some(held)) => Some(held),
            Chain::Unknown | Chain::Ended(_, None) => None,
        }
    }

    /// Taints that the agent's configuration names; none where the Node does not tell.
    fn taints(&self) -> Option<Vec<AgentTaint>> {
        let node = self.node.as_ref().filter(|_| self.seen() == Seen::Ours)?;
        let args = marks::annotation(&node.metadata, node_args::ANNOTATION)?;
        Some(node_args::taints(args))
    }

    fn decide(&mut self, drained: bool) {
        let status = self.status();
        self.next = life::decide(&Facts {
            chain: &self.chain,
            status: &status,
            node: self.seen(),
            drained,
            never_asked: status::never_asked(&status),
            reserved: self.settings.is_reserved(self.name.as_str()),
            now: self.now,
            drain_grace: self.settings.drain_grace,
        });
    }

    fn why(&self) -> &'static str {
        match &self.chain {
            Chain::Ended(how, _) => how.label(),
            Chain::Unknown | Chain::Usable(_) => "unknown",
        }
    }
}

impl<D: NodeDirectory> Look<'_, D> {
    /// Looks, and takes the next step.
    pub(super) async fn at(&self, sealed: &SealedNode) -> Result<Looked, JoinError> {
        let Some(name) = sealed.metadata.name.clone() else {
            return Ok(Looked::Nothing);
        };
        let mut sealed = sealed.clone();
        let node = self.nodes.get(&ObjectRef::new(&name));
        let mut node = node.map(|node| Node::clone(&node));
        for _ in 0..TRIES {
            match self.once(sealed, node).await {
                Err(error) if error.is_conflict() || error.is_missing() => {}
                other => return other,
            }
            // What the watches told is old: ask.
            let all: Api<SealedNode> = Api::all(self.client.clone());
            let found = within("read a sealed node", all.get_opt(&name)).await?;
            let Some(found) = found else {
                return Ok(Looked::Nothing);
            };
            sealed = found;
            let nodes: Api<Node> = Api::all(self.client.clone());
            node = within("read a node", nodes.get_opt(&name)).await?;
        }
        Err(JoinError::Contended)
    }

    async fn once(&self, sealed: SealedNode, node: Option<Node>) -> Result<Looked, JoinError> {
        let settings = self.shared.settings.load_full();
        let name = sealed.metadata.name.as_deref().unwrap_or_default();
        // Neither is one of ours, and neither is touched.
        let (Ok(name), Ok(owner)) = (name.parse::<NodeName>(), sealed.spec.owner.parse()) else {
            return Ok(Looked::Again(LOOK_AGAIN));
        };
        if settings.control_plane_nodes.contains(name.as_str())
            || sealed.metadata.deletion_timestamp.is_some()
        {
            return Ok(Looked::Again(LOOK_AGAIN));
        }
        let directory = self.shared.directory.as_ref();
        let chain = chain::gather(directory, &name, &owner).await;
        let mut one = One {
            name,
            owner,
            sealed,
            node,
            chain,
            next: Next {
                step: Step::Leave,
                ended_at: None,
                look_again: LOOK_AGAIN,
            },
            now: directory.now(),
            settings,
        };
        if let Some(held) = one.held() {
            self.holds.pin(directory, one.name.as_str(), held.hash);
        }
        one.decide(false);
        self.step(&mut one).await
    }

    async fn step(&self, one: &mut One) -> Result<Looked, JoinError> {
        if one.next.step != Step::Leave {
            self.follow_claim(one).await?;
        }
        match one.next.step {
            Step::Leave => {}
            Step::Wait => self.show(one, one.seen(), None).await?,
            Step::Keep => return self.keep(one).await,
            Step::Drain { until } => return self.drain(one, until).await,
            Step::Cut => return self.cut(one).await,
        }
        Ok(Looked::Again(one.next.look_again))
    }

    /// The Node is there, and open.
    async fn keep(&self, one: &mut One) -> Result<Looked, JoinError> {
        let was = one.status().state;
        let back = matches!(was, NodeState::Draining | NodeState::Cut);
        let told = self.tell(one, back.then_some(Told::SealBack));
        let (kept, ()) = tokio::join!(self.keep_now(one, was), told);
        kept
    }

    async fn keep_now(&self, one: &mut One, was: NodeState) -> Result<Looked, JoinError> {
        if was != NodeState::Active {
            self.show(one, one.seen(), None).await?;
        }
        if matches!(was, NodeState::Draining | NodeState::Cut) {
            self.took(one, Taken::Back);
        }
        let mut look_again = one.next.look_again;
        match (one.seen(), one.held().cloned()) {
            (Seen::Absent, Some(held)) => self.make(one, &held).await?,
            (Seen::Ours, Some(held)) => {
                let given = one.node.as_ref().and_then(|node| {
                    let text = marks::annotation(&node.metadata, ANNOTATION_WARNED)?;
                    Warned::parse(text)
                });
                let expiry = held.record.expires_at;
                let before = one.settings.warn_before;
                let (warn, next) = warning::due(given, expiry, one.now, before);
                // Before the mark: broken off between, it is told twice rather than never.
                self.tell(one, warn.map(Told::SealEnding)).await;
                if let Some(next) = next {
                    look_again = look_again.min(life::until(one.now, next));
                }
                self.mark(one, Door::Open, warn).await?;
            }
            _ => {}
        }
        self.show(one, one.seen(), None).await?;
        Ok(Looked::Again(look_again))
    }

    /// No new pods, and those that run are moved.
    async fn drain(&self, one: &mut One, until: UnixMillis) -> Result<Looked, JoinError> {
        let begins = one.status().state != NodeState::Draining;
        let why = one.why();
        let told = self.tell(one, begins.then_some(Told::Draining { why, until }));
        let (left, ()) = tokio::join!(self.drain_now(one, begins), told);
        if left? > 0 {
            return Ok(Looked::Draining(one.next.look_again));
        }
        one.now = self.shared.directory.now();
        one.decide(true);
        self.cut(one).await
    }

    /// How many pods are left to move.
    async fn drain_now(&self, one: &mut One, begins: bool) -> Result<usize, JoinError> {
        self.show(one, one.seen(), None).await?;
        if begins {
            self.took(one, Taken::Draining);
        }
        self.mark(one, Door::Draining, None).await?;
        self.pods(one).evict().await
    }

    /// No Node, no pods.
    async fn cut(&self, one: &mut One) -> Result<Looked, JoinError> {
        let begins = one.status().state != NodeState::Cut;
        let why = one.why();
        // Beside the cut: it waits for nobody's events.
        let told = self.tell(one, begins.then_some(Told::Cut { why }));
        let (cut, ()) = tokio::join!(self.cut_now(one, begins), told);
        cut
    }

    async fn cut_now(&self, one: &mut One, begins: bool) -> Result<Looked, JoinError> {
        let was_drained = !begins && status::is_drained(&one.status());
        if begins {
            self.show(one, one.seen(), Some(false)).await?;
            self.took(one, Taken::Cut);
        }
        let seen = one.seen();
        if seen == Seen::Ours {
            self.mark(one, Door::Cut, None).await?;
        }
        let pods = async {
            match seen {
                // A Node of somebody else's has pods of somebody else's.
                Seen::Foreign => Ok(0),
                Seen::Absent if was_drained => Ok(0),
                _ => self.pods(one).force().await,
            }
        };
        let (deleted, left) = tokio::join!(self.delete(one, seen), pods);
        let (seen, left) = (deleted?, left?);
        self.show(one, seen, Some(left == 0)).await?;
        let again = match seen {
            _ if left > 0 => PODS_LEFT,
            Seen::Ours | Seen::Going => NODE_GOING,
            Seen::Absent | Seen::Foreign => one.next.look_again,
        };
        Ok(Looked::Again(again))
    }

    /// Deletes the very Node that was seen; what is there then.
    async fn delete(&self, one: &One, seen: Seen) -> Result<Seen, JoinError> {
        let (Seen::Ours, Some(node)) = (seen, &one.node) else {
            return Ok(seen);
        };
        let nodes: Api<Node> = Api::all(self.client.clone());
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: node.metadata.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let deleted = nodes.delete(one.name.as_str(), &params);
        let seen = match within("delete a node", deleted).await {
            // K3s's finalizer is to come off.
            Ok(deleted) if deleted.is_left() => Seen::Going,
            Ok(_) => Seen::Absent,
            Err(error) if error.is_missing() => Seen::Absent,
            Err(error) => return Err(error),
        };
        self.metrics().wrote(Thing::Node);
        self.took(one, Taken::Deleted);
        Ok(seen)
    }

    async fn make(&self, one: &mut One, held: &Held) -> Result<(), JoinError> {
        let status = one.status();
        let taints = &status.agent_taints;
        let mut wanted = join::node(&one.name, &held.record, held.tier, taints, &one.settings);
        if let Some(machine) = &status.machine {
            machine::put_back(&mut wanted, machine, &self.nodes.state());
        }
        let nodes: Api<Node> = Api::all(self.client.clone());
        let params = PostParams {
            field_manager: Some(LIFE_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let made = within("make a node", nodes.create(&params, &wanted)).await?;
        self.metrics().wrote(Thing::Node);
        one.node = Some(made);
        self.took(one, Taken::Made);
        Ok(())
    }

    /// Writes on the Node what it does not say yet.
    async fn mark(
        &self,
        one: &mut One,
        door: Door,
        warned: Option<Warned>,
    ) -> Result<(), JoinError> {
        let Some(node) = &one.node else {
            return Ok(());
        };
        // Taints are carried over once: who takes one off the Node later has a reason.
        let carried = one
            .taints()
            .filter(|taints| *taints != one.status().agent_taints)
            .unwrap_or_default();
        let seal = one.held().filter(|_| door != Door::Cut);
        let says = Says {
            door,
            seal: seal.map(|held| join::annotations(&held.record, held.tier)),
            carried: &carried,
            warned,
        };
        let Some(patch) = marks::patch(node, &says) else {
            return Ok(());
        };
        let nodes: Api<Node> = Api::all(self.client.clone());
        let (params, patch) = (params(), Patch::Merge(&patch));
        let patched = nodes.patch(one.name.as_str(), &params, &patch);
        one.node = Some(within("mark a node", patched).await?);
        self.metrics().wrote(Thing::Node);
        Ok(())
    }

    /// Writes on the SealedNode what it does not say yet.
    async fn show(
        &self,
        one: &mut One,
        node: Seen,
        drained: Option<bool>,
    ) -> Result<(), JoinError> {
        let taints = one.taints();
        let machine = one.node.as_ref().filter(|_| one.seen() == Seen::Ours);
        let machine = machine.and_then(machine::of);
        let shown = Shown {
            node,
            drained,
            taints: taints.as_deref(),
            machine: machine.as_ref(),
        };
        let should = status::should(&one.status(), &one.chain, &one.next, shown, one.now);
        let Some(patch) = status::patch(&one.sealed, &should) else {
            return Ok(());
        };
        let all: Api<SealedNode> = Api::all(self.client.clone());
        let (params, patch) = (params(), Patch::Merge(&patch));
        let patched = all.patch_status(one.name.as_str(), &params, &patch);
        one.sealed = within("change a sealed node's status", patched).await?;
        self.metrics().wrote(Thing::SealedNode);
        Ok(())
    }

    /// The spec names the seal that holds the node's name.
    async fn follow_claim(&self, one: &mut One) -> Result<(), JoinError> {
        let Some(patch) = status::spec_patch(&one.sealed, &one.chain) else {
            return Ok(());
        };
        let all: Api<SealedNode> = Api::all(self.client.clone());
        let (params, patch) = (params(), Patch::Merge(&patch));
        let patched = all.patch(one.name.as_str(), &params, &patch);
        one.sealed = within("change a sealed node", patched).await?;
        self.metrics().wrote(Thing::SealedNode);
        Ok(())
    }

    fn pods<'a>(&'a self, one: &'a One) -> Pods<'a> {
        Pods {
            client: self.client,
            node: one.name.as_str(),
            places: self.places,
            metrics: self.metrics(),
        }
    }

    fn metrics(&self) -> &LifeMetrics {
        &self.shared.metrics.life
    }

    fn took(&self, one: &One, taken: Taken) {
        self.metrics().step(taken);
        tracing::info!(
            node = %one.name,
            step = taken.label(),
            reason = one.why(),
            "a step in the life of a node"
        );
    }

    /// What is told is what was seen: the node may be changed meanwhile.
    fn tell(&self, one: &One, told: Option<Told>) -> impl Future<Output = ()> + use<'_, D> {
        let about = About {
            name: one.name.clone(),
            seq: one.held().map_or(0, |held| held.record.seq),
        };
        async move {
            if let Some(told) = told {
                events::tell(self.client, self.identity, &about, told, self.metrics()).await;
            }
        }
    }
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(LIFE_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
