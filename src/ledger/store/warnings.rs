//! When windows were used to a mark of their limits.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Date, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Keys;
use crate::{
    base::money::Micros,
    ledger::{
        error::LedgerError,
        model::{Warning, Window},
    },
    platform::db::{Conn, DbError, Tx, schema::cap_warnings::dsl as t},
};

/// Those that are there already stay as they were.
pub async fn insert(tx: &mut Tx, warnings: &[Warning]) -> Result<(), DbError> {
    let rows: Vec<_> = warnings
        .iter()
        .map(|warning| {
            (
                t::scope.eq(warning.window.scope.as_str()),
                t::subject_id.eq(warning.window.subject),
                t::period.eq(warning.window.period.as_str()),
                t::starts_on.eq(warning.window.starts_on),
                t::percent.eq(i32::from(warning.percent)),
                t::limit_micros.eq(warning.limit.0),
                t::at.eq(warning.at),
            )
        })
        .collect();
    diesel::insert_into(t::cap_warnings).values(rows).on_conflict_do_nothing().execute(&mut **tx).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    scope: String,
    #[diesel(sql_type = SqlUuid)]
    subject_id: Uuid,
    #[diesel(sql_type = Text)]
    period: String,
    #[diesel(sql_type = Date)]
    starts_on: chrono::NaiveDate,
    #[diesel(sql_type = Integer)]
    percent: i32,
    #[diesel(sql_type = BigInt)]
    limit_micros: i64,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

/// Those of these windows, oldest first.
pub async fn of_windows(conn: &mut Conn, windows: &[Window]) -> Result<Vec<Warning>, LedgerError> {
    let keys = Keys::of(windows);
    let rows: Vec<Row> = diesel::sql_query(
        "select warning.* from cap_warnings warning
         join unnest($1, $2, $3, $4) as wanted (scope, subject_id, period, starts_on)
             using (scope, subject_id, period, starts_on)
         order by warning.at, warning.percent",
    )
    .bind::<Array<Text>, _>(&keys.scopes)
    .bind::<Array<SqlUuid>, _>(&keys.subjects)
    .bind::<Array<Text>, _>(&keys.periods)
    .bind::<Array<Date>, _>(&keys.starts)
    .load(conn)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

impl Row {
    fn read(self) -> Result<Warning, LedgerError> {
        let window = Window {
            scope: self.scope.parse()?,
            subject: self.subject_id,
            period: self.period.parse()?,
            starts_on: self.starts_on,
        };
        let percent = u8::try_from(self.percent).unwrap_or(u8::MAX);
        Ok(Warning { window, percent, limit: Micros(self.limit_micros), at: self.at })
    }
}
