//! The painter's models, as the catalog lists them.

use serde_json::{Value, json};

use super::Manner;
use crate::inference::{
    model::{Description, Size, Task, Upstream},
    price::Component,
};

/// The provider's slug, the first part of its models' ids.
pub const SLUG: &str = "demo";
pub const TITLE: &str = "Demo painter";
/// Millionths of the organisation's currency for each picture, so that caps and statements can be tried.
const PRICE: i64 = 20_000;

/// Square first: the first is the usual one.
const SIZES: [(u32, u32); 7] =
    [(1024, 1024), (512, 512), (1536, 1024), (1024, 1536), (1344, 768), (768, 1344), (896, 1120)];

/// With `faults`, also the models that fail on demand.
pub fn models(faults: bool) -> Vec<Description> {
    let offered = Manner::ALL.into_iter().filter(|manner| faults || *manner == Manner::Painter);
    offered.map(describe).collect()
}

pub fn price() -> Vec<Component> {
    vec![Component::per_image(PRICE)]
}

fn describe(manner: Manner) -> Description {
    Description {
        id: format!("{SLUG}/{}", manner.name()),
        upstream_name: manner.name().to_owned(),
        title: title(manner).to_owned(),
        tasks: Task::ALL.to_vec(),
        sizes: SIZES.map(|(width, height)| Size { width, height }).to_vec(),
        max_count: 8,
        max_references: 1,
        seeds: true,
        parameters: parameters(),
        aliases: Vec::new(),
        upstream: Upstream::default(),
    }
}

fn title(manner: Manner) -> &'static str {
    match manner {
        Manner::Painter => "Demo painter (no model)",
        Manner::Slow => "Demo: takes ten seconds (no model)",
        Manner::Fail => "Demo: refuses (no model)",
        Manner::FailLate => "Demo: fails halfway (no model)",
        Manner::Overbill => "Demo: bills twice (no model)",
        Manner::Silent => "Demo: never answers (no model)",
    }
}

fn parameters() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "quality": {
                "type": "string",
                "title": "Quality",
                "description": "How carefully edges are painted.",
                "enum": ["auto", "low", "medium", "high"],
                "default": "auto"
            },
            "output_format": {
                "type": "string",
                "title": "Format",
                "enum": ["png", "jpeg", "webp"],
                "default": "png"
            },
            "background": {
                "type": "string",
                "title": "Background",
                "description": "The painter always fills the picture.",
                "enum": ["auto", "opaque"],
                "default": "auto"
            }
        }
    })
}
