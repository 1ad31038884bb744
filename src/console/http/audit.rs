//! The audit log as the API shows it.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    base::{
        access::AuditRead,
        clock::At,
        error::Invalid,
        ids::{self, AuditId, PersonId},
    },
    platform::audit::{self, By, Entry, Filter},
    web::{
        document::operation,
        extract::Query,
        guard::Guard,
        problem::Problem,
        route::{Route, get},
    },
};

const AUDIT: &str = "/api/v1/admin/audit";

pub fn routes() -> Vec<Route> {
    vec![
        get(AUDIT, list_audit).documented(
            operation("audit", "What was done, by whom and to what, newest first.")
                .query::<AuditQuery>()
                .lists::<AuditItem>("A page of entries."),
        ),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// A person's id, or `system`.
    #[param(max_length = 64)]
    actor: Option<String>,
    #[param(max_length = 64)]
    action: Option<String>,
    /// The id of whatever it was done to.
    #[param(max_length = 64)]
    object: Option<String>,
    #[param(inline)]
    outcome: Option<Outcome>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuditOutcome)]
pub enum Outcome {
    Done,
    Refused,
    Failed,
}

impl From<Outcome> for audit::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Refused => Self::Refused,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl AuditQuery {
    fn filter(&self) -> Result<Filter, Invalid> {
        Ok(Filter {
            actor: self.actor.as_deref().map(actor).transpose()?,
            action: self.action.as_deref().map(action).transpose()?,
            object: self.object.as_deref().map(object).transpose()?,
            outcome: self.outcome.map(Into::into),
            since: None,
        })
    }
}

pub fn actor(text: &str) -> Result<By, Invalid> {
    if text == "system" {
        return Ok(By::System);
    }
    let person = text.parse::<PersonId>();
    let person = person.map_err(|_| Invalid::field("actor", "malformed", "actor is a person's id, or system."))?;
    Ok(By::Person(person.uuid()))
}

/// Room and verb: `people.add`.
pub fn action(text: &str) -> Result<String, Invalid> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_'));
    if plain {
        Ok(text.to_owned())
    } else {
        Err(Invalid::field("action", "malformed", "An action looks like people.add."))
    }
}

pub fn object(text: &str) -> Result<uuid::Uuid, Invalid> {
    ids::read_any(text).ok_or_else(|| Invalid::field("object", "malformed", "object is the id of a thing or a person."))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AuditItem {
    id: AuditId,
    at: At,
    /// A person's id, `system`, or null for somebody who had not signed in.
    #[schema(max_length = 64)]
    actor: Option<String>,
    #[schema(max_length = 64)]
    action: String,
    /// The id of what it was done to.
    #[schema(max_length = 64)]
    object: Option<String>,
    #[schema(max_length = 16)]
    outcome: String,
    #[schema(max_length = 1000)]
    reason: Option<String>,
    /// Where a sign-in came from, without the host: `10.4.2.0/24`.
    #[schema(max_length = 64)]
    network: Option<String>,
    /// Ids, numbers and names of fields; no content.
    #[schema(value_type = Object)]
    details: serde_json::Value,
    #[schema(max_length = 64)]
    request_id: String,
}

impl From<Entry> for AuditItem {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.into(),
            at: entry.at.into(),
            actor: actor_of(&entry),
            object: object_of(&entry),
            action: entry.action,
            outcome: entry.outcome,
            reason: entry.reason,
            network: entry.network,
            details: entry.details,
            request_id: entry.request_id,
        }
    }
}

pub fn actor_of(entry: &Entry) -> Option<String> {
    match entry.actor_id {
        Some(person) => Some(PersonId::from(person).to_string()),
        None => (entry.actor_kind == "system").then(|| "system".to_owned()),
    }
}

/// The id as it is written everywhere else.
pub fn object_of(entry: &Entry) -> Option<String> {
    let (kind, id) = (entry.object_kind.as_deref()?, entry.object_id?);
    let prefix = match kind {
        "person" => "per",
        "session" => "ses",
        "token" => "tok",
        "organisation" => "org",
        "workspace" => "wsp",
        "generation" => "gen",
        "asset" => "ast",
        "provider" => "prv",
        "destination" => "dst",
        "price_card" => "prc",
        other => other,
    };
    Some(ids::write(prefix, id))
}

async fn list_audit(guard: Guard<AuditRead>, query: Query<AuditQuery>) -> Result<HttpResponse, Problem> {
    let page = query.page(&guard.app.keys, AUDIT, query.value.limit, query.value.cursor.as_deref())?;
    let entries = audit::list(&guard.app.db, &guard.grant()?, &query.value.filter()?, &page).await?;
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, AUDIT, entries.map(AuditItem::from))))
}
