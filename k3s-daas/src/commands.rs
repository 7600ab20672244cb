//! One file for each thing the program does.

use crate::cli::{Command, Global};
use crate::config::Sources;
use crate::failure::Outcome;
use crate::output::Format;

pub mod completions;
pub mod config;
pub mod connections;
pub mod contract;
pub mod devnet;
pub mod disconnect;
pub mod doctor;
pub mod kubeconfig;
pub mod manage;
pub mod namespace;
pub mod node;
pub mod policy;
pub mod seal;
pub mod server;
pub mod stake;
pub mod up;
pub mod wallet;
pub mod worker;

/// What every command needs.
#[derive(Debug)]
pub struct Context {
    /// Where values come from.
    pub sources: Sources,
    /// The options of every command.
    pub global: Global,
}

impl Context {
    /// The form of the answer.
    pub fn format(&self) -> Format {
        self.global.output
    }
}

/// Runs a command.
pub async fn run(context: Context, command: Command) -> Outcome {
    match command {
        Command::Up(args) => Box::pin(up::up(&context, *args)).await,
        Command::Devnet(args) => devnet::run(&context, args).await,
        Command::Server(args) => Box::pin(server::run(&context, *args)).await,
        Command::Worker(args) => Box::pin(worker::run(&context, *args)).await,
        Command::Stake(args) => stake::stake(&context, args).await,
        Command::Refresh(args) => stake::refresh(&context, args).await,
        Command::Restake(args) => manage::restake(&context, args).await,
        Command::Unstake(args) => manage::unstake(&context, args).await,
        Command::Withdraw(args) => manage::withdraw(&context, args).await,
        Command::Seal(command) => seal::run(&context, command).await,
        Command::Kubeconfig(args) => kubeconfig::kubeconfig(&context, &args),
        Command::JoinToken(args) => kubeconfig::join_token(&context, &args),
        Command::Slash(args) => manage::slash(&context, args).await,
        Command::Revoke(args) => manage::revoke(&context, args).await,
        Command::Namespace(command) => Box::pin(namespace::run(&context, command)).await,
        Command::Node(command) => Box::pin(node::run(&context, command)).await,
        Command::Connections(args) => connections::run(&context, args).await,
        Command::Disconnect(args) => disconnect::run(&context, args).await,
        Command::Policy(command) => policy::run(&command),
        Command::Contract(command) => contract::run(&context, command).await,
        Command::Config(command) => config::run(&context, command),
        Command::Wallet(command) => wallet::run(&context, command).await,
        Command::Doctor(args) => Box::pin(doctor::run(&context, *args)).await,
        Command::Completions(args) => completions::run(&args),
    }
}
