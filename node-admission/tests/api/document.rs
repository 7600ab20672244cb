//! The description of the API.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::double::{Bench, request, sealed_calls};

#[test]
fn the_committed_document_is_the_codes_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let made = serde_json::to_string_pretty(&node_admission::api::openapi()).unwrap() + "\n";
    if std::env::var_os("K3S_DAAS_WRITE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == made,
        "make it anew with K3S_DAAS_WRITE_DOCS=1 cargo test -p node-admission --test api document"
    );
}

#[tokio::test]
async fn it_is_served_and_describes_every_call() {
    let bench = Bench::new();
    let answer = bench
        .send(request("GET", "/openapi.json", None, None))
        .await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    assert_eq!(document, node_admission::api::openapi());
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut calls = sealed_calls();
    calls.extend([("GET", "/healthz", None), ("GET", "/openapi.json", None)]);
    assert_eq!(document["paths"].as_object().unwrap().len(), calls.len());
    for (method, path, body) in calls {
        let call = &document["paths"][path][method.to_lowercase()];
        assert!(call["responses"]["200"].is_object(), "{path}");
        assert_eq!(call["requestBody"].is_object(), body.is_some(), "{path}");
        let sealed = !matches!(path, "/healthz" | "/openapi.json");
        assert_eq!(call["security"][0]["seal"].is_array(), sealed, "{path}");
    }
    assert_eq!(
        document["components"]["securitySchemes"]["seal"]["scheme"],
        "bearer"
    );
}

#[test]
fn every_reference_in_it_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    found.insert(reference);
                }
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = node_admission::api::openapi();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn bodies_take_no_unknown_fields_by_the_document_either() {
    let document = node_admission::api::openapi();
    for schema in ["RegisterWorker", "Capacity", "NodeHeartbeat", "Usage"] {
        let schema = &document["components"]["schemas"][schema];
        assert_eq!(schema["additionalProperties"], false, "{schema}");
    }
}
