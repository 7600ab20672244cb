//! A spinner on standard error for what takes longer than a moment; silent where nobody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::say;

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// One thing that takes a while. Ends with [`Progress::done`] or when it is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// Whether steps are told line by line where there is no terminal to draw on.
    told: bool,
}

impl Progress {
    /// Starts to show that `doing` goes on. Nothing is drawn unless standard error is a terminal.
    pub fn start(doing: impl Into<String>) -> Self {
        Self::new(doing.into(), false)
    }

    /// The same for what takes many seconds: without a terminal each step is a line.
    pub fn told(doing: impl Into<String>) -> Self {
        Self::new(doing.into(), true)
    }

    fn new(doing: String, told: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        let told = told && bar.is_hidden();
        let progress = Self { bar, told };
        progress.now(doing);
        progress
    }

    /// Says what goes on now.
    pub fn now(&self, doing: impl Into<String>) {
        let doing = doing.into();
        if self.told {
            say(&doing);
        }
        self.bar.set_message(doing);
    }

    /// Takes the spinner away.
    pub fn done(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
