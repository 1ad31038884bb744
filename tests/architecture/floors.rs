//! Imports point down, never up, and between rooms only where the floor plan of `src/lib.rs` draws a line.

use crate::{paths, source::Source};

/// Every room and the rooms that it may use. A room that is not listed here has no floor.
const ROOMS: &[(&str, &[&str])] = &[
    ("accounts", &[]),
    ("organisation", &["accounts"]),
    ("ledger", &["organisation", "accounts"]),
    ("inference", &["ledger"]),
    ("library", &["organisation", "accounts"]),
    ("reports", &["organisation", "accounts"]),
    ("studio", &["inference", "library", "ledger", "accounts"]),
    // They know rooms only through what `app/rooms.rs` hands over.
    ("privacy", &[]),
    ("console", &[]),
    ("upkeep", &[]),
];

/// What of a room only the room itself may use.
const PRIVATE: &[&str] = &["store", "templates", "http", "pages", "compat", "jobs", "personal"];

/// The parts of a room that know HTTP or HTML.
const EDGES: &[&str] = &["http", "pages", "compat"];

/// The order inside the platform: a part uses parts of a lower number only.
const PLATFORM: &[(&str, u8)] = &[
    ("telemetry", 0),
    ("files", 0),
    ("crash", 0),
    ("crypto", 0),
    ("db", 1),
    ("signals", 2),
    ("pictures", 2),
    ("jobs", 3),
    ("audit", 4),
    ("keyring", 5),
    ("idempotency", 5),
    ("egress", 5),
    ("storage", 6),
    ("mail", 6),
];

/// `Platform`, the bundle of all parts, is named by parts that hand it to rooms, repeat work of their own, or look at all.
const BUNDLE: &[&str] = &["jobs", "audit", "telemetry", "idempotency", "keyring"];

fn findings(source: &Source) -> Vec<String> {
    paths::mentions(source)
        .iter()
        .filter_map(|mention| {
            let from = source.module();
            let reason = refusal(&from, &mention.path)?;
            Some(format!("{}: `{}`: {reason}", mention.at, mention.path.join("::")))
        })
        .collect()
}

/// Why `from` may not use `to`.
fn refusal(from: &[String], to: &[String]) -> Option<String> {
    let (here, there) = (from.first()?.as_str(), to.first()?.as_str());
    let below = floor(to)?;
    let Some(own) = floor(from) else {
        return Some(format!("the module `{here}` has no floor; give it one in tests/architecture/floors.rs"));
    };
    if here == there {
        return inside(here, from, to);
    }
    if below > own {
        return Some(format!(
            "an import up, from floor {own} to floor {below}. Move what is needed down, or hand it over from app"
        ));
    }
    match (room(here), room(there)) {
        (Some(_), Some(_)) => between(here, to),
        (None, Some(_)) if here == "web" => Some("web knows no room; hand over what it needs as values".to_owned()),
        (None, _) if own == below => beside(here, to),
        _ => None,
    }
}

/// From 0, the ground, to 5; twice for rooms, whose edges stand above `web`.
fn floor(module: &[String]) -> Option<u8> {
    Some(match module.first()?.as_str() {
        "base" | "config" => 0,
        "platform" | "supervisor" => 1,
        "web" => 3,
        "app" | "cli" => 5,
        name => {
            room(name)?;
            let edge = module.get(1).is_some_and(|part| EDGES.contains(&part.as_str()));
            if edge { 4 } else { 2 }
        }
    })
}

fn room(name: &str) -> Option<&'static [&'static str]> {
    ROOMS.iter().find(|(room, _)| *room == name).map(|(_, uses)| *uses)
}

fn between(here: &str, to: &[String]) -> Option<String> {
    let there = to.first()?;
    if !room(here)?.contains(&there.as_str()) {
        return Some(format!(
            "the room {here} does not use {there}. Rooms that may be used are in tests/architecture/floors.rs; app can bring two rooms together"
        ));
    }
    let part = to.get(1)?;
    PRIVATE.contains(&part.as_str()).then(|| format!("{there}'s {part} is its own; use its ops or model"))
}

/// Neighbours on one floor that are no rooms.
fn beside(here: &str, to: &[String]) -> Option<String> {
    let there = to.first()?.as_str();
    let part = to.get(1).map_or("", String::as_str);
    let fine = match (here, there) {
        ("config", "base") | ("cli", "app") => true,
        // The supervisor asks its children whether they answer through the clients that there are, and tells pages when not.
        ("supervisor", "platform") => ["telemetry", "files", "db", "storage"].contains(&part),
        _ => false,
    };
    (!fine).then(|| format!("{here} does not use {there}, its neighbour on the same floor"))
}

fn inside(here: &str, from: &[String], to: &[String]) -> Option<String> {
    if room(here).is_some() && floor(to) > floor(from) && from.len() > 1 {
        return Some("the inside of a room does not know HTTP or HTML: move what is needed to ops or model".to_owned());
    }
    if here != "platform" || from.len() < 2 {
        return None;
    }
    let (own, other) = (from.get(1)?.as_str(), to.get(1)?.as_str());
    if own == other || (other == "Platform" && BUNDLE.contains(&own)) {
        return None;
    }
    let (Some(level), Some(lower)) = (level(own), level(other)) else {
        return Some(format!(
            "{own} or {other} has no place in the platform's order; give it one in tests/architecture/floors.rs"
        ));
    };
    (lower >= level).then(|| format!("platform/{own} stands below or beside platform/{other} and does not use it"))
}

fn level(part: &str) -> Option<u8> {
    PLATFORM.iter().find(|(name, _)| *name == part).map(|(_, level)| *level)
}

#[test]
fn imports_point_down() {
    crate::none(crate::sources().iter().flat_map(findings).collect());
}

#[test]
fn every_module_of_the_crate_has_a_floor() {
    let sources = crate::sources();
    let mut modules: Vec<String> = sources.iter().filter_map(|source| source.module().first().cloned()).collect();
    modules.dedup();
    modules.retain(|module| floor(std::slice::from_ref(module)).is_none());
    crate::none(
        modules
            .iter()
            .map(|module| format!("src/{module} has no floor; give it one in tests/architecture/floors.rs"))
            .collect(),
    );
}

#[test]
fn bad_samples_are_found() {
    let found = |path: &str, text: &str| findings(&Source::new(path, text));
    crate::finds(&found("src/base/ids.rs", "use crate::platform::db;"), "an import up, from floor 0 to floor 1");
    crate::finds(
        &found("src/library/ops.rs", "use crate::{base::ids, web::page};"),
        "an import up, from floor 2 to floor 3",
    );
    crate::finds(&found("src/web/page.rs", "fn x() { crate::library::ops::find() }"), "web knows no room");
    crate::finds(&found("src/accounts/http.rs", "use crate::app::rooms;"), "an import up, from floor 4 to floor 5");
    crate::finds(&found("src/library/ops.rs", "use super::http::Asset;"), "does not know HTTP");
    crate::finds(
        &found("src/ledger/ops/mod.rs", "use crate::studio::model::Generation;"),
        "ledger does not use studio",
    );
    crate::finds(&found("src/studio/ops.rs", "use crate::ledger::store;"), "ledger's store is its own");
    crate::finds(&found("src/platform/db/pool.rs", "use super::super::jobs::queue;"), "platform/db stands below");
    crate::finds(&found("src/platform/db/mod.rs", "use crate::platform::jobs;"), "platform/db stands below");
    crate::finds(
        &found("src/platform/storage/mod.rs", "use crate::platform::Platform;"),
        "no place in the platform's order",
    );
    crate::finds(&found("src/attic/mod.rs", "use crate::base::ids;"), "has no floor");
    crate::finds(&found("src/app/server.rs", "use crate::cli::out;"), "app does not use cli");
    assert!(
        found("src/studio/ops.rs", "use crate::{ledger::ops, library::model, base::ids, platform::db};").is_empty()
    );
    assert!(found("src/library/http.rs", "use super::ops; use crate::web::guard;").is_empty());
}
