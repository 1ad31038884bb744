//! The JSON API of assets.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{ObjectBuilder, Type},
};

use super::{
    model::{Asset, AssetKind, Filter},
    ops,
};
use crate::{
    base::{
        access::{LibraryEdit, LibraryRead},
        clock::At,
        ids::{AssetId, AssetKind as AssetIdKind, GenerationId},
    },
    web::{
        document::operation,
        extract::{self, Query, path_id},
        guard::Guard,
        problem::Problem,
        route::{Route, delete, get, head, post},
    },
};

mod conditional;
mod content;
mod upload;

pub use upload::{Received, pictures};

pub const ASSETS: &str = "/api/v1/assets";

pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        post(ASSETS, create_asset).documented(
            operation("assets", "Uploads a picture: PNG, JPEG, WebP or GIF, at most 64 MiB and 64 megapixels.")
                .once()
                .raw_body(
                    &["multipart/form-data"],
                    ObjectBuilder::new()
                        .property("file", ObjectBuilder::new().schema_type(Type::String).content_media_type("image/*"))
                        .required("file")
                        .into(),
                )
                .answers::<AssetView>(StatusCode::CREATED, "The asset."),
        ),
        get(ASSETS, list_assets).documented(
            operation("assets", "Your assets, newest first.")
                .query::<AssetQuery>()
                .lists::<AssetView>("A page of assets."),
        ),
        get("/api/v1/assets/{id}", find_asset).documented(
            operation("assets", "One asset.")
                .id::<AssetIdKind>("id")
                .answers::<AssetView>(StatusCode::OK, "The asset."),
        ),
        delete("/api/v1/assets/{id}", delete_asset).documented(
            operation("assets", "Moves an asset to the trash, or deletes it from there for good.")
                .id::<AssetIdKind>("id")
                .query::<DeleteQuery>()
                .problem(StatusCode::CONFLICT)
                .answers_nothing(StatusCode::NO_CONTENT, "It is done."),
        ),
        post("/api/v1/assets/{id}/restore", restore_asset).documented(
            operation("assets", "Takes an asset back from the trash.")
                .id::<AssetIdKind>("id")
                .answers::<AssetView>(StatusCode::OK, "The asset."),
        ),
    ];
    routes.extend(content_routes());
    routes
}

fn content_routes() -> Vec<Route> {
    let bytes = |route: Route, summary| {
        route.documented(
            operation("assets", summary)
                .id::<AssetIdKind>("id")
                .header("Range", "One range of bytes.")
                .header("If-Range", "The ETag that the range is of.")
                .header("If-None-Match", "ETags that the caller has.")
                .answers_bytes(StatusCode::OK, "image/*", "The picture as it was stored.")
                .answers_bytes(StatusCode::PARTIAL_CONTENT, "image/*", "The range of it.")
                .answers_nothing(StatusCode::NOT_MODIFIED, "The caller has it.")
                .problem(StatusCode::RANGE_NOT_SATISFIABLE),
        )
    };
    vec![
        bytes(get("/api/v1/assets/{id}/content", content::asset_content), "The picture itself."),
        bytes(
            head("/api/v1/assets/{id}/content", content::asset_content_head),
            "What the picture itself would answer.",
        ),
        get("/api/v1/assets/{id}/thumbnail", content::asset_thumbnail).documented(
            operation("assets", "A small picture, 320 or 1440 pixels on its long side, never enlarged.")
                .id::<AssetIdKind>("id")
                .query::<content::ThumbnailQuery>()
                .header("Accept", "image/webp and image/jpeg are to be had.")
                .header("If-None-Match", "ETags that the caller has.")
                .answers_bytes(StatusCode::OK, "image/*", "The small picture.")
                .answers_nothing(StatusCode::NOT_MODIFIED, "The caller has it."),
        ),
    ]
}

/// An asset as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssetView {
    pub id: AssetId,
    pub kind: AssetKind,
    #[schema(example = "image/png", max_length = 32)]
    pub media_type: &'static str,
    #[schema(minimum = 1, maximum = 67_108_864)]
    pub bytes: u64,
    #[schema(minimum = 1, maximum = 16_384)]
    pub width: u32,
    #[schema(minimum = 1, maximum = 16_384)]
    pub height: u32,
    /// Of the content, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// A placeholder of 5 to 25 bytes, in base64.
    #[schema(max_length = 36)]
    pub thumbhash: String,
    #[schema(max_length = 255)]
    pub name: String,
    pub generation: Option<GenerationId>,
    #[schema(max_items = 100)]
    pub labels: Vec<String>,
    #[schema(minimum = 1, maximum = 5)]
    pub rating: Option<u8>,
    pub created_at: At,
    pub trashed_at: Option<At>,
}

impl From<&Asset> for AssetView {
    fn from(asset: &Asset) -> Self {
        Self {
            id: asset.id,
            kind: asset.kind,
            media_type: asset.media_type.as_str(),
            bytes: asset.bytes,
            width: asset.width,
            height: asset.height,
            sha256: HEXLOWER.encode(&asset.sha256),
            thumbhash: BASE64.encode(&asset.thumbhash),
            name: asset.name.clone(),
            generation: asset.generation,
            labels: asset.labels.clone(),
            rating: asset.rating,
            created_at: At(asset.created_at),
            trashed_at: asset.trashed_at.map(At),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct AssetQuery {
    kind: Option<AssetKind>,
    /// Those that lie in the trash, and only those.
    trashed: Option<bool>,
    /// Those that this generation made.
    generation: Option<GenerationId>,
    /// Words of the name or of the prompt that it was made from, or how they begin; every one must be there.
    #[param(max_length = 255)]
    #[serde(default, deserialize_with = "extract::search")]
    search: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct DeleteQuery {
    /// For good: only what lies in the trash.
    forever: Option<bool>,
}

async fn create_asset(
    guard: Guard<LibraryEdit>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let Received { prepared, name, hash } = upload::picture(&guard, &request, payload).await?;
    let once = extract::once(&request, hash)?;
    let answer = |asset: &Asset| {
        let location = format!("{ASSETS}/{}", asset.id);
        extract::first_answer(StatusCode::CREATED, Some(location), &AssetView::from(asset))
    };
    let uploaded = ops::upload(&guard.ctx, &guard.app, &once, prepared, name, answer).await?;
    Ok(extract::answer(&uploaded))
}

async fn list_assets(guard: Guard<LibraryRead>, query: Query<AssetQuery>) -> Result<HttpResponse, Problem> {
    let asked = &query.value;
    let page = query.page(&guard.app.keys, ASSETS, asked.limit, asked.cursor.as_deref())?;
    let filter = Filter {
        kind: asked.kind,
        generation: asked.generation,
        trashed: asked.trashed.unwrap_or_default(),
        search: asked.search.clone(),
    };
    let assets = ops::list(&mut *guard.app.db.read().await?, &guard.app.keys, &guard.grant()?, &filter, &page).await?;
    let views = assets.map(|asset| AssetView::from(&asset));
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, ASSETS, views)))
}

async fn find_asset(guard: Guard<LibraryRead>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(AssetView::from(&asset_of(&guard, &id).await?)))
}

async fn delete_asset(
    guard: Guard<LibraryEdit>,
    id: web::Path<String>,
    query: Query<DeleteQuery>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&id)?;
    if query.value.forever.unwrap_or_default() {
        ops::delete(&guard.ctx, &guard.app, id).await?;
    } else {
        ops::trash(&guard.ctx, &guard.app, id).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn restore_asset(guard: Guard<LibraryEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let asset = ops::restore(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(AssetView::from(&asset)))
}

/// The asset that an address names, if the caller has it.
async fn asset_of(guard: &Guard<LibraryRead>, id: &str) -> Result<Asset, Problem> {
    let id: AssetId = path_id(id)?;
    Ok(ops::find(&mut *guard.app.db.read().await?, &guard.app.keys, &guard.grant()?, id).await?)
}
