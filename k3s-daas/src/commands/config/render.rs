//! `config render`

use std::path::PathBuf;

use serde::Serialize;

use crate::commands::Context;
use crate::config::keys::{Group, K3sKeys, ServerKeys, StateKeys};
use crate::failure::{Kind, OrFail, Outcome};
use crate::output;
use crate::rendering;

const EXAMPLES: &str = "\
The files name each other by the paths they will have below k3s_dir; --to writes them elsewhere
first, to be looked at or copied.

Examples:
  k3s-daas config render                              print them
  k3s-daas config render --to ./rendered --explain    write them, and say what each setting is for
  k3s-daas config render --profile production --to /etc/rancher/k3s";

/// Options of `config render`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RenderArgs {
    /// Write the files below this folder instead of printing them
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,
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
}

#[derive(Debug, Serialize)]
struct Rendered {
    files: Vec<File>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<k3s_configs::Explained>,
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
    let sources = &context.sources;
    // The unit that names it starts in another folder.
    let configuration = std::path::absolute(&sources.path)?;
    let server = args.server.resolve(sources)?;
    let settings = rendering::settings(
        &args.k3s.resolve(sources)?,
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
        files: files
            .into_iter()
            .zip(paths)
            .map(|(file, path)| File {
                path,
                mode: format!("{:04o}", file.mode),
                purpose: file.purpose,
                contents: args.to.is_none().then_some(file.contents),
            })
            .collect(),
        settings: explained,
    };
    output::print(context.format(), &rendered, for_people)
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
    parts.join("\n")
}
