//! What goes back to the caller: containerd's answer as it comes, or a refusal of ours.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::tally::Tally;
use crate::grpc::{Code, Status};

/// An answer's body.
#[derive(Debug)]
pub(super) struct AnswerBody {
    from: From,
    tally: Option<Tally>,
    /// Of a stream that has no end of its own: the proxy's stop ends it.
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

#[derive(Debug)]
enum From {
    Containerd(Incoming),
    Nowhere,
}

impl AnswerBody {
    /// containerd's answer. Its call ends with its trailers.
    pub(super) fn of(
        response: Response<Incoming>,
        tally: Tally,
        endless: Option<CancellationToken>,
    ) -> Response<Self> {
        let (parts, body) = response.into_parts();
        let mut tally = Some(tally);
        if body.is_end_stream()
            && let Some(tally) = tally.take()
        {
            tally.end(Code::of_answer(parts.status, &parts.headers));
        }
        let body = Self {
            from: From::Containerd(body),
            tally,
            stop: endless.map(|stop| Box::pin(stop.cancelled_owned())),
        };
        Response::from_parts(parts, body)
    }

    fn end(&mut self, code: Code) {
        if let Some(tally) = self.tally.take() {
            tally.end(code);
        }
    }

    /// Ends the stream with a status of ours.
    fn end_with(&mut self, status: &Status) -> Frame<Bytes> {
        self.end(status.code);
        self.from = From::Nowhere;
        self.stop = None;
        let mut trailers = HeaderMap::new();
        status.write(&mut trailers);
        Frame::trailers(trailers)
    }
}

/// A status of ours instead of an answer: headers alone, as gRPC has it.
pub(super) fn refusal(tally: Tally, status: &Status) -> Response<AnswerBody> {
    tally.end(status.code);
    let mut response = Response::new(AnswerBody {
        from: From::Nowhere,
        tally: None,
        stop: None,
    });
    status.write(response.headers_mut());
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/grpc"),
    );
    response
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let From::Containerd(body) = &mut this.from else {
            return Poll::Ready(None);
        };
        let frame = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let stopped = this.stop.as_mut().map(|stop| stop.as_mut().poll(cx));
                if stopped.is_some_and(|stopped| stopped.is_ready()) {
                    let status = Status::new(Code::Unavailable, "the shim stops");
                    return Poll::Ready(Some(Ok(this.end_with(&status))));
                }
                return Poll::Pending;
            }
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.end(Code::of(trailers).unwrap_or(Code::Unknown));
                }
                Some(Ok(frame))
            }
            None => {
                this.end(Code::Unknown);
                None
            }
            Some(Err(error)) => match fate(error) {
                Fate::Reset(error, code) => {
                    this.end(code);
                    Some(Err(error))
                }
                Fate::Lost(error) => {
                    let text = format!("the connection to containerd ended: {error}");
                    let status = Status::new(Code::Unavailable, &text);
                    Some(Ok(this.end_with(&status)))
                }
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Containerd(body) => body.is_end_stream(),
            From::Nowhere => true,
        }
    }
}

/// What became of a call that containerd did not answer.
pub(super) enum Fate {
    /// It reset the stream: the caller's is reset for the same reason.
    Reset(hyper::Error, Code),
    /// The connection ended under it.
    Lost(hyper::Error),
}

pub(super) fn fate(error: hyper::Error) -> Fate {
    let reset = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .filter(|source| source.is_reset() && source.is_remote())
        .and_then(h2::Error::reason);
    match reset {
        Some(reason) => Fate::Reset(error, Code::of_reset(reason)),
        None => Fate::Lost(error),
    }
}
