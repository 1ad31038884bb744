//! The doors for openai's official clients: their images API over our generations.
//!
//! Requests and answers have OpenAI's shape (their OpenAPI document, `images` and `models`); errors get its envelope from
//! `web::look`. A generation made here is like any other: it has a hold, shows in Activity, and goes on when the caller
//! hangs up.

use actix_multipart::Multipart;
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use self::{answer::Images, request::ImageRequest};
use super::{
    http::accepted,
    model::{Fingerprint, Generation, State},
    ops::{self, Beside, Made, Upload},
};
use crate::{
    accounts,
    base::{
        access::{ModelsRead, StudioEdit, StudioRead},
        ctx::{Credential, Denied},
        error::{Kind, NotFound},
        ids::GenerationId,
    },
    inference::{self, model::ReferenceRole},
    library,
    platform::{
        crypto::{Purpose, digest},
        db::DbError,
        idempotency::Once,
    },
    web::{
        document::operation,
        extract::{self, Body},
        guard::Guard,
        multipart::{Part, Parts},
        problem::Problem,
        route::{Route, get, post},
    },
};

mod answer;
mod request;
pub mod signed;

pub fn routes() -> Vec<Route> {
    vec![
        get("/v1/models", list_openai_models).documented(
            operation("openai", "Models, in OpenAI's shape").answers::<ModelList>(StatusCode::OK, "All models."),
        ),
        get("/v1/models/{id:.*}", find_openai_model).documented(
            operation("openai", "One model, in OpenAI's shape")
                .text("id")
                .answers::<ModelEntry>(StatusCode::OK, "The model."),
        ),
        post("/v1/images/generations", create_image).documented(
            operation("openai", "Make pictures, in OpenAI's shape")
                .once()
                .body::<ImageRequest>()
                .answers::<Images>(StatusCode::OK, "The pictures, when they are done.")
                .or_events()
                .problem(StatusCode::BAD_GATEWAY),
        ),
        post("/v1/images/edits", edit_image).documented(
            operation("openai", "Make pictures from pictures, in OpenAI's shape")
                .once()
                .raw_body(&["multipart/form-data"], request::edit_form())
                .answers::<Images>(StatusCode::OK, "The pictures, when they are done.")
                .or_events()
                .problem(StatusCode::BAD_GATEWAY),
        ),
        get("/signed/{asset}", signed::show_signed),
    ]
}

#[derive(Serialize, ToSchema)]
struct ModelList {
    object: &'static str,
    data: Vec<ModelEntry>,
}

#[derive(Serialize, ToSchema)]
struct ModelEntry {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: String,
}

async fn models(guard: &Guard<ModelsRead>) -> Result<Vec<ModelEntry>, Problem> {
    let offers = inference::ops::models(&guard.ctx, &guard.app, &guard.grant()?).await?;
    let entries = offers.into_iter().flat_map(|offer| {
        let owner = offer.provider.slug;
        [offer.model.id].into_iter().chain(offer.model.aliases).map(move |id| ModelEntry {
            id,
            object: "model",
            created: 0,
            owned_by: owner.clone(),
        })
    });
    Ok(entries.collect())
}

async fn list_openai_models(guard: Guard<ModelsRead>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(ModelList { object: "list", data: models(&guard).await? }))
}

/// The id has a slash, which clients send raw or encoded.
async fn find_openai_model(guard: Guard<ModelsRead>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let wanted = id.replace("%2F", "/").replace("%2f", "/");
    let found = models(&guard).await?.into_iter().find(|model| model.id == wanted);
    match found {
        Some(model) => Ok(HttpResponse::Ok().json(model)),
        None => Err(inference::error::InferenceError::UnknownModel(wanted).into()),
    }
}

async fn create_image(
    guard: Guard<StudioEdit>,
    request: HttpRequest,
    body: Body<Map<String, Value>>,
) -> Result<HttpResponse, Problem> {
    let image = ImageRequest::from_json(body.value)?;
    carry_out(guard, &request, image, Vec::new(), body.hash).await
}

async fn edit_image(guard: Guard<StudioEdit>, request: HttpRequest, body: Multipart) -> Result<HttpResponse, Problem> {
    let mut fields = Map::new();
    let mut uploads = Vec::new();
    let mut marks: Vec<String> = Vec::new();
    let mut parts = Parts::new(body);
    while let Some(part) = parts.next().await? {
        match part {
            Part::Text { name, value } => {
                marks.push(format!("{name}={value}"));
                fields.insert(name, Value::from(value));
            }
            Part::File { name, file_name, stream, .. } => {
                let role = file_role(&name)?;
                let person = guard.ctx.acting()?.person;
                let picture = library::ops::prepare(&guard.app, &guard.ctx, person, stream).await?;
                marks.push(format!("{name}:{file_name}:{}", data_encoding::HEXLOWER.encode(&picture.original.sha256)));
                let name = if file_name.is_empty() { "picture".to_owned() } else { file_name };
                uploads.push(Upload { picture, name, role, strength: None });
            }
        }
    }
    if uploads.is_empty() {
        return Err(request::required("image").into());
    }
    marks.sort();
    let hash = digest(marks.join("\n").as_bytes());
    carry_out(guard, &request, ImageRequest::from_form(fields)?, uploads, hash).await
}

fn file_role(name: &str) -> Result<ReferenceRole, Problem> {
    match name {
        "image" | "image[]" => Ok(ReferenceRole::Reference),
        "mask" => Ok(ReferenceRole::Mask),
        other => Err(request::unknown(other).into()),
    }
}

async fn carry_out(
    guard: Guard<StudioEdit>,
    request: &HttpRequest,
    image: ImageRequest,
    uploads: Vec<Upload>,
    hash: [u8; 32],
) -> Result<HttpResponse, Problem> {
    let made = make(&guard, request, &image, &uploads, hash).await?;
    let (generation, replayed) = (made.id, made.again);
    let read = guard.ctx.grant::<StudioRead>()?;
    // Who may not be here any more gets nothing more; the work goes on, as it does when the caller hangs up.
    let lost = accounts::ops::lost(guard.app.clone(), guard.ctx.acting()?.clone());
    if image.stream {
        return Ok(answer::stream(guard.app, read, generation, image, !uploads.is_empty(), lost));
    }
    let never = CancellationToken::new();
    let done = tokio::select! {
        done = ops::wait_for_end(&guard.app, &read, generation, &never) => done?,
        () = lost => return Err(Denied::NotSignedIn.into()),
    };
    refuse_failure(&done)?;
    answer::whole(&guard, request, &done, &image, replayed).await
}

struct Asked {
    id: GenerationId,
    again: bool,
}

/// A new generation, or the one that the same request made before.
async fn make(
    guard: &Guard<StudioEdit>,
    request: &HttpRequest,
    image: &ImageRequest,
    uploads: &[Upload],
    hash: [u8; 32],
) -> Result<Asked, Problem> {
    let fingerprint = fingerprint(guard, request, hash)?;
    if repeats(request)
        && let Some(id) = ops::recent(&guard.app, &fingerprint).await?
    {
        return Ok(Asked { id, again: true });
    }
    let new = image.generation(guard).await?;
    let once: Once = extract::once(request, hash)?;
    let beside = Beside { uploads, fingerprint: Some(fingerprint), ..Beside::default() };
    let made = ops::accept(&guard.ctx, &guard.app, &new, &beside, &once, accepted).await;
    match made.map_err(|error| request::in_their_words(error.into()))? {
        Made::New(generation, _) => Ok(Asked { id: generation.id, again: false }),
        Made::Again(answer) => {
            let id = answer.body.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
            Ok(Asked { id: id.ok_or(NotFound)?, again: true })
        }
    }
}

fn fingerprint(guard: &Guard<StudioEdit>, request: &HttpRequest, hash: [u8; 32]) -> Result<Fingerprint, Problem> {
    let acting = guard.ctx.acting()?;
    let credential = match acting.credential {
        Credential::Token(id) => id.uuid(),
        Credential::Session(id) => id.uuid(),
        Credential::Console => acting.person.uuid(),
    };
    let about = [request.path().as_bytes(), &hash].concat();
    let body = guard.app.keys.mac(Purpose::RequestBody, &about).map_err(DbError::from)?;
    Ok(Fingerprint { person: acting.person, credential, body })
}

/// The official client says so when it sends a request again by itself.
fn repeats(request: &HttpRequest) -> bool {
    let count = request.headers().get("x-stainless-retry-count").and_then(|value| value.to_str().ok());
    count.and_then(|text| text.parse::<u32>().ok()).is_some_and(|count| count > 0)
}

/// Anything but success is an error of the provider's, told in its words.
fn refuse_failure(done: &Generation) -> Result<(), Problem> {
    if done.state == State::Succeeded {
        return Ok(());
    }
    let message = match &done.error {
        Some(fault) => fault.message.clone(),
        None => "The generation did not end with pictures.".to_owned(),
    };
    Err(Problem::new(Kind::Upstream, "provider.failed", message))
}
