//! The pages outside: sign-in, sign-out, and the new password that a one-time password asks for.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use chrono::Duration;
use serde::Deserialize;

use super::{
    Nothing, after, art, outside_frame,
    views::{NewPassword, PasswordPage, SignInPage, SignInState},
    with_next,
};
use crate::{
    accounts::{
        error::AccountsError,
        model::{SESSION_COOKIE, SignedIn},
        ops,
    },
    base::{
        access::{OwnSession, Public},
        ctx::Ctx,
        error::Invalid,
    },
    platform::Platform,
    web::{
        client::Client,
        cookies,
        extract::{Form, Query},
        format,
        guard::Guard,
        page::{self, PageFrame},
        problem::Problem,
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Way {
    next: String,
    /// The person has just signed out.
    left: Option<bool>,
}

pub async fn sign_in_page(
    guard: Guard<Public>,
    request: HttpRequest,
    way: Query<Way>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let next = &way.value.next;
    if let Ok(acting) = guard.ctx.acting() {
        let to = if acting.must_change_password { with_next("/password", next) } else { after(next).to_owned() };
        return Ok(page::see_other(&to));
    }
    let state = match (way.value.left, cookies::value_of(&request, SESSION_COOKIE)) {
        (Some(true), _) => SignInState::SignedOut,
        (_, Some(_)) => SignInState::Expired,
        _ => SignInState::Fresh,
    };
    page::ok(&view(&request, &guard.ctx, &guard.app, frame, state, String::new(), next))
}

fn view(
    request: &HttpRequest,
    ctx: &Ctx,
    app: &Platform,
    frame: PageFrame,
    state: SignInState,
    mail: String,
    next: &str,
) -> SignInPage {
    let host = request.connection_info().host().to_owned();
    let place = format!("{}, on {host}", app.config.organisation.name);
    let frame = outside_frame(request, ctx, app, frame, "Sign in");
    let next = if super::own_path(next) { next.to_owned() } else { String::new() };
    SignInPage { frame, place, state, mail, next, art: art() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInForm {
    mail: String,
    password: String,
    #[serde(default)]
    next: String,
}

pub async fn sign_in(
    guard: Guard<Public>,
    request: HttpRequest,
    form: Form<SignInForm>,
    client: Client,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let Guard { ctx, app, .. } = &guard;
    let SignInForm { mail, password, next } = form.0;
    let before = cookies::value_of(&request, SESSION_COOKIE);
    let refused = match ops::sign_in(ctx, app, &mail, &password, &client.into(), before.as_deref()).await {
        Ok(signed_in) => {
            let to = match signed_in.must_change_password {
                true => with_next("/password", &next),
                false => after(&next).to_owned(),
            };
            return Ok(enter(app, &signed_in, &to));
        }
        Err(error) => error,
    };
    let (status, state, wait) = match refused {
        AccountsError::DoNotMatch => (StatusCode::UNAUTHORIZED, SignInState::Wrong, None),
        AccountsError::Throttled { seconds } => (StatusCode::TOO_MANY_REQUESTS, throttled(ctx, seconds), Some(seconds)),
        other => return Err(other.into()),
    };
    let mut response = page::html(status, &view(&request, ctx, app, frame, state, mail, &next))?;
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    Ok(response)
}

fn throttled(ctx: &Ctx, seconds: u32) -> SignInState {
    let until = ctx.clock.now() + Duration::seconds(i64::from(seconds));
    SignInState::Throttled { wait: format::duration(u64::from(seconds)), until: until.format("%H:%M UTC").to_string() }
}

/// Lets the browser in with its new session.
pub(super) fn enter(app: &Platform, signed_in: &SignedIn, to: &str) -> HttpResponse {
    let mut response = page::see_other(to);
    cookies::give(&mut response, SESSION_COOKIE, &signed_in.cookie, app.config.sessions.absolute_hours);
    response
}

pub async fn sign_out(guard: Guard<OwnSession>, _form: Form<Nothing>) -> Result<HttpResponse, Problem> {
    ops::sign_out(&guard.ctx, &guard.app).await?;
    let mut response = page::see_other("/sign-in?left=true");
    cookies::give(&mut response, SESSION_COOKIE, "", 0);
    let clear = header::HeaderValue::from_static("\"cache\", \"storage\"");
    response.headers_mut().insert(header::HeaderName::from_static("clear-site-data"), clear);
    Ok(response)
}

pub async fn password_page(
    guard: Guard<OwnSession>,
    request: HttpRequest,
    way: Query<Way>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    if !guard.ctx.acting()?.must_change_password {
        return Ok(page::see_other("/settings#password"));
    }
    page::ok(&password_view(&request, &guard, frame, &way.value.next, None)?)
}

fn password_view(
    request: &HttpRequest,
    guard: &Guard<OwnSession>,
    frame: PageFrame,
    next: &str,
    refused: Option<&Invalid>,
) -> Result<PasswordPage, Problem> {
    let acting = guard.ctx.acting()?;
    let frame = outside_frame(request, &guard.ctx, &guard.app, frame, "Choose a new password");
    let password = new_password(&acting.mail, &acting.name, refused);
    Ok(PasswordPage { frame, next: next.to_owned(), password, art: art() })
}

/// Both fields of a new password, with what is wrong with them.
pub(super) fn new_password(mail: &str, name: &str, refused: Option<&Invalid>) -> NewPassword {
    NewPassword {
        mail: mail.to_owned(),
        name: name.to_owned(),
        new_error: refused.and_then(|invalid| fault_of(invalid, "password")),
        again_error: refused.and_then(|invalid| fault_of(invalid, "again")),
    }
}

pub(super) fn fault_of(invalid: &Invalid, field: &str) -> Option<String> {
    invalid.0.iter().find(|fault| fault.name == field).map(|fault| fault.message.clone())
}

pub(super) fn both_same(new: &str, again: &str) -> Result<(), Invalid> {
    if new == again { Ok(()) } else { Err(Invalid::field("again", "different", "Not the same as above.")) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordForm {
    new_password: String,
    again: String,
    #[serde(default)]
    next: String,
    /// For password managers; who it is, the session says.
    #[serde(default, rename = "mail")]
    _mail: String,
}

pub async fn choose_password(
    guard: Guard<OwnSession>,
    request: HttpRequest,
    form: Form<PasswordForm>,
    client: Client,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    if !guard.ctx.acting()?.must_change_password {
        return Ok(page::see_other("/settings#password"));
    }
    let PasswordForm { new_password, again, next, .. } = form.0;
    let changed = match both_same(&new_password, &again) {
        Ok(()) => ops::change_password(&guard.ctx, &guard.app, None, &new_password, &client.into()).await,
        Err(different) => Err(different.into()),
    };
    match changed {
        Ok(signed_in) => Ok(enter(&guard.app, &signed_in, after(&next))),
        Err(AccountsError::Invalid(invalid)) => {
            let view = password_view(&request, &guard, frame, &next, Some(&invalid))?;
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &view)
        }
        Err(other) => Err(other.into()),
    }
}
