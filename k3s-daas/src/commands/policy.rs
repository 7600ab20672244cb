//! `policy explain`: what a tier may do, offline, by the webhook's own decision.

use std::io::BufRead;

use authz_webhook::{ExplainOptions, explain};
use seal::ElevatedOwners;
use seal::Tier;
use seal::access::{CustomResourceGroups, Policy, ProtectedNamespaces, Tenancy};

use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Reads the specs of SubjectAccessReviews on standard input, one JSON object a line, and answers each
with a line {\"decision\": \"allow\" | \"deny\" | \"no-opinion\", \"reason\": ...}. No opinion means
that RBAC decides. A namespace in neither list has no owner, unless it is protected.

Examples:
  echo '{\"resourceAttributes\":{\"verb\":\"create\",\"resource\":\"pods\",\"namespace\":\"a\"}}' |
    k3s-daas policy explain --tier developer --own-namespace a --owned-namespace b";

/// What to ask of the policy.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Answer SubjectAccessReview specs offline, as the webhook would
    Explain(ExplainArgs),
}

/// Options of `policy explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The tier: viewer, developer, admin or super
    #[arg(long)]
    pub tier: Tier,
    /// A namespace of the one who asks (repeatable)
    #[arg(long, value_name = "NAME")]
    pub own_namespace: Vec<String>,
    /// A namespace of somebody else (repeatable)
    #[arg(long, value_name = "NAME")]
    pub owned_namespace: Vec<String>,
    /// Whether viewers and developers may read others' namespaces: own or shared
    #[arg(long, default_value = "own", value_parser = parse_tenancy)]
    pub tenancy: Tenancy,
    /// A namespace that is protected besides kube-*, default and the extension's own (repeatable)
    #[arg(long, value_name = "NAME")]
    pub protected_namespace: Vec<String>,
    /// An API group of custom resources that developers may use (repeatable)
    #[arg(long, value_name = "GROUP")]
    pub developer_api_group: Vec<String>,
}

fn parse_tenancy(text: &str) -> Result<Tenancy, String> {
    text.parse()
        .map_err(|error: seal::access::InvalidPolicy| error.to_string())
}

/// Runs `policy ...`.
pub fn run(command: &PolicyCommand) -> Outcome {
    let PolicyCommand::Explain(args) = command;
    let wrong = "the policy can't be meant";
    let options = ExplainOptions {
        tier: args.tier,
        own_namespaces: args.own_namespace.iter().cloned().collect(),
        owned_namespaces: args.owned_namespace.iter().cloned().collect(),
        policy: Policy {
            protected: ProtectedNamespaces::new(args.protected_namespace.iter().cloned())
                .or_fail(Kind::Usage, wrong)?,
            tenancy: args.tenancy,
            custom_resource_groups: CustomResourceGroups::new(
                args.developer_api_group.iter().cloned(),
            )
            .or_fail(Kind::Usage, wrong)?,
            // The tier is given: nobody is capped here.
            elevated_owners: ElevatedOwners::Any,
        },
    };
    options.verify().or_fail(Kind::Usage, wrong)?;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.or_fail(Kind::Failed, "standard input can't be read")?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = explain(&line, &options).map_err(|error| {
            Failure::new(Kind::Failed, error)
                .context(format!("line {}", number + 1))
                .next("each line is the spec of a SubjectAccessReview as one JSON object")
        })?;
        let answer = serde_json::to_string(&answer).or_fail(Kind::Failed, "no JSON")?;
        output::line(&answer)?;
    }
    Ok(())
}
