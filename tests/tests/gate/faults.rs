//! The gate killed and started again, the audit receiver away: nobody gets in who should not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::e2e::{Cluster, NODES, skipped};
use seal::SealToken;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::{DEVELOPER, SOON, VIEWER, ip};

/// The API server waits for an answer and then tries again, later each time.
const LATE: Duration = Duration::from_secs(90);

/// Killed with its gate, three times, while an ended tenant knocks.
pub(super) async fn a_restart_lets_nobody_in(cluster: &Cluster) -> anyhow::Result<()> {
    let (_, ended) = cluster.tenant(VIEWER).await?;
    let (_, kept) = cluster.tenant(VIEWER).await?;
    let mut watch = cluster.watch_nodes(&ended, ip(21)).await?;
    cluster.slash(&ended).await?;
    watch.breaks_off(SOON).await.context("its watch ends")?;
    for _ in 0..3 {
        let mut innocent = cluster.watch_nodes(&kept, ip(22)).await?;
        cluster.kill_server().await?;
        innocent.breaks_off(SOON).await.context("with the gate")?;
        refused_now(cluster, &ended).await?;
        cluster.start_server().await?;
        // From the first moment on.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            refused_now(cluster, &ended).await?;
        }
        cluster.server_ready().await?;
        let again = |status| status == 200;
        cluster.until(&kept, NODES, SOON, again).await?;
    }
    Ok(())
}

/// The events are held up on their way: what they name ends when they arrive, though the seal ended
/// before.
pub(super) async fn a_late_event_ends_what_it_names(cluster: &Cluster) -> anyhow::Result<()> {
    let elsewhere = k3s_daas_tests::e2e::free_address()?;
    let listen = elsewhere.to_string();
    cluster
        .restart_server(&[("audit_listen", listen.as_str())])
        .await?;
    let held = Held::listen(cluster.audit_address(), elsewhere).await?;
    let (_, token) = cluster.tenant(DEVELOPER).await?;
    let client = cluster.client_at(ip(24))?;
    let secret = token.reveal();
    let mut watch = cluster
        .watch_with(client, secret.as_str(), NODES, &[])
        .await?;
    cluster.slash(&token).await?;
    cluster
        .until(&token, NODES, SOON, |status| status != 200)
        .await?;
    ensure!(watch.goes_on().await, "the event can't have arrived");
    held.let_go();
    watch.breaks_off(LATE).await.context("once it is told")?;
    drop(held);
    cluster.restart_server(&[]).await
}

/// A real process, killed with -9, while an ended tenant knocks all the time.
pub(super) async fn a_gate_killed_with_9_lets_nobody_in(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.kill_server().await?;
    let Some(mut process) = cluster.start_process().await? else {
        skipped("gate: kill -9", "no k3s-daas was built beside the tests");
        return cluster.start_server().await;
    };
    process.ready().await?;
    let (_, ended) = cluster.tenant(VIEWER).await?;
    let (_, kept) = cluster.tenant(VIEWER).await?;
    for token in [&ended, &kept] {
        cluster
            .until(token, NODES, SOON, |status| status == 200)
            .await?;
    }
    let (ended_secret, kept_secret) = (ended.reveal(), kept.reveal());
    let watch = async |last, secret: &str| {
        let client = cluster.client_at(ip(last))?;
        cluster.watch_with(client, secret, NODES, &[]).await
    };
    let mut open = watch(25, ended_secret.as_str()).await?;
    // Its event needs a moment; whether it is known by then or not, it ends.
    cluster.slash(&ended).await?;
    open.breaks_off(SOON).await.context("its watch ends")?;
    let knocks = async {
        loop {
            let client = cluster.client_at(ip(26))?;
            let url = format!("{}{NODES}", cluster.control_plane.url);
            let knock = client.get(url).bearer_auth(ended_secret.as_str());
            // While there is no gate nobody answers.
            if let Ok(answer) = knock.send().await {
                let status = answer.status();
                ensure!(!status.is_success(), "an ended seal was let in: {status}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let kills = async {
        for _ in 0..3 {
            let mut innocent = watch(27, kept_secret.as_str()).await?;
            process.kill().await?;
            innocent.breaks_off(SOON).await.context("with the gate")?;
            process = cluster.start_process().await?.context("the program")?;
            process.ready().await?;
        }
        process.kill().await
    };
    tokio::select! {
        let_in = knocks => return let_in,
        killed = kills => killed?,
    }
    cluster.start_server().await?;
    cluster.server_ready().await
}

/// A way to the audit receiver on which everything waits until it is let go.
struct Held {
    open: watch::Sender<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Held {
    async fn listen(at: SocketAddr, to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let open = watch::Sender::new(false);
        let waiting = open.subscribe();
        let task = tokio::spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut waiting = waiting.clone();
                carried.spawn(async move {
                    waiting.wait_for(|open| *open).await.ok()?;
                    let mut server = TcpStream::connect(to).await.ok()?;
                    copy_bidirectional(&mut client, &mut server).await.ok()
                });
            }
        });
        Ok(Self {
            open,
            _task: AbortOnDropHandle::new(task),
        })
    }

    fn let_go(&self) {
        self.open.send_replace(true);
    }
}

async fn refused_now(cluster: &Cluster, token: &SealToken) -> anyhow::Result<()> {
    // While the gate is not there yet nobody is answered at all.
    match cluster.get(token, NODES).await {
        Ok(status) => ensure!(status != 200, "an ended seal was let in"),
        Err(error) => ensure!(format!("{error:?}").contains("Connect"), "{error:?}"),
    }
    Ok(())
}

/// With the receiver elsewhere no event arrives. Requests are refused all the same, and what nobody
/// was seen on ends with the others of its address, if the ended was seen there before; a watch from
/// an address where it was never seen stays: `docs/gate.md` says so.
pub(super) async fn lost_events_leave_open_what_is_told(cluster: &Cluster) -> anyhow::Result<()> {
    let elsewhere = k3s_daas_tests::e2e::free_address()?.to_string();
    let changes = [("audit_listen", elsewhere.as_str())];
    cluster.restart_server(&changes).await?;
    let (_, token) = cluster.tenant(DEVELOPER).await?;
    let client = cluster.client_at(ip(23))?;
    let secret = token.reveal();
    let mut unseen = cluster
        .watch_with(client, secret.as_str(), NODES, &[])
        .await?;
    cluster.slash(&token).await?;
    let refused = |status| status != 200;
    cluster.until(&token, NODES, SOON, refused).await?;
    ensure!(unseen.goes_on().await, "nobody could know whose it is");
    // A gate that starts anew ends it, and it does not come back.
    cluster.restart_server(&[]).await?;
    unseen
        .breaks_off(SOON)
        .await
        .context("with the gate it came by")?;
    refused_now(cluster, &token).await
}
