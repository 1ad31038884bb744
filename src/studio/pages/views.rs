//! What the Studio's templates show: the composer, the generation cards, the queue.

use askama::Template;

use crate::web::format::When;
use crate::web::frame::Frame;
use crate::web::picture::Tile;

/// `GET /studio`: the composer beside the newest generations.
#[derive(Template)]
#[template(path = "studio/templates/studio.html")]
pub struct StudioPage {
    pub frame: Frame,
    pub composer: Composer,
    /// Newest first, about the last twenty.
    pub cards: Vec<Card>,
    /// Shown instead of cards on the first day.
    pub starters: Vec<Starter>,
}

/// A prompt to begin with; a link that fills the form.
#[derive(Clone, Debug)]
pub struct Starter {
    /// `/studio?prompt=...`
    pub href: String,
    pub title: String,
    pub text: String,
}

/// The form. Comes back filled after an error.
#[derive(Clone, Debug, Default)]
pub struct Composer {
    pub prompt: String,
    pub prompt_max: u32,
    pub references: Vec<Reference>,
    pub models: Vec<ModelOption>,
    pub fields: Fields,
    /// "About €0.16 for 4 pictures"; the script keeps it fresh.
    pub price: String,
    /// "€62.40 left", or empty.
    pub left: String,
    /// True when the address asked for this content (recall, reference): then a draft kept by the browser does not replace it.
    pub fixed: bool,
    /// What is wrong with the form as a whole.
    pub error: String,
    pub prompt_error: String,
    pub reference_error: String,
}

impl Composer {
    /// Characters as the limit counts them.
    pub fn prompt_length(&self) -> usize {
        self.prompt.chars().count()
    }
}

/// A picture that the model shall look at.
#[derive(Clone, Debug)]
pub struct Reference {
    /// `ast_...`
    pub asset: String,
    pub name: String,
    /// "0.6", or empty for the model's own default.
    pub strength: String,
}

/// One entry of the model list.
#[derive(Clone, Debug)]
pub struct ModelOption {
    pub id: String,
    /// "Seedream 4.5 · BytePlus"
    pub label: String,
    pub selected: bool,
}

/// The part of the form that depends on the model: `GET /studio/fields?model=...`.
#[derive(Template, Clone, Debug, Default)]
#[template(path = "studio/templates/fields.html")]
pub struct FieldsFragment {
    pub fields: Fields,
}

/// See [`FieldsFragment`].
#[derive(Clone, Debug, Default)]
pub struct Fields {
    pub leaves_house: bool,
    /// "Leaves the house: prompt and references go to BytePlus, Singapore"
    pub destination: String,
    pub sizes: Vec<SizeChoice>,
    pub size_error: String,
    pub count: u32,
    pub max_count: u32,
    pub count_error: String,
    pub seed: String,
    pub seed_error: String,
    /// 0 hides the references.
    pub max_references: u32,
    /// Whether the model takes a strength per reference.
    pub strength: bool,
    pub params: Vec<Param>,
}

impl Fields {
    /// Whether the folded part has to be open: something in it is wrong.
    pub fn open(&self) -> bool {
        self.params.iter().any(|param| !param.error.is_empty())
    }

    /// "More: quality, background"
    pub fn more(&self) -> String {
        let labels: Vec<_> = self.params.iter().map(|param| param.label.to_lowercase()).collect();
        format!("More: {}", labels.join(", "))
    }
}

/// A size to pick, drawn in its own proportions.
#[derive(Clone, Debug)]
pub struct SizeChoice {
    /// "1024x1024"
    pub value: String,
    /// "1:1", or "512 px" where several have one ratio.
    pub label: String,
    /// "1024 × 1024 px"
    pub exact: String,
    /// Size of the little drawing.
    pub width: u32,
    pub height: u32,
    pub checked: bool,
}

impl SizeChoice {
    /// A choice of each size; those of one ratio are told apart by their width.
    pub fn all(sizes: impl IntoIterator<Item = (u32, u32)>, chosen: impl Fn(u32, u32) -> bool) -> Vec<Self> {
        let one = |(width, height)| (width, Self::new(width, height, chosen(width, height)));
        let mut all: Vec<(u32, Self)> = sizes.into_iter().map(one).collect();
        let labels: Vec<String> = all.iter().map(|(_, choice)| choice.label.clone()).collect();
        for (width, choice) in &mut all {
            if labels.iter().filter(|label| **label == choice.label).count() > 1 {
                choice.label = format!("{width} px");
            }
        }
        all.into_iter().map(|(_, choice)| choice).collect()
    }

    /// A choice for a size in pixels; the drawing has about the same area for every ratio.
    fn new(width: u32, height: u32, checked: bool) -> Self {
        let ratio = f64::from(width.max(1)) / f64::from(height.max(1));
        let side = |factor: f64| (19.0 * factor.clamp(0.55, 1.6)).round() as u32;
        Self {
            value: format!("{width}x{height}"),
            label: crate::web::format::ratio(width, height).into(),
            exact: crate::web::format::pixels(width, height),
            width: side(ratio.sqrt()),
            height: side(1.0 / ratio.sqrt()),
            checked,
        }
    }
}

/// A parameter of the model's own, made from its JSON Schema. Posted as `parameter.NAME`.
#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    pub label: String,
    pub help: String,
    pub error: String,
    pub kind: ParamKind,
}

/// How a parameter is asked for.
#[derive(Clone, Debug)]
pub enum ParamKind {
    /// A string enum: value and whether it is chosen.
    Select(Vec<(String, bool)>),
    Text {
        value: String,
        max_length: String,
    },
    /// All as text; empty bounds are left out. `step` is "1" or "any".
    Number {
        value: String,
        min: String,
        max: String,
        step: &'static str,
    },
    Check(bool),
}

impl ParamKind {
    /// What the script turns the text into before it calls the API.
    pub const fn json(&self) -> &'static str {
        match self {
            Self::Select(_) | Self::Text { .. } => "string",
            Self::Number { .. } => "number",
            Self::Check(_) => "boolean",
        }
    }
}

/// Where a generation is; the names are the API's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Queued,
    Submitting,
    Running,
    Storing,
    Succeeded,
    Failed,
    Cancelled,
    Expired,
    Unknown,
}

impl State {
    /// The API's word.
    pub const fn api(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Submitting => "submitting",
            Self::Running => "running",
            Self::Storing => "storing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }

    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "Waiting",
            Self::Submitting => "Starting",
            Self::Running => "Running",
            Self::Storing => "Storing",
            Self::Succeeded => "Done",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Expired => "Expired",
            Self::Unknown => "Not known",
        }
    }

    /// Class of its badge; the normal outcome is quiet.
    pub const fn badge(self) -> &'static str {
        match self {
            Self::Succeeded => "plain",
            Self::Failed | Self::Expired => "bad",
            Self::Unknown => "warn",
            Self::Cancelled => "",
            Self::Queued | Self::Submitting | Self::Running | Self::Storing => "accent",
        }
    }

    /// Icon of its badge.
    pub const fn icon(self) -> &'static str {
        match self {
            Self::Succeeded => "ok",
            Self::Failed => "bad",
            Self::Expired => "clock",
            Self::Unknown => "warn",
            Self::Cancelled => "none",
            Self::Queued => "clock",
            Self::Submitting | Self::Running | Self::Storing => "queue",
        }
    }

    /// Still on its way: tiles wait, progress shows.
    pub const fn live(self) -> bool {
        matches!(self, Self::Queued | Self::Submitting | Self::Running | Self::Storing)
    }
}

/// A generation as a card: the same in the Studio, as a fragment and on its own page.
#[derive(Clone, Debug)]
pub struct Card {
    /// `gen_...`
    pub id: String,
    pub state: State,
    pub prompt: String,
    /// "Demo painter", "4 of 4 in 38 s", "seed 1234", "€0.16"
    pub facts: Vec<String>,
    pub made: When,
    /// Named ratio for the waiting tiles (`format::ratio`).
    pub ratio: &'static str,
    pub count: u32,
    pub has_seed: bool,
    pub tiles: Vec<Tile>,
    pub progress: Progress,
    /// What happened, what it cost; for failed, cancelled, expired and unknown.
    pub trouble: Option<Trouble>,
    /// "Try again, €0.10"; empty when it cannot be retried.
    pub retry: String,
    pub can_cancel: bool,
}

impl Card {
    /// Tiles that still wait, after the first: with nothing made yet all but the first.
    pub fn waiting(&self) -> std::ops::Range<u32> {
        1..self.count.max(1)
    }

    /// Columns of the tile grid.
    pub const fn columns(&self) -> &'static str {
        match self.count {
            0 | 1 => "one",
            2 => "two",
            _ => "four",
        }
    }
}

/// How far a live generation is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// "Step 19 of 30", "Place 3 in the queue"
    pub words: String,
    /// Only when the provider gives one.
    pub percent: Option<u8>,
    /// Address of a small picture, or empty.
    pub preview: String,
    /// RFC 3339 of the start; the script counts on from here. Empty while queued.
    pub started: String,
    /// "14 s so far"
    pub spent: String,
}

/// What went wrong, in words.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub tone: crate::web::frame::Tone,
    pub title: String,
    pub text: String,
}

/// `GET /studio/generations/{id}` asked for by a script: the card alone.
#[derive(Template)]
#[template(path = "studio/templates/card.html")]
pub struct CardFragment {
    pub csrf: String,
    pub card: Card,
}

/// `GET /studio/generations/{id}` opened as a page.
#[derive(Template)]
#[template(path = "studio/templates/generation.html")]
pub struct GenerationPage {
    pub frame: Frame,
    pub card: Card,
    /// Everything that was sent, as label and value.
    pub parameters: Vec<(String, String)>,
}

/// `GET /studio/queue`: the tray's content.
#[derive(Template)]
#[template(path = "studio/templates/queue.html")]
pub struct QueueFragment {
    pub csrf: String,
    pub running: u32,
    pub waiting: u32,
    pub jobs: Vec<QueueJob>,
}

/// One line of the tray.
#[derive(Clone, Debug)]
pub struct QueueJob {
    pub id: String,
    pub prompt: String,
    pub progress: Progress,
    pub can_cancel: bool,
    /// Failed a moment ago: "Try again, €0.10"; empty else.
    pub retry: String,
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::super::samples;
    use super::*;

    #[test]
    fn every_page_and_fragment_renders_without_inline_style_or_script() {
        let mut pages = vec![
            samples::generation().render().unwrap(),
            samples::queue().render().unwrap(),
            samples::queue_empty().render().unwrap(),
        ];
        for page in [samples::studio(), samples::first_day(), samples::refused()] {
            pages.push(FieldsFragment { fields: page.composer.fields.clone() }.render().unwrap());
            pages.push(page.render().unwrap());
        }
        for html in pages {
            assert!(!html.contains(" style=") && !html.contains(" onclick") && !html.contains("<script>"));
        }
    }

    #[test]
    fn a_card_offers_what_its_state_allows() {
        for card in samples::cards() {
            let state = card.state;
            let html = CardFragment { csrf: "t".into(), card }.render().unwrap();
            assert_eq!(html.contains("/cancel\""), state.live() && state != State::Storing, "{state:?}");
            assert_eq!(
                html.contains("/retry\""),
                matches!(state, State::Failed | State::Expired | State::Cancelled),
                "{state:?}"
            );
            assert!(html.contains(&format!("data-state=\"{}\"", state.api())));
        }
    }

    #[test]
    fn what_a_person_typed_is_escaped() {
        let mut card = samples::cards().remove(0);
        card.prompt = "\"><img src=x onerror=alert(1)>".into();
        let html = CardFragment { csrf: String::new(), card }.render().unwrap();
        assert!(!html.contains("<img src=x"));
    }
}
