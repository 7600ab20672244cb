//! What a person types. What the program then runs on are the `Config`s of [`crate::config`].

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::config::{DEFAULT_FILE, WORKER_FILE, keys};
use crate::output::Format;

/// The colours of the help texts.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// What commands log that don't narrate: they speak through their output.
pub const QUIET_LOG: &str = "warn";

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused by the contract,
4 unavailable or too late, 130 interrupted.

Every value of the configuration is a key of one file, a flag and a variable: `max_staleness_seconds`
in /etc/k3s-daas/config.yaml is --max-staleness-seconds and K3S_DAAS_MAX_STALENESS_SECONDS. A flag
beats a variable beats the file beats the default. `k3s-daas config show` tells what counts and why.

Examples:
  k3s-daas up                                   everything on this machine, with four demo tenants
  k3s-daas stake 2 --name mine                  stake 2 SUI, keep the token in ~/.k3s-daas/seals
  k3s-daas kubeconfig --token-file ~/.k3s-daas/seals/mine.token > mine.kubeconfig
  k3s-daas doctor                               what is wrong, and what to do";

/// Kubernetes whose users are seal holders on a ledger: stake, take the token, use kubectl.
#[derive(Debug, Parser)]
#[command(
    name = "k3s-daas",
    version,
    styles = STYLES,
    after_help = AFTER_HELP,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// The configuration file [env: K3S_DAAS_CONFIG] [default: /etc/k3s-daas/config.yaml; of a worker,
    /// /etc/k3s-daas/worker-config.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The form of the answer on standard output
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM"
    )]
    pub output: Format,
    /// What is logged.
    #[command(flatten)]
    pub log: GlobalLog,
}

/// The keys of the log as global options.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GlobalLog {
    /// What is logged to standard error: a level, or filters such as info,sui_ledger=debug
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// The form of the log: text or json
    #[arg(long, global = true, value_name = "VALUE")]
    pub log_format: Option<String>,
}

impl GlobalLog {
    /// As the group of keys.
    pub fn group(&self) -> keys::LogKeys {
        keys::LogKeys {
            log: self.log.clone(),
            log_format: self.log_format.clone(),
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: ledger, webhooks, control plane, four demo tenants
    Up(Box<commands::up::UpArgs>),
    /// Run the embedded ledger alone
    Devnet(commands::devnet::DevnetArgs),
    /// Run the webhooks that a K3s server asks
    Server(Box<commands::server::ServerArgs>),

    /// Run a machine's part: the CRI shim, metrics, the worker's REST API
    Worker(Box<commands::worker::WorkerArgs>),

    /// Stake SUI and take the seal token
    Stake(commands::stake::StakeArgs),
    /// Add stake to a seal
    Restake(commands::manage::RestakeArgs),
    /// Give a seal a new token; the old one is retired at once
    Refresh(commands::stake::RefreshArgs),
    /// Ask for the stake back; the seal ends now, the stake is paid after the unbonding
    Unstake(commands::manage::ManageArgs),
    /// Take the stake once the unbonding is over
    Withdraw(commands::manage::ManageArgs),
    /// Look at seals, or derive what follows from a token
    #[command(subcommand)]
    Seal(commands::seal::SealCommand),

    /// Write a kubeconfig for a seal token
    Kubeconfig(commands::kubeconfig::KubeconfigArgs),
    /// Make the token of a K3s agent from a seal token
    JoinToken(commands::kubeconfig::JoinTokenArgs),

    /// Take a tenth of a seal's stake; it is dead until the stake is restored (operator)
    Slash(commands::manage::SlashArgs),
    /// Take a seal away for good (operator)
    Revoke(commands::manage::SlashArgs),

    /// Look at tenants' namespaces, make and release them (operator)
    #[command(subcommand)]
    Namespace(commands::namespace::NamespaceCommand),
    /// Look at the nodes that joined with a seal (operator)
    #[command(subcommand)]
    Node(commands::node::NodeCommand),
    /// Show who is connected through the gate, and from where (operator)
    Connections(commands::connections::ConnectionsArgs),
    /// End connections by hand (operator)
    Disconnect(commands::disconnect::DisconnectArgs),
    /// Ask what a tier may do, offline
    #[command(subcommand)]
    Policy(commands::policy::PolicyCommand),
    /// Publish the Move package
    #[command(subcommand)]
    Contract(commands::contract::ContractCommand),
    /// Show and check the configuration, render K3s's
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    /// Make or look at a wallet, fund it on the embedded ledger
    #[command(subcommand)]
    Wallet(commands::wallet::WalletCommand),

    /// Check everything and say what to do
    Doctor(Box<commands::doctor::DoctorArgs>),
    /// Print the completions of a shell
    Completions(commands::completions::CompletionsArgs),
}

impl Command {
    /// Whether the command's log is for operators, who want to see what goes on.
    pub fn narrates(&self) -> bool {
        matches!(self, Self::Server(_) | Self::Worker(_))
    }

    /// Whether it is what `k3s-daas-worker` does too.
    pub fn is_the_worker(&self) -> bool {
        matches!(self, Self::Worker(args) if args.command.is_none())
    }

    /// Whether it had better be done by the defaults than not at all.
    pub fn goes_without_its_file(&self) -> bool {
        matches!(self, Self::Worker(args)
            if matches!(args.command, Some(commands::worker::WorkerCommand::Uninstall(_))))
    }

    /// Whether all of it fits one thread: a machine is there for its pods.
    pub fn is_small(&self) -> bool {
        matches!(self, Self::Worker(_))
    }

    /// Where its configuration is when nobody says.
    pub fn default_file(&self) -> &'static str {
        match self {
            Self::Worker(_) => WORKER_FILE,
            Self::Doctor(args) if args.worker => WORKER_FILE,
            _ => DEFAULT_FILE,
        }
    }
}

/// The command line with the variables and defaults of its keys in the help texts.
pub fn command() -> clap::Command {
    annotate(Cli::command())
}

fn annotate(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let Some(key) = keys::all().find(|key| arg.get_id() == key.name) else {
            return arg;
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.trim_end_matches('.').to_owned();
        let default = match key.default {
            Some("") | None => String::new(),
            Some(loud) if key.name == "log" => {
                format!(" [default: {QUIET_LOG}; {loud} for `server`, `worker`]")
            }
            Some(default) => format!(" [default: {default}]"),
        };
        let help = format!("{help} [env: {}]{default}", key.variable());
        arg.help(help.clone()).long_help(help)
    });
    command.mut_subcommands(annotate)
}

/// Parses the command line.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

/// The worker's own program: `k3s-daas worker`, and nothing else.
#[derive(Debug, Parser)]
#[command(name = "k3s-daas-worker", version, styles = STYLES, after_help = commands::worker::EXAMPLES)]
pub struct WorkerCli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The worker.
    #[command(flatten)]
    pub keys: keys::WorkerKeys,
}

/// Parses the command line of the worker's own program, or one of `k3s-daas worker`.
pub fn parse_worker(
    args: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<WorkerCli, clap::Error> {
    let parse = |args: &[std::ffi::OsString]| {
        let matches = annotate(WorkerCli::command()).try_get_matches_from(args)?;
        WorkerCli::from_arg_matches(&matches)
    };
    let args: Vec<_> = args.into_iter().collect();
    let own = parse(&args);
    let without = |at: usize| -> Vec<_> {
        let (before, after) = args.split_at(at);
        before.iter().chain(after.iter().skip(1)).cloned().collect()
    };
    let words = args.iter().enumerate().skip(1);
    let mut commands = words.filter(|(_, word)| *word == "worker");
    own.or_else(|error| {
        commands
            .find_map(|(at, _)| parse(&without(at)).ok())
            .ok_or(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_workers_own_program_knows_its_options_and_the_words_of_the_command() {
        let parsed = |line: &str| {
            let args = line.split(' ').map(std::ffi::OsString::from);
            parse_worker(args).map(|cli| (cli.global.config, cli.keys.node_id))
        };
        let wanted = (Some("worker".into()), Some("worker".to_owned()));
        for line in [
            "k3s-daas-worker --config worker --node-id worker",
            "k3s-daas worker --config worker --node-id worker",
            "k3s-daas --config worker worker --node-id worker",
        ] {
            assert_eq!(parsed(line).unwrap(), wanted, "{line}");
        }
        assert!(parsed("k3s-daas-worker up").is_err());
        assert!(parsed("k3s-daas-worker --help").is_err_and(|error| !error.use_stderr()));
    }

    #[test]
    fn the_help_says_what_is_logged_where_nothing_is_set() {
        for name in ["up", "server"] {
            let mut root = command();
            root.build();
            let help = root.find_subcommand_mut(name).unwrap().render_long_help();
            let words: Vec<String> = help
                .to_string()
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            let help = words.join(" ");
            let told = "[env: K3S_DAAS_LOG] [default: warn; info for `server`, `worker`]";
            assert!(help.contains(told), "{name}: {help}");
        }
    }

    #[test]
    fn every_key_is_a_flag_of_some_command() {
        fn flags(command: &clap::Command, into: &mut Vec<String>) {
            into.extend(
                command
                    .get_arguments()
                    .filter_map(|a| a.get_long().map(str::to_owned)),
            );
            for sub in command.get_subcommands() {
                flags(sub, into);
            }
        }
        let mut all = Vec::new();
        flags(&command(), &mut all);
        for key in keys::all() {
            assert!(all.contains(&key.name.replace('_', "-")), "{}", key.name);
        }
    }

    #[test]
    fn no_flag_takes_a_secret() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments() {
                let name = arg.get_long().unwrap_or_default();
                let secret = name.contains("token") || name.contains("secret") || name == "key";
                let harmless = [
                    "token-file",
                    "node-token-file",
                    "print-token",
                    "token-cache-seconds",
                ]
                .contains(&name);
                assert!(!secret || harmless, "{} --{name}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }
}
