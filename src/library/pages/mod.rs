//! The library pages: the grid, the trash, and the forms that work without a script.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};

use self::views::{Day, LibraryPage};
use super::{
    http::{self, Received},
    model::{Asset, AssetKind, Filter},
    ops,
};
use crate::{
    base::{
        access::{LibraryEdit, LibraryRead},
        error::Kind,
        ids::AssetId,
        paging::Page,
    },
    platform::idempotency::{Answer, Once},
    web::{
        extract::{self, Form, Query, path_id},
        format::{self, Chip, Pager},
        frame::{Flash, Place, Tone},
        guard::Guard,
        page::{self, PageFrame},
        picture::Tile,
        problem::Problem,
        route::{Route, get, post},
    },
};

pub mod views;

/// Tiles of one page.
const TILES: u32 = 60;
/// Files of one form.
const FILES: usize = 20;
const LIBRARY: &str = "/library";
const TRASH: &str = "/library?trashed=true";

/// The page of one picture is not here: it also shows how the picture was made, which other rooms know.
pub fn routes() -> Vec<Route> {
    vec![
        get(LIBRARY, library_page),
        post("/library/upload", upload_pictures),
        post("/library/trash", trash_pictures),
        post("/library/restore", restore_pictures),
        post("/library/delete", delete_pictures),
        post("/library/{id}/trash", trash_picture),
        post("/library/{id}/restore", restore_picture),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LibraryQuery {
    kind: Option<AssetKind>,
    #[serde(default, deserialize_with = "extract::search")]
    search: Option<String>,
    trashed: Option<bool>,
    cursor: Option<String>,
}

/// Pictures that were chosen. One comes as a value, several as a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    #[serde(default, deserialize_with = "one_or_many")]
    asset: Vec<AssetId>,
}

/// A form that says everything with its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AssetId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(AssetId),
        Many(Vec<AssetId>),
    }
    Ok(match Either::deserialize(from)? {
        Either::One(id) => vec![id],
        Either::Many(ids) => ids,
    })
}

async fn library_page(
    guard: Guard<LibraryRead>,
    frame: PageFrame,
    query: Query<LibraryQuery>,
) -> Result<HttpResponse, Problem> {
    let asked = &query.value;
    let trash = asked.trashed.unwrap_or_default();
    let filter = Filter { kind: asked.kind, trashed: trash, generation: None, search: asked.search.clone() };
    let keys = &guard.app.keys;
    let window = query.page(keys, LIBRARY, Some(TILES), asked.cursor.as_deref())?;
    let mut conn = guard.app.db.read().await?;
    let grant = guard.grant()?;
    let found = ops::list(&mut conn, keys, &grant, &filter, &window).await?;
    let (count, bytes) = ops::sum(&mut conn, keys, &grant, &filter).await?;
    let days = days(&found, guard.ctx.clock.now());
    let shown = found.items.len();
    let next = query.list(keys, LIBRARY, found.map(|_| ())).next_cursor;
    page::ok(&LibraryPage {
        frame: frame.titled(if trash { "Trash" } else { "Library" }, Place::Library),
        trash,
        summary: format!("{}, {}", format::plural(count, "picture"), format::bytes(bytes)),
        filters: if trash { Vec::new() } else { filters(asked) },
        search: asked.search.clone().unwrap_or_default(),
        kind: asked.kind.map_or("", AssetKind::as_str),
        days,
        pager: pager(asked, shown, count, next),
        filtered: asked.kind.is_some() || asked.search.is_some(),
        accepts: "PNG, JPEG, WebP or GIF, up to 64 MB each".to_owned(),
    })
}

fn days(found: &Page<Asset>, now: DateTime<Utc>) -> Vec<Day> {
    found
        .items
        .chunk_by(|one, other| one.created_at.date_naive() == other.created_at.date_naive())
        .filter_map(|assets| {
            let at = assets.first()?.created_at;
            let tiles = assets.iter().map(tile).collect();
            Some(Day { key: at.format("%Y-%m-%d").to_string(), title: format::day(at, now), tiles })
        })
        .collect()
}

/// An asset in a grid.
fn tile(asset: &Asset) -> Tile {
    let kind = match asset.kind {
        AssetKind::Render => "",
        AssetKind::Upload => "Upload",
        AssetKind::Mask => "Mask",
    };
    let id = asset.id.to_string();
    let tile = Tile::new(id, alt(asset), asset.name.clone(), asset.width, asset.height, &asset.thumbhash);
    Tile { kind: kind.to_owned(), ..tile }
}

/// A picture in words: renders are named after their prompt, uploads by people.
pub fn alt(asset: &Asset) -> String {
    let stem = asset.name.rsplit_once('.').map_or(asset.name.as_str(), |(stem, _)| stem);
    stem.replace(['-', '_'], " ")
}

fn filters(asked: &LibraryQuery) -> Vec<Chip> {
    let search = asked.search.as_deref().unwrap_or_default();
    let chip = |label: &str, kind: Option<AssetKind>| Chip {
        label: label.to_owned(),
        href: format::address(LIBRARY, &[("kind", kind.map_or("", AssetKind::as_str)), ("search", search)]),
        on: asked.kind == kind,
        removes: false,
    };
    vec![
        chip("All", None),
        chip("Made here", Some(AssetKind::Render)),
        chip("Uploads", Some(AssetKind::Upload)),
        chip("Masks", Some(AssetKind::Mask)),
    ]
}

fn pager(asked: &LibraryQuery, shown: usize, count: u64, next: Option<String>) -> Pager {
    let kind = asked.kind.map_or("", AssetKind::as_str);
    let trashed = asked.trashed.map(|trashed| trashed.to_string()).unwrap_or_default();
    let search = asked.search.as_deref().unwrap_or_default();
    let base = |cursor: Option<String>| {
        let cursor = cursor.unwrap_or_default();
        format::address(LIBRARY, &[("kind", kind), ("trashed", &trashed), ("search", search), ("cursor", &cursor)])
    };
    let first = asked.cursor.is_none();
    let range = if first && next.is_some() { format!("{shown} of {}", format::count(count)) } else { String::new() };
    Pager { range, newer: (!first).then(|| base(None)), older: next.map(|cursor| base(Some(cursor))) }
}

async fn upload_pictures(
    guard: Guard<LibraryEdit>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let received = match http::pictures(&guard, &request, payload, FILES).await {
        Ok(received) => received,
        Err(problem) => return complaint(problem),
    };
    let count = received.len() as u64;
    for Received { prepared, name, .. } in received {
        // Nobody reads this answer: the browser is sent to the library.
        let answer = |_: &Asset| Answer { status: 303, location: None, body: serde_json::Value::Null, replayed: false };
        ops::upload(&guard.ctx, &guard.app, &Once::unkeyed(), prepared, name, answer).await?;
    }
    let flash = match count {
        0 => Flash::new(Tone::Warn, "Choose at least one file first."),
        _ => Flash::new(Tone::Ok, format!("{} uploaded", format::plural(count, "picture"))),
    };
    Ok(page::told(LIBRARY, &flash))
}

/// What is wrong with a file is said in the library, where another can be chosen.
fn complaint(problem: Problem) -> Result<HttpResponse, Problem> {
    match problem.kind {
        Kind::Invalid | Kind::TooLarge | Kind::Malformed => {
            Ok(page::told(LIBRARY, &Flash::new(Tone::Bad, format!("{} Nothing was stored.", problem.detail))))
        }
        _ => Err(problem),
    }
}

async fn trash_picture(
    guard: Guard<LibraryEdit>,
    id: web::Path<String>,
    _: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    let id: AssetId = path_id(&id)?;
    ops::trash(&guard.ctx, &guard.app, id).await?;
    let flash = Flash::new(Tone::Ok, "Moved to trash").undone_at(format!("{LIBRARY}/{id}/restore"));
    Ok(page::told(LIBRARY, &flash))
}

async fn restore_picture(
    guard: Guard<LibraryEdit>,
    id: web::Path<String>,
    _: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    ops::restore(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(page::told(LIBRARY, &Flash::new(Tone::Ok, "Brought back from the trash")))
}

async fn trash_pictures(guard: Guard<LibraryEdit>, form: Form<Chosen>) -> Result<HttpResponse, Problem> {
    ops::trash_all(&guard.ctx, &guard.app, &form.0.asset).await?;
    Ok(page::told(LIBRARY, &done(&form.0, "moved to trash")))
}

async fn restore_pictures(guard: Guard<LibraryEdit>, form: Form<Chosen>) -> Result<HttpResponse, Problem> {
    ops::restore_all(&guard.ctx, &guard.app, &form.0.asset).await?;
    Ok(page::told(TRASH, &done(&form.0, "brought back")))
}

async fn delete_pictures(guard: Guard<LibraryEdit>, form: Form<Chosen>) -> Result<HttpResponse, Problem> {
    ops::delete_all(&guard.ctx, &guard.app, &form.0.asset).await?;
    Ok(page::told(TRASH, &done(&form.0, "deleted for good")))
}

fn done(chosen: &Chosen, what: &str) -> Flash {
    Flash::new(Tone::Ok, format!("{} {what}", format::plural(chosen.asset.len() as u64, "picture")))
}
