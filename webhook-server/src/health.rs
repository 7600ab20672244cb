//! Whether the process lives, and whether it can do its work.
//!
//! Shape: as the API server's own endpoints: `/readyz` answers 200 with `ok`, or
//!        503 and the list of checks; `?verbose` lists them always.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock};

/// Why a check fails, for people.
pub type NotReady = Cow<'static, str>;

/// One named condition of readiness. Cheap: it is asked at every probe.
pub trait ReadyCheck: Send + Sync + 'static {
    /// The name in the list of checks.
    fn name(&self) -> &'static str;

    /// `Ok` while the condition holds.
    fn check(&self) -> Result<(), NotReady>;
}

/// All conditions of readiness of a process. Clones share one list.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<RwLock<Vec<Arc<dyn ReadyCheck>>>>,
}

impl Health {
    /// No conditions yet: always ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    pub fn add(&self, check: impl ReadyCheck) {
        self.write(Arc::new(check));
    }

    /// Adds a condition as a closure.
    pub fn add_fn<F>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Result<(), NotReady> + Send + Sync + 'static,
    {
        self.add(Named { name, check });
    }

    /// Asks all conditions.
    #[must_use]
    pub fn report(&self) -> Report {
        // Asked outside the lock, so that a slow check can't hold up another probe.
        let checks: Vec<_> = self
            .checks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Report(
            checks
                .iter()
                .map(|check| (check.name(), check.check()))
                .collect(),
        )
    }

    fn write(&self, check: Arc<dyn ReadyCheck>) {
        self.checks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(check);
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_list()
            .entries(checks.iter().map(|check| check.name()))
            .finish()
    }
}

/// What the conditions answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Vec<(&'static str, Result<(), NotReady>)>);

impl Report {
    /// Whether all hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|(_, result)| result.is_ok())
    }

    /// One line a check, as the API server writes it.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for (name, result) in &self.0 {
            // Writing to a String can't fail.
            let _ = match result {
                Ok(()) => writeln!(text, "[+]{name} ok"),
                Err(why) => writeln!(text, "[-]{name} failed: {why}"),
            };
        }
        text
    }
}

struct Named<F> {
    name: &'static str,
    check: F,
}

impl<F> ReadyCheck for Named<F>
where
    F: Fn() -> Result<(), NotReady> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self) -> Result<(), NotReady> {
        (self.check)()
    }
}
