//! Accepting a generation.
//!
//! Most of it needs no lock: reading the model and its price, checking the request, sealing what was written. What only
//! one transaction at a time may decide, whether the caps have room, is done together for all requests that wait at that
//! moment, because all of them count in the organisation's windows (decision 20).

use std::{collections::BTreeSet, sync::Arc};

use diesel_async::SimpleAsyncConnection;
use futures::FutureExt;
use uuid::Uuid;

use super::QUEUE;
use crate::{
    base::{
        access::{Grant, StudioEdit},
        ctx::Ctx,
        error::Invalid,
        ids::{GenerationId, OrganisationId, PersonId},
        money::Money,
    },
    inference::{
        self,
        error::InferenceError,
        model::{Offer, ReferenceRole},
    },
    ledger::{self, model::NewHold},
    library::{
        self,
        model::{AssetKind, NewAsset, Place, Prepared},
    },
    platform::{
        Platform, crash,
        db::{Conn, DbError, Tx},
        idempotency::{self, Answer, Once},
        keyring::OwnerKey,
        signals::{Signal, Signals},
    },
    studio::{
        error::StudioError,
        model::{Fingerprint, Generation, NewGeneration, NewReference, Progress, State},
        store::{self, Sealed, log::NewEvent},
        view::{self, GenerationView},
    },
};

/// A request that was done now, or had been done before.
pub enum Made {
    New(Box<Generation>, Answer),
    Again(Answer),
}

impl Made {
    pub fn answer(&self) -> &Answer {
        match self {
            Self::New(_, answer) | Self::Again(answer) => answer,
        }
    }
}

/// Makes the answer to who asked; it is kept with the generation.
pub type Render = fn(&GenerationView) -> Answer;

/// A picture that came with the request and becomes an asset only if the request is accepted.
pub struct Upload {
    pub picture: Prepared,
    pub name: String,
    pub role: ReferenceRole,
    pub strength: Option<f32>,
}

/// What comes with a request besides itself.
#[derive(Default)]
pub struct Beside<'a> {
    pub uploads: &'a [Upload],
    pub retry_of: Option<GenerationId>,
    /// Names a request that its caller may send again without saying so.
    pub fingerprint: Option<Fingerprint>,
}

/// A request that was checked, priced and sealed, and waits for its hold.
struct Wanted {
    organisation: OrganisationId,
    generation: Generation,
    sealed: Sealed,
    key: Arc<OwnerKey>,
    fingerprint: Option<Fingerprint>,
    once: Once,
    render: Render,
}

/// What became of a request that was done together with others.
enum Outcome {
    Done(Result<Made, StudioError>),
    /// It is to be done in a transaction of its own: what it needs kept the others waiting, or they failed together.
    Alone(Box<Wanted>),
}

/// Accepts a generation: checked, authorised, its price set aside and its row written, all or nothing.
pub async fn accept(
    ctx: &Ctx,
    app: &Platform,
    new: &NewGeneration,
    beside: &Beside<'_>,
    once: &Once,
    render: Render,
) -> Result<Made, StudioError> {
    let grant = ctx.grant::<StudioEdit>()?;
    let request = Request { ctx, app, grant: &grant, beside, once, render };
    let made = if beside.uploads.is_empty() { request.together(new).await } else { request.with_uploads(new).await };
    crash::point("studio.accepted");
    made
}

struct Request<'a> {
    ctx: &'a Ctx,
    app: &'a Platform,
    grant: &'a Grant<StudioEdit>,
    beside: &'a Beside<'a>,
    once: &'a Once,
    render: Render,
}

impl Request<'_> {
    async fn together(&self, new: &NewGeneration) -> Result<Made, StudioError> {
        let (app, ctx) = (self.app, self.ctx);
        let wanted = {
            let mut conn = app.db.read().await?;
            if let Some(answer) = self.once.kept(&mut conn, &app.keys, self.grant.person()).await? {
                return Ok(Made::Again(answer));
            }
            self.prepare(&mut conn, new).await?
        };
        let accept_all = {
            let app = app.clone();
            move |all| accept_all(app.clone(), all).boxed_local()
        };
        let wanted = match app.db.together(wanted, accept_all).await? {
            Outcome::Done(made) => return made,
            Outcome::Alone(wanted) => wanted,
        };
        app.db
            .write("studio.accept_alone", async |tx| {
                if let Some(answer) = wanted.once.claim(tx, &app.keys, ctx, wanted.person()).await? {
                    return Ok(Made::Again(answer));
                }
                write_one(tx, app, &wanted).await
            })
            .await
    }

    /// Its uploads are assets from here on, or from nowhere on if it is refused.
    async fn with_uploads(&self, new: &NewGeneration) -> Result<Made, StudioError> {
        let (app, grant) = (self.app, self.grant);
        let place = Place { workspace: grant.workspace(), person: grant.person() };
        app.db
            .write("studio.accept_uploads", async |tx| {
                if let Some(answer) = self.once.claim(tx, &app.keys, self.ctx, grant.person()).await? {
                    return Ok(Made::Again(answer));
                }
                let mut new = new.clone();
                for upload in self.beside.uploads {
                    let kind = if upload.role == ReferenceRole::Mask { AssetKind::Mask } else { AssetKind::Upload };
                    let name = upload.name.clone();
                    let asset = NewAsset { kind, name, found_by: String::new(), generation: None };
                    let asset = library::ops::add(tx, self.ctx, &app.keys, place, &upload.picture, &asset).await?;
                    let (role, strength) = (upload.role, upload.strength);
                    new.references.push(NewReference { asset: asset.id, role, strength });
                }
                let wanted = self.prepare(tx, &new).await?;
                write_one(tx, app, &wanted).await
            })
            .await
    }

    async fn prepare(&self, conn: &mut Conn, new: &NewGeneration) -> Result<Wanted, StudioError> {
        let (offer, amount) = priced(conn, self.ctx, self.app, self.grant, new).await?;
        let mut generation = draft(self.ctx, self.grant, new, &offer, amount);
        generation.retry_of = self.beside.retry_of;
        let owners = [generation.person.uuid(), generation.workspace.uuid()];
        let keys = self.app.keys.of_all(conn, owners).await?;
        Ok(Wanted {
            organisation: self.grant.organisation(),
            sealed: Sealed::new(&keys, &generation)?,
            key: keys.get(generation.person.uuid())?,
            fingerprint: self.beside.fingerprint.clone(),
            once: self.once.clone(),
            render: self.render,
            generation,
        })
    }
}

impl Wanted {
    fn person(&self) -> PersonId {
        self.generation.person
    }

    fn named(&self) -> (PersonId, &Once) {
        (self.person(), &self.once)
    }

    fn hold(&self) -> NewHold {
        let generation = &self.generation;
        NewHold {
            generation: generation.id,
            organisation: self.organisation,
            workspace: generation.workspace,
            person: generation.person,
            provider: generation.provider_id,
            price_card: Some(generation.price_card),
            amount: generation.money(generation.held),
        }
    }
}

/// Why a transaction of several ended without a commit.
enum Undone {
    /// One of its statements failed: perhaps because of one of the requests alone.
    Inside(StudioError),
    /// There was no connection, or the commit failed.
    Db(DbError),
}

impl From<DbError> for Undone {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// Accepts or refuses each of them, in one transaction.
async fn accept_all(app: Platform, all: Vec<Wanted>) -> Vec<Outcome> {
    let written = app
        .db
        .write("studio.accept", async |tx| {
            let written = claim_and_write(tx, &app, &all).await.map_err(Undone::Inside)?;
            crash::point("studio.accept");
            Ok(written)
        })
        .await;
    match written {
        Ok(written) => {
            let outcome = |(wanted, made): (Wanted, Option<_>)| match made {
                Some(made) => Outcome::Done(made),
                None => Outcome::Alone(Box::new(wanted)),
            };
            all.into_iter().zip(written).map(outcome).collect()
        }
        Err(Undone::Inside(error)) => {
            tracing::debug!(error = crate::base::error::chain(&error), together = all.len(), "each alone");
            all.into_iter().map(|wanted| Outcome::Alone(Box::new(wanted))).collect()
        }
        Err(Undone::Db(error)) => {
            let error = Arc::new(error);
            let lost = || Outcome::Done(Err(DbError::Unreachable(Box::new(error.clone())).into()));
            all.iter().map(|_| lost()).collect()
        }
    }
}

/// None for those whose key somebody else has claimed.
async fn claim_and_write(
    tx: &mut Tx,
    app: &Platform,
    all: &[Wanted],
) -> Result<Vec<Option<Result<Made, StudioError>>>, StudioError> {
    // Who waits for somebody else's key, or for a lock that is not let go, waits alone.
    tx.batch_execute("set local lock_timeout = '2s'; set local statement_timeout = '5s'").await?;
    let named: Vec<(PersonId, &Once)> = all.iter().map(Wanted::named).collect();
    let claimed = idempotency::claim_all(tx, app.clock.now(), &named).await?;
    let mine: Vec<&Wanted> = all.iter().zip(&claimed).filter_map(|(wanted, mine)| mine.then_some(wanted)).collect();
    let mut written = write_all(tx, app, &mine).await?;
    let refused = mine.iter().zip(&written).filter(|(_, made)| made.is_err()).map(|(wanted, _)| wanted.named());
    idempotency::give_back(tx, &refused.collect::<Vec<_>>()).await?;
    let mut written = written.drain(..);
    Ok(claimed.into_iter().map(|mine| if mine { written.next() } else { None }).collect())
}

async fn write_one(tx: &mut Tx, app: &Platform, wanted: &Wanted) -> Result<Made, StudioError> {
    let made = write_all(tx, app, &[wanted]).await?.pop();
    crash::point("studio.accept");
    made.ok_or(DbError::Busy)?
}

/// A request that has its hold, and what is written of it.
struct Accepted<'a> {
    wanted: &'a Wanted,
    generation: Generation,
    event: NewEvent,
    answer: Answer,
}

impl<'a> Accepted<'a> {
    fn new(wanted: &'a Wanted, place: u32) -> Result<Self, StudioError> {
        let generation = Generation { place: Some(place), ..wanted.generation.clone() };
        let view = GenerationView::from(&generation);
        let event = NewEvent::seal(&wanted.key, generation.person, generation.id, &view::snapshot(&view)?)?;
        Ok(Self { answer: (wanted.render)(&view), wanted, generation, event })
    }
}

/// Sets the money aside and writes rows, events and answers of all that the caps have room for. Their keys are claimed.
async fn write_all(
    tx: &mut Tx,
    app: &Platform,
    all: &[&Wanted],
) -> Result<Vec<Result<Made, StudioError>>, StudioError> {
    let holds: Vec<NewHold> = all.iter().map(|wanted| wanted.hold()).collect();
    let held = ledger::ops::hold_all(tx, &app.clock, &holds).await?;
    let mut place = store::waiting(tx).await?;
    let mut decided: Vec<Result<Accepted<'_>, StudioError>> = Vec::with_capacity(all.len());
    for (wanted, held) in all.iter().zip(held) {
        decided.push(match held {
            Ok(_) => {
                place = place.saturating_add(1);
                Ok(Accepted::new(wanted, place)?)
            }
            Err(refusal) => Err(refusal.into()),
        });
    }
    let accepted: Vec<&Accepted<'_>> = decided.iter().filter_map(|one| one.as_ref().ok()).collect();
    if !accepted.is_empty() {
        record(tx, app, &accepted).await?;
    }
    let made = |accepted: Accepted<'_>| Made::New(Box::new(accepted.generation), accepted.answer);
    Ok(decided.into_iter().map(|one| one.map(made)).collect())
}

async fn record(tx: &mut Tx, app: &Platform, accepted: &[&Accepted<'_>]) -> Result<(), StudioError> {
    let now = app.clock.now();
    let rows: Vec<_> = accepted.iter().map(|one| (&one.generation, &one.wanted.sealed)).collect();
    store::insert(tx, &rows, now).await?;
    for one in accepted {
        if let Some(fingerprint) = &one.wanted.fingerprint {
            store::recent::remember(tx, fingerprint, one.generation.id, now).await?;
        }
    }
    let answers: Vec<_> = accepted.iter().map(|one| (one.generation.person, &one.wanted.once, &one.answer)).collect();
    idempotency::keep_all(tx, &app.keys, &answers).await?;
    let events: Vec<&NewEvent> = accepted.iter().map(|one| &one.event).collect();
    store::log::append(tx, &events, now).await?;
    let people: BTreeSet<Uuid> = accepted.iter().map(|one| one.generation.person.uuid()).collect();
    let mut signals: Vec<Signal> = people.into_iter().map(Signal::Event).collect();
    signals.push(Signal::Work(QUEUE.to_owned()));
    Ok(Signals::send_all(tx, &signals).await?)
}

/// The generation that the same caller asked for with the same words a moment ago.
pub async fn recent(app: &Platform, fingerprint: &Fingerprint) -> Result<Option<GenerationId>, StudioError> {
    let since = app.clock.now() - chrono::Duration::minutes(10);
    Ok(store::recent::find(&mut *app.db.read().await?, fingerprint, since).await?)
}

/// The model that is asked for, and the most that it can cost; refuses everything that is wrong with the request.
pub(super) async fn priced(
    conn: &mut Conn,
    ctx: &Ctx,
    app: &Platform,
    grant: &Grant<StudioEdit>,
    new: &NewGeneration,
) -> Result<(Offer, Money), StudioError> {
    if new.workspace.is_some_and(|workspace| workspace != grant.workspace()) {
        return Err(Invalid::field("workspace", "unknown", "There is no such workspace of yours.").into());
    }
    let offer = inference::ops::offer(conn, &new.model).await?;
    offer.model.check(&new.request())?;
    let assets: Vec<_> = new.references.iter().map(|reference| reference.asset).collect();
    library::ops::references(conn, &app.keys, &ctx.grant()?, &assets).await?;
    let price = offer.price.as_ref().ok_or_else(|| InferenceError::UnpricedModel(new.model.clone()))?;
    let size = new.size.unwrap_or_else(|| offer.model.usual_size());
    let amount = price.estimate(&new.request(), size).map_err(InferenceError::from)?;
    Ok((offer, amount))
}

fn draft(ctx: &Ctx, grant: &Grant<StudioEdit>, new: &NewGeneration, offer: &Offer, amount: Money) -> Generation {
    let now = ctx.clock.now();
    let id = GenerationId::new(&ctx.clock);
    Generation {
        id,
        workspace: grant.workspace(),
        person: grant.person(),
        model: offer.model.id.clone(),
        provider_id: offer.provider.id,
        provider: offer.provider.slug.clone(),
        prompt: new.prompt.clone(),
        size: new.size.unwrap_or_else(|| offer.model.usual_size()),
        count: new.count,
        seed: new.seed,
        parameters: new.parameters.clone(),
        references: new.references.clone(),
        state: State::Queued,
        price_card: offer.price.as_ref().map_or_else(|| id.uuid().into(), |price| price.id),
        held: amount.micros,
        actual: None,
        overage: None,
        currency: amount.currency,
        error: None,
        attempts: 0,
        retry_of: None,
        cancel_requested: false,
        resubmittable: inference::providers::resubmittable(&offer.provider, &offer.model),
        outputs: Vec::new(),
        progress: Progress::default(),
        place: None,
        created_at: now,
        started_at: None,
        ended_at: None,
    }
}
