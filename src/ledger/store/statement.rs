//! Settled holds with what was posted for them.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Date, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    base::{
        ids::PersonId,
        money::{Currency, Micros, Money},
        paging::{Page, PageRequest},
    },
    ledger::{
        model::{Scope, Sums},
        statement::{Line, Month},
    },
    platform::db::{Conn, DbError, schema::cap_windows::dsl as t},
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    generation_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    workspace_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    provider_id: Uuid,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    resolved_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    amount_micros: i64,
    #[diesel(sql_type = BigInt)]
    charged: i64,
    #[diesel(sql_type = BigInt)]
    overage: i64,
}

impl From<Row> for Line {
    fn from(row: Row) -> Self {
        // A check constraint allows nothing but a currency's code.
        let currency: Currency = row.currency.parse().unwrap_or(Currency::NONE);
        let money = |micros| Money::new(Micros(micros), currency);
        Self {
            hold: row.id.into(),
            generation: row.generation_id.into(),
            person: row.person_id.into(),
            workspace: row.workspace_id.into(),
            provider: row.provider_id.into(),
            accepted_at: row.created_at,
            charged_at: row.resolved_at,
            held: money(row.amount_micros),
            charged: money(row.charged),
            overage: money(row.overage),
        }
    }
}

/// What was charged for work of this month, newest first; one person's or everybody's. The amounts are sums of postings.
pub async fn lines(
    conn: &mut Conn,
    month: Month,
    person: Option<PersonId>,
    page: &PageRequest,
) -> Result<Page<Line>, DbError> {
    let rows: Vec<Row> = diesel::sql_query(
        "select hold.*, posted.charged, posted.overage
         from (
             select * from holds
             where state = 'posted' and actual_micros > 0 and made_on >= $1 and made_on < $2
                 and ($3::uuid is null or person_id = $3) and ($4::uuid is null or id < $4)
             order by id desc limit $5
         ) hold
         cross join lateral (
             select coalesce(sum(posting.amount_micros), 0)::bigint as charged,
                 coalesce(sum(posting.amount_micros) filter (where act.kind = 'overage'), 0)::bigint as overage
             from ledger_transactions act
             join ledger_postings posting on posting.transaction_id = act.id
             join ledger_accounts account on account.id = posting.account_id and account.kind = 'person'
             where act.hold_id = hold.id
         ) posted
         order by hold.id desc",
    )
    .bind::<Date, _>(month.first_day())
    .bind::<Date, _>(month.end())
    .bind::<Nullable<SqlUuid>, _>(person.map(PersonId::uuid))
    .bind::<Nullable<SqlUuid>, _>(page.before)
    .bind::<BigInt, _>(page.fetch())
    .load(conn)
    .await?;
    let lines = rows.into_iter().map(Line::from).collect();
    Ok(Page::from_fetched(lines, page, |line| line.hold.uuid()))
}

/// What each subject of a scope has spent and set aside in a month, who spent most first; at most `limit` of them.
pub async fn sums(
    conn: &mut Conn,
    month: Month,
    scope: Scope,
    subject: Option<Uuid>,
    limit: i64,
) -> Result<Vec<(Uuid, Sums)>, DbError> {
    let mut query = t::cap_windows
        .filter(t::scope.eq(scope.as_str()).and(t::period.eq("month")).and(t::starts_on.eq(month.first_day())))
        .filter(t::spent_micros.gt(0).or(t::held_micros.gt(0)))
        .order((t::spent_micros.desc(), t::subject_id))
        .limit(limit)
        .select((t::subject_id, t::held_micros, t::spent_micros, t::refilled_micros))
        .into_boxed();
    if let Some(subject) = subject {
        query = query.filter(t::subject_id.eq(subject));
    }
    let rows: Vec<(Uuid, i64, i64, i64)> = query.load(conn).await?;
    let sums = |(subject, held, spent, refilled)| {
        (subject, Sums { held: Micros(held), spent: Micros(spent), refilled: Micros(refilled) })
    };
    Ok(rows.into_iter().map(sums).collect())
}

/// Months in which the subject's work was accepted, newest first.
pub async fn months(conn: &mut Conn, scope: Scope, subject: Uuid, limit: i64) -> Result<Vec<Month>, DbError> {
    let days: Vec<NaiveDate> = t::cap_windows
        .filter(t::scope.eq(scope.as_str()).and(t::subject_id.eq(subject)).and(t::period.eq("month")))
        .order(t::starts_on.desc())
        .limit(limit)
        .select(t::starts_on)
        .load(conn)
        .await?;
    Ok(days.into_iter().map(Month::of).collect())
}
