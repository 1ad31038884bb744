//! Assets from their upload to the end of their days in the trash.

use chrono::Duration;
use image::ImageFormat;
use renderkeep::{
    base::{
        access::LibraryRead,
        ctx::Ctx,
        error::Fault,
        ids::{AssetId, WorkspaceId},
        paging::PageRequest,
    },
    library::{
        jobs,
        model::{AssetKind, Filter, MOST_BYTES, NewAsset, Place},
        ops,
    },
    platform::{
        Platform,
        storage::{StorageError, stream_of},
    },
};

use super::{actions, add, code, count, left, member, picture, png};
use crate::support::platform;

fn system(app: &Platform) -> Ctx {
    Ctx::system("test", app.clock.clone())
}

async fn found(app: &Platform, ctx: &Ctx, id: AssetId) -> bool {
    let grant = ctx.grant::<LibraryRead>().unwrap();
    ops::find(&mut app.db.read().await.unwrap(), &app.keys, &grant, id).await.is_ok()
}

async fn listed(app: &Platform, ctx: &Ctx, filter: Filter) -> Vec<AssetId> {
    let grant = ctx.grant::<LibraryRead>().unwrap();
    let page = ops::list(&mut app.db.read().await.unwrap(), &app.keys, &grant, &filter, &PageRequest::first(10))
        .await
        .unwrap();
    page.items.iter().map(|asset| asset.id).collect()
}

#[tokio::test]
async fn an_upload_knows_its_picture() {
    let test = platform().await;
    let app = &test.platform;
    let mara = member(app, WorkspaceId::new(&app.clock)).await;
    for (format, media_type) in [
        (ImageFormat::Png, "image/png"),
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::WebP, "image/webp"),
        (ImageFormat::Gif, "image/gif"),
    ] {
        let bytes = picture(90, 60, format);
        let asset = add(app, &mara, AssetKind::Upload, bytes.clone()).await.unwrap();
        assert_eq!((asset.media_type.as_str(), asset.width, asset.height), (media_type, 90, 60));
        assert_eq!(asset.bytes, bytes.len() as u64);
        let (again, stored) = ops::reference_bytes(app, asset.person, asset.id).await.unwrap();
        assert_eq!(again, asset);
        assert_eq!(stored, bytes);
        let thumbnails = ops::thumbnails(&mut app.db.read().await.unwrap(), &asset).await.unwrap();
        let kinds: Vec<_> = thumbnails.iter().map(|one| one.media_type.as_str()).collect();
        assert_eq!(kinds, ["image/webp", "image/webp"]);
    }
}

/// A PNG whose header says another size.
fn claims_to_be(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing() {
    let test = platform().await;
    let app = &test.platform;
    let mara = member(app, WorkspaceId::new(&app.clock)).await;
    let whole = png();
    let mut long = whole.clone();
    long.resize(usize::try_from(MOST_BYTES).unwrap() + 1, 0);
    for (bytes, wanted) in [
        (Vec::new(), "image.undecodable"),
        (whole[..whole.len() / 2].to_vec(), "image.undecodable"),
        (whole[..whole.len() - 12].to_vec(), "image.undecodable"),
        (whole[..20].to_vec(), "image.undecodable"),
        (b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>".to_vec(), "image.unsupported"),
        (b"<!doctype html><title>no</title>".to_vec(), "image.unsupported"),
        (b"x".to_vec(), "image.unsupported"),
        (claims_to_be(60_000, 60_000), "image.too_many_pixels"),
        (claims_to_be(16_385, 1), "image.too_many_pixels"),
        (long, "request.too_large"),
    ] {
        assert_eq!(code(add(app, &mara, AssetKind::Upload, bytes).await), wanted);
        assert_eq!((left(&test).await, count(&test, "assets").await), ((0, 0), 0), "{wanted}");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let test = platform().await;
    let app = &test.platform;
    let mara = member(app, WorkspaceId::new(&app.clock)).await;
    let person = mara.acting().unwrap().person;
    let broken = [Ok(png().into()), Err(StorageError::Interrupted("the caller has gone".into()))];
    let prepared = ops::prepare(app, &mara, person, Box::pin(futures::stream::iter(broken))).await;
    assert_eq!(prepared.unwrap_err().code(), "request.malformed");
    assert_eq!(left(&test).await, (0, 0));
}

#[tokio::test]
async fn what_is_prepared_and_not_used_is_swept() {
    let test = platform().await;
    let app = &test.platform;
    let mara = member(app, WorkspaceId::new(&app.clock)).await;
    let acting = mara.acting().unwrap();
    let prepared = ops::prepare(app, &mara, acting.person, stream_of(png())).await.unwrap();
    app.clock.advance(Duration::minutes(11));
    jobs::sweep(app, &system(app)).await.unwrap();
    assert_eq!(left(&test).await, (0, 0));
    // Too late to be used: nothing is written that leads nowhere.
    let place = Place { workspace: acting.workspace, person: acting.person };
    let new =
        NewAsset { kind: AssetKind::Upload, name: "late.png".to_owned(), found_by: String::new(), generation: None };
    let late = app.db.write("test.late", async |tx| ops::add(tx, &mara, &app.keys, place, &prepared, &new).await).await;
    assert!(late.is_err());
    assert_eq!(count(&test, "assets").await, 0);
}

#[tokio::test]
async fn nobody_else_sees_an_asset() {
    let test = platform().await;
    let app = &test.platform;
    let workspace = WorkspaceId::new(&app.clock);
    let (mara, jonas) = (member(app, workspace).await, member(app, workspace).await);
    let elsewhere = member(app, WorkspaceId::new(&app.clock)).await;
    let asset = add(app, &mara, AssetKind::Upload, png()).await.unwrap();
    assert!(found(app, &mara, asset.id).await);
    for other in [&jonas, &elsewhere] {
        assert!(!found(app, other, asset.id).await);
        assert!(listed(app, other, Filter::default()).await.is_empty());
        assert_eq!(code(ops::trash(other, app, asset.id).await), "not_found");
        assert_eq!(code(ops::restore(other, app, asset.id).await), "not_found");
        assert_eq!(code(ops::delete(other, app, asset.id).await), "not_found");
        let grant = other.grant::<LibraryRead>().unwrap();
        let conn = &mut app.db.read().await.unwrap();
        assert_eq!(code(ops::references(conn, &app.keys, &grant, &[asset.id]).await), "request.invalid");
    }
    assert!(actions(&test).await.is_empty());
}

#[tokio::test]
async fn the_trash_gives_back_and_forgets_for_good() {
    let test = platform().await;
    let app = &test.platform;
    let mara = member(app, WorkspaceId::new(&app.clock)).await;
    let id = add(app, &mara, AssetKind::Upload, png()).await.unwrap().id;
    let trashed = Filter { trashed: true, ..Filter::default() };
    assert_eq!(code(ops::delete(&mara, app, id).await), "asset.not_in_trash");
    ops::trash(&mara, app, id).await.unwrap();
    ops::trash(&mara, app, id).await.unwrap();
    assert!(listed(app, &mara, Filter::default()).await.is_empty());
    assert_eq!(listed(app, &mara, trashed).await, [id]);
    assert!(found(app, &mara, id).await, "it can be looked at before it is restored");
    assert!(ops::restore(&mara, app, id).await.unwrap().trashed_at.is_none());
    assert!(ops::restore(&mara, app, id).await.is_ok());
    assert_eq!(listed(app, &mara, Filter::default()).await, [id]);
    ops::trash(&mara, app, id).await.unwrap();
    ops::delete(&mara, app, id).await.unwrap();
    assert!(!found(app, &mara, id).await);
    jobs::sweep(app, &system(app)).await.unwrap();
    assert_eq!(left(&test).await, (0, 0));
    assert_eq!(count(&test, "asset_thumbnails").await, 0);
    assert_eq!(actions(&test).await, ["assets.trash", "assets.restore", "assets.trash", "assets.delete"]);
}

#[tokio::test]
async fn many_are_trashed_together_or_not_at_all() {
    let test = platform().await;
    let app = &test.platform;
    let workspace = WorkspaceId::new(&app.clock);
    let (mara, jonas) = (member(app, workspace).await, member(app, workspace).await);
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(add(app, &mara, AssetKind::Upload, png()).await.unwrap().id);
    }
    let foreign = add(app, &jonas, AssetKind::Upload, png()).await.unwrap().id;
    let mixed = [own.clone(), vec![foreign]].concat();
    assert_eq!(code(ops::trash_all(&mara, app, &mixed).await), "not_found");
    assert_eq!(listed(app, &mara, Filter::default()).await.len(), 3);
    assert!(actions(&test).await.is_empty());
    ops::trash_all(&mara, app, &[own.clone(), own.clone()].concat()).await.unwrap();
    assert_eq!(listed(app, &mara, Filter { trashed: true, ..Filter::default() }).await.len(), 3);
    ops::restore_all(&mara, app, &own[..1]).await.unwrap();
    assert_eq!(code(ops::delete_all(&mara, app, &own).await), "asset.not_in_trash");
    ops::delete_all(&mara, app, &own[1..]).await.unwrap();
    assert_eq!(listed(app, &mara, Filter::default()).await, own[..1]);
    assert_eq!(code(ops::trash_all(&mara, app, &[]).await), "request.invalid");
    assert_eq!(code(ops::trash_all(&mara, app, &vec![own[0]; 201]).await), "request.invalid");
}

#[tokio::test]
async fn the_trash_is_emptied_after_thirty_days() {
    let test = platform().await;
    let app = &test.platform;
    let mara = member(app, WorkspaceId::new(&app.clock)).await;
    let old = add(app, &mara, AssetKind::Upload, png()).await.unwrap().id;
    let kept = add(app, &mara, AssetKind::Upload, png()).await.unwrap().id;
    ops::trash(&mara, app, old).await.unwrap();
    app.clock.advance(Duration::days(29));
    assert_eq!(jobs::purge(app, &system(app)).await.unwrap(), 0);
    app.clock.advance(Duration::days(1) + Duration::minutes(1));
    assert_eq!(jobs::purge(app, &system(app)).await.unwrap(), 1);
    jobs::sweep(app, &system(app)).await.unwrap();
    assert!(!found(app, &mara, old).await && found(app, &mara, kept).await);
    let (rows, objects) = left(&test).await;
    assert!(rows >= 3 && objects == usize::try_from(rows).unwrap(), "what is left is the other picture's");
    assert_eq!(actions(&test).await.last().map(String::as_str), Some("assets.purge"));
}

#[tokio::test]
async fn references_say_which_one_is_wrong() {
    let test = platform().await;
    let app = &test.platform;
    let mara = member(app, WorkspaceId::new(&app.clock)).await;
    let good = add(app, &mara, AssetKind::Upload, png()).await.unwrap().id;
    let trashed = add(app, &mara, AssetKind::Upload, png()).await.unwrap().id;
    ops::trash(&mara, app, trashed).await.unwrap();
    let grant = mara.grant::<LibraryRead>().unwrap();
    let conn = &mut app.db.read().await.unwrap();
    let both = ops::references(conn, &app.keys, &grant, &[good, good]).await.unwrap();
    assert_eq!(both.iter().map(|asset| asset.id).collect::<Vec<_>>(), [good, good]);
    let missing = AssetId::new(&app.clock);
    let fields = ops::references(conn, &app.keys, &grant, &[good, trashed, missing]).await.unwrap_err().fields();
    let told: Vec<_> = fields.iter().map(|field| (field.name.as_str(), field.code.as_str())).collect();
    assert_eq!(told, [("references[1].asset", "trashed"), ("references[2].asset", "unknown")]);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let test = platform().await;
    let app = &test.platform;
    let mara = member(app, WorkspaceId::new(&app.clock)).await;
    let mut ids = Vec::new();
    for kind in [AssetKind::Upload, AssetKind::Render, AssetKind::Upload] {
        ids.insert(0, add(app, &mara, kind, png()).await.unwrap().id);
    }
    assert_eq!(listed(app, &mara, Filter::default()).await, ids);
    let uploads = Filter { kind: Some(AssetKind::Upload), ..Filter::default() };
    assert_eq!(listed(app, &mara, uploads.clone()).await, [ids[0], ids[2]]);
    let grant = mara.grant::<LibraryRead>().unwrap();
    let conn = &mut app.db.read().await.unwrap();
    let first = ops::list(conn, &app.keys, &grant, &Filter::default(), &PageRequest::first(2)).await.unwrap();
    assert_eq!(first.next, Some(ids[1].uuid()));
    let second = PageRequest { limit: 2, before: first.next };
    assert_eq!(ops::list(conn, &app.keys, &grant, &Filter::default(), &second).await.unwrap().items.len(), 1);
    let (count, bytes) = ops::sum(conn, &app.keys, &grant, &uploads).await.unwrap();
    assert_eq!((count, bytes), (2, 2 * png().len() as u64));
    let shown = ops::find(conn, &app.keys, &grant, ids[1]).await.unwrap();
    let around = ops::neighbours(conn, &app.keys, &grant, &shown, 1).await.unwrap();
    assert_eq!(around.iter().map(|asset| asset.id).collect::<Vec<_>>(), ids);
}
