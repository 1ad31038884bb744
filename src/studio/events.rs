//! What a person's open pages hear: every state change, numbered, and progress in between.

use std::collections::VecDeque;

use super::{
    error::StudioError,
    store::{self, Filter},
    view::{self, GenerationView},
};
use crate::{
    base::{
        access::{Grant, StudioRead},
        ids::GenerationId,
        paging::PageRequest,
    },
    platform::{
        Platform,
        signals::{Listener, Signal},
    },
};

/// The most events that one look brings.
const BATCH: i64 = 100;
/// Of somebody who connects without saying what they saw last, this many running generations are told.
const RUNNING: u32 = 100;

#[derive(Debug)]
pub enum Event {
    /// A state change; the number is the event's id.
    Change(i64, Box<GenerationView>),
    /// Progress between two state changes; has no id.
    Progress(Box<GenerationView>),
    /// What was asked for is too long ago: load everything anew. Carries the newest number.
    Reset(i64),
}

/// A person's place in their event log. `next` waits; dropping it costs nothing.
pub struct Reader {
    app: Platform,
    grant: Grant<StudioRead>,
    signals: Listener,
    seen: i64,
    ready: VecDeque<Event>,
    /// The log may hold more than was read. Kept here, because `next` may be dropped at any await.
    behind: bool,
    /// This generation made progress that was not told yet.
    moving: Option<GenerationId>,
}

impl Reader {
    /// After event `last`, or with what is running now.
    pub async fn open(app: &Platform, grant: Grant<StudioRead>, last: Option<i64>) -> Result<Self, StudioError> {
        // Subscribe before looking, so that nothing falls between.
        let signals = app.signals.subscribe();
        let ready = VecDeque::new();
        let mut reader = Self { app: app.clone(), grant, signals, seen: 0, ready, behind: false, moving: None };
        match last {
            Some(last) => {
                reader.seen = last;
                reader.look().await?;
            }
            None => reader.start().await?,
        }
        Ok(reader)
    }

    async fn start(&mut self) -> Result<(), StudioError> {
        let mut conn = self.app.db.read().await?;
        self.seen = store::log::last_number(&mut conn, self.grant.person()).await?;
        let filter = Filter { open: true, ..Filter::default() };
        let running =
            store::list(&mut conn, &self.app.keys, &self.grant, &filter, &PageRequest::first(RUNNING)).await?;
        // Oldest first, like the log; the newest number lets the browser go on from here.
        for generation in running.items.iter().rev() {
            self.ready.push_back(Event::Change(self.seen, Box::new(generation.into())));
        }
        Ok(())
    }

    /// The next event. Ends only by an error. What was learned before an await is kept, so that dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Result<Event, StudioError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if self.behind {
                self.look().await?;
            } else if let Some(id) = self.moving {
                self.progress(id).await?;
            } else {
                self.listen().await;
            }
        }
    }

    async fn listen(&mut self) {
        let me = self.grant.person().uuid();
        match self.signals.next().await {
            Signal::Event(person) if person == me => self.behind = true,
            Signal::Progress { person, generation } if person == me => self.moving = Some(generation.into()),
            Signal::Missed => self.behind = true,
            _ => {}
        }
    }

    async fn look(&mut self) -> Result<(), StudioError> {
        let mut conn = self.app.db.read().await?;
        let person = self.grant.person();
        let Some(events) = store::log::after(&mut conn, &self.app.keys, person, self.seen, BATCH).await? else {
            self.seen = store::log::last_number(&mut conn, person).await?;
            self.ready.push_back(Event::Reset(self.seen));
            self.behind = false;
            return Ok(());
        };
        let full = i64::try_from(events.len()).unwrap_or(BATCH) == BATCH;
        let mut seen = self.seen;
        let mut read = Vec::new();
        for event in events {
            seen = event.number;
            if let Some(generation) = store::find(&mut conn, &self.app.keys, &self.grant, event.generation).await? {
                let view = view::restored(event.snapshot, &generation)?;
                read.push(Event::Change(event.number, Box::new(view)));
            }
        }
        // From here on nothing waits: what was read and how far belong together.
        self.seen = seen;
        self.ready.extend(read);
        self.behind = full;
        Ok(())
    }

    async fn progress(&mut self, id: GenerationId) -> Result<(), StudioError> {
        let mut conn = self.app.db.read().await?;
        let found = store::find(&mut conn, &self.app.keys, &self.grant, id).await?;
        self.ready.extend(found.map(|generation| Event::Progress(Box::new((&generation).into()))));
        self.moving = None;
        Ok(())
    }
}

/// Forgets events and requests that nobody can ask for any more.
pub async fn forget_old(app: &Platform) -> Result<usize, StudioError> {
    let before = app.clock.now() - chrono::Duration::hours(25);
    let mut conn = app.db.read().await?;
    store::recent::forget(&mut conn, before).await?;
    Ok(store::log::forget(&mut conn, before).await?)
}
