//! The page that is shown instead of a page: what happened, whether something is lost, what to do.

use askama::Template;

use super::frame::Frame;

/// A link below the message.
#[derive(Clone, Debug)]
pub struct Act {
    pub href: String,
    pub label: String,
}

impl Act {
    /// A link by address and words.
    pub fn new(href: &str, label: &str) -> Self {
        Self { href: href.into(), label: label.into() }
    }
}

/// Where to go on; somebody who is signed out gets nowhere before signing in.
fn onwards(frame: &Frame, acts: Vec<Act>) -> Vec<Act> {
    if frame.person.is_empty() { vec![Act::new("/sign-in", "Sign in")] } else { acts }
}

/// The error page, in a bare frame: it must render when nothing else works.
#[derive(Template)]
#[template(path = "web/templates/error.html")]
pub struct ErrorPage {
    pub frame: Frame,
    pub status: u16,
    pub icon: &'static str,
    pub title: String,
    /// What happened and whether anything is lost.
    pub text: String,
    /// The first is the primary one.
    pub acts: Vec<Act>,
    pub request_id: String,
}

impl ErrorPage {
    /// 404, for hidden things too.
    pub fn not_found(frame: Frame, request_id: &str) -> Self {
        Self {
            acts: onwards(&frame, vec![Act::new("/studio", "Back to the Studio")]),
            frame,
            status: 404,
            icon: "search",
            title: "This page is not here".into(),
            text: "What it showed may have been removed, or the address has a typing error. Nothing was changed."
                .into(),
            request_id: request_id.into(),
        }
    }

    /// 404 in the library.
    pub fn no_picture(frame: Frame, request_id: &str) -> Self {
        let acts =
            vec![Act::new("/library", "Open the library"), Act::new("/library?trashed=true", "Look in the trash")];
        Self {
            acts: onwards(&frame, acts),
            text: "It may have been moved to the trash or deleted, or the address has a typing error. Nothing of yours is lost by looking.".into(),
            ..Self::not_found(frame, request_id)
        }
    }

    /// 403.
    pub fn forbidden(frame: Frame, request_id: &str) -> Self {
        Self {
            acts: onwards(&frame, vec![Act::new("/studio", "Back to the Studio")]),
            frame,
            status: 403,
            icon: "lock",
            title: "Your role does not reach here".into(),
            text:
                "This part is for other roles in your organisation. Nothing was changed. An owner can give you access."
                    .into(),
            request_id: request_id.into(),
        }
    }

    /// 403 for a form whose token is old or came from elsewhere.
    pub fn stale_form(frame: Frame, request_id: &str) -> Self {
        Self {
            acts: onwards(&frame, vec![Act::new("/studio", "Back to the Studio")]),
            frame,
            status: 403,
            icon: "shield",
            title: "This form is too old".into(),
            text: "You may have signed in again since the page was opened, or the request came from another site. Nothing was changed. Go back, reload the page and send it again.".into(),
            request_id: request_id.into(),
        }
    }

    /// 503.
    pub fn unavailable(frame: Frame, request_id: &str) -> Self {
        Self {
            frame,
            status: 503,
            icon: "server",
            title: "Back in a moment".into(),
            text: "A part of the server does not answer at the moment. What was running goes on by itself, nothing is charged twice. Reload in a few seconds.".into(),
            acts: vec![Act::new("/studio", "Try the Studio again")],
            request_id: request_id.into(),
        }
    }

    /// Anything else: the status and its sentence.
    pub fn other(frame: Frame, status: u16, title: &str, text: &str, request_id: &str) -> Self {
        let icon = if status >= 500 { "server" } else { "warn" };
        let acts = vec![Act::new("/studio", "Back to the Studio")];
        Self { frame, status, icon, title: title.into(), text: text.into(), acts, request_id: request_id.into() }
    }

    /// 500: our fault, said without detail.
    pub fn internal(frame: Frame, request_id: &str) -> Self {
        Self::other(
            frame,
            500,
            "Something went wrong here",
            "The fault is ours and it is in the log under the number below. What you had made is safe. Try again; if it stays, tell the number to whoever runs this server.",
            request_id,
        )
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::Theme;

    /// Every error page.
    pub fn all() -> Vec<ErrorPage> {
        let frame = |title: &str| Frame { person: "Mara Lindqvist".into(), ..Frame::outside(title, "", Theme::System) };
        let id = "req_01k9x7v3q8e5h9m2t4c6w1z0ab";
        vec![
            ErrorPage::no_picture(frame("Not found"), id),
            ErrorPage::not_found(frame("Not found"), id),
            ErrorPage::forbidden(frame("No access"), id),
            ErrorPage::stale_form(frame("Form too old"), id),
            ErrorPage::unavailable(frame("Unavailable"), id),
            ErrorPage::internal(frame("Fault"), id),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_page_says_what_to_do_and_its_request() {
        for page in samples::all() {
            let html = page.render().unwrap();
            assert!(html.contains(&page.request_id) && html.contains("class=\"btn primary\""), "{}", page.title);
            assert!(html.contains(&format!("<span>{}</span>", page.status)));
        }
    }

    #[test]
    fn somebody_signed_out_is_offered_to_sign_in() {
        let outside = || Frame::outside("Error", "", crate::web::frame::Theme::System);
        for page in [
            ErrorPage::not_found(outside(), ""),
            ErrorPage::forbidden(outside(), ""),
            ErrorPage::stale_form(outside(), ""),
        ] {
            let links: Vec<_> = page.acts.iter().map(|act| act.href.as_str()).collect();
            assert_eq!(links, ["/sign-in"], "{}", page.title);
        }
        assert_eq!(samples::all()[0].acts[0].href, "/library");
    }
}
