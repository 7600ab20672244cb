//! What every call leaves behind: one line in the log, one count, and headers that every answer
//! bears.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, header};
use sui_ledger::directory::SealDirectory;

use super::caller::CallerSlot;
use super::metrics::Route;
use super::problem::ProblemKind;
use super::service::Api;
use super::workers::WorkerRegistry;

/// Wraps every call.
pub(super) async fn observe<D, W>(
    State(api): State<Arc<Api<D, W>>>,
    mut request: Request,
    next: Next,
) -> Response
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    let started = Instant::now();
    let caller = CallerSlot::default();
    request.extensions_mut().insert(caller.clone());
    let route = Route::of(request.uri().path());
    // Other methods are texts that strangers choose.
    let method = match request.method().as_str() {
        method @ ("GET" | "HEAD" | "POST" | "OPTIONS" | "PUT" | "PATCH" | "DELETE") => {
            method.to_owned()
        }
        _ => "other".to_owned(),
    };
    let mut response = next.run(request).await;

    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Answers speak of one caller, and some hold secrets.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));

    let (status, took) = (response.status(), started.elapsed());
    let problem = response.extensions().get::<ProblemKind>().copied();
    api.metrics.answered(route, status, took);
    if let Some(kind) = problem {
        api.metrics.refused(kind);
    }
    let seal = caller.0.get().map(tracing::field::display);
    let elapsed_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let problem = problem.map(ProblemKind::label);
    // Each seal's lines are bounded by its limit; strangers' would not be.
    if seal.is_some() {
        tracing::info!(
            seal,
            method,
            route = route.path(),
            status = status.as_u16(),
            problem,
            elapsed_us,
            "api call"
        );
    } else {
        tracing::debug!(
            method,
            route = route.path(),
            status = status.as_u16(),
            problem,
            elapsed_us,
            "api call"
        );
    }
    response
}
