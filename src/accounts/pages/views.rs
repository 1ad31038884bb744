//! What the pages outside show: sign-in and the forced new password.

use askama::Template;

use crate::web::frame::Frame;

/// Why the sign-in page is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SignInState {
    #[default]
    Fresh,
    /// Mail and password do not fit; also the answer for accounts that are switched off or do not
    /// exist, so that nobody learns which mails are known.
    Wrong,
    /// Too many tries for this account or from this network.
    Throttled {
        /// "14 min 20 s"
        wait: String,
        /// "14:29 UTC"
        until: String,
    },
    /// The session ended by itself; `next` leads back to where the person was.
    Expired,
    /// The person has just signed out.
    SignedOut,
}

/// The four pictures beside the forms outside: addresses of static files. Decoration only.
pub type Art = [String; 4];

/// `GET /sign-in`
#[derive(Template)]
#[template(path = "accounts/templates/sign_in.html")]
pub struct SignInPage {
    pub frame: Frame,
    /// "Halden & Voss, on studio.example.org"
    pub place: String,
    pub state: SignInState,
    /// Comes back filled; the password never does.
    pub mail: String,
    /// Local path to go to afterwards, already checked, or empty.
    pub next: String,
    pub art: Art,
}

impl SignInPage {
    fn throttled(&self) -> bool {
        matches!(self.state, SignInState::Throttled { .. })
    }

    // The first empty field has the focus, so that a person can type at once.
    fn focus_mail(&self) -> bool {
        self.mail.is_empty()
    }
}

/// The two fields of a new password and what they may not hold; shared by both password forms.
#[derive(Clone, Debug, Default)]
pub struct NewPassword {
    /// Mail and name of the person, for the check while typing.
    pub mail: String,
    pub name: String,
    pub new_error: Option<String>,
    pub again_error: Option<String>,
}

/// `GET /password`: the one-time password has to be replaced before anything else.
#[derive(Template)]
#[template(path = "accounts/templates/password.html")]
pub struct PasswordPage {
    pub frame: Frame,
    pub next: String,
    pub password: NewPassword,
    pub art: Art,
}

/// Sample pages in every state.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::Theme;

    fn art() -> Art {
        ["art/fjord.webp", "art/bottle.webp", "art/silk.webp", "art/ocean.webp"].map(crate::web::statics::url)
    }

    /// The sign-in page in one state.
    pub fn sign_in(state: SignInState) -> SignInPage {
        let mail = if state == SignInState::Fresh { "" } else { "mara.lindqvist@example.org" };
        SignInPage {
            frame: Frame::outside("Sign in", "sample-token", Theme::System),
            place: "Halden & Voss, on studio.example.org".into(),
            state,
            mail: mail.into(),
            next: "/library?kind=render&person=per_1".into(),
            art: art(),
        }
    }

    /// Every state with the name of its file.
    pub fn sign_ins() -> Vec<(&'static str, SignInPage)> {
        let throttled = SignInState::Throttled { wait: "14 min 20 s".into(), until: "14:29 UTC".into() };
        vec![
            ("sign-in", sign_in(SignInState::Fresh)),
            ("sign-in-wrong", sign_in(SignInState::Wrong)),
            ("sign-in-throttled", sign_in(throttled)),
            ("sign-in-expired", sign_in(SignInState::Expired)),
            ("sign-in-signed-out", sign_in(SignInState::SignedOut)),
        ]
    }

    /// The forced new password, fresh and with what was wrong.
    pub fn passwords() -> Vec<(&'static str, PasswordPage)> {
        let fresh = || PasswordPage {
            frame: Frame::outside("Choose a new password", "sample-token", Theme::System),
            next: String::new(),
            password: NewPassword {
                mail: "mara.lindqvist@example.org".into(),
                name: "Mara Lindqvist".into(),
                ..NewPassword::default()
            },
            art: art(),
        };
        let mut wrong = fresh();
        wrong.password.new_error = Some("This password is on the list of common ones. Choose another.".into());
        wrong.password.again_error = Some("Not the same as above".into());
        vec![("password", fresh()), ("password-wrong", wrong)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_in_state_renders_with_its_words() {
        let words = ["Sign in", "do not match", "14 min 20 s", "session has ended", "signed out"];
        for ((name, page), word) in samples::sign_ins().into_iter().zip(words) {
            let html = page.render().unwrap();
            assert!(html.contains(word), "{name} does not say {word:?}");
            assert!(html.contains(r#"name="csrf" value="sample-token""#), "{name}");
            assert!(html.contains(r#"name="next" value="/library?kind=render&#38;person=per_1""#), "{name}");
        }
    }

    #[test]
    fn a_throttled_person_cannot_send_the_form() {
        let throttled = SignInState::Throttled { wait: "14 min".into(), until: "14:29".into() };
        assert!(samples::sign_in(throttled).render().unwrap().contains(r#"type="submit" disabled"#));
        assert!(!samples::sign_in(SignInState::Wrong).render().unwrap().contains(r#"type="submit" disabled"#));
    }

    #[test]
    fn the_password_page_names_each_fault_at_its_field() {
        let pages = samples::passwords();
        let html: Vec<_> = pages.iter().map(|(_, page)| page.render().unwrap()).collect();
        assert!(!html[0].contains(r#"aria-invalid="true""#));
        assert_eq!(html[1].matches(r#"aria-invalid="true""#).count(), 2);
        assert!(html[1].contains("list of common ones"));
    }
}
