//! `config render`

use std::path::PathBuf;

use k3s_configs::{AgentSettings, RenderedFile};
use seal::NodeName;
use serde::Serialize;

use crate::commands::Context;
use crate::config::keys::{ClusterKeys, Group, K3sKeys, ServerKeys, StateKeys};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::output;
use crate::rendering;

/// Where a worker's token lies when nobody says.
const JOIN_TOKEN: &str = "/etc/rancher/k3s/k3s-daas.token";

const EXAMPLES: &str = "\
The files name each other by the paths they will have below k3s_dir; --to writes them elsewhere
first, to be looked at or copied.

Examples:
  k3s-daas config render                              print them
  k3s-daas config render --to ./rendered --explain    write them, and say what each setting is for
  k3s-daas config render --profile production --to /etc/rancher/k3s
  k3s-daas config render --role agent --node-id worker-001 --cluster-url https://cluster:6443 \\
    --to /etc/rancher/k3s                             on a worker, before `k3s agent`";

/// Whose files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// The control plane: K3s's server, and what it is told of the webhooks
    Server,
    /// A worker that joins with a seal
    Agent,
}

/// Options of `config render`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RenderArgs {
    /// Write the files below this folder instead of printing them
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,
    /// Whose files
    #[arg(long, value_enum, default_value_t = Role::Server)]
    pub role: Role,
    /// The node's name, as it was staked for (agent)
    #[arg(long, value_name = "NAME", required_if_eq("role", "agent"))]
    pub node_id: Option<NodeName>,
    /// Where the agent's token lies, which `join-token` wrote (agent)
    #[arg(long, value_name = "FILE", default_value = JOIN_TOKEN)]
    pub token_file: PathBuf,
    /// Say what each setting is for
    #[arg(long)]
    pub explain: bool,
    /// K3s's own files.
    #[command(flatten)]
    pub k3s: K3sKeys,
    /// The webhooks.
    #[command(flatten)]
    pub server: ServerKeys,
    /// State.
    #[command(flatten)]
    pub state: StateKeys,
    /// The cluster, as a worker sees it.
    #[command(flatten)]
    pub cluster: ClusterKeys,
}

#[derive(Debug, Serialize)]
struct Rendered {
    files: Vec<File>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<k3s_configs::Explained>,
    /// K3s's components that are on and have no node to run on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    will_not_run: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct File {
    path: PathBuf,
    mode: String,
    purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<String>,
}

pub(super) fn run(context: &Context, args: &RenderArgs) -> Outcome {
    match args.role {
        Role::Server => server(context, args),
        Role::Agent => agent(context, args),
    }
}

fn agent(context: &Context, args: &RenderArgs) -> Outcome {
    let cluster = args.cluster.resolve(&context.sources)?;
    let folder = args.k3s.resolve(&context.sources)?.k3s_dir;
    let Some(node_name) = args.node_id.clone() else {
        return Err(Failure::message(Kind::Usage, "a worker needs a name")
            .next("give --node-id, as it was staked for"));
    };
    let files = rendering::agent_files(&AgentSettings {
        server: cluster.cluster_url.0,
        token_file: args.token_file.clone(),
        node_name,
    })?;
    let paths = match &args.to {
        Some(to) => {
            for file in &files {
                rendering::not_somebody_elses(&to.join(&file.path), file)?;
            }
            rendering::write(&files, to)?
        }
        None => files.iter().map(|file| folder.join(&file.path)).collect(),
    };
    let rendered = Rendered {
        files: shown(files, paths, args.to.is_none()),
        settings: Vec::new(),
        will_not_run: Vec::new(),
        warnings: Vec::new(),
    };
    output::print(context.format(), &rendered, for_people)
}

fn server(context: &Context, args: &RenderArgs) -> Outcome {
    let sources = &context.sources;
    // The unit that names it starts in another folder.
    let configuration = std::path::absolute(&sources.path)?;
    let server = args.server.resolve(sources)?;
    let k3s = args.k3s.resolve(sources)?;
    let settings = rendering::settings(
        &k3s,
        &server,
        args.state.resolve(sources)?.state_dir.as_deref(),
        &configuration,
    )?;
    let mut files = rendering::files(&settings)?;
    files.extend(rendering::for_review(&server)?);
    let paths = match &args.to {
        Some(folder) => rendering::write(&files, folder)?,
        None => files
            .iter()
            .map(|file| settings.output_dir.join(&file.path))
            .collect(),
    };
    let explained = if args.explain {
        k3s_configs::explain(&settings).or_fail(Kind::Usage, "the settings can't be explained")?
    } else {
        Vec::new()
    };
    let rendered = Rendered {
        files: shown(files, paths, args.to.is_none()),
        settings: explained,
        will_not_run: rendering::without_a_node(&k3s, &server),
        warnings: rendering::isolation_mismatch(k3s.profile, server.worker_isolation)
            .map(str::to_owned)
            .into_iter()
            .chain(rendering::port_mismatch(&server))
            .collect(),
    };
    output::print(context.format(), &rendered, for_people)
}

fn shown(files: Vec<RenderedFile>, paths: Vec<PathBuf>, with_contents: bool) -> Vec<File> {
    let files = files.into_iter().zip(paths).map(|(file, path)| File {
        path,
        mode: format!("{:04o}", file.mode),
        purpose: file.purpose,
        contents: with_contents.then_some(file.contents),
    });
    files.collect()
}

fn for_people(rendered: &Rendered) -> String {
    let mut parts: Vec<String> = rendered
        .files
        .iter()
        .map(|file| {
            let (path, mode, purpose) = (file.path.display(), &file.mode, file.purpose);
            match &file.contents {
                Some(contents) => format!("# {path} ({mode}): {purpose}\n{contents}"),
                None => format!("{path} ({mode}): {purpose}"),
            }
        })
        .collect();
    if !rendered.settings.is_empty() {
        let rows = rendered
            .settings
            .iter()
            .map(|one| [one.setting.clone(), one.value.clone(), one.why.to_owned()]);
        parts.push(output::table(["setting", "value", "why"], rows.collect()));
    }
    if !rendered.will_not_run.is_empty() {
        parts.push(format!(
            "# will not run: {}. Their pods belong on machines of the operator's, and trusted_nodes \
             names none.",
            rendered.will_not_run.join(", ")
        ));
    }
    parts.extend(
        rendered
            .warnings
            .iter()
            .map(|text| format!("# warning: {text}")),
    );
    parts.join("\n")
}
