//! Through the shim as directly.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cri_shim::methods::Method;
use k3s_daas_tests::cri::client::{Raw, images, runtime};
use k3s_daas_tests::cri::{BUSY, Containerd, Shim, remove_pod, run_pod};
use k8s_cri::v1;
use prost::Message as _;
use tonic::{Code, Request};

use super::both;

#[tokio::test]
async fn everything_is_as_without_the_shim() -> anyhow::Result<()> {
    let Some((containerd, shim)) = both("cri: alike").await? else {
        return Ok(());
    };
    let (direct, through) = (containerd.socket(), shim.socket());
    let pod = containerd.pod("team-a", "web");
    let (sandbox, container) = run_pod(&through, &pod, &["serve"]).await?;
    answers_are_equal(&containerd, &shim, &sandbox, &container).await?;
    errors_are_equal(&containerd, &shim).await?;
    large_messages_meet_containerds_limit(&containerd, &shim).await?;
    deadlines_and_cancellation_reach_containerd(&shim, &container).await?;
    events_are_told(&containerd, &shim).await?;
    remove_pod(&through, &sandbox).await?;
    let left = runtime(&direct)
        .list_pod_sandbox(v1::ListPodSandboxRequest::default())
        .await?;
    assert_eq!(left.into_inner().items.len(), 0);
    let metrics = shim.metrics().await?;
    for wanted in [
        "k3s_daas_cri_calls_total{method=\"RunPodSandbox\",code=\"OK\"}",
        "k3s_daas_cri_calls_total{method=\"other\",code=\"Unimplemented\"}",
        "k3s_daas_cri_calls_total{method=\"StreamContainers\",code=\"Unimplemented\"}",
    ] {
        assert!(metrics.contains(wanted), "{wanted} in {metrics}");
    }
    Ok(())
}

/// What reads say of a running pod.
async fn answers_are_equal(
    containerd: &Containerd,
    shim: &Shim,
    sandbox: &str,
    container: &str,
) -> anyhow::Result<()> {
    let (mut one, mut two) = (runtime(&containerd.socket()), runtime(&shim.socket()));
    macro_rules! equal {
        ($one:ident, $two:ident, $method:ident, $request:expr) => {{
            let (one, two) = ($one.$method($request).await?, $two.$method($request).await?);
            assert_eq!(one.get_ref(), two.get_ref(), stringify!($method));
            one.into_inner()
        }};
    }
    equal!(one, two, version, v1::VersionRequest::default());
    equal!(one, two, runtime_config, v1::RuntimeConfigRequest {});
    equal!(one, two, status, v1::StatusRequest::default());
    let pods = equal!(
        one,
        two,
        list_pod_sandbox,
        v1::ListPodSandboxRequest::default()
    );
    assert_eq!(pods.items.len(), 1);
    equal!(
        one,
        two,
        list_containers,
        v1::ListContainersRequest::default()
    );
    let of_sandbox = || v1::PodSandboxStatusRequest {
        pod_sandbox_id: sandbox.to_owned(),
        verbose: true,
    };
    // Verbose answers hold maps, which Go writes in any order: compared as what they say.
    equal!(one, two, pod_sandbox_status, of_sandbox());
    let of_container = || v1::ContainerStatusRequest {
        container_id: container.to_owned(),
        verbose: false,
    };
    equal!(one, two, container_status, of_container());
    let update = || v1::UpdateRuntimeConfigRequest {
        runtime_config: Some(v1::RuntimeConfig {
            network_config: Some(v1::NetworkConfig {
                pod_cidr: "10.9.0.0/24".to_owned(),
            }),
        }),
    };
    equal!(one, two, update_runtime_config, update());
    let exec = || v1::ExecSyncRequest {
        container_id: container.to_owned(),
        cmd: ["/bin/busy", "echo", "hello"].map(str::to_owned).into(),
        timeout: 20,
    };
    let said = equal!(one, two, exec_sync, exec());
    assert_eq!(said.stdout, b"hello\n");
    let attach = v1::ExecRequest {
        container_id: container.to_owned(),
        cmd: vec!["/bin/busy".to_owned()],
        stdout: true,
        ..v1::ExecRequest::default()
    };
    let url = two.exec(attach).await?.into_inner().url;
    assert!(
        url.starts_with("http://127.0.0.1:"),
        "containerd's own server: {url}"
    );
    for socket in [containerd.socket(), shim.socket()] {
        let mut client = runtime(&socket);
        let stats = client.list_container_stats(v1::ListContainerStatsRequest::default());
        assert_eq!(stats.await?.into_inner().stats.len(), 1);
        let stats = v1::ListPodSandboxStatsRequest::default();
        let stats = client.list_pod_sandbox_stats(stats).await?;
        assert_eq!(stats.into_inner().stats.len(), 1);
    }
    let (mut one, mut two) = (images(&containerd.socket()), images(&shim.socket()));
    // containerd lists images from a map, in another order each time.
    let all = v1::ListImagesRequest::default;
    let direct = by_id(one.list_images(all()).await?.into_inner());
    assert_eq!(direct, by_id(two.list_images(all()).await?.into_inner()));
    assert_eq!(direct.len(), 2);
    let busy = || v1::ImageStatusRequest {
        image: Some(v1::ImageSpec {
            image: BUSY.to_owned(),
            ..v1::ImageSpec::default()
        }),
        verbose: false,
    };
    equal!(one, two, image_status, busy());
    Ok(())
}

fn by_id(listed: v1::ListImagesResponse) -> Vec<v1::Image> {
    let mut images = listed.images;
    images.sort_by(|one, two| one.id.cmp(&two.id));
    images
}

/// Every method, with nothing and with an id that is nobody's; two that do not exist; no answer of
/// the shim's own among them.
async fn errors_are_equal(containerd: &Containerd, shim: &Shim) -> anyhow::Result<()> {
    let (mut one, mut two) = (Raw::of(&containerd.socket()), Raw::of(&shim.socket()));
    let nobody: Bytes = v1::StopContainerRequest {
        container_id: "nobody".to_owned(),
        timeout: 0,
    }
    .encode_to_vec()
    .into();
    let paths = Method::all().filter_map(Method::path);
    let more = [
        "/runtime.v1.RuntimeService/OfTomorrow",
        "/of.tomorrow/Method",
    ];
    let mut compared = 0;
    for path in paths.chain(more.map(str::to_owned)) {
        if Method::of(&path).is_endless() {
            continue;
        }
        for request in [
            Bytes::new(),
            nobody.clone(),
            Bytes::from_static(b"\xff\xff"),
        ] {
            let direct = one.call(&path, Request::new(request.clone())).await;
            let through = two.call(&path, Request::new(request)).await;
            match (direct, through) {
                (Ok(_), Ok(_)) => {}
                (Err(direct), Err(through)) => {
                    assert_eq!(direct.code(), through.code(), "{path}");
                    assert_eq!(direct.message(), through.message(), "{path}");
                    assert_eq!(direct.details(), through.details(), "{path}");
                }
                (direct, through) => panic!("{path}: {direct:?} and {through:?}"),
            }
            compared += 1;
        }
    }
    assert_eq!(compared, (40 + 2) * 3);
    Ok(())
}

async fn large_messages_meet_containerds_limit(
    containerd: &Containerd,
    shim: &Shim,
) -> anyhow::Result<()> {
    let (mut one, mut two) = (Raw::of(&containerd.socket()), Raw::of(&shim.socket()));
    let path = "/runtime.v1.RuntimeService/ListContainers";
    for (length, code) in [
        (15_900 << 10, None),
        (17 << 20, Some(Code::ResourceExhausted)),
    ] {
        // A field of a later version: a list that is asked for with something unknown.
        let mut request = BytesMut::new();
        prost::encoding::bytes::encode(500, &vec![7_u8; length], &mut request);
        let request = request.freeze();
        let direct = one.call(path, Request::new(request.clone())).await;
        let through = two.call(path, Request::new(request)).await;
        let said = |answer: &Result<_, tonic::Status>| {
            let status = answer.as_ref().err();
            status.map(|status| (status.code(), status.message().to_owned()))
        };
        assert_eq!(said(&direct), said(&through), "{length}");
        assert_eq!(said(&through).map(|(code, _)| code), code, "{length}");
    }
    Ok(())
}

async fn deadlines_and_cancellation_reach_containerd(
    shim: &Shim,
    container: &str,
) -> anyhow::Result<()> {
    let sleeps = || v1::ExecSyncRequest {
        container_id: container.to_owned(),
        cmd: ["/bin/busy", "sleep"].map(str::to_owned).into(),
        timeout: 0,
    };
    let mut request = Request::new(sleeps());
    request.set_timeout(Duration::from_millis(500));
    let late = runtime(&shim.socket())
        .exec_sync(request)
        .await
        .unwrap_err();
    // tonic's own clock may be first, and calls it a cancellation.
    assert!(
        matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{late}"
    );
    let (mut client, request) = (runtime(&shim.socket()), sleeps());
    let call = tokio::spawn(async move { client.exec_sync(request).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    call.abort();
    let began = std::time::Instant::now();
    loop {
        let metrics = shim.metrics().await?;
        let ended = |code: &str| {
            let name = format!("k3s_daas_cri_calls_total{{method=\"ExecSync\",code=\"{code}\"}}");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|count| count.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        if ended("Canceled") + ended("DeadlineExceeded") >= 2 {
            return Ok(());
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{metrics}");
        tokio::time::sleep(super::LOOK).await;
    }
}

/// A reader of events sees pods come and go; one that does not read, and then is gone, holds
/// nobody up.
async fn events_are_told(containerd: &Containerd, shim: &Shim) -> anyhow::Result<()> {
    let mut client = runtime(&shim.socket());
    let mut events = client
        .get_container_events(v1::GetEventsRequest {})
        .await?
        .into_inner();
    let pod = containerd.host_pod("team-a", "told");
    let (sandbox, _) = run_pod(&shim.socket(), &pod, &["sleep"]).await?;
    let first = tokio::time::timeout(Duration::from_secs(30), events.message()).await??;
    assert!(first.is_some());
    // From here on nobody reads.
    remove_pod(&shim.socket(), &sandbox).await?;
    for n in 0..30 {
        let pod = containerd.host_pod("team-a", &format!("unread-{n}"));
        let (sandbox, _) = run_pod(&shim.socket(), &pod, &["sleep"]).await?;
        remove_pod(&shim.socket(), &sandbox).await?;
    }
    drop((events, client));
    let (sandbox, _) = run_pod(
        &shim.socket(),
        &containerd.host_pod("team-a", "after"),
        &["sleep"],
    )
    .await?;
    remove_pod(&shim.socket(), &sandbox).await
}
