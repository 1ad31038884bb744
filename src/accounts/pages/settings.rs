//! The own settings: name, appearance, password, places where one is signed in.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::{
    Nothing, after,
    browser::{browser, handheld},
    outside::{both_same, enter, fault_of, new_password},
    settings_views::{SessionRow, SettingsPage},
};
use crate::{
    accounts::{
        error::AccountsError,
        model::{Name, Session},
        ops,
    },
    base::{
        access::{Permission, ProfileEdit, ProfileRead, Role},
        ctx::{Credential, Ctx},
        error::Invalid,
    },
    platform::Platform,
    web::{
        client::Client,
        cookies,
        extract::{Form, path_id},
        format::When,
        frame::{Place, Theme},
        guard::Guard,
        page::{self, PageFrame},
        parts::Field,
        problem::Problem,
    },
};

pub async fn settings_page(guard: Guard<ProfileRead>, frame: PageFrame) -> Result<HttpResponse, Problem> {
    page::ok(&view(&guard.ctx, &guard.app, frame, None).await?)
}

async fn view(
    ctx: &Ctx,
    app: &Platform,
    frame: PageFrame,
    refused: Option<&Invalid>,
) -> Result<SettingsPage, AccountsError> {
    let acting = ctx.acting()?;
    let now = ctx.clock.now();
    let person = ops::find(&mut *app.db.read().await?, &app.keys, acting.person).await?;
    let changed = person.map(|person| person.password_changed_at.format("Changed %-d %B %Y.").to_string());
    let mut sessions: Vec<SessionRow> = Vec::new();
    for session in ops::own_sessions(ctx, app).await? {
        let row = row(&session, acting.credential, now);
        let place = if row.this { 0 } else { sessions.len() };
        sessions.insert(place, row);
    }
    let owner = acting.roles.contains(&Role::Owner);
    Ok(SettingsPage {
        frame: frame.titled("Settings", Place::Settings),
        role: if owner { "Owner" } else { "Member" }.to_owned(),
        person: Field { value: acting.name.clone(), error: refused.and_then(|invalid| fault_of(invalid, "name")) },
        current_error: refused.and_then(|invalid| fault_of(invalid, "current")),
        password: new_password(&acting.mail, &acting.name, refused),
        password_age: changed.unwrap_or_default(),
        sessions,
    })
}

fn row(session: &Session, credential: Credential, now: chrono::DateTime<chrono::Utc>) -> SessionRow {
    SessionRow {
        id: session.id.to_string(),
        this: credential == Credential::Session(session.id),
        handheld: handheld(&session.user_agent),
        browser: browser(&session.user_agent),
        network: session.network.clone(),
        seen: When::new(session.last_seen_at, now),
        since: When::new(session.created_at, now),
    }
}

/// The page again with what was wrong, or the error as it is.
async fn again<P: Permission>(
    guard: &Guard<P>,
    frame: PageFrame,
    error: AccountsError,
) -> Result<HttpResponse, Problem> {
    match error {
        AccountsError::Invalid(invalid) => {
            let view = view(&guard.ctx, &guard.app, frame, Some(&invalid)).await?;
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &view)
        }
        other => Err(other.into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileForm {
    name: String,
}

pub async fn save_profile(
    guard: Guard<ProfileEdit>,
    form: Form<ProfileForm>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let saved = match form.0.name.parse::<Name>() {
        Ok(name) => ops::rename(&guard.ctx, &guard.app, &name).await,
        Err(fault) => Err(Invalid(vec![fault]).into()),
    };
    match saved {
        Ok(()) => Ok(page::see_other("/settings")),
        Err(error) => again(&guard, frame, error).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThemeForm {
    theme: String,
    #[serde(default)]
    next: String,
}

pub async fn choose_theme(_guard: Guard<ProfileEdit>, form: Form<ThemeForm>) -> Result<HttpResponse, Problem> {
    let mut response = page::see_other(after(&form.0.next));
    cookies::give_theme(&mut response, Theme::parse(&form.0.theme));
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeForm {
    current_password: String,
    new_password: String,
    again: String,
}

pub async fn change_password(
    guard: Guard<ProfileEdit>,
    form: Form<ChangeForm>,
    client: Client,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let ChangeForm { current_password, new_password, again: repeated } = form.0;
    let changed = match both_same(&new_password, &repeated) {
        Ok(()) => {
            let current = Some(current_password.as_str());
            ops::change_password(&guard.ctx, &guard.app, current, &new_password, &client.into()).await
        }
        Err(different) => Err(different.into()),
    };
    match changed {
        Ok(signed_in) => Ok(enter(&guard.app, &signed_in, "/settings#password")),
        Err(error) => again(&guard, frame, error).await,
    }
}

pub async fn end_session(
    guard: Guard<ProfileEdit>,
    id: web::Path<String>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    ops::end_session(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(page::see_other("/settings#sessions"))
}

pub async fn end_other_sessions(guard: Guard<ProfileEdit>, _form: Form<Nothing>) -> Result<HttpResponse, Problem> {
    ops::end_other_sessions(&guard.ctx, &guard.app).await?;
    Ok(page::see_other("/settings#sessions"))
}
