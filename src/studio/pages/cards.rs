//! From a generation to what people see of it: cards, queue lines, rows.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    activity_views::Row,
    views::{self, Card, Progress, QueueJob, Trouble},
};
use crate::{
    base::{
        ids::AssetId,
        money::{Micros, Money},
    },
    library::model::Asset,
    studio::model::{Generation, State},
    web::{
        format::{self, When},
        frame::Tone,
        picture::Tile,
    },
};

/// What cards need besides their generations.
pub struct Shelf {
    pub assets: HashMap<AssetId, Asset>,
    /// Titles of models by their ids.
    pub titles: HashMap<String, String>,
    pub now: DateTime<Utc>,
}

impl Shelf {
    pub fn card(&self, generation: &Generation) -> Card {
        let state = shown(generation.state);
        Card {
            id: generation.id.to_string(),
            state,
            prompt: generation.prompt.clone(),
            facts: self.facts(generation),
            made: When::new(generation.created_at, self.now),
            ratio: format::ratio(generation.size.width, generation.size.height),
            count: generation.count,
            has_seed: generation.state == State::Succeeded || generation.seed.is_some(),
            tiles: self.tiles(generation),
            progress: self.progress(generation),
            trouble: trouble(generation),
            retry: retry(generation),
            can_cancel: cancellable(generation),
        }
    }

    pub fn job(&self, generation: &Generation) -> QueueJob {
        QueueJob {
            id: generation.id.to_string(),
            prompt: generation.prompt.clone(),
            progress: self.progress(generation),
            can_cancel: cancellable(generation),
            retry: retry(generation),
        }
    }

    pub fn row(&self, generation: &Generation) -> Row {
        let first = generation.outputs.iter().find(|output| self.assets.contains_key(&output.asset));
        Row {
            id: generation.id.to_string(),
            asset: first.map(|output| output.asset.to_string()).unwrap_or_default(),
            prompt: generation.prompt.clone(),
            made: format::plural(u64::from(generation.count), "picture"),
            model: self.title(generation),
            state: shown(generation.state),
            when: When::new(generation.created_at, self.now),
            cost: match generation.actual {
                Some(actual) => show(generation.money(actual)),
                None => format!("{} held", show(generation.money(generation.held))),
            },
        }
    }

    fn title(&self, generation: &Generation) -> String {
        self.titles.get(&generation.model).unwrap_or(&generation.model).clone()
    }

    /// Model, how many in what time, seed, price.
    fn facts(&self, generation: &Generation) -> Vec<String> {
        let mut facts = vec![self.title(generation)];
        let pictures = format::plural(u64::from(generation.count), "picture");
        match (generation.state, generation.started_at, generation.ended_at) {
            (State::Succeeded, Some(started), Some(ended)) => {
                let took = format::duration(seconds(ended - started).max(1));
                facts.push(format!("{} of {} in {took}", generation.outputs.len(), generation.count));
            }
            _ => facts.push(pictures),
        }
        if generation.state == State::Succeeded {
            facts.extend(generation.outputs.first().and_then(|output| output.seed).map(|seed| format!("seed {seed}")));
        } else {
            facts.extend(generation.seed.map(|seed| format!("seed {seed}")));
        }
        facts.push(match generation.actual {
            Some(actual) => show(generation.money(actual)),
            None => format!("{} set aside", show(generation.money(generation.held))),
        });
        facts
    }

    /// What has been deleted for good leaves no tile.
    fn tiles(&self, generation: &Generation) -> Vec<Tile> {
        let present = generation.outputs.iter().filter_map(|output| self.assets.get(&output.asset));
        present.filter(|asset| asset.trashed_at.is_none()).map(|asset| tile(asset, &generation.prompt)).collect()
    }

    fn progress(&self, generation: &Generation) -> Progress {
        let told = &generation.progress;
        let words = match generation.state {
            State::Queued => format!("Place {} in the queue", generation.place.unwrap_or(1)),
            State::Submitting => "Sending it to the provider".to_owned(),
            State::Running if generation.cancel_requested => "Stopping".to_owned(),
            State::Running => told.step.clone().unwrap_or_else(|| "Working".to_owned()),
            State::Storing => "Storing the pictures".to_owned(),
            _ => String::new(),
        };
        let version = told.preview_version;
        Progress {
            words,
            percent: told.fraction.filter(|_| generation.state.working()).map(percent),
            preview: if version > 0 && generation.state.working() {
                format!("/api/v1/generations/{}/preview?version={version}", generation.id)
            } else {
                String::new()
            },
            started: generation.started_at.map(|at| When::new(at, self.now).iso).unwrap_or_default(),
            spent: generation
                .started_at
                .map(|at| format!("{} so far", format::duration(seconds(self.now - at))))
                .unwrap_or_default(),
        }
    }
}

/// A picture of a generation as a tile.
fn tile(asset: &Asset, prompt: &str) -> Tile {
    Tile::new(asset.id.to_string(), prompt.to_owned(), asset.name.clone(), asset.width, asset.height, &asset.thumbhash)
}

fn seconds(span: chrono::TimeDelta) -> u64 {
    u64::try_from(span.num_seconds()).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
fn percent(fraction: f64) -> u8 {
    (fraction.clamp(0.0, 1.0) * 100.0).round() as u8
}

pub fn show(money: Money) -> String {
    format::money(money.micros.0, money.currency.as_str())
}

fn cancellable(generation: &Generation) -> bool {
    let asked = generation.cancel_requested;
    matches!(generation.state, State::Queued | State::Submitting | State::Running) && !asked
}

fn retry(generation: &Generation) -> String {
    if generation.state.retryable() {
        format!("Try again, {}", show(generation.money(generation.held)))
    } else {
        String::new()
    }
}

/// The page's own word for a state.
pub fn shown(state: State) -> views::State {
    match state {
        State::Queued => views::State::Queued,
        State::Submitting => views::State::Submitting,
        State::Running => views::State::Running,
        State::Storing => views::State::Storing,
        State::Succeeded => views::State::Succeeded,
        State::Failed => views::State::Failed,
        State::Cancelled => views::State::Cancelled,
        State::Expired => views::State::Expired,
        State::Unknown => views::State::Unknown,
    }
}

/// What happened, what it cost, what to do.
fn trouble(generation: &Generation) -> Option<Trouble> {
    let message = generation.error.as_ref().map(|fault| fault.message.clone()).unwrap_or_default();
    let held = show(generation.money(generation.held));
    let (tone, title) = match generation.state {
        State::Failed => (Tone::Bad, "This did not work"),
        State::Expired => (Tone::Bad, "It took too long"),
        State::Cancelled => (Tone::Info, "You cancelled this"),
        State::Unknown => (Tone::Warn, "It is not known whether this was made"),
        _ => return None,
    };
    let cost = match generation.actual {
        // Providers' messages often say already that nothing was charged.
        Some(Micros::ZERO) if generation.held > Micros::ZERO && message.contains("Nothing was charged") => {
            format!("The {held} set aside is yours again, and your prompt is kept.")
        }
        Some(Micros::ZERO) if generation.held > Micros::ZERO => {
            format!("Nothing was charged, the {held} set aside is yours again. Your prompt is kept.")
        }
        Some(Micros::ZERO) => "Nothing was charged. Your prompt is kept.".to_owned(),
        Some(actual) => format!("{} was charged, because the provider billed it.", show(generation.money(actual))),
        // The messages of what was lost end with the money that stays set aside.
        None => format!("That is {held}. It is not sent again by itself."),
    };
    let text = if generation.state == State::Cancelled { cost } else { format!("{message} {cost}") };
    Some(Trouble { tone, title: title.to_owned(), text: text.trim().to_owned() })
}
