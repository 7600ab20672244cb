//! `namespace`: tenants' namespaces, for the operator; `list` for everybody who may list them.

use std::path::{Path, PathBuf};

use seal::Address;
use tenancy::namespaces::{self, HomeError, Released, TenantNamespace};

use super::Context;
use crate::config::keys::{Group, ServerKeys};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::server::identity::IdentityError;
use crate::server::kube_client::{NoClient, acting, read};

const EXAMPLES: &str = "\
An owner's first namespace is made by itself when a seal of developer or more is first used, ends
with the owner's last such seal, and comes back with the next one while it is kept. `add` and
`release` need the operator's kubeconfig; `list` works with any that may list namespaces.

Examples:
  k3s-daas namespace list
  k3s-daas namespace list --owner 0x29df... --kubeconfig mine.kubeconfig -o json
  k3s-daas namespace add --owner 0x29df... --suffix staging
  k3s-daas namespace release seal-29dfbf688abce7ab-staging --yes";

/// What to do with tenants' namespaces.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum NamespaceCommand {
    /// Show tenants' namespaces: whose they are, how long they stay, what they use
    List(ListArgs),
    /// Make a namespace for an owner, and wait until it is guarded and usable
    Add(AddArgs),
    /// Delete a tenant's namespace with everything in it, volumes too
    Release(ReleaseArgs),
}

/// How the API server is reached.
#[derive(Debug, clap::Args)]
pub struct Access {
    /// The kubeconfig
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<String>,
}

impl Access {
    pub(super) fn path(&self, context: &Context) -> Outcome<PathBuf> {
        let key = ServerKeys::keys()
            .iter()
            .find(|key| key.name == "kubeconfig");
        let key = key.ok_or_else(|| Failure::message(Kind::Failed, "kubeconfig is no key"))?;
        context.sources.value(key, self.kubeconfig.as_deref())
    }
}

/// Options of `namespace list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only this owner's
    #[arg(long, value_name = "ADDRESS")]
    pub owner: Option<Address>,
    /// How the API server is reached.
    #[command(flatten)]
    pub access: Access,
}

/// Options of `namespace add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Whose it will be: the whole address, 64 digits
    #[arg(long, value_name = "ADDRESS", value_parser = whole_address)]
    pub owner: Address,
    /// What its name ends with; the owner's first namespace when not given
    #[arg(long, value_name = "NAME")]
    pub suffix: Option<String>,
    /// How the API server is reached.
    #[command(flatten)]
    pub access: Access,
}

/// Options of `namespace release`.
#[derive(Debug, clap::Args)]
pub struct ReleaseArgs {
    /// The namespace
    #[arg(value_name = "NAMESPACE")]
    pub name: String,
    /// Delete it; without this it is only told what would go
    #[arg(long)]
    pub yes: bool,
    /// Delete it although its owner has a usable seal
    #[arg(long)]
    pub force: bool,
    /// How the API server is reached.
    #[command(flatten)]
    pub access: Access,
}

/// Reads an address that is written in full. What is made for a truncated one is nobody's.
fn whole_address(text: &str) -> Result<Address, String> {
    const WHOLE: usize = 66;
    let length = text.chars().count();
    match text.parse() {
        Ok(address) if length == WHOLE => Ok(address),
        _ => Err(format!(
            "an owner is 0x and 64 hex digits, {WHOLE} characters; these are {length}\n\
             next step: give the whole address; `k3s-daas seal show` tells a seal's owner"
        )),
    }
}

/// Runs `namespace ...`.
pub async fn run(context: &Context, command: NamespaceCommand) -> Outcome {
    match command {
        NamespaceCommand::List(args) => list(context, args).await,
        NamespaceCommand::Add(args) => add(context, args).await,
        NamespaceCommand::Release(args) => release(context, args).await,
    }
}

async fn list(context: &Context, args: ListArgs) -> Outcome {
    let path = args.access.path(context)?;
    let progress = Progress::start("asking the API server");
    let client = client(&path).await?;
    let found = namespaces::list(&client, args.owner.as_ref()).await;
    progress.done();
    let found = found.map_err(|error| failed(error, &path))?;
    output::print(context.format(), &found, |found| {
        if found.is_empty() {
            return "there are no tenants' namespaces".to_owned();
        }
        let heading = ["namespace", "owner", "state", "tier", "pods", "goes"];
        output::table(heading, found.iter().map(row).collect())
    })
}

fn row(one: &TenantNamespace) -> [String; 6] {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let pods = match (&one.pods_used, &one.pods_hard) {
        (Some(used), Some(hard)) => format!("{used} of {hard}"),
        _ => "-".to_owned(),
    };
    [
        one.name.clone(),
        one.owner.to_string(),
        one.state.to_owned(),
        or_dash(one.tier),
        pods,
        or_dash(one.deletes_at.as_deref()),
    ]
}

async fn add(context: &Context, args: AddArgs) -> Outcome {
    let path = args.access.path(context)?;
    let progress = Progress::told("asking for the server's identity");
    let client = acting(&path)
        .await
        .map_err(|error| no_client(error, &path))?;
    progress.now("making the namespace; the server guards it before it can be used");
    let made = namespaces::add(&client, &args.owner, args.suffix.as_deref()).await;
    progress.done();
    let made = made.map_err(|error| failed(error, &path))?;
    output::print(context.format(), &made, |made| {
        let (name, owner, state) = (&made.name, &made.owner, made.state);
        format!("{name} is there for {owner} ({state})")
    })
}

async fn release(context: &Context, args: ReleaseArgs) -> Outcome {
    let path = args.access.path(context)?;
    let progress = Progress::start("looking at the namespace");
    let client = acting(&path)
        .await
        .map_err(|error| no_client(error, &path))?;
    let all = namespaces::list(&client, None).await;
    let all = all.map_err(|error| failed(error, &path))?;
    let Some(found) = all.into_iter().find(|one| one.name == args.name) else {
        return Err(Failure::message(
            Kind::Failed,
            format!("{} is no tenant's namespace", args.name),
        )
        .next("`k3s-daas namespace list` shows them; others are deleted with kubectl"));
    };
    if let Some(refusal) = refusal(&found, args.yes, args.force) {
        return Err(refusal);
    }
    progress.now("deleting it");
    let released = namespaces::release(&client, &args.name).await;
    progress.done();
    let released = released.map_err(|error| failed(error, &path))?;
    output::print(context.format(), &released, for_people)
}

/// Why a namespace is not deleted: its owner may use it, or nobody has confirmed it.
fn refusal(found: &TenantNamespace, yes: bool, force: bool) -> Option<Failure> {
    let (name, owner) = (&found.name, &found.owner);
    if found.state == "active" && !force {
        return Some(
            Failure::message(
                Kind::Refused,
                format!("{name} is in use: its owner {owner} has a seal that counts"),
            )
            .next(
                "revoke or slash the seal and wait, or give --force: everything in it goes, and \
                 an empty first namespace is made again at the owner's next request",
            ),
        );
    }
    if !yes {
        let pods = found.pods_used.as_deref().unwrap_or("an unknown number of");
        return Some(
            Failure::message(
                Kind::Usage,
                format!(
                    "nothing was deleted: {name} of {owner} ({}, {pods} pods) would go with all \
                     its objects, Secrets and volumes, for good",
                    found.state
                ),
            )
            .next("the same with --yes"),
        );
    }
    None
}

fn for_people(released: &Released) -> String {
    let used: Vec<String> = released
        .used
        .iter()
        .map(|(resource, amount)| format!("{resource} {amount}"))
        .collect();
    let held = if used.is_empty() {
        "it held nothing that its quota counts".to_owned()
    } else {
        format!("it held {}", used.join(", "))
    };
    let name = &released.namespace.name;
    format!("{name} is being deleted with everything in it; {held}")
}

pub(super) async fn client(path: &Path) -> Outcome<kube::Client> {
    let unusable = |source| NoClient::Kubeconfig {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let config = read(path).await.map_err(unusable);
    let config = config.map_err(|error| no_client(error, path))?;
    kube::Client::try_from(config).or_fail(Kind::Usage, "the kubeconfig can't be used")
}

fn no_client(error: NoClient, path: &Path) -> Failure {
    let next = format!(
        "give --kubeconfig: the operator's own, such as K3s's /etc/rancher/k3s/k3s.yaml; {} was used",
        path.display()
    );
    let error = match refused(error) {
        Ok(said) => {
            return Failure::new(Kind::Failed, said)
                .context("this needs the operator's kubeconfig")
                .next(next);
        }
        Err(error) => error,
    };
    let kind = match &error {
        NoClient::Kubeconfig { .. } => Kind::Usage,
        NoClient::Identity(_) | NoClient::Rights(_) => Kind::Failed,
        NoClient::TimedOut => Kind::Unavailable,
    };
    Failure::new(kind, error).next(next)
}

/// What the API server said, if whoever asked may not make or be the server's service account.
fn refused(error: NoClient) -> Result<Box<kube::Error>, NoClient> {
    let denied = |said: &kube::Error| matches!(said, kube::Error::Api(status) if matches!(status.code, 401 | 403));
    match error {
        NoClient::Identity(IdentityError::Apply { source, .. } | IdentityError::Token(source))
            if denied(&source) =>
        {
            Ok(source)
        }
        error => Err(error),
    }
}

fn failed(error: HomeError, path: &Path) -> Failure {
    let (kind, next) = match &error {
        HomeError::Foreign { .. } => (
            Kind::Failed,
            "somebody else made it: delete or rename it with kubectl, or choose another --suffix"
                .to_owned(),
        ),
        HomeError::Terminating { .. } => (
            Kind::Unavailable,
            "wait until it is gone; `kubectl get namespace -o yaml` says what holds it".to_owned(),
        ),
        HomeError::NotCompleted { .. } => (
            Kind::Unavailable,
            "see that `k3s-daas server` runs and is ready: it completes the namespace".to_owned(),
        ),
        HomeError::Suffix(_) => (Kind::Usage, "give another --suffix".to_owned()),
        HomeError::Late { .. } => (Kind::Unavailable, "try again".to_owned()),
        HomeError::Api { source, .. } => (
            // Without an answer of the API server it is not there.
            match source.as_ref() {
                kube::Error::Api(_) => Kind::Failed,
                _ => Kind::Unavailable,
            },
            format!(
                "see that the API server is there and that {} may do this",
                path.display()
            ),
        ),
        _ => (
            Kind::Failed,
            "`k3s-daas namespace list` shows what is there".to_owned(),
        ),
    };
    Failure::new(kind, error).next(next)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn an_owner_is_named_in_full() {
        let whole = format!("0x{}", "0a".repeat(32));
        assert_eq!(whole_address(&whole).unwrap().to_string(), whole);
        for bad in [
            "0x12",
            "0x",
            "nobody",
            &whole[..65],
            &whole[2..],
            &format!("{whole}0"),
        ] {
            let error = whole_address(bad).unwrap_err();
            assert!(error.contains("64 hex digits"), "{bad}: {error}");
            assert!(
                error.contains("\nnext step: give the whole address"),
                "{error}"
            );
        }
    }

    #[test]
    fn who_may_not_have_the_servers_token_is_told_whose_kubeconfig_it_takes() {
        let said = |code, reason: &str| {
            let message = "serviceaccounts is forbidden: User \"seal:0x01\" cannot create it";
            let status = Status::failure(message, reason).with_code(code);
            Box::new(kube::Error::Api(status.boxed()))
        };
        let told = |error: IdentityError| {
            no_client(NoClient::Identity(error), Path::new("mine.kubeconfig")).to_string()
        };
        let what = "the service account";
        for error in [
            IdentityError::Token(said(403, "Forbidden")),
            IdentityError::Apply {
                what,
                source: said(403, "Forbidden"),
            },
            IdentityError::Apply {
                what,
                source: said(401, "Unauthorized"),
            },
        ] {
            let told = told(error);
            assert!(
                told.starts_with("error: this needs the operator's kubeconfig\n"),
                "{told}"
            );
            assert_eq!(told.matches("because:").count(), 1, "{told}");
            assert!(told.contains("next step: give --kubeconfig"), "{told}");
        }
        let other = told(IdentityError::Token(said(500, "InternalError")));
        assert!(!other.contains("this needs the operator's"), "{other}");
    }
}
