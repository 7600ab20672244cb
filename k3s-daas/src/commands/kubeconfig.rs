//! `kubeconfig` and `join-token`: what a seal token is for.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use k3s_configs::access::{CaHash, join_token as agents_token};
use seal::SealToken;
use zeroize::Zeroizing;

use super::Context;
use crate::config::keys::{ClusterConfig, ClusterKeys, Group};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::kubeconfig::{Cluster, Credential, read_ca, render};
use crate::output;
use crate::secrets::{Origin, write_private};

const KUBECONFIG_EXAMPLES: &str = "\
Examples:
  k3s-daas kubeconfig --token-file ~/.k3s-daas/seals/mine.token --cluster-ca ca.crt --to mine.kubeconfig
  k3s-daas kubeconfig --token-file - --to mine.kubeconfig < mine.token
  kubectl --kubeconfig mine.kubeconfig auth whoami";

const JOIN_EXAMPLES: &str = "\
Examples:
  k3s-daas join-token --token-file ~/.k3s-daas/seals/worker-001.token --ca-file server-ca.crt \\
    --to /etc/rancher/k3s/k3s-daas.token
  k3s agent --server https://example.org:6443 --token-file /etc/rancher/k3s/k3s-daas.token \\
    --node-name worker-001
The file holds what joins this node and does nothing else: the seal token stays with its owner.
`config render --role agent` writes the agent's configuration instead of flags.";

/// Options of `kubeconfig`.
#[derive(Debug, clap::Args)]
#[command(after_help = KUBECONFIG_EXAMPLES)]
pub struct KubeconfigArgs {
    /// The seal token's file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// Where the kubeconfig goes, with mode 0600; standard output when not given
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Name the token's file instead of copying the token, so that a refresh needs no new kubeconfig
    #[arg(long)]
    pub by_reference: bool,
    /// The namespace that kubectl uses when none is named
    #[arg(long, default_value = "default")]
    pub namespace: String,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterKeys,
}

/// Writes a kubeconfig.
pub fn kubeconfig(context: &Context, args: &KubeconfigArgs) -> Outcome {
    let config = args.cluster.resolve(&context.sources)?;
    let cluster = cluster(config)?;
    let origin = Origin::from_path(&args.token_file);
    let token: SealToken = origin.seal_token()?;
    let text = match (&origin, args.by_reference) {
        (Origin::Stdin, true) => {
            return Err(Failure::message(
                Kind::Usage,
                "--by-reference needs a token file, not standard input",
            ));
        }
        (Origin::File(path), true) => {
            let path = std::fs::canonicalize(path).map_err(Failure::from)?;
            render(&cluster, &Credential::File(&path), &args.namespace)?
        }
        (_, false) => render(&cluster, &Credential::Token(&token), &args.namespace)?,
    };
    deliver(context, &text, args.to.as_ref(), "kubeconfig")
}

/// The cluster as configured.
pub fn cluster(config: ClusterConfig) -> Outcome<Cluster> {
    crate::kubeconfig::cluster(
        config.cluster_url.0,
        config.cluster_ca.as_ref(),
        config.tls_server_name,
    )
}

fn deliver(
    context: &Context,
    text: &Zeroizing<String>,
    to: Option<&PathBuf>,
    what: &str,
) -> Outcome {
    let Some(path) = to else {
        return output::line(text.trim_end());
    };
    let doing = format!("can't write {}", path.display());
    write_private(path, text.as_bytes()).or_fail(Kind::Failed, doing)?;
    output::print(context.format(), &serde_json::json!({ what: path }), |_| {
        format!("{} (mode 0600)", path.display())
    })
}

/// Options of `join-token`.
#[derive(Debug, clap::Args)]
#[command(after_help = JOIN_EXAMPLES)]
pub struct JoinTokenArgs {
    /// A file with the seal token or the join credential; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// The CA's hash, where the CA itself is not at hand
    #[arg(long, value_name = "HEX", value_parser = CaHash::parse, conflicts_with = "ca_file")]
    pub ca_hash: Option<CaHash>,
    /// The CA bundle's file; the configured cluster_ca when not given
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Where the agent's token goes, with mode 0600; standard output when not given
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterKeys,
}

/// Makes an agent's token: `K10<CA hash>::<join credential>`.
pub fn join_token(context: &Context, args: &JoinTokenArgs) -> Outcome {
    let config = args.cluster.resolve(&context.sources)?;
    let hash = match (
        &args.ca_hash,
        args.ca_file.as_ref().or(config.cluster_ca.as_ref()),
    ) {
        (Some(hash), _) => *hash,
        (None, Some(path)) => hash_of_file(path)?,
        (None, None) => {
            return Err(Failure::message(Kind::Usage, "the cluster's CA is not known")
                .next("give --ca-file (K3s: /var/lib/rancher/k3s/server/tls/server-ca.crt) or --ca-hash; \
                       without it an agent would trust whoever answers first"));
        }
    };
    let join = Origin::from_path(&args.token_file).join_credential()?;
    let token = Zeroizing::new(format!("{}\n", agents_token(&hash, &join).as_str()));
    deliver(context, &token, args.to.as_ref(), "join_token")
}

/// The hash of the bundle in a file, as an agent computes it.
pub fn hash_of_file(path: &Path) -> Outcome<CaHash> {
    let bundle = read_ca(path)?;
    CaHash::of_bundle(&bundle, SystemTime::now())
        .or_fail(Kind::Usage, format!("{} is no CA bundle", path.display()))
}
