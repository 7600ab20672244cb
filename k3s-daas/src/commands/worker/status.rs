//! `worker status`: what the worker of this machine knows.

use serde::Serialize;
use serde_json::Value;

use super::own::Own;
use crate::commands::Context;
use crate::commands::seal::time;
use crate::failure::Outcome;
use crate::output;

/// What is shown.
#[derive(Debug, Serialize)]
struct Status {
    /// As `GET /health` answers.
    #[serde(flatten)]
    health: Value,
    /// As `GET /api/v1/metrics` answers; none before the first look, or without a seal token.
    usage: Option<Value>,
}

/// Runs `worker status`.
pub(super) async fn run(context: &Context) -> Outcome {
    let own = Own::of(context).await?;
    let health = own.get("/health", None).await?;
    let usage = match own.token() {
        // No figures yet are no failure.
        Some(token) => own.get("/api/v1/metrics", Some(&token)).await.ok(),
        None => None,
    };
    output::print(context.format(), &Status { health, usage }, for_people)
}

fn for_people(status: &Status) -> String {
    let said = |pointer: &str| text(status.health.pointer(pointer));
    let figure = |name: &str| status.usage.as_ref().and_then(|usage| usage.get(name));
    let percent = |name: &str| match figure(name).and_then(Value::as_f64) {
        Some(value) => format!("{value:.1} %"),
        None => "-".to_owned(),
    };
    let seal = match said("/seal/state").as_str() {
        "usable" => format!("usable, tier {}", said("/seal/tier")),
        "ended" => format!("ended: {}", said("/seal/reason")),
        other => other.to_owned(),
    };
    let at = |pointer: &str| {
        let at = status.health.pointer(pointer).and_then(Value::as_u64);
        let at = at.and_then(|at| time(seal::UnixMillis(at)));
        at.unwrap_or_else(|| "-".to_owned())
    };
    output::facts([
        ("node", said("/node_id")),
        ("mode", said("/mode")),
        ("seal", seal),
        ("expires", at("/seal/expires_at")),
        ("chain seen", at("/seal/seen_at")),
        ("containerd", said("/containerd")),
        ("pods", text(figure("pod_count"))),
        ("containers", text(figure("container_count"))),
        ("processors", percent("cpu_usage")),
        ("memory", percent("memory_usage")),
    ])
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_is_a_dash() {
        let told = for_people(&Status {
            health: json!({
                "status": "ok", "mode": "proxy", "node_id": "worker-001",
                "seal": { "state": "ended", "reason": "slashed", "seen_at": 1_000 },
                "containerd": "unknown",
            }),
            usage: Some(json!({ "cpu_usage": 45.24, "timestamp": 1 })),
        });
        for wanted in [
            "worker-001",
            "ended: slashed",
            "45.2 %",
            "1970-01-01T00:00:01Z",
        ] {
            assert!(told.contains(wanted), "{wanted} in {told}");
        }
        let memory = told.lines().find(|line| line.contains("memory")).unwrap();
        assert!(memory.trim_end().ends_with('-'), "{memory}");
    }
}
