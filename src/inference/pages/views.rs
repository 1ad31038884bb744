//! What the page of providers and models shows.

use askama::Template;

use crate::web::frame::{Frame, Tone};
use crate::web::parts::{AdminPlace, Choice, Field};

/// `GET /admin/providers`
#[derive(Template)]
#[template(path = "inference/templates/providers.html")]
pub struct ProvidersPage {
    pub frame: Frame,
    pub here: AdminPlace,
    /// "Where a prompt may go, and what it costs. One is off."
    pub about: String,
    pub providers: Vec<ProviderRow>,
    pub sheet: Option<ProviderSheet>,
    pub ask: Option<ProvidersAsk>,
    /// "EUR"
    pub currency: String,
}

/// One provider of the list.
#[derive(Clone, Debug)]
pub struct ProviderRow {
    pub name: String,
    /// "api.openai.com", or "built in"
    pub host: String,
    /// Runs in this house: built in or declared local.
    pub local: bool,
    /// "3 of 4 models on"
    pub models: String,
    /// "€214.60"
    pub spent: String,
    pub state: ProviderState,
    pub href: String,
    pub open: bool,
}

/// How a provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderState {
    Answers,
    Failing,
    /// On, and nothing was sent to it yet.
    Untried,
    Off,
}

impl ProviderState {
    const fn kind(self) -> &'static str {
        match self {
            Self::Answers => "plain",
            Self::Failing => "bad",
            Self::Untried => "line",
            Self::Off => "",
        }
    }

    const fn icon(self) -> &'static str {
        match self {
            Self::Answers => "ok",
            Self::Failing => "bad",
            Self::Untried => "clock",
            Self::Off => "none",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Answers => "Answers",
            Self::Failing => "Fails",
            Self::Untried => "Not tried yet",
            Self::Off => "Off",
        }
    }
}

/// One provider, beside the list.
#[derive(Clone, Debug)]
pub struct ProviderSheet {
    pub id: String,
    pub name: String,
    /// "Added 3 March 2026"
    pub since: String,
    pub on: bool,
    /// Connection and key; none for the built-in painter, which has neither.
    pub connection: Option<Connection>,
    pub test: Option<TestResult>,
    pub goes: Destination,
    pub models: Vec<ModelRow>,
    /// Address of the dialog for a new model; none where the catalog is fixed.
    pub add_model: Option<String>,
    /// "/admin/egress?destination=…"
    pub calls: String,
}

impl ProviderSheet {
    fn models_on(&self) -> String {
        format!("{} of {} on", self.models.iter().filter(|model| model.on).count(), self.models.len())
    }
}

/// The form of the connection. The key goes in and never comes out.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    pub name: Field,
    pub base_url: Field,
    /// "Kept sealed, ends in a91f, added 3 March 2026"; empty when there is no key.
    pub key_note: String,
    pub key_error: Option<String>,
    /// Declared local: only then may the address be a private one.
    pub local: bool,
    pub local_error: Option<String>,
}

/// What a test said: time, key, models, cost.
#[derive(Clone, Debug)]
pub struct TestResult {
    pub tone: Tone,
    /// "Answered in 0.42 s"
    pub title: String,
    /// "The key is valid, 4 of 4 models found. Nothing was made, €0.00."
    pub text: String,
}

/// Where the data goes and what of it.
#[derive(Clone, Debug)]
pub struct Destination {
    /// "api.openai.com, outside your house"
    pub place: String,
    /// "Prompt, parameters, reference pictures"
    pub sent: String,
    /// "Names, mail addresses, file names"
    pub never: String,
    /// "402 MB in November"
    pub left: String,
}

/// One model of the open provider.
#[derive(Clone, Debug)]
pub struct ModelRow {
    pub id: String,
    pub title: String,
    /// "Generate, edit · 3 sizes · up to 4 at once · references"
    pub about: String,
    /// "€0.04 a picture", "Own hardware: free", or "No price: cannot be used"
    pub price: String,
    pub unpriced: bool,
    pub on: bool,
    /// Address of the dialog that changes it; none where the catalog is fixed.
    pub edit: Option<String>,
}

/// The dialog that the address asks for.
#[derive(Clone, Debug)]
pub enum ProvidersAsk {
    /// A new OpenAI-compatible server.
    Add(Connection),
    Model(Box<ModelForm>),
    Remove(Removal),
}

/// The form of a model, new or existing.
#[derive(Clone, Debug)]
pub struct ModelForm {
    /// The provider it belongs to.
    pub provider: String,
    /// Empty for a new one.
    pub existing: String,
    pub id: Field,
    pub title: Field,
    pub upstream: Field,
    pub tasks: Vec<Choice>,
    pub tasks_error: Option<String>,
    /// "1024x1024, 1536x1024"
    pub sizes: Field,
    pub max_count: Field,
    pub references: bool,
    /// Whether it runs on own hardware and costs nothing.
    pub free: bool,
    /// "0.04"
    pub price: Field,
    /// Where the dialog leads when it is closed.
    pub back: String,
}

impl ModelForm {
    fn heading(&self) -> String {
        if self.existing.is_empty() { "Add a model".into() } else { format!("Change {}", self.existing) }
    }
}

/// What removing a provider would do.
#[derive(Clone, Debug)]
pub struct Removal {
    pub id: String,
    pub name: String,
    /// "4 models, of which 3 are on"
    pub models: String,
    /// "2 generations, asked to stop"
    pub running: String,
    pub back: String,
}

impl Removal {
    fn heading(&self) -> String {
        format!("Remove {}", self.name)
    }
}

/// Sample pages in every state.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::{Place, samples::frame};

    fn row(
        name: &str,
        host: &str,
        local: bool,
        models: &str,
        spent: &str,
        state: ProviderState,
        open: bool,
    ) -> ProviderRow {
        ProviderRow {
            name: name.into(),
            host: host.into(),
            local,
            models: models.into(),
            spent: spent.into(),
            state,
            href: format!("/admin/providers?open={host}"),
            open,
        }
    }

    fn page(open: usize) -> ProvidersPage {
        let mut providers = vec![
            row("OpenAI", "api.openai.com", false, "2 of 3 on", "€214.60", ProviderState::Answers, false),
            row("studio-gpu-1", "10.4.0.31", true, "1 of 1 on", "€0.00", ProviderState::Failing, false),
            row("Demo painter", "built in", true, "1 of 1 on", "€3.20", ProviderState::Answers, false),
            row("Trial server", "images.example.net", false, "None yet", "€0.00", ProviderState::Untried, false),
            row("Old account", "api.example.com", false, "0 of 2 on", "€0.00", ProviderState::Off, false),
        ];
        for (place, row) in providers.iter_mut().enumerate() {
            row.open = place + 1 == open;
        }
        ProvidersPage {
            frame: frame("Providers and models", Place::Admin),
            here: AdminPlace::Providers,
            about: "Where a prompt may go, and what it costs. One fails, one is off.".into(),
            providers,
            sheet: None,
            ask: None,
            currency: "EUR".into(),
        }
    }

    fn model(id: &str, title: &str, price: &str, on: bool) -> ModelRow {
        ModelRow {
            id: id.into(),
            title: title.into(),
            about: "Generate, edit · 3 sizes · up to 4 at once · references".into(),
            price: price.into(),
            unpriced: price.starts_with("No price"),
            on,
            edit: Some(format!("/admin/providers?open=prv_1&ask=model&model={id}")),
        }
    }

    fn openai() -> ProviderSheet {
        ProviderSheet {
            id: "prv_1".into(),
            name: "OpenAI".into(),
            since: "Added 3 March 2026".into(),
            on: true,
            connection: Some(Connection {
                name: Field::of("OpenAI"),
                base_url: Field::of("https://api.openai.com/v1"),
                key_note: "Kept sealed, ends in a91f, added 3 March 2026.".into(),
                ..Connection::default()
            }),
            test: None,
            goes: Destination {
                place: "api.openai.com, outside your house".into(),
                sent: "Prompt, parameters, reference pictures".into(),
                never: "Names, mail addresses, file names".into(),
                left: "402 MB in November.".into(),
            },
            models: vec![
                model("openai/gpt-image-1", "GPT Image 1", "€0.04 a picture", true),
                model("openai/gpt-image-1-mini", "GPT Image 1 mini", "€0.011 a picture", true),
                model("openai/next", "Next", "No price yet: cannot be used", false),
            ],
            add_model: Some("/admin/providers?open=prv_1&ask=model".into()),
            calls: "/admin/egress?destination=api.openai.com".into(),
        }
    }

    fn demo() -> ProviderSheet {
        let models = vec![ModelRow { edit: None, ..model("demo/painter", "Demo painter", "€0.02 a picture", true) }];
        ProviderSheet {
            id: "prv_0".into(),
            name: "Demo painter".into(),
            since: "Built in. It paints by rule and is no model".into(),
            connection: None,
            goes: Destination {
                place: "Nowhere: it runs inside this server".into(),
                sent: "Nothing".into(),
                never: "Everything".into(),
                left: "0 bytes, ever.".into(),
            },
            models,
            add_model: None,
            ..openai()
        }
    }

    fn model_form(existing: &str) -> ModelForm {
        let task = |value: &str, label: &str, chosen| Choice { value: value.into(), label: label.into(), chosen };
        ModelForm {
            provider: "prv_1".into(),
            existing: existing.into(),
            id: Field::of(existing),
            title: Field::of(if existing.is_empty() { "" } else { "GPT Image 1" }),
            upstream: Field::of(if existing.is_empty() { "" } else { "gpt-image-1" }),
            tasks: vec![
                task("text-to-image", "Picture from text", true),
                task("image-to-image", "Edit a picture", !existing.is_empty()),
            ],
            tasks_error: None,
            sizes: Field::of("1024x1024, 1536x1024, 1024x1536"),
            max_count: Field::of("4"),
            references: true,
            free: false,
            price: Field::of(if existing.is_empty() { "" } else { "0.04" }),
            back: "/admin/providers?open=prv_1".into(),
        }
    }

    fn wrong_model() -> ModelForm {
        ModelForm {
            id: Field::wrong("gpt image", "Letters, digits, dots, dashes and one slash."),
            tasks_error: Some("Choose at least one task.".into()),
            price: Field::wrong("-1", "Write an amount of zero or more, such as 0.04."),
            ..model_form("")
        }
    }

    /// Every state with the name of its file.
    pub fn pages() -> Vec<(&'static str, ProvidersPage)> {
        let with = |sheet, test| ProvidersPage { sheet: Some(ProviderSheet { test, ..sheet }), ..page(1) };
        let result = |tone, title: &str, text: &str| Some(TestResult { tone, title: title.into(), text: text.into() });
        let ok =
            result(Tone::Ok, "Answered in 0.42 s", "The key is valid, 3 of 3 models found. Nothing was made, €0.00.");
        let bad = result(
            Tone::Bad,
            "The key was refused after 0.31 s",
            "api.openai.com says 401. Save a new key above. Nothing was made, €0.00.",
        );
        let off = ProviderSheet { on: false, ..openai() };
        let empty = ProviderSheet { models: vec![], ..openai() };
        let removal = Removal {
            id: "prv_1".into(),
            name: "OpenAI".into(),
            models: "3 models, 2 of them on".into(),
            running: "Nothing is running there".into(),
            back: "/admin/providers?open=prv_1".into(),
        };
        let refused = Connection {
            name: Field::of("studio-gpu-2"),
            base_url: Field::wrong(
                "http://10.4.0.32:8188/v1",
                "This is a private address. Declare it local below if it is your own machine.",
            ),
            ..Connection::default()
        };
        vec![
            ("admin-providers", page(0)),
            ("admin-providers-open", with(openai(), None)),
            ("admin-providers-test-ok", with(openai(), ok)),
            ("admin-providers-test-bad", with(openai(), bad)),
            ("admin-providers-off", with(off, None)),
            ("admin-providers-no-models", with(empty, None)),
            ("admin-providers-demo", ProvidersPage { sheet: Some(demo()), ..page(3) }),
            ("admin-providers-add", ProvidersPage { ask: Some(ProvidersAsk::Add(Connection::default())), ..page(0) }),
            ("admin-providers-add-wrong", ProvidersPage { ask: Some(ProvidersAsk::Add(refused)), ..page(0) }),
            (
                "admin-providers-model",
                ProvidersPage {
                    ask: Some(ProvidersAsk::Model(Box::new(model_form("openai/gpt-image-1")))),
                    ..with(openai(), None)
                },
            ),
            (
                "admin-providers-model-wrong",
                ProvidersPage { ask: Some(ProvidersAsk::Model(Box::new(wrong_model()))), ..with(openai(), None) },
            ),
            (
                "admin-providers-remove",
                ProvidersPage { ask: Some(ProvidersAsk::Remove(removal)), ..with(openai(), None) },
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(name: &str) -> String {
        let pages = samples::pages();
        pages.iter().find(|(page, _)| *page == name).unwrap().1.render().unwrap()
    }

    #[test]
    fn every_state_renders() {
        for (name, page) in samples::pages() {
            assert!(page.render().unwrap().contains("Providers and models</h1>"), "{name}");
        }
    }

    #[test]
    fn a_key_goes_in_and_never_comes_out() {
        for (name, page) in samples::pages() {
            let html = page.render().unwrap();
            for field in html.split("<input").filter(|field| field.contains(r#"name="api_key""#)) {
                let field = field.split('>').next().unwrap();
                assert!(field.contains(r#"type="password""#) && !field.contains("value="), "{name}: {field}");
            }
        }
    }

    #[test]
    fn a_test_says_time_key_models_and_cost() {
        let html = html("admin-providers-test-ok");
        for word in ["0.42 s", "key is valid", "3 of 3 models", "€0.00"] {
            assert!(html.contains(word), "{word}");
        }
    }

    #[test]
    fn the_built_in_painter_has_no_connection_and_nothing_to_remove() {
        let html = html("admin-providers-demo");
        assert!(!html.contains("api_key") && !html.contains("ask=remove"));
    }

    #[test]
    fn each_fault_stands_at_its_field() {
        assert_eq!(html("admin-providers-model-wrong").matches(r#"aria-invalid="true""#).count(), 2);
        assert!(html("admin-providers-model-wrong").contains("at least one task"));
        assert!(html("admin-providers-add-wrong").contains("Declare it local"));
    }
}
