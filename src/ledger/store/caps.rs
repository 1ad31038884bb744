//! The table of caps.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    base::{
        access::{CapsEdit, CapsRead, Grant},
        ctx::Ctx,
        ids::CapId,
        money::{Currency, Micros, Money},
        paging::{Page, PageRequest},
    },
    ledger::{
        error::LedgerError,
        model::{Cap, CapFilter, NewCap, Payer, Period, Scope, Subject, UnknownWord},
    },
    platform::db::{Conn, DbError, Tx, schema::caps::dsl as t},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = crate::platform::db::schema::caps)]
struct Row {
    id: CapId,
    scope: String,
    subject_id: Option<Uuid>,
    period: String,
    limit_micros: i64,
    currency: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<Cap, LedgerError> {
        let scope: Scope = self.scope.parse()?;
        let subject = Subject::from_columns(scope, self.subject_id).ok_or(UnknownWord(self.scope))?;
        let currency: Currency = self.currency.parse().map_err(|_| UnknownWord(self.currency))?;
        Ok(Cap {
            id: self.id,
            subject,
            period: self.period.parse()?,
            limit: Money::new(Micros(self.limit_micros), currency),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Every cap that can be in force for one of these payers; `Payer::caps_in_force` says which are.
pub async fn of_payers(conn: &mut Conn, payers: &[Payer]) -> Result<Vec<Cap>, LedgerError> {
    let ids: BTreeSet<Uuid> = payers
        .iter()
        .flat_map(|payer| [payer.organisation.uuid(), payer.workspace.uuid(), payer.person.uuid()])
        .collect();
    let rows: Vec<Row> = t::caps
        .filter(t::subject_id.is_null().or(t::subject_id.eq_any(ids).assume_not_null()))
        .order((t::scope, t::period, t::id))
        .select(Row::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Row::read).collect()
}

/// The monthly caps of these subjects, and the default of each person.
pub async fn monthly(conn: &mut Conn, subjects: &[Subject]) -> Result<Vec<Cap>, LedgerError> {
    let ids: Vec<Uuid> = subjects.iter().filter_map(|subject| subject.uuid()).collect();
    let rows: Vec<Row> = t::caps
        .filter(t::period.eq(Period::Month.as_str()))
        .filter(t::subject_id.is_null().or(t::subject_id.eq_any(ids).assume_not_null()))
        .select(Row::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Row::read).collect()
}

pub async fn list(
    conn: &mut Conn,
    _grant: &Grant<CapsRead>,
    filter: &CapFilter,
    page: &PageRequest,
) -> Result<Page<Cap>, LedgerError> {
    let mut query = t::caps.order(t::id.desc()).limit(page.fetch()).select(Row::as_select()).into_boxed();
    if let Some(before) = page.before {
        query = query.filter(t::id.lt(before));
    }
    if let Some(scope) = filter.scope {
        query = query.filter(t::scope.eq(scope.as_str()));
    }
    if let Some(subject) = filter.subject {
        query = query.filter(t::subject_id.eq(subject));
    }
    if let Some(period) = filter.period {
        query = query.filter(t::period.eq(period.as_str()));
    }
    let rows = query.load(conn).await?.into_iter().map(Row::read).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_fetched(rows, page, |cap| cap.id.uuid()))
}

pub async fn find(conn: &mut Conn, id: CapId) -> Result<Option<Cap>, LedgerError> {
    let row: Option<Row> = t::caps.find(id).select(Row::as_select()).first(conn).await.optional()?;
    row.map(Row::read).transpose()
}

pub async fn find_by_subject(tx: &mut Tx, subject: Subject, period: Period) -> Result<Option<Cap>, LedgerError> {
    let row: Option<Row> = t::caps
        .filter(t::scope.eq(subject.scope().as_str()))
        .filter(t::subject_id.is_not_distinct_from(subject.uuid()))
        .filter(t::period.eq(period.as_str()))
        .select(Row::as_select())
        .first(&mut **tx)
        .await
        .optional()?;
    row.map(Row::read).transpose()
}

/// Sets the one cap of this subject and period; returns it with the limit that it had before.
pub async fn set(
    tx: &mut Tx,
    ctx: &Ctx,
    _grant: &Grant<CapsEdit>,
    new: &NewCap,
) -> Result<(Cap, Option<Micros>), LedgerError> {
    let now = ctx.clock.now();
    let limit = (t::limit_micros.eq(new.limit.micros.0), t::currency.eq(new.limit.currency.as_str()));
    let before = find_by_subject(tx, new.subject, new.period).await?;
    let row: Row = match &before {
        Some(cap) => {
            diesel::update(t::caps.find(cap.id))
                .set((limit, t::updated_at.eq(now)))
                .returning(Row::as_returning())
                .get_result(&mut **tx)
                .await?
        }
        None => {
            diesel::insert_into(t::caps)
                .values((
                    t::id.eq(CapId::new(&ctx.clock)),
                    t::scope.eq(new.subject.scope().as_str()),
                    t::subject_id.eq(new.subject.uuid()),
                    t::period.eq(new.period.as_str()),
                    limit,
                    t::created_at.eq(now),
                    t::updated_at.eq(now),
                ))
                .returning(Row::as_returning())
                .get_result(&mut **tx)
                .await?
        }
    };
    Ok((row.read()?, before.map(|cap| cap.limit.micros)))
}

pub async fn delete(tx: &mut Tx, _grant: &Grant<CapsEdit>, id: CapId) -> Result<(), DbError> {
    diesel::delete(t::caps.find(id)).execute(&mut **tx).await?;
    Ok(())
}
