//! The Audit page: the log with names, one entry beside it.

use std::collections::HashMap;

use actix_web::HttpResponse;
use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;

use super::{address, choices, words};
use crate::{
    accounts::ops as accounts,
    base::{
        access::AuditRead,
        error::{Invalid, NotFound},
        ids::{AuditId, PersonId},
        money::Currency,
    },
    console::{
        http::audit as api,
        pages::views::{AuditPage, AuditRow, AuditSheet, Change, Outcome},
    },
    platform::audit::{self, Entry, Filter, attest, export},
    web::{
        extract::{Query, path_id},
        format::{self, Chip, Pager, When},
        frame::Place,
        guard::Guard,
        page::{self, PageFrame},
        parts::{AdminPlace, Choice},
        problem::Problem,
    },
};

const AUDIT: &str = "/admin/audit";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    actor: String,
    action: String,
    object: String,
    outcome: String,
    since: String,
    open: String,
    cursor: Option<String>,
}

impl Look {
    fn filter(&self, now: DateTime<Utc>) -> Result<Filter, Invalid> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Filter {
            actor: given(&self.actor).map(|text| api::actor(&text)).transpose()?,
            action: given(&self.action).map(|text| api::action(&text)).transpose()?,
            object: given(&self.object).map(|text| api::object(&text)).transpose()?,
            outcome: given(&self.outcome).map(|text| outcome(&text)).transpose()?,
            since: given(&self.since).map(|text| since(&text, now)).transpose()?,
        })
    }

    /// The address of the list with one filter changed.
    fn with(&self, name: &str, value: &str) -> String {
        let or = |field: &str, own: &str| if field == name { value.to_owned() } else { own.to_owned() };
        address(
            AUDIT,
            &[
                ("actor", &or("actor", &self.actor)),
                ("action", &or("action", &self.action)),
                ("object", &or("object", &self.object)),
                ("outcome", &or("outcome", &self.outcome)),
                ("since", &or("since", &self.since)),
                ("open", &or("open", "")),
                ("cursor", &or("cursor", "")),
            ],
        )
    }

    /// With an entry open on the page that is shown.
    fn opened(&self, id: &str) -> String {
        let here = Self { cursor: None, ..self.clone() };
        let cursor = self.cursor.as_deref().unwrap_or_default();
        let address = here.with("open", id);
        match (cursor.is_empty(), address.contains('?')) {
            (true, _) => address,
            (false, true) => format!("{address}&cursor={cursor}"),
            (false, false) => format!("{address}?cursor={cursor}"),
        }
    }
}

fn outcome(text: &str) -> Result<audit::Outcome, Invalid> {
    match text {
        "done" => Ok(audit::Outcome::Done),
        "refused" => Ok(audit::Outcome::Refused),
        "failed" => Ok(audit::Outcome::Failed),
        _ => Err(Invalid::field("outcome", "unknown", "outcome is done, refused or failed.")),
    }
}

const SPANS: [(&str, &str, i64); 3] = [("1d", "24 hours", 1), ("7d", "7 days", 7), ("30d", "30 days", 30)];

fn since(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    let span = SPANS.iter().find(|(value, ..)| *value == text);
    let (_, _, days) = span.ok_or_else(|| Invalid::field("since", "unknown", "since is 1d, 7d or 30d."))?;
    Ok(now - Duration::days(*days))
}

pub async fn audit_page(
    guard: Guard<AuditRead>,
    query: Query<Look>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let (app, grant) = (&guard.app, guard.grant()?);
    let look = query.value.clone();
    let now = guard.ctx.clock.now();
    let page = query.page(&app.keys, AUDIT, None, look.cursor.as_deref())?;
    let entries = audit::list(&app.db, &grant, &look.filter(now)?, &page).await?;
    let older = query.list(&app.keys, AUDIT, entries.clone()).next_cursor;
    let actors = audit::actors(&app.db, &grant).await?;
    let open = match look.open.is_empty() {
        true => None,
        false => Some(audit::find(&app.db, &grant, path_id(&look.open)?).await?.ok_or(NotFound)?),
    };
    let names = names(&guard, &entries.items, &actors, open.as_ref()).await?;
    let log = Log { names, look: &look, now, currency: app.config.organisation.currency };
    let actions = audit::actions(&app.db, &grant).await?;
    let attested = attest::last(&mut *app.db.read().await?).await?;
    page::ok(&AuditPage {
        frame: frame.titled("Audit", Place::Admin),
        here: AdminPlace::Audit,
        actors: log.actors(&actors),
        actions: log.actions(&actions),
        outcomes: choices(
            "Any outcome",
            [("done", "Done"), ("refused", "Refused"), ("failed", "Failed")],
            &look.outcome,
        ),
        since: choices("Any time", SPANS.map(|(value, label, _)| (value, label)), &look.since),
        chips: log.chips(),
        attested: attested.map(|last| (last.seq, When::new(last.at, now))),
        entries: entries.items.iter().map(|entry| log.row(entry)).collect(),
        pager: Pager {
            range: String::new(),
            newer: look.cursor.as_ref().map(|_| look.with("cursor", "")),
            older: older.map(|cursor| look.with("cursor", &cursor)),
        },
        sheet: open.as_ref().map(|entry| log.sheet(entry, &entries.items)),
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    format: export::Format,
}

/// The whole log as a file, whatever the filters of the page: a part of a chain proves nothing.
pub async fn export_audit(guard: Guard<AuditRead>, query: Query<Taken>) -> Result<HttpResponse, Problem> {
    let format = query.value.format;
    export::begin(&guard.ctx, &guard.app.db, &guard.grant()?, format).await?;
    let name = format!("audit-{}.{}", guard.ctx.clock.today(), format.extension());
    Ok(HttpResponse::Ok()
        .content_type(format.media_type())
        .insert_header(("Content-Disposition", format!("attachment; filename=\"{name}\"")))
        .streaming(export::all(guard.app.db.clone(), format)))
}

async fn names(
    guard: &Guard<AuditRead>,
    entries: &[Entry],
    actors: &[uuid::Uuid],
    open: Option<&Entry>,
) -> Result<HashMap<PersonId, String>, Problem> {
    let people = |entry: &Entry| {
        let object = entry.object_id.filter(|_| entry.object_kind.as_deref() == Some("person"));
        entry.actor_id.into_iter().chain(object)
    };
    let mut ids: Vec<PersonId> = entries.iter().chain(open).flat_map(people).map(PersonId::from).collect();
    ids.extend(actors.iter().copied().map(PersonId::from));
    let named = accounts::named(&mut *guard.app.db.read().await?, &guard.app.keys, &ids).await?;
    Ok(named.into_iter().collect())
}

/// What the rows are made from.
struct Log<'a> {
    names: HashMap<PersonId, String>,
    look: &'a Look,
    now: DateTime<Utc>,
    currency: Currency,
}

impl Log<'_> {
    fn actors(&self, actors: &[uuid::Uuid]) -> Vec<Choice> {
        let mut people: Vec<(String, String)> =
            actors.iter().map(|id| PersonId::from(*id)).map(|id| (id.to_string(), self.name(id))).collect();
        people.sort_by(|one, other| one.1.cmp(&other.1));
        let people = people.iter().map(|(id, name)| (id.as_str(), name.as_str()));
        choices("Anybody", people.chain([("system", "Server")]), &self.look.actor)
    }

    fn actions(&self, actions: &[String]) -> Vec<Choice> {
        let named: Vec<(&str, String)> =
            actions.iter().map(|action| (action.as_str(), words::of_action(action))).collect();
        choices("Any act", named.iter().map(|(action, words)| (*action, words.as_str())), &self.look.action)
    }

    fn name(&self, id: PersonId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| "Somebody who left".to_owned())
    }

    /// Filters that no select of the bar shows: an object that another page led to.
    fn chips(&self) -> Vec<Chip> {
        let label = format!("About {}", self.look.object);
        let chip = Chip { label, href: self.look.with("object", ""), on: true, removes: true };
        if self.look.object.is_empty() { Vec::new() } else { vec![chip] }
    }

    fn actor(&self, entry: &Entry) -> String {
        match (entry.actor_id, entry.actor_kind.as_str()) {
            (Some(person), _) => self.name(person.into()),
            (None, "system") => "Server".to_owned(),
            _ => "Unknown".to_owned(),
        }
    }

    fn object(&self, entry: &Entry) -> String {
        match (entry.object_kind.as_deref(), entry.object_id) {
            (Some("person"), Some(id)) => self.name(id.into()),
            (Some(kind), Some(_)) => told(entry).unwrap_or_else(|| words::of_object(kind).to_owned()),
            _ => network(entry).unwrap_or_else(|| "–".to_owned()),
        }
    }

    fn row(&self, entry: &Entry) -> AuditRow {
        let id = AuditId::from(entry.id).to_string();
        AuditRow {
            action: words::of_action(&entry.action),
            actor: self.actor(entry),
            object: self.object(entry),
            outcome: end(entry),
            reason: entry.reason.clone().unwrap_or_default(),
            at: When::new(entry.at, self.now),
            href: self.look.opened(&id),
            open: self.look.open == id,
        }
    }

    fn sheet(&self, entry: &Entry, listed: &[Entry]) -> AuditSheet {
        let id = AuditId::from(entry.id).to_string();
        let object_id = api::object_of(entry).unwrap_or_default();
        let place = listed.iter().position(|other| other.id == entry.id);
        let at = |place: Option<usize>| {
            let other = listed.get(place?)?;
            Some(self.look.opened(&AuditId::from(other.id).to_string()))
        };
        AuditSheet {
            action: words::of_action(&entry.action),
            code: entry.action.clone(),
            actor: self.actor(entry),
            object: self.object(entry),
            object_href: match object_id.is_empty() {
                true => address(AUDIT, &[("action", &entry.action)]),
                false => address(AUDIT, &[("object", &object_id)]),
            },
            object_id,
            outcome: end(entry),
            reason: entry.reason.clone().unwrap_or_default(),
            at: When::new(entry.at, self.now),
            request: entry.request_id.clone(),
            changes: changes(entry, self.currency),
            earlier: at(place.map(|place| place + 1)),
            later: at(place.and_then(|place| place.checked_sub(1))),
            back: self.look.opened(""),
            id,
        }
    }
}

/// What the act itself recorded about a thing that has no name here: "house/painter", "Organisation, month".
fn told(entry: &Entry) -> Option<String> {
    let text = |name: &str| entry.details.get(name)?.as_str();
    if let (Some(scope), Some(period)) = (text("scope"), text("period")) {
        return Some(format!("{}, {period}", words::plain(scope)));
    }
    ["model", "slug", "host"].into_iter().find_map(text).map(str::to_owned)
}

fn network(entry: &Entry) -> Option<String> {
    entry.network.clone()
}

fn end(entry: &Entry) -> Outcome {
    match entry.outcome.as_str() {
        "done" => Outcome::Done,
        "refused" => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

/// Fields that an act recorded with their value before it: `x` beside `x_before`. `x_micros` is money.
fn changes(entry: &Entry, currency: Currency) -> Vec<Change> {
    let Some(details) = entry.details.as_object() else { return Vec::new() };
    let text = |field: &str, value: Option<&serde_json::Value>| match value {
        None | Some(serde_json::Value::Null) => "none".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => match other.as_i64().filter(|_| field.ends_with("_micros")) {
            Some(micros) => format::money(micros, currency.as_str()),
            None => other.to_string(),
        },
    };
    let change = |(name, before): (&String, &serde_json::Value)| {
        let field = name.strip_suffix("_before")?;
        let (before, after) = (text(field, Some(before)), text(field, details.get(field)));
        Some(Change { field: words::plain(field.strip_suffix("_micros").unwrap_or(field)), before, after })
    };
    details.iter().filter_map(change).collect()
}
