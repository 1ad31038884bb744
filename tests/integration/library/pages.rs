//! The library's pages and forms, as a browser without scripts uses them.

use actix_web::{http::StatusCode, test::TestRequest};
use data_encoding::BASE64URL_NOPAD;
use renderkeep::{
    base::{ctx::Ctx, ids::WorkspaceId},
    library::{
        model::{Asset, AssetKind},
        ops,
    },
    web::headers,
};
use serde_json::Value;

use super::{
    add, count,
    http::{Got, Piece, ask, form, get},
    left, png, signed_in,
};
use crate::support::{TestPlatform, platform};

async fn ready() -> (TestPlatform, Ctx) {
    let test = platform().await;
    let mara = signed_in(&test.platform, WorkspaceId::new(&test.platform.clock)).await;
    (test, mara)
}

async fn asset(test: &TestPlatform, ctx: &Ctx, kind: AssetKind) -> Asset {
    add(&test.platform, ctx, kind, png()).await.unwrap()
}

async fn submit(test: &TestPlatform, ctx: &Ctx, path: &str, fields: &[(&str, &str)]) -> Got {
    let token = headers::form_token(&test.platform.keys, ctx);
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.append_pair("csrf", &token).extend_pairs(fields);
    let request = TestRequest::post()
        .uri(path)
        .insert_header(("sec-fetch-site", "same-origin"))
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .set_payload(body.finish());
    ask(test, ctx, request).await
}

/// What the page will say once.
fn told(got: &Got) -> Value {
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    let cookie = got.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("Secure"), "{cookie}");
    let value = cookie.strip_prefix("__Host-rk_flash=").unwrap().split(';').next().unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(value.as_bytes()).unwrap()).unwrap()
}

async fn page(test: &TestPlatform, ctx: &Ctx, path: &str) -> String {
    let got = ask(test, ctx, get(path)).await;
    assert_eq!((got.status, got.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    String::from_utf8(got.body.to_vec()).unwrap()
}

#[actix_web::test]
async fn the_grid_shows_what_there_is() {
    let (test, mara) = ready().await;
    assert!(page(&test, &mara, "/library").await.contains("The library is empty"));
    let (upload, render) = (asset(&test, &mara, AssetKind::Upload).await, asset(&test, &mara, AssetKind::Render).await);
    let all = page(&test, &mara, "/library").await;
    assert!(all.contains(&upload.id.to_string()) && all.contains(&render.id.to_string()));
    assert!(all.contains("2 pictures") && all.contains("Today"));
    let uploads = page(&test, &mara, "/library?kind=upload").await;
    assert!(uploads.contains(&upload.id.to_string()) && !uploads.contains(&render.id.to_string()));
    assert!(page(&test, &mara, "/library?kind=mask").await.contains("Nothing matches"));
    assert!(page(&test, &mara, "/library?trashed=true").await.contains("The trash is empty"));
    assert_eq!(ask(&test, &mara, get("/library?colour=red")).await.status.as_u16(), 422);
}

#[actix_web::test]
async fn a_long_library_has_pages() {
    let (test, mara) = ready().await;
    for _ in 0..61 {
        asset(&test, &mara, AssetKind::Upload).await;
    }
    let first = page(&test, &mara, "/library?kind=upload").await;
    assert!(first.contains("60 of 61"));
    let link = first.split("href=\"").find(|rest| rest.starts_with("/library?kind=upload&")).unwrap();
    let link = link.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = page(&test, &mara, &link).await;
    assert_eq!(second.matches("class=\"tile\"").count(), 1);
    assert!(!second.contains("60 of"));
}

#[actix_web::test]
async fn a_picture_goes_to_the_trash_and_comes_back() {
    let (test, mara) = ready().await;
    let id = asset(&test, &mara, AssetKind::Upload).await.id.to_string();
    let trashed = submit(&test, &mara, &format!("/library/{id}/trash"), &[]).await;
    assert_eq!(trashed.header("location"), "/library");
    let flash = told(&trashed);
    assert_eq!(flash["text"], "Moved to trash");
    assert!(page(&test, &mara, "/library?trashed=true").await.contains(&id));
    let undo = flash["undo"]["action"].as_str().unwrap();
    assert_eq!(told(&submit(&test, &mara, undo, &[]).await)["text"], "Brought back from the trash");
    assert!(page(&test, &mara, "/library").await.contains(&id));
    let missing = submit(&test, &mara, "/library/ast_01jd0t6ck9f8ktr0v2m7d1e2qa/trash", &[]).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn chosen_pictures_are_trashed_restored_and_deleted() {
    let (test, mara) = ready().await;
    let one = asset(&test, &mara, AssetKind::Upload).await.id.to_string();
    let other = asset(&test, &mara, AssetKind::Upload).await.id.to_string();
    let both = [("asset", one.as_str()), ("asset", other.as_str())];
    assert_eq!(told(&submit(&test, &mara, "/library/trash", &both).await)["text"], "2 pictures moved to trash");
    assert_eq!(told(&submit(&test, &mara, "/library/restore", &both[..1]).await)["text"], "1 picture brought back");
    let mixed = submit(&test, &mara, "/library/delete", &both).await;
    assert_eq!(mixed.status, StatusCode::CONFLICT, "one of them does not lie in the trash");
    assert_eq!(told(&submit(&test, &mara, "/library/delete", &both[1..]).await)["text"], "1 picture deleted for good");
    assert_eq!(count(&test, "assets").await, 1);
    assert_eq!(submit(&test, &mara, "/library/trash", &[]).await.status.as_u16(), 422);
    assert_eq!(submit(&test, &mara, "/library/trash", &[("asset", "gen_x")]).await.status.as_u16(), 422);
}

#[actix_web::test]
async fn another_site_can_do_nothing() {
    let (test, mara) = ready().await;
    let id = asset(&test, &mara, AssetKind::Upload).await.id;
    let plain = |path: &str| TestRequest::post().uri(path).set_form([("asset", id.to_string())]);
    for path in ["/library/trash", "/library/delete", &format!("/library/{id}/trash")] {
        assert_eq!(ask(&test, &mara, plain(path)).await.status, StatusCode::FORBIDDEN);
        let own = plain(path).insert_header(("sec-fetch-site", "same-origin"));
        assert_eq!(ask(&test, &mara, own).await.status, StatusCode::FORBIDDEN, "there is no token");
    }
    let grant = mara.grant().unwrap();
    let kept = ops::find(&mut test.platform.db.read().await.unwrap(), &test.platform.keys, &grant, id).await.unwrap();
    assert_eq!(kept.trashed_at, None);
}

#[actix_web::test]
async fn files_of_a_form_are_uploaded_together() {
    let (test, mara) = ready().await;
    let token = headers::form_token(&test.platform.keys, &mara);
    let bytes = png();
    let csrf: Piece = ("csrf", None, "text/plain", token.as_bytes());
    let file: Piece = ("file", Some("a.png"), "image/png", &bytes);
    let nothing: Piece = ("file", Some(""), "application/octet-stream", b"");
    let send = |pieces: &[Piece]| form(pieces).uri("/library/upload").insert_header(("sec-fetch-site", "same-origin"));
    assert_eq!(ask(&test, &mara, send(&[file])).await.status, StatusCode::FORBIDDEN);
    let bad: Piece = ("file", Some("b.svg"), "image/svg+xml", b"<svg/>");
    let refused = told(&ask(&test, &mara, send(&[csrf, file, bad])).await);
    assert_eq!(refused["tone"], "Bad");
    assert_eq!((left(&test).await, count(&test, "assets").await), ((0, 0), 0));
    assert_eq!(told(&ask(&test, &mara, send(&[csrf, nothing])).await)["tone"], "Warn");
    assert_eq!(told(&ask(&test, &mara, send(&[csrf, file, file, nothing])).await)["text"], "2 pictures uploaded");
    assert_eq!(count(&test, "assets").await, 2);
}
