//! What the settings pages show: profile, appearance, password, sessions, API tokens.

use askama::Template;

use super::views::NewPassword;
use crate::web::format::When;
use crate::web::frame::Frame;
use crate::web::parts::{Choice, Field};

/// `GET /settings`
#[derive(Template)]
#[template(path = "accounts/templates/settings.html")]
pub struct SettingsPage {
    pub frame: Frame,
    /// "Owner"
    pub role: String,
    /// The name in the form; the one that counts is in the frame.
    pub person: Field,
    /// Fault of the present password, when a change was refused.
    pub current_error: Option<String>,
    pub password: NewPassword,
    /// "Changed 3 March 2026", or empty.
    pub password_age: String,
    /// Newest first, the one of this browser first of all.
    pub sessions: Vec<SessionRow>,
}

impl SettingsPage {
    fn others(&self) -> usize {
        self.sessions.iter().filter(|session| !session.this).count()
    }
}

/// One place where the person is signed in.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub id: String,
    /// The browser of this request.
    pub this: bool,
    /// Phone or tablet: only the icon depends on it.
    pub handheld: bool,
    /// "Firefox on Linux"
    pub browser: String,
    /// "10.4.2.0/24": the network, never the full address.
    pub network: String,
    pub seen: When,
    pub since: When,
}

/// `GET /settings/tokens`; also the answer to the post that made a token.
#[derive(Template)]
#[template(path = "accounts/templates/tokens.html")]
pub struct TokensPage {
    pub frame: Frame,
    pub made: Option<MadeToken>,
    pub form: TokenForm,
    pub tokens: Vec<TokenRow>,
}

/// A token that was just made: the only time that it is shown.
#[derive(Clone)]
pub struct MadeToken {
    pub name: String,
    pub token: String,
    /// Base URL for the official openai client, `https://studio.example.org/v1`.
    pub base_url: String,
    /// A model that the person may use, for the example.
    pub model: String,
}

/// The form for a new token.
#[derive(Clone, Debug)]
pub struct TokenForm {
    pub name: Field,
    pub scopes: Vec<ScopeChoice>,
    pub scopes_error: Option<String>,
    /// In days; an empty value is never.
    pub expiry: Vec<Choice>,
}

/// A scope that the person may give.
#[derive(Clone, Debug)]
pub struct ScopeChoice {
    pub value: &'static str,
    /// "Make, change and delete own things"
    pub about: &'static str,
    pub chosen: bool,
}

/// An existing token; the token itself is not kept.
#[derive(Clone, Debug)]
pub struct TokenRow {
    pub id: String,
    pub name: String,
    /// Last characters, to tell two tokens apart: "…a91f".
    pub hint: String,
    pub scopes: Vec<String>,
    pub made: When,
    pub used: Option<When>,
    pub expires: Option<When>,
    pub expired: bool,
}

/// Sample pages in every state.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::{Place, samples::frame};
    use crate::web::parts::samples::when;

    fn session(id: &str, this: bool, handheld: bool, browser: &str, seen: &str) -> SessionRow {
        SessionRow {
            id: id.into(),
            this,
            handheld,
            browser: browser.into(),
            network: "10.4.2.0/24".into(),
            seen: when(seen),
            since: when("Monday"),
        }
    }

    /// The settings with three sessions, with one, and with faults.
    pub fn settings() -> Vec<(&'static str, SettingsPage)> {
        let many = || SettingsPage {
            frame: frame("Settings", Place::Settings),
            role: "Owner".into(),
            person: Field::of("Mara Lindqvist"),
            current_error: None,
            password: NewPassword {
                mail: "mara.lindqvist@example.org".into(),
                name: "Mara Lindqvist".into(),
                ..NewPassword::default()
            },
            password_age: "Changed 3 March 2026.".into(),
            sessions: vec![
                session("ses_1", true, false, "Firefox on Linux", "now"),
                session("ses_2", false, true, "Safari on iPhone", "yesterday, 21:14"),
                session("ses_3", false, false, "Edge on Windows", "9 November"),
            ],
        };
        let mut one = many();
        one.sessions.truncate(1);
        let mut wrong = many();
        wrong.person = Field::wrong("", "Write a name, so that colleagues know who you are.");
        wrong.current_error = Some("This is not your present password.".into());
        wrong.password.again_error = Some("Not the same as above".into());
        vec![("settings", many()), ("settings-one-session", one), ("settings-wrong", wrong)]
    }

    fn form() -> TokenForm {
        let scope = |value, about, chosen| ScopeChoice { value, about, chosen };
        TokenForm {
            name: Field::default(),
            scopes: vec![
                scope("read", "See your own pictures, generations and spending", true),
                scope("write", "Make, change and delete your own things; this spends money", true),
                scope("tokens", "Make and revoke your own tokens", false),
                scope("admin", "The admin API, as far as your roles reach", false),
            ],
            scopes_error: None,
            expiry: vec![
                Choice::new("30", "In 30 days", "90"),
                Choice::new("90", "In 90 days", "90"),
                Choice::new("365", "In a year", "90"),
                Choice::new("", "Never", "90"),
            ],
        }
    }

    fn token(
        id: &str,
        name: &str,
        scopes: &[&str],
        used: Option<&str>,
        expires: Option<&str>,
        expired: bool,
    ) -> TokenRow {
        TokenRow {
            id: id.into(),
            name: name.into(),
            hint: "…a91f".into(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            made: when("3 March"),
            used: used.map(when),
            expires: expires.map(when),
            expired,
        }
    }

    /// No token yet, some tokens, one just made, a refused form.
    pub fn tokens() -> Vec<(&'static str, TokensPage)> {
        let page =
            |made, tokens| TokensPage { frame: frame("API tokens", Place::Settings), made, form: form(), tokens };
        let some = || {
            vec![
                token(
                    "tok_1",
                    "Catalogue script",
                    &["read", "write"],
                    Some("4 min ago"),
                    Some("18 February 2027"),
                    false,
                ),
                token("tok_2", "Dashboard", &["read"], None, None, false),
                token(
                    "tok_3",
                    "Trial on the laptop",
                    &["read", "write", "tokens"],
                    Some("2 November"),
                    Some("3 November"),
                    true,
                ),
            ]
        };
        let made = MadeToken {
            name: "Catalogue script".into(),
            token: "rk_4fQ9sample8Xv2mZt7sample1LkW3bNc6Ra91f".into(),
            base_url: "https://studio.example.org/v1".into(),
            model: "demo/painter".into(),
        };
        let mut wrong = page(None, some());
        wrong.form.name = Field::wrong("", "Give it a name that says where it is used.");
        wrong.form.scopes_error = Some("Choose at least one scope.".into());
        vec![
            ("tokens-none", page(None, vec![])),
            ("tokens", page(None, some())),
            ("tokens-made", page(Some(made), some())),
            ("tokens-wrong", wrong),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_sessions_can_be_ended() {
        let pages = samples::settings();
        let html: Vec<_> = pages.iter().map(|(_, page)| page.render().unwrap()).collect();
        assert!(html[0].contains("/settings/sessions/ses_2/revoke"));
        assert!(!html[0].contains("/settings/sessions/ses_1/revoke"));
        assert!(html[0].contains("Sign out the other 2"));
        assert!(!html[1].contains("/settings/sessions/revoke-others"));
        assert_eq!(html[2].matches(r#"aria-invalid="true""#).count(), 3);
    }

    #[test]
    fn a_token_is_shown_once_and_with_the_base_url() {
        let pages = samples::tokens();
        let html: Vec<_> = pages.iter().map(|(_, page)| page.render().unwrap()).collect();
        assert!(html[0].contains("No tokens yet"));
        assert!(!html[1].contains("rk_4fQ9"));
        assert!(html[2].contains("rk_4fQ9") && html[2].contains("https://studio.example.org/v1"));
        assert!(html[1].contains("/settings/tokens/tok_1/revoke"));
        assert!(html[3].contains("at least one scope"));
    }
}
