//! A caller of containerd: gRPC over HTTP/2 on a Unix socket, with requests that are encoded before
//! and answers that are counted, not decoded.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;

/// A flag and a length go before each message.
const PREFIX: usize = 5;

/// A call, encoded.
#[derive(Debug, Clone)]
pub(super) struct Call {
    uri: http::Uri,
    body: Bytes,
}

impl Call {
    /// A call of the runtime service with this request.
    pub(super) fn new(method: &str, request: &impl Message) -> anyhow::Result<Self> {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(request.encoded_len())?);
        request.encode(&mut body)?;
        let uri = format!("http://localhost/runtime.v1.RuntimeService/{method}");
        Ok(Self {
            uri: uri.parse()?,
            body: body.freeze(),
        })
    }
}

/// A kept connection. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Caller(SendRequest<Full<Bytes>>);

impl Caller {
    pub(super) async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("dialling {}", socket.display()))?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // An early end shows as failing calls.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// The answer's message.
    pub(super) async fn ask(&mut self, call: &Call) -> anyhow::Result<Bytes> {
        let (_, mut answer) = self.call(call).await?;
        ensure!(answer.len() >= PREFIX, "no message");
        Ok(answer.split_off(PREFIX))
    }

    /// The time until all of the answer was read, and its bytes.
    pub(super) async fn call(&mut self, call: &Call) -> anyhow::Result<(Duration, Bytes)> {
        let mut request = http::Request::new(Full::new(call.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = call.uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/grpc"),
        );
        headers.insert(http::header::TE, http::HeaderValue::from_static("trailers"));
        let sent = Instant::now();
        self.0.ready().await?;
        let answer = self.0.send_request(request).await?;
        let head = status(answer.headers()).map(ToOwned::to_owned);
        let body = answer.into_body().collect().await?;
        let code = body
            .trailers()
            .and_then(status)
            .map(ToOwned::to_owned)
            .or(head);
        let took = sent.elapsed();
        let said = body
            .trailers()
            .and_then(|trailers| trailers.get("grpc-message"));
        let said = said.and_then(|said| said.to_str().ok()).unwrap_or_default();
        ensure!(
            code.as_deref() == Some("0"),
            "{}: answered {code:?} {said}",
            call.uri.path()
        );
        Ok((took, body.to_bytes()))
    }
}

fn status(headers: &HeaderMap) -> Option<&str> {
    headers.get("grpc-status")?.to_str().ok()
}

/// As samples hold it. Calls take tens to hundreds of microseconds: none is rounded away.
pub(super) fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}
