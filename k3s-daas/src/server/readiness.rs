//! What must be known before answers are right, each with the reason why it is not.

use std::sync::Arc;
use std::time::Duration;

use api_gate::Gate;
use sui_ledger::directory::Directory;
use tenancy::guards::{GuardStatus, Standing};
use webhook_server::Health;

use super::rest::Door;
use super::work::Work;

/// What is known of nodes is too old after this: as long as for namespaces.
const NODES_MAX_AGE: Duration = Duration::from_mins(1);

/// Adds the checks of `/readyz`.
pub(super) fn add_checks(
    health: &Health,
    directory: &Arc<Directory>,
    work: &Work,
    door: Option<&Door>,
) {
    if let Some(door) = door.cloned() {
        health.add_fn("api", move || match door.missing() {
            None => Ok(()),
            Some(why) => Err(why.into()),
        });
    }
    let directory = Arc::clone(directory);
    health.add_fn("directory", move || match directory.status().unavailable {
        None => Ok(()),
        Some(why) => Err(why.to_string().into()),
    });
    let kube = work.kube.clone();
    health.add_fn("identity", move || match kube.missing() {
        None => Ok(()),
        Some(why) => Err(why.into()),
    });
    let watch = Arc::clone(&work.watch);
    health.add_fn("namespaces", move || {
        if watch.is_ready() {
            Ok(())
        } else {
            Err(
                "the API server has not told of all namespaces yet, or of nothing for a minute"
                    .into(),
            )
        }
    });
    let nodes = work.nodes.clone();
    health.add_fn("nodes", move || match nodes.view_age() {
        Some(age) if age < NODES_MAX_AGE => Ok(()),
        Some(age) => Err(format!(
            "the API server has told nothing of SealedNodes for {} s",
            age.as_secs()
        )
        .into()),
        None => Err("the API server has not told of all SealedNodes yet".into()),
    });
    let admit = Arc::clone(&work.admit);
    health.add_fn("admission", move || {
        if admit.is_ready() {
            Ok(())
        } else {
            Err("the API server has not told of all Nodes yet, or of nothing for a while".into())
        }
    });
    let guards = work.guards.clone();
    health.add_fn("guards", move || match lacking(&guards.status()) {
        None => Ok(()),
        Some(why) => Err(why.into()),
    });
}

/// Adds the check of the gate: whether anybody else can come in.
pub(super) fn add_gate(health: &Health, gate: &Gate) {
    let gate = gate.clone();
    health.add_fn("gate", move || {
        if !gate.is_open() {
            Err("its doors are closed".into())
        } else if !gate.ends_connections() {
            Err("nobody ends the connections of the ended any more: start the server anew".into())
        } else if gate.is_full() {
            Err("all connections that gate_max_connections allows are open".into())
        } else {
            Ok(())
        }
    });
}

/// Which guards are not in force, and why; nothing where tenants may be let in.
fn lacking(status: &GuardStatus) -> Option<String> {
    if status.in_place {
        return None;
    }
    let lacking: Vec<String> = status
        .guards
        .iter()
        .filter(|guard| guard.required && guard.standing != Standing::InForce)
        .map(|guard| {
            let said = Some(&guard.said).filter(|said| !said.is_empty());
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            format!("{} ({}{said})", guard.name, guard.standing.label())
        })
        .collect();
    Some(if lacking.is_empty() {
        "the guards inside the API server were not looked at yet".to_owned()
    } else {
        format!("not in place: {}", lacking.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use tenancy::guards::GuardReport;

    use super::*;

    #[test]
    fn the_guards_that_lack_are_named_with_the_reason() {
        let report = |name, required, standing| GuardReport {
            name,
            refuses: "",
            required,
            standing,
            said: String::new(),
        };
        let mut status = GuardStatus {
            in_place: false,
            guards: vec![
                report("one", true, Standing::InForce),
                report("two", true, Standing::LetThrough),
                report("three", false, Standing::NotServed),
            ],
        };
        assert_eq!(lacking(&status).unwrap(), "not in place: two (let_through)");
        status.in_place = true;
        assert_eq!(lacking(&status), None);
        assert!(lacking(&GuardStatus::default()).is_some());
    }
}
