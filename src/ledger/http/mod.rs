//! The JSON API of the ledger: the caps that owners set, and statements.

mod statement;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    base::{
        access::{CapsEdit, CapsRead},
        clock::At,
        error::Invalid,
        ids::{CapId, CapKind, Id, Kind, OrganisationId, PersonId, WorkspaceId},
        money::Money,
    },
    ledger::{
        model::{Cap, CapFilter, CapState, NewCap, Period, Scope, Subject},
        ops::{self, Standing},
    },
    web::{
        document::operation,
        extract::{self, Body, Query, path_id},
        guard::Guard,
        problem::Problem,
        route::{Route, delete, get, post, put},
    },
};

pub const CAPS: &str = "/api/v1/admin/caps";

pub fn routes() -> Vec<Route> {
    let mut routes = statement::routes();
    routes.extend(caps());
    routes
}

fn caps() -> Vec<Route> {
    vec![
        get(CAPS, list_caps).documented(
            operation("caps", "Every cap and where it stands, newest first.")
                .query::<CapsQuery>()
                .lists::<CapItem>("A page of caps."),
        ),
        put(CAPS, set_cap).documented(
            operation("caps", "Sets the one cap of a subject for a period. What was spent before counts.")
                .body::<CapRequest>()
                .answers::<CapItem>(StatusCode::OK, "The cap."),
        ),
        post("/api/v1/admin/caps/{id}/refill", refill_cap).documented(
            operation("caps", "Adds room to a cap: for this day or month alone, or for good to a total.")
                .once()
                .id::<CapKind>("id")
                .body::<RefillRequest>()
                .answers::<CapState>(StatusCode::OK, "Where the cap stands now."),
        ),
        delete("/api/v1/admin/caps/{id}", delete_cap).documented(
            operation("caps", "Deletes a cap; what was spent stays counted.")
                .id::<CapKind>("id")
                .answers_nothing(StatusCode::NO_CONTENT, "It is gone."),
        ),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CapsQuery {
    scope: Option<Scope>,
    /// The id of a person, a workspace or the organisation.
    #[param(max_length = 64)]
    subject: Option<String>,
    period: Option<Period>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

impl CapsQuery {
    fn filter(&self) -> Result<CapFilter, Invalid> {
        let subject = self.subject.as_deref().map(any_subject).transpose()?;
        Ok(CapFilter { scope: self.scope, subject, period: self.period })
    }
}

fn any_subject(text: &str) -> Result<Uuid, Invalid> {
    let person = text.parse::<PersonId>().map(PersonId::uuid);
    let workspace = || text.parse::<WorkspaceId>().map(WorkspaceId::uuid);
    let organisation = || text.parse::<OrganisationId>().map(OrganisationId::uuid);
    let malformed =
        |_| Invalid::field("subject", "malformed", "subject is the id of a person, a workspace or the organisation.");
    person.or_else(|_| workspace()).or_else(|_| organisation()).map_err(malformed)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CapRequest {
    scope: Scope,
    /// A person's or workspace's id. Null: the organisation, or the default of each person without a cap of their own.
    #[schema(max_length = 64)]
    subject: Option<String>,
    period: Period,
    limit: Money,
}

impl CapRequest {
    fn parse(&self, organisation: OrganisationId) -> Result<NewCap, Invalid> {
        let subject = match (self.scope, self.subject.as_deref()) {
            (Scope::Organisation, None) => Subject::Organisation(organisation),
            (Scope::Organisation, Some(text)) => Subject::Organisation(subject_id(text)?),
            (Scope::Workspace, Some(text)) => Subject::Workspace(subject_id(text)?),
            (Scope::Workspace, None) => {
                return Err(Invalid::field("subject", "required", "Say which workspace this cap is for."));
            }
            (Scope::Person, Some(text)) => Subject::Person(subject_id(text)?),
            (Scope::Person, None) => Subject::EachPerson,
        };
        Ok(NewCap { subject, period: self.period, limit: self.limit })
    }
}

fn subject_id<K: Kind>(text: &str) -> Result<Id<K>, Invalid> {
    let malformed = |_| {
        Invalid::field(
            "subject",
            "malformed",
            format!("For this scope, subject is an id that begins with {}_.", K::PREFIX),
        )
    };
    text.parse().map_err(malformed)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefillRequest {
    amount: Money,
    #[schema(min_length = 1, max_length = 2000)]
    reason: String,
    /// Whose cap, where it is the default of each person.
    #[schema(max_length = 64)]
    person: Option<String>,
}

/// A cap and where it stands: `limit + refilled = spent + held + left`. The default of each person is a rule without sums.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cap)]
pub struct CapItem {
    id: CapId,
    scope: Scope,
    #[schema(max_length = 64)]
    subject: Option<String>,
    period: Period,
    limit: Money,
    spent: Option<Money>,
    held: Option<Money>,
    left: Option<Money>,
    /// What an owner added to this day or month alone, or for good to a total.
    refilled: Option<Money>,
    /// 50, 80 or 100: so many percent are spent or set aside.
    warning: Option<u8>,
    refills_at: Option<At>,
    created_at: At,
    updated_at: At,
}

impl CapItem {
    fn new((cap, state): &Standing, today: NaiveDate) -> Self {
        let Cap { id, subject, period, limit, created_at, updated_at } = *cap;
        let sum = |of: fn(&CapState) -> Money| state.as_ref().map(of);
        Self {
            id,
            scope: subject.scope(),
            subject: subject.id_text(),
            period,
            limit,
            spent: sum(|state| state.spent),
            held: sum(|state| state.held),
            left: sum(|state| state.left),
            refilled: sum(|state| state.refilled),
            warning: state.as_ref().and_then(|state| state.warning),
            refills_at: period.refills_at(today).map(At),
            created_at: At(created_at),
            updated_at: At(updated_at),
        }
    }
}

async fn list_caps(guard: Guard<CapsRead>, query: Query<CapsQuery>) -> Result<HttpResponse, Problem> {
    let page = query.page(&guard.app.keys, CAPS, query.value.limit, query.value.cursor.as_deref())?;
    let filter = query.value.filter()?;
    let caps = ops::list_caps(&guard.ctx, &guard.app, &guard.grant()?, &filter, &page).await?;
    let today = guard.ctx.clock.today();
    let caps = caps.map(|standing| CapItem::new(&standing, today));
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, CAPS, caps)))
}

async fn set_cap(guard: Guard<CapsEdit>, body: Body<CapRequest>) -> Result<HttpResponse, Problem> {
    let new = body.value.parse(guard.grant()?.organisation())?;
    let standing = ops::set_cap(&guard.ctx, &guard.app, &new).await?;
    Ok(HttpResponse::Ok().json(CapItem::new(&standing, guard.ctx.clock.today())))
}

async fn refill_cap(
    guard: Guard<CapsEdit>,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body<RefillRequest>,
) -> Result<HttpResponse, Problem> {
    let once = extract::once(&request, body.hash)?;
    let RefillRequest { amount, reason, person } = body.value;
    let malformed = |_| Invalid::field("person", "malformed", "person is an id that begins with per_.");
    let person = person.map(|id| id.parse::<PersonId>().map_err(malformed)).transpose()?;
    let refill = ops::Refill { cap: path_id(&id)?, person, amount, reason: &reason };
    let render = |state: &CapState| extract::first_answer(StatusCode::OK, None, state);
    Ok(extract::answer(&ops::refill_cap(&guard.ctx, &guard.app, &refill, &once, render).await?))
}

async fn delete_cap(guard: Guard<CapsEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    ops::delete_cap(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;

    fn parse(scope: Scope, subject: Option<String>) -> Result<NewCap, Invalid> {
        let limit = serde_json::from_str(r#"{"micros": 5, "currency": "EUR"}"#).unwrap();
        CapRequest { scope, subject, period: Period::Day, limit }.parse(OrganisationId::new(&Clock::system()))
    }

    #[test]
    fn scope_and_subject_go_together() {
        let clock = Clock::system();
        let (person, workspace) = (PersonId::new(&clock), WorkspaceId::new(&clock));
        assert!(matches!(parse(Scope::Organisation, None).unwrap().subject, Subject::Organisation(_)));
        assert_eq!(parse(Scope::Person, None).unwrap().subject, Subject::EachPerson);
        assert_eq!(parse(Scope::Person, Some(person.to_string())).unwrap().subject, Subject::Person(person));
        assert_eq!(
            parse(Scope::Workspace, Some(workspace.to_string())).unwrap().subject,
            Subject::Workspace(workspace)
        );
        for (scope, subject, code) in [
            (Scope::Workspace, None, "required"),
            (Scope::Workspace, Some(person.to_string()), "malformed"),
            (Scope::Person, Some(workspace.to_string()), "malformed"),
            (Scope::Organisation, Some(person.to_string()), "malformed"),
            (Scope::Person, Some(String::new()), "malformed"),
        ] {
            let Invalid(faults) = parse(scope, subject).unwrap_err();
            assert_eq!((faults[0].name.as_str(), faults[0].code.as_str()), ("subject", code));
        }
    }
}
