//! Sign-in, password and settings: the pages of one person about themselves.

mod browser;
mod outside;
mod settings;
pub mod settings_views;
mod tokens;
pub mod views;

use actix_web::HttpRequest;
use serde::Deserialize;

pub use browser::{browser, handheld};

use super::model::Origin;
use crate::{
    base::ctx::Ctx,
    platform::Platform,
    web::{
        client::Client,
        cookies,
        frame::{Frame, Place},
        headers,
        page::PageFrame,
        route::{Route, get, post},
        statics,
    },
};

pub fn routes() -> Vec<Route> {
    vec![
        get("/sign-in", outside::sign_in_page),
        post("/sign-in", outside::sign_in),
        post("/sign-out", outside::sign_out),
        get("/password", outside::password_page),
        post("/password", outside::choose_password),
        get("/settings", settings::settings_page),
        post("/settings/profile", settings::save_profile),
        post("/settings/theme", settings::choose_theme),
        post("/settings/password", settings::change_password),
        post("/settings/sessions/revoke-others", settings::end_other_sessions),
        post("/settings/sessions/{id}/revoke", settings::end_session),
        get("/settings/tokens", tokens::tokens_page),
        post("/settings/tokens", tokens::make_token),
        post("/settings/tokens/{id}/revoke", tokens::revoke_token),
    ]
}

/// A form that says everything with its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl From<Client> for Origin {
    fn from(client: Client) -> Self {
        Self { address: client.address, user_agent: client.user_agent }
    }
}

/// Where a page leads afterwards: an address of this server, or the Studio.
fn after(next: &str) -> &str {
    if own_path(next) { next } else { "/studio" }
}

/// A path on this server. What browsers would read as another host's address is not one.
fn own_path(next: &str) -> bool {
    let absolute = next.starts_with('/') && !next.starts_with("//");
    let plain = !next.chars().any(|c| c == '\\' || c.is_control() || c.is_whitespace());
    let loops = ["/sign-in", "/sign-out", "/password"].iter().any(|path| next.starts_with(path));
    absolute && plain && !loops && next.len() <= 2048
}

fn with_next(path: &str, next: &str) -> String {
    if !own_path(next) {
        return path.to_owned();
    }
    format!("{path}?next={}", url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>())
}

/// The frame of a page outside, where no rail is.
fn outside_frame(request: &HttpRequest, ctx: &Ctx, app: &Platform, frame: PageFrame, title: &str) -> Frame {
    Frame {
        csrf: headers::form_token(&app.keys, ctx),
        theme: cookies::theme_of(request),
        ..frame.titled(title, Place::None)
    }
}

fn art() -> views::Art {
    ["art/fjord.webp", "art/bottle.webp", "art/silk.webp", "art/ocean.webp"].map(statics::url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_leads_nowhere_but_here() {
        for next in ["/library?kind=render", "/admin/people", "/"] {
            assert_eq!(after(next), next);
        }
        for next in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "studio",
            "/\t/evil.example",
            "/sign-in",
            "/sign-out",
        ] {
            assert_eq!(after(next), "/studio", "{next:?}");
        }
    }
}
