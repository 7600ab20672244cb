//! The description of the API, made of its code.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{heartbeat, kubeconfig, nodes, register, security_context, staking};

/// The document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "K3s-DaaS operator API",
        description = "For owners of seals and operators of workers. Every call but /healthz and \
                       /openapi.json needs a seal token; requests are limited for each seal. \
                       Fields with `x-self-reported` are claims of a machine's operator: nothing is \
                       decided by them. \
                       Refusals are problems (RFC 9457) whose type never changes its meaning.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        register::register_worker,
        heartbeat::heartbeat,
        nodes::list_nodes,
        staking::staking_status,
        security_context::security_context,
        kubeconfig::kubectl_config,
        healthz,
        document,
    ),
    tags(
        (name = "workers", description = "Machines that join by stake"),
        (name = "access", description = "What a seal is and may do"),
        (name = "service", description = "The API itself"),
    ),
    modifiers(&SealScheme, &SelfReported),
)]
struct Document;

/// The schemas of what machines and their operators say of themselves.
const SELF_REPORTED: [&str; 4] = ["Capacity", "Heartbeat", "Registration", "Usage"];
/// Fields of them that the server says.
const OWN_FIELDS: [&str; 1] = ["at_ms"];

/// Marks what is the operator's claim: `x-self-reported` on each such field.
struct SelfReported;

impl Modify for SelfReported {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let schemas = document.components.as_mut().map(|all| &mut all.schemas);
        let Some(schemas) = schemas else { return };
        for name in SELF_REPORTED {
            if let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) {
                mark(object);
                for (field, schema) in &mut object.properties {
                    if let RefOr::T(Schema::Object(field_schema)) = schema
                        && !OWN_FIELDS.contains(&field.as_str())
                    {
                        mark(field_schema);
                    }
                }
            }
        }
        let address = schemas.get_mut("RegisterWorker");
        if let Some(RefOr::T(Schema::Object(object))) = address
            && let Some(RefOr::T(Schema::Object(field))) = object.properties.get_mut("ip_address")
        {
            mark(field);
        }
    }
}

fn mark(object: &mut utoipa::openapi::Object) {
    let extensions = object.extensions.get_or_insert_with(Default::default);
    extensions.insert("x-self-reported".to_owned(), true.into());
}

/// How callers show who they are.
struct SealScheme;

impl Modify for SealScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("seal token: 64 lowercase hex digits")
            .build();
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("seal", SecurityScheme::Http(scheme));
    }
}

/// Whether the process lives
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "service",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain", example = "ok")),
)]
#[allow(dead_code, reason = "read by the macro above")]
fn healthz() {}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")),
)]
#[allow(dead_code, reason = "read by the macro above")]
fn document() {}

/// The OpenAPI 3.1 document of the API.
#[must_use]
pub fn openapi() -> serde_json::Value {
    // The types of the document are all of JSON: never null.
    serde_json::to_value(Document::openapi()).unwrap_or_default()
}
