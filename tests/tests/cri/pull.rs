//! Images from a registry, through the shim as directly, and when the shim dies meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use k3s_daas_tests::cri::client::images;
use k3s_daas_tests::cri::{BUSY, Containerd, Registry, Shim, WITHIN, remove_pod, run_pod_of};
use k8s_cri::v1;
use tonic::{Code, Request, Status};

use super::{LOOK, both};

fn spec(image: &str) -> Option<v1::ImageSpec> {
    Some(v1::ImageSpec {
        image: image.to_owned(),
        ..v1::ImageSpec::default()
    })
}

fn request(image: &str) -> v1::PullImageRequest {
    v1::PullImageRequest {
        image: spec(image),
        ..v1::PullImageRequest::default()
    }
}

/// Pulls; gives what containerd calls the image.
async fn pull(socket: &Path, image: &str) -> Result<String, Status> {
    let pulled = images(socket).pull_image(request(image)).await?;
    Ok(pulled.into_inner().image_ref)
}

async fn status(socket: &Path, image: &str) -> anyhow::Result<Option<v1::Image>> {
    let request = v1::ImageStatusRequest {
        image: spec(image),
        verbose: false,
    };
    Ok(images(socket)
        .image_status(request)
        .await?
        .into_inner()
        .image)
}

async fn remove(socket: &Path, image: &str) -> anyhow::Result<()> {
    let request = v1::RemoveImageRequest { image: spec(image) };
    images(socket).remove_image(request).await?;
    Ok(())
}

/// Waits until a call is in the middle of the shim.
async fn under_way(shim: &Shim) -> anyhow::Result<()> {
    let began = Instant::now();
    while !shim
        .metrics()
        .await?
        .contains("\nk3s_daas_cri_calls_in_flight 1\n")
    {
        anyhow::ensure!(began.elapsed() < WITHIN, "no pull is under way");
    }
    Ok(())
}

/// Takes away what cut pulls have left: containerd goes on from there, and crane's registry does not
/// know how to.
async fn forget_halves(containerd: &Containerd) -> anyhow::Result<()> {
    let folder = containerd.path("root/io.containerd.content.v1.content/ingest");
    let began = Instant::now();
    loop {
        // A pull that is being cut may still write.
        for half in std::fs::read_dir(&folder)?.flatten() {
            let _ = std::fs::remove_dir_all(half.path());
        }
        tokio::time::sleep(LOOK).await;
        if std::fs::read_dir(&folder)?.next().is_none() {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < WITHIN, "a cut pull goes on");
    }
}

#[tokio::test]
async fn images_are_pulled_through_the_shim() -> anyhow::Result<()> {
    const TEST: &str = "cri: pulls";
    let Some((containerd, mut shim)) = both(TEST).await? else {
        return Ok(());
    };
    let Some(_registry) = Registry::start(TEST, &containerd).await? else {
        return Ok(());
    };
    let (direct, through) = (containerd.socket(), shim.socket());

    let pulled = Registry::image("pulled");
    // It is the same image, and its layers are here already.
    remove(&direct, BUSY).await?;
    let one = pull(&direct, &pulled).await?;
    let of_direct = status(&direct, &pulled).await?;
    assert!(of_direct.is_some());
    remove(&direct, &pulled).await?;
    assert_eq!(status(&through, &pulled).await?, None);
    assert_eq!(pull(&through, &pulled).await?, one);
    assert_eq!(status(&through, &pulled).await?, of_direct);
    let pod = containerd.pod("team-a", "pulled");
    let (sandbox, _) = run_pod_of(&through, &pod, &pulled, &["sleep"]).await?;
    remove_pod(&through, &sandbox).await?;
    remove(&through, &pulled).await?;
    assert_eq!(status(&direct, &pulled).await?, None);

    let missing = Registry::image("nobody");
    let (one, two) = (
        pull(&direct, &missing).await.unwrap_err(),
        pull(&through, &missing).await.unwrap_err(),
    );
    assert_eq!((one.code(), one.message()), (two.code(), two.message()));
    assert_eq!(one.code(), Code::NotFound, "{one:?}");

    let large = Registry::image("large");
    // The caller goes away: the pull ends with it, and what it left is in nobody's way.
    let mut impatient = Request::new(request(&large));
    impatient.set_timeout(Duration::from_millis(30));
    let gone = images(&through).pull_image(impatient).await.unwrap_err();
    assert!(
        matches!(gone.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{gone:?}"
    );
    assert_eq!(status(&direct, &large).await?, None);

    forget_halves(&containerd).await?;
    // The shim dies in the middle: the call ends, and the next one brings the image.
    let socket = through.clone();
    let wanted = large.clone();
    let call = tokio::spawn(async move { pull(&socket, &wanted).await });
    under_way(&shim).await?;
    shim.kill()?;
    let ended = tokio::time::timeout(WITHIN, call).await??;
    let ended = ended.unwrap_err();
    assert!(
        matches!(ended.code(), Code::Unavailable | Code::Unknown),
        "{ended:?}"
    );
    shim.start()?;
    shim.answers().await?;
    forget_halves(&containerd).await?;
    let again = pull(&through, &large).await?;
    assert_eq!(pull(&direct, &large).await?, again);
    let size = status(&through, &large).await?.map(|image| image.size);
    assert!(size.is_some_and(|size| size > 128 << 20), "{size:?}");
    Ok(())
}
