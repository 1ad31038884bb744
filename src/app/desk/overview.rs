//! The overview: is it healthy, what runs, what is spent, what left the house.

use actix_web::HttpResponse;
use chrono::{DateTime, NaiveTime, Utc};

use super::{people::meter, unknown::UNKNOWN};
use crate::{
    app::health::probe,
    base::{
        access::{EgressRead, HealthRead},
        ctx::Ctx,
        money::Money,
    },
    config::Bundled,
    console::pages::views::{Health, HealthPart, OverviewPage, Waiting},
    ledger::{self, model::Subject},
    organisation,
    platform::{
        Platform,
        egress::{destinations, ledger as egress},
        jobs,
        telemetry::disk::Space,
    },
    studio::{self, ops::Queue},
    web::{
        format::{self, When},
        frame::{Place, Tone},
        guard::Guard,
        page::{self, PageFrame},
        parts::AdminPlace,
        problem::Problem,
    },
};

pub async fn overview_page(guard: Guard<HealthRead>, frame: PageFrame) -> Result<HttpResponse, Problem> {
    let (ctx, app, grant) = (&guard.ctx, &guard.app, guard.grant()?);
    let parts = parts(ctx, app).await?;
    let queue = studio::ops::queue(&mut *app.db.read().await?, &grant).await?;
    let waits_for_you = waiting(&queue);
    let health = health_of(&parts);
    let spent = Spent::of(ctx, app).await?;
    let left = Left::today(ctx, app).await?;
    page::ok(&OverviewPage {
        frame: frame.titled("Overview", Place::Admin),
        here: AdminPlace::Overview,
        heading: heading(&parts, waits_for_you.len(), &app.config.organisation.name),
        about: "Checked just now.".to_owned(),
        health,
        parts,
        running: u64::try_from(queue.running).unwrap_or(0),
        waiting: u64::try_from(queue.waiting).unwrap_or(0),
        queue_note: queue_note(&queue, ctx.clock.now()),
        month: ctx.clock.now().format("%B").to_string(),
        spent: spent.spent,
        spent_of: spent.of,
        spent_meter: spent.meter,
        spent_note: spent.note,
        egress: left.out,
        egress_to: left.to,
        egress_note: left.note,
        waits_for_you,
    })
}

async fn parts(ctx: &Ctx, app: &Platform) -> Result<Vec<HealthPart>, Problem> {
    let report = probe(&app.db, app.storage.stores().answer(&app.db)).await;
    let store = app.config.storage.bundled.map_or("S3", Bundled::title);
    let mut parts: Vec<HealthPart> = report
        .parts
        .iter()
        .map(|part| {
            let (name, about) = match part.name {
                "database" => ("Database", "PostgreSQL"),
                "store" => ("Picture store", store),
                other => (other, ""),
            };
            let detail = part.detail.clone().unwrap_or_else(|| "In time".to_owned());
            watched(name, about, part.up, if part.up { "Answers" } else { "Does not answer" }, detail)
        })
        .collect();
    parts.extend(disk(app));
    parts.push(background(ctx, app).await?);
    Ok(parts)
}

/// Where the pictures are, if that is on this machine.
fn disk(app: &Platform) -> Option<HealthPart> {
    let space = Space::of(app.config.storage.directory.as_deref()?).ok()?;
    let detail = format!("{} of {} are free", format::bytes(space.free), format::bytes(space.all));
    let about = "Where the pictures are";
    Some(match space.is_scarce() {
        true => HealthPart { tone: Tone::Warn, ..watched("Disk", about, false, "Nearly full", detail) },
        false => watched("Disk", about, true, "Has room", detail),
    })
}

fn watched(name: &str, about: &str, up: bool, state: &str, detail: String) -> HealthPart {
    let tone = if up { Tone::Ok } else { Tone::Bad };
    HealthPart { name: name.to_owned(), about: about.to_owned(), tone, state: state.to_owned(), detail }
}

/// Background work is well when something ran in the last five minutes and nothing failed the last time.
async fn background(ctx: &Ctx, app: &Platform) -> Result<HealthPart, Problem> {
    let turns = jobs::turns(&app.db, &ctx.grant::<HealthRead>()?).await?;
    let now = ctx.clock.now();
    let latest = turns.iter().map(|turn| turn.last_started_at).max();
    let failing: Vec<&str> =
        turns.iter().filter(|turn| turn.last_error.is_some()).map(|turn| turn.name.as_str()).collect();
    let about = "Sweeping, forgetting, looking for lost work";
    Ok(match latest {
        Some(at) if now - at < chrono::Duration::minutes(5) && failing.is_empty() => {
            watched("Background work", about, true, "Works", format!("Last turn {}", When::new(at, now).text))
        }
        Some(at) if failing.is_empty() => {
            watched("Background work", about, false, "Stands still", format!("Last turn {}", When::new(at, now).text))
        }
        Some(_) => {
            let detail = format!("Failed the last time: {}", failing.join(", "));
            HealthPart { tone: Tone::Warn, ..watched("Background work", about, false, "Fails", detail) }
        }
        None => watched("Background work", about, false, "Has not begun", "No worker runs".to_owned()),
    })
}

fn health_of(parts: &[HealthPart]) -> Health {
    if parts.iter().any(|part| part.tone == Tone::Bad) {
        Health::Broken
    } else if parts.iter().any(|part| part.tone != Tone::Ok) {
        Health::Strained
    } else {
        Health::Well
    }
}

fn heading(parts: &[HealthPart], waiting: usize, organisation: &str) -> String {
    if let Some(part) = parts.iter().find(|part| part.tone != Tone::Ok) {
        return format!("{}: {}", part.name, part.state.to_lowercase());
    }
    match waiting {
        0 => format!("All is well at {organisation}"),
        1 => "One thing waits for you".to_owned(),
        more => format!("{more} things wait for you"),
    }
}

fn waiting(queue: &Queue) -> Vec<Waiting> {
    let Ok(unknown @ 1..) = u64::try_from(queue.unknown) else { return Vec::new() };
    vec![Waiting {
        icon: "clock",
        title: format!("{} without a known outcome", format::plural(unknown, "generation")),
        text: "A provider took the work and never answered. The money stays set aside until you settle it.".to_owned(),
        act: "Settle".to_owned(),
        href: UNKNOWN.to_owned(),
    }]
}

fn queue_note(queue: &Queue, now: DateTime<Utc>) -> String {
    match queue.oldest {
        Some(at) => {
            let seconds = u64::try_from((now - at).num_seconds()).unwrap_or(0);
            format!("Longest wait {}.", format::duration(seconds))
        }
        None => "Nothing waits.".to_owned(),
    }
}

struct Spent {
    spent: String,
    of: String,
    meter: Option<crate::web::parts::Meter>,
    note: String,
}

impl Spent {
    async fn of(ctx: &Ctx, app: &Platform) -> Result<Self, Problem> {
        let mut conn = app.db.read().await?;
        let organisation = organisation::ops::organisation(&mut conn).await?;
        let month = ledger::ops::this_month(&mut conn, ctx, &[Subject::Organisation(organisation.id)]).await?;
        let show = |money: Money| format::money(money.micros.0, money.currency.as_str());
        let spent = month.first().map(|month| month.spent).unwrap_or_default();
        let spent = show(Money::new(spent, organisation.currency));
        Ok(match month.into_iter().next().and_then(|month| month.cap) {
            Some(cap) => {
                let until = cap.refills_at.map(|at| at.0.format(" until %-d %B").to_string()).unwrap_or_default();
                let note = format!("{} left{until}.", show(cap.left));
                Self { spent, of: format!("of {}", show(cap.limit)), meter: Some(meter(&cap)), note }
            }
            None => Self { spent, of: String::new(), meter: None, note: "No cap for the organisation.".to_owned() },
        })
    }
}

struct Left {
    out: String,
    to: String,
    note: String,
}

impl Left {
    async fn today(ctx: &Ctx, app: &Platform) -> Result<Self, Problem> {
        let since = ctx.clock.today().and_time(NaiveTime::MIN).and_utc();
        let filter = egress::Filter { since: Some(since), ..egress::Filter::default() };
        let grant = ctx.grant::<EgressRead>()?;
        let places = destinations::list(&app.db, &grant).await?.into_iter();
        let in_house: Vec<_> = places.filter(|place| place.local).map(|place| place.id).collect();
        let mut shares = egress::shares(&app.db, &grant, &filter).await?;
        shares.retain(|share| !in_house.contains(&share.destination));
        let sum = |of: fn(&egress::Share) -> i64| {
            u64::try_from(shares.iter().map(of).fold(0i64, i64::saturating_add)).unwrap_or(0)
        };
        let refused = shares.iter().filter(|share| share.outcome == "refused");
        let refused = refused.map(|share| share.calls).fold(0i64, i64::saturating_add);
        let mut places: Vec<_> =
            shares.iter().filter(|share| share.bytes_out > 0).map(|share| share.destination).collect();
        places.sort();
        places.dedup();
        let calls = format::plural(sum(|share| share.calls), "call");
        Ok(Self {
            out: format::bytes(sum(|share| share.bytes_out)),
            to: format!("to {}", format::plural(u64::try_from(places.len()).unwrap_or(0), "place")),
            note: match refused {
                0 => format!("{calls}."),
                refused => format!("{calls}, {refused} refused at the door."),
            },
        })
    }
}
