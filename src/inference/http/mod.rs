//! The catalog's API: what everybody may choose from, and what administrators set up.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use utoipa::ToSchema;

use super::ops::{self, Probe};
use crate::{
    base::{
        access::{ModelsRead, ProvidersEdit, ProvidersRead},
        error::Invalid,
        ids::ProviderKind,
        paging::{List, Page, PageRequest},
    },
    web::{
        document::operation,
        extract::{self, Body, Query, path_id},
        guard::Guard,
        problem::Problem,
        route::{Route, delete, get, patch, post},
    },
};

mod models;
mod providers;

use models::{AdminModelView, ModelPatch, ModelRequest, ModelView};
use providers::{ProviderItem, ProviderPatch, ProviderRequest};

const MODELS: &str = "/api/v1/models";
const ADMIN_PROVIDERS: &str = "/api/v1/admin/providers";
const ADMIN_PROVIDER: &str = "/api/v1/admin/providers/{id}";
const ADMIN_MODELS: &str = "/api/v1/admin/models";
/// Its id has a slash.
const ADMIN_MODEL: &str = "/api/v1/admin/models/{id:.+}";

pub fn routes() -> Vec<Route> {
    vec![
        get(MODELS, list_models).documented(
            operation("models", "What can be chosen from, with prices")
                .query::<ListQuery>()
                .lists::<ModelView>("Models in the order in which they are offered."),
        ),
        get(ADMIN_PROVIDERS, list_providers).documented(
            operation("providers", "Who computes")
                .query::<ListQuery>()
                .lists::<ProviderItem>("Providers, the built-in one first."),
        ),
        post(ADMIN_PROVIDERS, add_provider).documented(
            operation("providers", "Allow an OpenAI-compatible server")
                .once()
                .body::<ProviderRequest>()
                .answers::<ProviderItem>(StatusCode::CREATED, "The provider. Its key is never shown."),
        ),
        get(ADMIN_PROVIDER, find_provider).documented(
            operation("providers", "One provider")
                .id::<ProviderKind>("id")
                .answers::<ProviderItem>(StatusCode::OK, "The provider."),
        ),
        patch(ADMIN_PROVIDER, change_provider).documented(
            operation("providers", "Change a provider, or switch it on or off")
                .id::<ProviderKind>("id")
                .body::<ProviderPatch>()
                .answers::<ProviderItem>(StatusCode::OK, "As it is now.")
                .problem(StatusCode::CONFLICT),
        ),
        delete(ADMIN_PROVIDER, remove_provider).documented(
            operation("providers", "Take a provider out; its key is destroyed")
                .id::<ProviderKind>("id")
                .answers_nothing(StatusCode::NO_CONTENT, "Removed.")
                .problem(StatusCode::CONFLICT),
        ),
        post("/api/v1/admin/providers/{id}/test", test_provider).documented(
            operation("providers", "Ask a provider for its models; nothing is made, it costs nothing")
                .id::<ProviderKind>("id")
                .answers::<Probe>(StatusCode::OK, "What it said."),
        ),
        get(ADMIN_MODELS, list_all_models).documented(
            operation("providers", "Every model, also those that are off or have no price")
                .query::<ListQuery>()
                .lists::<AdminModelView>("Models with what their servers call them."),
        ),
        post(ADMIN_MODELS, add_model).documented(
            operation("providers", "Add a model to the catalog")
                .once()
                .body::<ModelRequest>()
                .answers::<AdminModelView>(StatusCode::CREATED, "The model.")
                .problem(StatusCode::CONFLICT),
        ),
        patch(ADMIN_MODEL, change_model).documented(
            operation("providers", "Change a model or its price, or switch it on or off")
                .text("id")
                .body::<ModelPatch>()
                .answers::<AdminModelView>(StatusCode::OK, "As it is now.")
                .problem(StatusCode::CONFLICT),
        ),
        delete(ADMIN_MODEL, remove_model).documented(
            operation("providers", "Take a model out of the catalog")
                .text("id")
                .answers_nothing(StatusCode::NO_CONTENT, "Removed.")
                .problem(StatusCode::CONFLICT),
        ),
    ]
}

#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

/// A page of a list that is short and in an order of its own: the cursor is a place in it.
fn page_of<I: ToSchema>(
    query: &Query<ListQuery>,
    keys: &crate::platform::crypto::Keys,
    path: &str,
    all: Vec<I>,
) -> Result<List<I>, Invalid> {
    let PageRequest { limit, before } = query.page(keys, path, query.value.limit, query.value.cursor.as_deref())?;
    let start = before.and_then(|place| usize::try_from(place.as_u128()).ok()).unwrap_or(0);
    let end = start.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = (end < all.len()).then(|| uuid::Uuid::from_u128(end as u128));
    let items = all.into_iter().take(end).skip(start).collect();
    Ok(query.list(keys, path, Page { items, next }))
}

async fn list_models(guard: Guard<ModelsRead>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let offers = ops::models(&guard.ctx, &guard.app, &guard.grant()?).await?;
    let views = offers.iter().map(ModelView::from).collect();
    Ok(HttpResponse::Ok().json(page_of(&query, &guard.app.keys, MODELS, views)?))
}

async fn list_providers(guard: Guard<ProvidersRead>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let views = ops::list_providers(&guard.app, &guard.grant()?).await?;
    let items = views.into_iter().map(ProviderItem::from).collect();
    Ok(HttpResponse::Ok().json(page_of(&query, &guard.app.keys, ADMIN_PROVIDERS, items)?))
}

async fn add_provider(
    guard: Guard<ProvidersEdit>,
    request: HttpRequest,
    body: Body<ProviderRequest>,
) -> Result<HttpResponse, Problem> {
    let (once, grant) = (extract::once(&request, body.hash)?, guard.grant()?);
    let answer = ops::add_provider(&guard.ctx, &guard.app, &grant, body.value.into(), &once, |view| {
        let item = ProviderItem::from(view.clone());
        extract::first_answer(StatusCode::CREATED, Some(format!("{ADMIN_PROVIDERS}/{}", item.id)), &item)
    });
    Ok(extract::answer(&answer.await?))
}

async fn find_provider(guard: Guard<ProvidersRead>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let view = ops::find_provider(&guard.app, &guard.grant()?, path_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(ProviderItem::from(view)))
}

async fn change_provider(
    guard: Guard<ProvidersEdit>,
    id: web::Path<String>,
    body: Body<ProviderPatch>,
) -> Result<HttpResponse, Problem> {
    let change = body.value.into();
    let view = ops::change_provider(&guard.ctx, &guard.app, &guard.grant()?, path_id(&id)?, change).await?;
    Ok(HttpResponse::Ok().json(ProviderItem::from(view)))
}

async fn remove_provider(guard: Guard<ProvidersEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    ops::remove_provider(&guard.ctx, &guard.app, &guard.grant()?, path_id(&id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn test_provider(guard: Guard<ProvidersEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let probe = ops::probe(&guard.ctx, &guard.app, &guard.grant()?, path_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(probe))
}

async fn list_all_models(guard: Guard<ProvidersRead>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let offers = ops::all_models(&guard.app, &guard.grant()?).await?;
    let views = offers.iter().map(AdminModelView::from).collect();
    Ok(HttpResponse::Ok().json(page_of(&query, &guard.app.keys, ADMIN_MODELS, views)?))
}

async fn add_model(
    guard: Guard<ProvidersEdit>,
    request: HttpRequest,
    body: Body<ModelRequest>,
) -> Result<HttpResponse, Problem> {
    let once = extract::once(&request, body.hash)?;
    let (grant, app) = (guard.grant()?, &guard.app);
    let local = match ops::find_provider(app, &guard.ctx.grant()?, body.value.provider).await {
        Ok(view) => view.destination.is_some_and(|known| known.local),
        // Said with the other faults of the request, inside the transaction.
        Err(_) => false,
    };
    let new = body.value.parse(local)?;
    let answer = ops::add_model(&guard.ctx, app, &grant, new, &once, |offer| {
        let view = AdminModelView::from(offer);
        extract::first_answer(StatusCode::CREATED, Some(format!("{ADMIN_MODELS}/{}", view.model.id)), &view)
    });
    Ok(extract::answer(&answer.await?))
}

async fn change_model(
    guard: Guard<ProvidersEdit>,
    id: web::Path<String>,
    body: Body<ModelPatch>,
) -> Result<HttpResponse, Problem> {
    let patch = body.value;
    let change = async move |model: &super::model::Model| patch.apply(model);
    let offer = ops::change_model(&guard.ctx, &guard.app, &guard.grant()?, &id, change).await?;
    Ok(HttpResponse::Ok().json(AdminModelView::from(&offer)))
}

async fn remove_model(guard: Guard<ProvidersEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    ops::remove_model(&guard.ctx, &guard.app, &guard.grant()?, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}
