//! `completions`

use clap_complete::Shell;

use crate::failure::{Kind, OrFail, Outcome};

const EXAMPLES: &str = "\
Examples:
  k3s-daas completions bash > ~/.local/share/bash-completion/completions/k3s-daas
  k3s-daas completions zsh > ~/.zfunc/_k3s-daas
  k3s-daas completions fish > ~/.config/fish/completions/k3s-daas.fish";

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the completions of a shell.
pub fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut crate::cli::command(),
        "k3s-daas",
        &mut script,
    );
    let script = String::from_utf8(script).or_fail(Kind::Failed, "the completions are no text")?;
    crate::output::line(script.trim_end())
}
