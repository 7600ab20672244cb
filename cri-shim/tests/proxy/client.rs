//! A caller.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::io::{DuplexStream, ReadHalf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Mutex, watch};
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Client {
    sender: SendRequest<Bytes>,
    connection: AbortOnDropHandle<()>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) ended_with_headers: bool,
}

/// A call under way.
pub(crate) struct Call {
    sending: SendStream<Bytes>,
    answer: Mutex<Option<ResponseFuture>>,
    got: Mutex<Option<(HeaderMap, RecvStream, Vec<u8>)>>,
}

/// Keeps what a client says: a process that the machine has no time for.
pub(crate) struct Hold {
    released: watch::Sender<bool>,
    _pump: AbortOnDropHandle<()>,
}

impl Hold {
    pub(crate) fn hold(&self) {
        self.released.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.released.send_replace(true);
    }
}

/// Passes on what is said while it is not held back, and keeps it otherwise.
async fn pump(mut from: ReadHalf<DuplexStream>, mut to: OwnedWriteHalf, held: watch::Sender<bool>) {
    let mut released = held.subscribe();
    let mut kept = Vec::new();
    loop {
        tokio::select! {
            read = from.read_buf(&mut kept) => if read.unwrap() == 0 { return },
            _ = released.changed() => {}
        }
        if *released.borrow() {
            to.write_all(&kept).await.unwrap();
            kept.clear();
        }
    }
}

impl Client {
    pub(crate) async fn connect(path: &std::path::Path) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap()).await
    }

    /// One whose words can be held back.
    pub(crate) async fn held(path: &std::path::Path) -> (Self, Hold) {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (mut answers, to) = UnixStream::connect(path).await.unwrap().into_split();
        let (from, mut back) = tokio::io::split(theirs);
        let released = watch::Sender::new(true);
        let said = pump(from, to, released.clone());
        let pump = tokio::spawn(async move {
            let answers = tokio::io::copy(&mut answers, &mut back);
            let _ = tokio::join!(said, answers);
        });
        let hold = Hold {
            released,
            _pump: AbortOnDropHandle::new(pump),
        };
        (Self::over(ours).await, hold)
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(64 << 20)
            .handshake(stream)
            .await
            .unwrap();
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = connection.await;
        }));
        Self { sender, connection }
    }

    pub(crate) async fn begin(
        &mut self,
        path: &str,
        metadata: &[(&str, &str)],
        frames: &[&[u8]],
    ) -> Call {
        let mut request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in metadata {
            request = request.header(*name, *value);
        }
        let mut ready = self.sender.clone().ready().await.unwrap();
        let (answer, mut sending) = ready
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        let count = frames.len();
        for (index, frame) in frames.iter().enumerate() {
            // h2 keeps what the window does not take yet.
            let frame = Bytes::copy_from_slice(frame);
            sending.send_data(frame, index + 1 == count).unwrap();
        }
        Call {
            sending,
            answer: Mutex::new(Some(answer)),
            got: Mutex::new(None),
        }
    }

    pub(crate) async fn call(
        &mut self,
        path: &str,
        metadata: &[(&str, &str)],
        frames: &[&[u8]],
    ) -> Result<Answer, h2::Error> {
        self.begin(path, metadata, frames).await.answer().await
    }

    /// As a process that is killed.
    pub(crate) fn disappear(&mut self) {
        self.connection.abort();
    }
}

impl Call {
    /// Waits for the headers and the first frame.
    pub(crate) async fn first(&self) {
        let answer = self.answer.lock().await.take().unwrap().await.unwrap();
        let (parts, mut body) = answer.into_parts();
        let data = body.data().await.unwrap().unwrap();
        let _ = body.flow_control().release_capacity(data.len());
        *self.got.lock().await = Some((parts.headers, body, data.to_vec()));
    }

    pub(crate) fn give_up(mut self, reason: Reason) {
        self.sending.send_reset(reason);
    }

    pub(crate) async fn answer(self) -> Result<Answer, h2::Error> {
        let got = self.got.lock().await.take();
        let (headers, mut stream, mut body) = if let Some(got) = got {
            got
        } else {
            let answer = self.answer.lock().await.take().unwrap().await?;
            let (parts, stream) = answer.into_parts();
            (parts.headers, stream, Vec::new())
        };
        let ended_with_headers = stream.is_end_stream();
        while let Some(data) = stream.data().await {
            let data = data?;
            let _ = stream.flow_control().release_capacity(data.len());
            body.extend_from_slice(&data);
        }
        let trailers = stream.trailers().await?;
        Ok(Answer {
            headers,
            body,
            trailers,
            ended_with_headers,
        })
    }
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}
