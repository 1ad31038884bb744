//! Use cases of people and administrators.

use std::{collections::HashMap, time::Duration};

use chrono::NaiveDate;
use serde_json::json;
use tokio_util::sync::CancellationToken;

mod accept;

pub use accept::{Beside, Made, Render, Upload, accept, recent};

pub use super::store::queue::{Lost, Queue, find_lost, lost, queue};
use super::{
    error::StudioError,
    model::{Generation, GenerationFault, NewGeneration, NewReference, State},
    store::{
        self, Filter,
        log::NewEvent,
        work::{self, End},
    },
    view::{self, GenerationView},
};
use crate::{
    base::{
        access::{GenerationsResolve, Grant, StudioEdit, StudioRead},
        ctx::Ctx,
        error::{Invalid, NotFound},
        ids::GenerationId,
        money::{Micros, Money},
        paging::{Page, PageRequest},
    },
    ledger::{self, model::Quote},
    platform::{
        Platform,
        audit::{self, Act},
        db::{Conn, DbError, Tx},
        idempotency::Once,
        signals::{Signal, Signals},
        storage::Storage,
    },
};

/// How long a signal that was missed can delay who waits for a generation.
const LOOK: Duration = Duration::from_secs(2);
/// The queue that generations wait in.
pub const QUEUE: &str = "generations";

/// Writes the generation's state into its person's event log and wakes whoever watches. Call it after every change.
pub(in crate::studio) async fn announced(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    id: GenerationId,
) -> Result<Generation, StudioError> {
    let generation = store::load(tx, &app.keys, id).await?.ok_or(NotFound)?;
    let snapshot = view::snapshot(&GenerationView::from(&generation))?;
    let key = app.keys.of(tx, generation.person.uuid()).await?;
    let event = NewEvent::seal(&key, generation.person, id, &snapshot)?;
    store::log::append(tx, &[&event], ctx.clock.now()).await?;
    let mut signals = vec![Signal::Event(generation.person.uuid())];
    if generation.state.at_rest() {
        signals.push(Signal::AtRest(id.uuid()));
    }
    Signals::send_all(tx, &signals).await?;
    Ok(generation)
}

/// What the request would cost and what would be left; nothing is stored.
pub async fn quote(ctx: &Ctx, app: &Platform, new: &NewGeneration) -> Result<(Money, Quote), StudioError> {
    let grant = ctx.grant::<StudioEdit>()?;
    let mut conn = app.db.read().await?;
    let (_, amount) = accept::priced(&mut conn, ctx, app, &grant, new).await?;
    let quote =
        ledger::ops::quote(&mut conn, ctx, grant.organisation(), grant.workspace(), grant.person(), amount).await?;
    Ok((amount, quote))
}

pub async fn find(app: &Platform, grant: &Grant<StudioRead>, id: GenerationId) -> Result<Generation, StudioError> {
    let found = store::find(&mut *app.db.read().await?, &app.keys, grant, id).await?;
    Ok(found.ok_or(NotFound)?)
}

pub async fn list(
    app: &Platform,
    grant: &Grant<StudioRead>,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Generation>, StudioError> {
    Ok(store::list(&mut *app.db.read().await?, &app.keys, grant, filter, page).await?)
}

/// The newest preview with its version; none before the first one, and none after the end.
pub async fn preview(
    app: &Platform,
    grant: &Grant<StudioRead>,
    id: GenerationId,
) -> Result<Option<(i32, Vec<u8>)>, StudioError> {
    let mut conn = app.db.read().await?;
    let found = store::preview(&mut conn, &app.keys, grant, id).await?;
    if found.is_none() {
        store::find(&mut conn, &app.keys, grant, id).await?.ok_or(NotFound)?;
    }
    Ok(found)
}

/// Model and provider that these generations were asked of, for statements.
pub async fn made_by(
    conn: &mut Conn,
    ids: &[GenerationId],
) -> Result<HashMap<GenerationId, (String, String)>, DbError> {
    store::made_by(conn, ids).await
}

/// Running and waiting generations of a person, for the queue chip.
pub async fn counts(conn: &mut Conn, person: crate::base::ids::PersonId) -> Result<(i64, i64), DbError> {
    store::counts(conn, person.uuid()).await
}

/// Stops a generation. Before it was sent it ends at once and costs nothing; after that the provider is asked to stop
/// where it can, and what it bills is charged.
pub async fn cancel(ctx: &Ctx, app: &Platform, id: GenerationId) -> Result<Generation, StudioError> {
    let grant = ctx.grant::<StudioEdit>()?;
    app.db
        .write("studio.cancel", async |tx| {
            let generation = own(tx, app, &grant, id).await?;
            match generation.state {
                state if state.ended() => Err(StudioError::Ended),
                State::Queued => cancelled(tx, ctx, app, &generation, Micros::ZERO).await,
                _ => {
                    work::request_cancel(tx, id, ctx.clock.now()).await?;
                    Signals::send(tx, &Signal::Cancel(id.uuid())).await?;
                    Ok(generation)
                }
            }
        })
        .await
}

/// Ends a generation as cancelled, charged what the provider billed.
pub(in crate::studio) async fn cancelled(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    generation: &Generation,
    billed: Micros,
) -> Result<Generation, StudioError> {
    let fault = GenerationFault {
        code: "generation.cancelled".to_owned(),
        message: "It was cancelled before it was done.".to_owned(),
        retryable: true,
    };
    ended_without_pictures(tx, ctx, app, generation, State::Cancelled, billed, fault).await
}

/// Ends a generation that made nothing: its money is settled, its leftovers given up, everybody told.
pub(in crate::studio) async fn ended_without_pictures(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    generation: &Generation,
    state: State,
    billed: Micros,
    fault: GenerationFault,
) -> Result<Generation, StudioError> {
    let now = ctx.clock.now();
    let overage = settled(tx, ctx, generation.id, billed).await?;
    for object in work::drop_raw(tx, generation.id).await? {
        Storage::doom(tx, &ctx.clock, object).await?;
    }
    let attempt = if state == State::Cancelled { "cancelled" } else { "failed" };
    work::close_attempts(tx, generation.id, attempt, Some(billed), now).await?;
    let end = End { state, actual: billed, overage, error: Some(fault) };
    let key = app.keys.of(tx, generation.person.uuid()).await?;
    work::end(tx, &key, generation.id, &end, now).await?;
    announced(tx, ctx, app, generation.id).await
}

/// Posts what was billed, or gives the whole hold back. Returns what was billed above the hold.
pub(in crate::studio) async fn settled(
    tx: &mut Tx,
    ctx: &Ctx,
    id: GenerationId,
    billed: Micros,
) -> Result<Micros, StudioError> {
    if billed == Micros::ZERO {
        ledger::ops::release(tx, ctx, id).await?;
        Ok(Micros::ZERO)
    } else {
        Ok(ledger::ops::settle(tx, ctx, id, billed).await?.overage)
    }
}

/// Locks an own generation, or says that there is none.
async fn own(
    tx: &mut Tx,
    app: &Platform,
    grant: &Grant<StudioEdit>,
    id: GenerationId,
) -> Result<Generation, StudioError> {
    let found = store::lock(tx, &app.keys, id).await?;
    Ok(found
        .filter(|generation| generation.person == grant.person() && generation.workspace == grant.workspace())
        .ok_or(NotFound)?)
}

/// Asks again for what did not work; a new generation that names the old one.
pub async fn retry(
    ctx: &Ctx,
    app: &Platform,
    id: GenerationId,
    once: &Once,
    render: Render,
) -> Result<Made, StudioError> {
    let old = find(app, &ctx.grant()?, id).await?;
    if !old.state.retryable() {
        return Err(StudioError::NotRetryable);
    }
    let beside = Beside { retry_of: Some(id), ..Beside::default() };
    accept(ctx, app, &again(&old), &beside, once, render).await
}

/// The request that an old generation was made from.
pub fn again(old: &Generation) -> NewGeneration {
    NewGeneration {
        model: old.model.clone(),
        prompt: old.prompt.clone(),
        size: Some(old.size),
        count: old.count,
        seed: old.seed,
        references: old.references.iter().map(NewReference::clone).collect(),
        parameters: old.parameters.clone(),
        workspace: None,
    }
}

/// As much as a price may be. A slip must not use up what can be counted: a charge is never taken back.
const MOST_CHARGED: Micros = Micros(1_000_000_000_000);
/// Bytes of the reason for an administrator's act.
const LONGEST_REASON: usize = 2000;

/// Ends a generation whose answer was lost, with what the provider turned out to have charged.
pub async fn resolve(
    ctx: &Ctx,
    app: &Platform,
    id: GenerationId,
    charged: Money,
    reason: &str,
) -> Result<Generation, StudioError> {
    let _grant = ctx.grant::<GenerationsResolve>()?;
    if reason.trim().is_empty() || reason.len() > LONGEST_REASON {
        return Err(Invalid::field("reason", "required", "Say in a few words why, at most 2,000 bytes.").into());
    }
    app.db
        .write("studio.resolve", async |tx| {
            let generation = store::lock(tx, &app.keys, id).await?.ok_or(NotFound)?;
            if generation.state != State::Unknown {
                return Err(StudioError::NotUnknown);
            }
            check_charge(&generation, charged)?;
            let fault = GenerationFault {
                code: "provider.lost".to_owned(),
                message: "The provider's answer was lost. An owner looked into it and closed it.".to_owned(),
                retryable: true,
            };
            let act = Act::done("generations.resolve")
                .on("generation", id)
                .because(reason)
                .details(json!({"charged_micros": charged.micros.0}));
            audit::record(tx, ctx, act).await?;
            ended_without_pictures(tx, ctx, app, &generation, State::Failed, charged.micros, fault).await
        })
        .await
}

fn check_charge(generation: &Generation, charged: Money) -> Result<(), Invalid> {
    if charged.currency != generation.currency {
        let message = format!("This organisation counts in {}.", generation.currency);
        return Err(Invalid::field("charged.currency", "wrong_currency", message));
    }
    if charged.micros < Micros::ZERO {
        return Err(Invalid::field("charged.micros", "out_of_range", "A charge cannot be below zero."));
    }
    if charged.micros > generation.held.max(MOST_CHARGED) {
        let message = format!("A generation is charged at most 1,000,000 {}. Check the amount.", generation.currency);
        return Err(Invalid::field("charged.micros", "out_of_range", message));
    }
    Ok(())
}

/// Waits until the generation has ended or is unknown, or `stop` says that nobody waits any more.
pub async fn wait_for_end(
    app: &Platform,
    grant: &Grant<StudioRead>,
    id: GenerationId,
    stop: &CancellationToken,
) -> Result<Generation, StudioError> {
    let (mut signals, at_rest) = (app.signals.subscribe(), Signal::AtRest(id.uuid()));
    loop {
        let generation = find(app, grant, id).await?;
        if generation.state.at_rest() {
            return Ok(generation);
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(generation),
            () = signals.until(&at_rest) => {}
            // A signal can be missed; a look costs little.
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// What ended generations cost on each day since `first`.
pub async fn spent_since(
    app: &Platform,
    grant: &Grant<StudioRead>,
    first: NaiveDate,
) -> Result<Vec<(NaiveDate, Micros)>, StudioError> {
    let since = first.and_time(chrono::NaiveTime::MIN).and_utc();
    let entries = store::spent_by_day(&mut *app.db.read().await?, grant, since).await?;
    Ok(entries.into_iter().map(|(at, micros)| (at.date_naive(), Micros(micros))).collect())
}
