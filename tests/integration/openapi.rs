//! The description of the API, which `docs/openapi.json` keeps for people to compare.
//!
//! When the API changes on purpose, `UPDATE_OPENAPI=1 cargo test --test integration openapi` writes it anew; look at the
//! difference.

use std::{collections::BTreeMap, fs, path::Path};

use renderkeep::{
    app::rooms,
    web::document::{document, schemas},
};
use serde_json::Value;

use crate::support::app::TestApp;

#[tokio::test]
async fn the_server_describes_itself_as_the_kept_document_does() {
    let app = TestApp::start().await;
    let answer = app.anybody().get("/api/openapi.json").await.json();
    let text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&kept, text).unwrap();
        return;
    }
    let same = fs::read_to_string(&kept).is_ok_and(|before| before == text);
    assert!(same, "the API is not what docs/openapi.json says; if that is meant, run this test with UPDATE_OPENAPI=1");
}

/// Every `$ref` below.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(members) => members.iter().for_each(|member| references(member, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = serde_json::to_value(document(&rooms::routes())).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    let lost: Vec<_> = found.into_iter().filter(|to| document.pointer(to.trim_start_matches('#')).is_none()).collect();
    assert_eq!(lost, [""; 0]);
}

/// The last of two with one name would silently stand for both.
#[test]
fn no_name_stands_for_two_schemas() {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for (name, schema) in schemas(&rooms::routes()) {
        let schema = serde_json::to_value(schema).unwrap();
        if let Some(before) = known.insert(name.clone(), schema.clone()) {
            assert_eq!(before, schema, "{name}");
        }
    }
}
