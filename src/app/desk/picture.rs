//! The page of one picture: the library knows the file, the studio how it was made.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};

use crate::{
    base::{
        access::{LibraryRead, ModelsRead, StudioRead},
        error::Fault,
        ids::AssetId,
        money::Money,
    },
    inference::{self, model::ReferenceRole},
    library::{
        self,
        model::{Asset, MediaType},
        pages::{
            alt,
            views::{AssetPage, Made, Neighbour, Source},
        },
    },
    studio::{self, model::Generation},
    web::{
        extract::path_id,
        format::{self, When},
        frame::Place,
        guard::Guard,
        page::{self, PageFrame},
        problem::Problem,
        thumb,
    },
};

/// Pictures on each side of the shown one.
const AROUND: u8 = 4;

pub async fn asset_page(
    guard: Guard<LibraryRead>,
    frame: PageFrame,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let grant = guard.grant()?;
    let id: AssetId = path_id(&id)?;
    let (asset, around) = {
        let (mut conn, keys) = (guard.app.db.read().await?, &guard.app.keys);
        let asset = library::ops::find(&mut conn, keys, &grant, id).await?;
        let around = library::ops::neighbours(&mut conn, keys, &grant, &asset, AROUND).await?;
        (asset, around)
    };
    let at = around.iter().position(|other| other.id == id).unwrap_or_default();
    let link = |at: Option<usize>| Some(format!("/library/{}", around.get(at?)?.id));
    let trashed = asset.trashed_at.is_some();
    page::ok(&AssetPage {
        frame: frame.titled(asset.name.clone(), Place::Library),
        id: asset.id.to_string(),
        name: asset.name.clone(),
        alt: alt(&asset),
        width: asset.width,
        height: asset.height,
        thumb: thumb::rects(&asset.thumbhash),
        back: if trashed { "/library?trashed=true" } else { "/library" }.to_owned(),
        prev: link(at.checked_sub(1)),
        next: link(Some(at + 1)),
        strip: around.iter().map(|other| neighbour(other, id)).collect(),
        made: made(&guard, &asset).await?,
        facts: facts(&guard, &asset),
        when: When::new(asset.created_at, guard.ctx.clock.now()),
        bytes: format::bytes(asset.bytes),
        trashed,
    })
}

fn neighbour(asset: &Asset, shown: AssetId) -> Neighbour {
    Neighbour {
        asset: asset.id.to_string(),
        alt: alt(asset),
        width: asset.width,
        height: asset.height,
        current: asset.id == shown,
    }
}

fn facts(guard: &Guard<LibraryRead>, asset: &Asset) -> Vec<(String, String)> {
    let who = guard.ctx.acting().map(|acting| acting.name.clone()).unwrap_or_default();
    let format = match asset.media_type {
        MediaType::Png => "PNG",
        MediaType::Jpeg => "JPEG",
        MediaType::WebP => "WebP",
        MediaType::Gif => "GIF",
    };
    vec![
        fact("Who", who),
        fact("File", format!("{format}, {}", format::bytes(asset.bytes))),
        fact("Picture", format::pixels(asset.width, asset.height)),
        fact("Id", asset.id.to_string()),
    ]
}

fn fact(label: &str, value: impl Into<String>) -> (String, String) {
    (label.to_owned(), value.into())
}

/// How a render was made, as far as it is still known.
async fn made(guard: &Guard<LibraryRead>, asset: &Asset) -> Result<Option<Made>, Problem> {
    let Some(id) = asset.generation else { return Ok(None) };
    let generation = match studio::ops::find(&guard.app, &guard.ctx.grant::<StudioRead>()?, id).await {
        Ok(generation) => generation,
        Err(error) if error.kind() == crate::base::error::Kind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let output = generation.outputs.iter().find(|output| output.asset == asset.id);
    let seed = output.and_then(|output| output.seed);
    Ok(Some(Made {
        generation: id.to_string(),
        prompt: generation.prompt.clone(),
        has_seed: seed.is_some(),
        parameters: parameters(guard, &generation, seed).await?,
        references: references(guard, &generation).await?,
    }))
}

async fn parameters(
    guard: &Guard<LibraryRead>,
    generation: &Generation,
    seed: Option<u32>,
) -> Result<Vec<(String, String)>, Problem> {
    let offers = inference::ops::models(&guard.ctx, &guard.app, &guard.ctx.grant::<ModelsRead>()?).await?;
    let titles: HashMap<_, _> = offers.into_iter().map(|offer| (offer.model.id, offer.model.title)).collect();
    let model = titles.get(&generation.model).unwrap_or(&generation.model).clone();
    let mut all =
        vec![fact("Model", model), fact("Size", format::pixels(generation.size.width, generation.size.height))];
    all.extend(seed.map(|seed| fact("Seed", seed.to_string())));
    if let Some(actual) = generation.actual {
        let sum = Money::new(actual, generation.currency);
        let of = if generation.count > 1 { format!(" for {}", generation.count) } else { String::new() };
        all.push(fact("Cost", format!("{}{of}", format::money(sum.micros.0, sum.currency.as_str()))));
    }
    if let (Some(started), Some(ended)) = (generation.started_at, generation.ended_at) {
        let seconds = u64::try_from((ended - started).num_seconds()).unwrap_or(0).max(1);
        all.push(fact("Took", format::duration(seconds)));
    }
    all.extend(
        generation
            .parameters
            .iter()
            .map(|(name, value)| fact(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))),
    );
    Ok(all)
}

/// Those that are still there.
async fn references(guard: &Guard<LibraryRead>, generation: &Generation) -> Result<Vec<Source>, Problem> {
    let ids: Vec<_> = generation.references.iter().map(|reference| reference.asset).collect();
    let found =
        library::ops::find_all(&mut *guard.app.db.read().await?, &guard.app.keys, &guard.grant()?, &ids).await?;
    let sources = generation.references.iter().filter_map(|reference| {
        let asset = found.get(&reference.asset)?;
        let role = match reference.role {
            ReferenceRole::Reference => "Reference",
            ReferenceRole::Garment => "Garment",
            ReferenceRole::Scene => "Scene",
            ReferenceRole::Mask => "Mask",
        };
        let strength = reference.strength.map(|strength| format!(", strength {strength}")).unwrap_or_default();
        Some(Source { asset: asset.id.to_string(), name: asset.name.clone(), role: format!("{role}{strength}") })
    });
    Ok(sources.collect())
}
