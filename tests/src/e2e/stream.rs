//! Requests that go on: each on a connection of its own, from an address of this machine that the
//! test chooses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http::StatusCode;
use seal::SealToken;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

use super::{Cluster, http};

const OPENS_WITHIN: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// An open watch.
pub struct Stream {
    answer: reqwest::Response,
    /// The client, whose connection it is.
    pub client: reqwest::Client,
}

impl Stream {
    /// Waits until it breaks off. That the API server ends it in order, as it ends watches after
    /// their time, is an error.
    pub async fn breaks_off(&mut self, within: Duration) -> anyhow::Result<()> {
        match self.next_end(within).await {
            Some(true) => Ok(()),
            Some(false) => bail!("it ended in order"),
            None => bail!("it goes on after {within:?}"),
        }
    }

    /// Whether it goes on.
    pub async fn goes_on(&mut self) -> bool {
        self.next_end(Duration::from_millis(300)).await.is_none()
    }

    /// Waits for its end; says whether it broke off or ended in order.
    pub async fn breaks_off_at_last(&mut self) -> bool {
        loop {
            match self.answer.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    /// The same; none where it goes on.
    async fn next_end(&mut self, within: Duration) -> Option<bool> {
        let ended = self.breaks_off_at_last();
        tokio::time::timeout(within, ended).await.ok()
    }
}

impl Cluster {
    /// A client with connections of its own, from this address.
    pub fn client_at(&self, ip: IpAddr) -> anyhow::Result<reqwest::Client> {
        let client = http(&self.control_plane.ca_pem)?.local_address(ip);
        Ok(client.build()?)
    }

    /// Opens a watch through the gate, with more headers.
    pub async fn watch_with(
        &self,
        client: reqwest::Client,
        token: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Stream> {
        let began = Instant::now();
        loop {
            let url = format!("{}{path}?watch=true", self.control_plane.url);
            let mut request = client.get(url).bearer_auth(token);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let said = match request.send().await {
                Ok(answer) if answer.status() == StatusCode::OK => {
                    return Ok(Stream { answer, client });
                }
                Ok(answer) => format!("{}: {}", answer.status(), answer.text().await?),
                Err(error) => format!("{error:?}"),
            };
            if began.elapsed() > OPENS_WITHIN {
                bail!("{path}: {said}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Opens a watch of Nodes and waits until the gate knows whose it is.
    pub async fn watch_nodes(&self, token: &SealToken, ip: IpAddr) -> anyhow::Result<Stream> {
        let before = self.sources_of(token).await?;
        let client = self.client_at(ip)?;
        let stream = self
            .watch_with(client, token.reveal().as_str(), super::NODES, &[])
            .await?;
        self.until_sources(token, |sources| !sources.is_subset(&before))
            .await?;
        Ok(stream)
    }

    /// Waits until the seal was seen on some connection.
    pub async fn until_seen(&self, token: &SealToken) -> anyhow::Result<()> {
        self.until_sources(token, |sources| !sources.is_empty())
            .await
    }

    /// The connections on which the seal was seen.
    async fn sources_of(&self, token: &SealToken) -> anyhow::Result<BTreeSet<Ipv4Addr>> {
        let hash = token.credential_hash().to_string();
        let all = self.connections().await?;
        let of_it = all.iter().filter(|one| {
            let mut users = one.users.iter();
            users.any(|user| user.hash.as_deref() == Some(hash.as_str()))
        });
        Ok(of_it.map(|one| one.source).collect())
    }

    async fn until_sources(
        &self,
        token: &SealToken,
        wanted: impl Fn(&BTreeSet<Ipv4Addr>) -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while !wanted(&self.sources_of(token).await?) {
            if began.elapsed() > OPENS_WITHIN {
                bail!("the gate was not told: {:?}", self.connections().await?);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The gate's own address.
    pub fn gate(&self) -> anyhow::Result<SocketAddr> {
        let door = self.control_plane.doors.first().context("a gate")?;
        Ok(door.listen)
    }

    /// A bare connection to the gate from this address.
    pub async fn connect_at(&self, ip: IpAddr) -> anyhow::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(ip, 0))?;
        Ok(socket.connect(self.gate()?).await?)
    }
}

/// Whether a bare connection ends in time.
pub async fn ends(stream: &mut TcpStream, within: Duration) -> bool {
    let mut buffer = [0; 1_024];
    let ended = async { while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {} };
    tokio::time::timeout(within, ended).await.is_ok()
}
