//! A gate with open doors before a plain TCP server, and what clients of it do.

#![allow(dead_code, reason = "each test uses some of it")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_gate::{Door, Gate, GateMetrics, GateSettings, Limits, Nobody, Relaying};
use prometheus_client::registry::Registry;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Nothing takes as long on a machine that works.
const DEADLINE: Duration = Duration::from_mins(1);

pub(crate) async fn bounded<F: Future>(test: F) -> F::Output {
    let test = tokio::time::timeout(DEADLINE, Box::pin(test)).await;
    test.expect("takes too long")
}

/// K3s's place: whoever comes is handed to the test.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    comers: mpsc::UnboundedReceiver<Comer>,
}

/// A connection as K3s sees it.
pub(crate) struct Comer {
    pub(crate) stream: TcpStream,
    pub(crate) from: SocketAddr,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, comers) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                if tell.send(Comer { stream, from }).is_err() {
                    return;
                }
            }
        });
        Self { address, comers }
    }

    /// The next to come, after its hello was read.
    pub(crate) async fn next(&mut self) -> Comer {
        let mut comer = self.comers.recv().await.unwrap();
        assert_eq!(read(&mut comer.stream, HELLO.len()).await, HELLO);
        comer
    }

    /// Whether somebody has come who was not taken by [`Self::next`].
    pub(crate) fn has_more(&mut self) -> bool {
        self.comers.try_recv().is_ok()
    }

    /// Answers everybody with the same bytes, from here on.
    pub(crate) fn echo(mut self) {
        tokio::spawn(async move {
            while let Some(mut comer) = self.comers.recv().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = comer.stream.split();
                    // Ends with the connection.
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
    }
}

/// A whole TLS record, as the first of a handshake.
pub(crate) const HELLO: [u8; 12] = [22, 3, 1, 0, 7, 1, 0, 0, 3, 3, 3, 9];

/// A gate with one door.
pub(crate) struct Bench {
    pub(crate) gate: Gate,
    pub(crate) relaying: Relaying,
    registry: Registry,
}

impl Bench {
    pub(crate) fn start(upstream: &Upstream) -> Self {
        Self::with(upstream, Limits::default())
    }

    pub(crate) fn with(upstream: &Upstream, limits: Limits) -> Self {
        Self::before(&["127.0.0.1:0"], upstream.address, limits)
    }

    pub(crate) fn before(listen: &[&str], upstream: SocketAddr, limits: Limits) -> Self {
        let mut registry = Registry::default();
        let metrics = GateMetrics::register(&mut registry);
        let gate = Gate::new(
            Arc::new(Nobody::default()),
            GateSettings { limits },
            metrics,
        );
        let door = |listen: &&str| Door {
            listen: listen.parse().unwrap(),
            upstream,
        };
        let doors: Vec<Door> = listen.iter().map(door).collect();
        let relaying = gate.open(&doors).unwrap();
        Self {
            gate,
            relaying,
            registry,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.relaying.addresses[0]
    }

    /// A client that has said nothing yet.
    pub(crate) async fn knock(&self) -> TcpStream {
        knock(self.address()).await
    }

    /// A client that has said hello, and K3s's end of it.
    pub(crate) async fn connect(&self, upstream: &mut Upstream) -> (TcpStream, Comer) {
        let mut client = self.knock().await;
        client.write_all(&HELLO).await.unwrap();
        (client, upstream.next().await)
    }

    /// What a series shows, by its line's beginning.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        value.expect(series).trim().parse().unwrap()
    }

    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.metric(&format!(
            "k3s_daas_gate_refused_total{{reason=\"{reason}\"}}"
        ))
    }

    /// Waits until so many connections are open.
    pub(crate) async fn until_open(&self, wanted: usize) {
        until(|| self.gate.connections().len() == wanted).await;
    }
}

/// So many connections, or as many as this process has files for: four each, and others beside.
pub(crate) fn at_most(wanted: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find_map(|it| it.strip_prefix("Max open files"));
    let soft = line.unwrap().split_whitespace().next().unwrap();
    let soft = soft.parse().unwrap_or(usize::MAX);
    wanted.min(soft / 8)
}

pub(crate) async fn knock(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).await.unwrap();
    client.set_nodelay(true).unwrap();
    client
}

/// Whether one who comes now is reset; that may be before it knows that it is connected.
pub(crate) async fn is_sent_away(address: SocketAddr) -> bool {
    match TcpStream::connect(address).await {
        Ok(mut client) => is_reset(&mut client).await,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// There and back again.
pub(crate) async fn echoed(client: &mut TcpStream, bytes: &[u8]) {
    client.write_all(bytes).await.unwrap();
    assert_eq!(read(client, bytes.len()).await, bytes);
}

/// Closes by a reset.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// Reads until it ends; says whether by a reset.
pub(crate) async fn is_reset(stream: &mut TcpStream) -> bool {
    let mut bytes = vec![0; 4_096];
    loop {
        match stream.read(&mut bytes).await {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
            // Of a side that had ended its own direction.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return true,
            Err(error) => panic!("{error}"),
        }
    }
}
