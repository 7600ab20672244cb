//! One call: looked at, passed on, answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer::{AnswerBody, Fate, fate, refusal};
use super::connection::Shared;
use super::tally::Tally;
use super::upstream::{AGAIN, Upstream};
use crate::grpc::{Code, Status, timeout};
use crate::guard::{Looked, look};
use crate::methods::Method;

/// Whoever is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) shared: Arc<Shared>,
    pub(super) upstream: Upstream,
    /// Told at each call; kept until somebody asks.
    pub(super) called: Notify,
}

/// A request's body on its way to containerd: frame by frame, or what the guard has looked at.
#[derive(Debug)]
pub(super) enum RequestBody {
    Stream(Incoming),
    Whole(Option<Bytes>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Stream(body) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_none(),
        }
    }
}

impl Caller {
    /// Answers a call; an error resets its stream with the reason that containerd gave.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, hyper::Error> {
        self.called.notify_one();
        let method = Method::of(request.uri().path());
        let tally = Tally::begin(&self.shared.metrics, method);
        let request = match self.guarded(method, request).await {
            Ok(request) => request,
            Err(Stopped::ByGuard(status)) => return Ok(refusal(tally, &status)),
            Err(Stopped::Gone(error)) => return Err(error),
        };
        self.pass(request, method, tally).await
    }

    /// Lets the guard look at a new pod where the machine's seal has ended.
    async fn guarded(
        &self,
        method: Method,
        request: Request<Incoming>,
    ) -> Result<Request<RequestBody>, Stopped> {
        let ended = method.starts_pod().then(|| self.shared.guard.refusal());
        let Some(refusal) = ended.flatten() else {
            return Ok(request.map(RequestBody::Stream));
        };
        let (parts, body) = request.into_parts();
        let bytes = match look::whole(body).await {
            Ok(bytes) => bytes,
            Err(look::Unread::TooLarge) => {
                let text = "the request is larger than the 16 MiB that the guard looks at";
                let status = Status::new(Code::ResourceExhausted, text);
                return Err(Stopped::ByGuard(status));
            }
            Err(look::Unread::Gone(error)) => return Err(Stopped::Gone(error)),
        };
        match self.shared.guard.look(&refusal, &bytes) {
            Looked::Exempt => Ok(Request::from_parts(parts, RequestBody::Whole(Some(bytes)))),
            Looked::Refused(status) => {
                self.shared.metrics.refused(refusal.reason);
                Err(Stopped::ByGuard(status))
            }
        }
    }

    async fn pass(
        &self,
        mut request: Request<RequestBody>,
        method: Method,
        tally: Tally,
    ) -> Result<Response<AnswerBody>, hyper::Error> {
        let deadline = timeout(request.headers());
        let began = Instant::now();
        loop {
            let left = deadline.map(|deadline| deadline.saturating_sub(began.elapsed()));
            let sender = self.upstream.get(left, &self.shared.metrics).await;
            let mut sender = match sender {
                Ok(sender) => sender,
                Err(error) => {
                    let path = self.shared.settings.upstream.display();
                    let text = format!("containerd can't be reached at {path}: {error}");
                    return Ok(refusal(tally, &Status::new(Code::Unavailable, &text)));
                }
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let endless = method.is_endless().then(|| self.shared.stop.clone());
                    return Ok(AnswerBody::of(response, tally, endless));
                }
                Err(mut failed) => {
                    // Nothing of it was sent: the connection ended meanwhile.
                    if let Some(unsent) = failed.take_message() {
                        request = unsent;
                        if began.elapsed() < self.shared.settings.dial_within {
                            tokio::time::sleep(AGAIN).await;
                            continue;
                        }
                    }
                    return match fate(failed.into_error()) {
                        Fate::Reset(error, code) => {
                            tally.end(code);
                            Err(error)
                        }
                        Fate::Lost(error) => {
                            let text = format!("the connection to containerd ended: {error}");
                            Ok(refusal(tally, &Status::new(Code::Unavailable, &text)))
                        }
                    };
                }
            }
        }
    }
}

/// Why a call does not go on.
enum Stopped {
    ByGuard(Status),
    Gone(hyper::Error),
}
