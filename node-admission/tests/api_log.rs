//! What calls of the REST API leave in the log. In a process of its own: whether a line is wanted
//! is remembered for all threads.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "api/double.rs"]
mod double;

use std::sync::{Arc, Mutex};

use double::{Bench, JOIN, SEAL, record, request, sealed_calls, token};

/// Log lines of this thread.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_call_of_a_seal_is_one_line_that_names_the_seal_and_never_the_token() {
    let lines = Lines::default();
    let written = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || written.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let bench = Bench::new();
    for (method, path, body) in sealed_calls() {
        bench.send(request(method, path, Some(SEAL), body)).await;
    }
    bench.get_as(&token(9), "/api/v1/nodes").await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let calls: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("api call"))
        .collect();
    assert_eq!(calls.len(), 7, "{text}");
    let seal = record().seal_id.to_string();
    for line in calls.iter().take(6) {
        assert!(line.contains("INFO") && line.contains(&seal), "{line}");
    }
    assert!(
        calls[6].contains("DEBUG") && !calls[6].contains("seal="),
        "{text}"
    );
    for secret in [SEAL, JOIN, &token(9)] {
        assert!(!text.contains(secret), "{text}");
    }
}
