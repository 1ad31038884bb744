//! Sample data for the Studio's templates: every state of a card, every kind of parameter.

use super::views::*;
use crate::web::format::When;
use crate::web::frame::samples::frame;
use crate::web::frame::{Place, Tone};
use crate::web::picture::samples::tile;

fn when(text: &str) -> When {
    When { iso: "2026-11-20T14:02:11.000Z".into(), exact: "20 November 2026, 14:02:11 UTC".into(), text: text.into() }
}

fn composer() -> Composer {
    Composer {
        prompt: "Ceramic bottle on a round plinth, warm window light, product photo".into(),
        prompt_max: 32_000,
        references: vec![Reference {
            asset: "ast_shapes-coral".into(),
            name: "shapes-coral.webp".into(),
            strength: "0.6".into(),
        }],
        models: vec![
            ModelOption {
                id: "demo/painter".into(),
                label: "Demo painter (no model) · built in".into(),
                selected: true,
            },
            ModelOption { id: "openai/gpt-image-1".into(), label: "gpt-image-1 · OpenAI".into(), selected: false },
        ],
        fields: fields(),
        price: "About €0.16".into(),
        left: "€62.40 left".into(),
        ..Composer::default()
    }
}

fn fields() -> Fields {
    let sizes = [(1024, 1024), (820, 1024), (1536, 1024), (1820, 1024), (1024, 1820)];
    Fields {
        leaves_house: false,
        destination: "Stays on this server. The demo painter is no model: it paints from the words and the seed".into(),
        sizes: SizeChoice::all(sizes, |width, _| width == 820),
        count: 4,
        max_count: 8,
        max_references: 4,
        strength: true,
        params: params(),
        ..Fields::default()
    }
}

fn params() -> Vec<Param> {
    let param = |name: &str, label: &str, help: &str, kind| Param {
        name: name.into(),
        label: label.into(),
        help: help.into(),
        error: String::new(),
        kind,
    };
    vec![
        param(
            "quality",
            "Quality",
            "",
            ParamKind::Select(vec![("auto".into(), true), ("low".into(), false), ("high".into(), false)]),
        ),
        param(
            "steps",
            "Steps",
            "More steps, more detail",
            ParamKind::Number { value: "30".into(), min: "1".into(), max: "60".into(), step: "1" },
        ),
        param(
            "negative_prompt",
            "Negative prompt",
            "What should not be seen",
            ParamKind::Text { value: String::new(), max_length: "2000".into() },
        ),
        param("tile", "Repeat without a seam", "", ParamKind::Check(false)),
    ]
}

fn card(id: &str, state: State, prompt: &str, facts: &[&str]) -> Card {
    Card {
        id: format!("gen_{id}"),
        state,
        prompt: prompt.into(),
        facts: facts.iter().map(ToString::to_string).collect(),
        made: when("12 min ago"),
        ratio: "4:5",
        count: 4,
        has_seed: true,
        tiles: Vec::new(),
        progress: Progress::default(),
        trouble: None,
        retry: String::new(),
        can_cancel: state.live() && state != State::Storing,
    }
}

fn ended(id: &str, state: State, prompt: &str, tone: Tone, title: &str, text: &str) -> Card {
    Card {
        trouble: Some(Trouble { tone, title: title.into(), text: text.into() }),
        retry: if state == State::Unknown { String::new() } else { "Try again, €0.10".into() },
        ..card(id, state, prompt, &["Demo painter", "2 pictures"])
    }
}

/// One card in each state, in the order a day could bring them.
pub fn cards() -> Vec<Card> {
    let started = "2026-11-20T14:13:46.000Z";
    let running = Progress {
        words: "Step 19 of 30".into(),
        percent: Some(62),
        preview: "/api/v1/assets/ast_vase-studio/thumbnail?size=320".into(),
        started: started.into(),
        spent: "14 s so far".into(),
    };
    let wordy = Progress {
        words: "Painting".into(),
        started: started.into(),
        spent: "3 s so far".into(),
        ..Progress::default()
    };
    let queued = Progress { words: "Place 3 in the queue".into(), ..Progress::default() };
    let bottles = [0, 45, 46, 18].map(tile).to_vec();
    let lakes = [22, 20, 23, 21].map(tile).to_vec();
    vec![
        Card {
            ratio: "4:3",
            progress: running,
            ..card(
                "r",
                State::Running,
                "Vase and bowl in a dark, moody studio, product photo",
                &["Demo painter", "4 pictures", "4:3", "€0.16 set aside"],
            )
        },
        Card {
            tiles: bottles,
            ..card(
                "s",
                State::Succeeded,
                "Ceramic bottle on a round plinth, warm window light, product photo",
                &["Demo painter", "4 of 4 in 38 s", "seed 1234", "€0.16"],
            )
        },
        Card {
            count: 1,
            progress: queued,
            ..card("q", State::Queued, "A clay teapot at sunset", &["Demo painter", "1 picture", "€0.04 set aside"])
        },
        ended(
            "f",
            State::Failed,
            "Wool tartan scarf on a bench, soft evening light",
            Tone::Bad,
            "The provider did not answer within 120 seconds",
            "Nothing was charged: the request was never started, so the €0.10 set aside is yours again. Your prompt is kept.",
        ),
        Card {
            tiles: lakes,
            ratio: "3:2",
            ..card(
                "s2",
                State::Succeeded,
                "Mountain lake at dawn, low mist, first light on the peaks, wide landscape",
                &["Demo painter", "4 of 4 in 52 s", "seed 4", "€0.16"],
            )
        },
        Card { count: 2, progress: wordy.clone(), ..card("u", State::Submitting, "Dunes", &["Demo painter"]) },
        Card {
            count: 2,
            progress: Progress { words: "Storing the pictures".into(), percent: Some(100), ..wordy },
            ..card("st", State::Storing, "Fjord in winter", &["Demo painter"])
        },
        ended(
            "k",
            State::Unknown,
            "Sailboat at noon, calm sea",
            Tone::Warn,
            "It is not known whether this was made",
            "The connection broke after the request was sent, so it is not sent again. €0.04 stays set aside until an owner has looked.",
        ),
        ended(
            "e",
            State::Expired,
            "City in fog",
            Tone::Bad,
            "It took too long",
            "It waited longer than a day and was ended. Nothing was charged.",
        ),
        ended(
            "c",
            State::Cancelled,
            "Arches and stairs",
            Tone::Info,
            "You cancelled this",
            "Nothing was charged, the €0.08 set aside is yours again.",
        ),
    ]
}

/// A day's work.
pub fn studio() -> StudioPage {
    StudioPage { frame: frame("Studio", Place::Studio), composer: composer(), cards: cards(), starters: Vec::new() }
}

/// The first day.
pub fn first_day() -> StudioPage {
    let starter = |title: &str, text: &str| Starter {
        href: "/studio?prompt=Mountain%20lake%20at%20dawn".into(),
        title: title.into(),
        text: text.into(),
    };
    let mut page = studio();
    page.cards.clear();
    page.composer = Composer { prompt: String::new(), references: Vec::new(), ..page.composer };
    page.frame.running = 0;
    page.frame.waiting = 0;
    page.starters = vec![
        starter("A wide opening picture", "Mountain lake at dawn, low mist"),
        starter("A background to write on", "Silk in teal, soft folds"),
        starter("Somewhere to rest", "Ocean at sunset, calm water"),
        starter("A field of colour", "Gradient in coral and sand"),
    ];
    page
}

/// A form that came back.
pub fn refused() -> StudioPage {
    let mut page = studio();
    page.composer.error =
        "Over your cap for November: €0.04 of €120.00 is left. It refills on 1 December, or an owner can raise it."
            .into();
    page.composer.prompt_error = "Write what you want to see.".into();
    page.composer.prompt.clear();
    page.composer.fields.size_error = "Choose one of the sizes this model offers.".into();
    page.composer.fields.seed_error = "A number from 0 to 4294967295.".into();
    page.composer.fields.leaves_house = true;
    page.composer.fields.destination = "Leaves the house: prompt and references go to OpenAI, United States".into();
    if let Some(param) = page.composer.fields.params.first_mut() {
        param.error = "Choose one of the values.".into();
    }
    page.frame.notices.push(crate::web::frame::Notice {
        tone: Tone::Warn,
        title: "Demo faults are on".into(),
        text: "Models that fail on purpose are offered. This is for tests only; turn it off with inference.demo_faults = false.".into(),
    });
    page
}

/// One generation on its own page.
pub fn generation() -> GenerationPage {
    let row = |label: &str, value: &str| (label.to_string(), value.to_string());
    let parameters = vec![
        row("Model", "demo/painter"),
        row("Size", "820 × 1024 px"),
        row("Seed", "1234"),
        row("Quality", "auto"),
        row("Cost", "€0.16"),
    ];
    let card = cards()
        .into_iter()
        .find(|card| card.state == State::Succeeded)
        .unwrap_or_else(|| card("x", State::Queued, "", &[]));
    GenerationPage { frame: frame("Generation", Place::Activity), card, parameters }
}

/// The tray with work in it.
pub fn queue() -> QueueFragment {
    let jobs = cards().into_iter().filter(|card| card.state.live()).map(|card| QueueJob {
        id: card.id,
        prompt: card.prompt,
        progress: card.progress,
        can_cancel: card.can_cancel,
        retry: String::new(),
    });
    QueueFragment { csrf: "sample-token".into(), running: 3, waiting: 1, jobs: jobs.collect() }
}

/// The tray with nothing in it.
pub fn queue_empty() -> QueueFragment {
    QueueFragment { csrf: String::new(), running: 0, waiting: 0, jobs: Vec::new() }
}
