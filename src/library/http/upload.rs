//! Uploads: pictures from a form or as a raw body, streamed into the store while they arrive.

use std::time::Duration;

use actix_multipart::Multipart;
use actix_web::{
    HttpRequest,
    http::header::{self, DispositionParam},
    web,
};

use crate::{
    base::{access::LibraryEdit, error::Invalid},
    library::{
        error::LibraryError,
        model::{MOST_BYTES, Prepared},
        ops,
    },
    platform::{crypto::digest, storage::ByteStream},
    web::{
        extract::{self, unsupported},
        guard::Guard,
        headers,
        multipart::{self, Part, Parts},
        problem::Problem,
    },
};

/// What a multipart body may have beside its file.
const FRAME: u64 = 1024 * 1024;
/// How long a refused body is read on, so that the caller gets to see the answer.
const COURTESY: Duration = Duration::from_secs(10);

/// A picture that has arrived: stored, and not yet an asset.
pub struct Received {
    pub prepared: Prepared,
    /// As the client sent it.
    pub name: String,
    /// Equal for uploads that mean the same.
    pub hash: [u8; 32],
}

/// The one picture of an API call.
pub async fn picture(
    guard: &Guard<LibraryEdit>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Received, Problem> {
    // A bad key is known before the first byte.
    extract::once(request, [0; 32])?;
    if !headers::is_form(request) {
        return raw(guard, request, payload).await;
    }
    let mut all = pictures(guard, request, payload, 1).await?;
    all.pop().ok_or_else(|| Invalid::field("file", "required", "file is required.").into())
}

async fn raw(guard: &Guard<LibraryEdit>, request: &HttpRequest, payload: web::Payload) -> Result<Received, Problem> {
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let declared = declared.trim().to_ascii_lowercase();
    if !declared.starts_with("image/") {
        return Err(unsupported("This takes multipart/form-data with a field file, or a picture of its own type."));
    }
    let (stream, body) = multipart::pumped(payload);
    let received = match refuse_oversized(request) {
        Ok(()) => receive(guard, stream, &told_name(request).unwrap_or_default(), &declared).await,
        Err(problem) => {
            drop(stream);
            Err(problem)
        }
    };
    body.finish(COURTESY).await;
    received
}

/// A raw body has no form that names it; the header may.
fn told_name(request: &HttpRequest) -> Option<String> {
    let told = header::ContentDisposition::from_raw(request.headers().get(header::CONTENT_DISPOSITION)?).ok()?;
    let extended = told.parameters.iter().find_map(DispositionParam::as_filename_ext);
    let extended = extended.and_then(|name| String::from_utf8(name.value.clone()).ok());
    extended.or_else(|| told.get_filename().map(str::to_owned))
}

/// Every `file` of a form, at most `most`. When one is refused, none is kept.
pub async fn pictures(
    guard: &Guard<LibraryEdit>,
    request: &HttpRequest,
    payload: web::Payload,
    most: usize,
) -> Result<Vec<Received>, Problem> {
    let mut parts = Parts::new(Multipart::new(request.headers(), payload));
    let mut received = Vec::new();
    let done = collect(guard, request, &mut parts, most, &mut received).await;
    if let Err(problem) = done {
        for one in &received {
            ops::discard(&guard.app, &one.prepared).await;
        }
        parts.finish(COURTESY).await;
        return Err(problem);
    }
    Ok(received)
}

async fn collect(
    guard: &Guard<LibraryEdit>,
    request: &HttpRequest,
    parts: &mut Parts,
    most: usize,
    received: &mut Vec<Received>,
) -> Result<(), Problem> {
    if most == 1 {
        refuse_oversized(request)?;
    }
    // The guard has checked a token in the header; one in the form comes before the files.
    let mut trusted = request.headers().contains_key("x-csrf-token");
    while let Some(part) = parts.next().await? {
        match part {
            Part::Text { name, value } if name == "csrf" => {
                headers::check_form_token(&guard.app.keys, &guard.ctx, Some(&value))?;
                trusted = true;
            }
            // A file field that nobody filled comes as a file without a name.
            Part::File { name, file_name, stream, .. } if name == "file" && file_name.is_empty() && most > 1 => {
                drop(stream);
            }
            Part::File { name, file_name, media_type, stream } if name == "file" => {
                if !trusted {
                    headers::check_form_token(&guard.app.keys, &guard.ctx, None)?;
                }
                if received.len() == most {
                    return Err(too_many(most).into());
                }
                received.push(receive(guard, stream, &file_name, &media_type).await?);
            }
            Part::Text { name, .. } if name == "file" => {
                return Err(Invalid::field("file", "wrong_type", "file is a file with a name.").into());
            }
            Part::Text { name, .. } | Part::File { name, .. } => {
                let message = format!("There is no field {name} here.");
                return Err(Invalid::field(name, "unknown", message).into());
            }
        }
    }
    Ok(())
}

fn too_many(most: usize) -> Invalid {
    let message =
        if most == 1 { "file may stand only once.".to_owned() } else { format!("At most {most} files at a time.") };
    Invalid::field("file", "repeated", message)
}

async fn receive(
    guard: &Guard<LibraryEdit>,
    stream: ByteStream,
    file_name: &str,
    media_type: &str,
) -> Result<Received, Problem> {
    let owner = guard.grant()?.person();
    let prepared = ops::prepare(&guard.app, &guard.ctx, owner, stream).await?;
    let parts = [b"file", file_name.as_bytes(), media_type.as_bytes(), &prepared.original.sha256];
    let hash = digest(&parts.map(|part: &[u8]| digest(part)).concat());
    Ok(Received { prepared, name: file_name.to_owned(), hash })
}

/// What says itself that it is too large is refused before it is read.
fn refuse_oversized(request: &HttpRequest) -> Result<(), Problem> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match declared.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > MOST_BYTES + FRAME => Err(LibraryError::TooLarge.into()),
        _ => Ok(()),
    }
}
