//! What is asked, in OpenAI's words: JSON without references, multipart with them.

use serde_json::{Map, Value, json};

use super::super::{Failure, Work, WorkReference};
use crate::{
    inference::model::{ReferenceRole, Upstream},
    platform::{
        egress::{Body, Category, Part},
        pictures::{PictureError, Pictures},
    },
};

pub struct Prepared {
    /// Below the base address.
    pub path: &'static str,
    pub body: Body,
    pub categories: Vec<Category>,
}

/// Names that parameters cannot take over.
const OURS: [&str; 8] = ["model", "prompt", "n", "size", "seed", "response_format", "stream", "image"];

pub async fn prepare(work: &Work, upstream: Upstream, seeds: bool, pictures: &Pictures) -> Result<Prepared, Failure> {
    let fields = fields(work, upstream, seeds);
    let mut categories = vec![Category::Prompt, Category::Parameters];
    if work.references.is_empty() {
        return Ok(Prepared { path: "images/generations", body: Body::json(&Value::Object(fields)), categories });
    }
    categories.push(Category::References);
    let mut parts: Vec<Part> =
        fields.into_iter().map(|(name, value)| Part::Text { name, value: text(&value) }).collect();
    parts.extend(files(&work.references, pictures).await?);
    let body = Body::multipart(parts)
        .map_err(|_| Failure::failed("service.unavailable", "This could not be sent. Nothing was charged.", true))?;
    Ok(Prepared { path: "images/edits", body, categories })
}

fn fields(work: &Work, upstream: Upstream, seeds: bool) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("model".to_owned(), json!(work.model));
    let prompt = if seeds && upstream.seed_in_prompt {
        format!("{} <sd_cpp_extra_args>{}</sd_cpp_extra_args>", work.prompt, json!({ "seed": work.seed }))
    } else {
        work.prompt.clone()
    };
    fields.insert("prompt".to_owned(), json!(prompt));
    fields.insert("n".to_owned(), json!(work.count));
    fields.insert("size".to_owned(), json!(work.size.to_string()));
    if seeds && !upstream.seed_in_prompt {
        fields.insert("seed".to_owned(), json!(work.seed));
    }
    if upstream.response_format == Some(true) {
        fields.insert("response_format".to_owned(), json!("b64_json"));
    }
    let own = work.parameters.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
    fields.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    fields
}

/// As forms carry it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One picture is `image`, several are `image[]`. Names of files are made here: people's own say too much.
async fn files(references: &[WorkReference], pictures: &Pictures) -> Result<Vec<Part>, Failure> {
    let (masks, images): (Vec<_>, Vec<_>) = references.iter().partition(|one| one.role == ReferenceRole::Mask);
    let name = if images.len() == 1 { "image" } else { "image[]" };
    let mut parts: Vec<Part> = images
        .iter()
        .zip(1..)
        .map(|(image, number)| {
            let (media_type, extension) = kind(&image.media_type);
            Part::File { name, file: format!("image-{number}.{extension}"), media_type, bytes: image.bytes.clone() }
        })
        .collect();
    for mask in masks {
        let bytes = pictures.plain_mask(mask.bytes.clone()).await.map_err(unreadable)?;
        parts.push(Part::File { name: "mask", file: "mask.png".to_owned(), media_type: "image/png", bytes });
    }
    Ok(parts)
}

fn unreadable(error: PictureError) -> Failure {
    match error {
        PictureError::Refused(_) => {
            Failure::failed("provider.refused", "The mask could not be read. Nothing was charged.", false)
        }
        _ => Failure::failed("service.unavailable", "This could not be sent. Nothing was charged.", true),
    }
}

fn kind(media_type: &str) -> (&'static str, &'static str) {
    match media_type {
        "image/jpeg" => ("image/jpeg", "jpg"),
        "image/webp" => ("image/webp", "webp"),
        "image/gif" => ("image/gif", "gif"),
        _ => ("image/png", "png"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::tests::work, *};

    fn sent(upstream: Upstream, seeds: bool) -> Value {
        let mut work = work();
        work.parameters = Map::from_iter([("quality".into(), json!("high")), ("n".into(), json!(99))]);
        Value::Object(fields(&work, upstream, seeds))
    }

    #[test]
    fn each_server_is_asked_in_its_own_way() {
        let plain = json!({ "model": "m", "prompt": "a teapot", "n": 2, "size": "512x512", "quality": "high" });
        assert_eq!(sent(Upstream::default(), false), plain);
        let mut with = plain.clone();
        with["seed"] = json!(7);
        with["response_format"] = json!("b64_json");
        assert_eq!(sent(Upstream { response_format: Some(true), seed_in_prompt: false }, true), with);
        let mut tagged = plain;
        tagged["prompt"] = json!("a teapot <sd_cpp_extra_args>{\"seed\":7}</sd_cpp_extra_args>");
        assert_eq!(sent(Upstream { response_format: None, seed_in_prompt: true }, true), tagged);
    }
}
