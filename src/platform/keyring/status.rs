//! What `renderkeep keys status` tells.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;

use super::{Epochs, KeyringError, jobs::EPOCH_DAYS, store};
use crate::platform::db::Conn;

/// How the keys of an installation stand. Nothing in it is secret.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The root key that the organisation's key is sealed with.
    pub root_key: String,
    pub organisation_key: Made,
    pub epochs: Vec<Epoch>,
    /// Owners' keys by kind.
    pub owners: BTreeMap<String, i64>,
    /// Owners whose key was destroyed within the time that backups are kept.
    pub destroyed: usize,
}

#[derive(Debug, Serialize)]
pub struct Made {
    pub created_at: DateTime<Utc>,
    /// By the root key that is in use now.
    pub sealed_at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
pub struct Epoch {
    pub epoch: i32,
    pub made_at: DateTime<Utc>,
    /// Owners' keys that are sealed with it now.
    pub keys: i64,
    /// When the next begins, for the newest; when its key is destroyed, for the others.
    pub until: Option<DateTime<Utc>>,
    pub newest: bool,
}

pub async fn status(conn: &mut Conn, epochs: &Epochs, backups: Duration) -> Result<Status, KeyringError> {
    let organisation = store::organisation(conn).await?.ok_or(KeyringError::NotBegun)?;
    let counts = store::counts(conn).await?;
    let mut owners = BTreeMap::new();
    for (kind, _, count) in &counts {
        *owners.entry(kind.clone()).or_default() += count;
    }
    let keys_of = |number: i32| counts.iter().filter(|(_, epoch, _)| *epoch == number).map(|(.., count)| count).sum();
    let all: Vec<_> = epochs.all().collect();
    let ends = all.iter().skip(1).map(|(_, next)| Some(next.made_at)).chain([None]);
    let epoch = |((number, epoch), end): (&(i32, &super::epochs::Epoch), Option<DateTime<Utc>>)| Epoch {
        epoch: *number,
        made_at: epoch.made_at,
        keys: keys_of(*number),
        until: Some(end.map_or(epoch.made_at + Duration::days(EPOCH_DAYS), |end| end + backups)),
        newest: end.is_none(),
    };
    Ok(Status {
        root_key: organisation.root_key_id,
        organisation_key: Made { created_at: organisation.created_at, sealed_at: organisation.sealed_at },
        epochs: all.iter().zip(ends).map(epoch).collect(),
        owners,
        destroyed: epochs.erasures().read()?.len(),
    })
}
