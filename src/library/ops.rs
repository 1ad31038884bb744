//! What can be done with assets.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};

use super::{
    error::LibraryError,
    model::{Asset, AssetKind, Filter, MOST_BYTES, MediaType, NewAsset, Place, Prepared, Thumbnail, clean_name},
    store,
};
use crate::{
    base::{
        access::{Grant, LibraryEdit, LibraryRead},
        ctx::Ctx,
        error::{FieldFault, Invalid, NotFound},
        ids::{AssetId, ObjectId, PersonId},
        paging::{Page, PageRequest},
    },
    platform::{
        Platform, audit,
        audit::Act,
        crash,
        db::{Conn, Tx},
        idempotency::{Answer, Once},
        keyring::Keyring,
        pictures::model::{Picture, Small},
        storage::{self, ByteStream, Object, Storage, Stored},
    },
};

/// Enough of a file to know its format.
const HEAD: usize = 12;
/// Assets of one act on many.
pub const MOST_AT_ONCE: usize = 200;

/// Stores the picture that `source` brings, checks it and makes its small pictures. Nothing of it stays unless `add`
/// makes an asset of it in time.
pub async fn prepare(app: &Platform, ctx: &Ctx, owner: PersonId, source: ByteStream) -> Result<Prepared, LibraryError> {
    let source = recognised(source).await?;
    let bounded = storage::bounded(source, MOST_BYTES);
    let original = app.storage.put(&app.db, &ctx.clock, owner.uuid(), bounded, None).await?;
    let mut stored = vec![original.id];
    let prepared = complete(app, ctx, owner, original, &mut stored).await;
    if prepared.is_err() {
        app.storage.discard(&app.db, &stored).await;
    }
    prepared
}

/// Gives up what was prepared and not added.
pub async fn discard(app: &Platform, prepared: &Prepared) {
    app.storage.discard(&app.db, &prepared.objects()).await;
}

/// Refuses what cannot be a picture before anything of it is stored.
async fn recognised(mut source: ByteStream) -> Result<ByteStream, LibraryError> {
    let mut head = BytesMut::new();
    while head.len() < HEAD {
        let Some(part) = source.next().await.transpose()? else { break };
        head.extend_from_slice(&part);
    }
    if head.is_empty() {
        return Err(LibraryError::Undecodable);
    }
    MediaType::of(&head).ok_or(LibraryError::Unsupported)?;
    Ok(Box::pin(storage::stream_of(head.freeze()).chain(source)))
}

async fn complete(
    app: &Platform,
    ctx: &Ctx,
    owner: PersonId,
    original: Stored,
    stored: &mut Vec<ObjectId>,
) -> Result<Prepared, LibraryError> {
    // From the store to the decoder piece by piece: the server never holds a whole upload.
    let object = app.storage.get(&app.db, original.id, None).await?;
    let bytes = object.stream.map_err(LibraryError::from);
    let Picture { media_type, width, height, thumbhash, small } = app.pictures.examine(original.bytes, bytes).await?;
    let mut thumbnails = Vec::new();
    for small in small {
        let thumbnail = store_small(app, ctx, owner, small).await?;
        stored.push(thumbnail.object);
        thumbnails.push(thumbnail);
    }
    Ok(Prepared { original, media_type, width, height, thumbhash, thumbnails })
}

async fn store_small(app: &Platform, ctx: &Ctx, owner: PersonId, small: Small) -> Result<Thumbnail, LibraryError> {
    let Small { size, width, height, bytes } = small;
    let length = bytes.len() as u64;
    let stream = storage::stream_of(bytes);
    let stored = app.storage.put(&app.db, &ctx.clock, owner.uuid(), stream, Some(length)).await?;
    Ok(Thumbnail { size, media_type: MediaType::WebP, object: stored.id, bytes: stored.bytes, width, height })
}

async fn whole(app: &Platform, id: ObjectId) -> Result<Bytes, LibraryError> {
    let object = app.storage.get(&app.db, id, None).await?;
    Ok(storage::collect(object.stream, MOST_BYTES).await?)
}

/// Makes an asset of a prepared picture, in the caller's transaction.
pub async fn add(
    tx: &mut Tx,
    ctx: &Ctx,
    keys: &Keyring,
    place: Place,
    prepared: &Prepared,
    new: &NewAsset,
) -> Result<Asset, LibraryError> {
    for object in prepared.objects() {
        Storage::claim(tx, &ctx.clock, object).await?;
    }
    let asset = Asset {
        id: AssetId::new(&ctx.clock),
        workspace: place.workspace,
        person: place.person,
        kind: new.kind,
        object: prepared.original.id,
        media_type: prepared.media_type,
        bytes: prepared.original.bytes,
        width: prepared.width,
        height: prepared.height,
        sha256: prepared.original.sha256,
        thumbhash: prepared.thumbhash.clone(),
        name: clean_name(Some(&new.name), prepared.media_type),
        generation: new.generation,
        labels: Vec::new(),
        rating: None,
        created_at: ctx.clock.now(),
        trashed_at: None,
    };
    store::insert(tx, keys, &asset, &new.found_by, &prepared.thumbnails).await?;
    Ok(asset)
}

/// Makes an upload of a prepared picture, once. Whatever is not used is given up.
pub async fn upload(
    ctx: &Ctx,
    app: &Platform,
    once: &Once,
    prepared: Prepared,
    name: String,
    answer: impl FnOnce(&Asset) -> Answer,
) -> Result<Answer, LibraryError> {
    crash::point("library.prepared");
    let uploaded = app.db.write("library.upload", async |tx| {
        let grant = ctx.grant::<LibraryEdit>()?;
        if let Some(first) = once.claim(tx, &app.keys, ctx, grant.person()).await? {
            return Ok(first);
        }
        let place = Place { workspace: grant.workspace(), person: grant.person() };
        let new = NewAsset { kind: AssetKind::Upload, name, found_by: String::new(), generation: None };
        let answer = answer(&add(tx, ctx, &app.keys, place, &prepared, &new).await?);
        once.keep(tx, &app.keys, grant.person(), &answer).await?;
        crash::point("library.upload");
        Ok::<_, LibraryError>(answer)
    });
    let uploaded = uploaded.await;
    crash::point("library.uploaded");
    if !uploaded.as_ref().is_ok_and(|answer| !answer.replayed) {
        discard(app, &prepared).await;
    }
    uploaded
}

pub async fn find(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<LibraryRead>,
    id: AssetId,
) -> Result<Asset, LibraryError> {
    store::find(conn, keys, grant, id).await?.ok_or(NotFound.into())
}

pub async fn list(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<LibraryRead>,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Asset>, LibraryError> {
    store::list(conn, keys, grant, filter, page).await
}

/// How many there are and how many bytes they have.
pub async fn sum(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<LibraryRead>,
    filter: &Filter,
) -> Result<(u64, u64), LibraryError> {
    store::sum(conn, keys, grant, filter).await
}

/// The assets before and after this one in the list that it belongs to, newest first, itself among them.
pub async fn neighbours(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<LibraryRead>,
    asset: &Asset,
    on_each_side: u8,
) -> Result<Vec<Asset>, LibraryError> {
    let filter = Filter { trashed: asset.trashed_at.is_some(), ..Filter::default() };
    store::neighbours(conn, keys, grant, &filter, asset.id, i64::from(on_each_side)).await
}

/// Those of these assets that the person has, by id.
pub async fn find_all(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<LibraryRead>,
    ids: &[AssetId],
) -> Result<HashMap<AssetId, Asset>, LibraryError> {
    let found = store::find_all(conn, keys, grant, ids).await?;
    Ok(found.into_iter().map(|asset| (asset.id, asset)).collect())
}

/// The assets that a request refers to as `references[i].asset`: own ones that are not in the trash.
pub async fn references(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<LibraryRead>,
    ids: &[AssetId],
) -> Result<Vec<Asset>, LibraryError> {
    let mut found = find_all(conn, keys, grant, ids).await?;
    let mut faults = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        let field = format!("references[{place}].asset");
        match found.get(id) {
            None => faults.push(FieldFault::new(field, "unknown", "There is no such picture in your library.")),
            Some(asset) if asset.trashed_at.is_some() => {
                faults.push(FieldFault::new(field, "trashed", "This picture lies in the trash. Restore it first."));
            }
            Some(_) => {}
        }
    }
    if !faults.is_empty() {
        return Err(Invalid(faults).into());
    }
    // One picture may be named twice.
    let last = |place: usize, id: &AssetId| !ids.iter().skip(place + 1).any(|other| other == id);
    let take = |(place, id)| if last(place, id) { found.remove(id) } else { found.get(id).cloned() };
    Ok(ids.iter().enumerate().filter_map(take).collect())
}

/// An asset with its bytes, for work on behalf of the person who has it.
pub async fn reference_bytes(app: &Platform, person: PersonId, id: AssetId) -> Result<(Asset, Bytes), LibraryError> {
    let asset = store::find_of(&mut *app.db.read().await?, &app.keys, person, id).await?.ok_or(NotFound)?;
    let bytes = whole(app, asset.object).await?;
    Ok((asset, bytes))
}

/// Somebody's own asset; for callers that proved by other means than a session whose it is.
pub async fn of_person(app: &Platform, person: PersonId, id: AssetId) -> Result<Asset, LibraryError> {
    store::find_of(&mut *app.db.read().await?, &app.keys, person, id).await?.ok_or(NotFound.into())
}

/// The bytes of an asset or a part of them.
pub async fn content(
    app: &Platform,
    asset: &Asset,
    range: Option<std::ops::Range<u64>>,
) -> Result<Object, LibraryError> {
    Ok(app.storage.get(&app.db, asset.object, range).await?)
}

pub async fn thumbnails(conn: &mut Conn, asset: &Asset) -> Result<Vec<Thumbnail>, LibraryError> {
    store::thumbnails(conn, asset.id).await
}

pub async fn thumbnail_bytes(app: &Platform, thumbnail: &Thumbnail) -> Result<Bytes, LibraryError> {
    whole(app, thumbnail.object).await
}

/// A stored thumbnail for a caller that does not take WebP.
pub async fn thumbnail_as_jpeg(app: &Platform, thumbnail: &Thumbnail) -> Result<Bytes, LibraryError> {
    Ok(app.pictures.jpeg(whole(app, thumbnail.object).await?).await?)
}

/// To the trash. What lies there already stays as it is.
pub async fn trash(ctx: &Ctx, app: &Platform, id: AssetId) -> Result<(), LibraryError> {
    let trashed = app.db.write("library.trash", async |tx| {
        trash_one(tx, ctx, &app.keys, id).await?;
        crash::point("library.trash");
        Ok(())
    });
    let trashed = trashed.await;
    crash::point("library.trashed");
    trashed
}

/// Back from the trash. What is not there stays as it is, so that undoing twice is no error.
pub async fn restore(ctx: &Ctx, app: &Platform, id: AssetId) -> Result<Asset, LibraryError> {
    app.db.write("library.restore", async |tx| restore_one(tx, ctx, &app.keys, id).await).await
}

/// For good, from the trash only.
pub async fn delete(ctx: &Ctx, app: &Platform, id: AssetId) -> Result<(), LibraryError> {
    let deleted = app.db.write("library.delete", async |tx| {
        delete_one(tx, ctx, &app.keys, id).await?;
        crash::point("library.delete");
        Ok(())
    });
    let deleted = deleted.await;
    crash::point("library.deleted");
    deleted
}

/// All of them or none.
pub async fn trash_all(ctx: &Ctx, app: &Platform, ids: &[AssetId]) -> Result<(), LibraryError> {
    let ids = in_order(ids)?;
    let all = async |tx: &mut Tx| {
        for id in ids {
            trash_one(tx, ctx, &app.keys, id).await?;
        }
        Ok(())
    };
    app.db.write("library.trash_all", all).await
}

pub async fn restore_all(ctx: &Ctx, app: &Platform, ids: &[AssetId]) -> Result<(), LibraryError> {
    let ids = in_order(ids)?;
    let all = async |tx: &mut Tx| {
        for id in ids {
            restore_one(tx, ctx, &app.keys, id).await?;
        }
        Ok(())
    };
    app.db.write("library.restore_all", all).await
}

pub async fn delete_all(ctx: &Ctx, app: &Platform, ids: &[AssetId]) -> Result<(), LibraryError> {
    let ids = in_order(ids)?;
    let all = async |tx: &mut Tx| {
        for id in ids {
            delete_one(tx, ctx, &app.keys, id).await?;
        }
        Ok(())
    };
    app.db.write("library.delete_all", all).await
}

/// Sorted, so that two acts on the same assets wait for each other instead of blocking each other.
fn in_order(ids: &[AssetId]) -> Result<Vec<AssetId>, LibraryError> {
    if ids.is_empty() {
        return Err(Invalid::field("asset", "required", "Choose at least one picture.").into());
    }
    if ids.len() > MOST_AT_ONCE {
        let message = format!("Choose at most {MOST_AT_ONCE} pictures at a time.");
        return Err(Invalid::field("asset", "too_many", message).into());
    }
    let mut ids = ids.to_vec();
    ids.sort();
    ids.dedup();
    Ok(ids)
}

async fn locked(tx: &mut Tx, ctx: &Ctx, keys: &Keyring, id: AssetId) -> Result<Asset, LibraryError> {
    store::lock(tx, keys, &ctx.grant::<LibraryEdit>()?, id).await?.ok_or(NotFound.into())
}

async fn trash_one(tx: &mut Tx, ctx: &Ctx, keys: &Keyring, id: AssetId) -> Result<(), LibraryError> {
    if locked(tx, ctx, keys, id).await?.trashed_at.is_some() {
        return Ok(());
    }
    store::set_trashed(tx, id, Some(ctx.clock.now())).await?;
    Ok(audit::record(tx, ctx, Act::done("assets.trash").on("asset", id)).await?)
}

async fn restore_one(tx: &mut Tx, ctx: &Ctx, keys: &Keyring, id: AssetId) -> Result<Asset, LibraryError> {
    let asset = locked(tx, ctx, keys, id).await?;
    if asset.trashed_at.is_none() {
        return Ok(asset);
    }
    store::set_trashed(tx, id, None).await?;
    audit::record(tx, ctx, Act::done("assets.restore").on("asset", id)).await?;
    Ok(Asset { trashed_at: None, ..asset })
}

async fn delete_one(tx: &mut Tx, ctx: &Ctx, keys: &Keyring, id: AssetId) -> Result<(), LibraryError> {
    let asset = locked(tx, ctx, keys, id).await?;
    if asset.trashed_at.is_none() {
        return Err(LibraryError::NotInTrash);
    }
    erase(tx, ctx, &asset).await?;
    Ok(audit::record(tx, ctx, Act::done("assets.delete").on("asset", id)).await?)
}

/// Out of reach at once; the sweep deletes the bytes.
pub(super) async fn erase(tx: &mut Tx, ctx: &Ctx, asset: &Asset) -> Result<(), LibraryError> {
    let thumbnails = store::thumbnails(tx, asset.id).await?;
    store::delete(tx, asset.id).await?;
    for object in thumbnails.iter().map(|thumbnail| thumbnail.object).chain([asset.object]) {
        Storage::doom(tx, &ctx.clock, object).await?;
    }
    Ok(())
}
