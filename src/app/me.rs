//! `GET /api/v1/me`: who one is, what one may do and spend. Here, because it is the only answer made of three rooms.

use actix_web::{HttpResponse, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    base::{
        access::{ProfileRead, Role, Scope},
        ids::{PersonId, WorkspaceId},
        money::Currency,
    },
    ledger::{self, model::CapState},
    organisation,
    web::{
        document::operation,
        guard::Guard,
        problem::Problem,
        route::{Route, get},
    },
};

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/me", find_me).documented(
            operation("me", "Who you are, what you may do and spend").answers::<Me>(StatusCode::OK, "You."),
        ),
    ]
}

#[derive(Serialize, ToSchema)]
struct Me {
    person: Person,
    roles: Vec<Role>,
    /// What the credential of this request may be used for.
    scopes: Vec<Scope>,
    organisation: Organisation,
    workspaces: Vec<Workspace>,
    caps: Vec<CapState>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonSelf)]
struct Person {
    id: PersonId,
    mail: String,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct Organisation {
    name: String,
    #[schema(value_type = String)]
    currency: Currency,
}

#[derive(Serialize, ToSchema)]
struct Workspace {
    id: WorkspaceId,
    name: String,
}

async fn find_me(guard: Guard<ProfileRead>) -> Result<HttpResponse, Problem> {
    let acting = guard.ctx.acting()?;
    let mut conn = guard.app.db.read().await?;
    let organisation = organisation::ops::organisation(&mut conn).await?;
    let workspaces = organisation::ops::workspaces_of(&mut conn, acting.person).await?;
    let caps =
        ledger::ops::caps_of(&mut conn, &guard.ctx, acting.organisation, acting.workspace, acting.person).await?;
    Ok(HttpResponse::Ok().json(Me {
        person: Person { id: acting.person, mail: acting.mail.clone(), name: acting.name.clone() },
        roles: acting.roles.clone(),
        scopes: acting.scopes.clone(),
        organisation: Organisation { name: organisation.name, currency: organisation.currency },
        workspaces: workspaces
            .into_iter()
            .map(|workspace| Workspace { id: workspace.id, name: workspace.name })
            .collect(),
        caps,
    }))
}
