//! Addresses of pictures that carry their own permission for an hour, for clients that asked for `url`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_DISPOSITION},
    web,
};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use crate::{
    base::{
        access::{Public, StudioEdit},
        error::NotFound,
        ids::{AssetId, PersonId},
    },
    library,
    platform::crypto::Purpose,
    web::{extract::path_id, guard::Guard, problem::Problem},
};

const SECONDS: i64 = 3600;

/// Where callers reach this server.
pub fn base(guard: &Guard<StudioEdit>, request: &HttpRequest) -> String {
    match &guard.app.config.server.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let connection = request.connection_info();
            format!("{}://{}", connection.scheme(), connection.host())
        }
    }
}

pub fn address(guard: &Guard<StudioEdit>, base: &str, asset: AssetId) -> String {
    let until = guard.ctx.clock.now().timestamp() + SECONDS;
    let person = guard.ctx.acting().map(|acting| acting.person.to_string()).unwrap_or_default();
    let mark = guard.app.keys.mac_text(Purpose::SignedUrl, subject(asset, &person, until).as_bytes());
    format!("{base}/signed/{asset}?person={person}&until={until}&signature={}", mark.unwrap_or_default())
}

fn subject(asset: AssetId, person: &str, until: i64) -> String {
    format!("{asset} {person} {until}")
}

#[derive(Deserialize)]
pub struct Signature {
    person: String,
    until: i64,
    signature: String,
}

/// Anything that is not exactly what was handed out is not there.
pub async fn show_signed(
    guard: Guard<Public>,
    asset: web::Path<String>,
    query: web::Query<Signature>,
) -> Result<HttpResponse, Problem> {
    let asset: AssetId = path_id(&asset)?;
    let mark = BASE64URL_NOPAD.decode(query.signature.as_bytes()).map_err(|_| NotFound)?;
    let subject = subject(asset, &query.person, query.until);
    let valid = guard.app.keys.verify(Purpose::SignedUrl, subject.as_bytes(), &mark);
    if !valid || query.until < guard.ctx.clock.now().timestamp() {
        return Err(NotFound.into());
    }
    let person: PersonId = path_id(&query.person)?;
    let found = library::ops::of_person(&guard.app, person, asset).await?;
    let object = library::ops::content(&guard.app, &found, None).await?;
    Ok(HttpResponse::Ok()
        .content_type(found.media_type.to_string())
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((CONTENT_DISPOSITION, "attachment"))
        .streaming(object.stream))
}
