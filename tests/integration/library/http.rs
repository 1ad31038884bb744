//! The API of assets, from the request's bytes to the answer's.

use actix_web::{
    App, HttpMessage,
    body::{BodySize, MessageBody},
    dev::Service,
    http::{Method, StatusCode},
    middleware::from_fn,
    test::{TestRequest, call_service, init_service, read_body},
};
use bytes::Bytes;
use image::ImageFormat;
use renderkeep::{
    base::{ctx::Ctx, ids::WorkspaceId},
    library,
    web::{door::door, guard},
};
use serde_json::Value;
use sha2::Digest;

use super::{count, left, member, picture, png, signed_in};
use crate::support::{TestPlatform, platform};

const BOUNDARY: &str = "----frontier";

/// The routes of assets, with `$ctx` as whoever calls. A macro, because the type of what comes out has no public name.
macro_rules! server {
    ($test:expr, $ctx:expr) => {{
        let ctx: Ctx = $ctx.clone();
        let mut app = App::new().configure(guard::install($test.platform.clone()));
        for route in library::http::routes().into_iter().chain(library::pages::routes()) {
            app = app.route(route.path, route.service());
        }
        let known = app.wrap_fn(move |request, next| {
            request.extensions_mut().insert(ctx.clone());
            next.call(request)
        });
        init_service(known.wrap(from_fn(door))).await
    }};
}

pub struct Got {
    pub status: StatusCode,
    headers: actix_web::http::header::HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }
    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

pub async fn ask(test: &TestPlatform, ctx: &Ctx, request: TestRequest) -> Got {
    let response = call_service(&server!(test, ctx), request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    Got { status, headers, body: read_body(response).await }
}

pub fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

/// Name of the field, name of the file, its type, its bytes.
pub type Piece<'a> = (&'a str, Option<&'a str>, &'a str, &'a [u8]);

pub fn form(pieces: &[Piece]) -> TestRequest {
    let mut body = Vec::new();
    for (name, file, kind, bytes) in pieces {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\nContent-Type: {kind}\r\n\r\n"
        );
        body.extend(head.into_bytes());
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    TestRequest::post()
        .uri("/api/v1/assets")
        .insert_header(("content-type", format!("multipart/form-data; boundary={BOUNDARY}")))
        .insert_header(("content-length", body.len().to_string()))
        .set_payload(body)
}

fn upload(name: &str, bytes: &[u8]) -> TestRequest {
    form(&[("file", Some(name), "image/png", bytes)])
}

fn raw(kind: &str, bytes: Vec<u8>) -> TestRequest {
    TestRequest::post().uri("/api/v1/assets").insert_header(("content-type", kind)).set_payload(bytes)
}

async fn uploaded(test: &TestPlatform, ctx: &Ctx, name: &str, bytes: &[u8]) -> String {
    let made = ask(test, ctx, upload(name, bytes)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn ready() -> (TestPlatform, Ctx) {
    let test = platform().await;
    let mara = member(&test.platform, WorkspaceId::new(&test.platform.clock)).await;
    (test, mara)
}

#[actix_web::test]
async fn an_upload_answers_with_the_asset() {
    let (test, mara) = ready().await;
    let bytes = png();
    let made = ask(&test, &mara, upload("lake.png", &bytes)).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let view = made.json();
    assert_eq!(made.header("location"), format!("/api/v1/assets/{}", view["id"].as_str().unwrap()));
    let mut names: Vec<_> = view.as_object().unwrap().keys().cloned().collect();
    names.sort();
    let wanted =
        "bytes created_at generation height id kind labels media_type name rating sha256 thumbhash trashed_at width";
    assert_eq!(names, wanted.split(' ').collect::<Vec<_>>());
    assert_eq!(
        (&view["kind"], &view["media_type"], &view["name"]),
        (&"upload".into(), &"image/png".into(), &"lake.png".into())
    );
    assert_eq!((&view["width"], &view["height"], &view["bytes"]), (&90.into(), &60.into(), &bytes.len().into()));
    assert_eq!(view["sha256"], data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(&bytes)));
    assert_eq!(
        (&view["labels"], &view["rating"], &view["trashed_at"]),
        (&serde_json::json!([]), &Value::Null, &Value::Null)
    );
    let shown = ask(&test, &mara, get(made.header("location"))).await;
    assert_eq!(shown.json(), view);
    let list = ask(&test, &mara, get("/api/v1/assets?kind=upload&limit=1")).await.json();
    assert_eq!(list, serde_json::json!({"items": [view], "next_cursor": null}));
}

#[actix_web::test]
async fn a_raw_body_is_an_upload_too() {
    let (test, mara) = ready().await;
    let jpeg = picture(64, 48, ImageFormat::Jpeg);
    let made = ask(&test, &mara, raw("image/jpeg", jpeg.clone())).await;
    assert_eq!((made.status, &made.json()["name"]), (StatusCode::CREATED, &"image.jpg".into()));
    let named =
        raw("image/jpeg", jpeg).insert_header(("content-disposition", "attachment; filename*=UTF-8''%C3%96l.jpg"));
    assert_eq!(ask(&test, &mara, named).await.json()["name"], "Öl.jpg");
    // What it is decides, not what it is called.
    let mislabelled = ask(&test, &mara, raw("image/png", picture(8, 8, ImageFormat::Gif))).await;
    assert_eq!(mislabelled.json()["media_type"], "image/gif");
}

#[actix_web::test]
async fn bad_uploads_are_refused_by_name_and_leave_nothing() {
    let (test, mara) = ready().await;
    let whole = png();
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    let bad = [
        (upload("a.svg", svg), 422, "image.unsupported"),
        (raw("image/svg+xml", svg.to_vec()), 422, "image.unsupported"),
        (upload("a.png", &whole[..whole.len() / 2]), 422, "image.undecodable"),
        (upload("a.png", b""), 422, "image.undecodable"),
        (raw("image/png", Vec::new()), 422, "image.undecodable"),
        (raw("application/json", b"{}".to_vec()), 415, "request.unsupported_media"),
        (raw("", whole.clone()), 415, "request.unsupported_media"),
        (form(&[]), 422, "request.invalid"),
        (form(&[("image", Some("a.png"), "image/png", &whole)]), 422, "request.invalid"),
        (
            form(&[("note", None, "text/plain", b"x"), ("file", Some("a.png"), "image/png", &whole)]),
            422,
            "request.invalid",
        ),
        (form(&[("file", None, "text/plain", b"x")]), 422, "request.invalid"),
        (
            form(&[("file", Some("a.png"), "image/png", &whole), ("file", Some("b.png"), "image/png", &whole)]),
            422,
            "request.invalid",
        ),
        (
            form(&[("file", Some("a.png"), "image/png", &whole), ("late", None, "text/plain", b"x")]),
            422,
            "request.invalid",
        ),
        (raw("multipart/form-data", whole.clone()), 400, "request.malformed"),
        (raw("multipart/form-data; boundary=x", b"--x\r\nContent-Disp".to_vec()), 400, "request.malformed"),
        (upload("a.png", &whole).insert_header(("idempotency-key", "with space")), 422, "request.invalid"),
        (raw("image/png", vec![0x89]).insert_header(("content-length", "99999999999")), 413, "request.too_large"),
    ];
    for (place, (request, status, code)) in bad.into_iter().enumerate() {
        let got = ask(&test, &mara, request).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (status, code), "case {place}");
        assert_eq!((left(&test).await, count(&test, "assets").await), ((0, 0), 0), "case {place}");
    }
}

#[actix_web::test]
async fn an_upload_over_the_limit_is_refused_while_it_arrives() {
    let (test, mara) = ready().await;
    let mut long = png();
    long.resize(64 * 1024 * 1024 + 1, 0);
    let got = ask(&test, &mara, raw("image/png", long)).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (413, "request.too_large"));
    assert_eq!(left(&test).await, (0, 0));
}

#[actix_web::test]
async fn a_session_needs_the_form_token_before_the_file() {
    let test = platform().await;
    let app = &test.platform;
    let mara = signed_in(app, WorkspaceId::new(&app.clock)).await;
    let own = |request: TestRequest| request.insert_header(("sec-fetch-site", "same-origin"));
    let bytes = png();
    let file: Piece = ("file", Some("a.png"), "image/png", &bytes);
    let token = renderkeep::web::headers::form_token(&app.keys, &mara);
    let csrf: Piece = ("csrf", None, "text/plain", token.as_bytes());
    for refused in [form(&[file]), form(&[file, csrf]), form(&[csrf, file])] {
        assert_eq!(ask(&test, &mara, own(refused)).await.status, StatusCode::FORBIDDEN);
        assert_eq!(left(&test).await, (0, 0));
    }
    let headed = |request: TestRequest| request.insert_header(("x-csrf-token", token.as_str()));
    assert_eq!(ask(&test, &mara, headed(form(&[file]))).await.status, StatusCode::FORBIDDEN, "another site");
    let headed = own(form(&[file])).insert_header(("x-csrf-token", token.as_str()));
    assert_eq!(ask(&test, &mara, headed).await.status, StatusCode::CREATED);
}

#[actix_web::test]
async fn the_same_key_uploads_once() {
    let (test, mara) = ready().await;
    let bytes = png();
    let keyed = |name: &str, bytes: &[u8]| upload(name, bytes).insert_header(("idempotency-key", "k1"));
    let server = server!(test, mara);
    let (first, second) = futures::future::join(
        call_service(&server, keyed("a.png", &bytes).to_request()),
        call_service(&server, keyed("a.png", &bytes).to_request()),
    )
    .await;
    let replays = [&first, &second].iter().filter(|one| one.headers().contains_key("idempotent-replayed")).count();
    assert_eq!(replays, 1);
    assert_eq!((first.status(), second.status()), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(read_body(first).await, read_body(second).await);
    assert_eq!(count(&test, "assets").await, 1);
    let (rows, objects) = left(&test).await;
    assert_eq!((rows, objects as i64), (3, 3), "the second upload's objects are gone");
    for other in [keyed("b.png", &bytes), keyed("a.png", &picture(5, 5, ImageFormat::Png))] {
        let got = ask(&test, &mara, other).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (422, "request.idempotency_mismatch"));
    }
    assert_eq!((count(&test, "assets").await, left(&test).await.0), (1, 3));
    // A refused request did nothing, so its key is free.
    let key = ("idempotency-key", "k2");
    assert_eq!(ask(&test, &mara, upload("a.png", b"no").insert_header(key)).await.status.as_u16(), 422);
    assert_eq!(ask(&test, &mara, upload("a.png", &bytes).insert_header(key)).await.status, StatusCode::CREATED);
}

#[actix_web::test]
async fn content_is_what_was_uploaded() {
    let (test, mara) = ready().await;
    let bytes = png();
    let id = uploaded(&test, &mara, "Öl \u{202e}\\\"see\\\".png", &bytes).await;
    let path = format!("/api/v1/assets/{id}/content");
    let whole = ask(&test, &mara, get(&path)).await;
    assert_eq!((whole.status, &whole.body[..]), (StatusCode::OK, &bytes[..]));
    assert_eq!(whole.header("content-type"), "image/png");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert!(whole.header("content-security-policy").contains("sandbox"));
    assert_eq!(
        whole.header("content-disposition"),
        "attachment; filename=\"_l _see_.png\"; filename*=UTF-8''%C3%96l%20%22see%22.png"
    );
    assert_eq!(ask(&test, &mara, get(&format!("{path}?other=1"))).await.status.as_u16(), 422);
    let known = get(&path).insert_header(("if-none-match", whole.header("etag")));
    let known = ask(&test, &mara, known).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(known.header("etag"), whole.header("etag"));
}

#[actix_web::test]
async fn head_tells_the_length_without_the_bytes() {
    let (test, mara) = ready().await;
    let bytes = png();
    let id = uploaded(&test, &mara, "a.png", &bytes).await;
    let request = TestRequest::default().method(Method::HEAD).uri(&format!("/api/v1/assets/{id}/content"));
    let request = request.insert_header(("range", "bytes=0-1"));
    let response = call_service(&server!(test, mara), request.to_request()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().contains_key("etag"));
    assert_eq!(response.response().body().size(), BodySize::Sized(bytes.len() as u64));
    assert!(read_body(response).await.is_empty());
}

#[actix_web::test]
async fn ranges_of_content() {
    let (test, mara) = ready().await;
    let bytes = png();
    let length = bytes.len();
    let id = uploaded(&test, &mara, "a.png", &bytes).await;
    let path = format!("/api/v1/assets/{id}/content");
    let asked = async |range: String, also: Option<(&'static str, String)>| {
        let mut request = get(&path).insert_header(("range", range));
        if let Some(header) = also {
            request = request.insert_header(header);
        }
        ask(&test, &mara, request).await
    };
    for (range, start, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=10-19".to_owned(), 10, 20),
        ("bytes=100-".to_owned(), 100, length),
        ("bytes=-7".to_owned(), length - 7, length),
        (format!("bytes=5-{}", length * 2), 5, length),
        (format!("bytes=0-{}", length - 1), 0, length),
    ] {
        let part = asked(range.clone(), None).await;
        assert_eq!((part.status.as_u16(), &part.body[..]), (206, &bytes[start..end]), "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {start}-{}/{length}", end - 1));
    }
    for range in ["bytes=0-1,3-4", "bytes=5-1", "bytes=x-", "lines=1-2"] {
        let whole = asked(range.to_owned(), None).await;
        assert_eq!((whole.status.as_u16(), whole.body.len()), (200, length), "{range}");
    }
    for range in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
        let outside = asked(range, None).await;
        assert_eq!((outside.status.as_u16(), outside.code().as_str()), (416, "request.range_not_satisfiable"));
        assert_eq!(outside.header("content-range"), format!("bytes */{length}"));
    }
    let etag = ask(&test, &mara, get(&path)).await.header("etag").to_owned();
    assert_eq!(asked("bytes=0-1".to_owned(), Some(("if-range", etag))).await.status.as_u16(), 206);
    assert_eq!(asked("bytes=0-1".to_owned(), Some(("if-range", "\"other\"".to_owned()))).await.status.as_u16(), 200);
}

#[actix_web::test]
async fn thumbnails_come_as_the_caller_takes_them() {
    let (test, mara) = ready().await;
    let id = uploaded(&test, &mara, "a.jpg", &picture(800, 400, ImageFormat::Jpeg)).await;
    let path = format!("/api/v1/assets/{id}/thumbnail");
    let asked = async |query: &str, accept: &str| {
        ask(&test, &mara, get(&format!("{path}{query}")).insert_header(("accept", accept))).await
    };
    for (query, width) in [("", 320), ("?size=320", 320), ("?size=1440", 800)] {
        for (accept, kind) in [("*/*", "image/jpeg"), ("image/jpeg", "image/jpeg"), ("image/webp", "image/webp")] {
            let small = asked(query, accept).await;
            assert_eq!((small.status.as_u16(), small.header("content-type")), (200, kind), "{query} {accept}");
            let shown = image::load_from_memory(&small.body).unwrap();
            assert_eq!((shown.width(), shown.height()), (width, width / 2));
            assert_eq!(small.header("vary"), "Accept, Cookie, Authorization");
            let known = get(&format!("{path}{query}")).insert_header(("accept", accept));
            let known = ask(&test, &mara, known.insert_header(("if-none-match", small.header("etag")))).await;
            assert_eq!(known.status, StatusCode::NOT_MODIFIED);
        }
    }
    assert_eq!(asked("?size=321", "*/*").await.status.as_u16(), 422);
    assert_eq!(asked("?size=large", "*/*").await.status.as_u16(), 422);
}

#[actix_web::test]
async fn trash_undo_and_forever() {
    let (test, mara) = ready().await;
    let id = uploaded(&test, &mara, "a.png", &png()).await;
    let path = format!("/api/v1/assets/{id}");
    let delete = |query: &str| TestRequest::delete().uri(&format!("{path}{query}"));
    let early = ask(&test, &mara, delete("?forever=true")).await;
    assert_eq!((early.status.as_u16(), early.code().as_str()), (409, "asset.not_in_trash"));
    assert_eq!(ask(&test, &mara, delete("")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(&test, &mara, get("/api/v1/assets")).await.json()["items"], serde_json::json!([]));
    let trash = ask(&test, &mara, get("/api/v1/assets?trashed=true")).await.json();
    assert!(trash["items"][0]["trashed_at"].is_string());
    assert_eq!(ask(&test, &mara, get(&format!("{path}/content"))).await.status, StatusCode::OK);
    let restore = || TestRequest::post().uri(&format!("{path}/restore"));
    assert_eq!(ask(&test, &mara, restore()).await.json()["trashed_at"], Value::Null);
    assert_eq!(ask(&test, &mara, delete("?forever=false")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(&test, &mara, delete("?forever=true")).await.status, StatusCode::NO_CONTENT);
    for request in
        [get(&path), get(&format!("{path}/content")), get(&format!("{path}/thumbnail")), restore(), delete("")]
    {
        assert_eq!(ask(&test, &mara, request).await.code(), "not_found");
    }
}

#[actix_web::test]
async fn somebody_elses_asset_is_not_there() {
    let test = platform().await;
    let workspace = WorkspaceId::new(&test.platform.clock);
    let (mara, jonas) = (member(&test.platform, workspace).await, member(&test.platform, workspace).await);
    let id = uploaded(&test, &mara, "a.png", &png()).await;
    let path = format!("/api/v1/assets/{id}");
    for request in [
        get(&path),
        get(&format!("{path}/content")),
        get(&format!("{path}/thumbnail")),
        TestRequest::default().method(Method::HEAD).uri(&format!("{path}/content")),
        TestRequest::delete().uri(&path),
        TestRequest::delete().uri(&format!("{path}?forever=true")),
        TestRequest::post().uri(&format!("{path}/restore")),
        get("/api/v1/assets/gen_01jd0t6ck9f8ktr0v2m7d1e2qa"),
        get("/api/v1/assets/nonsense"),
    ] {
        assert_eq!(ask(&test, &jonas, request).await.status, StatusCode::NOT_FOUND);
    }
    let foreign = ask(&test, &jonas, get("/api/v1/assets?generation=ast_01jd0t6ck9f8ktr0v2m7d1e2qa")).await;
    assert_eq!(foreign.json()["fields"][0]["name"], "generation");
    for query in
        ["kind=video", "trashed=maybe", "limit=0", "limit=201", "colour=red", "kind=upload&kind=mask", "cursor=x"]
    {
        assert_eq!(ask(&test, &mara, get(&format!("/api/v1/assets?{query}"))).await.status.as_u16(), 422, "{query}");
    }
}
