//! The log for other programs: JSON lines that can be checked without this server, and CSV for tables.

use bytes::Bytes;
use chrono::SecondsFormat;
use data_encoding::HEXLOWER;
use futures::{Stream, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::chain::{Linked, links};
use crate::{
    base::{
        access::{AuditRead, Grant},
        ctx::Ctx,
    },
    platform::db::{Db, DbError},
};

const BATCH: i64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Jsonl,
    Csv,
}

impl Format {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// An entry with its place, spelled as the chain hashes it; ids are plain UUIDs for the same reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub sequence: i64,
    pub id: Uuid,
    pub at: String,
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    pub action: String,
    pub object_kind: Option<String>,
    pub object_id: Option<Uuid>,
    pub outcome: String,
    pub details: Value,
    pub request_id: String,
    pub reason: Option<String>,
    pub network: Option<String>,
    pub note_salt: Option<String>,
    pub note_digest: Option<String>,
    pub digest: String,
    pub hash: String,
}

impl Record {
    /// None for a place whose entry was deleted; `audit verify` names it.
    fn of(linked: Linked) -> Option<Self> {
        let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
        let entry = linked.entry?;
        Some(Self {
            sequence: linked.seq,
            id: entry.id,
            at: entry.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            actor_kind: entry.actor_kind,
            actor_id: entry.actor_id,
            action: entry.action,
            object_kind: entry.object_kind,
            object_id: entry.object_id,
            outcome: entry.outcome,
            details: entry.details,
            request_id: entry.request_id,
            reason: entry.reason,
            network: entry.network,
            note_salt: entry.note_salt.as_deref().map(hex),
            note_digest: entry.note_digest.as_deref().map(hex),
            digest: hex(&entry.digest),
            hash: hex(&linked.hash),
        })
    }

    fn cells(&self) -> [String; 17] {
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            self.sequence.to_string(),
            self.id.to_string(),
            self.at.clone(),
            self.actor_kind.clone(),
            id(self.actor_id),
            self.action.clone(),
            text(&self.object_kind),
            id(self.object_id),
            self.outcome.clone(),
            self.details.to_string(),
            self.request_id.clone(),
            text(&self.reason),
            text(&self.network),
            text(&self.note_salt),
            text(&self.note_digest),
            self.digest.clone(),
            self.hash.clone(),
        ]
    }
}

const COLUMNS: [&str; 17] = [
    "sequence",
    "id",
    "at",
    "actor_kind",
    "actor_id",
    "action",
    "object_kind",
    "object_id",
    "outcome",
    "details",
    "request_id",
    "reason",
    "network",
    "note_salt",
    "note_digest",
    "digest",
    "hash",
];

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the entry cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the entry cannot be written as CSV")]
    Csv(#[from] csv::Error),
    #[error("the entry cannot be written")]
    Write(#[from] std::io::Error),
}

/// Records that somebody took the log away with them.
pub async fn begin(ctx: &Ctx, db: &Db, _grant: &Grant<AuditRead>, format: Format) -> Result<(), DbError> {
    note(ctx, db, format).await
}

/// The same for whoever has a command line on the server.
pub async fn note(ctx: &Ctx, db: &Db, format: Format) -> Result<(), DbError> {
    let details = serde_json::json!({ "format": format.extension() });
    db.write("audit.export", async |tx| super::record(tx, ctx, super::Act::done("audit.export").details(details)).await)
        .await
}

/// The whole log in the order of the chain, a batch at a time: no more of it than that is ever in memory, and no
/// connection is held while the reader is slow.
pub fn all(db: Db, format: Format) -> impl Stream<Item = Result<Bytes, ExportError>> {
    stream::try_unfold(None, move |after: Option<i64>| {
        let db = db.clone();
        async move {
            let batch = links(&mut *db.read().await.map_err(ExportError::from)?, after.unwrap_or(0), BATCH).await?;
            let last = batch.last().map(|linked| linked.seq);
            if last.is_none() && after.is_some() {
                return Ok(None);
            }
            let records: Vec<Record> = batch.into_iter().filter_map(Record::of).collect();
            let written = match format {
                Format::Jsonl => jsonl(&records)?,
                Format::Csv => csv(&records, after.is_none())?,
            };
            Ok(Some((written, Some(last.unwrap_or(0)))))
        }
    })
}

fn jsonl(records: &[Record]) -> Result<Bytes, ExportError> {
    let mut written = Vec::new();
    for record in records {
        serde_json::to_writer(&mut written, record)?;
        written.push(b'\n');
    }
    Ok(written.into())
}

fn csv(records: &[Record], with_head: bool) -> Result<Bytes, ExportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_head {
        writer.write_record(COLUMNS)?;
    }
    for record in records {
        writer.write_record(record.cells().map(harmless))?;
    }
    writer.flush()?;
    let written = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(written.into())
}

/// A spreadsheet takes a cell that begins so for a formula; an apostrophe makes it text.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            sequence: 1,
            id: Uuid::from_u128(1),
            at: "2026-11-20T12:00:00.000000Z".to_owned(),
            actor_kind: "nobody".to_owned(),
            actor_id: None,
            action: "caps.set".to_owned(),
            object_kind: None,
            object_id: None,
            outcome: "done".to_owned(),
            details: serde_json::json!({ "a": 1 }),
            request_id: "req_1".to_owned(),
            reason: Some("=HYPERLINK(\"http://x\"), and\nmore".to_owned()),
            network: Some("+1".to_owned()),
            note_salt: None,
            note_digest: None,
            digest: "00".to_owned(),
            hash: "ff".to_owned(),
        }
    }

    #[test]
    fn no_cell_is_a_formula() {
        for start in ["=", "+", "-", "@", "\t", "\r", "\n"] {
            assert_eq!(harmless(format!("{start}1")), format!("'{start}1"));
        }
        assert_eq!(harmless("a=1".to_owned()), "a=1");
        let written = csv(&[record()], true).unwrap();
        let mut reader = csv::Reader::from_reader(&*written);
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        let row = reader.records().next().unwrap().unwrap();
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{row:?}");
        assert_eq!(&row[11], "'=HYPERLINK(\"http://x\"), and\nmore");
    }

    #[test]
    fn the_columns_are_the_fields() {
        let Value::Object(fields) = serde_json::to_value(record()).unwrap() else { panic!("an object") };
        let (mut names, mut columns) = (fields.keys().cloned().collect::<Vec<_>>(), COLUMNS.map(str::to_owned));
        names.sort();
        columns.sort();
        assert_eq!(names, columns);
    }
}
