//! Typed templates of the files that make a stock K3s use the webhooks, what seal holders and
//! agents reach the cluster with, and a launcher for the control plane.
//!
//! Shape:  [`Settings`] in, [`RenderedFile`]s out ([`render`]); the same settings give the API
//!         server's arguments alone ([`kube_apiserver_args`]) and what each is for ([`explain`]).
//! Errors: [`RenderError`]: a setting that K3s would refuse, or that would open a door.
//! Source: K3s's documented flags and files, and Kubernetes's `apiserver.config.k8s.io/v1`.
//! Not here: writing files (the caller's), and what the webhooks themselves are configured with.

pub mod access;
mod admission;
mod agent;
mod arguments;
mod audit;
mod authorization;
mod k3s_config;
pub mod launch;
mod render;
mod settings;
mod systemd;
mod unit;
mod webhook_kubeconfig;
mod worker;

pub use agent::{AgentSettings, render_agent};
pub use arguments::{Argument, Operation, kube_apiserver_args, kube_controller_manager_args};
pub use render::{Explained, RenderedFile, explain, render};
pub use settings::{
    ClientCertificate, DEFAULT_AUDIENCES, GateMode, LongestWatch, PackagedComponent, Profile,
    RenderError, Settings, SystemdUnits,
};
pub use worker::{
    RUN_FOLDER, SERVICE_UNIT, SOCKET_UNIT, WORKER_BINARY, WorkerFiles, render_worker,
};
