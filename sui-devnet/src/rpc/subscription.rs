//! `SubscriptionService`: the stream of checkpoints.

use sui_rpc::proto::sui::rpc::v2::subscription_service_server::SubscriptionService;
use sui_rpc::proto::sui::rpc::v2::{
    SubscribeCheckpointsRequest, SubscribeCheckpointsResponse, SubscribeEventsRequest,
    SubscribeEventsResponse, SubscribeTransactionsRequest, SubscribeTransactionsResponse,
};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::{Rpc, masks, render};
use crate::node::Frame;

#[tonic::async_trait]
impl SubscriptionService for Rpc {
    async fn subscribe_checkpoints(
        &self,
        request: Request<SubscribeCheckpointsRequest>,
    ) -> Result<Response<BoxStream<SubscribeCheckpointsResponse>>, Status> {
        // A mask is not checked here, and without one a frame holds nothing but its cursor.
        let mask = masks::unchecked(request.into_inner().read_mask);
        let frames = self
            .node
            .subscribers
            .subscribe()
            .map_err(|error| Status::resource_exhausted(error.to_string()))?;
        let stream = ReceiverStream::new(frames).map(move |frame| match frame {
            Frame::Checkpoint(checkpoint) => {
                let mut response = SubscribeCheckpointsResponse::default();
                response.cursor = Some(checkpoint.summary.sequence_number);
                response.checkpoint = Some(render::checkpoint(&checkpoint, &mask));
                Ok(response)
            }
            Frame::Broken => Err(Status::unknown("error reading a body from connection")),
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn subscribe_transactions(
        &self,
        _: Request<SubscribeTransactionsRequest>,
    ) -> Result<Response<BoxStream<SubscribeTransactionsResponse>>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn subscribe_events(
        &self,
        _: Request<SubscribeEventsRequest>,
    ) -> Result<Response<BoxStream<SubscribeEventsResponse>>, Status> {
        Err(Status::unimplemented(""))
    }
}
