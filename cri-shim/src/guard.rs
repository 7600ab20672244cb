//! Keeps an honest worker from starting pods without a seal.
//!
//! Shape:  [`Guard::refusal`] says whether new pods are refused now; only then is a request looked
//!         at, since pods of exempt namespaces (the network's) start all the same. Containers of
//!         pods that run are restarted whatever the seal is.
//! Trust:  this is no security boundary. Root on the machine can take it away; what cuts a machine
//!         off is the control plane.
//! Errors: what is not known is not refused: a chain that can't be asked stops no pod.

mod decide;
pub(crate) mod look;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use seal::UnixMillis;

use crate::grpc::{Code, Status};
use crate::standing::{Standings, now};

pub use decide::{Refusal, decide};
pub use look::namespace_of;

/// What the guard goes by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuardSettings {
    /// For how long pods still start after a seal has ended without fault.
    pub grace: Duration,
    /// Namespaces whose pods always start.
    pub exempt: BTreeSet<String>,
    /// The node's name, for what people are told.
    pub node: String,
}

/// The guard of one worker.
#[derive(Debug)]
pub struct Guard {
    /// None: it refuses nothing.
    settings: Option<GuardSettings>,
    standings: Standings,
}

/// What the guard says of a request that it has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// It goes on.
    Exempt,
    /// The caller is told this.
    Refused(Status),
}

impl Guard {
    /// Refuses pods by what is known of the seal.
    pub fn new(settings: GuardSettings, standings: Standings) -> Self {
        Self {
            settings: Some(settings),
            standings,
        }
    }

    /// Refuses nothing.
    pub fn off() -> Self {
        Self {
            settings: None,
            standings: Standings::fixed(None),
        }
    }

    /// Why new pods are refused now, if they are.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal_at(now())
    }

    fn refusal_at(&self, now: UnixMillis) -> Option<Refusal> {
        let settings = self.settings.as_ref()?;
        let standing = self.standings.latest()?;
        decide(standing.end(now), settings.grace, now)
    }

    /// Looks at the request of a pod while there is a refusal.
    pub fn look(&self, refusal: &Refusal, request: &Bytes) -> Looked {
        let exempt =
            |settings: &GuardSettings, namespace: &str| settings.exempt.contains(namespace);
        let Some(settings) = &self.settings else {
            return Looked::Exempt;
        };
        match namespace_of(request) {
            Ok(namespace) if exempt(settings, &namespace) => Looked::Exempt,
            Ok(_) => {
                let text = refusal.told(&settings.node);
                Looked::Refused(Status::new(Code::PermissionDenied, &text))
            }
            // Whose pod it is can't be told, and it may not start either way.
            Err(why) => {
                let text = format!(
                    "{}; the request can't be read: {why}",
                    refusal.told(&settings.node)
                );
                Looked::Refused(Status::new(Code::PermissionDenied, &text))
            }
        }
    }
}
