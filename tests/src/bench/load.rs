//! A closed-loop load generator over HTTP/2 and TLS 1.3, as kube-apiserver calls its webhooks.
//!
//! Each connection keeps a fixed number of requests in flight; a request's latency
//! is from sending it to having read the whole answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where a load goes.
#[derive(Clone)]
pub struct Target {
    /// The address to dial.
    pub address: SocketAddr,
    /// The path of the webhook.
    pub path: &'static str,
    /// TLS settings: roots, client certificate, ALPN.
    pub tls: Arc<rustls::ClientConfig>,
}

/// How hard to push.
#[derive(Clone, Copy, Debug)]
pub struct Pressure {
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub in_flight: usize,
    /// For how long.
    pub duration: Duration,
}

/// What came back.
#[derive(Debug, Default, Clone)]
pub struct Sample {
    /// Latencies in microseconds, sorted.
    pub micros: Vec<u32>,
    /// Answers whose status was not 200.
    pub refused: usize,
    /// The time of the whole run.
    pub elapsed: Duration,
}

impl Sample {
    /// Answers a second.
    pub fn throughput(&self) -> f64 {
        self.micros.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that a share `q` (0 to 1) of the requests stayed within, in microseconds.
    pub fn quantile(&self, q: f64) -> f64 {
        if self.micros.is_empty() {
            return f64::NAN;
        }
        let index = ((self.micros.len() - 1) as f64 * q).round() as usize;
        f64::from(self.micros[index])
    }

    /// Puts another run's requests to this one's.
    pub fn merge(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.micros.sort_unstable();
        self.refused += other.refused;
        self.elapsed += other.elapsed;
    }
}

/// Sends `body(n)` for n = 0, 1, … until the time is over.
pub async fn push<B>(target: &Target, pressure: Pressure, body: B) -> anyhow::Result<Sample>
where
    B: Fn(usize) -> Bytes + Clone + Send + Sync + 'static,
{
    let started = Instant::now();
    let until = started + pressure.duration;
    let mut workers = tokio::task::JoinSet::new();
    for connection in 0..pressure.connections {
        let sender = connect(target).await?;
        for lane in 0..pressure.in_flight {
            let (mut sender, body, target) = (sender.clone(), body.clone(), target.clone());
            let first = connection * pressure.in_flight + lane;
            let step = pressure.connections * pressure.in_flight;
            workers.spawn(async move {
                let mut sample = Sample::default();
                let mut n = first;
                while Instant::now() < until {
                    let request = http::Request::post(format!("https://localhost{}", target.path))
                        .header("content-type", "application/json")
                        .body(Full::new(body(n)))?;
                    let sent = Instant::now();
                    let answer = sender.send_request(request).await?;
                    let ok = answer.status() == http::StatusCode::OK;
                    answer.into_body().collect().await?;
                    if ok {
                        let micros = sent.elapsed().as_micros();
                        sample
                            .micros
                            .push(u32::try_from(micros).unwrap_or(u32::MAX));
                    } else {
                        sample.refused += 1;
                    }
                    n += step;
                }
                anyhow::Ok(sample)
            });
        }
    }
    let mut all = Sample::default();
    while let Some(worker) = workers.join_next().await {
        let sample = worker??;
        all.micros.extend(sample.micros);
        all.refused += sample.refused;
    }
    all.micros.sort_unstable();
    all.elapsed = started.elapsed();
    ensure!(
        !all.micros.is_empty() || all.refused > 0,
        "no request was answered"
    );
    Ok(all)
}

async fn connect(target: &Target) -> anyhow::Result<http2::SendRequest<Full<Bytes>>> {
    let tcp = TcpStream::connect(target.address)
        .await
        .context("connecting to the target")?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").context("server name")?;
    let tls = TlsConnector::from(target.tls.clone())
        .connect(name, tcp)
        .await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
    tokio::spawn(async move {
        // Ends with the run; an early end shows as failing requests.
        let _ = connection.await;
    });
    Ok(sender)
}
