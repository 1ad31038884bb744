//! The frame around every page: who looks at it, where they are, what runs, what is left to spend.

use serde::{Deserialize, Serialize};

use super::statics;

/// A place in the rail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// No place of the rail is the current one.
    #[default]
    None,
    Studio,
    Library,
    Activity,
    Admin,
    Settings,
}

/// The chosen theme; the system decides until somebody chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
    Contrast,
}

impl Theme {
    /// Name of the cookie that keeps the choice.
    pub const COOKIE: &str = "__Host-rk_theme";

    /// Reads a cookie or form value; anything unknown follows the system.
    pub fn parse(text: &str) -> Self {
        match text {
            "light" => Self::Light,
            "dark" => Self::Dark,
            "contrast" => Self::Contrast,
            _ => Self::System,
        }
    }

    /// The value as cookie, form field and `data-theme`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Contrast => "contrast",
        }
    }
}

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tone {
    Info,
    Ok,
    Warn,
    Bad,
}

impl Tone {
    /// Class of banner, badge and toast.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// Icon that goes with the word; colour never stands alone.
    pub const fn icon(self) -> &'static str {
        self.class()
    }

    /// `alert` interrupts a screen reader, `status` waits.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Bad => "alert",
            Self::Info | Self::Ok | Self::Warn => "status",
        }
    }
}

/// A line above the page that concerns everybody, such as "The picture store does not answer".
#[derive(Clone, Debug)]
pub struct Notice {
    pub tone: Tone,
    pub title: String,
    pub text: String,
}

/// What the last act did, shown once as a toast; with an undo where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    pub tone: Tone,
    pub text: String,
    pub undo: Option<Undo>,
}

impl Flash {
    /// Name of the cookie that carries it over one redirect.
    pub const COOKIE: &str = "__Host-rk_flash";

    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into(), undo: None }
    }

    pub fn undone_at(self, action: impl Into<String>) -> Self {
        Self { undo: Some(Undo { action: action.into(), label: "Undo".to_owned() }), ..self }
    }
}

/// A form that takes the last act back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Address the form is posted to.
    pub action: String,
    pub label: String,
}

/// One cap in the popover of the money chip and on the Activity page.
#[derive(Clone, Debug)]
pub struct CapLine {
    /// "Yours, this month"
    pub title: String,
    /// "€62.40 left of €120.00"
    pub text: String,
    /// Spent and held, in per mille of the limit, 0 to 1000.
    pub used: u16,
    /// "Refills 1 December", or empty.
    pub note: String,
}

impl CapLine {
    /// Amber from 80 percent, red at 100; below that the person's own accent.
    pub const fn meter(&self) -> &'static str {
        match self.used {
            1000.. => "bad",
            800..1000 => "warn",
            _ => "accent",
        }
    }
}

/// What is left to spend.
#[derive(Clone, Debug)]
pub struct MoneyChip {
    /// "€62.40 left"
    pub text: String,
    pub caps: Vec<CapLine>,
}

/// Everything the layout shows around a page.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Title of the page, without the product's name.
    pub title: String,
    pub place: Place,
    /// Empty for pages outside (sign-in, errors before sign-in).
    pub person: String,
    pub mail: String,
    /// One or two letters for the avatar.
    pub initials: String,
    pub is_admin: bool,
    /// Name of the organisation or workspace.
    pub workspace: String,
    /// Form token of the session.
    pub csrf: String,
    pub running: u32,
    pub waiting: u32,
    pub money: Option<MoneyChip>,
    pub theme: Theme,
    pub notices: Vec<Notice>,
    pub flash: Option<Flash>,
}

impl Frame {
    /// A frame for pages that need nobody signed in.
    pub fn outside(title: impl Into<String>, csrf: impl Into<String>, theme: Theme) -> Self {
        Self { title: title.into(), csrf: csrf.into(), theme, ..Self::default() }
    }

    /// Address of a static file.
    pub fn asset(&self, path: &str) -> String {
        statics::url(path)
    }

    /// Whether this is the current place of the rail.
    pub fn at(&self, place: Place) -> bool {
        self.place == place
    }

    /// Whether a theme button is the chosen one.
    pub fn themed(&self, value: &str) -> bool {
        self.theme.as_str() == value
    }

    /// The chip's word after the number: what runs goes before what waits.
    pub const fn queue_word(&self) -> &'static str {
        match (self.running, self.waiting) {
            (0, 0) => "Queue",
            (0, _) => "waiting",
            _ => "running",
        }
    }

    /// The chip's number, empty when idle.
    pub fn queue_count(&self) -> String {
        match (self.running, self.waiting) {
            (0, 0) => String::new(),
            (0, waiting) => waiting.to_string(),
            (running, _) => running.to_string(),
        }
    }

    /// "Queue: 2 running, 1 waiting", the chip's whole name.
    pub fn queue_words(&self) -> String {
        match (self.running, self.waiting) {
            (0, 0) => "Queue".into(),
            (running, 0) => format!("Queue: {running} running"),
            (0, waiting) => format!("Queue: {waiting} waiting"),
            (running, waiting) => format!("Queue: {running} running, {waiting} waiting"),
        }
    }
}

/// First letters of the first and the last word of a name.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace();
    let first = words.next().and_then(|word| word.chars().next());
    let last = words.next_back().and_then(|word| word.chars().next());
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

/// Frames for the samples of every page.
#[cfg(test)]
pub mod samples {
    use super::*;

    /// A signed-in person with work running.
    pub fn frame(title: &str, place: Place) -> Frame {
        Frame {
            title: title.into(),
            place,
            person: "Mara Lindqvist".into(),
            mail: "mara.lindqvist@example.org".into(),
            initials: initials("Mara Lindqvist"),
            is_admin: true,
            workspace: "Halden & Voss".into(),
            csrf: "sample-token".into(),
            running: 1,
            waiting: 1,
            money: Some(MoneyChip { text: "€62.40 left".into(), caps: caps() }),
            ..Frame::default()
        }
    }

    /// One cap in each tone.
    pub fn caps() -> Vec<CapLine> {
        vec![
            CapLine {
                title: "Yours, this month".into(),
                text: "€62.40 left of €120.00".into(),
                used: 480,
                note: "Refills on 1 December".into(),
            },
            CapLine {
                title: "Halden & Voss, this month".into(),
                text: "€214.30 left of €1,500.00".into(),
                used: 857,
                note: "Shared by everybody, refills on 1 December".into(),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_take_first_and_last_word() {
        assert_eq!(initials("Mara Lindqvist"), "ML");
        assert_eq!(initials("ana de la cruz"), "AC");
        assert_eq!(initials("Plato"), "P");
        assert_eq!(initials("  "), "");
    }

    #[test]
    fn an_unknown_theme_follows_the_system() {
        assert_eq!(Theme::parse("contrast"), Theme::Contrast);
        assert_eq!(Theme::parse("\"><script>"), Theme::System);
    }
}
