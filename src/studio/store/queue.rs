//! The whole queue at a glance, without a look at anybody's work.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{count_star, min},
    prelude::*,
};
use diesel_async::RunQueryDsl;

use crate::{
    base::access::{Grant, HealthRead},
    platform::db::{Conn, DbError, schema::generations as g},
};

/// How much of everybody's work runs, waits, and needs a decision.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    pub running: i64,
    pub waiting: i64,
    /// Generations whose outcome the provider never told.
    pub unknown: i64,
    /// When the one that waits longest was accepted.
    pub oldest: Option<DateTime<Utc>>,
}

pub async fn queue(conn: &mut Conn, _grant: &Grant<HealthRead>) -> Result<Queue, DbError> {
    let rows: Vec<(String, i64, Option<DateTime<Utc>>)> = g::table
        .filter(g::ended_at.is_null())
        .group_by(g::state)
        .select((g::state, count_star(), min(g::created_at)))
        .load(conn)
        .await?;
    let mut queue = Queue::default();
    for (state, count, oldest) in rows {
        match state.as_str() {
            "queued" => (queue.waiting, queue.oldest) = (count, oldest),
            "unknown" => queue.unknown = count,
            _ => queue.running += count,
        }
    }
    Ok(queue)
}
