//! `worker status`: what the worker of this machine knows.

use serde::Serialize;
use serde_json::Value;

use super::own::Own;
use crate::causes::in_one_line;
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
    /// As `GET /api/v1/metrics` answers.
    usage: Option<Value>,
    /// Why there are no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_usage: Option<String>,
}

/// Runs `worker status`.
pub(super) async fn run(context: &Context) -> Outcome {
    let own = Own::of(context).await?;
    let health = own.get("/health", None).await?;
    let usage = match own.token() {
        Some(token) => {
            let usage = own.get("/api/v1/metrics", Some(&token)).await;
            // The rest is worth to be seen.
            usage.map_err(|failure| in_one_line(failure.cause.as_ref()))
        }
        None => Err("the machine has no seal token to ask with".to_owned()),
    };
    let (usage, no_usage) = match usage {
        Ok(usage) => (Some(usage), None),
        Err(why) => (None, Some(why)),
    };
    let status = Status {
        health,
        usage,
        no_usage,
    };
    output::print(context.format(), &status, for_people)
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
    let facts = output::facts([
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
    ]);
    match &status.no_usage {
        Some(why) => format!("{facts}\nno figures: {why}"),
        None => facts,
    }
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
            no_usage: None,
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
        assert!(!told.contains("no figures"), "{told}");
    }

    #[test]
    fn why_there_are_no_figures_is_told() {
        let told = for_people(&Status {
            health: json!({ "status": "ok" }),
            usage: None,
            no_usage: Some("the token is not that of this machine's seal".to_owned()),
        });
        assert!(told.ends_with("no figures: the token is not that of this machine's seal"));
    }
}
