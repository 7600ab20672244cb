use seal::testing::active_record;
use seal::{SealRecord, SealStatus, Thresholds};

use super::super::State;
use super::*;
use crate::config::Sources;

fn config(node: &str) -> WorkerConfig {
    let keys = WorkerKeys {
        node_id: Some(node.to_owned()),
        ..WorkerKeys::default()
    };
    keys.resolve(&Sources::default()).unwrap()
}

#[test]
fn a_seal_is_this_machines_and_usable_for_a_while() {
    let now = UnixMillis(1_000);
    let record = SealRecord {
        node_id: "worker-001".parse().ok(),
        expires_at: UnixMillis(now.0 + WARN_MS),
        ..active_record()
    };
    let state = |config: &WorkerConfig, record: Option<&SealRecord>| {
        standing(config, record, &Thresholds::default(), now).state
    };
    let own = config("worker-001");
    assert_eq!(state(&own, Some(&record)), State::Ok);
    assert_eq!(state(&own, None), State::Fail);
    assert_eq!(state(&config("worker-002"), Some(&record)), State::Fail);
    let soon = SealRecord {
        expires_at: UnixMillis(now.0 + WARN_MS - 1),
        ..record.clone()
    };
    assert_eq!(state(&own, Some(&soon)), State::Warn);
    let slashed = SealRecord {
        status: SealStatus::Slashed,
        ..record
    };
    assert_eq!(state(&own, Some(&slashed)), State::Fail);
}

#[tokio::test]
async fn a_socket_that_others_may_open_or_nobody_has_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cri.sock");
    assert!(shim(&path).await.found.contains("there is no socket"));
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
    assert!(shim(&path).await.found.contains("mode 660"));
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(&path, 0o600);
    chmod(folder.path(), 0o775);
    assert!(shim(&path).await.found.contains("others may write"));
    chmod(folder.path(), 0o700);
}
