//! Calls of a CRI socket: typed, or as bytes that nobody looks at.

use std::path::Path;

use bytes::{Buf as _, BufMut as _, Bytes};
use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

const MOST: usize = 64 << 20;

/// A connection that is made when it is needed, and made again when it broke.
pub fn channel(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(
        move |_| {
            let socket = socket.clone();
            async move {
                let stream = tokio::net::UnixStream::connect(socket).await;
                stream.map(TokioIo::new)
            }
        },
    ))
}

/// The runtime service.
pub fn runtime(socket: &Path) -> RuntimeServiceClient<Channel> {
    RuntimeServiceClient::new(channel(socket)).max_decoding_message_size(MOST)
}

/// The image service.
pub fn images(socket: &Path) -> ImageServiceClient<Channel> {
    ImageServiceClient::new(channel(socket)).max_decoding_message_size(MOST)
}

/// Calls any method with any bytes.
#[derive(Debug, Clone)]
pub struct Raw(tonic::client::Grpc<Channel>);

impl Raw {
    /// Of a socket.
    pub fn of(socket: &Path) -> Self {
        let grpc = tonic::client::Grpc::new(channel(socket));
        Self(
            grpc.max_decoding_message_size(MOST)
                .max_encoding_message_size(MOST),
        )
    }

    /// One message for one.
    pub async fn call(
        &mut self,
        path: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Status> {
        self.0
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path = path.parse().map_err(|_| Status::internal("a path"))?;
        self.0.unary(request, path, AsItIs).await
    }

    /// One message for many.
    pub async fn stream(
        &mut self,
        path: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        self.0
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path = path.parse().map_err(|_| Status::internal("a path"))?;
        self.0.server_streaming(request, path, AsItIs).await
    }
}

/// Messages that are bytes.
#[derive(Debug, Clone, Copy, Default)]
struct AsItIs;

impl Codec for AsItIs {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsItIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for AsItIs {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
