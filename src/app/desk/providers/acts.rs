//! What the page's forms do.

use actix_web::{HttpResponse, http::StatusCode, web};

use super::{
    Desk, at,
    forms::{ConnectionForm, ModelFields, Nothing, SwitchForm},
};
use crate::{
    base::{
        access::ProvidersEdit,
        error::{Fault, FieldFault},
        ids::ProviderId,
    },
    inference::{
        InferenceError,
        model::Model,
        ops::{self, ModelChange, ProviderChange},
        pages::views::{ProvidersAsk, TestResult},
    },
    platform::idempotency::Once,
    web::{
        extract::{Form, first_answer, path_id},
        frame::Tone,
        guard::Guard,
        page::{self, PageFrame},
        problem::Problem,
    },
};

fn back_to(id: ProviderId) -> HttpResponse {
    page::see_other(&at(&id.to_string(), "", ""))
}

/// What the form can show at its fields; anything else is a page of its own.
fn faults_of(error: InferenceError) -> Result<Vec<FieldFault>, Problem> {
    let faults = error.fields();
    if faults.is_empty() { Err(error.into()) } else { Ok(faults) }
}

pub async fn add_provider(
    guard: Guard<ProvidersEdit>,
    form: Form<ConnectionForm>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let (ctx, app, grant) = (&guard.ctx, &guard.app, guard.grant()?);
    let (mut made, once) = (None, Once::unkeyed());
    let added = ops::add_provider(ctx, app, &grant, form.0.new_provider(), &once, |view| {
        made = Some(view.provider.id);
        first_answer(StatusCode::CREATED, None, &())
    });
    match added.await {
        Ok(_) => Ok(made.map_or_else(|| page::see_other(super::PROVIDERS), back_to)),
        Err(error) => {
            let ask = ProvidersAsk::Add(form.0.again(&faults_of(error)?, String::new()));
            let view = Desk::open(ctx, app).await?.view(frame, None, Some(ask)).await?;
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &view)
        }
    }
}

pub async fn change_provider(
    guard: Guard<ProvidersEdit>,
    id: web::Path<String>,
    form: Form<ConnectionForm>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let (ctx, app, id) = (&guard.ctx, &guard.app, path_id(&id)?);
    match ops::change_provider(ctx, app, &guard.grant()?, id, form.0.change()).await {
        Ok(_) => Ok(back_to(id)),
        Err(error) => {
            let faults = faults_of(error)?;
            let mut view = Desk::open(ctx, app).await?.view(frame, Some(id), None).await?;
            if let Some(sheet) = &mut view.sheet {
                let note = sheet.connection.take().map(|known| known.key_note).unwrap_or_default();
                sheet.connection = Some(form.0.again(&faults, note));
            }
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &view)
        }
    }
}

pub async fn switch_provider(
    guard: Guard<ProvidersEdit>,
    id: web::Path<String>,
    form: Form<SwitchForm>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&id)?;
    let change = ProviderChange { enabled: Some(form.0.on()), ..ProviderChange::default() };
    ops::change_provider(&guard.ctx, &guard.app, &guard.grant()?, id, change).await?;
    Ok(back_to(id))
}

pub async fn remove_provider(
    guard: Guard<ProvidersEdit>,
    id: web::Path<String>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    ops::remove_provider(&guard.ctx, &guard.app, &guard.grant()?, path_id(&id)?).await?;
    Ok(page::see_other(super::PROVIDERS))
}

pub async fn test_provider(
    guard: Guard<ProvidersEdit>,
    id: web::Path<String>,
    _form: Form<Nothing>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let (ctx, app, id) = (&guard.ctx, &guard.app, path_id(&id)?);
    let probe = ops::probe(ctx, app, &guard.grant()?, id).await?;
    let hundredths = probe.milliseconds / 10;
    let took = format!("{}.{:02} s", hundredths / 100, hundredths % 100);
    let (tone, title) = match (probe.ok, probe.key, probe.status) {
        (true, ..) if probe.missing.is_empty() => (Tone::Ok, format!("Answered in {took}")),
        (true, ..) => (Tone::Warn, format!("Answered in {took}")),
        // It lists models, and none of those that are set up.
        (_, ops::KeyVerdict::Accepted, _) if !probe.models.is_empty() => (Tone::Warn, format!("Answered in {took}")),
        (_, ops::KeyVerdict::Refused, _) => (Tone::Bad, format!("The key was refused after {took}")),
        (_, _, Some(_)) => (Tone::Bad, format!("Answered in {took}, but not as expected")),
        (_, _, None) => (Tone::Bad, "No answer".to_owned()),
    };
    let mut view = Desk::open(ctx, app).await?.view(frame, Some(id), None).await?;
    if let Some(sheet) = &mut view.sheet {
        sheet.test = Some(TestResult { tone, title, text: probe.message });
    }
    page::ok(&view)
}

/// Adds a model, or changes the one that the form names.
pub async fn put_model(
    guard: Guard<ProvidersEdit>,
    id: web::Path<String>,
    form: Form<ModelFields>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&id)?;
    match put(&guard, id, &form.0).await {
        Ok(()) => Ok(back_to(id)),
        Err(error) => {
            let ask = ProvidersAsk::Model(Box::new(form.0.again(id, &faults_of(error)?)));
            let view = Desk::open(&guard.ctx, &guard.app).await?.view(frame, Some(id), Some(ask)).await?;
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &view)
        }
    }
}

async fn put(guard: &Guard<ProvidersEdit>, id: ProviderId, form: &ModelFields) -> Result<(), InferenceError> {
    let (ctx, app, grant) = (&guard.ctx, &guard.app, guard.grant()?);
    let currency = app.config.organisation.currency;
    let view = ops::find_provider(app, &ctx.grant()?, id).await?;
    let local = view.destination.is_some_and(|place| place.local);
    if form.existing.is_empty() {
        let new = form.new_model(id, local, currency)?;
        let answer = |_: &_| first_answer(StatusCode::CREATED, None, &());
        ops::add_model(ctx, app, &grant, new, &Once::unkeyed(), answer).await?;
    } else {
        let change = async |before: &Model| form.change(before, local, currency);
        ops::change_model(ctx, app, &grant, &form.existing, change).await?;
    }
    Ok(())
}

pub async fn switch_model(
    guard: Guard<ProvidersEdit>,
    id: web::Path<String>,
    form: Form<SwitchForm>,
) -> Result<HttpResponse, Problem> {
    let on = form.0.on();
    let change = async |_: &Model| Ok(ModelChange { enabled: Some(on), ..ModelChange::default() });
    ops::change_model(&guard.ctx, &guard.app, &guard.grant()?, &form.0.model, change).await?;
    Ok(back_to(path_id(&id)?))
}
