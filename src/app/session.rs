//! Who is asking: turns a cookie or a token into a `Ctx`. Accounts say who it is, the organisation what they may do.

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::AUTHORIZATION,
    middleware::Next,
    web,
};
use tokio::time::timeout;

use crate::{
    accounts::{
        self,
        model::{Proven, SESSION_COOKIE},
    },
    base::{
        ctx::{Acting, Actor, Ctx, RequestId},
        error::NotFound,
    },
    organisation,
    platform::{
        Platform,
        db::{DbError, SILENCE},
    },
    web::problem::Problem,
};

pub async fn identify(
    platform: web::ThinData<Platform>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // A database that is away or hangs says so; it never looks like a wrong password.
    let actor = match timeout(SILENCE, actor(&platform, request.request())).await {
        Ok(Ok(actor)) => actor,
        Ok(Err(problem)) => return Ok(request.error_response(problem).map_into_boxed_body()),
        Err(_) => return Ok(request.error_response(Problem::from(DbError::silent())).map_into_boxed_body()),
    };
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(|| RequestId::new("unknown"));
    request.extensions_mut().insert(Ctx::new(actor, id, platform.clock.clone()));
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

async fn actor(platform: &Platform, request: &HttpRequest) -> Result<Actor, Problem> {
    if request.path().starts_with("/static/") || ["/healthz", "/readyz"].contains(&request.path()) {
        return Ok(Actor::Nobody);
    }
    let proven = match bearer(request) {
        Some(Ok(token)) => accounts::ops::token(platform, token).await?,
        // Another scheme, or a token that is none, is nobody; a cookie beside it does not count.
        Some(Err(NotFound)) => None,
        None => match request.cookie(SESSION_COOKIE) {
            Some(cookie) => accounts::ops::session(platform, cookie.value()).await?,
            None => None,
        },
    };
    match proven {
        Some(proven) => Ok(acting(platform, proven).await?),
        None => Ok(Actor::Nobody),
    }
}

fn bearer(request: &HttpRequest) -> Option<Result<&str, NotFound>> {
    let header = request.headers().get(AUTHORIZATION)?;
    let token = header.to_str().ok().and_then(|text| text.split_once(' '));
    Some(match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(NotFound),
    })
}

/// Somebody whom the organisation does not know is nobody.
pub async fn acting(platform: &Platform, proven: Proven) -> Result<Actor, DbError> {
    let mut conn = platform.db.read().await?;
    let Some(membership) = organisation::ops::membership(&mut conn, proven.person).await? else {
        return Ok(Actor::Nobody);
    };
    Ok(Actor::Person(Box::new(Acting {
        person: proven.person,
        name: proven.name,
        mail: proven.mail,
        organisation: membership.organisation,
        workspace: membership.workspace,
        roles: membership.roles,
        scopes: proven.scopes,
        credential: proven.credential,
        must_change_password: proven.must_change_password,
    })))
}
