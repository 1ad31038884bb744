//! The composer's form as a browser without script posts it: fields and pictures in one body.

use actix_multipart::Multipart;
use actix_web::{HttpResponse, http::StatusCode};

use super::{
    compose::{self, Typed},
    refused, studio_page,
    views::Reference,
};
use crate::{
    base::{
        access::{Permission, StudioEdit},
        error::{Invalid, Kind},
        ids::AssetId,
    },
    inference::{self, model::ReferenceRole},
    library,
    platform::idempotency::Once,
    studio::{
        error::StudioError,
        http::accepted,
        model::{NewGeneration, NewReference},
        ops::{self, Beside, Upload},
    },
    web::{
        frame::Place,
        guard::Guard,
        headers,
        multipart::{Part, Parts},
        page::{self, PageFrame},
        problem::Problem,
    },
};

/// What the form brought.
#[derive(Default)]
struct Posted {
    typed: Typed,
    csrf: Option<String>,
    /// Only show another model's fields.
    only_model: bool,
    assets: Vec<String>,
    strengths: Vec<String>,
    uploads: Vec<Upload>,
}

pub async fn post_generation(
    guard: Guard<StudioEdit>,
    frame: PageFrame,
    body: Multipart,
) -> Result<HttpResponse, Problem> {
    let posted = match read(&guard, body).await {
        Ok(posted) => posted,
        Err(problem) if problem.kind == Kind::Invalid => {
            let posted = Posted { typed: Typed::default(), ..Posted::default() };
            return again(&guard, frame, &posted, &problem).await;
        }
        Err(problem) => return Err(problem),
    };
    headers::check_form_token(&guard.app.keys, &guard.ctx, posted.csrf.as_deref())?;
    if posted.only_model {
        let page = studio_page(&guard, frame.titled("Studio", Place::Studio), &posted.typed).await?;
        return page::ok(&page);
    }
    match accept(&guard, &posted).await {
        Ok(()) => Ok(page::see_other("/studio")),
        Err(error) => again(&guard, frame, &posted, &Problem::from(error)).await,
    }
}

async fn accept(guard: &Guard<StudioEdit>, posted: &Posted) -> Result<(), StudioError> {
    let new = request(guard, posted).await?;
    let beside = Beside { uploads: &posted.uploads, ..Beside::default() };
    ops::accept(&guard.ctx, &guard.app, &new, &beside, &Once::unkeyed(), accepted).await?;
    Ok(())
}

async fn request(guard: &Guard<StudioEdit>, posted: &Posted) -> Result<NewGeneration, StudioError> {
    let typed = &posted.typed;
    let offer = inference::ops::offer(&mut *guard.app.db.read().await?, &typed.model).await?;
    let number = |name: &str, text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse::<u32>().map(Some).map_err(|_| Invalid::field(name, "out_of_range", "A whole number.")),
    };
    let size = match typed.size.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| Invalid::field("size", "not_offered", "Choose one of the sizes."))?),
    };
    Ok(NewGeneration {
        model: offer.model.id.clone(),
        prompt: typed.prompt.clone(),
        size,
        count: number("count", &typed.count)?.unwrap_or(1),
        seed: number("seed", &typed.seed)?,
        references: named(posted)?,
        parameters: typed.parameters(&offer.model),
        workspace: None,
    })
}

/// References that were assets before.
fn named(posted: &Posted) -> Result<Vec<NewReference>, Invalid> {
    let gone = |_| Invalid::field("references", "unknown", "One of the references is not in your library any more.");
    let mut references = Vec::new();
    for (at, asset) in posted.assets.iter().enumerate() {
        let strength = posted.strengths.get(at).and_then(|text| text.parse::<f32>().ok());
        references.push(NewReference {
            asset: asset.parse().map_err(gone)?,
            role: ReferenceRole::Reference,
            strength: strength.filter(|strength| (0.0..=1.0).contains(strength)),
        });
    }
    Ok(references)
}

async fn read(guard: &Guard<StudioEdit>, body: Multipart) -> Result<Posted, Problem> {
    let mut posted = Posted::default();
    let mut parts = Parts::new(body);
    while let Some(part) = parts.next().await? {
        match part {
            Part::Text { name, value } => match name.as_str() {
                "csrf" => posted.csrf = Some(value),
                "act" => posted.only_model = value == "model",
                "reference_asset" if !value.is_empty() => posted.assets.push(value),
                "reference_strength" => posted.strengths.push(value),
                _ => posted.typed.take(&name, value),
            },
            // A file field that nobody filled comes as a file without a name.
            Part::File { file_name, stream, .. } if !file_name.is_empty() => {
                // Pictures are stored only for whoever proved that this is their own form.
                headers::check_form_token(&guard.app.keys, &guard.ctx, posted.csrf.as_deref())?;
                let person = guard.ctx.acting()?.person;
                let picture = library::ops::prepare(&guard.app, &guard.ctx, person, stream).await?;
                posted.uploads.push(Upload {
                    picture,
                    name: file_name,
                    role: ReferenceRole::Reference,
                    strength: None,
                });
            }
            Part::File { .. } => {}
        }
    }
    Ok(posted)
}

/// The page again, filled, with what was wrong beside its field.
async fn again(
    guard: &Guard<StudioEdit>,
    frame: PageFrame,
    posted: &Posted,
    problem: &Problem,
) -> Result<HttpResponse, Problem> {
    if problem.status().is_server_error() {
        return Err(problem.clone());
    }
    let mut page = studio_page(guard, frame.titled("Studio", Place::Studio), &posted.typed).await?;
    page.composer.references = references(guard, posted.assets.clone()).await?;
    page.composer.fixed = true;
    compose::complain(&mut page.composer, &problem.fields, &problem.detail);
    refused(&page, StatusCode::UNPROCESSABLE_ENTITY)
}

/// References as the form shows them; what is not there any more is left out.
pub async fn references<P: Permission>(guard: &Guard<P>, ids: Vec<String>) -> Result<Vec<Reference>, Problem> {
    let ids: Vec<AssetId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let mut found =
        library::ops::find_all(&mut *guard.app.db.read().await?, &guard.app.keys, &guard.ctx.grant()?, &ids).await?;
    Ok(ids
        .iter()
        .filter_map(|id| found.remove(id))
        .filter(|asset| asset.trashed_at.is_none())
        .map(|asset| Reference { asset: asset.id.to_string(), name: asset.name, strength: String::new() })
        .collect())
}
