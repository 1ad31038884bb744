//! Carries generations through their steps: claim, submit, wait, store, settle.
//!
//! Every step is written before it is done and can be taken up by another worker when this one dies. What is leased and
//! silent for longer than the lease is abandoned work: it is sent again only where the catalog says that this can neither
//! bill nor make anything twice; otherwise it becomes `unknown`, and its hold stays until somebody resolves it.

use std::{cell::RefCell, collections::HashSet, pin::pin, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    error::StudioError,
    model::{Generation, GenerationFault, State},
    ops::{self, QUEUE},
    store::{
        self,
        work::{self, End, Raw},
    },
};
use crate::{
    base::{
        ctx::Ctx,
        error::{Fault, Kind, NotFound, chain},
        ids::{AttemptId, GenerationId, JobId},
        money::Micros,
    },
    inference::{
        self,
        price::PriceCard,
        providers::{Answer, Billed, Ending, Failure, Progress, Watch, Work, WorkReference},
    },
    library::{
        self,
        model::{AssetKind, NewAsset, Place, Prepared},
    },
    platform::{
        Platform, crash,
        db::Tx,
        signals::{Signal, Signals},
        storage::{self, Storage},
    },
};

/// How often the queue is looked at when nobody calls.
const LOOK: Duration = Duration::from_secs(1);
/// How often a lease is renewed: several times before it ends.
const RENEW: Duration = Duration::from_secs(4);
/// Progress is written at most this often.
const PROGRESS: Duration = Duration::from_millis(150);
/// How long a result waits in memory for a database that is away.
const PATIENCE: Duration = Duration::from_secs(120);

struct Pipeline {
    app: Platform,
    ctx: Ctx,
    owner: Uuid,
    /// What is being carried here. After an outage that was longer than the lease it looks abandoned, and is not.
    carried: RefCell<HashSet<GenerationId>>,
}

/// Works until `stop`; then what runs may go on for `grace`, and the rest is given back.
pub async fn run(app: Platform, stop: CancellationToken, grace: Duration) {
    let ctx = Ctx::system("pipeline", app.clock.clone());
    let owner = JobId::new(&app.clock).uuid();
    let pipeline = Rc::new(Pipeline { app, ctx, owner, carried: RefCell::default() });
    let mut running: JoinSet<()> = JoinSet::new();
    let (mut signals, work) = (pipeline.app.signals.subscribe(), Signal::Work(QUEUE.to_owned()));
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
            () = signals.until(&work) => {}
            Some(_) = running.join_next() => {}
        }
        pipeline.fill(&mut running).await;
    }
    if timeout(grace, async { while running.join_next().await.is_some() {} }).await.is_err() {
        running.shutdown().await;
    }
    pipeline.give_back().await;
}

/// For a server that is alone on its database, before `run`: what a killed run had leased is taken up at once instead of
/// when its lease ends.
pub async fn take_over(app: &Platform) -> Result<(), StudioError> {
    let freed = work::free_all(&mut *app.db.read().await?).await?;
    if freed > 0 {
        tracing::info!(freed, "generations of a run that was killed go on");
    }
    Ok(())
}

impl Pipeline {
    /// Takes as much work as there is room for.
    async fn fill(self: &Rc<Self>, running: &mut JoinSet<()>) {
        let room = self.app.config.inference.at_once.saturating_sub(running.len());
        if room == 0 {
            return;
        }
        match self.claim(room).await {
            Ok(claimed) => {
                for id in claimed {
                    let pipeline = Rc::clone(self);
                    self.carried.borrow_mut().insert(id);
                    running.spawn_local(async move {
                        pipeline.carry(id).await;
                        pipeline.carried.borrow_mut().remove(&id);
                    });
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "the queue cannot be read"),
        }
    }

    async fn claim(&self, room: usize) -> Result<Vec<GenerationId>, StudioError> {
        let per_person = i64::try_from(self.app.config.inference.per_person).unwrap_or(i64::MAX);
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let carried: Vec<Uuid> = self.carried.borrow().iter().map(|id| id.uuid()).collect();
        let mut conn = self.app.db.read().await?;
        Ok(work::claim(&mut conn, self.owner, &carried, self.app.clock.now(), per_person, room).await?)
    }

    async fn give_back(&self) {
        let given = async { Ok::<_, StudioError>(work::give_back(&mut *self.app.db.read().await?, self.owner).await?) };
        if let Err(error) = given.await {
            tracing::warn!(error = chain(&error), "leases could not be given back; they end by themselves");
        }
    }

    /// One generation, as far as it goes, for as long as the lease is ours.
    async fn carry(&self, id: GenerationId) {
        tokio::select! {
            end = self.steps(id) => if let Err(error) = end {
                // The lease ends by itself, and whoever takes it up goes on from the last written step.
                tracing::error!(generation = %id, error = chain(&error), "a generation stopped between two steps");
            },
            () = self.keep_lease(id) => {
                tracing::warn!(generation = %id, "the lease was lost; somebody else goes on");
            }
        }
    }

    /// Returns when the lease is not ours any more.
    async fn keep_lease(&self, id: GenerationId) {
        loop {
            sleep(RENEW).await;
            let renewed = async {
                let mut conn = self.app.db.read().await?;
                work::renew(&mut conn, id, self.owner, self.app.clock.now()).await
            };
            // A database that is away takes no lease from anybody.
            if matches!(renewed.await, Ok(false)) {
                return;
            }
        }
    }

    async fn steps(&self, id: GenerationId) -> Result<(), StudioError> {
        let generation = store::load(&mut *self.app.db.read().await?, &self.app.keys, id).await?.ok_or(NotFound)?;
        match generation.state {
            State::Storing => self.finish(&generation).await,
            State::Submitting | State::Running if !generation.resubmittable => self.lost(id).await,
            State::Queued | State::Submitting | State::Running => self.submit(id).await,
            _ => Ok(()),
        }
    }

    /// Its worker died after sending it to a provider that may have done it.
    async fn lost(&self, id: GenerationId) -> Result<(), StudioError> {
        let message = "The server stopped while the provider was working on this, so its answer was lost. \
                       The money stays set aside until an owner has looked whether the provider charged it.";
        self.fail(id, Failure::unknown("provider.lost", message)).await
    }

    async fn submit(&self, id: GenerationId) -> Result<(), StudioError> {
        let Some(generation) = self.begin(id).await? else { return Ok(()) };
        crash::point("studio.begun");
        match self.ask(&generation).await {
            Ok(answer) => self.store(&generation, answer).await,
            Err(failure) => self.fail(id, failure).await,
        }
    }

    /// The attempt's row, before the attempt.
    async fn begin(&self, id: GenerationId) -> Result<Option<Generation>, StudioError> {
        let (ctx, app) = (&self.ctx, &self.app);
        app.db
            .write("studio.begin", async |tx| {
                let Some(generation) = self.locked(tx, id).await? else { return Ok(None) };
                if generation.cancel_requested {
                    ops::cancelled(tx, ctx, &self.app, &generation, Micros::ZERO).await?;
                    return Ok(None);
                }
                let now = ctx.clock.now();
                let from = [State::Queued, State::Submitting, State::Running];
                if !work::step(tx, id, self.owner, &from, State::Submitting, now).await? {
                    return Ok(None);
                }
                work::close_attempts(tx, id, "unknown", None, now).await?;
                work::open_attempt(tx, id, AttemptId::new(&ctx.clock), now).await?;
                ops::announced(tx, ctx, &self.app, id).await.map(Some)
            })
            .await
    }

    /// The generation, locked, if it is still ours and still open.
    async fn locked(&self, tx: &mut Tx, id: GenerationId) -> Result<Option<Generation>, StudioError> {
        let ours = work::renew(tx, id, self.owner, self.app.clock.now()).await?;
        if !ours {
            return Ok(None);
        }
        Ok(store::lock(tx, &self.app.keys, id).await?.filter(|generation| !generation.state.ended()))
    }

    /// Sends it and listens until the provider has answered.
    async fn ask(&self, generation: &Generation) -> Result<Answer, Failure> {
        let work = self.work_of(generation).await?;
        let mut conn = self.app.db.read().await.map_err(|error| unavailable(&error))?;
        let provider =
            inference::ops::provider(&mut conn, generation.provider_id).await.map_err(|e| unavailable(&e))?;
        drop(conn);
        let provider = inference::providers::connect(&self.app, &provider).map_err(|error| unavailable(&error))?;
        let (sender, updates) = mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let watch = Arc::new(Watcher { sender, cancel: cancel.clone() });
        let limit = Duration::from_secs(self.app.config.inference.timeout_seconds);
        let answer = timeout(limit, provider.submit(&self.ctx, &work, watch));
        match self.listen(generation, answer, updates, cancel).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::unknown(
                "provider.timed_out",
                format!(
                    "The provider did not answer within {} seconds. It may still have made and charged it, so the money \
                     stays set aside until an owner has looked.",
                    limit.as_secs()
                ),
            )),
        }
    }

    async fn listen<T>(
        &self,
        generation: &Generation,
        answer: impl Future<Output = T>,
        mut updates: mpsc::UnboundedReceiver<Update>,
        cancel: CancellationToken,
    ) -> T {
        let mut answer = pin!(answer);
        let mut signals = self.app.signals.subscribe();
        let mut told = Instant::now();
        // The wish may have come between the claim and now.
        self.look_for_cancel(generation.id, &cancel).await;
        loop {
            tokio::select! {
                biased;
                Some(update) = updates.recv() => match update {
                    Update::Accepted => self.accepted(generation.id).await,
                    Update::Progress(progress) if told.elapsed() >= PROGRESS => {
                        told = Instant::now();
                        self.tell(generation, &progress).await;
                    }
                    Update::Progress(_) => {}
                },
                signal = signals.next() => match signal {
                    Signal::Cancel(id) if id == generation.id.uuid() => cancel.cancel(),
                    Signal::Missed => self.look_for_cancel(generation.id, &cancel).await,
                    _ => {}
                },
                end = &mut answer => return end,
            }
        }
    }

    async fn look_for_cancel(&self, id: GenerationId, cancel: &CancellationToken) {
        let wish = async { work::cancel_requested(&mut *self.app.db.read().await?, id).await };
        if wish.await.unwrap_or(false) {
            cancel.cancel();
        }
    }

    async fn accepted(&self, id: GenerationId) {
        let ctx = &self.ctx;
        let moved = self.app.db.write("studio.accepted", async |tx| {
            if work::step(tx, id, self.owner, &[State::Submitting], State::Running, ctx.clock.now()).await? {
                work::attempt_runs(tx, id).await?;
                ops::announced(tx, ctx, &self.app, id).await?;
            }
            Ok::<_, StudioError>(())
        });
        let moved = moved.await;
        crash::point("studio.running");
        if let Err(error) = moved {
            // Only what people see is late; the next step is written from either state.
            tracing::warn!(generation = %id, error = chain(&error), "the step to running was not written");
        }
    }

    async fn tell(&self, generation: &Generation, progress: &Progress) {
        let signal = Signal::Progress { person: generation.person.uuid(), generation: generation.id.uuid() };
        let told = self.app.db.write("studio.progress", async |tx| {
            let preview = progress.preview.as_deref();
            let key = self.app.keys.of(tx, generation.person.uuid()).await?;
            work::tell_progress(tx, &key, generation.id, &progress.step, progress.fraction, preview).await?;
            Signals::send(tx, &signal).await?;
            Ok::<_, StudioError>(())
        });
        if let Err(error) = told.await {
            tracing::debug!(generation = %generation.id, error = chain(&error), "progress was not told");
        }
    }

    async fn work_of(&self, generation: &Generation) -> Result<Work, Failure> {
        let mut references = Vec::new();
        for reference in &generation.references {
            let picture = library::ops::reference_bytes(&self.app, generation.person, reference.asset).await;
            let (asset, bytes) = picture.map_err(|error| match error.kind() {
                Kind::Unavailable => unavailable(&error),
                _ => Failure::failed("generation.reference_gone", "A reference picture is not there any more.", false),
            })?;
            references.push(WorkReference {
                role: reference.role,
                strength: reference.strength,
                media_type: asset.media_type.to_string(),
                name: asset.name,
                bytes,
            });
        }
        let model =
            inference::ops::upstream_name(&self.app, &generation.model).await.map_err(|error| unavailable(&error))?;
        let card = self.price_card(generation).await.map_err(|error| unavailable(&error))?;
        Ok(Work {
            generation: generation.id,
            person: generation.person,
            model,
            prompt: generation.prompt.clone(),
            size: generation.size,
            count: generation.count,
            seed: generation.effective_seed(),
            send_seed: generation.seed.is_some(),
            parameters: match card {
                Some(card) => card.completed(&generation.parameters),
                None => generation.parameters.clone(),
            },
            references,
            held: generation.held,
        })
    }

    /// Puts the raw results into the store and says so; from here on nothing is lost whoever dies.
    async fn store(&self, generation: &Generation, answer: Answer) -> Result<(), StudioError> {
        let id = generation.id;
        crash::point("studio.answered");
        let billed = self.billed(generation, &answer).await?;
        let mut raw = Vec::new();
        for (image, position) in answer.images.iter().zip(0i32..) {
            let stored = patiently(async || {
                let bytes = storage::stream_of(image.bytes.clone());
                let length = Some(image.bytes.len() as u64);
                Ok(self.app.storage.put(&self.app.db, &self.app.clock, generation.person.uuid(), bytes, length).await?)
            })
            .await?;
            raw.push(Raw { position, object: stored.id, seed: image.seed });
            crash::point("studio.put");
        }
        let ctx = &self.ctx;
        let ours = patiently(async || {
            self.app
                .db
                .write("studio.store", async |tx| {
                    let from = [State::Submitting, State::Running];
                    if !work::step(tx, id, self.owner, &from, State::Storing, ctx.clock.now()).await? {
                        return Ok(false);
                    }
                    for one in &raw {
                        Storage::claim(tx, &ctx.clock, one.object).await?;
                    }
                    work::insert_raw(tx, id, &raw).await?;
                    work::close_attempts(tx, id, "answered", Some(billed), ctx.clock.now()).await?;
                    ops::announced(tx, ctx, &self.app, id).await?;
                    Ok::<_, StudioError>(true)
                })
                .await
        })
        .await?;
        crash::point("studio.stored");
        if ours { self.finish(generation).await } else { Ok(()) }
    }

    /// The price that the generation was accepted under.
    async fn price_card(&self, generation: &Generation) -> Result<Option<PriceCard>, StudioError> {
        Ok(inference::ops::price(&mut *self.app.db.read().await?, generation.price_card).await?)
    }

    /// What is charged for the answer.
    async fn billed(&self, generation: &Generation, answer: &Answer) -> Result<Micros, StudioError> {
        match answer.billed {
            Billed::Micros(micros) => Ok(micros),
            Billed::AsPriced => {
                let delivered = u32::try_from(answer.images.len()).unwrap_or(u32::MAX).min(generation.count);
                let card = patiently(async || self.price_card(generation).await).await?;
                let price = card.and_then(|card| card.price(&generation.request(), generation.size, delivered).ok());
                Ok(price.map_or(generation.held, |price| price.micros))
            }
        }
    }

    /// Turns the stored results into assets, settles, and ends.
    async fn finish(&self, generation: &Generation) -> Result<(), StudioError> {
        let id = generation.id;
        let raw = patiently(async || Ok(work::raw(&mut *self.app.db.read().await?, id).await?)).await?;
        let mut prepared = Vec::new();
        for one in &raw {
            let picture = patiently(async || {
                let object = self.app.storage.get(&self.app.db, one.object, None).await?;
                Ok(library::ops::prepare(&self.app, &self.ctx, generation.person, object.stream).await?)
            });
            match picture.await {
                Ok(picture) => prepared.push((*one, picture)),
                Err(error) if error.kind() == Kind::Invalid => {
                    let failure = self.unreadable(generation).await?;
                    return self.fail(id, failure).await;
                }
                Err(error) => return Err(error),
            }
        }
        crash::point("studio.prepared");
        patiently(async || self.app.db.write("studio.finish", async |tx| self.succeed(tx, id, &prepared).await).await)
            .await?;
        crash::point("studio.finished");
        Ok(())
    }

    /// What came is no picture, and its provider has done the work.
    async fn unreadable(&self, generation: &Generation) -> Result<Failure, StudioError> {
        let what = "The provider's answer was not a readable picture.";
        let look = async || {
            Ok(inference::ops::is_of_the_house(&mut *self.app.db.read().await?, generation.provider_id).await?)
        };
        Ok(if patiently(look).await? {
            let message = format!("{what} Nothing was charged; try again or use another model.");
            Failure::failed("provider.unreadable", message, true)
        } else {
            let message = format!(
                "{what} The provider may have billed it, so the money stays set aside until an owner has looked."
            );
            Failure::unknown("provider.unreadable", message)
        })
    }

    async fn succeed(&self, tx: &mut Tx, id: GenerationId, prepared: &[(Raw, Prepared)]) -> Result<(), StudioError> {
        let ctx = &self.ctx;
        let Some(generation) = self.locked(tx, id).await?.filter(|generation| generation.state == State::Storing)
        else {
            return Ok(());
        };
        let place = Place { workspace: generation.workspace, person: generation.person };
        for (raw, picture) in prepared {
            let new = NewAsset {
                kind: AssetKind::Render,
                name: file_name(&generation.prompt, picture.media_type.extension()),
                found_by: generation.prompt.clone(),
                generation: Some(id),
            };
            let asset = library::ops::add(tx, ctx, &self.app.keys, place, picture, &new).await?;
            work::set_asset(tx, id, raw.position, asset.id).await?;
            Storage::doom(tx, &ctx.clock, raw.object).await?;
        }
        let billed = work::billed(tx, id).await?;
        let overage = ops::settled(tx, ctx, id, billed).await?;
        let end = End { state: State::Succeeded, actual: billed, overage, error: None };
        let key = self.app.keys.of(tx, generation.person.uuid()).await?;
        work::end(tx, &key, id, &end, ctx.clock.now()).await?;
        ops::announced(tx, ctx, &self.app, id).await?;
        crash::point("studio.finish");
        Ok(())
    }

    async fn fail(&self, id: GenerationId, failure: Failure) -> Result<(), StudioError> {
        tracing::info!(generation = %id, code = failure.code, "a generation brought no picture");
        patiently(async || {
            self.app.db.write("studio.fail", async |tx| self.write_failure(tx, id, &failure).await).await
        })
        .await
    }

    async fn write_failure(&self, tx: &mut Tx, id: GenerationId, failure: &Failure) -> Result<(), StudioError> {
        let ctx = &self.ctx;
        let Some(generation) = self.locked(tx, id).await? else { return Ok(()) };
        let fault = GenerationFault {
            code: failure.code.to_owned(),
            message: failure.message.clone(),
            retryable: failure.retryable,
        };
        match failure.ending {
            Ending::Failed => {
                ops::ended_without_pictures(tx, ctx, &self.app, &generation, State::Failed, failure.billed, fault)
                    .await?;
            }
            Ending::Cancelled => {
                ops::cancelled(tx, ctx, &self.app, &generation, failure.billed).await?;
            }
            Ending::Unknown => {
                work::close_attempts(tx, id, "unknown", None, ctx.clock.now()).await?;
                let key = self.app.keys.of(tx, generation.person.uuid()).await?;
                work::lose(tx, &key, id, &fault).await?;
                ops::announced(tx, ctx, &self.app, id).await?;
            }
        }
        Ok(())
    }
}

enum Update {
    Accepted,
    Progress(Progress),
}

struct Watcher {
    sender: mpsc::UnboundedSender<Update>,
    cancel: CancellationToken,
}

impl Watch for Watcher {
    fn accepted(&self) {
        // Nobody listens any more once the generation was given up.
        let _ = self.sender.send(Update::Accepted);
    }

    fn progress(&self, progress: Progress) {
        let _ = self.sender.send(Update::Progress(progress));
    }

    fn cancel(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

/// Something of our own was away before anything was sent.
fn unavailable(error: &dyn Fault) -> Failure {
    tracing::warn!(code = error.code(), %error, "a generation could not be sent");
    let message =
        "A part of this server did not answer, so this was not sent. Nothing was charged; try again in a moment.";
    Failure::failed("service.unavailable", message, true)
}

/// Repeats what fails because a part is away, for a while; everything else fails at once.
async fn patiently<T>(act: impl AsyncFn() -> Result<T, StudioError>) -> Result<T, StudioError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match act().await {
            Err(error) if error.kind() == Kind::Unavailable && Instant::now() < until => {
                tracing::warn!(error = chain(&error), "waiting for a part that is away");
                sleep(Duration::from_secs(1)).await;
            }
            end => return end,
        }
    }
}

/// The prompt's first words as a file name.
fn file_name(prompt: &str, extension: &str) -> String {
    let words: Vec<String> = prompt
        .split_whitespace()
        .map(|word| word.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').collect::<String>())
        .filter(|word| !word.is_empty())
        .take(8)
        .collect();
    let name: String = words.join("-").chars().take(60).collect();
    let name = if name.is_empty() { "render".to_owned() } else { name.to_lowercase() };
    format!("{name}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn file_names_come_from_the_prompt() {
        assert_eq!(file_name("A clay teapot, at sunset!", "png"), "a-clay-teapot-at-sunset.png");
        assert_eq!(file_name("../..\n", "png"), "render.png");
        assert_eq!(file_name("日本 の 風景", "jpeg"), "日本-の-風景.jpeg");
    }
}
