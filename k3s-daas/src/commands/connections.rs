//! `connections`: who is connected through the gate, from where.

use std::collections::BTreeSet;
use std::time::Duration;

use api_gate::{ConnectionView, Target, UserView};
use serde::Serialize;

use super::Context;
use crate::config::keys::{Group, StateKeys};
use crate::control::Control;
use crate::failure::Outcome;
use crate::output;
use crate::seals::now;
use crate::server::DEFAULT_STATE;

const EXAMPLES: &str = "\
Who is on a connection is known once the API server has told of a watch, a log or a session on it:
connections of short requests, of agents' tunnels and of supervisor calls have nobody. Asked of the
server on this machine, over a socket that only its user may open.

Examples:
  k3s-daas connections
  k3s-daas connections --of worker-001
  k3s-daas connections -o json";

/// Options of `connections`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ConnectionsArgs {
    /// Only those of a seal (its credential hash), of an owner (its address) or of a node (its
    /// name)
    #[arg(long, value_name = "WHOM")]
    pub of: Option<Target>,
    /// Where the server keeps its state.
    #[command(flatten)]
    pub state: StateKeys,
}

#[derive(Debug, Serialize)]
struct Shown {
    connections: Vec<ConnectionView>,
}

/// The socket's folder.
pub(super) fn state_dir(context: &Context, state: &StateKeys) -> Outcome<std::path::PathBuf> {
    let said = state.resolve(&context.sources)?.state_dir;
    Ok(said.unwrap_or_else(|| DEFAULT_STATE.into()))
}

/// Runs `connections`.
pub async fn run(context: &Context, args: ConnectionsArgs) -> Outcome {
    let control = Control::of(&state_dir(context, &args.state)?).await?;
    let mut connections = control.connections().await?;
    if let Some(whom) = &args.of {
        connections.retain(|one| one.users.iter().any(|user| is(whom, user)));
    }
    output::print(context.format(), &Shown { connections }, |shown| {
        for_people(&shown.connections, now().0)
    })
}

fn is(whom: &Target, user: &UserView) -> bool {
    match whom {
        Target::Hash(hash) => user.hash.as_deref() == Some(hash.to_string().as_str()),
        Target::Owner(owner) => user.name == seal::identity::user_name(owner),
        Target::Node(name) => {
            let kubelet = format!("{}{name}", seal::identity::NODE_USER_PREFIX);
            user.name == kubelet || user.node.as_deref() == Some(name.as_str())
        }
    }
}

fn for_people(connections: &[ConnectionView], now_ms: u64) -> String {
    if connections.is_empty() {
        return "nobody is connected".to_owned();
    }
    let rows = connections.iter().map(|one| {
        let age = Duration::from_millis(now_ms.saturating_sub(one.opened_at_ms));
        // A certificate's name can hold anything, a terminal's commands too.
        let names = one.users.iter().map(|user| user.name.escape_debug());
        let names: Vec<_> = names.map(|name| name.to_string()).collect();
        let kinds: BTreeSet<&str> = one.users.iter().map(|user| user.kind.as_str()).collect();
        let kinds: Vec<_> = kinds.into_iter().map(str::to_owned).collect();
        [
            one.peer.to_string(),
            one.source.to_string(),
            one.door.to_string(),
            since(age),
            or_dash(&kinds),
            or_dash(&names),
        ]
    });
    output::table(
        ["from", "as", "door", "age", "kind", "user"],
        rows.collect(),
    )
}

fn or_dash(texts: &[String]) -> String {
    if texts.is_empty() {
        return "-".to_owned();
    }
    texts.join(", ")
}

/// As kubectl shows ages: exact while they are short.
fn since(age: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = age.as_secs();
    let two = |large: u64, name: &str, small: u64, smaller: &str| match seconds % large / small {
        0 => format!("{}{name}", seconds / large),
        rest => format!("{}{name}{rest}{smaller}", seconds / large),
    };
    if seconds < 2 * MINUTE {
        format!("{seconds}s")
    } else if seconds < 10 * MINUTE {
        two(MINUTE, "m", 1, "s")
    } else if seconds < 3 * HOUR {
        format!("{}m", seconds / MINUTE)
    } else if seconds < 8 * HOUR {
        two(HOUR, "h", MINUTE, "m")
    } else if seconds < 2 * DAY {
        format!("{}h", seconds / HOUR)
    } else if seconds < 8 * DAY {
        two(DAY, "d", HOUR, "h")
    } else {
        format!("{}d", seconds / DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(users: Vec<UserView>) -> ConnectionView {
        ConnectionView {
            source: [127, 1, 0, 2].into(),
            peer: "203.0.113.9:40000".parse().unwrap(),
            door: "203.0.113.7:6443".parse().unwrap(),
            opened_at_ms: 1_000,
            users,
        }
    }

    fn user(name: &str, kind: &str) -> UserView {
        UserView {
            name: name.to_owned(),
            kind: kind.to_owned(),
            hash: None,
            node: None,
        }
    }

    #[test]
    fn people_see_who_came_from_where_and_how_long_ago() {
        let all = [
            view(vec![user("system:node:w-1", "node")]),
            view(Vec::new()),
        ];
        let text = for_people(&all, 91_000);
        assert!(text.contains("203.0.113.9:40000") && text.contains("127.1.0.2"));
        assert!(
            text.contains("90s") && text.contains("system:node:w-1"),
            "{text}"
        );
        assert_eq!(for_people(&[], 0), "nobody is connected");
    }

    #[test]
    fn a_name_can_do_nothing_to_a_terminal() {
        let strange = user("a\u{1b}[2J\n\u{202e}b", "other");
        let users = vec![strange, user("c", "node"), user("d", "other")];
        let text = for_people(&[view(users)], 1_000);
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(text.contains("| node, other | a\\u{1b}[2J\\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn one_is_found_by_any_of_its_names() {
        let node: Target = "w-1".parse().unwrap();
        assert!(is(&node, &user("system:node:w-1", "node")));
        let pod = UserView {
            node: Some("w-1".to_owned()),
            ..user("system:serviceaccount:a:b", "account")
        };
        assert!(is(&node, &pod));
        assert!(!is(&node, &user("w-1", "other")));
        let text = format!("0x{}", "1".repeat(64));
        let owner: Target = text.parse().unwrap();
        assert!(is(&owner, &user(&format!("seal:{text}"), "seal")));
    }

    #[test]
    fn ages_are_as_kubectl_shows_them() {
        for (seconds, shown) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_520, "3h12m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (200_000, "2d7h"),
            (691_200, "8d"),
        ] {
            assert_eq!(since(Duration::from_secs(seconds)), shown);
        }
    }
}
