//! The pipeline's half of the store: claims, leases, attempts, steps.

use chrono::{DateTime, Duration, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    base::{
        clock::MOST_AHEAD,
        ids::{AssetId, AttemptId, GenerationId, ObjectId},
        money::Micros,
    },
    platform::{
        db::{
            Conn, DbError, Tx,
            schema::{attempts, generation_outputs, generation_progress, generations},
        },
        keyring::OwnerKey,
    },
    studio::{
        model::{GenerationFault, State},
        store::{ERROR_MESSAGE, PREVIEW},
    },
};

/// How long a worker that says nothing keeps its work.
pub fn lease() -> Duration {
    Duration::seconds(15)
}

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Leases waiting or abandoned work to `owner`: round robin over people, at most `per_person` at once for each of them.
/// Work whose worker died comes before new work. What seems to be further in the future than clocks differ is due too: a
/// clock went back. What `owner` carries already is its own, however long it could not say so.
pub async fn claim(
    conn: &mut Conn,
    owner: Uuid,
    carried: &[Uuid],
    now: DateTime<Utc>,
    per_person: i64,
    most: i64,
) -> Result<Vec<GenerationId>, DbError> {
    let rows: Vec<Claimed> = diesel::sql_query(
        "with busy as (
             select person_id, count(*) as running from generations
             where ended_at is null and lease_until between $2 and $7 group by person_id),
         free as (
             select id, person_id, state = 'queued' as fresh,
                    row_number() over (partition by person_id order by state = 'queued', id) as turn
             from generations
             where ended_at is null and state <> 'unknown' and (not_before <= $2 or not_before > $6)
               and (lease_until is null or lease_until < $2 or lease_until > $7) and id <> all($8)),
         chosen as (
             select free.id from free left join busy using (person_id)
             where coalesce(busy.running, 0) + free.turn <= $3
             order by free.fresh, coalesce(busy.running, 0) + free.turn, free.id limit $4)
         update generations g set lease_owner = $1, lease_until = $5
         from chosen
         where g.id = chosen.id and g.ended_at is null and g.state <> 'unknown'
           and (g.lease_until is null or g.lease_until < $2 or g.lease_until > $7)
         returning g.id",
    )
    .bind::<SqlUuid, _>(owner)
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(per_person)
    .bind::<BigInt, _>(most)
    .bind::<Timestamptz, _>(now + lease())
    .bind::<Timestamptz, _>(now + MOST_AHEAD)
    .bind::<Timestamptz, _>(now + lease() + MOST_AHEAD)
    .bind::<Array<SqlUuid>, _>(carried)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id.into()).collect())
}

/// Keeps the lease; false when somebody else has it by now.
pub async fn renew(conn: &mut Conn, id: GenerationId, owner: Uuid, now: DateTime<Utc>) -> Result<bool, DbError> {
    use generations as g;
    let kept = diesel::update(g::table.find(id).filter(g::lease_owner.eq(owner).and(g::ended_at.is_null())))
        .set(g::lease_until.eq(now + lease()))
        .execute(conn)
        .await?;
    Ok(kept == 1)
}

/// Gives work back, to be taken up by anybody at once.
pub async fn give_back(conn: &mut Conn, owner: Uuid) -> Result<usize, DbError> {
    use generations as g;
    Ok(diesel::update(g::table.filter(g::lease_owner.eq(owner).and(g::ended_at.is_null())))
        .set((g::lease_owner.eq(None::<Uuid>), g::lease_until.eq(None::<DateTime<Utc>>)))
        .execute(conn)
        .await?)
}

/// Ends every lease.
pub async fn free_all(conn: &mut Conn) -> Result<usize, DbError> {
    use generations as g;
    Ok(diesel::update(g::table.filter(g::lease_owner.is_not_null().and(g::ended_at.is_null())))
        .set((g::lease_owner.eq(None::<Uuid>), g::lease_until.eq(None::<DateTime<Utc>>)))
        .execute(conn)
        .await?)
}

/// Moves a leased generation on, if it is still leased to `owner` and in one of the states `from`.
pub async fn step(
    tx: &mut Tx,
    id: GenerationId,
    owner: Uuid,
    from: &[State],
    to: State,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    use generations as g;
    let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
    let moved = diesel::update(g::table.find(id).filter(g::lease_owner.eq(owner).and(g::state.eq_any(from))))
        .set((
            g::state.eq(to.as_str()),
            g::started_at.eq(diesel::dsl::case_when(
                g::started_at.is_null(),
                now.into_sql::<diesel::sql_types::Nullable<Timestamptz>>(),
            )
            .otherwise(g::started_at)),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(moved == 1)
}

/// Opens the next attempt and counts it.
pub async fn open_attempt(
    tx: &mut Tx,
    id: GenerationId,
    attempt: AttemptId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use generations as g;
    let number: i32 = diesel::update(g::table.find(id))
        .set(g::attempts.eq(g::attempts + 1))
        .returning(g::attempts)
        .get_result(&mut **tx)
        .await?;
    use attempts as a;
    diesel::insert_into(a::table)
        .values((
            a::id.eq(attempt),
            a::generation_id.eq(id),
            a::number.eq(number),
            a::state.eq("submitting"),
            a::created_at.eq(now),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Every attempt of the generation that is still open gets this end.
pub async fn close_attempts(
    tx: &mut Tx,
    id: GenerationId,
    state: &str,
    billed: Option<Micros>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use attempts as a;
    diesel::update(a::table.filter(a::generation_id.eq(id).and(a::ended_at.is_null())))
        .set((a::state.eq(state), a::billed_micros.eq(billed.map(|micros| micros.0)), a::ended_at.eq(now)))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What the newest attempt was billed.
pub async fn billed(conn: &mut Conn, id: GenerationId) -> Result<Micros, DbError> {
    use attempts as a;
    let billed: Option<Option<i64>> = a::table
        .filter(a::generation_id.eq(id))
        .order(a::number.desc())
        .select(a::billed_micros)
        .first(conn)
        .await
        .optional()?;
    Ok(Micros(billed.flatten().unwrap_or(0)))
}

pub async fn attempt_runs(tx: &mut Tx, id: GenerationId) -> Result<(), DbError> {
    use attempts as a;
    diesel::update(a::table.filter(a::generation_id.eq(id).and(a::ended_at.is_null())))
        .set(a::state.eq("running"))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What a generation ends with.
pub struct End {
    pub state: State,
    pub actual: Micros,
    pub overage: Micros,
    pub error: Option<GenerationFault>,
}

/// A provider's words may repeat the prompt.
fn sealed_message(key: &OwnerKey, id: GenerationId, fault: &GenerationFault) -> Result<Vec<u8>, DbError> {
    key.seal(ERROR_MESSAGE, id.uuid(), fault.message.as_bytes())
}

/// Ends it; nothing works on it any more and its progress is gone.
pub async fn end(tx: &mut Tx, key: &OwnerKey, id: GenerationId, end: &End, now: DateTime<Utc>) -> Result<(), DbError> {
    let message = end.error.as_ref().map(|fault| sealed_message(key, id, fault)).transpose()?;
    use generations as g;
    diesel::update(g::table.find(id).filter(g::ended_at.is_null()))
        .set((
            g::state.eq(end.state.as_str()),
            g::actual_micros.eq(end.actual.0),
            g::overage_micros.eq(end.overage.0),
            g::error_code.eq(end.error.as_ref().map(|fault| fault.code.clone())),
            g::error_message.eq(message),
            g::error_retryable.eq(end.error.as_ref().map(|fault| fault.retryable)),
            g::lease_owner.eq(None::<Uuid>),
            g::lease_until.eq(None::<DateTime<Utc>>),
            g::ended_at.eq(now),
        ))
        .execute(&mut **tx)
        .await?;
    diesel::delete(generation_progress::table.find(id)).execute(&mut **tx).await?;
    Ok(())
}

/// The answer was lost: nobody works on it, the hold stays.
pub async fn lose(tx: &mut Tx, key: &OwnerKey, id: GenerationId, fault: &GenerationFault) -> Result<(), DbError> {
    use generations as g;
    diesel::update(g::table.find(id).filter(g::ended_at.is_null()))
        .set((
            g::state.eq(State::Unknown.as_str()),
            g::error_code.eq(&fault.code),
            g::error_message.eq(sealed_message(key, id, fault)?),
            g::error_retryable.eq(fault.retryable),
            g::lease_owner.eq(None::<Uuid>),
            g::lease_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(&mut **tx)
        .await?;
    diesel::delete(generation_progress::table.find(id)).execute(&mut **tx).await?;
    Ok(())
}

pub async fn request_cancel(tx: &mut Tx, id: GenerationId, now: DateTime<Utc>) -> Result<(), DbError> {
    use generations as g;
    diesel::update(g::table.find(id)).set(g::cancel_requested_at.eq(now)).execute(&mut **tx).await?;
    Ok(())
}

pub async fn cancel_requested(conn: &mut Conn, id: GenerationId) -> Result<bool, DbError> {
    use generations as g;
    let at: Option<Option<DateTime<Utc>>> =
        g::table.find(id).select(g::cancel_requested_at).first(conn).await.optional()?;
    Ok(at.flatten().is_some())
}

/// A raw result that is stored and not yet an asset.
#[derive(Clone, Copy, Debug)]
pub struct Raw {
    pub position: i32,
    pub object: ObjectId,
    pub seed: Option<u32>,
}

pub async fn insert_raw(tx: &mut Tx, id: GenerationId, raw: &[Raw]) -> Result<(), DbError> {
    use generation_outputs as o;
    let rows: Vec<_> = raw
        .iter()
        .map(|raw| {
            (
                o::generation_id.eq(id),
                o::position.eq(raw.position),
                o::object_id.eq(raw.object),
                o::seed.eq(raw.seed.map(i64::from)),
            )
        })
        .collect();
    diesel::insert_into(o::table).values(rows).execute(&mut **tx).await?;
    Ok(())
}

/// Results that wait to become assets, in order.
pub async fn raw(conn: &mut Conn, id: GenerationId) -> Result<Vec<Raw>, DbError> {
    use generation_outputs as o;
    let rows: Vec<(i32, Uuid, Option<i64>)> = o::table
        .filter(o::generation_id.eq(id).and(o::object_id.is_not_null()))
        .order(o::position)
        .select((o::position, o::object_id.assume_not_null(), o::seed))
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(position, object, seed)| Raw {
            position,
            object: object.into(),
            seed: seed.and_then(|seed| u32::try_from(seed).ok()),
        })
        .collect())
}

/// The raw result is an asset now; the library owns its object.
pub async fn set_asset(tx: &mut Tx, id: GenerationId, position: i32, asset: AssetId) -> Result<(), DbError> {
    use generation_outputs as o;
    diesel::update(o::table.find((id, position)))
        .set((o::asset_id.eq(asset), o::object_id.eq(None::<Uuid>)))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Results that become nothing; returns their objects.
pub async fn drop_raw(tx: &mut Tx, id: GenerationId) -> Result<Vec<ObjectId>, DbError> {
    use generation_outputs as o;
    let objects: Vec<Option<Uuid>> =
        diesel::delete(o::table.filter(o::generation_id.eq(id))).returning(o::object_id).get_results(&mut **tx).await?;
    Ok(objects.into_iter().flatten().map(Into::into).collect())
}

/// Tells how far it is; a preview replaces the one before.
pub async fn tell_progress(
    tx: &mut Tx,
    key: &OwnerKey,
    id: GenerationId,
    step: &str,
    fraction: Option<f64>,
    preview: Option<&[u8]>,
) -> Result<(), DbError> {
    use generation_progress as p;
    let preview = preview.map(|preview| key.seal(PREVIEW, id.uuid(), preview)).transpose()?;
    diesel::insert_into(p::table)
        .values((
            p::generation_id.eq(id),
            p::step.eq(step),
            p::fraction.eq(fraction),
            p::preview_version.eq(i32::from(preview.is_some())),
            p::preview.eq(&preview),
        ))
        .on_conflict(p::generation_id)
        .do_update()
        .set((p::step.eq(step), p::fraction.eq(fraction)))
        .execute(&mut **tx)
        .await?;
    if let Some(preview) = preview {
        diesel::update(p::table.find(id))
            .set((p::preview.eq(preview), p::preview_version.eq(p::preview_version + 1)))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
