//! What a listener is made of, and its limits with their defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The name in metrics, logs and errors: one of a few fixed words.
    pub name: &'static str,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// With or without TLS.
    pub transport: Transport,
    /// Bounds of connections.
    pub limits: Limits,
}

/// With or without TLS.
#[derive(Debug, Clone)]
pub enum Transport {
    /// TLS 1.3, nothing older.
    Tls(TlsFiles),
    /// Plain HTTP: for health and metrics, on an address that strangers can't reach.
    Plain,
}

/// The PEM files of a TLS listener. They are read again when their contents change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Where set, a client must show a certificate that one of these CAs signed.
    pub client_ca: Option<PathBuf>,
}

/// Bounds of one listener's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, those in their handshake included. When all are
    /// taken, nothing more is accepted and newcomers wait in the kernel's backlog.
    /// Default 1024: far above what API servers open, far below a process's files.
    pub max_connections: usize,
    /// From the accepted connection to the end of the TLS handshake. Default 5 s.
    pub handshake_timeout: Duration,
    /// From the first wish for a request head to its end, HTTP/1 only. It counts
    /// while a kept-alive connection is idle too, so it is the HTTP/1 idle limit
    /// as well. Default 15 s.
    pub header_read_timeout: Duration,
    /// A connection without a request for this long is closed; it may take up to
    /// twice as long until that is noticed. Default 5 min: longer than the pauses
    /// of a quiet API server.
    pub idle_timeout: Duration,
    /// How long requests in flight may go on after the shutdown began, and how long
    /// a closing connection may take. Default 10 s.
    pub drain: Duration,
    /// HTTP/2 streams at once on one connection. An API server sends all its
    /// reviews over one connection. Default 256.
    pub max_streams: u32,
    /// How often the TLS files are compared with those in use. Default 10 s.
    pub reload_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            handshake_timeout: Duration::from_secs(5),
            header_read_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_mins(5),
            drain: Duration::from_secs(10),
            max_streams: 256,
            reload_interval: Duration::from_secs(10),
        }
    }
}

/// Bounds of the requests of one group of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLimits {
    /// Requests in flight at once; one more is answered 429. The budget is the
    /// group's own: no other group can use it up, nor can it use up another's.
    pub max_in_flight: usize,
    /// From the request's head to the response's, the body's arrival included.
    /// After that 504.
    pub deadline: Duration,
    /// The largest body, in bytes; a larger one is answered 413.
    pub max_body: usize,
}

impl GroupLimits {
    /// The limits of reviews: 2048 in flight, 2 s, 256 KiB.
    ///
    /// 2 s is shorter than the 3 s and 30 s that API servers wait, so that our
    /// answer comes instead of their timeout. A TokenReview has about 300 bytes and
    /// a SubjectAccessReview under 4 KiB, but selectors and extras may be long.
    #[must_use]
    pub const fn reviews() -> Self {
        Self {
            max_in_flight: 2048,
            deadline: Duration::from_secs(2),
            max_body: 256 * 1024,
        }
    }

    /// The limits of everything else: 256 in flight, 30 s, 1 MiB.
    #[must_use]
    pub const fn general() -> Self {
        Self {
            max_in_flight: 256,
            deadline: Duration::from_secs(30),
            max_body: 1024 * 1024,
        }
    }
}
