//! One connection, from its first byte to its end.
//!
//! Laws:   an end that both sides agreed on is passed on as such. Every other one, a close from
//!         here included, is a reset on both sides: nothing that was still under way is delivered
//!         any more.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use super::accept::Relay;
use super::hello::{Hello, first_record};
use super::pump::{broken, pump, send, take};
use crate::metrics::SentAway;
use crate::settings::Door;
use crate::table::Seat;

/// K3s is on this machine: it answers and reads a hello by then, or never.
const DIAL: Duration = Duration::from_secs(5);
/// Peers that vanished without a word are found after a minute.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// A stream that is reset when it is dropped, unless it ended in order.
#[derive(Debug)]
pub(super) struct Abrupt(TcpStream);

impl Abrupt {
    pub(super) fn new(stream: TcpStream) -> Self {
        // What fails here fails on a connection that is gone.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        Self(stream)
    }

    /// Small pieces go at once, as each side sent them; who vanished is found.
    fn settle(&self) {
        let _ = self.0.set_nodelay(true);
        let _ = SockRef::from(&self.0).set_tcp_keepalive(&KEEPALIVE);
    }

    /// Both sides have said that they are done.
    fn end_in_order(self) {
        let _ = SockRef::from(&self.0).set_linger(None);
    }
}

/// Serves a client until it ends.
pub(super) async fn serve(
    relay: &Arc<Relay>,
    client: Abrupt,
    peer: SocketAddr,
    door: Door,
    seat: Seat,
    hello_timeout: Duration,
) {
    let shared = &relay.gate.shared;
    let said = tokio::select! {
        // First: whoever gets a place in the table after all there were told to end never hears it.
        biased;
        () = relay.closed.cancelled() => return,
        said = tokio::time::timeout(hello_timeout, read_hello(&client.0)) => said,
    };
    let hello = match said {
        Ok(Ok(Some(hello))) => hello,
        Ok(Ok(None)) => return shared.metrics.refused(SentAway::NotTls),
        // It went away, as it was free to do.
        Ok(Err(_gone)) => return,
        Err(_elapsed) => return shared.metrics.refused(SentAway::Silent),
    };
    let mut opened = shared.table.open(seat, peer, door.listen);
    let relayed = async {
        let greeted = greeted(opened.source, door.upstream, hello);
        let greeted = tokio::time::timeout(DIAL, greeted).await;
        match greeted.unwrap_or_else(|_elapsed| Err(ErrorKind::TimedOut.into())) {
            Ok(upstream) => both(client, upstream).await,
            Err(error) => {
                shared.metrics.refused(SentAway::Upstream);
                if relay.dial_failed.is_due() {
                    let upstream = door.upstream;
                    tracing::warn!(%upstream, %error, "K3s can't be reached behind the gate");
                }
            }
        }
    };
    tokio::select! {
        () = relayed => {}
        // Told why, which was counted by who told.
        _ = &mut opened.ended => {}
    }
}

/// The first TLS record and whatever came with it; none where the client speaks no TLS.
async fn read_hello(client: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut hello = Vec::new();
    loop {
        client.readable().await?;
        match take(client, &mut hello) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        match first_record(&hello) {
            Hello::Partial(_) => {}
            Hello::Whole(_) => return Ok(Some(hello)),
            Hello::NotTls => return Ok(None),
        }
    }
}

/// A connection to K3s, from an address of its own, that has taken the hello.
async fn greeted(source: Ipv4Addr, upstream: SocketAddr, hello: Vec<u8>) -> io::Result<Abrupt> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source.into(), 0))?;
    let stream = Abrupt::new(socket.connect(upstream).await?);
    stream.settle();
    send(&stream.0, &hello).await?;
    Ok(stream)
}

/// Serves both sides until both have ended, or one has failed.
async fn both(client: Abrupt, upstream: Abrupt) {
    client.settle();
    match carry(&client.0, &upstream.0).await {
        Ok(()) => {
            client.end_in_order();
            upstream.end_in_order();
        }
        Err(error) => tracing::trace!(%error, "a connection broke off"),
    }
}

/// Carries both directions. A side that has ended its own may still break off, which nobody who
/// reads from it would see any more.
async fn carry(client: &TcpStream, upstream: &TcpStream) -> io::Result<()> {
    let there = pin!(pump(client, upstream));
    let back = pin!(pump(upstream, client));
    match select(there, back).await {
        Either::Left((Ok(()), back)) => tokio::select! {
            ended = back => ended,
            error = broken(client) => Err(error),
        },
        Either::Right((Ok(()), there)) => tokio::select! {
            ended = there => ended,
            error = broken(upstream) => Err(error),
        },
        Either::Left((failed, _)) | Either::Right((failed, _)) => failed,
    }
}
