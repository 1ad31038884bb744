//! Answers of OpenAI's images API: whole, or as a stream with partial images.

use actix_web::{HttpRequest, HttpResponse, http::header::CACHE_CONTROL, web::Bytes};
use data_encoding::BASE64;
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{
    request::{ImageRequest, ResponseFormat},
    signed,
};
use crate::{
    base::{
        access::{Grant, StudioEdit, StudioRead},
        error::chain,
        ids::{AssetId, GenerationId, PersonId},
    },
    library::{self, error::LibraryError},
    platform::{Platform, storage::ByteStream},
    studio::{
        error::StudioError,
        model::{Generation, State},
        ops,
    },
    web::{guard::Guard, problem::Problem},
};

/// How often a stream looks for a new preview.
const LOOK: std::time::Duration = std::time::Duration::from_millis(250);

/// What OpenAI's images API answers. `whole` writes it by hand, because pictures do not fit into memory.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer that is written piece by piece")]
pub struct Images {
    /// Unix time in seconds.
    created: i64,
    size: String,
    output_format: String,
    background: String,
    data: Vec<Image>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "one or the other, as `response_format` asks")]
struct Image {
    b64_json: Option<String>,
    url: Option<String>,
}

/// `Images`. Pictures are read from the store and encoded piece by piece while they are sent.
pub async fn whole(
    guard: &Guard<StudioEdit>,
    request: &HttpRequest,
    done: &Generation,
    image: &ImageRequest,
    replayed: bool,
) -> Result<HttpResponse, Problem> {
    let created = done.created_at.timestamp();
    let size = done.size.to_string();
    let format = done.parameters.get("output_format").and_then(Value::as_str).unwrap_or("png").to_owned();
    let mut response = HttpResponse::Ok();
    response.content_type("application/json");
    if replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    if image.format() == ResponseFormat::Url {
        let base = signed::base(guard, request);
        let data: Vec<Value> =
            done.outputs.iter().map(|output| json!({"url": signed::address(guard, &base, output.asset)})).collect();
        return Ok(response.json(json!({
            "created": created, "size": size, "output_format": format, "background": "opaque", "data": data
        })));
    }
    let head = format!(
        "{{\"created\":{created},\"size\":{},\"output_format\":{},\"background\":\"opaque\",\"data\":[",
        Value::from(size),
        Value::from(format)
    );
    let assets: Vec<AssetId> = done.outputs.iter().map(|output| output.asset).collect();
    let pictures = pictures(guard.app.clone(), done.person, assets);
    let body =
        stream::iter([Ok(Bytes::from(head))]).chain(pictures).chain(stream::iter([Ok(Bytes::from_static(b"]}"))]));
    Ok(response.streaming(body))
}

type Piece = Result<Bytes, std::io::Error>;

fn pictures(app: Platform, person: PersonId, assets: Vec<AssetId>) -> impl Stream<Item = Piece> {
    stream::iter(assets.into_iter().enumerate()).flat_map(move |(at, asset)| {
        let app = app.clone();
        let open = async move {
            match content(&app, person, asset).await {
                Ok(bytes) => encoded(at, bytes).boxed_local(),
                Err(error) => stream::iter([Err(std::io::Error::other(chain(&error)))]).boxed_local(),
            }
        };
        stream::once(open).flatten()
    })
}

async fn content(app: &Platform, person: PersonId, id: AssetId) -> Result<ByteStream, LibraryError> {
    let asset = library::ops::of_person(app, person, id).await?;
    Ok(library::ops::content(app, &asset, None).await?.stream)
}

fn encoded(at: usize, bytes: ByteStream) -> impl Stream<Item = Piece> {
    let comma = if at == 0 { "" } else { "," };
    let head = Bytes::from(format!("{comma}{{\"b64_json\":\""));
    stream::iter([Ok(head)]).chain(base64(bytes)).chain(stream::iter([Ok(Bytes::from_static(b"\"}"))]))
}

/// Base64 of a stream: three bytes make four letters, so up to two wait for the next piece.
fn base64(bytes: ByteStream) -> impl Stream<Item = Piece> {
    let ends = bytes.map(Some).chain(stream::iter([None]));
    ends.scan(Vec::new(), |waiting: &mut Vec<u8>, piece| {
        let encoded = match piece {
            Some(Ok(piece)) => {
                waiting.extend_from_slice(&piece);
                let rest = waiting.split_off(waiting.len() - waiting.len() % 3);
                let ready = std::mem::replace(waiting, rest);
                Ok(Bytes::from(BASE64.encode(&ready)))
            }
            Some(Err(error)) => Err(std::io::Error::other(chain(&error))),
            None => Ok(Bytes::from(BASE64.encode(waiting))),
        };
        std::future::ready(Some(encoded))
    })
}

/// Server-sent events: partial images as they come, then each picture; nothing more once `lost` has ended.
pub fn stream(
    app: Platform,
    grant: Grant<StudioRead>,
    id: GenerationId,
    image: ImageRequest,
    edit: bool,
    lost: impl Future<Output = ()> + 'static,
) -> HttpResponse {
    let kind = if edit { "image_edit" } else { "image_generation" };
    let partials = image.partial_images.unwrap_or(0);
    let watch = Watch { app, grant, id, kind, partials, sent: 0, version: 0, pictures: None, ended: false };
    let events = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok::<_, std::io::Error>(Bytes::from(event)), watch))
    });
    let mut response = HttpResponse::Ok();
    response.content_type("text/event-stream").insert_header((CACHE_CONTROL, "no-store"));
    response.streaming(events.take_until(lost))
}

struct Watch {
    app: Platform,
    grant: Grant<StudioRead>,
    id: GenerationId,
    kind: &'static str,
    partials: u32,
    sent: u32,
    version: i32,
    /// Finished pictures that were not sent yet, once it has ended.
    pictures: Option<Vec<AssetId>>,
    ended: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        match self.look().await {
            Ok(event) => event,
            Err(error) => {
                self.ended = true;
                Some(failure(&chain(&error)))
            }
        }
    }

    async fn look(&mut self) -> Result<Option<String>, StudioError> {
        loop {
            if let Some(pictures) = &mut self.pictures {
                if pictures.is_empty() {
                    return Ok(None);
                }
                let asset = pictures.remove(0);
                return self.completed(asset).await.map(Some);
            }
            let generation = ops::find(&self.app, &self.grant, self.id).await?;
            if generation.state == State::Succeeded {
                self.pictures = Some(generation.outputs.iter().map(|output| output.asset).collect());
                continue;
            }
            if generation.state.at_rest() {
                self.ended = true;
                let message = generation.error.map(|fault| fault.message).unwrap_or_default();
                return Ok(Some(failure(&message)));
            }
            if let Some(event) = self.partial(&generation).await? {
                return Ok(Some(event));
            }
            let soon = CancellationToken::new();
            let _ = tokio::time::timeout(LOOK, ops::wait_for_end(&self.app, &self.grant, self.id, &soon)).await;
        }
    }

    /// A preview that was not sent yet, if more are wanted.
    async fn partial(&mut self, generation: &Generation) -> Result<Option<String>, StudioError> {
        let version = generation.progress.preview_version;
        if self.sent >= self.partials || version <= self.version {
            return Ok(None);
        }
        let Ok(Some((version, bytes))) = ops::preview(&self.app, &self.grant, self.id).await else { return Ok(None) };
        self.version = version;
        let index = self.sent;
        self.sent += 1;
        let name = format!("{}.partial_image", self.kind);
        let data = json!({
            "type": name, "b64_json": BASE64.encode(&bytes), "partial_image_index": index,
            "created_at": generation.created_at.timestamp(), "size": generation.size.to_string(),
            "quality": "auto", "background": "opaque", "output_format": "jpeg",
        });
        Ok(Some(format!("event: {name}\ndata: {data}\n\n")))
    }

    async fn completed(&self, asset: AssetId) -> Result<String, StudioError> {
        let generation = ops::find(&self.app, &self.grant, self.id).await?;
        let (_, bytes) = library::ops::reference_bytes(&self.app, self.grant.person(), asset).await?;
        let name = format!("{}.completed", self.kind);
        let data = json!({
            "type": name, "b64_json": BASE64.encode(&bytes), "created_at": generation.created_at.timestamp(),
            "size": generation.size.to_string(), "quality": "auto", "background": "opaque",
            "output_format": generation.parameters.get("output_format").and_then(Value::as_str).unwrap_or("png"),
        });
        Ok(format!("event: {name}\ndata: {data}\n\n"))
    }
}

/// The client raises on an event whose data has an error.
fn failure(message: &str) -> String {
    let data = json!({"error": {"message": message, "type": "server_error", "param": null, "code": "provider.failed"}});
    format!("event: error\ndata: {data}\n\n")
}
