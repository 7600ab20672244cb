//! A gRPC server that says exactly the bytes it is given.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use sui_ledger::client::{ClientSettings, LedgerClient};
use sui_ledger::metrics::LedgerMetrics;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::recording::RecordedError;

/// The chain of the main recording.
pub(crate) const CHAIN: &str = "BC3xSQ5SPrNFFgzWatmABviNR3HGP6eMobc9zgjXNefG";

/// How an answer ends.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// `grpc-status: 0`.
    Clean,
    /// Another status.
    Status {
        code: i32,
        message: String,
        details: String,
    },
    /// Never: open and silent.
    Hang,
    /// The connection's stream breaks.
    Break,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) messages: Vec<Bytes>,
    pub(crate) end: End,
    /// No answer at all, not even headers.
    pub(crate) silent: bool,
    pub(crate) http_status: u16,
}

impl Reply {
    pub(crate) fn bytes(message: impl Into<Bytes>) -> Self {
        Self::stream(vec![message.into()], End::Clean)
    }

    pub(crate) fn message(message: &impl Message) -> Self {
        Self::bytes(message.encode_to_vec())
    }

    pub(crate) fn stream(messages: Vec<Bytes>, end: End) -> Self {
        Self {
            headers: default_headers(),
            messages,
            end,
            silent: false,
            http_status: 200,
        }
    }

    pub(crate) fn status(code: tonic::Code) -> Self {
        Self::stream(
            Vec::new(),
            End::Status {
                code: code as i32,
                message: "made up".to_owned(),
                details: String::new(),
            },
        )
    }

    pub(crate) fn error(error: RecordedError) -> Self {
        Self::stream(
            Vec::new(),
            End::Status {
                code: error.code,
                message: error.message,
                details: error.details,
            },
        )
    }

    pub(crate) fn silence() -> Self {
        Self {
            silent: true,
            ..Self::stream(Vec::new(), End::Hang)
        }
    }

    pub(crate) fn with_headers(mut self, headers: Vec<(String, String)>) -> Self {
        self.headers = headers;
        self
    }
}

pub(crate) fn default_headers() -> Vec<(String, String)> {
    [
        ("x-sui-chain-id", "976999ae"),
        ("x-sui-epoch", "0"),
        ("x-sui-checkpoint-height", "40"),
        ("x-sui-timestamp-ms", "1795364358987"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// One call as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) message: Bytes,
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A server on a port of its own; gone when dropped.
pub(crate) struct Node {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler: Arc<Handler> = Arc::new(handler);
        let task = tokio::spawn(serve(listener, handler, Arc::clone(&seen)));
        Self {
            address,
            seen,
            task,
        }
    }

    /// Answers everything with one reply.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self) -> LedgerClient {
        self.client_with(settings())
    }

    pub(crate) fn client_with(&self, settings: ClientSettings) -> LedgerClient {
        LedgerClient::new(&self.endpoint(), settings, LedgerMetrics::default()).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.method == method)
            .count()
    }
}

/// Short deadlines, so that tests of silence are quick.
pub(crate) fn settings() -> ClientSettings {
    ClientSettings {
        connect_timeout: Duration::from_secs(2),
        read_deadline: Duration::from_secs(5),
        execute_deadline: Duration::from_secs(5),
        frame_deadline: Duration::from_secs(5),
        chain: Some(CHAIN.parse().unwrap()),
        ..ClientSettings::default()
    }
}

async fn serve(listener: TcpListener, handler: Arc<Handler>, seen: Arc<Mutex<Vec<Seen>>>) {
    // Dropped with this task, and all connections with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let handler = Arc::clone(&handler);
        let seen = Arc::clone(&seen);
        connections.spawn(async move {
            let service =
                service_fn(move |request| answer(request, Arc::clone(&handler), Arc::clone(&seen)));
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

type Body = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>;

async fn answer(
    request: Request<Incoming>,
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Body>, Infallible> {
    let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let call = Seen {
        method,
        // One byte of flags and four of length stand before the message.
        message: body.slice(5..),
    };
    seen.lock().unwrap().push(call.clone());
    let reply = handler(&call);
    if reply.silent {
        std::future::pending::<()>().await;
    }
    let mut frames: Vec<_> = reply
        .messages
        .iter()
        .map(|message| Ok(Frame::data(grpc_frame(message))))
        .collect();
    let end = reply.end.clone();
    match reply.end {
        End::Clean => frames.push(Ok(Frame::trailers(trailers(0, "", "")))),
        End::Status {
            code,
            ref message,
            ref details,
        } => frames.push(Ok(Frame::trailers(trailers(code, message, details)))),
        End::Break | End::Hang => {}
    }
    if reply.http_status != 200 {
        // No gRPC: no trailers either.
        frames.clear();
    }
    let frames = stream::iter(frames);
    let body = match end {
        End::Hang => frames.chain(stream::pending()).boxed(),
        // After what was sent has arrived: a reset overtakes data.
        End::Break => frames
            .chain(stream::once(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(std::io::Error::other("broken"))
            }))
            .boxed(),
        End::Clean | End::Status { .. } => frames.boxed(),
    };
    let mut response = Response::builder().status(reply.http_status);
    if reply.http_status == 200 {
        response = response.header("content-type", "application/grpc");
    }
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(StreamBody::new(body)).unwrap())
}

fn grpc_frame(message: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

fn trailers(code: i32, message: &str, details: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    // Percent-encoded on the wire; what is not plain ASCII does not matter here.
    let plain: String = message
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .collect();
    trailers.insert(
        "grpc-message",
        HeaderValue::from_str(&plain.replace('%', "%25")).unwrap(),
    );
    if !details.is_empty() {
        let details = details.trim_end_matches('=');
        trailers.insert(
            "grpc-status-details-bin",
            HeaderValue::from_str(details).unwrap(),
        );
    }
    trailers
}
