//! `worker install` and `worker uninstall`.
//!
//! Shape:  in comes the socket, then the shim, and only when that answers the drop-in that sends
//!         kubelet there. Out goes the drop-in first, then the agent is restarted without it, and
//!         only then the shim.
//! Errors: each step can be done again; what is right already is left alone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cri_shim::probe;
use k3s_configs::{RUN_FOLDER, SERVICE_UNIT, SOCKET_UNIT, WorkerFiles, render_worker};
use serde::Serialize;

use super::machine::{Machine, UnitState};
use super::token_file;
use crate::commands::Context;
use crate::commands::doctor::{State, kubelet_way};
use crate::config::keys::{Group, StakingContract, WorkerConfig, WorkerKeys, effective};
use crate::config::{Source, Sources};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::handover::beside;
use crate::output;
use crate::worker::Mode;

/// The shim may take so long to answer for the first time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// The units that K3s's installer makes.
const AGENTS: [&str; 2] = ["k3s-agent.service", "k3s.service"];

/// K3s's folder of configuration where nobody says otherwise.
const K3S_CONFIG_DIR: &str = "/etc/rancher/k3s";

const INSTALL_EXAMPLES: &str = "\
Examples:
  k3s-daas worker install                      units and drop-in; the agent is restarted by you
  k3s-daas worker install --restart-agent      and kubelet goes through the shim at once
  k3s-daas worker install --root ./image       the files for a machine's image";

const UNINSTALL_EXAMPLES: &str = "\
Examples:
  k3s-daas worker uninstall                    kubelet goes to containerd again, then the shim goes
  k3s-daas worker uninstall --root ./image";

/// Options of `worker install`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = INSTALL_EXAMPLES)]
pub struct InstallArgs {
    /// Where, and whose agent.
    #[command(flatten)]
    pub place: Place,
    /// Restart K3s's agent at the end, so that kubelet goes through the shim; pods run on
    #[arg(long)]
    pub restart_agent: bool,
}

/// Options of `worker uninstall`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = UNINSTALL_EXAMPLES)]
pub struct UninstallArgs {
    /// Where, and whose agent.
    #[command(flatten)]
    pub place: Place,
}

/// Which machine.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Write below this folder, for another machine; systemd is not told
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// The unit of K3s's agent; k3s.service on a server that runs pods
    #[arg(long, value_name = "UNIT", default_value = "k3s-agent.service")]
    pub agent_unit: String,
    /// The program that the service runs; when not given, k3s-daas-worker beside this one, else this one
    #[arg(long, value_name = "FILE")]
    pub binary: Option<PathBuf>,
}

/// What was done, in order.
#[derive(Debug, Default, Serialize)]
pub(super) struct Done {
    pub(super) steps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl Done {
    fn step(&mut self, what: impl Into<String>) {
        self.steps.push(what.into());
    }

    fn print(&self, context: &Context) -> Outcome {
        output::print(context.format(), self, |done| {
            let next = done.next.iter().map(|next| format!("next: {next}"));
            let lines: Vec<String> = done.steps.iter().cloned().chain(next).collect();
            lines.join("\n")
        })
    }
}

/// `worker install`
pub(super) async fn install(context: &Context, args: &InstallArgs) -> Outcome {
    let config = WorkerKeys::default().resolve(&context.sources)?;
    let machine = Machine::new(args.place.root.as_deref());
    let configuration = &context.sources.path;
    if machine.is_live() && !context.sources.file_found {
        let text = format!("there is no configuration {}", configuration.display());
        return Err(Failure::message(Kind::Usage, text)
            .next("write it first: docs/worker.md has one to begin with"));
    }
    if machine.is_live() {
        for key in effective(&WorkerKeys::default(), &context.sources) {
            if key.source == Source::Env {
                output::warn(&format!(
                    "{} is set here and not for the service: put {} into {}",
                    key.variable,
                    key.key,
                    configuration.display()
                ));
            }
        }
    }
    // What would keep the service from starting is said now.
    super::run::check(&checked(&config, &machine)).await?;
    let files = files(&args.place, &config, configuration)?;
    let done = installed(&machine, &files, args).await?;
    done.print(context)?;
    // The operator's own files may undo it.
    if files.proxy && machine.is_live() {
        for check in kubelet_way(&files) {
            if let (State::Fail | State::Warn, Some(to_do)) = (check.state, &check.to_do) {
                output::warn(&format!("{}: {}; {to_do}", check.name, check.found));
            }
        }
    }
    Ok(())
}

/// What is checked of a configuration: a machine's image is made where its chain is not asked.
fn checked(config: &WorkerConfig, machine: &Machine) -> WorkerConfig {
    let mut config = config.clone();
    if !machine.is_live()
        && matches!(
            config.sui_staking_contract,
            Some(StakingContract::Package(_))
        )
    {
        config.sui_staking_contract = None;
    }
    config
}

/// `worker uninstall`
pub(super) async fn uninstall(context: &Context, args: &UninstallArgs) -> Outcome {
    // It is the way out where nothing else helps.
    let config = WorkerKeys::default()
        .resolve(&context.sources)
        .or_else(|failure| {
            output::warn(&format!("{failure}; going by the defaults"));
            WorkerKeys::default().resolve(&Sources::default())
        })?;
    let machine = Machine::new(args.place.root.as_deref());
    let files = files(&args.place, &config, &context.sources.path)?;
    uninstalled(&machine, &files, &args.place.agent_unit)
        .await?
        .print(context)
}

fn files(place: &Place, config: &WorkerConfig, configuration: &Path) -> Outcome<WorkerFiles> {
    let binary = if let Some(binary) = &place.binary {
        binary.clone()
    } else {
        let this = std::env::current_exe();
        let this = this.or_fail(Kind::Failed, "this program has no path")?;
        beside(&this).unwrap_or(this)
    };
    let configuration = std::path::absolute(configuration)
        .or_fail(Kind::Failed, "the configuration has no path")?;
    Ok(WorkerFiles {
        binary,
        configuration,
        cri_socket: config.worker_cri_socket.clone(),
        state_dir: config.worker_state_dir.clone(),
        k3s_config_dir: config.k3s_config_dir.clone(),
        writes: writes(config),
        proxy: config.worker_mode == Mode::Proxy,
    })
}

/// Folders of files that the worker makes elsewhere than where it usually does.
fn writes(config: &WorkerConfig) -> Vec<PathBuf> {
    let usual = [&config.worker_state_dir, &config.k3s_config_dir];
    let mut folders: Vec<PathBuf> = [&config.worker_api_socket, &token_file(config)]
        .into_iter()
        .filter_map(|file| file.parent().map(Path::to_owned))
        .filter(|folder| !folder.starts_with(RUN_FOLDER))
        .filter(|folder| !usual.iter().any(|usual| folder.starts_with(usual)))
        .collect();
    folders.dedup();
    folders
}

pub(super) async fn installed(
    machine: &Machine,
    files: &WorkerFiles,
    args: &InstallArgs,
) -> Outcome<Done> {
    if !files.proxy && machine.place(&files.drop_in()).exists() {
        let text = "kubelet still goes through the shim, and an observing worker has none";
        return Err(Failure::message(Kind::Usage, text)
            .next("run `k3s-daas worker uninstall` first, then install again"));
    }
    let mut done = Done::default();
    let rendered =
        render_worker(files).or_fail(Kind::Usage, "the worker's files can't be rendered")?;
    let (drop_ins, units): (Vec<_>, Vec<_>) = rendered
        .iter()
        .partition(|file| file.path == files.drop_in());
    // systemd goes on to hold the socket that it has, wherever its unit says by now.
    let mut socket_moves = false;
    for unit in units {
        let was_there = machine.place(&unit.path).exists();
        let changed = machine.write(unit)?;
        socket_moves |= was_there && changed && unit.path == files.socket_unit();
        done.step(written(machine, &unit.path, changed));
    }
    // The service may write nowhere else, and only where there is a folder when it starts.
    machine.folder(&files.state_dir, 0o700)?;
    machine.folder(&files.k3s_config_dir, 0o755)?;
    for folder in &files.writes {
        machine.folder(folder, 0o700)?;
    }
    if !machine.is_live() {
        for (link, unit) in files.links() {
            let changed = machine.link(&link, &unit)?;
            done.step(written(machine, &link, changed));
        }
    }
    machine.tell(&["daemon-reload"]).await?;
    if files.proxy {
        // systemd starts no socket whose service runs already, as one that observed does.
        if machine.state(SOCKET_UNIT).await? == UnitState::Down {
            machine.tell(&["stop", SERVICE_UNIT]).await?;
        }
        machine.tell(&["enable", "--now", SOCKET_UNIT]).await?;
        // An install of before may have ended between these two.
        socket_moves |= machine.is_live() && !is_held(&files.cri_socket).await;
        if socket_moves {
            machine.tell(&["restart", SOCKET_UNIT]).await?;
            done.step(format!("restarted {SOCKET_UNIT}, whose unit has changed"));
        }
    }
    machine.tell(&["enable", SERVICE_UNIT]).await?;
    // Whoever calls meanwhile waits at the socket.
    machine.tell(&["restart", SERVICE_UNIT]).await?;
    if machine.is_live() {
        done.step(format!("started {SERVICE_UNIT}"));
    }
    for drop_in in drop_ins {
        if machine.is_live() {
            done.step(answering(machine, files, &args.place.agent_unit).await?);
        }
        let changed = machine.write(drop_in)?;
        done.step(written(machine, &drop_in.path, changed));
    }
    let agent = &args.place.agent_unit;
    if files.proxy && args.restart_agent {
        machine.tell(&["restart", agent]).await?;
        done.step(format!("restarted {agent}"));
    } else if files.proxy && machine.is_live() {
        done.next = Some(if socket_moves {
            format!(
                "systemctl restart {agent} now: nobody answers where its kubelet may still call"
            )
        } else {
            format!("systemctl restart {agent}, and kubelet goes through the shim; pods run on")
        });
    }
    Ok(done)
}

/// Whether calls there are answered, or wait.
async fn is_held(socket: &Path) -> bool {
    tokio::net::UnixStream::connect(socket).await.is_ok()
}

fn written(machine: &Machine, path: &Path, changed: bool) -> String {
    let place = machine.place(path);
    let verb = if changed { "wrote" } else { "kept" };
    format!("{verb} {}", place.display())
}

/// Kubelet is sent to a shim that answers, or that can't be asked since containerd is down with its
/// agent.
async fn answering(machine: &Machine, files: &WorkerFiles, agent: &str) -> Outcome<String> {
    let began = Instant::now();
    loop {
        let why = match probe::version(&files.cri_socket, Duration::from_secs(5)).await {
            Ok(version) => return Ok(format!("{version} answers through the shim")),
            Err(why) => why,
        };
        let state = machine.state(agent).await?;
        if state == UnitState::Down {
            return Ok(format!(
                "{agent} is down, and its containerd with it: not tried"
            ));
        }
        if began.elapsed() > ANSWERS_WITHIN {
            if state == UnitState::Starting {
                return Ok(format!(
                    "{agent} is still starting, without a containerd so far: not tried"
                ));
            }
            let text = format!("containerd does not answer through the shim: {why}");
            return Err(Failure::message(Kind::Unavailable, text)
                .next("kubelet was left as it was; look at `k3s-daas doctor --worker`"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

pub(super) async fn uninstalled(
    machine: &Machine,
    files: &WorkerFiles,
    agent: &str,
) -> Outcome<Done> {
    let mut done = Done::default();
    let removed = |path: &Path| format!("removed {}", machine.place(path).display());
    // Where K3s looks by itself too: the folder may have been another one when it was installed.
    let usual = WorkerFiles {
        k3s_config_dir: K3S_CONFIG_DIR.into(),
        ..files.clone()
    };
    for drop_in in [files.drop_in(), usual.drop_in()] {
        if machine.remove(&drop_in)? {
            done.step(removed(&drop_in));
        }
    }
    // Also where the drop-in was gone already: a kubelet that began with it still goes here.
    let ours = [
        files.service_unit(),
        files.socket_unit(),
        files.cri_socket.clone(),
    ];
    let any_left = !done.steps.is_empty() || ours.iter().any(|path| machine.place(path).exists());
    // Whatever unit was named: it is the one that runs whose kubelet comes here.
    let others = AGENTS.into_iter().filter(|unit| *unit != agent);
    for agent in [agent].into_iter().chain(others) {
        if any_left && machine.state(agent).await? != UnitState::Down {
            machine.tell(&["restart", agent]).await?;
            done.step(format!("restarted {agent}: kubelet goes to containerd"));
        }
    }
    for (unit, path) in [
        (SERVICE_UNIT, files.service_unit()),
        (SOCKET_UNIT, files.socket_unit()),
    ] {
        if machine.place(&path).exists() {
            machine.tell(&["disable", "--now", unit]).await?;
            machine.remove(&path)?;
            done.step(removed(&path));
        }
    }
    for (link, _) in files.links() {
        // Gone already where systemd was told.
        if machine.remove(&link)? {
            done.step(removed(&link));
        }
    }
    machine.tell(&["daemon-reload"]).await?;
    if machine.is_live() {
        machine.remove(&files.cri_socket)?;
    }
    if done.steps.is_empty() {
        done.step("there was nothing to remove");
    }
    // Gone only where it was never used.
    let state = machine.place(&files.state_dir);
    let _ = std::fs::remove_dir(&state);
    if state.exists() {
        done.next = Some(format!(
            "{} may still hold the seal token; remove it when the machine is given up",
            state.display()
        ));
    }
    Ok(done)
}

#[cfg(test)]
mod tests;
