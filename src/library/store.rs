//! The only file that names this room's tables. What a person asks is filtered by their grant.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    error::LibraryError,
    model::{Asset, Filter, Size, Thumbnail},
};
use crate::{
    base::{
        access::{Grant, Permission},
        data_map::{Category, Column, Table},
        ids::{AssetId, GenerationId, ObjectId, PersonId, WorkspaceId},
        paging::{Page, PageRequest},
    },
    platform::{
        db::{
            Conn, DbError, Tx,
            questions::Sealed,
            schema::{asset_thumbnails, asset_thumbnails::dsl as s, assets, assets::dsl as t},
        },
        keyring::{Keyring, OwnerKeys},
    },
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = assets)]
struct AssetRow {
    id: Uuid,
    workspace_id: Uuid,
    person_id: Uuid,
    kind: String,
    object_id: Uuid,
    media_type: String,
    bytes: i64,
    width: i32,
    height: i32,
    sha256: Vec<u8>,
    thumbhash: Vec<u8>,
    name: Vec<u8>,
    generation_id: Option<Uuid>,
    labels: Option<Vec<u8>>,
    rating: Option<i32>,
    created_at: DateTime<Utc>,
    trashed_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = asset_thumbnails)]
struct ThumbnailRow {
    asset_id: Uuid,
    size: i32,
    media_type: String,
    object_id: Uuid,
    bytes: i64,
    width: i32,
    height: i32,
}

impl AssetRow {
    fn open(self, keys: &OwnerKeys) -> Result<Asset, LibraryError> {
        let row = self;
        let key = keys.get(row.person_id)?;
        let labels = row.labels.map(|labels| key.open(LABELS, row.id, &labels)).transpose()?;
        Ok(Asset {
            id: AssetId::from(row.id),
            workspace: WorkspaceId::from(row.workspace_id),
            person: PersonId::from(row.person_id),
            kind: row.kind.parse().map_err(unreadable)?,
            object: ObjectId::from(row.object_id),
            media_type: row.media_type.parse().map_err(unreadable)?,
            bytes: row.bytes.try_into().map_err(unreadable)?,
            width: row.width.try_into().map_err(unreadable)?,
            height: row.height.try_into().map_err(unreadable)?,
            sha256: row.sha256.try_into().map_err(|_| unreadable("length of a hash"))?,
            thumbhash: key.open(THUMBHASH, row.id, &row.thumbhash)?,
            name: key.open_text(NAME, row.id, &row.name)?,
            generation: row.generation_id.map(GenerationId::from),
            labels: labels.map_or(Ok(Vec::new()), |labels| serde_json::from_slice(&labels)).map_err(unreadable)?,
            rating: row.rating.map(u8::try_from).transpose().map_err(unreadable)?,
            created_at: row.created_at,
            trashed_at: row.trashed_at,
        })
    }
}

impl TryFrom<ThumbnailRow> for Thumbnail {
    type Error = LibraryError;

    fn try_from(row: ThumbnailRow) -> Result<Self, LibraryError> {
        let pixels = u32::try_from(row.size).map_err(unreadable)?;
        Ok(Self {
            size: Size::of(pixels).ok_or_else(|| unreadable("size of a thumbnail"))?,
            media_type: row.media_type.parse().map_err(unreadable)?,
            object: ObjectId::from(row.object_id),
            bytes: row.bytes.try_into().map_err(unreadable)?,
            width: row.width.try_into().map_err(unreadable)?,
            height: row.height.try_into().map_err(unreadable)?,
        })
    }
}

/// A row that breaks the table's own constraints.
fn unreadable(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LibraryError {
    diesel::result::Error::DeserializationError(what.into()).into()
}

/// Numbers are far below what the column holds.
fn column<T: Default>(number: impl TryInto<T>) -> T {
    number.try_into().unwrap_or_default()
}

/// What the columns are sealed as, with the key of the asset's person.
const NAME: &str = "assets.name";
const LABELS: &str = "assets.labels";
const THUMBHASH: &str = "assets.thumbhash";

async fn opened(conn: &mut Conn, keys: &Keyring, rows: Vec<AssetRow>) -> Result<Vec<Asset>, LibraryError> {
    let keys = keys.of_all(conn, rows.iter().map(|row| row.person_id)).await?;
    rows.into_iter().map(|row| row.open(&keys)).collect()
}

async fn opened_one(conn: &mut Conn, keys: &Keyring, row: Option<AssetRow>) -> Result<Option<Asset>, LibraryError> {
    Ok(opened(conn, keys, row.into_iter().collect()).await?.pop())
}

/// `found_by`: texts that it can be found by beside its name.
pub async fn insert(
    tx: &mut Tx,
    keys: &Keyring,
    asset: &Asset,
    found_by: &str,
    thumbnails: &[Thumbnail],
) -> Result<(), LibraryError> {
    let (id, person, workspace) = (asset.id.uuid(), asset.person.uuid(), asset.workspace.uuid());
    let keys = keys.of_all(tx, [person, workspace]).await?;
    let key = keys.get(person)?;
    let words = keys.get(workspace)?.words(&[&asset.name, found_by]);
    let labels =
        (!asset.labels.is_empty()).then(|| serde_json::to_vec(&asset.labels)).transpose().map_err(unreadable)?;
    let row = AssetRow {
        id,
        workspace_id: workspace,
        person_id: person,
        kind: asset.kind.as_str().to_owned(),
        object_id: asset.object.uuid(),
        media_type: asset.media_type.to_string(),
        bytes: column(asset.bytes),
        width: column(asset.width),
        height: column(asset.height),
        sha256: asset.sha256.to_vec(),
        thumbhash: key.seal(THUMBHASH, id, &asset.thumbhash)?,
        name: key.seal(NAME, id, asset.name.as_bytes())?,
        generation_id: asset.generation.map(GenerationId::uuid),
        labels: labels.map(|labels| key.seal(LABELS, id, &labels)).transpose()?,
        rating: asset.rating.map(i32::from),
        created_at: asset.created_at,
        trashed_at: asset.trashed_at,
    };
    diesel::insert_into(t::assets).values((row, t::words.eq(words))).execute(&mut **tx).await?;
    let rows: Vec<_> = thumbnails.iter().map(|thumbnail| thumbnail_row(asset.id, thumbnail)).collect();
    diesel::insert_into(s::asset_thumbnails).values(rows).execute(&mut **tx).await?;
    Ok(())
}

fn thumbnail_row(asset: AssetId, thumbnail: &Thumbnail) -> ThumbnailRow {
    ThumbnailRow {
        asset_id: asset.uuid(),
        size: column(thumbnail.size.pixels()),
        media_type: thumbnail.media_type.to_string(),
        object_id: thumbnail.object.uuid(),
        bytes: column(thumbnail.bytes),
        width: column(thumbnail.width),
        height: column(thumbnail.height),
    }
}

/// What this person has in this workspace.
fn own<P: Permission>(grant: &Grant<P>) -> assets::BoxedQuery<'static, Pg> {
    t::assets
        .filter(t::workspace_id.eq(grant.workspace().uuid()))
        .filter(t::person_id.eq(grant.person().uuid()))
        .into_boxed()
}

pub async fn find<P: Permission>(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<P>,
    id: AssetId,
) -> Result<Option<Asset>, LibraryError> {
    let query = own(grant).filter(t::id.eq(id.uuid())).select(AssetRow::as_select());
    let row = query.first(conn).await.optional()?;
    opened_one(conn, keys, row).await
}

/// Like `find`, and nobody else changes the asset until the transaction ends.
pub async fn lock<P: Permission>(
    tx: &mut Tx,
    keys: &Keyring,
    grant: &Grant<P>,
    id: AssetId,
) -> Result<Option<Asset>, LibraryError> {
    let query = t::assets
        .find(id.uuid())
        .filter(t::workspace_id.eq(grant.workspace().uuid()))
        .filter(t::person_id.eq(grant.person().uuid()))
        .select(AssetRow::as_select())
        .for_update();
    let row = query.first(&mut **tx).await.optional()?;
    opened_one(tx, keys, row).await
}

pub async fn find_all<P: Permission>(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<P>,
    ids: &[AssetId],
) -> Result<Vec<Asset>, LibraryError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = own(grant).filter(t::id.eq_any(ids)).select(AssetRow::as_select()).load(conn).await?;
    opened(conn, keys, rows).await
}

/// For the server's own work on a person's behalf.
pub async fn find_of(
    conn: &mut Conn,
    keys: &Keyring,
    person: PersonId,
    id: AssetId,
) -> Result<Option<Asset>, LibraryError> {
    let query = t::assets.find(id.uuid()).filter(t::person_id.eq(person.uuid())).select(AssetRow::as_select());
    let row = query.first(conn).await.optional()?;
    opened_one(conn, keys, row).await
}

async fn filtered<P: Permission>(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<P>,
    filter: &Filter,
) -> Result<assets::BoxedQuery<'static, Pg>, LibraryError> {
    let mut query = own(grant);
    query =
        if filter.trashed { query.filter(t::trashed_at.is_not_null()) } else { query.filter(t::trashed_at.is_null()) };
    if let Some(kind) = filter.kind {
        query = query.filter(t::kind.eq(kind.as_str()));
    }
    if let Some(generation) = filter.generation {
        query = query.filter(t::generation_id.eq(generation.uuid()));
    }
    if let Some(search) = &filter.search {
        // What has no word in it finds nothing.
        match keys.of(conn, grant.workspace().uuid()).await?.query(search) {
            Some(words) => query = query.filter(t::words.contains(words)),
            None => query = query.filter(t::id.is_null()),
        }
    }
    Ok(query)
}

pub async fn list<P: Permission>(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<P>,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Asset>, LibraryError> {
    let mut query = filtered(conn, keys, grant, filter).await?.order(t::id.desc()).limit(page.fetch());
    if let Some(before) = page.before {
        query = query.filter(t::id.lt(before));
    }
    let rows = query.select(AssetRow::as_select()).load(conn).await?;
    let assets = opened(conn, keys, rows).await?;
    Ok(Page::from_fetched(assets, page, |asset| asset.id.uuid()))
}

/// How many there are and how much they weigh.
pub async fn sum<P: Permission>(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<P>,
    filter: &Filter,
) -> Result<(u64, u64), LibraryError> {
    // `sum` of bigint is numeric, which no number here needs.
    let bytes = diesel::dsl::sql::<diesel::sql_types::BigInt>("coalesce(sum(bytes), 0)::bigint");
    let (count, bytes): (i64, i64) =
        filtered(conn, keys, grant, filter).await?.select((diesel::dsl::count_star(), bytes)).first(conn).await?;
    Ok((column(count), column(bytes)))
}

/// The nearest `count` assets on both sides of `id` in the list that it belongs to, newest first, itself among them.
pub async fn neighbours<P: Permission>(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<P>,
    filter: &Filter,
    id: AssetId,
    count: i64,
) -> Result<Vec<Asset>, LibraryError> {
    let newer = filtered(conn, keys, grant, filter).await?.filter(t::id.gt(id.uuid())).order(t::id.asc()).limit(count);
    let mut rows = newer.select(AssetRow::as_select()).load(conn).await?;
    rows.reverse();
    let older =
        filtered(conn, keys, grant, filter).await?.filter(t::id.le(id.uuid())).order(t::id.desc()).limit(count + 1);
    rows.extend(older.select(AssetRow::as_select()).load(conn).await?);
    opened(conn, keys, rows).await
}

pub async fn thumbnails(conn: &mut Conn, id: AssetId) -> Result<Vec<Thumbnail>, LibraryError> {
    let query = s::asset_thumbnails.filter(s::asset_id.eq(id.uuid())).select(ThumbnailRow::as_select());
    query.load(conn).await?.into_iter().map(Thumbnail::try_from).collect()
}

pub async fn set_trashed(tx: &mut Tx, id: AssetId, at: Option<DateTime<Utc>>) -> Result<(), LibraryError> {
    diesel::update(t::assets.find(id.uuid())).set(t::trashed_at.eq(at)).execute(&mut **tx).await?;
    Ok(())
}

/// Its thumbnails' rows go with it.
pub async fn delete(tx: &mut Tx, id: AssetId) -> Result<(), LibraryError> {
    diesel::delete(t::assets.find(id.uuid())).execute(&mut **tx).await?;
    Ok(())
}

/// Assets that were trashed before `before`; nobody else changes them until the transaction ends.
pub async fn lock_trashed_before(
    tx: &mut Tx,
    keys: &Keyring,
    before: DateTime<Utc>,
    count: i64,
) -> Result<Vec<Asset>, LibraryError> {
    let query = t::assets
        .filter(t::trashed_at.lt(before))
        .order(t::trashed_at)
        .limit(count)
        .select(AssetRow::as_select())
        .for_update()
        .skip_locked();
    let rows = query.load(&mut **tx).await?;
    opened(tx, keys, rows).await
}

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "assets",
        columns: &[
            Column::personal("id", Category::Reference),
            Column::personal("workspace_id", Category::Reference),
            Column::personal("person_id", Category::Reference),
            Column::personal("kind", Category::Content),
            Column::withheld("object_id", Category::Reference),
            Column::personal("media_type", Category::Content),
            Column::personal("bytes", Category::Content),
            Column::personal("width", Category::Content),
            Column::personal("height", Category::Content),
            Column::personal("sha256", Category::Content),
            Column::personal("thumbhash", Category::Content).sealed(),
            Column::personal("name", Category::Content).sealed(),
            Column::withheld("words", Category::Content),
            Column::personal("generation_id", Category::Reference),
            Column::personal("labels", Category::Content).sealed(),
            Column::personal("rating", Category::Content),
            Column::personal("created_at", Category::Activity),
            Column::personal("trashed_at", Category::Activity),
        ],
    },
    Table {
        name: "asset_thumbnails",
        columns: &[
            Column::withheld("asset_id", Category::Reference),
            Column::withheld("size", Category::Content),
            Column::withheld("media_type", Category::Content),
            Column::withheld("object_id", Category::Reference),
            Column::withheld("bytes", Category::Content),
            Column::withheld("width", Category::Content),
            Column::withheld("height", Category::Content),
        ],
    },
];

pub const SEALED: &[Sealed] = &[
    Sealed {
        what: "Pictures",
        owners: "select distinct person_id as id from assets where person_id > $1 order by 1 limit 1000",
    },
    Sealed {
        what: "Pictures of a workspace",
        owners: "select distinct workspace_id as id from assets where workspace_id > $1 order by 1 limit 1000",
    },
];

#[derive(diesel::QueryableByName)]
struct InUse {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: Uuid,
}

/// Objects that assets and their small pictures are made of, after `after` in the order of their ids.
pub async fn objects_after(conn: &mut Conn, after: ObjectId, limit: i64) -> Result<Vec<ObjectId>, DbError> {
    let query = diesel::sql_query(
        "select object_id as id from assets where object_id > $1
         union select object_id from asset_thumbnails where object_id > $1 order by 1 limit $2",
    );
    let query = query.bind::<diesel::sql_types::Uuid, _>(after.uuid()).bind::<diesel::sql_types::BigInt, _>(limit);
    Ok(query.load::<InUse>(conn).await?.into_iter().map(|row| row.id.into()).collect())
}

/// Those of these objects that something here is made of.
pub async fn objects_in_use(conn: &mut Conn, ids: &[ObjectId]) -> Result<Vec<ObjectId>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let query = diesel::sql_query(
        "select object_id as id from assets where object_id = any($1)
         union all select object_id from asset_thumbnails where object_id = any($1)",
    );
    let query = query.bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(ids);
    Ok(query.load::<InUse>(conn).await?.into_iter().map(|row| row.id.into()).collect())
}

/// The asset that each of these objects is a part of, and whose it is.
pub async fn assets_of(conn: &mut Conn, ids: &[ObjectId]) -> Result<HashMap<ObjectId, (AssetId, PersonId)>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let whole = t::assets.filter(t::object_id.eq_any(&ids)).select((t::object_id, t::id, t::person_id));
    let mut found: Vec<(Uuid, Uuid, Uuid)> = whole.load(conn).await?;
    let small = s::asset_thumbnails.inner_join(t::assets).filter(s::object_id.eq_any(&ids));
    found.extend(small.select((s::object_id, t::id, t::person_id)).load::<(Uuid, Uuid, Uuid)>(conn).await?);
    Ok(found.into_iter().map(|(object, asset, person)| (object.into(), (asset.into(), person.into()))).collect())
}
