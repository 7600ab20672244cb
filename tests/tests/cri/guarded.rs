//! The guard in front of a real containerd, by a standing that was known at the last end.

use k3s_daas_tests::cri::client::runtime;
use k3s_daas_tests::cri::{Containerd, Shim, remove_pod, run_pod};
use k8s_cri::v1;
use tonic::Code;

/// What a worker that knew its seal slashed leaves for its next start.
fn slashed() -> serde_json::Value {
    let record = seal::SealRecord {
        seq: 7,
        seal_id: seal::ObjectId::from_bytes([1; 32]),
        owner: seal::Address::from_bytes([2; 32]),
        stake: seal::Mist(450_000_000),
        restore_at: seal::Mist(500_000_000),
        node_id: "worker-001".parse().ok(),
        namespace_wish: None,
        issued_at: seal::UnixMillis(1),
        expires_at: seal::UnixMillis(u64::MAX / 2),
        unbonding_ends_at: seal::UnixMillis(0),
        status: seal::SealStatus::Slashed,
        slashed_total: seal::Mist(50_000_000),
        last_slashed_at: seal::UnixMillis(5),
        generation: 0,
    };
    let standing = cri_shim::standing::Standing {
        hash: seal::CredentialHash::from_bytes([3; 32]),
        record: Some(record),
        thresholds: seal::Thresholds::default(),
        seen_at: seal::UnixMillis(10),
        ended_at: Some(seal::UnixMillis(10)),
    };
    serde_json::to_value(standing).expect("a standing is JSON")
}

#[tokio::test]
async fn the_last_known_state_counts_where_the_chain_is_away() -> anyhow::Result<()> {
    let Some(containerd) = Containerd::start("cri: the guard").await? else {
        return Ok(());
    };
    let mut shim = Shim::hold(&containerd.path("shim"), &containerd.socket())?;
    let running = containerd.host_pod("team-a", "running");
    let (sandbox, container) = run_pod(&containerd.socket(), &running, &["sleep"]).await?;
    let state = containerd.path("shim/state");
    std::fs::create_dir_all(&state)?;
    std::fs::write(state.join("standing.json"), slashed().to_string())?;
    // A contract whose chain nobody answers for.
    let contract = containerd.path("contract.toml");
    let id = |n: u8| format!("\"0x{}\"", hex(n));
    let chain = sui_ledger::chain_id::ChainId::from_bytes([9; 32]);
    std::fs::write(
        &contract,
        format!(
            "endpoint = \"http://127.0.0.1:1\"\nchain_id = \"{chain}\"\noriginal_package = {0}\n\
             latest_package = {0}\npool = {1}\npool_initial_version = 1\nseals_table = {2}\n\
             nodes_table = {3}\nowners_table = {4}\n",
            id(1),
            id(2),
            id(3),
            id(4),
            id(5)
        ),
    )?;
    shim.more = vec![
        format!("--sui-staking-contract={}", contract.display()),
        "--worker-guard-exempt-namespaces=cni".to_owned(),
    ];
    if !shim.start()? {
        return Ok(());
    }
    shim.answers().await?;
    let pod = containerd.host_pod("team-b", "new");
    let refused = run_pod(&shim.socket(), &pod, &["sleep"]).await.unwrap_err();
    let refused = refused.downcast::<tonic::Status>()?;
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert_eq!(
        refused.message(),
        "the seal of node worker-001 was slashed, so no new pod starts here; its operator can \
         restore the stake with `k3s-daas restake`"
    );
    let exempt = containerd.host_pod("cni", "network");
    let (exempt, _) = run_pod(&shim.socket(), &exempt, &["sleep"]).await?;
    // A container of a pod that runs is restarted.
    let mut client = runtime(&shim.socket());
    let stop = v1::StopContainerRequest {
        container_id: container.clone(),
        timeout: 0,
    };
    client.stop_container(stop).await?;
    let remove = v1::RemoveContainerRequest {
        container_id: container,
    };
    client.remove_container(remove).await?;
    let again = v1::CreateContainerRequest {
        pod_sandbox_id: sandbox.clone(),
        config: Some(v1::ContainerConfig {
            metadata: Some(v1::ContainerMetadata {
                name: "app".to_owned(),
                attempt: 1,
            }),
            image: Some(v1::ImageSpec {
                image: k3s_daas_tests::cri::BUSY.to_owned(),
                ..v1::ImageSpec::default()
            }),
            log_path: "again.log".to_owned(),
            linux: Some(v1::LinuxContainerConfig::default()),
            ..v1::ContainerConfig::default()
        }),
        sandbox_config: Some(running),
    };
    let again = client
        .create_container(again)
        .await?
        .into_inner()
        .container_id;
    let start = v1::StartContainerRequest {
        container_id: again,
    };
    client.start_container(start).await?;
    let metrics = shim.metrics().await?;
    assert!(
        metrics.contains("k3s_daas_cri_pods_refused_total{reason=\"slashed\"} 1"),
        "{metrics}"
    );
    for sandbox in [sandbox, exempt] {
        remove_pod(&shim.socket(), &sandbox).await?;
    }
    Ok(())
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}
