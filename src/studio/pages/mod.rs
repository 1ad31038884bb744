//! The Studio and Activity pages.

use std::collections::{HashMap, HashSet};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::VARY},
    web,
};
use serde::Deserialize;

use self::{
    cards::Shelf,
    compose::Typed,
    views::{CardFragment, FieldsFragment, GenerationPage, QueueFragment, Starter, StudioPage},
};
use super::{
    error::StudioError,
    http::accepted,
    model::{Generation, State},
    ops,
    store::Filter,
};
use crate::{
    base::{
        access::{Permission, Public, StudioEdit, StudioRead},
        error::NotFound,
        ids::AssetId,
        paging::PageRequest,
    },
    inference::{self, model::Offer},
    library,
    platform::idempotency::Once,
    web::{
        extract::{Form, path_id},
        format,
        frame::{Frame, Place},
        guard::Guard,
        headers,
        page::{self, PageFrame},
        problem::Problem,
        route::{Route, get, post},
    },
};

mod activity;
pub mod activity_views;
mod cards;
mod compose;
mod form;
#[cfg(test)]
pub mod samples;
pub mod views;

/// Cards beside the composer.
const CARDS: u32 = 20;
/// Lines of the queue.
const QUEUE: u32 = 30;

pub fn routes() -> Vec<Route> {
    vec![
        get("/", start),
        get("/studio", show_studio),
        get("/studio/fields", show_fields),
        get("/studio/queue", show_queue),
        post("/studio/generations", form::post_generation),
        get("/studio/generations/{id}", show_generation),
        post("/studio/generations/{id}/cancel", post_cancel),
        post("/studio/generations/{id}/retry", post_retry),
        get("/activity", activity::show_activity),
    ]
}

async fn start(_guard: Guard<Public>) -> HttpResponse {
    page::see_other("/studio")
}

#[derive(Debug, Default, Deserialize)]
struct StudioQuery {
    prompt: Option<String>,
    recall: Option<String>,
    part: Option<String>,
    reference: Option<String>,
}

async fn show_studio(
    guard: Guard<StudioRead>,
    frame: PageFrame,
    query: web::Query<StudioQuery>,
) -> Result<HttpResponse, Problem> {
    let typed = typed(&guard, &query).await?;
    let frame = frame.titled("Studio", Place::Studio);
    let mut page = studio_page(&guard, frame, &typed).await?;
    let wanted: Vec<String> =
        query.reference.iter().chain(recalled_references(&guard, &query).await?.iter()).cloned().collect();
    page.composer.references = form::references(&guard, wanted.clone()).await?;
    if page.composer.error.is_empty() {
        page.composer.error = missing(&wanted, page.composer.references.len());
    }
    page.composer.fixed = query.prompt.is_some() || query.recall.is_some() || query.reference.is_some();
    page::ok(&page)
}

/// What the address asks to begin with.
async fn typed(guard: &Guard<StudioRead>, query: &StudioQuery) -> Result<Typed, Problem> {
    if let Some(recall) = &query.recall {
        let generation = ops::find(&guard.app, &guard.grant()?, path_id(recall)?).await?;
        return Ok(Typed::recall(&generation, query.part.as_deref().unwrap_or("all")));
    }
    Ok(Typed { prompt: query.prompt.clone().unwrap_or_default(), ..Typed::default() })
}

/// What to say when not every picture that was asked for can be a reference. Not whether there is one: it may be
/// somebody else's.
fn missing(wanted: &[String], found: usize) -> String {
    let wanted: HashSet<_> = wanted.iter().collect();
    match (wanted.len(), found) {
        (wanted, found) if wanted <= found => String::new(),
        (1, _) => "That picture cannot be a reference: it is not in your library, or it lies in the trash.".to_owned(),
        _ => "Not all of these pictures are in your library any more. Those that are not are left out.".to_owned(),
    }
}

async fn recalled_references(guard: &Guard<StudioRead>, query: &StudioQuery) -> Result<Vec<String>, Problem> {
    let (Some(recall), Some("all") | None) = (&query.recall, query.part.as_deref()) else { return Ok(Vec::new()) };
    let generation = ops::find(&guard.app, &guard.grant()?, path_id(recall)?).await?;
    Ok(generation.references.iter().map(|reference| reference.asset.to_string()).collect())
}

/// The page with this form; references and complaints are the caller's.
pub(in crate::studio::pages) async fn studio_page<P: Permission>(
    guard: &Guard<P>,
    frame: Frame,
    typed: &Typed,
) -> Result<StudioPage, Problem> {
    let offers = offers(guard).await?;
    let grant = guard.ctx.grant::<StudioRead>()?;
    let newest = ops::list(&guard.app, &grant, &Filter::default(), &PageRequest::first(CARDS)).await?;
    let shelf = shelf(guard, &newest.items).await?;
    let in_house = in_house(guard, compose::chosen(&offers, &typed.model)).await?;
    let mut composer = compose::composer(&offers, typed, in_house);
    composer.left = frame.money.as_ref().map(|money| money.text.clone()).unwrap_or_default();
    composer.price = price(compose::chosen(&offers, &typed.model), composer.fields.count);
    Ok(StudioPage {
        starters: if newest.items.is_empty() { starters() } else { Vec::new() },
        cards: newest.items.iter().map(|generation| shelf.card(generation)).collect(),
        composer,
        frame,
    })
}

/// Whether what is asked of this model stays on machines of the house, as the egress ledger counts them.
async fn in_house<P: Permission>(guard: &Guard<P>, offer: Option<&Offer>) -> Result<bool, Problem> {
    let Some(offer) = offer else { return Ok(true) };
    Ok(inference::ops::is_of_the_house(&mut *guard.app.db.read().await?, offer.provider.id).await?)
}

/// Before anything was pressed, for as many as the form shows; with a script it is asked anew after every change.
fn price(offer: Option<&Offer>, count: u32) -> String {
    let Some(offer) = offer else { return String::new() };
    let single = offer.price.as_ref().and_then(|price| price.single(offer.model.usual_size()).ok());
    match single.and_then(|single| single.micros.times(i64::from(count)).ok().map(|sum| (sum, single.currency))) {
        Some((sum, currency)) => {
            let pictures = format::plural(u64::from(count), "picture");
            format!("About {} for {pictures}", format::money(sum.0, currency.as_str()))
        }
        None => "This model has no price yet".to_owned(),
    }
}

fn starters() -> Vec<Starter> {
    [
        ("A wide opening picture", "Mountain lake at dawn, low mist, first light on the peaks"),
        ("A product in soft light", "Ceramic bottle on a round plinth, warm window light"),
        ("A background to write on", "Silk in teal, soft folds"),
        ("Somewhere to rest", "Ocean at sunset, calm water, a small sail"),
    ]
    .into_iter()
    .map(|(title, text)| {
        let prompt: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        Starter { href: format!("/studio?prompt={prompt}"), title: title.to_owned(), text: text.to_owned() }
    })
    .collect()
}

async fn offers<P: Permission>(guard: &Guard<P>) -> Result<Vec<Offer>, Problem> {
    Ok(inference::ops::models(&guard.ctx, &guard.app, &guard.ctx.grant()?).await?)
}

/// Everything that these generations' cards need.
pub(in crate::studio::pages) async fn shelf<P: Permission>(
    guard: &Guard<P>,
    generations: &[Generation],
) -> Result<Shelf, Problem> {
    let ids: Vec<AssetId> =
        generations.iter().flat_map(|generation| generation.outputs.iter().map(|output| output.asset)).collect();
    let assets =
        library::ops::find_all(&mut *guard.app.db.read().await?, &guard.app.keys, &guard.ctx.grant()?, &ids).await?;
    let titles: HashMap<String, String> =
        offers(guard).await?.into_iter().map(|offer| (offer.model.id, offer.model.title)).collect();
    Ok(Shelf { assets, titles, now: guard.ctx.clock.now() })
}

async fn show_fields(guard: Guard<StudioRead>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut typed = Typed::default();
    for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned() {
        typed.take(&name, value);
    }
    let offers = offers(&guard).await?;
    let offer = compose::chosen(&offers, &typed.model).ok_or(NotFound)?;
    let in_house = in_house(&guard, Some(offer)).await?;
    page::ok(&FieldsFragment { fields: compose::fields(offer, &typed, in_house) })
}

async fn show_queue(guard: Guard<StudioRead>) -> Result<HttpResponse, Problem> {
    let grant = guard.grant()?;
    let filter = Filter { open: true, ..Filter::default() };
    let open = ops::list(&guard.app, &grant, &filter, &PageRequest::first(QUEUE)).await?;
    let (running, waiting) = ops::counts(&mut *guard.app.db.read().await?, grant.person()).await?;
    let shelf = shelf(&guard, &open.items).await?;
    page::ok(&QueueFragment {
        csrf: headers::form_token(&guard.app.keys, &guard.ctx),
        running: u32::try_from(running).unwrap_or(0),
        waiting: u32::try_from(waiting).unwrap_or(0),
        jobs: open
            .items
            .iter()
            .filter(|generation| generation.state != State::Unknown)
            .map(|generation| shelf.job(generation))
            .collect(),
    })
}

/// The card alone for a script, the whole page for a person.
async fn show_generation(
    guard: Guard<StudioRead>,
    frame: PageFrame,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let generation = ops::find(&guard.app, &guard.grant()?, path_id(&id)?).await?;
    let card = shelf(&guard, std::slice::from_ref(&generation)).await?.card(&generation);
    let mut response = if request.headers().contains_key("hx-request") {
        page::ok(&CardFragment { csrf: headers::form_token(&guard.app.keys, &guard.ctx), card })?
    } else {
        let parameters = parameters(&generation);
        page::ok(&GenerationPage { frame: frame.titled("Generation", Place::Studio), card, parameters })?
    };
    response.headers_mut().insert(VARY, actix_web::http::header::HeaderValue::from_static("HX-Request"));
    Ok(response)
}

/// Everything that was sent, as label and value.
fn parameters(generation: &Generation) -> Vec<(String, String)> {
    let row = |label: &str, value: String| (label.to_owned(), value);
    let mut rows = vec![
        row("Model", generation.model.clone()),
        row("Size", format::pixels(generation.size.width, generation.size.height)),
        row("Pictures", generation.count.to_string()),
        row("Seed", generation.seed.map_or_else(|| "any".to_owned(), |seed| seed.to_string())),
    ];
    for (name, value) in &generation.parameters {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.push((name.replace('_', " "), text));
    }
    rows.push(row("References", generation.references.len().to_string()));
    rows.push(match generation.actual {
        Some(actual) => row("Cost", cards::show(generation.money(actual))),
        None => row("Set aside", cards::show(generation.money(generation.held))),
    });
    rows
}

#[derive(Deserialize)]
struct Nothing {}

async fn post_cancel(
    guard: Guard<StudioEdit>,
    request: HttpRequest,
    id: web::Path<String>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    match ops::cancel(&guard.ctx, &guard.app, path_id(&id)?).await {
        // It ended before the wish arrived: the page shows how.
        Ok(_) | Err(StudioError::Ended) => Ok(page::see_other(&back(&request))),
        Err(error) => Err(error.into()),
    }
}

async fn post_retry(
    guard: Guard<StudioEdit>,
    request: HttpRequest,
    id: web::Path<String>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    ops::retry(&guard.ctx, &guard.app, path_id(&id)?, &Once::unkeyed(), accepted).await?;
    Ok(page::see_other(&back(&request)))
}

/// The page that the form stood on, if it was one of ours.
fn back(request: &HttpRequest) -> String {
    let referer = request.headers().get("referer").and_then(|value| value.to_str().ok());
    let path = referer.and_then(|text| url::Url::parse(text).ok()).map(|url| url.path().to_owned());
    path.filter(|path| ["/studio", "/activity"].iter().any(|known| path.starts_with(known)))
        .unwrap_or_else(|| "/studio".to_owned())
}

/// A page that comes back with what was wrong.
pub(in crate::studio::pages) fn refused(page: &StudioPage, status: StatusCode) -> Result<HttpResponse, Problem> {
    page::html(status, page)
}
