//! The picture itself and its small pictures.

use std::{
    convert::Infallible,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::{BodySize, MessageBody, SizedStream},
    http::{StatusCode, header},
    web::{self, Bytes},
};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    asset_of,
    conditional::{self, Asked},
};
use crate::{
    base::{
        access::LibraryRead,
        error::{Invalid, Kind, NotFound},
    },
    library::{
        model::{Asset, MediaType, Size, Thumbnail},
        ops,
    },
    platform::storage,
    web::{extract::Query, guard::Guard, problem::Problem},
};

/// Nothing can be said beside the address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ThumbnailQuery {
    /// 320 or 1440.
    #[param(example = 320)]
    size: Option<u32>,
}

pub async fn asset_content(
    guard: Guard<LibraryRead>,
    request: HttpRequest,
    id: web::Path<String>,
    _: Query<NoQuery>,
) -> Result<HttpResponse, Problem> {
    let asset = asset_of(&guard, &id).await?;
    let etag = etag_of(&asset);
    if conditional::has(text(&request, header::IF_NONE_MATCH), &etag) {
        return Ok(described(StatusCode::NOT_MODIFIED, &asset).finish());
    }
    let asked = match conditional::range_is_of(text(&request, header::IF_RANGE), &etag) {
        true => conditional::range(text(&request, header::RANGE), asset.bytes),
        false => Asked::Whole,
    };
    match asked {
        Asked::Whole => streamed(&guard, &asset, described(StatusCode::OK, &asset), None).await,
        Asked::Part(part) => {
            let mut response = described(StatusCode::PARTIAL_CONTENT, &asset);
            let told = format!("bytes {}-{}/{}", part.start, part.end - 1, asset.bytes);
            response.insert_header((header::CONTENT_RANGE, told));
            streamed(&guard, &asset, response, Some(part)).await
        }
        Asked::Outside => Err(outside(asset.bytes)),
    }
}

/// The same headers without the bytes. A range is not defined for it.
pub async fn asset_content_head(
    guard: Guard<LibraryRead>,
    request: HttpRequest,
    id: web::Path<String>,
    _: Query<NoQuery>,
) -> Result<HttpResponse, Problem> {
    let asset = asset_of(&guard, &id).await?;
    if conditional::has(text(&request, header::IF_NONE_MATCH), &etag_of(&asset)) {
        return Ok(described(StatusCode::NOT_MODIFIED, &asset).finish());
    }
    Ok(described(StatusCode::OK, &asset).body(Unsent(asset.bytes)))
}

pub async fn asset_thumbnail(
    guard: Guard<LibraryRead>,
    request: HttpRequest,
    id: web::Path<String>,
    query: Query<ThumbnailQuery>,
) -> Result<HttpResponse, Problem> {
    let size = query.value.size.map_or(Some(Size::Small), Size::of);
    let size = size.ok_or_else(|| Invalid::field("size", "not_offered", "size is 320 or 1440."))?;
    let asset = asset_of(&guard, &id).await?;
    let all = ops::thumbnails(&mut *guard.app.db.read().await?, &asset).await?;
    let choice = choose(&all, size, conditional::takes_webp(text(&request, header::ACCEPT))).ok_or(NotFound)?;
    let etag = choice.etag();
    let known = conditional::has(text(&request, header::IF_NONE_MATCH), &etag);
    let mut response = HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, "private, max-age=3600"))
        .insert_header((header::VARY, "Accept, Cookie, Authorization"));
    if known {
        return Ok(response.finish());
    }
    let (media_type, bytes) = match choice {
        Choice::Stored(thumbnail) => (thumbnail.media_type, ops::thumbnail_bytes(&guard.app, thumbnail).await?),
        Choice::AsJpeg(thumbnail) => (MediaType::Jpeg, ops::thumbnail_as_jpeg(&guard.app, thumbnail).await?),
    };
    Ok(response.content_type(media_type.as_str()).body(bytes))
}

/// How the small picture is answered.
enum Choice<'a> {
    Stored(&'a Thumbnail),
    /// Kept as WebP, and the caller does not take it.
    AsJpeg(&'a Thumbnail),
}

impl Choice<'_> {
    fn etag(&self) -> String {
        match self {
            Self::Stored(thumbnail) => format!("\"{}\"", thumbnail.object),
            Self::AsJpeg(thumbnail) => format!("\"{}-jpeg\"", thumbnail.object),
        }
    }
}

fn choose(all: &[Thumbnail], size: Size, takes_webp: bool) -> Option<Choice<'_>> {
    let stored = all.iter().find(|one| one.size == size)?;
    Some(if takes_webp { Choice::Stored(stored) } else { Choice::AsJpeg(stored) })
}

fn etag_of(asset: &Asset) -> String {
    format!("\"{}\"", HEXLOWER.encode(&asset.sha256))
}

fn text(request: &HttpRequest, name: header::HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// What every answer about the content says. Asked for again each time, so that what was deleted is gone at once. It is
/// the file as it came, so it is for saving: no browser shows it, and our own pages show small pictures only.
fn described(status: StatusCode, asset: &Asset) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .content_type(asset.media_type.as_str())
        .insert_header((header::ETAG, etag_of(asset)))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::CONTENT_DISPOSITION, conditional::attachment(&asset.name)));
    response
}

async fn streamed(
    guard: &Guard<LibraryRead>,
    asset: &Asset,
    mut response: HttpResponseBuilder,
    part: Option<Range<u64>>,
) -> Result<HttpResponse, Problem> {
    let length = part.as_ref().map_or(asset.bytes, |part| part.end - part.start);
    let object = ops::content(&guard.app, asset, part).await?;
    Ok(response.body(SizedStream::new(length, logged(object.stream))))
}

/// An error in the middle can only break the answer off; why goes to the log.
fn logged(stream: storage::ByteStream) -> impl futures::Stream<Item = Result<Bytes, storage::StorageError>> {
    futures::StreamExt::inspect(stream, |part| {
        if let Err(error) = part {
            tracing::error!(error = crate::base::error::chain(error), "content broke off");
        }
    })
}

fn outside(length: u64) -> Problem {
    let mut problem = Problem::new(
        Kind::RangeNotSatisfiable,
        "request.range_not_satisfiable",
        format!("The range lies outside the {length} bytes of this content."),
    );
    let told = header::HeaderValue::from_str(&format!("bytes */{length}"));
    problem.header = told.ok().map(|told| (header::CONTENT_RANGE, told));
    problem
}

/// A body of which only the length is told.
struct Unsent(u64);

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
