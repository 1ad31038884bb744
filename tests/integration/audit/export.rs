//! The log for other programs, checked without the server's own code.

use data_encoding::HEXLOWER;
use futures::TryStreamExt;
use renderkeep::platform::audit::export::{self, Format, Record};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::with_entries;
use crate::support::app::TestApp;

async fn exported(test: &super::TestPlatform, format: Format) -> String {
    let parts: Vec<bytes::Bytes> = export::all(test.platform.db.clone(), format).try_collect().await.unwrap();
    String::from_utf8(parts.concat()).unwrap()
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().to_vec()
}

/// As docs/audit.md says, from the exported line alone.
#[tokio::test]
async fn json_lines_can_be_checked_by_anybody() {
    // More than one batch.
    let test = with_entries(1203).await;
    let text = exported(&test, Format::Jsonl).await;
    let mut before = vec![0; 32];
    for (number, line) in text.lines().enumerate() {
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), line, "read and written again it is the same");
        let fields: Map<String, Value> = serde_json::from_str(line).unwrap();
        let sequence = fields["sequence"].as_i64().unwrap();
        assert_eq!(sequence, i64::try_from(number).unwrap() + 1);
        let names = ["id", "at", "actor_kind", "actor_id", "action", "object_kind", "object_id", "outcome", "details"];
        let mut hashed: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), fields[*name].clone())).collect();
        hashed.insert("request_id".to_owned(), fields["request_id"].clone());
        hashed.insert("note".to_owned(), fields["note_digest"].clone());
        if let Some(salt) = fields["note_salt"].as_str() {
            let note = json!({ "network": fields["network"], "reason": fields["reason"] }).to_string();
            let note = sha256(&[&HEXLOWER.decode(salt.as_bytes()).unwrap(), note.as_bytes()]);
            assert_eq!(fields["note_digest"], HEXLOWER.encode(&note));
        }
        let digest = sha256(&[Value::Object(hashed).to_string().as_bytes()]);
        assert_eq!(fields["digest"], HEXLOWER.encode(&digest));
        before = sha256(&[&before, &sequence.to_be_bytes(), &digest]);
        assert_eq!(fields["hash"], HEXLOWER.encode(&before));
    }
    assert_eq!(text.lines().count(), 1203);
}

#[tokio::test]
async fn csv_has_every_entry_and_no_formula() {
    let test = with_entries(503).await;
    let text = exported(&test, Format::Csv).await;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let reason = reader.headers().unwrap().iter().position(|name| name == "reason").unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 503);
    assert_eq!(&rows[3][reason], "'=1+1");
    assert!(rows.iter().flatten().all(|cell| !cell.starts_with(['=', '+', '-', '@'])));
}

#[tokio::test]
async fn an_empty_log_has_its_columns() {
    let test = with_entries(0).await;
    assert_eq!(exported(&test, Format::Jsonl).await, "");
    assert!(exported(&test, Format::Csv).await.starts_with("sequence,id,at,"));
}

#[tokio::test]
async fn owners_take_the_log_from_the_page_and_that_is_recorded() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let reply = owner.get("/admin/audit/export?format=csv").await;
    assert_eq!((reply.status, &reply.headers["content-type"].to_str().unwrap()[..8]), (200, "text/csv"));
    let name = reply.headers["content-disposition"].to_str().unwrap();
    assert!(name.starts_with("attachment; filename=\"audit-") && name.ends_with(".csv\""), "{name}");
    let lines = owner.get("/admin/audit/export?format=jsonl").await;
    let text = String::from_utf8(lines.body.to_vec()).unwrap();
    let last: Record = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((last.action.as_str(), &last.details), ("audit.export", &json!({ "format": "jsonl" })));
    assert_eq!(owner.get("/admin/audit/export?format=xml").await.status, 422);
    let member = app.member("m@example.org").await;
    assert_eq!(member.get("/admin/audit/export?format=csv").await.status, 403);
}
