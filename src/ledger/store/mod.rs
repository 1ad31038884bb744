//! The tables of the ledger.

use chrono::NaiveDate;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Date, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    error::LedgerError,
    model::{NewHold, Payer, Settled, Sums, Window},
};
use crate::{
    base::{
        ctx::Ctx,
        ids::{AccountId, GenerationId, HoldId, PersonId, ProviderId, TransactionId},
        money::Micros,
    },
    platform::db::{
        Conn, DbError, Tx,
        schema::{holds, ledger_accounts, ledger_postings, ledger_transactions},
    },
};

pub mod caps;
pub mod checks;

/// The columns of several windows, for `unnest`.
struct Keys {
    scopes: Vec<&'static str>,
    subjects: Vec<Uuid>,
    periods: Vec<&'static str>,
    starts: Vec<NaiveDate>,
}

impl Keys {
    fn of(windows: &[Window]) -> Self {
        Self {
            scopes: windows.iter().map(|window| window.scope.as_str()).collect(),
            subjects: windows.iter().map(|window| window.subject).collect(),
            periods: windows.iter().map(|window| window.period.as_str()).collect(),
            starts: windows.iter().map(|window| window.starts_on).collect(),
        }
    }
}

#[derive(QueryableByName)]
struct WindowRow {
    #[diesel(sql_type = Text)]
    scope: String,
    #[diesel(sql_type = SqlUuid)]
    subject_id: Uuid,
    #[diesel(sql_type = Text)]
    period: String,
    #[diesel(sql_type = Date)]
    starts_on: NaiveDate,
    #[diesel(sql_type = BigInt)]
    held_micros: i64,
    #[diesel(sql_type = BigInt)]
    spent_micros: i64,
}

impl WindowRow {
    fn read(self) -> Result<(Window, Sums), LedgerError> {
        let window = Window {
            scope: self.scope.parse()?,
            subject: self.subject_id,
            period: self.period.parse()?,
            starts_on: self.starts_on,
        };
        Ok((window, Sums { held: Micros(self.held_micros), spent: Micros(self.spent_micros) }))
    }
}

/// Makes the windows that are missing and locks all of them, always in the same order: two transactions that meet wait
/// for each other and never block each other for good.
pub async fn lock_windows(tx: &mut Tx, windows: &[Window]) -> Result<Vec<(Window, Sums)>, LedgerError> {
    let keys = Keys::of(windows);
    diesel::sql_query(
        "insert into cap_windows (scope, subject_id, period, starts_on)
         select * from unnest($1, $2, $3, $4) as wanted (scope, subject_id, period, starts_on) order by 1, 2, 3, 4
         on conflict do nothing",
    )
    .bind::<Array<Text>, _>(&keys.scopes)
    .bind::<Array<SqlUuid>, _>(&keys.subjects)
    .bind::<Array<Text>, _>(&keys.periods)
    .bind::<Array<Date>, _>(&keys.starts)
    .execute(&mut **tx)
    .await?;
    read_windows(tx, &keys, "for update of held").await
}

/// What the windows have counted so far; one that nobody has used yet is left out.
pub async fn windows(conn: &mut Conn, windows: &[Window]) -> Result<Vec<(Window, Sums)>, LedgerError> {
    read_windows(conn, &Keys::of(windows), "").await
}

async fn read_windows(conn: &mut Conn, keys: &Keys, lock: &'static str) -> Result<Vec<(Window, Sums)>, LedgerError> {
    let rows: Vec<WindowRow> = diesel::sql_query(format!(
        "select held.scope, held.subject_id, held.period, held.starts_on, held.held_micros, held.spent_micros
         from cap_windows held
         join unnest($1, $2, $3, $4) as wanted (scope, subject_id, period, starts_on)
             on held.scope = wanted.scope and held.subject_id = wanted.subject_id
             and held.period = wanted.period and held.starts_on = wanted.starts_on
         order by 1, 2, 3, 4 {lock}"
    ))
    .bind::<Array<Text>, _>(&keys.scopes)
    .bind::<Array<SqlUuid>, _>(&keys.subjects)
    .bind::<Array<Text>, _>(&keys.periods)
    .bind::<Array<Date>, _>(&keys.starts)
    .load(conn)
    .await?;
    rows.into_iter().map(WindowRow::read).collect()
}

/// Adds to the sums of windows that are locked.
pub async fn add(tx: &mut Tx, windows: &[Window], held: Micros, spent: Micros) -> Result<(), DbError> {
    let keys = Keys::of(windows);
    diesel::sql_query(
        "update cap_windows held set held_micros = held_micros + $5, spent_micros = spent_micros + $6
         from unnest($1, $2, $3, $4) as wanted (scope, subject_id, period, starts_on)
         where held.scope = wanted.scope and held.subject_id = wanted.subject_id
             and held.period = wanted.period and held.starts_on = wanted.starts_on",
    )
    .bind::<Array<Text>, _>(&keys.scopes)
    .bind::<Array<SqlUuid>, _>(&keys.subjects)
    .bind::<Array<Text>, _>(&keys.periods)
    .bind::<Array<Date>, _>(&keys.starts)
    .bind::<BigInt, _>(held.0)
    .bind::<BigInt, _>(spent.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn create_hold(tx: &mut Tx, ctx: &Ctx, new: &NewHold) -> Result<HoldId, DbError> {
    let id = HoldId::new(&ctx.clock);
    let now = ctx.clock.now();
    diesel::insert_into(holds::table)
        .values((
            holds::id.eq(id),
            holds::generation_id.eq(new.generation),
            holds::organisation_id.eq(new.organisation),
            holds::workspace_id.eq(new.workspace),
            holds::person_id.eq(new.person),
            holds::provider_id.eq(new.provider),
            holds::price_card_id.eq(new.price_card),
            holds::currency.eq(new.amount.currency.as_str()),
            holds::amount_micros.eq(new.amount.micros.0),
            holds::made_on.eq(now.date_naive()),
            holds::created_at.eq(now),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

/// A hold, as much of it as settling needs.
#[derive(Queryable, Selectable)]
#[diesel(table_name = holds)]
pub struct Hold {
    pub id: HoldId,
    organisation_id: Uuid,
    workspace_id: Uuid,
    person_id: Uuid,
    provider_id: Uuid,
    pub currency: String,
    amount_micros: i64,
    actual_micros: Option<i64>,
    state: String,
    pub made_on: NaiveDate,
}

/// Where a hold is on its one way.
pub enum Stage {
    Pending,
    Posted(Settled),
    Voided,
}

impl Hold {
    pub fn payer(&self) -> Payer {
        Payer {
            organisation: self.organisation_id.into(),
            workspace: self.workspace_id.into(),
            person: self.person_id.into(),
        }
    }

    pub fn amount(&self) -> Micros {
        Micros(self.amount_micros)
    }

    /// What billing `actual` means for this hold.
    pub fn settled(&self, actual: Micros) -> Settled {
        Settled { charged: actual, overage: Micros(actual.0.saturating_sub(self.amount_micros).max(0)) }
    }

    pub fn stage(&self) -> Stage {
        match (self.state.as_str(), self.actual_micros) {
            ("posted", Some(actual)) => Stage::Posted(self.settled(Micros(actual))),
            ("voided", _) => Stage::Voided,
            _ => Stage::Pending,
        }
    }
}

/// Locks the hold, so that of two that would resolve it one waits and then sees what the other did.
pub async fn lock_hold(tx: &mut Tx, generation: GenerationId) -> Result<Option<Hold>, DbError> {
    Ok(holds::table
        .filter(holds::generation_id.eq(generation))
        .select(Hold::as_select())
        .for_update()
        .first(&mut **tx)
        .await
        .optional()?)
}

/// Posts (`actual`) or voids (none) a pending hold.
pub async fn resolve_hold(tx: &mut Tx, ctx: &Ctx, hold: &Hold, actual: Option<Micros>) -> Result<(), DbError> {
    diesel::update(holds::table.find(hold.id).filter(holds::state.eq("pending")))
        .set((
            holds::state.eq(if actual.is_some() { "posted" } else { "voided" }),
            holds::actual_micros.eq(actual.map(|micros| micros.0)),
            holds::resolved_at.eq(ctx.clock.now()),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Sums of what holds made since `day` were resolved to, by provider.
pub async fn charged_by_provider(conn: &mut Conn, day: NaiveDate) -> Result<Vec<(ProviderId, Micros)>, DbError> {
    // A sum of 64-bit integers is a numeric in Postgres; the windows' checks keep it within 64 bits.
    let sum = diesel::dsl::sql::<BigInt>("coalesce(sum(actual_micros), 0)::bigint");
    let rows: Vec<(Uuid, i64)> = holds::table
        .filter(holds::state.eq("posted").and(holds::made_on.ge(day)))
        .group_by(holds::provider_id)
        .select((holds::provider_id, sum))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|(id, micros)| (id.into(), Micros(micros))).collect())
}

/// What a transaction records.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    Charge,
    Overage,
}

/// Posts `amount` from the provider's account to the person's: two postings that sum to zero.
pub async fn post(tx: &mut Tx, ctx: &Ctx, hold: &Hold, entry: Entry, amount: Micros) -> Result<(), DbError> {
    let person = account(tx, ctx, "person", hold.person_id).await?;
    let provider = account(tx, ctx, "provider", hold.provider_id).await?;
    let id = TransactionId::new(&ctx.clock);
    diesel::insert_into(ledger_transactions::table)
        .values((
            ledger_transactions::id.eq(id),
            ledger_transactions::hold_id.eq(hold.id),
            ledger_transactions::kind.eq(match entry {
                Entry::Charge => "charge",
                Entry::Overage => "overage",
            }),
            ledger_transactions::currency.eq(&hold.currency),
            ledger_transactions::created_at.eq(ctx.clock.now()),
        ))
        .execute(&mut **tx)
        .await?;
    let posting = |account: Uuid, micros: i64| {
        (
            ledger_postings::transaction_id.eq(id),
            ledger_postings::account_id.eq(account),
            ledger_postings::amount_micros.eq(micros),
        )
    };
    // An amount is never below zero, so its negative always fits.
    let postings = [posting(person, amount.0), posting(provider, amount.0.saturating_neg())];
    diesel::insert_into(ledger_postings::table).values(postings.as_slice()).execute(&mut **tx).await?;
    Ok(())
}

async fn account(tx: &mut Tx, ctx: &Ctx, kind: &'static str, subject: Uuid) -> Result<Uuid, DbError> {
    diesel::insert_into(ledger_accounts::table)
        .values((
            ledger_accounts::id.eq(AccountId::new(&ctx.clock)),
            ledger_accounts::kind.eq(kind),
            ledger_accounts::subject_id.eq(subject),
            ledger_accounts::created_at.eq(ctx.clock.now()),
        ))
        .on_conflict_do_nothing()
        .execute(&mut **tx)
        .await?;
    Ok(ledger_accounts::table
        .filter(ledger_accounts::kind.eq(kind).and(ledger_accounts::subject_id.eq(subject)))
        .select(ledger_accounts::id)
        .first(&mut **tx)
        .await?)
}

/// A window whose sums are not what holds and postings add up to.
#[derive(Debug, QueryableByName, PartialEq, Eq)]
pub struct Drift {
    #[diesel(sql_type = Text)]
    pub scope: String,
    #[diesel(sql_type = SqlUuid)]
    pub subject_id: Uuid,
    #[diesel(sql_type = Text)]
    pub period: String,
    #[diesel(sql_type = Date)]
    pub starts_on: NaiveDate,
}

/// Adds up every hold and posting again and compares with the running sums.
pub async fn drift(conn: &mut Conn) -> Result<Vec<Drift>, DbError> {
    Ok(diesel::sql_query(
        "with work as (
             select hold.id, hold.organisation_id, hold.workspace_id, hold.person_id, hold.made_on,
                 case when hold.state = 'pending' then hold.amount_micros else 0 end as held,
                 coalesce((select sum(posting.amount_micros) from ledger_transactions act
                     join ledger_postings posting on posting.transaction_id = act.id
                     join ledger_accounts account on account.id = posting.account_id
                     where act.hold_id = hold.id and account.kind = 'person'), 0) as spent
             from holds hold
         ), replayed as (
             select subject.scope, subject.id as subject_id, time.period, time.starts_on,
                 sum(work.held) as held, sum(work.spent) as spent
             from work
             cross join lateral (values ('organisation', work.organisation_id), ('workspace', work.workspace_id),
                 ('person', work.person_id)) as subject (scope, id)
             cross join lateral (values ('day', work.made_on), ('month', date_trunc('month', work.made_on)::date),
                 ('total', date '1970-01-01')) as time (period, starts_on)
             group by 1, 2, 3, 4
         )
         select scope, subject_id, period, starts_on
         from cap_windows running full join replayed using (scope, subject_id, period, starts_on)
         where coalesce(running.held_micros, 0) <> coalesce(replayed.held, 0)
             or coalesce(running.spent_micros, 0) <> coalesce(replayed.spent, 0)
         order by 1, 2, 3, 4",
    )
    .load(conn)
    .await?)
}

/// As much of a hold as whoever ordered the work can compare with it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = holds)]
pub struct Held {
    pub id: HoldId,
    pub generation_id: GenerationId,
    pub person_id: PersonId,
    pub currency: String,
    pub amount_micros: i64,
    pub actual_micros: Option<i64>,
    pub state: String,
}

/// The holds of these generations.
pub async fn held_for(conn: &mut Conn, generations: &[GenerationId]) -> Result<Vec<Held>, DbError> {
    let wanted = holds::table.filter(holds::generation_id.eq_any(generations));
    Ok(wanted.select(Held::as_select()).load(conn).await?)
}

/// Holds after `after` in the order of their ids.
pub async fn held_after(conn: &mut Conn, after: HoldId, limit: i64) -> Result<Vec<Held>, DbError> {
    let next = holds::table.filter(holds::id.gt(after)).order(holds::id).limit(limit);
    Ok(next.select(Held::as_select()).load(conn).await?)
}
