//! kubectl commands that go on until somebody ends them.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::worker::{LOOK, WITHIN};
use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A command that goes on.
pub struct Stream {
    /// What it is called in measurements.
    pub name: &'static str,
    lines: Arc<AtomicUsize>,
    text: Arc<std::sync::Mutex<String>>,
    ended: watch::Receiver<Option<Instant>>,
    _tasks: [AbortOnDropHandle<()>; 3],
}

impl Stream {
    /// Starts it.
    pub fn start(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let (lines, text) = (Arc::default(), Arc::default());
        let out = child.stdout.take().context("its output")?;
        let err = child.stderr.take().context("its errors")?;
        let out = follow(out, Arc::clone(&lines), Arc::clone(&text));
        let err = follow(err, Arc::default(), Arc::clone(&text));
        let (sender, ended) = watch::channel(None);
        let end = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = child.wait().await;
            let _ = sender.send(Some(Instant::now()));
        }));
        Ok(Self {
            name,
            lines,
            text,
            ended,
            _tasks: [out, err, end],
        })
    }

    /// The lines that it has written so far.
    pub fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }

    /// What it has written so far, errors included.
    pub fn text(&self) -> String {
        let text = self.text.lock();
        text.map(|text| text.clone()).unwrap_or_default()
    }

    /// Waits until it has written more than so many lines.
    pub async fn says_more_than(&self, lines: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.lines() <= lines {
            ensure!(
                self.ended.borrow().is_none() && began.elapsed() < WITHIN,
                "{} says nothing more: {}",
                self.name,
                self.text()
            );
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until it goes on, from now.
    pub async fn goes_on(&self) -> anyhow::Result<()> {
        self.says_more_than(self.lines()).await
    }

    /// Waits until it has ended; gives when.
    pub async fn end(&self) -> anyhow::Result<Instant> {
        let mut ended = self.ended.clone();
        let ended = tokio::time::timeout(WITHIN, ended.wait_for(Option::is_some)).await;
        let ended = ended.with_context(|| format!("{} goes on: {}", self.name, self.text()))?;
        ended?.with_context(|| self.name)
    }
}

fn follow(
    from: impl AsyncRead + Send + Unpin + 'static,
    lines: Arc<AtomicUsize>,
    text: Arc<std::sync::Mutex<String>>,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut from = BufReader::new(from).lines();
        while let Ok(Some(line)) = from.next_line().await {
            lines.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut text) = text.lock() {
                text.push_str(&line);
                text.push('\n');
            }
        }
    }))
}
