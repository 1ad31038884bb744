//! Forms of the People page that lead back to the person.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use crate::{
    accounts::ops as accounts,
    base::{access::PeopleEdit, error::Invalid, ids::PersonId},
    organisation::ops,
    web::{
        extract::{Form, path_id},
        guard::Guard,
        page,
        problem::Problem,
    },
};

/// A form that says everything with its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhyForm {
    #[serde(default)]
    reason: String,
}

impl WhyForm {
    fn parse(&self) -> Result<Option<&str>, Invalid> {
        let reason = self.reason.trim();
        if reason.len() > 1000 || reason.chars().any(char::is_control) {
            return Err(Invalid::field("reason", "malformed", "A reason is one line of at most 1,000 bytes."));
        }
        Ok((!reason.is_empty()).then_some(reason))
    }
}

fn back_to(person: PersonId) -> HttpResponse {
    page::see_other(&format!("/admin/people?open={person}"))
}

pub async fn deactivate(
    guard: Guard<PeopleEdit>,
    id: web::Path<String>,
    form: Form<WhyForm>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&id)?;
    ops::deactivate_person(&guard.ctx, &guard.app, id, form.0.parse()?).await?;
    Ok(back_to(id))
}

pub async fn reactivate(
    guard: Guard<PeopleEdit>,
    id: web::Path<String>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&id)?;
    ops::reactivate_person(&guard.ctx, &guard.app, id).await?;
    Ok(back_to(id))
}

pub async fn end_sessions(
    guard: Guard<PeopleEdit>,
    id: web::Path<String>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&id)?;
    accounts::end_sessions_of(&guard.ctx, &guard.app, id).await?;
    Ok(back_to(id))
}
