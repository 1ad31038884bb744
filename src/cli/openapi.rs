//! `renderkeep openapi`: the description of the API, made from the routes themselves.

use std::process::ExitCode;

use super::out;
use crate::{app::rooms, web::document};

pub(super) fn openapi() -> anyhow::Result<ExitCode> {
    out::say(&serde_json::to_string_pretty(&document::document(&rooms::routes()))?);
    Ok(ExitCode::SUCCESS)
}
