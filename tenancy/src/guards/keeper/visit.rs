//! One look at everything: what is there, what differs, what the probes meet.

use std::collections::BTreeMap;
use std::time::Instant;

use kube::Client;
use kube::api::DynamicObject;
use serde_json::Value;
use tracing::{debug, info, warn};

use super::{Guards, Memory, SETTLE};
use crate::guards::compose::Composed;
use crate::guards::live::{self, Difference, LiveError, compare, kind_of};
use crate::guards::probe::{Outcome, probe};
use crate::guards::status::Standing;

/// What a round found of one guard, and what the API server said.
pub(super) type Found = (Standing, String);

/// What is stored, by kind and name. A kind that is not served is absent.
type Stored = BTreeMap<&'static str, BTreeMap<String, DynamicObject>>;

impl Guards {
    /// Looks at everything, repairs, probes. `former` are the guards before a change of the
    /// settings, else none. An error means that not all could be seen.
    pub(super) async fn visit(
        &self,
        client: &Client,
        memory: &mut Memory,
        composed: &[Composed],
        former: &[Composed],
    ) -> Result<Vec<Found>, LiveError> {
        let stored = read(client).await?;
        let mut found = Vec::new();
        for one in composed {
            let before = former.iter().find(|old| old.guard.name == one.guard.name);
            found.push(self.put_right(client, memory, &stored, one, before).await);
        }
        if !memory.began {
            remove_strangers(client, &stored, composed).await;
            memory.began = true;
        }
        let settling = memory.settled_at.is_some_and(|at| Instant::now() < at);
        for (one, found) in composed.iter().zip(&mut found) {
            if found.0 != Standing::Unknown {
                continue;
            }
            *found = if settling && one.guard.required() {
                (Standing::Settling, String::new())
            } else {
                self.ask(client, memory, one).await
            };
        }
        Ok(found)
    }

    /// Compares policy and binding with what is stored and repairs them.
    async fn put_right(
        &self,
        client: &Client,
        memory: &mut Memory,
        stored: &Stored,
        one: &Composed,
        former: Option<&Composed>,
    ) -> Found {
        let name = one.guard.name;
        let pairs = [
            (&one.policy, former.map(|old| &old.policy)),
            (&one.binding, former.map(|old| &old.binding)),
        ];
        for (wanted, former) in pairs {
            let kind = kind_of(wanted);
            let Some(objects) = stored.get(kind) else {
                return (Standing::NotServed, String::new());
            };
            let live = objects.get(name);
            let Some(difference) = compare(wanted, live) else {
                continue;
            };
            if is_as_before(former, live) {
                info!(guard = name, kind, "a guard follows the settings");
            } else {
                if one.guard.required() {
                    self.tell(false);
                }
                tell_of(name, kind, difference, memory.began);
                if memory.began {
                    memory.drifted(Instant::now());
                }
                if memory.began || live.is_some() {
                    memory.settled_at = Some(Instant::now() + SETTLE);
                }
            }
            match live::repair(client, wanted).await {
                Ok(()) => self.0.metrics.repaired(name),
                Err(error) => {
                    warn!(guard = name, kind, %error, "a guard can't be put right");
                    return (Standing::NotApplied, error.to_string());
                }
            }
        }
        (Standing::Unknown, String::new())
    }

    /// Probes one guard.
    async fn ask(&self, client: &Client, memory: &mut Memory, one: &Composed) -> Found {
        let guard = one.guard.name;
        let (outcome, said) = probe(client, one).await;
        self.0.metrics.probed(outcome);
        debug!(guard, outcome = outcome.label(), said, "probed a guard");
        let standing = match outcome {
            Outcome::Refused => return (Standing::InForce, String::new()),
            Outcome::Older => Standing::Renewing,
            Outcome::LetThrough => Standing::LetThrough,
            Outcome::RefusedOtherwise => Standing::RefusedOtherwise,
            Outcome::Unanswered => Standing::Unanswered,
        };
        if outcome == Outcome::RefusedOtherwise && memory.complains(&said) {
            warn!(
                guard,
                said, "the probe of a guard was refused by something else"
            );
        }
        (standing, said)
    }
}

async fn read(client: &Client) -> Result<Stored, LiveError> {
    let mut stored = Stored::new();
    for kind in live::KINDS {
        match live::ours(client, kind).await {
            Ok(objects) => drop(stored.insert(kind, objects)),
            Err(error) if error.is_not_served() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(stored)
}

/// True if what is stored is what the settings of before asked for.
fn is_as_before(former: Option<&Value>, live: Option<&DynamicObject>) -> bool {
    former.is_some_and(|former| compare(former, live).is_none())
}

fn tell_of(guard: &str, kind: &str, difference: Difference, began: bool) {
    let difference = difference.label();
    if began {
        warn!(
            guard,
            kind, difference, "a guard was tampered with; putting it right"
        );
    } else {
        info!(guard, kind, difference, "installing a guard");
    }
}

/// Deletes what bears our label and is no guard of this version. Once, at the start: two servers of
/// different versions side by side would else delete each other's for as long as both run.
async fn remove_strangers(client: &Client, stored: &Stored, composed: &[Composed]) {
    for (kind, objects) in stored {
        for name in objects.keys() {
            let known = composed.iter().any(|one| {
                one.guard.name == name
                    && (kind_of(&one.policy) == *kind || kind_of(&one.binding) == *kind)
            });
            if known {
                continue;
            }
            match live::remove(client, kind, name).await {
                Ok(()) => info!(kind, name, "removed a guard of another version"),
                Err(error) => {
                    warn!(kind, name, %error, "a guard of another version can't be removed");
                }
            }
        }
    }
}
