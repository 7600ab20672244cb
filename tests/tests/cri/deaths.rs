//! What happens when one of the two dies.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use k3s_daas_tests::cri::client::runtime;
use k3s_daas_tests::cri::{Containerd, WITHIN, remove_pod, run_pod};
use k8s_cri::v1;
use tonic::Code;

use super::{LOOK, both};

/// Pods that the load wants.
const PODS: usize = 24;

/// Names of the sandboxes that are there.
async fn sandboxes(socket: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut client = runtime(socket);
    let list = client.list_pod_sandbox(v1::ListPodSandboxRequest::default());
    let items = list.await?.into_inner().items;
    let named = items.into_iter().map(|item| {
        let name = item
            .metadata
            .map(|metadata| metadata.name)
            .unwrap_or_default();
        (name, item.id)
    });
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    Ok(named)
}

/// As kubelet does it: a pod that is not there is made, one that is there is left alone, what
/// failed is tried again.
async fn keeper(containerd: &Containerd, socket: &Path, count: usize, made: &AtomicUsize) {
    for n in 0..count {
        let name = format!("pod-{n:02}");
        let began = Instant::now();
        loop {
            let there = sandboxes(socket)
                .await
                .is_ok_and(|all| all.iter().any(|(found, _)| *found == name));
            let pod = containerd.host_pod("load", &name);
            if there || run_pod(socket, &pod, &["sleep"]).await.is_ok() {
                break;
            }
            assert!(began.elapsed() < WITHIN, "{name} can't be made");
            tokio::time::sleep(LOOK).await;
        }
        made.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_shim_that_is_killed_under_load_loses_and_leaks_no_pod() -> anyhow::Result<()> {
    let Some((containerd, mut shim)) = both("cri: the shim killed").await? else {
        return Ok(());
    };
    let made = Arc::new(AtomicUsize::new(0));
    let socket = shim.socket();
    let load = keeper(&containerd, &socket, PODS, &made);
    let kill = async {
        for kills in 1..=3 {
            // In the middle of the work, wherever that is.
            while made.load(Ordering::Relaxed) < kills * PODS / 4 {
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
            shim.kill()?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            shim.start()?;
        }
        anyhow::Ok(())
    };
    let ((), killed) = tokio::join!(load, kill);
    killed?;
    shim.answers().await?;
    let found = sandboxes(&shim.socket()).await?;
    let names: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), PODS);
    assert_eq!(found.len(), PODS, "no pod is there twice: {found:?}");
    assert_eq!(found, sandboxes(&containerd.socket()).await?);
    for (_, id) in &found {
        remove_pod(&shim.socket(), id).await?;
    }
    let began = Instant::now();
    while containerd.shims()? > 0 {
        assert!(
            began.elapsed() < WITHIN,
            "{} processes are left",
            containerd.shims()?
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

#[tokio::test]
async fn callers_wait_while_the_shim_is_replaced() -> anyhow::Result<()> {
    let Some((containerd, mut shim)) = both("cri: an upgrade").await? else {
        return Ok(());
    };
    let (socket, done) = (shim.socket(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&done);
    // Each on a connection of its own, as one whose connection was told to go away.
    let load = tokio::spawn(async move {
        let mut calls = 0;
        while !stopped.load(Ordering::Relaxed) {
            let mut client = runtime(&socket);
            let answer = client.version(v1::VersionRequest::default()).await;
            if let Err(status) = answer {
                anyhow::bail!("call {calls}: {status}");
            }
            calls += 1;
        }
        Ok(calls)
    });
    // A call that takes its time ends in the old process.
    let pod = containerd.host_pod("team-a", "slow");
    let (_, container) = run_pod(&shim.socket(), &pod, &["sleep"]).await?;
    let slow = v1::StopContainerRequest {
        container_id: container,
        timeout: 1,
    };
    let mut client = runtime(&shim.socket());
    let slow = tokio::spawn(async move { client.stop_container(slow).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..3 {
        assert!(shim.stop().await?, "in order: {}", shim.log());
        tokio::time::sleep(Duration::from_millis(300)).await;
        shim.start()?;
        shim.answers().await?;
    }
    slow.await??;
    done.store(true, Ordering::Relaxed);
    assert!(load.await?? > 3);
    Ok(())
}

#[tokio::test]
async fn a_containerd_that_is_killed_is_found_again() -> anyhow::Result<()> {
    let Some((mut containerd, shim)) = both("cri: containerd killed").await? else {
        return Ok(());
    };
    let (sandbox, container) = run_pod(
        &shim.socket(),
        &containerd.host_pod("team-a", "stays"),
        &["sleep"],
    )
    .await?;
    // The same connection all the time.
    let mut client = runtime(&shim.socket());
    client.version(v1::VersionRequest::default()).await?;
    containerd.kill()?;
    let mut request = tonic::Request::new(v1::VersionRequest::default());
    request
        .metadata_mut()
        .insert("grpc-timeout", "500m".parse()?);
    let away = client.version(request).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "{away}");
    assert!(
        away.message().contains("containerd can't be reached"),
        "{away}"
    );
    // One that waits longer is answered as soon as containerd is back.
    let mut waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.version(v1::VersionRequest::default()).await });
    containerd.run().await?;
    waiting.await??;
    let status = client
        .container_status(v1::ContainerStatusRequest {
            container_id: container,
            verbose: false,
        })
        .await?;
    let state = status.into_inner().status.map(|status| status.state());
    assert_eq!(state, Some(v1::ContainerState::ContainerRunning));
    remove_pod(&shim.socket(), &sandbox).await
}
