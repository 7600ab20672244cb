//! Whether new pods are refused: a pure function of a seal's end and the time.

use std::time::Duration;

use seal::UnixMillis;

use crate::standing::{End, Why};

/// Why new pods are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The label in metrics and logs.
    pub reason: &'static str,
    why: Why,
}

/// Decides by the end of the seal, if it has one. One that ended without fault lets pods start for
/// the grace more, as long as its node is being drained.
pub fn decide(end: Option<End>, grace: Duration, now: UnixMillis) -> Option<Refusal> {
    let End { why, since } = end?;
    let grace = if why.is_without_fault() {
        u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)
    } else {
        0
    };
    (now.0 >= since.0.saturating_add(grace)).then(|| Refusal {
        reason: why.label(),
        why,
    })
}

impl Refusal {
    /// What kubelet puts into the pod's events: the reason and the remedy.
    pub fn told(&self, node: &str) -> String {
        use seal::Unusable::{Expired, Retired, Revoked, Slashed, StakeTooLow, Unbonding};
        let why = self.why;
        let remedy = match why {
            Why::Unusable(Slashed | StakeTooLow) => {
                "its operator can restore the stake with `k3s-daas restake`".to_owned()
            }
            Why::Unusable(Revoked) => "ask the operator of the cluster".to_owned(),
            Why::Unusable(Expired) => {
                "its operator can give it more time with `k3s-daas refresh`".to_owned()
            }
            Why::Unusable(Unbonding) => "its operator can end it with `k3s-daas withdraw`, then \
                `k3s-daas worker stake` and `k3s-daas worker register`"
                .to_owned(),
            Why::Unusable(Retired) => "its operator can go on with `k3s-daas worker stake` and \
                `k3s-daas worker register`"
                .to_owned(),
            Why::NoSeal => "its operator can see with `k3s-daas doctor --worker` whether contract \
                and token are the right ones"
                .to_owned(),
        };
        format!("the seal of node {node} {why}, so no new pod starts here; {remedy}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use seal::Unusable;

    use super::*;

    const GRACE: Duration = Duration::from_mins(5);

    fn at(why: Why, now: u64) -> bool {
        let since = UnixMillis(1_000_000);
        decide(Some(End { why, since }), GRACE, UnixMillis(now)).is_some()
    }

    #[test]
    fn a_usable_seal_refuses_nothing() {
        assert_eq!(decide(None, GRACE, UnixMillis(u64::MAX)), None);
    }

    #[test]
    fn who_is_at_fault_gets_no_grace() {
        for why in Why::all() {
            let label = why.label();
            assert_eq!(at(why, 1_000_000), !why.is_without_fault(), "{label}");
            assert_eq!(at(why, 1_299_999), !why.is_without_fault(), "{label}");
            assert!(at(why, 1_300_000), "{label}");
        }
    }

    #[test]
    fn people_are_told_why_and_what_to_do() {
        for why in Why::all() {
            let refusal = Refusal {
                reason: why.label(),
                why,
            };
            let told = refusal.told("worker-001");
            assert!(
                told.contains("worker-001") && told.contains("no new pod starts here; "),
                "{told}"
            );
        }
        let refusal = Refusal {
            reason: "slashed",
            why: Why::Unusable(Unusable::Slashed),
        };
        assert_eq!(
            refusal.told("worker-001"),
            "the seal of node worker-001 was slashed, so no new pod starts here; its operator can \
             restore the stake with `k3s-daas restake`"
        );
    }

    proptest! {
        #[test]
        fn no_time_overflows(since: u64, now: u64, grace: u64) {
            let end = End { why: Why::NoSeal, since: UnixMillis(since) };
            let _ = decide(Some(end), Duration::from_secs(grace), UnixMillis(now));
        }
    }
}
