//! The JSON API of the organisation: its people.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    model::{self, Member, NewPerson},
    ops,
};
use crate::{
    accounts::model::{Mail, Name, PeopleFilter},
    base::{
        access::{PeopleEdit, PeopleRead, Role},
        clock::At,
        error::Invalid,
        ids::{PersonId, PersonKind},
    },
    web::{
        document::operation,
        extract::{self, Body, Query, path_id},
        guard::Guard,
        problem::Problem,
        route::{Route, get, post},
    },
};

pub const PEOPLE: &str = "/api/v1/admin/people";

pub fn routes() -> Vec<Route> {
    vec![
        get(PEOPLE, list_people).documented(
            operation("people", "Everybody with an account, newest first.")
                .query::<PeopleQuery>()
                .lists::<PersonItem>("A page of people."),
        ),
        post(PEOPLE, add_person).documented(
            operation("people", "Adds a person. The one-time password is in this answer and nowhere else.")
                .once()
                .body::<PersonRequest>()
                .answers::<MadePerson>(StatusCode::CREATED, "The person."),
        ),
        get("/api/v1/admin/people/{id}", find_person).documented(
            operation("people", "One person.")
                .id::<PersonKind>("id")
                .answers::<PersonItem>(StatusCode::OK, "The person."),
        ),
        post("/api/v1/admin/people/{id}/deactivate", deactivate_person).documented(
            operation("people", "Switches an account off: its sessions and tokens end at once.")
                .id::<PersonKind>("id")
                .answers::<PersonItem>(StatusCode::OK, "The person.")
                .problem(StatusCode::CONFLICT),
        ),
        post("/api/v1/admin/people/{id}/reactivate", reactivate_person).documented(
            operation("people", "Lets a person sign in again.")
                .id::<PersonKind>("id")
                .answers::<PersonItem>(StatusCode::OK, "The person."),
        ),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PeopleQuery {
    #[param(max_length = 255)]
    mail: Option<String>,
    state: Option<State>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PersonState)]
pub enum State {
    Active,
    Deactivated,
}

impl PeopleQuery {
    fn filter(&self) -> Result<PeopleFilter, Invalid> {
        let mail = self.mail.as_deref().map(str::parse::<Mail>).transpose().map_err(|fault| Invalid(vec![fault]))?;
        Ok(PeopleFilter {
            mail: mail.map(|mail| mail.to_string()),
            active: self.state.map(|state| state == State::Active),
            search: None,
        })
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonRequest {
    #[schema(min_length = 3, max_length = 255, example = "ida.lund@example.org")]
    mail: String,
    #[schema(min_length = 1, max_length = 255, example = "Ida Lund")]
    name: String,
    /// `member` when not given.
    role: Option<Role>,
}

impl PersonRequest {
    /// All faults at once, so that a form is corrected once.
    fn parse(self) -> Result<NewPerson, Invalid> {
        match (self.mail.parse::<Mail>(), self.name.parse::<Name>()) {
            (Ok(mail), Ok(name)) => Ok(NewPerson { mail, name, role: self.role.unwrap_or(Role::Member) }),
            (mail, name) => Err(Invalid(mail.err().into_iter().chain(name.err()).collect())),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonItem {
    id: PersonId,
    #[schema(max_length = 255)]
    mail: String,
    #[schema(max_length = 255)]
    name: String,
    role: Role,
    state: State,
    /// The one-time password has not been replaced yet.
    must_change_password: bool,
    created_at: At,
    deactivated_at: Option<At>,
    last_seen_at: Option<At>,
}

impl From<&Member> for PersonItem {
    fn from(member: &Member) -> Self {
        let person = &member.person;
        let state = if person.deactivated_at.is_some() { State::Deactivated } else { State::Active };
        Self {
            id: person.id,
            mail: person.mail.clone(),
            name: person.name.clone(),
            role: member.role(),
            state,
            must_change_password: person.must_change_password,
            created_at: person.created_at.into(),
            deactivated_at: person.deactivated_at.map(At),
            last_seen_at: person.last_seen_at.map(At),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct MadePerson {
    #[serde(flatten)]
    person: PersonItem,
    /// Opens the sign-in page until an own password is chosen: shown once.
    #[schema(max_length = 64)]
    one_time_password: String,
}

impl From<&model::MadePerson> for MadePerson {
    fn from(made: &model::MadePerson) -> Self {
        Self { person: (&made.member).into(), one_time_password: made.one_time_password.clone() }
    }
}

async fn list_people(guard: Guard<PeopleRead>, query: Query<PeopleQuery>) -> Result<HttpResponse, Problem> {
    let page = query.page(&guard.app.keys, PEOPLE, query.value.limit, query.value.cursor.as_deref())?;
    let people = ops::list_people(&guard.ctx, &guard.app, &query.value.filter()?, &page).await?;
    let people = people.map(|member| PersonItem::from(&member));
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, PEOPLE, people)))
}

async fn find_person(guard: Guard<PeopleRead>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let member = ops::find_person(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(PersonItem::from(&member)))
}

async fn add_person(
    guard: Guard<PeopleEdit>,
    request: HttpRequest,
    body: Body<PersonRequest>,
) -> Result<HttpResponse, Problem> {
    let once = extract::once(&request, body.hash)?;
    let answer = |made: &model::MadePerson| {
        let location = format!("{PEOPLE}/{}", made.member.person.id);
        extract::first_answer(StatusCode::CREATED, Some(location), &MadePerson::from(made))
    };
    let made = ops::add_person(&guard.ctx, &guard.app, body.value.parse()?, &once, answer).await?;
    Ok(extract::answer(&made))
}

async fn deactivate_person(guard: Guard<PeopleEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let member = ops::deactivate_person(&guard.ctx, &guard.app, path_id(&id)?, None).await?;
    Ok(HttpResponse::Ok().json(PersonItem::from(&member)))
}

async fn reactivate_person(guard: Guard<PeopleEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let member = ops::reactivate_person(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(PersonItem::from(&member)))
}
