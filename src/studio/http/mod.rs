//! The generation API.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, ETAG},
    },
    web,
};

use super::{
    ops::{self, Beside},
    store::Filter,
    view::GenerationView,
};
use crate::{
    base::{
        access::{GenerationsResolve, StudioEdit, StudioRead},
        ids::{GenerationKind, PersonId},
    },
    platform::idempotency::Answer,
    web::{
        document::operation,
        extract::{self, Body, Query, path_id},
        guard::Guard,
        problem::Problem,
        route::{Route, get, post},
    },
};

mod sse;
mod types;

pub use types::{GenerationRequest, parse_request};
use types::{ListQuery, Quoted, Resolution};

pub fn routes() -> Vec<Route> {
    vec![
        post("/api/v1/generations", create_generation).documented(
            operation("generations", "Make pictures")
                .once()
                .body::<GenerationRequest>()
                .answers::<GenerationView>(StatusCode::ACCEPTED, "Accepted; its price is set aside.")
                .problem(StatusCode::PAYMENT_REQUIRED),
        ),
        get("/api/v1/generations", list_generations).documented(
            operation("generations", "Own generations, newest first")
                .query::<ListQuery>()
                .lists::<GenerationView>("One page."),
        ),
        get("/api/v1/generations/{id}", find_generation).documented(
            operation("generations", "One generation")
                .id::<GenerationKind>("id")
                .answers::<GenerationView>(StatusCode::OK, "As it stands."),
        ),
        get("/api/v1/generations/{id}/preview", find_preview).documented(
            operation("generations", "A small picture of what there is so far")
                .id::<GenerationKind>("id")
                .query::<types::PreviewQuery>()
                .answers_bytes(StatusCode::OK, "image/jpeg", "The newest preview.")
                .answers_nothing(StatusCode::NO_CONTENT, "There is none: not yet, or no more."),
        ),
        post("/api/v1/generations/{id}/cancel", cancel_generation).documented(
            operation("generations", "Stop a generation")
                .id::<GenerationKind>("id")
                .answers::<GenerationView>(StatusCode::OK, "Cancelled, or asked to stop.")
                .problem(StatusCode::CONFLICT),
        ),
        post("/api/v1/generations/{id}/retry", retry_generation).documented(
            operation("generations", "Ask again for what did not work")
                .once()
                .id::<GenerationKind>("id")
                .answers::<GenerationView>(StatusCode::ACCEPTED, "A new generation.")
                .problem(StatusCode::PAYMENT_REQUIRED),
        ),
        post("/api/v1/quotes", create_quote).documented(
            operation("generations", "What a request would cost; nothing is stored")
                .body::<GenerationRequest>()
                .answers::<Quoted>(StatusCode::OK, "The most that it can cost, and what the caps would leave."),
        ),
        get("/api/v1/events", sse::events).documented(
            operation("generations", "State changes of own generations as they happen")
                .header("Last-Event-ID", "Goes on after this event, across restarts, for 24 hours.")
                .answers_bytes(StatusCode::OK, "text/event-stream", "Events without end."),
        ),
        post("/api/v1/admin/generations/{id}/resolve", resolve_generation).documented(
            operation("admin", "End a generation whose answer was lost")
                .id::<GenerationKind>("id")
                .body::<Resolution>()
                .answers::<GenerationView>(StatusCode::OK, "Ended.")
                .problem(StatusCode::CONFLICT),
        ),
    ]
}

/// The 202 of a generation that was accepted.
pub fn accepted(view: &GenerationView) -> Answer {
    extract::first_answer(StatusCode::ACCEPTED, Some(format!("/api/v1/generations/{}", view.id)), view)
}

async fn create_generation(
    guard: Guard<StudioEdit>,
    request: HttpRequest,
    body: Body<GenerationRequest>,
) -> Result<HttpResponse, Problem> {
    let once = extract::once(&request, body.hash)?;
    let new = parse_request(body.value)?;
    let made = ops::accept(&guard.ctx, &guard.app, &new, &Beside::default(), &once, accepted).await?;
    Ok(extract::answer(made.answer()))
}

async fn list_generations(
    guard: Guard<StudioRead>,
    request: HttpRequest,
    query: Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let page = query.page(&guard.app.keys, request.path(), query.value.limit, query.value.cursor.as_deref())?;
    let filter = Filter {
        state: query.value.state,
        model: query.value.model()?,
        person: query.value.person.map(PersonId::uuid),
        open: false,
        search: query.value.search.clone(),
    };
    let found = ops::list(&guard.app, &guard.grant()?, &filter, &page).await?;
    let views = found.map(|generation| GenerationView::from(&generation));
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, request.path(), views)))
}

async fn find_generation(guard: Guard<StudioRead>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let generation = ops::find(&guard.app, &guard.grant()?, path_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(GenerationView::from(&generation)))
}

async fn find_preview(
    guard: Guard<StudioRead>,
    id: web::Path<String>,
    _query: Query<types::PreviewQuery>,
) -> Result<HttpResponse, Problem> {
    let found = ops::preview(&guard.app, &guard.grant()?, path_id(&id)?).await?;
    // A page may ask for what an event named just before the end: that is no mistake of the page.
    let Some((version, bytes)) = found else { return Ok(HttpResponse::NoContent().finish()) };
    Ok(HttpResponse::Ok()
        .content_type("image/jpeg")
        .insert_header((ETAG, format!("\"{version}\"")))
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .body(bytes))
}

async fn cancel_generation(guard: Guard<StudioEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let generation = ops::cancel(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(GenerationView::from(&generation)))
}

async fn retry_generation(
    guard: Guard<StudioEdit>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let once = extract::once(&request, [0; 32])?;
    let made = ops::retry(&guard.ctx, &guard.app, path_id(&id)?, &once, accepted).await?;
    Ok(extract::answer(made.answer()))
}

async fn create_quote(guard: Guard<StudioEdit>, body: Body<GenerationRequest>) -> Result<HttpResponse, Problem> {
    let new = parse_request(body.value)?;
    let (price, quote) = ops::quote(&guard.ctx, &guard.app, &new).await?;
    Ok(HttpResponse::Ok().json(Quoted { price, allowed: quote.allowed, caps: quote.caps }))
}

async fn resolve_generation(
    guard: Guard<GenerationsResolve>,
    id: web::Path<String>,
    body: Body<Resolution>,
) -> Result<HttpResponse, Problem> {
    let Resolution { charged, reason } = body.value;
    let generation = ops::resolve(&guard.ctx, &guard.app, path_id(&id)?, charged, &reason).await?;
    Ok(HttpResponse::Ok().json(GenerationView::from(&generation)))
}
