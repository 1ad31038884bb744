//! The only files that name the studio's tables.
//!
//! `mod` reads and writes generations for people, `work` is the pipeline's half, `log` the event log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::model::{Generation, GenerationFault, NewReference, Output, Progress, State};
use crate::{
    base::{
        access::{Grant, StudioRead},
        ids::GenerationId,
        money::{Currency, Micros},
        paging::{Page, PageRequest},
    },
    inference::model::{ReferenceRole, Size},
    platform::{
        db::{
            Conn, DbError, Tx,
            schema::{generation_outputs, generation_progress, generation_references, generations},
        },
        keyring::{Keyring, OwnerKeys, Words},
    },
};

pub mod checks;
mod data_map;
pub mod log;
pub mod queue;
pub mod recent;
pub mod work;

pub use data_map::DATA_MAP;

#[derive(Queryable, Selectable)]
#[diesel(table_name = generations)]
struct Row {
    id: Uuid,
    workspace_id: Uuid,
    person_id: Uuid,
    model_id: String,
    provider_id: Uuid,
    provider: String,
    prompt: Vec<u8>,
    size: String,
    count: i32,
    seed: Option<i64>,
    parameters: Vec<u8>,
    state: String,
    price_card_id: Uuid,
    held_micros: i64,
    actual_micros: Option<i64>,
    overage_micros: Option<i64>,
    currency: String,
    error_code: Option<String>,
    error_message: Option<Vec<u8>>,
    error_retryable: Option<bool>,
    attempts: i32,
    retry_of: Option<Uuid>,
    cancel_requested_at: Option<DateTime<Utc>>,
    resubmittable: bool,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

/// What the columns are sealed as, with the key of the generation's person.
const PROMPT: &str = "generations.prompt";
const PARAMETERS: &str = "generations.parameters";
const ERROR_MESSAGE: &str = "generations.error_message";
const PREVIEW: &str = "generation_progress.preview";

impl Row {
    fn open(self, keys: &OwnerKeys) -> Result<Generation, DbError> {
        let row = self;
        let key = keys.get(row.person_id)?;
        let retryable = row.error_retryable.unwrap_or(false);
        let message = row.error_message.map(|message| key.open_text(ERROR_MESSAGE, row.id, &message)).transpose()?;
        let parameters = key.open(PARAMETERS, row.id, &row.parameters)?;
        Ok(Generation {
            id: row.id.into(),
            workspace: row.workspace_id.into(),
            person: row.person_id.into(),
            model: row.model_id,
            provider_id: row.provider_id.into(),
            provider: row.provider,
            prompt: key.open_text(PROMPT, row.id, &row.prompt)?,
            size: row.size.parse().unwrap_or(Size { width: 1, height: 1 }),
            count: u32::try_from(row.count).unwrap_or(1),
            seed: row.seed.and_then(|seed| u32::try_from(seed).ok()),
            parameters: serde_json::from_slice(&parameters).map_err(DbError::unreadable)?,
            references: Vec::new(),
            state: State::parse(&row.state),
            price_card: row.price_card_id.into(),
            held: Micros(row.held_micros),
            actual: row.actual_micros.map(Micros),
            overage: row.overage_micros.map(Micros),
            // A check constraint allows nothing but a currency's code.
            currency: row.currency.parse().unwrap_or(Currency::NONE),
            error: row.error_code.zip(message).map(|(code, message)| GenerationFault { code, message, retryable }),
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            retry_of: row.retry_of.map(Into::into),
            cancel_requested: row.cancel_requested_at.is_some(),
            resubmittable: row.resubmittable,
            outputs: Vec::new(),
            progress: Progress::default(),
            place: None,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
        })
    }
}

/// What a generation's person wrote, as it is stored.
pub struct Sealed {
    prompt: Vec<u8>,
    words: Words,
    parameters: Vec<u8>,
}

impl Sealed {
    /// With the keys of the generation's person and workspace.
    pub fn new(keys: &OwnerKeys, generation: &Generation) -> Result<Self, DbError> {
        let (id, key) = (generation.id.uuid(), keys.get(generation.person.uuid())?);
        let parameters = serde_json::to_vec(&generation.parameters).map_err(DbError::unreadable)?;
        Ok(Self {
            prompt: key.seal(PROMPT, id, generation.prompt.as_bytes())?,
            words: keys.get(generation.workspace.uuid())?.words(&[&generation.prompt]),
            parameters: key.seal(PARAMETERS, id, &parameters)?,
        })
    }
}

/// Writes accepted generations with their references.
pub async fn insert(tx: &mut Tx, accepted: &[(&Generation, &Sealed)], now: DateTime<Utc>) -> Result<(), DbError> {
    use generations as g;
    let rows: Vec<_> = accepted
        .iter()
        .map(|&(generation, sealed)| {
            (
                g::id.eq(generation.id),
                g::workspace_id.eq(generation.workspace),
                g::person_id.eq(generation.person),
                g::model_id.eq(&generation.model),
                g::provider_id.eq(generation.provider_id),
                g::provider.eq(&generation.provider),
                g::prompt.eq(&sealed.prompt),
                g::words.eq(&sealed.words),
                g::size.eq(generation.size.to_string()),
                g::count.eq(i32::try_from(generation.count).unwrap_or(i32::MAX)),
                g::seed.eq(generation.seed.map(i64::from)),
                g::parameters.eq(&sealed.parameters),
                g::price_card_id.eq(generation.price_card),
                g::held_micros.eq(generation.held.0),
                g::currency.eq(generation.currency.as_str()),
                g::retry_of.eq(generation.retry_of),
                g::resubmittable.eq(generation.resubmittable),
                g::not_before.eq(now),
                g::created_at.eq(generation.created_at),
            )
        })
        .collect();
    diesel::insert_into(g::table).values(rows).execute(&mut **tx).await?;
    insert_references(tx, accepted.iter().map(|(generation, _)| *generation)).await
}

async fn insert_references<'a>(tx: &mut Tx, generations: impl Iterator<Item = &'a Generation>) -> Result<(), DbError> {
    use generation_references as r;
    let rows: Vec<_> = generations
        .flat_map(|generation| generation.references.iter().zip(0i32..).map(move |of| (generation.id, of)))
        .map(|(generation, (reference, position))| {
            (
                r::generation_id.eq(generation),
                r::position.eq(position),
                r::asset_id.eq(reference.asset),
                r::role.eq(reference.role.as_str()),
                r::strength.eq(reference.strength.map(f64::from)),
            )
        })
        .collect();
    if !rows.is_empty() {
        diesel::insert_into(r::table).values(rows).execute(&mut **tx).await?;
    }
    Ok(())
}

/// How many generations wait in the queue, up to a thousand.
pub async fn waiting(conn: &mut Conn) -> Result<u32, DbError> {
    let count = diesel::sql_query(
        "select count(*) as count from (select from generations where state = 'queued' limit 1000) as queued",
    );
    let Count { count } = count.get_result(conn).await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// What to look for in the own generations; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<State>,
    pub model: Option<String>,
    pub person: Option<Uuid>,
    pub open: bool,
    /// Words of the prompt, or how they begin.
    pub search: Option<String>,
}

pub async fn list(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<StudioRead>,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Generation>, DbError> {
    use generations as g;
    let mut query = g::table
        .filter(g::workspace_id.eq(grant.workspace()).and(g::person_id.eq(grant.person())))
        .order(g::id.desc())
        .limit(page.fetch())
        .select(Row::as_select())
        .into_boxed();
    if let Some(before) = page.before {
        query = query.filter(g::id.lt(before));
    }
    if let Some(state) = filter.state {
        query = query.filter(g::state.eq(state.as_str()));
    }
    if let Some(model) = &filter.model {
        query = query.filter(g::model_id.eq(model));
    }
    if let Some(person) = filter.person {
        query = query.filter(g::person_id.eq(person));
    }
    if filter.open {
        query = query.filter(g::ended_at.is_null());
    }
    if let Some(search) = &filter.search {
        // What has no word in it finds nothing.
        match keys.of(conn, grant.workspace().uuid()).await?.query(search) {
            Some(words) => query = query.filter(g::words.contains(words)),
            None => query = query.filter(g::id.is_null()),
        }
    }
    let rows: Vec<Row> = query.load(conn).await?;
    let page = Page::from_fetched(rows, page, |row| row.id);
    Ok(Page { items: complete(conn, keys, page.items).await?, next: page.next })
}

/// One own generation.
pub async fn find(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<StudioRead>,
    id: GenerationId,
) -> Result<Option<Generation>, DbError> {
    Ok(load(conn, keys, id)
        .await?
        .filter(|generation| generation.person == grant.person() && generation.workspace == grant.workspace()))
}

/// Any generation; for the server's own work.
pub async fn load(conn: &mut Conn, keys: &Keyring, id: GenerationId) -> Result<Option<Generation>, DbError> {
    let row: Option<Row> = generations::table.find(id).select(Row::as_select()).first(conn).await.optional()?;
    Ok(complete(conn, keys, row.into_iter().collect()).await?.pop())
}

/// Locks the row until the transaction ends, so that two steps of one generation cannot overlap.
pub async fn lock(tx: &mut Tx, keys: &Keyring, id: GenerationId) -> Result<Option<Generation>, DbError> {
    let row: Option<Row> =
        generations::table.find(id).select(Row::as_select()).for_update().first(&mut **tx).await.optional()?;
    Ok(complete(tx, keys, row.into_iter().collect()).await?.pop())
}

/// The preview's bytes with their version.
pub async fn preview(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<StudioRead>,
    id: GenerationId,
) -> Result<Option<(i32, Vec<u8>)>, DbError> {
    use generation_progress as p;
    let row: Option<(i32, Option<Vec<u8>>)> = p::table
        .inner_join(generations::table)
        .filter(p::generation_id.eq(id))
        .filter(generations::person_id.eq(grant.person()).and(generations::workspace_id.eq(grant.workspace())))
        .select((p::preview_version, p::preview))
        .first(conn)
        .await
        .optional()?;
    let Some((version, Some(sealed))) = row else { return Ok(None) };
    let key = keys.of(conn, grant.person().uuid()).await?;
    Ok(Some((version, key.open(PREVIEW, id.uuid(), &sealed)?)))
}

/// Spent per day since `since`, of what has ended.
pub async fn spent_by_day(
    conn: &mut Conn,
    grant: &Grant<StudioRead>,
    since: DateTime<Utc>,
) -> Result<Vec<(DateTime<Utc>, i64)>, DbError> {
    use generations as g;
    Ok(g::table
        .filter(g::person_id.eq(grant.person()).and(g::workspace_id.eq(grant.workspace())))
        .filter(g::created_at.ge(since).and(g::actual_micros.gt(0)))
        .order(g::created_at)
        .select((g::created_at, g::actual_micros.assume_not_null()))
        .load(conn)
        .await?)
}

/// Model and provider of each of these.
pub async fn made_by(
    conn: &mut Conn,
    ids: &[GenerationId],
) -> Result<HashMap<GenerationId, (String, String)>, DbError> {
    use generations as g;
    let rows: Vec<(GenerationId, String, String)> =
        g::table.filter(g::id.eq_any(ids)).select((g::id, g::model_id, g::provider)).load(conn).await?;
    Ok(rows.into_iter().map(|(id, model, provider)| (id, (model, provider))).collect())
}

/// How many of the person's generations run, and how many wait.
pub async fn counts(conn: &mut Conn, person: Uuid) -> Result<(i64, i64), DbError> {
    use diesel::dsl::{case_when, sum};
    use generations as g;
    let (running, waiting): (Option<i64>, Option<i64>) = g::table
        .filter(g::person_id.eq(person).and(g::ended_at.is_null()).and(g::state.ne("unknown")))
        .select((
            sum(case_when::<_, _, diesel::sql_types::Integer>(g::state.ne("queued"), 1).otherwise(0)),
            sum(case_when::<_, _, diesel::sql_types::Integer>(g::state.eq("queued"), 1).otherwise(0)),
        ))
        .first(conn)
        .await?;
    Ok((running.unwrap_or(0), waiting.unwrap_or(0)))
}

/// References, outputs, progress and places of these generations, in a few statements for all of them.
async fn complete(conn: &mut Conn, keys: &Keyring, rows: Vec<Row>) -> Result<Vec<Generation>, DbError> {
    let keys = keys.of_all(conn, rows.iter().map(|row| row.person_id)).await?;
    let mut all = rows.into_iter().map(|row| row.open(&keys)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<Uuid> = all.iter().map(|generation| generation.id.uuid()).collect();
    let mut references = references_of(conn, &ids).await?;
    let mut outputs = outputs_of(conn, &ids).await?;
    let mut progress = progress_of(conn, &ids).await?;
    for generation in &mut all {
        let id = generation.id.uuid();
        generation.references = references.remove(&id).unwrap_or_default();
        generation.outputs = outputs.remove(&id).unwrap_or_default();
        generation.progress = progress.remove(&id).unwrap_or_default();
        if generation.state == State::Queued {
            generation.place = Some(place_of(conn, id).await?);
        }
    }
    Ok(all)
}

async fn references_of(conn: &mut Conn, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<NewReference>>, DbError> {
    use generation_references as r;
    let rows: Vec<(Uuid, Uuid, String, Option<f64>)> = r::table
        .filter(r::generation_id.eq_any(ids))
        .order((r::generation_id, r::position))
        .select((r::generation_id, r::asset_id, r::role, r::strength))
        .load(conn)
        .await?;
    let mut found: HashMap<Uuid, Vec<NewReference>> = HashMap::new();
    for (generation, asset, role, strength) in rows {
        let reference = NewReference { asset: asset.into(), role: role_of(&role), strength: strength.map(narrow) };
        found.entry(generation).or_default().push(reference);
    }
    Ok(found)
}

/// A strength was a 32-bit number before it was stored.
#[expect(clippy::cast_possible_truncation, reason = "it came from this type")]
fn narrow(strength: f64) -> f32 {
    strength as f32
}

fn role_of(text: &str) -> ReferenceRole {
    use ReferenceRole::{Garment, Mask, Reference, Scene};
    [Garment, Mask, Scene].into_iter().find(|role| role.as_str() == text).unwrap_or(Reference)
}

async fn outputs_of(conn: &mut Conn, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<Output>>, DbError> {
    use generation_outputs as o;
    let rows: Vec<(Uuid, Uuid, Option<i64>)> = o::table
        .filter(o::generation_id.eq_any(ids).and(o::asset_id.is_not_null()))
        .order((o::generation_id, o::position))
        .select((o::generation_id, o::asset_id.assume_not_null(), o::seed))
        .load(conn)
        .await?;
    let mut found: HashMap<Uuid, Vec<Output>> = HashMap::new();
    for (generation, asset, seed) in rows {
        let seed = seed.and_then(|seed| u32::try_from(seed).ok());
        found.entry(generation).or_default().push(Output { asset: asset.into(), seed });
    }
    Ok(found)
}

async fn progress_of(conn: &mut Conn, ids: &[Uuid]) -> Result<HashMap<Uuid, Progress>, DbError> {
    use generation_progress as p;
    let rows: Vec<(Uuid, String, Option<f64>, i32)> = p::table
        .filter(p::generation_id.eq_any(ids))
        .select((p::generation_id, p::step, p::fraction, p::preview_version))
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, step, fraction, preview_version)| (id, Progress { step: Some(step), fraction, preview_version }))
        .collect())
}

async fn place_of(conn: &mut Conn, id: Uuid) -> Result<u32, DbError> {
    use generations as g;
    let before: i64 = g::table.filter(g::state.eq("queued").and(g::id.lt(id))).count().get_result(conn).await?;
    Ok(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1))
}
