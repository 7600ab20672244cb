//! Recorded requests, sent byte for byte: the answers must be those of the recorded node.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test panics when something is not as it should be"
)]

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, Bytes};
use common::{DEADLINE, start};
use http::uri::PathAndQuery;
use serde_json::Value;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

/// Messages as the bytes they are.
#[derive(Debug, Default, Clone, Copy)]
struct Raw;

impl Codec for Raw {
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

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

fn recording(name: &str) -> Value {
    let path = format!("{}/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

async fn send(url: &str, recording: &Value) -> Result<Bytes, Status> {
    let channel = tonic::transport::Endpoint::new(url.to_owned())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let method = recording["method"].as_str().unwrap().to_owned();
    let body = recording["request"]["base64"]
        .as_str()
        .map_or_else(|| vec![0xff; 3], |body| STANDARD.decode(body).unwrap());
    let path = PathAndQuery::try_from(method).unwrap();
    let answer = grpc.unary(Request::new(Bytes::from(body)), path, Raw);
    tokio::time::timeout(DEADLINE, answer)
        .await
        .unwrap()
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn errors_have_the_recorded_codes_texts_and_details() {
    let devnet = start().await;
    for name in [
        "error_batch_get_objects_bad_id",
        "error_garbage_request",
        "error_get_checkpoint_future",
        "error_get_checkpoint_unknown_digest",
        "error_get_checkpoint_unknown_mask_field",
        "error_get_object_bad_id_empty",
        "error_get_object_bad_id_no_hex",
        "error_get_object_mask_of_newer_proto",
        "error_get_object_missing",
        "error_get_object_no_id",
        "error_get_object_unknown_mask_field",
        "error_get_object_unknown_version",
        "error_get_transaction_bad_digest",
        "error_get_transaction_missing",
        "error_list_owned_objects_filter_module_only",
        "error_unknown_method",
        "error_unknown_service",
    ] {
        let recording = recording(name);
        let error = &recording["error"];
        let status = send(&devnet.rpc_url, &recording).await.unwrap_err();
        assert_eq!(
            i64::from(i32::from(status.code())),
            error["code"].as_i64().unwrap(),
            "{name}: {status}"
        );
        assert_eq!(
            status.message(),
            error["message"].as_str().unwrap(),
            "{name}"
        );
        assert_eq!(
            STANDARD.encode(status.details()),
            error["details_base64"].as_str().unwrap(),
            "{name}"
        );
        // Errors too say how new the node is.
        for header in error["metadata"].as_object().unwrap().keys() {
            if header.starts_with("x-sui-") {
                assert!(status.metadata().contains_key(header), "{name}: {header}");
            }
        }
    }
    devnet.shutdown().await;
}

#[tokio::test]
async fn methods_that_are_not_built_are_unimplemented() {
    let devnet = start().await;
    for method in [
        "/sui.rpc.v2.LedgerService/ListEvents",
        "/sui.rpc.v2.SubscriptionService/SubscribeEvents",
        "/sui.rpc.v2.StateService/ListBalances",
        "/sui.rpc.v2.StateService/GetCoinInfo",
        "/sui.rpc.v2.MovePackageService/GetPackage",
        "/sui.rpc.v2alpha.LedgerService/GetObject",
    ] {
        let request = serde_json::json!({"method": method, "request": {"base64": ""}});
        let status = send(&devnet.rpc_url, &request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{method}");
    }
    devnet.shutdown().await;
}
