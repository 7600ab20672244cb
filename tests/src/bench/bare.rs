//! The yardstick: a bare axum + rustls handler that parses and answers the same JSON and
//! decides nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::{Json, Router, routing::post};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewStatus, UserInfo};
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewStatus};
use tokio::net::TcpListener;

/// Serves on a free port of loopback until the process ends; gives its address.
pub async fn serve(tls: rustls::ServerConfig) -> anyhow::Result<SocketAddr> {
    let router = Router::new()
        .route("/authenticate", post(authenticate))
        .route("/authorize", post(authorize));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?.into_std()?;
    let address = listener.local_addr()?;
    let tls = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(tls));
    let server = axum_server::from_tcp_rustls(listener, tls)?;
    tokio::spawn(server.serve(router.into_make_service()));
    Ok(address)
}

async fn authenticate(Json(mut review): Json<TokenReview>) -> Json<TokenReview> {
    let extra = [
        (
            "k3s-daas.io/seal",
            "0x0000000000000000000000000000000000000000000000000000000000000001",
        ),
        (
            "k3s-daas.io/credential-hash",
            "2745a3451aac76eeb840dabfc0c2f5f945a638039ad995b049b80e5f3abd823e",
        ),
        ("k3s-daas.io/tier", "developer"),
        ("k3s-daas.io/namespace", "seal-0000000000000000"),
        ("k3s-daas.io/expires-at", "1800000000000"),
    ];
    review.status = Some(TokenReviewStatus {
        audiences: review.spec.audiences.clone(),
        authenticated: Some(true),
        error: None,
        user: Some(UserInfo {
            username: Some(
                "seal:0x0000000000000000000000000000000000000000000000000000000000000001"
                    .to_owned(),
            ),
            uid: Some(
                "0x0000000000000000000000000000000000000000000000000000000000000001".to_owned(),
            ),
            groups: Some(vec![
                "seal:holders".to_owned(),
                "seal:tier:developer".to_owned(),
            ]),
            extra: Some(
                extra
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), vec![value.to_owned()]))
                    .collect(),
            ),
        }),
    });
    Json(review)
}

async fn authorize(Json(mut review): Json<SubjectAccessReview>) -> Json<SubjectAccessReview> {
    review.status = Some(SubjectAccessReviewStatus {
        allowed: true,
        denied: None,
        evaluation_error: None,
        reason: Some("developer in its own namespace".to_owned()),
    });
    Json(review)
}
